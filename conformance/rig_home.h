/* What the clauses of descriptors' homes share. Homes are driven by hand there, turn by turn, so that what is still in an inbox, what waits
 * and what is done is known at each step. */
#ifndef SLEY_CONFORMANCE_RIG_HOME_H
#define SLEY_CONFORMANCE_RIG_HOME_H

#include "rig_file.h"

static struct sley_local home, other; /* `other` is where visitors' tasks run */
static bool other_is_up;
static struct far {
    struct sley_fd fd;
    int peer;
} far;

struct visit {
    void (*fn)(void);
};

static int visit(struct visit *v)
{
    v->fn();
    return 0;
}
SLEY_FIBER_STACK(visit, struct visit, 256 * 1024, NULL)

static inline void up(struct sley_local *ex)
{
    static const struct sley_reactor_factory *const reactors[] = {&sley__rig_factory, NULL};
    sley_local_init(ex);
    CHECK_RC(ex->base.ops->start(&ex->base, &(struct sley_executor_config){.reactors = reactors}), 0);
    other_is_up = other_is_up || ex == &other;
}

static inline void down(struct sley_local *ex)
{
    other_is_up = other_is_up && ex != &other;
    CHECK_RC(ex->base.ops->stop(&ex->base, SLEY_NEVER), 0);
    CHECK_RC(ex->base.ops->fini(&ex->base), 0);
}

static inline void turn(struct sley_local *ex)
{
    CHECK_INT(ex->base.ops->turn(&ex->base, 0, NULL), >=, 0);
}

/** Both, if there are two. */
static inline void turn_all(void)
{
    turn(&home);
    if (other_is_up) {
        turn(&other);
    }
}

static inline struct sley_task *spawn(struct sley_local *ex, void (*fn)(void))
{
    struct sley_task *t;
    CHECK_RC(ex->base.ops->spawn(&ex->base, &visit__type, &(struct visit){fn}, &t), 0);
    return t;
}

/** Has @p fn called in a task of @p ex, and drives all until it has ended. */
static inline void call_in(struct sley_local *ex, void (*fn)(void))
{
    struct sley_task *t = spawn(ex, fn);
    while (!sley_task_done(t)) {
        turn_all();
    }
    sley_task_unref(t);
}

/** Drives all until @p w is done. */
static inline int32_t driven(const struct sley_wait *w)
{
    while (!sley_wait_done(w)) {
        turn_all();
    }
    return w->result;
}

/** Is it done, or about to be? */
static inline bool driven_soon(const struct sley_wait *w)
{
    for (int i = 0; i < 8; i++) {
        turn_all();
    }
    return sley_wait_done(w);
}

static inline void settle_here(void)
{
    char byte;
    put(far.peer, "h");
    CHECK_RC(io(&far.fd, SLEY_IO_RECV, &byte, 1), 1);
}

/** `far` is at home in `home`. */
static inline void far_open(void)
{
    far.peer = sley__rig_pair(PAIR_TCP, &far.fd);
    call_in(&home, settle_here);
}

static inline void far_close(void)
{
    struct sley_io_op op = {0};
    sley_fd_close_start(&op, &far.fd);
    CHECK_RC(driven(&op.wait), 0);
    CHECK_INT(far.fd.number, ==, -1);
    (void)close(far.peer);
}

#endif
