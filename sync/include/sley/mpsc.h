/* Bounded channel: many senders, many receivers, first come, first served. For one value use <sley/oneshot.h>; for a signal
 * without a value <sley/notify.h>. Messages are copied: into the ring, or straight to a receiver that waits. */
#ifndef SLEY_MPSC_H
#define SLEY_MPSC_H

#include <string.h>

#include <sley/sync_impl.h>

SLEY_EXTERN_C_BEGIN

/* Which calls may meet on one channel without a lock of the user's (yes), and which may not (no):
 *
 *                                   send recv reserve force close len sender_* | init fini
 *   send recv reserve force close   yes                                        | no
 *   len, sender_add, sender_drop    yes                                        | no
 *   init, fini                      no                                         | no
 *
 * From signal handlers none. The channel must outlive every op on it: until each is done. */

struct sley_mpsc;

/** A send, receive or reserve in progress: the caller's until it is done. */
struct sley_mpsc_op {
    union {
        struct sley_wait wait;
        struct sley__waiter waiter; /* private */
    };
    /* private */
    struct sley_mpsc *channel;
    void *elem; /* whence or whither; borrowed while armed */
};

/**
 * A channel over a ring of slots in the caller's memory. Must not move from init to fini. All fields are private.
 *
 * Invariants outside the lock, with free = slot_count - len - reserved:
 *   1. receivers wait only while len == 0; the first of the senders wants a slot, or n of them, and there are fewer than that free;
 *   2. blocked <=> closed, or somebody waits;
 *   3. not blocked: ready == len, room == free; blocked: ready == room == 0, so that inline code, which looks at those two
 *      alone, leaves everything unusual to the functions; `len` itself is up to date only while blocked.
 */
struct sley_mpsc {
    struct sley__lock lock;
    uint64_t counts; /* room, the sends that may go on inline; above it ready, the receives that may: see SLEY__MPSC_MOVED */
    uint32_t head;   /* slot of the oldest message */
    uint32_t tail;   /* slot of the next */
    uint32_t len;
    uint32_t reserved; /* slots promised, neither used nor given back */
    uint32_t slot_count;
    uint8_t closed;
    uint8_t blocked;
    unsigned char *slots;
    size_t elem_bytes;
    struct sley__waiters receivers;
    struct sley__waiters senders; /* reserves too */
    uint32_t sender_count;
};
#ifdef __LP64__
SLEY_STATIC_ASSERT(sizeof(struct sley_mpsc_op) <= 72, "a channel op's budget");
SLEY_STATIC_ASSERT(sizeof(struct sley_mpsc) <= 112, "a channel's budget: two cache lines with some slots");
#endif

/**
 * Readies a channel of @p slot_count messages of @p elem_bytes each.
 * @p slots at least slot_count * elem_bytes, borrowed until fini; may be NULL when elem_bytes is 0 (such messages count too).
 * Returns: 0; -EINVAL: no slots, a product that overflows, NULL. Thread: owner.
 */
SLEY_API int sley_mpsc_init(struct sley_mpsc *ch, void *slots, size_t slot_count, size_t elem_bytes);

/**
 * Ends a channel that nobody uses any more: closes it and gives each message left to @p drop (NULL: forgets it), oldest first.
 * Twice, or on a zeroed one: nothing. Thread: stopped. Calls back: drop, here, without any lock.
 */
SLEY_API void sley_mpsc_fini(struct sley_mpsc *ch, void (*drop)(void *elem));

/**
 * No more sends: those that wait end with -EPIPE, their messages stay with them. What is inside, and what reservations still
 * bring, can be received; then receivers get 0. Called by any side; twice is fine. Thread: any.
 */
SLEY_API void sley_mpsc_close(struct sley_mpsc *ch);

/**
 * Sends a copy of `*elem`; waits while the channel is full. Senders are served in the order in which they came.
 * Returns: 0; -EPIPE closed; -ECANCELED; -EINVAL NULL; -EDEADLK as sley_await. Owns: on any error the message is still yours.
 * Thread: any. Cost: at home about 4 ns, copy of a word included; from other threads a locked instruction, and once in a channel's
 * life, when the first foreign thread comes, a membarrier (a microsecond).
 */
SLEY_API int sley_mpsc_send(struct sley_mpsc *ch, const void *elem);
SLEY_API void sley_mpsc_send_start(struct sley_mpsc_op *op, struct sley_mpsc *ch, const void *elem);
/** The same without waiting: -EAGAIN when it is full, or others wait to send. Thread: any. */
SLEY_API int sley_mpsc_try_send(struct sley_mpsc *ch, const void *elem);
/**
 * Sends at once: a full channel loses its oldest message to `*ret_evicted`. Does not queue behind senders that wait.
 * Returns: 0; 1 when there is an evicted message; -EPIPE; -EAGAIN when every slot is reserved; -EINVAL. Thread: any.
 */
