/* A worker's queue: a fixed ring that its owner fills and empties, and that one thief at a time takes half of.
 *
 * Shape: power-of-two slots; `tail` counts what was pushed, `head` packs two counts, `stolen` (high half) and `taken` (low half):
 *
 *     stolen <= taken <= tail,  tail - stolen <= capacity
 *     slots [taken, tail) hold ready tasks; [stolen, taken) are being copied by a thief, when stolen != taken
 *
 *   who     what           how
 *   owner   push           store the slot, then tail (release): thieves acquire tail
 *   owner   pop            head: taken + 1 (both halves when nobody steals); a plain store inside the door (sley/group_impl.h), else CAS
 *   owner   overflow, chain CAS head: both halves + n, only while nobody steals; the tasks go to the backlog
 *   thief   claim          seizes the door. CAS head: taken + n, stolen stays: nobody else can steal, the slots cannot be overwritten
 *   thief   done           CAS head: stolen = taken. Gives the door back
 *
 * Linearisation points: the store of tail, and the change of head. The counts wrap at 2^32, so that a CAS that succeeds after a
 * whole turn of the ring would need as many operations between its load and itself.
 * Source: tokio's multi-threaded scheduler (which follows Go's); the algorithm, not the code. */
#ifndef SLEY_STEALING_RING_H
#define SLEY_STEALING_RING_H

#include <sley/group_impl.h>

struct sley__steal_ring {
    SLEY_ATOMIC(uint64_t) head;
    struct sley_door door;
    SLEY_ATOMIC(uint32_t) tail __attribute__((aligned(64))); /* the owner's */
    uint32_t capacity;                                       /* a power of two, at least 2 */
    SLEY_ATOMIC(struct sley_task *) * slots;                 /* borrowed */
};

SLEY_INLINE uint64_t sley__ring_pack(uint32_t stolen, uint32_t taken)
{
    return (uint64_t)stolen << 32 | taken;
}

SLEY_INLINE uint32_t sley__ring_stolen(uint64_t head)
{
    return (uint32_t)(head >> 32);
}

SLEY_INLINE uint32_t sley__ring_taken(uint64_t head)
{
    return (uint32_t)head;
}

SLEY_INLINE SLEY_ATOMIC(struct sley_task *) * sley__ring_slot(const struct sley__steal_ring *q, uint32_t at)
{
    return &q->slots[at & (q->capacity - 1)];
}

/** Empty, its door seized for good until the owner readies it (sley_door_init). */
void sley__steal_ring_init(struct sley__steal_ring *q, SLEY_ATOMIC(struct sley_task *) * slots, uint32_t capacity);
/** false: full. Thread: owner. */
SLEY_INLINE bool sley__steal_ring_push_back(struct sley__steal_ring *q, struct sley_task *t)
{
    /* relaxed: only this thread writes it */
    const uint32_t tail = atomic_load_explicit(&q->tail, memory_order_relaxed);
    /* acquire: a thief that has said it is done has copied the slots that are written now; pairs with done in steal */
    const uint32_t stolen = sley__ring_stolen(atomic_load_explicit(&q->head, memory_order_acquire));
    if (tail - stolen >= q->capacity) {
        return false;
    }
    /* relaxed: published by tail */
    atomic_store_explicit(sley__ring_slot(q, tail), t, memory_order_relaxed);
    /* release: publishes the slot to thieves, which acquire in claim */
    atomic_store_explicit(&q->tail, tail + 1, memory_order_release);
    return true;
}

/** The oldest, or NULL. Thread: owner. */
SLEY_INLINE struct sley_task *sley__steal_ring_pop(struct sley__steal_ring *q)
{
    /* relaxed: only this thread writes it */
    const uint32_t tail = atomic_load_explicit(&q->tail, memory_order_relaxed);
    struct sley_task *t = NULL;
    const bool alone = sley_door_enter(&q->door);
    /* relaxed: the slots are this thread's own writing; the door, or the CAS, orders against thieves */
    uint64_t head = atomic_load_explicit(&q->head, memory_order_relaxed);
    while (!t && sley__ring_taken(head) != tail) {
        const uint32_t taken = sley__ring_taken(head), stolen = sley__ring_stolen(head);
        const uint64_t next = sley__ring_pack(stolen == taken ? taken + 1 : stolen, taken + 1);
        if (SLEY_LIKELY(alone)) {
            /* release: what was pushed before is counted by who sees this one gone; pairs with count. Thieves: published by the door */
            atomic_store_explicit(&q->head, next, memory_order_release);
            /* release: as above. The slot was read or written by this thread alone; only who gets it is decided here */
        } else if (!atomic_compare_exchange_weak_explicit(&q->head, &head, next, memory_order_release, memory_order_relaxed)) {
            continue;
        }
        /* relaxed: this thread has written it */
        t = atomic_load_explicit(sley__ring_slot(q, taken), memory_order_relaxed);
    }
    if (SLEY_LIKELY(alone)) {
        sley_door_leave(&q->door);
    }
    return t;
}

/**
 * Makes room: takes the oldest @p n out, or fewer, as a chain through the tasks' links. Returns how many; 0: there is none, or a thief
 * is at it, and room will be soon. Thread: owner.
 */
uint32_t sley__steal_ring_chain(struct sley__steal_ring *q, uint32_t n, struct sley_task **ret_first, struct sley_task **ret_last);
/**
 * Moves half of @p from (rounded up) into @p to, which is empty, and takes one of them out. NULL: there was nothing, or another
 * thief is at it. Thread: owner of @p to.
 */
struct sley_task *sley__steal_ring_steal(struct sley__steal_ring *from, struct sley__steal_ring *to);
/** How many are in it, about. Thread: any. */
SLEY_INLINE uint32_t sley__steal_ring_count(const struct sley__steal_ring *q)
{
    /* acquire: head before tail, so that a ring that is not empty at any moment is never found empty (idle.c) */
    const uint32_t taken = sley__ring_taken(atomic_load_explicit(&q->head, memory_order_acquire));
    /* relaxed: about */
    const uint32_t n = atomic_load_explicit(&q->tail, memory_order_relaxed) - taken;
    return n <= q->capacity ? n : q->capacity;
}

#endif
