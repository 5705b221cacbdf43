/* Oneshot. Everything happens under its lock; nodes are completed after it. */
#include <sley/oneshot.h>

enum {
    SENT = SLEY__ONESHOT_SENT,
    TAKEN = SLEY__ONESHOT_TAKEN,
    SEND_CLOSED = SLEY__ONESHOT_SEND_CLOSED,
    RECV_CLOSED = SLEY__ONESHOT_RECV_CLOSED,
};

static void copy(void *to, const void *from, size_t bytes)
{
    if (bytes) {
        memcpy(to, from, bytes);
    }
}

/** Looks at what changes in init and fini alone, so no lock is needed. */
static bool valid(const struct sley_oneshot *o, const void *elem)
{
    return o && o->usable && (elem || o->elem_bytes == 0);
}

/** Takes a waiting op out, if there is one. */
static struct sley_oneshot_op *take_out(struct sley_oneshot_op **place)
{
    struct sley_oneshot_op *op = *place;
    *place = NULL;
    return op;
}

static void complete(struct sley_oneshot_op *op, int result)
{
    if (op) {
        sley_wait_complete(&op->wait, result);
    }
}

static void cancel(struct sley_wait *w)
{
    struct sley_oneshot_op *op = sley_container_of(w, struct sley_oneshot_op, wait);
    struct sley_oneshot *o = op->oneshot;
    const bool home = sley__lock(&o->lock);
    struct sley_oneshot_op **place = o->receiver == op ? &o->receiver : &o->watcher;
    struct sley_oneshot_op *mine = *place == op ? take_out(place) : NULL;
    sley__unlock(&o->lock, home);
    complete(mine, -ECANCELED);
}

/* ---- sending --------------------------------------------------------------------------------------------------- */

int sley_oneshot_send(struct sley_oneshot *o, const void *elem)
{
    if (!valid(o, elem)) {
        return -EINVAL;
    }
    struct sley_oneshot_op *receiver = NULL, *watcher = NULL;
    int rc = 0;
    const bool home = sley__lock(&o->lock);
    if (o->flags & SENT) {
        rc = -EINVAL;
    } else if (o->flags & (SEND_CLOSED | RECV_CLOSED)) {
        rc = -EPIPE;
    } else if (o->receiver) {
        receiver = take_out(&o->receiver);
        watcher = take_out(&o->watcher);
        copy(receiver->elem, elem, o->elem_bytes);
        o->flags |= SENT | TAKEN;
    } else {
        copy(o->slot, elem, o->elem_bytes);
        o->flags |= SENT;
    }
    sley__unlock(&o->lock, home);
    complete(receiver, 1);
    complete(watcher, 1);
    return rc;
}

void sley_oneshot_close_send(struct sley_oneshot *o)
{
    if (!valid(o, o)) {
        return;
    }
    const bool home = sley__lock(&o->lock);
    o->flags |= SEND_CLOSED;
    struct sley_oneshot_op *receiver = take_out(&o->receiver);
    sley__unlock(&o->lock, home);
    complete(receiver, 0);
}

/* ---- receiving ------------------------------------------------------------------------------------------------- */

static const struct sley_wait_ops recv_ops = {.version = SLEY_WAIT_VERSION, .name = "oneshot.recv", .cancel = cancel};

/** What can be answered at once: 1, 0, -EBUSY, or -EAGAIN. `*ret_watcher` is to be completed after the lock. */
static int recv_now(struct sley_oneshot *o, void *ret_elem, struct sley_oneshot_op **ret_watcher)
{
    if (o->receiver) {
        return -EBUSY;
    }
    if (o->flags & TAKEN) {
        return 0;
    }
    if (o->flags & SENT) {
        copy(ret_elem, o->slot, o->elem_bytes);
        o->flags |= TAKEN;
        *ret_watcher = take_out(&o->watcher);
        return 1;
    }
    return o->flags & (SEND_CLOSED | RECV_CLOSED) ? 0 : -EAGAIN;
}

void sley_oneshot_recv_start(struct sley_oneshot_op *op, struct sley_oneshot *o, void *ret_elem)
{
    if (!sley_wait_begin(&op->wait, &recv_ops)) {
        return;
    }
    if (!valid(o, ret_elem)) {
        sley_wait_finish(&op->wait, -EINVAL);
        return;
    }
    struct sley_oneshot_op *watcher = NULL;
    const bool home = sley__lock(&o->lock);
    const int rc = recv_now(o, ret_elem, &watcher);
    if (rc == -EAGAIN) {
        op->oneshot = o;
        op->elem = ret_elem;
        sley_wait_arm(&op->wait);
        o->receiver = op;
    }
    sley__unlock(&o->lock, home);
    if (rc != -EAGAIN) {
        sley_wait_finish(&op->wait, rc);
        complete(watcher, 1);
    }
}