SLEY_API int sley_mpsc_force_send(struct sley_mpsc *ch, const void *elem, void *ret_evicted);

/**
 * Receives into `*ret_elem`; waits while the channel is empty. Receivers are served in the order in which they came.
 * Returns: 1; 0 when it is closed and nothing can come any more; -ECANCELED (no message was taken); -EINVAL; -EDEADLK.
 * Thread: any. Cost: as sley_mpsc_send.
 */
SLEY_API int sley_mpsc_recv(struct sley_mpsc *ch, void *ret_elem);
SLEY_API void sley_mpsc_recv_start(struct sley_mpsc_op *op, struct sley_mpsc *ch, void *ret_elem);
/** The same without waiting: 1; 0 as above; -EAGAIN when it is empty now (also: closed, with a reservation out). Thread: any. */
SLEY_API int sley_mpsc_try_recv(struct sley_mpsc *ch, void *ret_elem);

/**
 * Waits until @p n slots are free and reserves them: n later sends that neither wait nor fail, by sley_mpsc_send_reserved, even
 * when the channel is closed in between. Each must be used or given back, by anybody. 0 reserves nothing and does not wait.
 * Returns: 0; -EPIPE closed; -EINVAL more than the capacity; -ECANCELED (nothing is reserved); -EDEADLK. Thread: any.
 */
SLEY_API int sley_mpsc_reserve(struct sley_mpsc *ch, size_t n);
SLEY_API void sley_mpsc_reserve_start(struct sley_mpsc_op *op, struct sley_mpsc *ch, size_t n);
/** The same without waiting: -EAGAIN when fewer are free, or others wait to send. Thread: any. */
SLEY_API int sley_mpsc_try_reserve(struct sley_mpsc *ch, size_t n);
/** Uses one reservation. Returns: 0; -EINVAL when none is out. Thread: any. */
SLEY_API int sley_mpsc_send_reserved(struct sley_mpsc *ch, const void *elem);
/** Gives @p n reservations back. Returns: 0; -EINVAL when fewer are out (nothing has changed). Thread: any. */
SLEY_API int sley_mpsc_release(struct sley_mpsc *ch, size_t n);

/** How many messages are inside, reservations and the end not counted. Already old when it returns. Thread: any. */
SLEY_API size_t sley_mpsc_len(struct sley_mpsc *ch);
/** Is it closed to senders? Thread: any. */
SLEY_API bool sley_mpsc_closed(struct sley_mpsc *ch);

/**
 * Counts one more sender. A channel whose senders are counted closes when the last of them goes; a plain pointer is then a
 * weak sender: it may send while the channel is open, and becomes a counted one by this call. Nobody needs to count.
 * Returns: 0; -EPIPE closed (so also: the last one has gone); -EOVERFLOW. Thread: any.
 */
SLEY_API int sley_mpsc_sender_add(struct sley_mpsc *ch);
/** A counted sender goes. Returns: 0; -EINVAL when none is counted. Thread: any. */
SLEY_API int sley_mpsc_sender_drop(struct sley_mpsc *ch);

#ifndef __cplusplus

/* private: inline starts have found something unusual; they hold the lock as its owner and have budget left */
SLEY_API void sley__mpsc_send_home(struct sley_mpsc_op *op, struct sley_mpsc *ch, const void *elem);
SLEY_API void sley__mpsc_recv_home(struct sley_mpsc_op *op, struct sley_mpsc *ch, void *ret_elem);

/* private: a message in makes room one less and ready one more: one addition to `counts`, whose lower half is not 0; out: back */
#define SLEY__MPSC_MOVED ((uint64_t)UINT32_MAX)
SLEY_INLINE uint32_t sley__mpsc_room(const struct sley_mpsc *ch)
{
    return (uint32_t)ch->counts;
}
SLEY_INLINE uint32_t sley__mpsc_ready(const struct sley_mpsc *ch)
{
    return (uint32_t)(ch->counts >> 32);
}

/* private: sley_mpsc_send_start with what the type knows: slots, their number, the size of a message */
SLEY_INLINE void sley__mpsc_send_inline(struct sley_mpsc_op *op, struct sley_mpsc *ch, const void *elem, void *slots,
                                        uint32_t slot_count, size_t bytes)
{
    struct sley_sched *s = sley__self;
    if (!sley__lock_inline(&ch->lock, s)) {
        sley_mpsc_send_start(op, ch, elem);
        return;
    }
    if (SLEY_UNLIKELY(sley__mpsc_room(ch) == 0)) {
        sley__mpsc_send_home(op, ch, elem);
        return;
    }
    const uint32_t at = ch->tail;
    memcpy((unsigned char *)slots + at * bytes, elem, bytes);
    ch->tail = at + 1 == slot_count ? 0 : at + 1;
    ch->counts += SLEY__MPSC_MOVED;
    sley__unlock_home(&ch->lock);
    sley__finish_inline(s, &op->wait, 0);
}

