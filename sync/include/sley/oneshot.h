/* One value, once, from a sender to a receiver. For many values use <sley/mpsc.h>; for a signal without one <sley/notify.h>. */
#ifndef SLEY_ONESHOT_H
#define SLEY_ONESHOT_H

#include <string.h>

#include <sley/sync_impl.h>

SLEY_EXTERN_C_BEGIN

/* Which calls may meet on one oneshot without a lock of the user's (yes), and which may not (no):
 *
 *                                     send side   receive side | init fini
 *   send side:    send, close_send,
 *                 closed, is_closed   yes         yes          | no
 *   receive side: recv, try_recv,
 *                 close_recv          yes         yes (1)      | no
 *   init, fini                        no          no           | no
 *
 *   (1) a second recv while one waits is -EBUSY; so is a second closed
 *
 * From signal handlers none. The oneshot must outlive every op on it: until each is done. */

struct sley_oneshot;

/** A recv or closed in progress: the caller's until it is done. */
struct sley_oneshot_op {
    struct sley_wait wait;
    /* private */
    struct sley_oneshot *oneshot;
    void *elem;
};

/**
 * The meeting point, in the caller's memory. Must not move from init to fini. All fields are private.
 *
 * Life: EMPTY -> SENT -> TAKEN, or EMPTY -> closed by a side; a value that was sent stays to be taken when a side closes.
 * Invariant outside the lock: a receiver waits only while nothing was sent and no side is closed; the sender waits only while
 * the receiver is neither closed nor served.
 */
struct sley_oneshot {
    struct sley__lock lock;
    void *slot;
    size_t elem_bytes;
    struct sley_oneshot_op *receiver;
    struct sley_oneshot_op *watcher;
    uint32_t flags;
    bool usable; /* between init and fini */
};
#ifdef __LP64__
SLEY_STATIC_ASSERT(sizeof(struct sley_oneshot_op) <= 48, "a oneshot op's budget");
SLEY_STATIC_ASSERT(sizeof(struct sley_oneshot) <= 56, "a oneshot's budget: a cache line with a pointer as its value");
#endif

/**
 * Readies it; it may be readied anew after fini. @p slot room for @p elem_bytes, borrowed until fini; NULL when that is 0.
 * Returns: 0; -EINVAL. Thread: owner. Cost: no allocation.
 */
SLEY_API int sley_oneshot_init(struct sley_oneshot *o, void *slot, size_t elem_bytes);
/** Ends it: closes both sides; a value nobody took goes to @p drop (may be NULL). Twice, or zeroed: nothing. Thread: stopped. */
SLEY_API void sley_oneshot_fini(struct sley_oneshot *o, void (*drop)(void *elem));

/**
 * Sends a copy of `*elem`; never waits.
 * Returns: 0; -EPIPE when a side has closed; -EINVAL when it was sent before, or NULL. Owns: on any error the value is
 * still yours. Thread: any. Cost: as sley_mpsc_send.
 */
SLEY_API int sley_oneshot_send(struct sley_oneshot *o, const void *elem);
/** The sender goes without sending (after a send: nothing). A receiver that waits gets 0. Thread: any. */
SLEY_API void sley_oneshot_close_send(struct sley_oneshot *o);

/**
 * Waits for the value and takes it.
 * Returns: 1; 0 closed without a value, or taken before; -EBUSY when another receives; -ECANCELED (nothing was taken, the value
 * is still to come); -EINVAL; -EDEADLK as sley_await. Thread: any; one at a time.
 */
SLEY_API int sley_oneshot_recv(struct sley_oneshot *o, void *ret_elem);
SLEY_API void sley_oneshot_recv_start(struct sley_oneshot_op *op, struct sley_oneshot *o, void *ret_elem);
/** The same without waiting: 1; 0; -EAGAIN when it is still to come; -EBUSY. Thread: any. */
SLEY_API int sley_oneshot_try_recv(struct sley_oneshot *o, void *ret_elem);
/** The receiver goes: later sends fail; a value that was sent before can still be taken, by try_recv too. Thread: any. */
SLEY_API void sley_oneshot_close_recv(struct sley_oneshot *o);

/**
 * The sender's wait for the end of the other side.
 * Returns: 0 when the receiver has closed; 1 when it has taken the value; -EBUSY when another waits for this; -ECANCELED;
 * -EINVAL; -EDEADLK. Thread: any; one at a time.
 */
