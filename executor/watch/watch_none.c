/* A machine without threads has no watchdog: nothing is ever watched, and the states that workers keep are looked at by nobody. */
#include <sley/watch.h>

int sley_watch_create(const struct sley_watch_opts *o, struct sley_watch **ret_watch)
{
    (void)o, (void)ret_watch;
    return -ENOTSUP;
}

void sley_watch_destroy(struct sley_watch *w)
{
    (void)w;
}

uint64_t sley_watch_stall_ns(uint64_t asked)
{
    (void)asked;
    return SLEY_NEVER;
}

int sley_watch_add(struct sley_watch *w, struct sley_watched *e, struct sley_sched *s, uint32_t worker)
{
    (void)w, (void)e, (void)s, (void)worker;
    return -ENOTSUP;
}

int sley_watch_one(const struct sley_executor_config *config, struct sley_alloc *alloc, struct sley_watched *e, struct sley_sched *s)
{
    (void)config, (void)alloc, (void)e, (void)s;
    return 0;
}

void sley_watch_remove(struct sley_watched *e)
{
    (void)e;
}

void sley__watch_forked(void) {}

void sley__watch_rouse(struct sley__watch_entry *entry)
{
    (void)entry;
}

void sley__watch_thread(struct sley__watch_entry *entry)
{
    (void)entry;
}