SLEY_INLINE void sley__mpsc_recv_inline(struct sley_mpsc_op *op, struct sley_mpsc *ch, void *ret_elem, const void *slots,
                                        uint32_t slot_count, size_t bytes)
{
    struct sley_sched *s = sley__self;
    if (!sley__lock_inline(&ch->lock, s)) {
        sley_mpsc_recv_start(op, ch, ret_elem);
        return;
    }
    if (SLEY_UNLIKELY(sley__mpsc_ready(ch) == 0)) {
        sley__mpsc_recv_home(op, ch, ret_elem);
        return;
    }
    const uint32_t at = ch->head;
    memcpy(ret_elem, (const unsigned char *)slots + at * bytes, bytes);
    ch->head = at + 1 == slot_count ? 0 : at + 1;
    ch->counts -= SLEY__MPSC_MOVED;
    sley__unlock_home(&ch->lock);
    sley__finish_inline(s, &op->wait, 1);
}

#endif /* !__cplusplus */

/**
 * Declares `struct name`, a channel of @p slots_n messages of type @p T with the slots inside, and over it, type-checked:
 * name_init, _fini, _close, _send, _send_start, _try_send, _force_send, _send_reserved, _recv, _recv_start, _try_recv. What is
 * not about messages takes `&ch.base`: sley_mpsc_reserve, _release, _len, _sender_add, ... C only. Cost: the code of a start
 * that needs not wait is inline, about 50 instructions with its SLEY_CALL.
 */
#define SLEY_MPSC_TYPE(name, T, slots_n)                                                        \
    struct name {                                                                               \
        struct sley_mpsc base;                                                                  \
        T slots[slots_n];                                                                       \
    };                                                                                          \
    SLEY__TYPED int name##_init(struct name *ch)                                                \
    {                                                                                           \
        return sley_mpsc_init(&ch->base, ch->slots, (slots_n), sizeof(T));                      \
    }                                                                                           \
    SLEY__TYPED void name##_fini(struct name *ch, void (*drop)(void *elem))                     \
    {                                                                                           \
        sley_mpsc_fini(&ch->base, drop);                                                        \
    }                                                                                           \
    SLEY__TYPED void name##_close(struct name *ch)                                              \
    {                                                                                           \
        sley_mpsc_close(&ch->base);                                                             \
    }                                                                                           \
    SLEY__TYPED int name##_send(struct name *ch, const T *elem)                                 \
    {                                                                                           \
        return sley_mpsc_send(&ch->base, elem);                                                 \
    }                                                                                           \
    SLEY__TYPED void name##_send_start(struct sley_mpsc_op *op, struct name *ch, const T *elem) \
    {                                                                                           \
        sley__mpsc_send_inline(op, &ch->base, elem, ch->slots, (slots_n), sizeof(T));           \
    }                                                                                           \
    SLEY__TYPED int name##_try_send(struct name *ch, const T *elem)                             \
    {                                                                                           \
        return sley_mpsc_try_send(&ch->base, elem);                                             \
    }                                                                                           \
    SLEY__TYPED int name##_force_send(struct name *ch, const T *elem, T *ret_evicted)           \
    {                                                                                           \
        return sley_mpsc_force_send(&ch->base, elem, ret_evicted);                              \
    }                                                                                           \
    SLEY__TYPED int name##_send_reserved(struct name *ch, const T *elem)                        \
    {                                                                                           \
        return sley_mpsc_send_reserved(&ch->base, elem);                                        \
    }                                                                                           \
    SLEY__TYPED int name##_recv(struct name *ch, T *ret_elem)                                   \
    {                                                                                           \
        return sley_mpsc_recv(&ch->base, ret_elem);                                             \
    }                                                                                           \
    SLEY__TYPED void name##_recv_start(struct sley_mpsc_op *op, struct name *ch, T *ret_elem)   \
    {                                                                                           \
        sley__mpsc_recv_inline(op, &ch->base, ret_elem, ch->slots, (slots_n), sizeof(T));       \
    }                                                                                           \
    SLEY__TYPED int name##_try_recv(struct name *ch, T *ret_elem)                               \
    {                                                                                           \
        return sley_mpsc_try_recv(&ch->base, ret_elem);                                         \
    }

SLEY_EXTERN_C_END
#endif
