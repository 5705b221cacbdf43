/* A reactor that breaks one clause: a good one behind a table that does one thing differently. */
#ifndef SLEY_TESTS_CONFORMANCE_BROKEN_H
#define SLEY_TESTS_CONFORMANCE_BROKEN_H

#include <sley/file_impl.h>
#include <sley/reactor_impl.h>

#include <pthread.h>
#include <sys/ioctl.h>

/** What is done differently; NULL: nothing. */
struct broken {
    const char *clause;                      /* the one that must be named, and no other */
    const struct sley_reactor_factory *base; /* NULL: the example over select */
    void (*table)(struct sley_reactor_ops *ops);
    struct sley_alloc *(*alloc)(struct sley_alloc *alloc); /* what its memory comes from */
    int (*create)(int rc);
    int (*adopt)(struct sley_fd *fd, int rc);
    bool (*submit)(struct sley_reactor *r, struct sley_io_op *op);          /* before; true: that was all */
    void (*submitted)(struct sley_reactor *r, struct sley_io_op *op);       /* it is armed */
    void (*cancel)(struct sley_reactor *r, struct sley_io_op *op);          /* before */
    int32_t (*end)(struct sley_io_op *op, int32_t result);                  /* the result that is told */
    bool (*poll)(struct sley_reactor *r, uint64_t *timeout_ns, int *ret_n); /* before; true: that was all */
    int (*polled)(struct sley_reactor *r, uint64_t timeout_ns, int n);
    bool (*wake)(struct sley_reactor *r); /* before; true: that was all */
    void (*destroy)(struct sley_reactor *r);
    bool (*file)(struct sley_reactor *r, struct sley_file_op *op); /* before; true: that was all */
    int32_t (*file_end)(struct sley_file_op *op, int32_t result);  /* the result that is told */
    bool (*serve)(struct sley_reactor *r, int *ret_n);             /* before; true: that was all */
    void (*cancelled)(struct sley_reactor *r);                     /* behind it */
};

/* in the order of the clauses */
extern const struct broken broken_sockets[], broken_waits[], broken_files[], broken_homes[], broken_direct[];
extern const size_t broken_sockets_count, broken_waits_count, broken_files_count, broken_homes_count, broken_direct_count;

/** The factory of the one that is @p broken. One at a time. */
const struct sley_reactor_factory *broken_factory(const struct broken *broken);

/* ---- what the table keeps in mind, for those that ask --------------------------------------------------------------- */

struct memory {
    struct sley_reactor_ops real;
    struct sley_reactor *reactors[2]; /* that are there */
    struct sley_reactor *polled;      /* inside its poll */
    bool cancelling;
    struct sley_io_op *op;   /* armed last, while it waits */
    struct sley_io_op *recv; /* the same of RECVs */
    struct sley_io_op *accept;
    struct sley_io_op *poll;                  /* the first POLL that waits */
    struct sley_io_op *ended;                 /* the last that has ended */
    unsigned ends, polls, looks, hook_starts; /* looks: of zero, in a row */
    SLEY_ATOMIC(unsigned) wakes;
    int number, spare; /* of its own; -1 */
    int32_t result;    /* in place of -ECANCELED, when not 0 */
    struct sley_reactor *adopting;
    SLEY_ATOMIC(bool) has_owner; /* of a shared one: another thread polls it */
    SLEY_ATOMIC(bool) rung;
    volatile bool on_the_brink; /* for handlers of signals */
    pthread_t creator;
};
extern struct memory mind;

static inline uint32_t holds(const struct sley_fd *fd)
{
    return sley__fd_state(fd) & SLEY_FD_HOLD_MASK;
}

/** Variables of the program: nobody's stack. */
static inline bool is_static(const void *p)
{
    extern char __data_start, _end; /* the linker's */
    return (const char *)p >= &__data_start && (const char *)p < &_end;
}

static inline bool is_all(const struct sley_io_op *op)
{
    return op->flags & SLEY_IO_ALL;
}

/** Wakes as it should. */
static inline bool count_wakes(struct sley_reactor *r)
{
    (void)r;
    mind.wakes++;
    return false;
}

/** Bytes that wait to be received. */
static inline int queued(int number)
{
    int n = 0;
    return number >= 0 && ioctl(number, FIONREAD, &n) == 0 ? n : 0;
}

/** In no task: what is driven by its executor, not by a clause. */
static inline bool in_no_task(void)
{
    const struct sley_sched *s = sley_sched_current();
    return !s || !s->current;
}

#endif
