/* For implementers of reactors that lend natively, and for io/: the pool, and how a receive that is lent its buffer begins and ends.
 *
 * Such an op is a RECV with SLEY_IO_LEND. A reactor that makes its calls by sley_io_try has to know nothing of it: the try takes a buffer,
 * and gives it back if there is nothing to receive. Another one sets op->buf to the struct sley_lent that was filled, and ends the
 * op with the bytes. Both say -ENOBUFS when no buffer is to be had; then the op is no longer the reactor's, though it goes on
 * holding its descriptor: it waits in line at the pool, and is submitted again, still armed, for a buffer that has come back. */
#ifndef SLEY_LEND_IMPL_H
#define SLEY_LEND_IMPL_H

#include <sley/lend.h>
#include <sley/reactor_impl.h>

SLEY_EXTERN_C_BEGIN

/* in op->flags beside SLEY_IO_LEND */
enum {
    SLEY__LEND_STARVED = 8, /* in line at the pool: `next`, and the one before in ret_done */
    SLEY__LEND_FED = 16,    /* has been in line: if it must again, it is the first */
    SLEY__LEND_ARMED = 64,  /* the node is, whatever the reactor does with the op */
};
/* every bit of op->flags has one meaning: a sum is no greater than its parts are apart */
SLEY_STATIC_ASSERT((SLEY_IO_ALL | SLEY_IO_DIRECT | SLEY_IO_PEEK | SLEY_IO_LEND | SLEY__LEND_STARVED | SLEY__LEND_FED |
                    SLEY__LEND_ARMED | SLEY_IO_UNHEARD) == SLEY_IO_ALL + SLEY_IO_DIRECT + SLEY_IO_PEEK + SLEY_IO_LEND +
                                                               SLEY__LEND_STARVED + SLEY__LEND_FED + SLEY__LEND_ARMED + SLEY_IO_UNHEARD,
                   "flags of an op");

/** A pool. The home thread's alone, or under its home's lock. Invariant: nobody is in line while one is free, but inside a return. */
struct sley__lender {
    struct sley_reactor *home; /* NULL: it has ended; the last to come back takes the pool along */
    struct sley_alloc *alloc;
    struct sley_alloc libc;
    uint32_t bytes, count;
    uint32_t fresh_count; /* have never been lent: the last ones; neither they nor what describes them is touched */
    uint32_t out_count;   /* lent, or the kernel's */
    bool ending;          /* nobody waits in line any more */
    bool feeding;
    struct sley_lent *free;
    struct sley_io_op *first, *last; /* in line, oldest first */
    struct sley_lent *lents;         /* behind this; and behind them the buffers */
    /* what ends them, for who does not link this library when nothing is lent */
    void (*end)(struct sley_reactor *r);     /* ends those in line; nobody waits there again. Thread: owner */
    void (*release)(struct sley__lender *p); /* the reactor has gone */
};

/** The pool of @p r, made now if there is none. NULL: no memory. Thread: owner, or under the lock. */
SLEY_API struct sley__lender *sley__lender_of(struct sley_reactor *r);
/** A buffer came back, or the reactor needs no more: those in line go on. */
SLEY_API void sley__lender_feed(struct sley__lender *p);

/** In line it ends; else false, and nothing has happened. */
bool sley__lend_cancel(struct sley_reactor *r, struct sley_io_op *op);
/** A close of @p fd, which says CLOSING: what is in line ends. */
void sley__lend_close(struct sley_reactor *r, const struct sley_fd *fd);
/** sley_io_try of such an op. */
int32_t sley__lend_try(struct sley_io_op *op);

#ifndef __cplusplus

SLEY_INLINE unsigned char *sley__lender_memory(struct sley__lender *p, uint32_t index)
{
    return (unsigned char *)&p->lents[p->count] + (size_t)index * p->bytes;
}

SLEY_INLINE bool sley__lender_has(const struct sley__lender *p)
{
    return p->free || p->fresh_count > 0;
}

/** NULL: all are out. */
SLEY_INLINE struct sley_lent *sley__lender_take(struct sley__lender *p)
{
    struct sley_lent *l = p->free;
    if (SLEY_LIKELY(l != NULL)) {
        p->free = l->at.next;
    } else if (p->fresh_count > 0) {
        const uint32_t index = p->count - p->fresh_count--;
        l = &p->lents[index];
        *l = (struct sley_lent){.data = sley__lender_memory(p, index), .pool = p};
    } else {
        return NULL;
    }
    p->out_count++;
    return l;
}

/** Without a look at those in line. */
SLEY_INLINE void sley__lender_put(struct sley__lender *p, struct sley_lent *l)
{
    p->out_count--;
    l->at.next = p->free;
    p->free = l;
}

/** Gives back what was taken, and perhaps not needed; whoever is in line goes on. */
SLEY_INLINE void sley__lender_give(struct sley__lender *p, struct sley_lent *l)
{
    sley__lender_put(p, l);
    if (SLEY_UNLIKELY(p->first != NULL)) {
        sley__lender_feed(p);
    }
}

/** Describes such an op; sley_io_submit follows. `end` is the caller's. */
SLEY_INLINE void sley_io_lend(struct sley_io_op *op, struct sley_fd *fd, struct sley_lent **ret_lent)
{
    op->fd = fd;
    op->buf = NULL;
    op->len = SLEY_IO_CALL_BYTES;
    op->ret_done = NULL;
    op->object = ret_lent;
    op->code = SLEY_IO_RECV;
    op->flags = SLEY_IO_LEND;
    *ret_lent = NULL;
}

#endif /* !__cplusplus */

SLEY_EXTERN_C_END
#endif
