/* Notify: the list of waiters behind the word of notify_state.h. Nodes are completed when the list is unlocked again. */
#include "lock.h"
#include "notify_state.h"
#include "waiters.h"

/* What a waiter owes that has been woken. */
enum {
    OWES_ONE,    /* by a set: what it does not use goes to the next */
    OWES_NOTHING /* by set_all, or it has been forwarded */
};

/** Takes the oldest waiter off the list. */
static void wake_first(struct sley_notify *n, uint8_t owes, struct sley__waiters *woken)
{
    struct sley__waiter *w = n->waiters.head;
    w->kind = owes;
    sley__waiters_serve(&n->waiters, w, 0, woken);
}

/** Serves sets in the order in which they came: some, then perhaps set_all, then perhaps one more. */
static void serve(struct sley_notify *n, uint32_t pending, bool *permit, struct sley__waiters *woken)
{
    uint32_t sets = pending / SLEY__NOTIFY_SET_ONE;
    for (; sets > 0 && n->waiters.head; sets--) {
        wake_first(n, OWES_ONE, woken);
    }
    if (sets > 0) {
        *permit = true;
    }
    if (pending & SLEY__NOTIFY_ALL) {
        while (n->waiters.head) {
            wake_first(n, OWES_NOTHING, woken);
        }
    }
    if (pending & SLEY__NOTIFY_LATER) {
        *permit = true;
    }
}

/** Leaves the list, serving what came meanwhile, and completes who was woken: always by the way that handlers may take. */
static void unlock(struct sley_notify *n, bool permit, struct sley__waiters *woken)
{
    uint32_t pending;
    while (sley__notify_unlock(n, n->waiters.head != NULL, permit, &pending) == SLEY__NOTIFY_SERVE) {
        serve(n, pending, &permit, woken);
    }
    sley__waiters_complete(woken, sley_wait_complete_signal);
}

void sley__notify_leave(struct sley_notify *n, bool permit)
{
    struct sley__waiters woken = {0};
    unlock(n, permit, &woken);
}

void sley_notify_set(struct sley_notify *n)
{
    bool permit;
    if (n && sley__notify_take(n, sley__notify_next_set, &permit) == SLEY__NOTIFY_HOLD) {
        struct sley__waiters woken = {0};
        serve(n, SLEY__NOTIFY_SET_ONE, &permit, &woken);
        unlock(n, permit, &woken);
    }
}

void sley_notify_set_all(struct sley_notify *n)
{
    bool permit;
    if (n && sley__notify_take(n, sley__notify_next_set_all, &permit) == SLEY__NOTIFY_HOLD) {
        struct sley__waiters woken = {0};
        serve(n, SLEY__NOTIFY_ALL, &permit, &woken);
        unlock(n, permit, &woken);
    }
}

/** Goes to the list; `*ret_permit`: is one stored? */
static void lock(struct sley_notify *n, bool *ret_permit)
{
    uint32_t turns = 0;
    while (sley__notify_take(n, sley__notify_next_cancel, ret_permit) == SLEY__NOTIFY_BUSY) {
        sley__spin(&turns);
    }
}

static void cancel(struct sley_wait *w)
{
    struct sley_notify_op *op = sley_container_of(w, struct sley_notify_op, wait);
    struct sley_notify *n = op->notify;
    bool permit;
    lock(n, &permit);
    const bool mine = op->waiter.queued;
    if (mine) {
        sley__waiters_remove(&n->waiters, &op->waiter);
    }
    sley__notify_leave(n, permit);
    if (mine) {
        sley_wait_complete(w, -ECANCELED);
    }
}

static const struct sley_wait_ops wait_ops = {.version = SLEY_WAIT_VERSION, .name = "notify.wait", .cancel = cancel};

void sley_notify_wait_start(struct sley_notify_op *op, struct sley_notify *n)
{
    op->waiter.kind = OWES_ONE;
    op->notify = n;
    if (!sley_wait_begin(&op->wait, &wait_ops)) {
        return;
    }
    if (!n) {
        sley_wait_finish(&op->wait, -EINVAL);
        return;
    }
    uint32_t turns = 0;
    enum sley__notify_action action;
    bool permit;
    while ((action = sley__notify_take(n, sley__notify_next_wait, &permit)) == SLEY__NOTIFY_BUSY) {
        sley__spin(&turns);
    }
    if (action == SLEY__NOTIFY_TAKEN) {
        sley_wait_finish(&op->wait, 0);
        return;
    }
    sley_wait_arm(&op->wait);
    sley__waiters_put(&n->waiters, &op->waiter);
    sley__notify_leave(n, false);
}

int sley_notify_wait(struct sley_notify *n)
{
    const int rc = sley_direct_enter();
    if (rc < 0) {
        return rc;
    }
    struct sley_notify_op op;
    op.wait.word = 0;
    op.wait.at.site = NULL;
    sley_notify_wait_start(&op, n);
    return sley_await(&op.wait);
}

void sley_notify_forward(struct sley_notify_op *op)
{
    if (op && sley_wait_done(&op->wait) && op->wait.result == 0 && op->waiter.kind == OWES_ONE) {
        op->waiter.kind = OWES_NOTHING; /* once is enough */
        sley_notify_set(op->notify);
    }
}

void sley_notify_init(struct sley_notify *n)
{
    if (n) {
        n->waiters = (struct sley__waiters){0};
        /* relaxed: whoever hands the object to another thread publishes it */
        atomic_store_explicit(&n->word, 0, memory_order_relaxed);
    }
}

void sley_notify_fini(struct sley_notify *n)
{
    if (!n) {
        return;
    }
    struct sley__waiters left = {0};
    sley__waiters_serve_all(&n->waiters, -EPIPE, &left);
    sley_notify_init(n);
    sley__waiters_complete(&left, sley_wait_complete);
}