int sley_oneshot_recv(struct sley_oneshot *o, void *ret_elem)
{
    const int rc = sley_direct_enter();
    if (rc < 0) {
        return rc;
    }
    struct sley_oneshot_op op;
    op.wait.word = 0;
    op.wait.at.site = NULL;
    sley_oneshot_recv_start(&op, o, ret_elem);
    return sley_await(&op.wait);
}

int sley_oneshot_try_recv(struct sley_oneshot *o, void *ret_elem)
{
    if (!valid(o, ret_elem)) {
        return -EINVAL;
    }
    struct sley_oneshot_op *watcher = NULL;
    const bool home = sley__lock(&o->lock);
    const int rc = recv_now(o, ret_elem, &watcher);
    sley__unlock(&o->lock, home);
    complete(watcher, 1);
    return rc;
}

void sley_oneshot_close_recv(struct sley_oneshot *o)
{
    if (!valid(o, o)) {
        return;
    }
    const bool home = sley__lock(&o->lock);
    o->flags |= RECV_CLOSED;
    struct sley_oneshot_op *receiver = take_out(&o->receiver);
    struct sley_oneshot_op *watcher = take_out(&o->watcher);
    sley__unlock(&o->lock, home);
    complete(receiver, 0);
    complete(watcher, 0);
}

/* ---- the sender's wait ----------------------------------------------------------------------------------------- */

static const struct sley_wait_ops closed_ops = {.version = SLEY_WAIT_VERSION, .name = "oneshot.closed", .cancel = cancel};

void sley_oneshot_closed_start(struct sley_oneshot_op *op, struct sley_oneshot *o)
{
    if (!sley_wait_begin(&op->wait, &closed_ops)) {
        return;
    }
    if (!valid(o, o)) {
        sley_wait_finish(&op->wait, -EINVAL);
        return;
    }
    const bool home = sley__lock(&o->lock);
    int rc = -EAGAIN;
    if (o->flags & (TAKEN | RECV_CLOSED)) {
        rc = o->flags & TAKEN ? 1 : 0;
    } else if (o->watcher) {
        rc = -EBUSY;
    } else {
        op->oneshot = o;
        sley_wait_arm(&op->wait);
        o->watcher = op;
    }
    sley__unlock(&o->lock, home);
    if (rc != -EAGAIN) {
        sley_wait_finish(&op->wait, rc);
    }
}

int sley_oneshot_closed(struct sley_oneshot *o)
{
    const int rc = sley_direct_enter();
    if (rc < 0) {
        return rc;
    }
    struct sley_oneshot_op op;
    op.wait.word = 0;
    op.wait.at.site = NULL;
    sley_oneshot_closed_start(&op, o);
    return sley_await(&op.wait);
}

bool sley_oneshot_is_closed(struct sley_oneshot *o)
{
    const bool home = sley__lock(&o->lock);
    const bool closed = (o->flags & RECV_CLOSED) != 0;
    sley__unlock(&o->lock, home);
    return closed;
}

/* ---- life ------------------------------------------------------------------------------------------------------ */

int sley_oneshot_init(struct sley_oneshot *o, void *slot, size_t elem_bytes)
{
    if (!o || (!slot && elem_bytes)) {
        return -EINVAL;
    }
    sley__lock_init_here(&o->lock); /* mostly made, used and ended by tasks of one executor */
    o->slot = slot;
    o->elem_bytes = elem_bytes;
    o->receiver = NULL;
    o->watcher = NULL;
    o->flags = 0;
    o->usable = true;
    return 0;
}

void sley_oneshot_fini(struct sley_oneshot *o, void (*drop)(void *elem))
{
    if (!valid(o, o)) {
        return;
    }
    /* nobody else is there any more, so only ops that wait (a mistake, but one that is answered) need the lock */
    if (SLEY_UNLIKELY(o->receiver || o->watcher)) {
        sley_oneshot_close_send(o);
        sley_oneshot_close_recv(o);
    }
    o->flags |= SEND_CLOSED | RECV_CLOSED;
    if (drop && (o->flags & (SENT | TAKEN)) == SENT) {
        drop(o->slot);
    }
    o->usable = false;
}
