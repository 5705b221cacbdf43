/* The injection queue: see inject.h. */
#include "inject.h"

void sley__inject_push(struct sley__inject *q, struct sley_task *first, struct sley_task *last)
{
    /* a stack of chains: each is turned round as a whole by the taker, so it is pushed newest first */
    struct sley_task *turned = NULL;
    for (struct sley_task *t = first, *next;; t = next) {
        next = t->link.next;
        t->link.next = turned;
        turned = t;
        if (t == last) {
            break;
        }
    }
    /* relaxed: the CAS looks again */
    struct sley_task *head = atomic_load_explicit(&q->pushed, memory_order_relaxed);
    do {
        first->link.next = head;
        /* release: publishes the tasks and links to the taker; linearisation point of a push */
    } while (!atomic_compare_exchange_weak_explicit(&q->pushed, &head, turned, memory_order_release, memory_order_relaxed));
}

void sley__inject_append(struct sley__inject *q, struct sley_task *first, struct sley_task *last, uint32_t n)
{
    last->link.next = NULL;
    sley_spin_lock(&q->lock);
    /* relaxed: written under the lock */
    if (atomic_load_explicit(&q->head, memory_order_relaxed)) {
        q->last->link.next = first;
    } else {
        /* relaxed: see take */
        atomic_store_explicit(&q->head, first, memory_order_relaxed);
    }
    q->last = last;
    /* relaxed: under the lock */
    atomic_store_explicit(&q->count, sley__inject_count(q) + n, memory_order_relaxed);
    sley_spin_unlock(&q->lock);
}

/** Everything that was pushed, oldest first. */
static struct sley_task *refill(struct sley__inject *q)
{
    /* acquire: pairs with push */
    struct sley_task *t = atomic_exchange_explicit(&q->pushed, NULL, memory_order_acquire), *ordered = NULL;
    q->last = t;
    while (t) {
        struct sley_task *next = t->link.next;
        t->link.next = ordered;
        ordered = t;
        t = next;
    }
    return ordered;
}

struct sley_task *sley__inject_take(struct sley__inject *q, uint32_t max)
{
    if (max == 0 || sley__inject_empty(q)) {
        return NULL;
    }
    sley_spin_lock(&q->lock);
    /* relaxed: written under the lock */
    struct sley_task *first = atomic_load_explicit(&q->head, memory_order_relaxed);
    first = first ? first : refill(q);
    struct sley_task *last = first;
    uint32_t n = first != NULL;
    for (; last && n < max && last->link.next; n++) {
        last = last->link.next;
    }
    /* relaxed: under the lock. What was pushed and never counted wraps round, and nobody asks */
    atomic_store_explicit(&q->count, sley__inject_count(q) - n, memory_order_relaxed);
    /* relaxed: for takers the lock orders it; others only look whether it is NULL, with a fence of their own where it matters */
    atomic_store_explicit(&q->head, last ? last->link.next : NULL, memory_order_relaxed);
    if (last) {
        last->link.next = NULL;
    }
    sley_spin_unlock(&q->lock);
    return first;
}
