/* The libuv reactor for the kit, as a shared object: in a loop of its own, and attached to one, driven by hand. */
#include "reactor/uv/loop.h"

#include <stdlib.h>

SLEY_API extern const struct sley_reactor_factory uv_own, uv_attached;

/** libuv opens a pipe with the first loop of a process and keeps it: before the kit counts descriptors. */
static void __attribute__((constructor)) settle_libuv(void)
{
    uv_loop_t loop;
    if (uv_loop_init(&loop) == 0) {
        (void)uv_loop_close(&loop);
    }
}

static int create_own(const struct sley_reactor_opts *o, struct sley_reactor **ret_reactor)
{
    return sley_reactor_uv.create(o, ret_reactor);
}

/* ---- attached: the application is this file, and its loop ends with the reactor -------------------------------------- */

static struct sley_reactor_ops attached_ops;
static void (*destroy_reactor)(struct sley_reactor *self);

static void destroy_attached(struct sley_reactor *self)
{
    uv_loop_t *loop = sley_container_of(self, struct sley__uv, core.base)->loop;
    destroy_reactor(self);
    if (uv_loop_close(loop) != 0) {
        abort(); /* a handle was left behind */
    }
    free(loop);
}

static int create_attached(const struct sley_reactor_opts *o, struct sley_reactor **ret_reactor)
{
    struct sley_reactor_opts with = *o;
    int rc = create_own(o, ret_reactor); /* a loop's init that finds too few descriptors leaks those that it has got */
    if (rc < 0) {
        return rc;
    }
    (*ret_reactor)->ops->destroy(*ret_reactor);
    uv_loop_t *loop = malloc(sizeof *loop);
    rc = loop ? uv_loop_init(loop) : -ENOMEM;
    if (rc < 0) {
        free(loop);
        return rc;
    }
    with.loop = loop;
    rc = sley_reactor_uv.create(&with, ret_reactor);
    if (rc < 0) {
        if (uv_loop_close(loop) != 0) {
            abort();
        }
        free(loop);
        return rc;
    }
    attached_ops = *(*ret_reactor)->ops;
    destroy_reactor = attached_ops.destroy;
    attached_ops.destroy = destroy_attached;
    (*ret_reactor)->ops = &attached_ops;
    return 0;
}

const struct sley_reactor_factory uv_own = {.version = SLEY_REACTOR_VERSION, .name = "uv", .create = create_own};
const struct sley_reactor_factory uv_attached = {.version = SLEY_REACTOR_VERSION, .name = "uv (attached)", .create = create_attached};
