/* The ring in use: whose thread it is, the one system call, the places of its queue. */
#include "checker.h"
#include "uring.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

/* ---- whose it is ----------------------------------------------------------------------------------------------------- */

/** A number that no two threads of a process have; an address or a pthread_t would be used again. */
static SLEY_NOINLINE uint32_t this_thread(void)
{
    static SLEY_ATOMIC(uint32_t) last;
    static _Thread_local uint32_t mine;
    if (SLEY_UNLIKELY(mine == 0)) {
        /* relaxed: only that they differ */
        mine = atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) + 1;
    }
    return mine;
}

static void register_ring(struct sley__uring *r)
{
    struct io_uring_rsrc_update up = {.offset = -1U, .data = (unsigned)r->ring.ring_fd};
    r->enter_fd = r->ring.ring_fd;
    r->enter_flags = 0;
    if (!sley__uring_has(r, SLEY__URING_RING_FD)) {
        return;
    }
    if (sley__uring_syscall_register(r->ring.ring_fd, IORING_REGISTER_RING_FDS, &up, 1) == 1) {
        r->enter_fd = (int)up.offset;
        r->enter_flags = IORING_ENTER_REGISTERED_RING;
    } else {
        r->features &= ~(1u << SLEY__URING_RING_FD); /* an old kernel; or this thread has sixteen already */
    }
}

void sley__uring_unregister(struct sley__uring *r)
{
    struct io_uring_rsrc_update up = {.offset = (uint32_t)r->enter_fd};
    if (r->enter_flags && r->thread == this_thread()) { /* the index means something in its own thread alone */
        (void)sley__uring_syscall_register(r->ring.ring_fd, IORING_UNREGISTER_RING_FDS, &up, 1);
        r->enter_fd = r->ring.ring_fd;
        r->enter_flags = 0;
    }
}

/** What a thread needs to know to give back a ring that it has entered, or that another one has. */
struct entered {
    struct io_uring ring;
    int enter_fd;
    unsigned enter_flags;
    uint32_t thread;
};

static struct entered entered(const struct sley__uring *r)
{
    return (struct entered){.ring = r->ring, .enter_fd = r->enter_fd, .enter_flags = r->enter_flags, .thread = r->thread};
}

static void exit_ring(struct entered *e)
{
    if (e->enter_flags && e->thread == this_thread()) { /* the index means something in its own thread alone */
        struct io_uring_rsrc_update up = {.offset = (uint32_t)e->enter_fd};
        (void)sley__uring_syscall_register(e->ring.ring_fd, IORING_UNREGISTER_RING_FDS, &up, 1);
    }
    sley__uring_unmap(&e->ring);
}

/** How many entries that the kernel has not taken are ops. */
static uint32_t unsubmitted_ops(const struct sley__uring *r)
{
    uint32_t n = 0;
    const struct io_uring_sq *sq = &r->ring.sq;
    for (unsigned at = *sq->khead; at != sq->sqe_tail; at++) {
        const uint64_t what = sq->sqes[at & sq->ring_mask].user_data;
        n += what > SLEY__URING_MARK_LAST && sley__uring_tag_of(what) != SLEY__URING_ENDING;
    }
    return n;
}

/** A ring of this thread in place of another's, in which nothing is in flight. */
static int take_over(struct sley__uring *r)
{
    sley__uring_shut_door(r);
    struct entered before = entered(r);
    const uint32_t features = r->features;
    const struct io_uring_sq *sq = &before.ring.sq;
    int rc = sley__uring_open(r, NULL);
    if (rc < 0 || r->ring.sq.ring_entries < sq->ring_entries) { /* nothing is lost */
        if (rc == 0) {
            sley__uring_unmap(&r->ring);
        }
        r->ring = before.ring;
        r->features = features;
        r->thread = before.thread;
        return rc < 0 ? rc : -ENOMEM;
    }
    for (unsigned at = *sq->khead; at != sq->sqe_tail; at++) {
        const struct io_uring_sqe *sqe = &sq->sqes[at & sq->ring_mask];
        if (sqe->user_data != SLEY__URING_BELL) {
            *io_uring_get_sqe(&r->ring) = *sqe;
        }
    }
    if (sley__uring_unsubmitted(r) < r->ring.sq.ring_entries) { /* else the next look does it */
        sley__uring_arm_bell(r);
    }
    exit_ring(&before);
    sley__uring_dismiss_witness(r);
    r->tells = r->tells && sley__uring_tell_again(r) == 0; /* nobody else knows the ring yet: it has none */
    sley__uring_fixed_again(r);
    sley__uring_stock_again(r);
    r->direct_size = 0;
    r->due |= r->lost_count > 0 ? SLEY__URING_LEFT : 0;
    return 0;
}

