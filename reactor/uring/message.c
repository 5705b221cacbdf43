/* Wakes as messages: who wakes posts a completion to the ring itself, in place of a write to the eventfd that the ring polls. One
 * system call, which needs no ring of the waker's, so that plain threads and signal handlers make it, too. Whatever it answers that
 * is no success (a kernel, a filter or a ring that does not take it), the bell is rung instead.
 *
 * A ring's number may be closed while a waker is about to name it, and be a stranger's by then: when a ring is given up for another
 * thread's. So wakers are counted in and out, and who gives the ring up first shuts the door and waits for those inside. What they
 * have sent is in a ring that nobody looks at any more: then the bell is rung for them. */
#include "uring.h"

#include <errno.h>
#include <sched.h>

static int post_to(int number)
{
    struct io_uring_sqe sqe = {.opcode = IORING_OP_MSG_RING, .fd = number, .off = SLEY__URING_MESSAGE};
    return sley__uring_syscall_register(-1, SLEY__URING_REGISTER_SEND_MSG_RING, &sqe, 1);
}

bool sley__uring_message_works(const struct sley__uring *r)
{
    return post_to(r->ring.ring_fd) == -EBADFD; /* it is not enabled yet; kernels that know no messages say something else */
}

bool sley__uring_message(struct sley__uring *r)
{
    /* seq_cst: counted before the door is looked at; pairs with shut, whose store comes before its look at the count */
    (void)atomic_fetch_add_explicit(&r->waker_count, 1, memory_order_seq_cst);
    /* seq_cst: see above */
    const int number = atomic_load_explicit(&r->door, memory_order_seq_cst);
    const bool sent = number > 0 && post_to(number) >= 0;
    /* release: the message is sent before the ring may go; pairs with shut */
    (void)atomic_fetch_sub_explicit(&r->waker_count, 1, memory_order_release);
    return sent;
}

void sley__uring_open_door(struct sley__uring *r)
{
    r->shut = false;
    if (sley__uring_has(r, SLEY__URING_MSG_RING)) {
        /* release: the ring is enabled; pairs with the load in message, so that none is refused for nothing */
        atomic_store_explicit(&r->door, r->ring.ring_fd, memory_order_release);
    }
}

void sley__uring_shut_door(struct sley__uring *r)
{
    /* relaxed: the owner's own store */
    if (atomic_load_explicit(&r->door, memory_order_relaxed) == 0) {
        return;
    }
    r->shut = true;
    /* seq_cst: see message */
    atomic_store_explicit(&r->door, 0, memory_order_seq_cst);
    /* seq_cst: the same; it also observes what those who have left did inside */
    while (atomic_load_explicit(&r->waker_count, memory_order_seq_cst) > 0) {
        (void)sched_yield();
    }
    /* relaxed: whoever has set it and found the door shut rings by himself */
    if (atomic_load_explicit(&r->rung, memory_order_relaxed)) {
        sley__uring_ring_bell(r);
    }
}
