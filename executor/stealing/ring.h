/* A worker's queue: a fixed ring that its owner fills and empties, and that one thief at a time takes half of.
 *
 * Shape: power-of-two slots; `tail` counts what was pushed, `head` packs two counts, `stolen` (high half) and `taken` (low half):
 *
 *     stolen <= taken <= tail,  tail - stolen <= capacity
 *     slots [taken, tail) hold ready tasks; [stolen, taken) are being copied by a thief, when stolen != taken
 *
 *   who     what           how
 *   owner   push           store the slot, then tail (release): thieves acquire tail
 *   owner   pop            CAS head: taken + 1 (both halves when nobody steals)
 *   owner   overflow, chain CAS head: both halves + n, only while nobody steals; the tasks go to the backlog
 *   thief   claim          CAS head: taken + n, stolen stays: nobody else can steal, the slots cannot be overwritten
 *   thief   done           CAS head: stolen = taken
 *
 * Linearisation points: the store of tail, and the CAS on head. The counts wrap at 2^32, so that a CAS that succeeds after a
 * whole turn of the ring would need as many operations between its load and itself.
 * Source: tokio's multi-threaded scheduler (which follows Go's); the algorithm, not the code. */
#ifndef SLEY_STEALING_RING_H
#define SLEY_STEALING_RING_H

#include <sley/group_impl.h>

struct sley__steal_ring {
    SLEY_ATOMIC(uint64_t) head;
    SLEY_ATOMIC(uint32_t) tail __attribute__((aligned(64))); /* the owner's */
    uint32_t capacity;                                       /* a power of two, at least 2 */
    SLEY_ATOMIC(struct sley_task *) *slots;                  /* borrowed */
};

void sley__steal_ring_init(struct sley__steal_ring *q, SLEY_ATOMIC(struct sley_task *) *slots, uint32_t capacity);
/** false: full. Thread: owner. */
bool sley__steal_ring_push_back(struct sley__steal_ring *q, struct sley_task *t);
/** The oldest, or NULL. Thread: owner. */
struct sley_task *sley__steal_ring_pop(struct sley__steal_ring *q);
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
uint32_t sley__steal_ring_count(const struct sley__steal_ring *q);

#endif
