/* Registered memory: known to the reactor of the thread that registers it, if that reactor can make use of it. */
#include "served.h"

#include <sley/file_impl.h>

int sley_fixed_init(struct sley_fixed *f, void *base, size_t bytes)
{
    struct sley_sched *s = sley__self;
    struct sley_reactor *r = s ? s->reactor : NULL;
    if (!f || !base || bytes == 0) {
        return -EINVAL;
    }
    *f = (struct sley_fixed){.base = base, .bytes = bytes};
    if (r && r->ops->version >= 2 && r->ops->fixed_add) {
        const bool owned = sley__door_own(r);
        sley_reactor_enter(r);
        f->home = r->ops->fixed_add(r, f) == 0 ? r : NULL;
        sley_reactor_leave(r);
        sley__door_disown(r, owned);
    }
    return 0;
}

int sley_fixed_fini(struct sley_fixed *f)
{
    struct sley_reactor *r = f ? f->home : NULL;
    if (r) {
        struct sley_sched *s = sley__self;
        if (!s || s->reactor != r) {
            return -EXDEV;
        }
        const bool owned = sley__door_own(r);
        sley_reactor_enter(r);
        if (r->ops->fixed_remove) { /* not so of one that was inherited by fork */
            r->ops->fixed_remove(r, f);
        }
        sley_reactor_leave(r);
        sley__door_disown(r, owned);
    }
    if (f) {
        *f = (struct sley_fixed){0};
    }
    return 0;
}