SLEY_API int sley_oneshot_closed(struct sley_oneshot *o);
SLEY_API void sley_oneshot_closed_start(struct sley_oneshot_op *op, struct sley_oneshot *o);
/** Has the receiver closed? Thread: any. */
SLEY_API bool sley_oneshot_is_closed(struct sley_oneshot *o);

#ifndef __cplusplus

/* private: the flags of a oneshot */
enum sley__oneshot_flags {
    SLEY__ONESHOT_SENT = 1,  /* a value has been sent; stays set when it is taken */
    SLEY__ONESHOT_TAKEN = 2, /* the receiver has it */
    SLEY__ONESHOT_SEND_CLOSED = 4,
    SLEY__ONESHOT_RECV_CLOSED = 8,
};

/* private: sends inline what can be sent at home to a slot or a receiver that waits; everything else goes the long way.
 * What is not between init and fini, too: that is refused there. */
SLEY_INLINE int sley__oneshot_send_inline(struct sley_oneshot *o, const void *elem, size_t elem_bytes)
{
    const struct sley_sched *s = sley__self;
    if (SLEY_LIKELY(o && elem && s && sley__lock_leans(&o->lock, s)) && SLEY_LIKELY(sley__lock_home(&o->lock, s))) {
        struct sley_oneshot_op *receiver = o->receiver;
        if (SLEY_LIKELY(o->usable && o->flags == 0 && !(receiver && o->watcher))) {
            memcpy(receiver ? receiver->elem : o->slot, elem, elem_bytes);
            o->flags = receiver ? SLEY__ONESHOT_SENT | SLEY__ONESHOT_TAKEN : SLEY__ONESHOT_SENT;
            o->receiver = NULL;
            sley__unlock_home(&o->lock);
            if (receiver) {
                sley_wait_complete(&receiver->wait, 1);
            }
            return 0;
        }
        sley__unlock_home(&o->lock);
    }
    return sley_oneshot_send(o, elem);
}

/* private: takes inline, at home, what was sent already, if no sender waits to hear of it */
SLEY_INLINE void sley__oneshot_recv_inline(struct sley_oneshot_op *op, struct sley_oneshot *o, void *ret_elem, size_t elem_bytes)
{
    struct sley_sched *s = sley__self;
    if (SLEY_LIKELY(o && ret_elem && s) && sley__lock_inline(&o->lock, s)) {
        if (o->flags == SLEY__ONESHOT_SENT && !o->watcher) {
            memcpy(ret_elem, o->slot, elem_bytes);
            o->flags = SLEY__ONESHOT_SENT | SLEY__ONESHOT_TAKEN;
            sley__unlock_home(&o->lock);
            sley__finish_inline(s, &op->wait, 1);
            return;
        }
        sley__unlock_home(&o->lock);
    }
    sley_oneshot_recv_start(op, o, ret_elem);
}

#endif /* !__cplusplus */

/**
 * Declares `struct name`, a oneshot with room for a @p T inside, and over it, type-checked: name_init, _fini, _send, _recv,
 * _recv_start, _try_recv. What is not about the value takes `&o.base`. C only.
 */
#define SLEY_ONESHOT_TYPE(name, T)                                                              \
    struct name {                                                                               \
        struct sley_oneshot base;                                                               \
        T value;                                                                                \
    };                                                                                          \
    SLEY__TYPED int name##_init(struct name *o)                                                 \
    {                                                                                           \
        return sley_oneshot_init(&o->base, &o->value, sizeof(T));                               \
    }                                                                                           \
    SLEY__TYPED void name##_fini(struct name *o, void (*drop)(void *elem))                      \
    {                                                                                           \
        sley_oneshot_fini(&o->base, drop);                                                      \
    }                                                                                           \
    SLEY__TYPED int name##_send(struct name *o, const T *elem)                                  \
    {                                                                                           \
        return sley__oneshot_send_inline(&o->base, elem, sizeof(T));                            \
    }                                                                                           \
    SLEY__TYPED int name##_recv(struct name *o, T *ret_elem)                                    \
    {                                                                                           \
        return sley_oneshot_recv(&o->base, ret_elem);                                           \
    }                                                                                           \
    SLEY__TYPED void name##_recv_start(struct sley_oneshot_op *op, struct name *o, T *ret_elem) \
    {                                                                                           \
        sley__oneshot_recv_inline(op, &o->base, ret_elem, sizeof(T));                           \
    }                                                                                           \
    SLEY__TYPED int name##_try_recv(struct name *o, T *ret_elem)                                \
    {                                                                                           \
        return sley_oneshot_try_recv(&o->base, ret_elem);                                       \
    }

SLEY_EXTERN_C_END
#endif