bool sley__uring_is_mine(const struct sley__uring *r)
{
    return r->thread == 0 || !sley__uring_has(r, SLEY__URING_SINGLE_ISSUER) || r->thread == this_thread();
}

bool sley__uring_is_idle(const struct sley__uring *r)
{
    return r->flying_count == unsubmitted_ops(r) && r->direct_count == 0 && sley__uring_results(r) == 0;
}

/** This thread drives it from now on. Returns: 0; -EEXIST: it is another's, with ops in flight, and that one lives. */
static int take(struct sley__uring *r)
{
    if (!sley__uring_is_mine(r)) {
        const int rc = sley__uring_is_idle(r) ? take_over(r) : sley__uring_is_left(r) ? sley__uring_inherit(r, take_over) : -EEXIST;
        if (rc < 0) {
            return rc;
        }
    }
    const bool first = r->thread == 0;
    const int rc = first ? sley__uring_syscall_register(r->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0) : 0;
    if (rc < 0) {
        return rc;
    }
    if (first) {
        register_ring(r);
    } else {
        r->enter_fd = r->ring.ring_fd;
        r->enter_flags = 0;
    }
    r->thread = this_thread();
    sley__uring_thread_unref(r->driver);
    r->driver = sley__uring_thread_ref();
    if (first && r->has_files) {
        sley__uring_call_witness(r);
    }
    sley__uring_open_door(r);
    if (r->base.box.door.plain) {
        sley__uring_answer(r);
    }
    return 0;
}

/* ---- the system call ------------------------------------------------------------------------------------------------- */

static int call(struct sley__uring *r, unsigned count, unsigned least, unsigned flags, void *arg, size_t bytes)
{
    if (SLEY_UNLIKELY(r->opts.enter != NULL)) {
        return r->opts.enter(r, count, least, flags, arg, bytes);
    }
    return sley__uring_syscall_enter(r->enter_fd, count, least, flags | r->enter_flags, arg, bytes);
}

/** What passes: the next look tries again. */
static int passing(int rc)
{
    return rc >= 0 || rc == -EINTR || rc == -ETIME || rc == -EAGAIN || rc == -EBUSY || rc == -ENOMEM ? 0 : rc;
}

/** What has been put into the queue becomes visible. Returns: how much the kernel has not taken. */
static unsigned publish(struct sley__uring *r)
{
    io_uring_smp_store_release(r->ring.sq.ktail, r->ring.sq.sqe_tail);
    return sley__uring_unsubmitted(r);
}

/**
 * Valgrind 3.19 does not know that the call may wait, and lets no other thread run meanwhile: as a call that only submits, and a
 * wait of a kind that it knows.
 */
static SLEY_NOINLINE int call_seen(struct sley__uring *r, unsigned count, unsigned flags, const struct __kernel_timespec *ts,
                                   bool forever)
{
    const struct timespec limit = {(time_t)ts->tv_sec, (long)ts->tv_nsec};
    struct pollfd what = {.fd = r->ring.ring_fd, .events = POLLIN};
    const int rc = call(r, count, 0, flags, NULL, 0);
    if (rc < 0 || sley__uring_results(r) > 0) {
        return rc;
    }
    (void)ppoll(&what, 1, forever ? NULL : &limit, NULL);
    return call(r, 0, 0, flags, NULL, 0);
}

/* Of a wait in a crowd: who answers many at a time is asked by many at a time. The kernel then works off as many as are asked for, not
 * 20, and nobody is woken for each. A moment costs a wake-up when too few come: where fewer than CROWD came last, it would not pay. */
enum { CROWD = 16, MOMENT_US_EACH = 2, MOMENT_US_MOST = 50 };

/** Returns: for how long it may ask for as many as came lately: less than they took to be answered, and no deadline is missed; else 0. */
static uint32_t moment_us(const struct sley__uring *r, uint64_t timeout_ns)
{
    if (r->seen < CROWD || !sley__uring_has(r, SLEY__URING_MIN_WAIT)) {
        return 0;
    }
    const uint32_t us = r->seen * MOMENT_US_EACH < MOMENT_US_MOST ? r->seen * MOMENT_US_EACH : MOMENT_US_MOST;
    return timeout_ns / 1000 > us ? us : 0;
}

