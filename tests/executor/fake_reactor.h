/* A deterministic reactor: counts, remembers what it was asked, blocks only when told to, and completes what the test says. */
#ifndef SLEY_TEST_FAKE_REACTOR_H
#define SLEY_TEST_FAKE_REACTOR_H

#include <pthread.h>

#include <sley/reactor_impl.h>

struct fake_reactor {
    struct sley_reactor base;
    struct sley_alloc *alloc;
    unsigned poll_count; /* all polls */
    unsigned wait_count; /* those that may wait */
    uint64_t last_timeout_ns;
    SLEY_ATOMIC(unsigned) wake_count;
    /** Called in each wake, on the waker's thread. */
    void (*on_wake)(void);
    /** Called in a poll that may wait, before it does. What it makes ready (ops, posts) ends the wait. */
    void (*on_wait)(void *arg, struct fake_reactor *r);
    void *arg;
    struct sley_io_op *armed; /* singly linked through `next` */
    struct sley_io_op *ready;
    int32_t ready_result;
    pthread_mutex_t mutex;
    pthread_cond_t bell;
    bool rung;
};

/** The one that was made last; NULL when it has been destroyed. */
extern SLEY_ATOMIC(struct fake_reactor *) fake_reactor_last;
extern const struct sley_reactor_factory fake_reactor_factory;
/** The next poll completes an armed op with this result. Thread: owner. */
void fake_reactor_ready(struct fake_reactor *r, struct sley_io_op *op, int32_t result);

#endif
