/* Between the readiness core and its ports: what is known of a descriptor, and how readiness is asked for. Not for users. */
#ifndef SLEY_REACTOR_PORT_IMPL_H
#define SLEY_REACTOR_PORT_IMPL_H

#include <sley/chunks_impl.h>
#include <sley/near_impl.h>
#include <sley/reactor_poll.h>

SLEY_EXTERN_C_BEGIN

struct sley__poll;

/* in slot->marks, beside SLEY_IO_IN and OUT */
enum {
    SLEY__SLOT_SHORT = 2,  /* a short receive means no more: TCP, not hung up, no urgent data; nobody polls */
    SLEY__SLOT_QUEUED = 8, /* in the core's list of those that are watched without need */
    SLEY__SLOT_LIFE = 16,  /* this bit and those above: the port's, to tell one watch of the number from another */
};

/* what a port may report beside SLEY_IO_IN, OUT, ERR and HUP */
enum {
    SLEY__POLL_BAD = 32,      /* poll(2) does not know the number */
    SLEY__POLL_DOUBT = ~0x25, /* every bit but IN, OUT and BAD: readiness that a short receive does not end */
};

/** A way to learn of readiness. */
struct sley__port {
    struct sley_reactor_ops ops; /* the core's functions under the port's name */
    size_t bytes;                /* of the port's struct, which begins with struct sley__poll */
    bool edge;                   /* reports changes; else reports what is ready while it is watched */
    /** Returns 0 or a negative errno, and then has kept nothing. */
    int (*open)(struct sley__poll *r);
    void (*close)(struct sley__poll *r);
    /** Watches for @p interest, and reports what is ready already; 0: forgets it. Fewer than before and 0 cannot fail. */
    int (*watch)(struct sley__poll *r, struct sley__slot *slot, int number, uint32_t interest);
    /** Waits and calls sley__poll_event. Returns: how many; negative errno but -EINTR. */
    int (*wait)(struct sley__poll *r, uint64_t timeout_ns);
    /**
     * In place of wait, where several workers share the reactor (SLEY_REACTOR_CAP_SHARED). `ask` waits, without the lock, as nobody
     * else does meanwhile; its answer (how many reports; negative errno but -EINTR) goes to `take`, under the lock, as is `next`,
     * which handles one report: 1; 0 when it concerned nobody; -EAGAIN when there is none (left). @p owner: sley__poll_woken.
     */
    int (*ask)(struct sley__poll *r, uint64_t timeout_ns);
    void (*take)(struct sley__poll *r, int count);
    int (*next)(struct sley__poll *r, bool owner);
    /** Makes wait return; then it calls sley__poll_woken. Thread: any, signal; at most once in between. */
    void (*ring)(struct sley__poll *r);
};

enum {
    SLEY__SLOT_BITS = 7, /* slots of a chunk: 4 KiB */
    SLEY__SLOT_CHUNK = 1 << SLEY__SLOT_BITS,
    SLEY__DROP_COUNT = 64, /* needless watches that may wait for the next poll: more end at once */
};

/** Base of a port's struct. */
struct sley__poll {
    struct sley_reactor base;
    const struct sley__port *port;
    struct sley_alloc *alloc;
    struct sley__chunks chunks; /* of slots, by descriptor number */
    uint32_t drop_count;
    bool ending;
    bool rung_away;         /* shared: a worker that serves has seen the ring, which is the owner's */
    SLEY_ATOMIC(bool) rung; /* set by wake, cleared by wait: one ring at a time is under way */
    int drops[SLEY__DROP_COUNT];
};

#ifndef __cplusplus

/** The slot of a number that has been adopted. */
SLEY_INLINE struct sley__slot *sley__poll_slot(const struct sley__poll *r, int number)
{
    struct sley__slot *slots = (struct sley__slot *)r->chunks.at[(uint32_t)number >> SLEY__SLOT_BITS];
    return &slots[(uint32_t)number & (SLEY__SLOT_CHUNK - 1)];
}

/** A port's report: tries what waits, completes what is done. */
SLEY_API void sley__poll_event(struct sley__poll *r, struct sley__slot *slot, int number, uint32_t events);
/** A receive that was armed by a short way got nothing, or an error: @p n says which. */
SLEY_API void sley__poll_odd_recv(struct sley__poll *r, struct sley__slot *slot, int number, ssize_t n);
/** A port has seen its ring. */
SLEY_API void sley__poll_woken(struct sley__poll *r);
/** Ends watches that nobody needs. */
void sley__poll_flush_drops(struct sley__poll *r);
/** sley__poll_poll of a reactor that several workers share. */
int sley__poll_shared(struct sley__poll *r, uint64_t timeout_ns);
/** sley__poll_taken of one. */
void sley__poll_taken_shared(struct sley__poll *r, struct sley__slot *slot);

/** Receives for a slot that is TAKEN and readable, no more. Returns: the op, which has got *ret_n bytes; NULL: it is seen to. */
SLEY_INLINE struct sley_io_op *sley__poll_receive(struct sley__poll *r, struct sley__slot *slot, int32_t *ret_n)
{
    struct sley_io_op *op = slot->read;
    struct sley_fd *fd = op->fd;
    const ssize_t n = sley__socket_recv(fd->number, op->buf, op->len);
    if (SLEY_UNLIKELY(n <= 0)) {
        sley__poll_odd_recv(r, slot, fd->number, n);
        return NULL;
    }
    slot->read = NULL;
    slot->way = SLEY__WAY_DRY;
    if (SLEY_UNLIKELY((size_t)n == op->len)) {
        slot->way = SLEY__WAY_ASK; /* there may be more */
        slot->marks &= (uint8_t) ~(uint32_t)SLEY_IO_IN;
    }
    r->base.armed_count--;
    sley__fd_set(fd, sley__fd_state(fd) - (SLEY_FD_READING | SLEY_FD_HOLD));
    *ret_n = (int32_t)n;
    return op;
}

/** sley__poll_event for such a slot: what a server's every message passes. */
SLEY_INLINE void sley__poll_taken(struct sley__poll *r, struct sley__slot *slot)
{
    int32_t n;
    struct sley_io_op *op = sley__poll_receive(r, slot, &n);
    if (SLEY_LIKELY(op != NULL)) {
        sley_wait_complete_home(&op->wait, n);
    }
}

/* the core's half of a port's table and factory */
SLEY_API int sley__poll_create(const struct sley__port *port, const struct sley_reactor_opts *o, struct sley_reactor **ret_reactor);
SLEY_API int sley__poll_adopt(struct sley_reactor *self, struct sley_fd *fd);
SLEY_API void sley__poll_submit(struct sley_reactor *self, struct sley_io_op *op);
SLEY_API void sley__poll_send_on(struct sley_reactor *self, struct sley_io_op *op, int32_t n);
SLEY_API void sley__poll_cancel(struct sley_reactor *self, struct sley_io_op *op);
SLEY_API int sley__poll_poll(struct sley_reactor *self, uint64_t timeout_ns);
SLEY_API int sley__poll_serve(struct sley_reactor *self);
SLEY_API void sley__poll_wake(struct sley_reactor *self);
SLEY_API void sley__poll_destroy(struct sley_reactor *self);

#endif /* !__cplusplus */

SLEY_EXTERN_C_END
#endif
