/* For implementers: a stack of posts that any thread pushes to, and that is taken whole (Treiber, 1986; so that nothing is ever put back,
 * and no address is mistaken for an older one of the same value). */
#ifndef SLEY_POSTS_IMPL_H
#define SLEY_POSTS_IMPL_H

#include <sley/wait.h>

SLEY_EXTERN_C_BEGIN

#ifndef __cplusplus

/** Thread: any, signal. */
SLEY_INLINE void sley_posts_push(SLEY_ATOMIC(struct sley_post *) * posts, struct sley_post *p)
{
    /* relaxed: the CAS looks again */
    struct sley_post *newest = atomic_load_explicit(posts, memory_order_relaxed);
    do {
        p->link = newest;
        /* release: publishes it; pairs with sley_posts_take */
    } while (!atomic_compare_exchange_weak_explicit(posts, &newest, p, memory_order_release, memory_order_relaxed));
}

/** Takes what there is. Returns: the oldest, each with the next one as its `link`; NULL: there was none. Thread: any. */
SLEY_INLINE struct sley_post *sley_posts_take(SLEY_ATOMIC(struct sley_post *) * posts)
{
    /* acquire: observes what who pushed has released */
    struct sley_post *newest = atomic_exchange_explicit(posts, NULL, memory_order_acquire), *oldest = NULL;
    while (newest) {
        struct sley_post *next = newest->link;
        newest->link = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}

#endif

SLEY_EXTERN_C_END

#endif
