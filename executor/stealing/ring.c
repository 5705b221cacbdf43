/* The ring: see ring.h for its shape and who does what. */
#include "ring.h"

void sley__steal_ring_init(struct sley__steal_ring *q, SLEY_ATOMIC(struct sley_task *) * slots, uint32_t capacity)
{
    *q = (struct sley__steal_ring){.door = {.seized = 1}, .capacity = capacity, .slots = slots};
}

uint32_t sley__steal_ring_chain(struct sley__steal_ring *q, uint32_t n, struct sley_task **ret_first, struct sley_task **ret_last)
{
    /* relaxed: as in pop */
    uint64_t head = atomic_load_explicit(&q->head, memory_order_relaxed);
    const uint32_t taken = sley__ring_taken(head);
    /* relaxed: only this thread writes it */
    const uint32_t count = atomic_load_explicit(&q->tail, memory_order_relaxed) - taken;
    n = n < count ? n : count;
    if (n == 0) {
        return 0;
    }
    if (sley__ring_stolen(head) != taken ||
        /* relaxed: as in pop. A thief that comes now makes it fail, and makes room */
        !atomic_compare_exchange_strong_explicit(&q->head, &head, sley__ring_pack(taken + n, taken + n), memory_order_relaxed,
                                                 memory_order_relaxed)) {
        return 0;
    }
    /* relaxed: this thread has written them */
    struct sley_task *t = atomic_load_explicit(sley__ring_slot(q, taken), memory_order_relaxed);
    *ret_first = t;
    for (uint32_t i = 1; i < n; i++) {
        /* relaxed: as above */
        struct sley_task *next = atomic_load_explicit(sley__ring_slot(q, taken + i), memory_order_relaxed);
        t->link.next = next;
        t = next;
    }
    *ret_last = t;
    return n;
}

/** Claims half of what is there. Returns how many; they begin at `*ret_first`. */
static uint32_t claim(struct sley__steal_ring *q, uint32_t *ret_first)
{
    for (;;) {
        /* acquire: pairs with what the owner and thieves before have done to head */
        uint64_t head = atomic_load_explicit(&q->head, memory_order_acquire);
        const uint32_t taken = sley__ring_taken(head);
        /* acquire: observes the slots up to it; pairs with push */
        const uint32_t count = atomic_load_explicit(&q->tail, memory_order_acquire) - taken;
        const uint32_t n = count - count / 2;
        if (sley__ring_stolen(head) != taken || n == 0) {
            return 0;
        }
        /* a head that was read long before this tail gives nonsense, and a CAS that fails.
         * acq_rel: nobody overwrites the slots until done; observes who claimed before. relaxed: it is loaded again */
        if (n <= q->capacity && atomic_compare_exchange_strong_explicit(&q->head, &head, sley__ring_pack(taken, taken + n),
                                                                        memory_order_acq_rel, memory_order_relaxed)) {
            *ret_first = taken;
            return n;
        }
    }
}

struct sley_task *sley__steal_ring_steal(struct sley__steal_ring *from, struct sley__steal_ring *to)
{
    /* relaxed: this thread's own */
    const uint32_t tail = atomic_load_explicit(&to->tail, memory_order_relaxed);
    /* acquire: as in push: who has stolen from here before is done with the slots */
    const uint32_t stolen = sley__ring_stolen(atomic_load_explicit(&to->head, memory_order_acquire));
    uint32_t first;
    if (tail - stolen > to->capacity / 2) {
        return NULL; /* somebody steals from us just now, so that we have work, or room soon */
    }
    if (!sley_door_seize(&from->door)) {
        return NULL;
    }
    const uint32_t n = claim(from, &first);
    if (n == 0) {
        sley_door_yield(&from->door);
        return NULL;
    }
    for (uint32_t i = 0; i < n - 1; i++) {
        /* relaxed: claimed; published by tail below */
        struct sley_task *t = atomic_load_explicit(sley__ring_slot(from, first + i), memory_order_relaxed);
        /* relaxed: as above */
        atomic_store_explicit(sley__ring_slot(to, tail + i), t, memory_order_relaxed);
    }
    /* relaxed: claimed */
    struct sley_task *mine = atomic_load_explicit(sley__ring_slot(from, first + n - 1), memory_order_relaxed);
    /* relaxed: the CAS looks again */
    uint64_t head = atomic_load_explicit(&from->head, memory_order_relaxed);
    /* release: the slots have been read; the owner's push acquires. The owner may have popped meanwhile */
    while (!atomic_compare_exchange_weak_explicit(&from->head, &head, sley__ring_pack(sley__ring_taken(head), sley__ring_taken(head)),
                                                  memory_order_release, memory_order_relaxed)) {
    }
    sley_door_yield(&from->door);
    if (n > 1) {
        /* release: as in push */
        atomic_store_explicit(&to->tail, tail + n - 1, memory_order_release);
    }
    return mine;
}
