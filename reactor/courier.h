/* How an op gets to a home elsewhere, is done there, and how its result comes back. Private to reactor/.
 *
 * What travels is an op of the home's own, in memory of its own (`struct sley__courier`), as a post in the inbox of the home's worker.
 * There it is started as if by a task of that worker, and when it is done the op that waits for it is completed, as any foreign
 * completer would.
 *
 * A courier is counted: one for the op, one for a cancel on its way. From the start to the end of the op its `next` names the
 * courier, under the lock in courier.c: that is how a cancel, from any thread, finds it, or finds that there is nothing left to
 * cancel. The lock is held for some stores at a time and nobody is called under it.
 *
 * Where workers share tasks, but not their reactors, everything that is done to a stream goes by courier. So under that lock an abort finds
 * whether anything is; if nothing is, it marks the descriptor closed there and then, and what is sent later finds that at home. */
#ifndef SLEY_REACTOR_COURIER_H
#define SLEY_REACTOR_COURIER_H

#include "file.h"
#include "home.h"
#include "served.h"

#include <sley/group_impl.h>

struct sley__courier {
    struct sley_file_op inner; /* the home's; inner.io for ops of sockets */
    struct sley__mail mail;    /* to the home */
    struct sley__mail cancel;  /* the same, behind it */
    struct sley_wait_hook hook;
    const struct sley_fd *on, *to; /* what it was sent for: the op itself is the home's; `to` of a splice, or NULL */
    struct sley_io_op *op;         /* who waits for it; NULL: nobody */
    bool heard;                    /* somebody has, from the start */
    struct sley_fd fd;             /* of a direct descriptor that is closed unheard: nobody keeps its memory meanwhile */
    void (*start)(struct sley_io_op *inner);
    struct sley_reactor *home;         /* when it was sent: in use there, compared here */
    const struct sley_reactor *from;   /* the reactor of the home executor that has started it, or NULL */
    struct sley__courier *next, *prev; /* of all of them */
    struct sley__courier *later;       /* of those whose waiters are told later, */
    struct sley_io_op *told;           /* who that is, */
    int32_t result;                    /* and what it is told */
    uint32_t count;
    bool begun;                  /* the home's, changed with the lock: it has arrived, or was done before */
    bool evicted;                /* with the lock: by the home's end */
    SLEY_ATOMIC(uint32_t) asked; /* to end */
};

/** A courier to the worker of @p home, which is held for it. Returns: 0; -ENODEV; -EOWNERDEAD; -ENOMEM. */
int sley__courier_make(struct sley_reactor *home, struct sley__courier **ret_courier, struct sley_sched **ret_worker);
/** Makes its op one like @p op; results are copied to @p op when it ends. */
void sley__courier_fill(struct sley__courier *c, struct sley_io_op *op);
/**
 * Sends it for @p op, which has begun; NULL: nobody waits. Gives the worker up. Returns false: it has not gone, for nobody waits, and
 * nothing is in flight that would keep the descriptor's memory.
 */
bool sley__courier_send(struct sley__courier *c, struct sley_io_op *op, struct sley_sched *worker);
/** Is an op that somebody waits for at @p fd, or on its way there? */
bool sley__courier_in_use(const struct sley_fd *fd, const struct sley_reactor *home);
/** The `cancel` of an op that a courier was sent for. Thread: any. */
void sley__courier_cancel(struct sley_wait *w);

/* For the end of a reactor (home.c). Both return one with its count raised, or NULL; `*ret_any`: there are some that have not ended. */

/** The next of those that were sent by tasks of @p r's worker and that are yet to be asked to end. */
struct sley__courier *sley__courier_next_out(const struct sley_reactor *r, bool *ret_any);
/** The next of those that have arrived at @p r, that others wait for, and that are yet to be cancelled. */
struct sley__courier *sley__courier_next_guest(const struct sley_reactor *r, bool *ret_any);
/** Sends the request to end, once. Takes one of its count. */
void sley__courier_ask(struct sley__courier *c);
void sley__courier_unref(struct sley__courier *c);

#endif