/** Returns: how many it asks for: no more than can come. */
static unsigned crowd(const struct sley__uring *r)
{
    const uint32_t coming = r->flying_count + r->standing_count, most = coming < SLEY__URING_SHARE ? coming : SLEY__URING_SHARE;
    return r->crowd < most ? r->crowd : most > 0 ? most : 1;
}

static int enter(struct sley__uring *r, uint64_t timeout_ns, unsigned flags)
{
    enum { LONG_S = 24 * 60 * 60 }; /* with a moment, without end would be the moment */
    struct __kernel_timespec ts = {(int64_t)(timeout_ns / SLEY_S), (int64_t)(timeout_ns % SLEY_S)};
    struct sley__uring_wait arg = {.limit = (uint64_t)(uintptr_t)&ts, .moment_us = moment_us(r, timeout_ns)};
    int rc = 0;
    if (SLEY_UNLIKELY(r->thread != this_thread())) {
        if (r->base.box.served) {
            (void)publish(r); /* its own thread is called to enter, see served.c */
            return 0;
        }
        rc = take(r);
        if (rc < 0) {
            return rc;
        }
        timeout_ns = r->bell_armed && !r->due ? timeout_ns : 0; /* nobody could end the wait; or what was inherited comes first */
    } else if (SLEY_UNLIKELY(r->enter_flags == 0) && timeout_ns != 0) {
        register_ring(r); /* it had stopped to drive; a foreign loop, which stops at the end of each turn, never waits here */
    }
    const unsigned count = publish(r);
    sley__uring_handed_over(r);
    if (SLEY_UNLIKELY(timeout_ns != 0 && sley__uring_is_seen())) {
        rc = call_seen(r, count, flags, &ts, timeout_ns == SLEY_NEVER);
    } else if (timeout_ns == 0 || (timeout_ns == SLEY_NEVER && arg.moment_us == 0)) {
        rc = call(r, count, timeout_ns != 0, flags, NULL, 0);
    } else {
        ts.tv_sec = ts.tv_sec < LONG_S ? ts.tv_sec : LONG_S;
        rc = call(r, count, arg.moment_us > 0 ? crowd(r) : 1, flags | IORING_ENTER_EXT_ARG, &arg, sizeof arg);
    }
    sley__uring_taken_back(r);
    return passing(rc);
}

int sley__uring_enter(struct sley__uring *r, uint64_t timeout_ns)
{
    if (timeout_ns != 0) {
        return enter(r, timeout_ns, IORING_ENTER_GETEVENTS);
    }
    const bool submit = sley__uring_unsubmitted(r) > 0;
    const bool flagged = IO_URING_READ_ONCE(*r->ring.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
    /* What has waited in the kernel is not to wait for what is found at once: but few completions at a time, for they are handled in
     * shares, and what a message has brought is to be in the cache when its task answers. */
    const unsigned there = sley__uring_results(r);
    const bool ask = there == 0 ? flagged || r->blind || submit : (flagged || r->blind) && submit && there < SLEY__URING_SHARE;
    return submit || ask ? enter(r, 0, ask ? IORING_ENTER_GETEVENTS : 0) : 0;
}

int sley__uring_submit_now(struct sley__uring *r)
{
    return enter(r, 0, IORING_ENTER_GETEVENTS);
}

struct io_uring_sqe *sley__uring_place(struct sley__uring *r)
{
    struct io_uring_sqe *sqe = sley__uring_room(r);
    if (SLEY_UNLIKELY(!sqe) && sley__uring_is_mine(r)) { /* else a look takes it over: not here, in the midst of an op's way in */
        (void)enter(r, 0, 0);                            /* what is wrong with it the next poll will say */
        sqe = sley__uring_room(r);
    }
    if (SLEY_LIKELY(sqe != NULL)) {
        sley__uring_clear(sqe);
    }
    r->base.more = true; /* also when there is none */
    return sqe;
}

void sley__uring_close(struct sley__uring *r)
{
    sley__uring_tell_lost(r);
    sley__uring_each_slot(r, sley__uring_drop_ahead);
    struct entered last = entered(r);
    exit_ring(&last);
    sley__uring_dismiss_witness(r);
    sley__uring_thread_unref(r->driver);
    sley__uring_answer_no_more(r);
    (void)close(r->bell);
    const int tell = sley__uring_tell(r);
    if (tell >= 0) {
        (void)close(tell);
    }
    sley__uring_fixed_free(r);
    sley__uring_stock_free(r);
    sley__uring_later_free(r);
    sley__uring_untold_free(r);
    sley__uring_free_slots(r);
    sley_alloc_put(r->alloc, r, sizeof *r);
}
