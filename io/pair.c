/* The pair of streams in memory. All under one lock; what has ended is told to its waiters after the lock is released. */
#include <sley/stream_impl.h>
#include <sley/stream_pair.h>

#include <string.h>

/** Ops that have ended, linked by `next`, with their results: to be completed without the lock. */
struct ended {
    struct sley_io_op *first;
};

static struct sley_pair_end *end_of(struct sley_stream *s)
{
    return sley_container_of(s, struct sley_pair_end, stream);
}

static void end_op(struct ended *list, struct sley_io_op *op, int32_t result)
{
    op->out_number = result;
    op->next = list->first;
    list->first = op;
}

static void tell(struct ended *list)
{
    while (list->first) {
        struct sley_io_op *op = list->first;
        list->first = op->next; /* first: the op may be gone after the next line */
        sley_wait_complete(&op->wait, op->out_number);
    }
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* ---- moving bytes -------------------------------------------------------------------------------------------------- */

static bool all(const struct sley_io_op *op)
{
    return (op->flags & SLEY_IO_ALL) != 0;
}

/** What a result can hold. */
static size_t wanted(const struct sley_io_op *op)
{
    const size_t left = op->len - op->done_bytes;
    return all(op) ? left : least(left, INT32_MAX);
}

/** Where its byte @p at is or goes, which there is, and how many are in one piece from there on. */
static unsigned char *place(const struct sley_io_op *op, size_t at, size_t *ret_bytes)
{
    if (op->code == SLEY_IO_RECV || op->code == SLEY_IO_SEND) {
        *ret_bytes = op->len - at;
        return (unsigned char *)op->buf + at;
    }
    const struct iovec *iov = ((const struct msghdr *)op->buf)->msg_iov;
    for (; at >= iov->iov_len; iov++) {
        at -= iov->iov_len;
    }
    *ret_bytes = iov->iov_len - at;
    return (unsigned char *)iov->iov_base + at;
}

static size_t fill(struct sley_pair_ring *r, struct sley_io_op *op)
{
    const size_t n = least(wanted(op), r->size - r->count);
    for (size_t left = n, piece; left > 0; left -= piece) {
        const size_t at = (r->head + r->count) % r->size;
        const unsigned char *from = place(op, op->done_bytes, &piece);
        piece = least(least(piece, left), r->size - at);
        memcpy(r->buf + at, from, piece);
        r->count += piece;
        op->done_bytes += piece;
    }
    return n;
}

static size_t drain(struct sley_pair_ring *r, struct sley_io_op *op)
{
    const size_t n = least(wanted(op), r->count), head = r->head, count = r->count;
    for (size_t left = n, piece; left > 0; left -= piece) {
        unsigned char *to = place(op, op->done_bytes, &piece);
        piece = least(least(piece, left), r->size - r->head);
        memcpy(to, r->buf + r->head, piece);
        r->head = (r->head + piece) % r->size;
        r->count -= piece;
        op->done_bytes += piece;
    }
    if (op->flags & SLEY_IO_PEEK) {
        r->head = head;
        r->count = count;
    }
    return n;
}

/** Has the op moved what it is to move? */
static bool satisfied(const struct sley_io_op *op)
{
    return all(op) ? op->done_bytes == op->len : op->done_bytes > 0;
}

static int32_t success(struct sley_io_op *op)
{
    if (op->ret_done) {
        *op->ret_done = op->done_bytes;
    }
    return all(op) ? 0 : (int32_t)op->done_bytes;
}

static int32_t failure(struct sley_io_op *op, int32_t error)
{
    if (op->ret_done) {
        *op->ret_done = op->done_bytes;
    }
    return error;
}

static void end_reader(struct ended *list, struct sley_pair_ring *r, int32_t result)
{
    end_op(list, r->reader, result);
    r->reader = NULL;
}

/** The write in flight is over: those who waited to shut down do so. */
static void end_writer(struct ended *list, struct sley_pair_ring *r, int32_t result)
{
    struct sley_io_op *writer = r->writer;
    r->writer = NULL;
    while (r->shutdowns) {
        struct sley_io_op *op = r->shutdowns;
        r->shutdowns = op->next;
        r->ended = true;
        end_op(list, op, r->reset ? -ECONNRESET : 0);
    }
    end_op(list, writer, result); /* last in, first out: the write is told before them */
}

/** Why a read without bytes to take ends, or 1: it waits. */
static int32_t read_verdict(const struct sley_pair_ring *r, const struct sley_io_op *op)
{
    if (r->reset) {
        return -ECONNRESET;
    }
    if (r->ended && r->count == 0) {
        return all(op) ? -ENODATA : 0;
    }
    return 1;
}

/** Moves what can be moved, and ends the ops that have come to their end. */
static void pump(struct ended *list, struct sley_pair_ring *r)
{
    size_t moved;
    do {
        moved = 0;
        if (r->writer && !r->deaf && !r->ended) {
            moved += fill(r, r->writer);
            if (satisfied(r->writer)) {
                end_writer(list, r, success(r->writer));
            }
        }
        if (r->reader && !r->reset) {
            moved += drain(r, r->reader);
            if (satisfied(r->reader)) {
                end_reader(list, r, success(r->reader));
            }
        }
    } while (moved > 0);
    if (r->writer && (r->deaf || r->reset)) {
        end_writer(list, r, failure(r->writer, r->reset ? -ECONNRESET : -EPIPE));
    }
    if (r->reader) {
        const int32_t verdict = read_verdict(r, r->reader);
        if (verdict <= 0) {
            end_reader(list, r, failure(r->reader, verdict));
        }
    }
}

/* ---- who waits until something can be moved -------------------------------------------------------------------------- */

static uint32_t readiness(const struct sley_pair_end *e)
{
    const struct sley_pair_ring *in = e->in, *out = e->out;
    const bool reset = in->reset || out->reset;
    uint32_t set = in->count > 0 || in->ended || reset ? SLEY_IO_IN : 0;
    set |= out->count < out->size || out->ended || out->deaf || reset ? SLEY_IO_OUT : 0;
    set |= in->ended && out->deaf ? SLEY_IO_HUP : 0;
    return set | (reset ? SLEY_IO_ERR : 0);
}

/** What of it concerns who waits for @p events. */
static uint32_t ready_for(const struct sley_pair_end *e, size_t events)
{
    return readiness(e) & ((uint32_t)events | SLEY_IO_ERR | SLEY_IO_HUP);
}

static void notice(struct ended *list, struct sley_pair_end *e)
{
    for (struct sley_io_op **at = &e->watchers; *at;) {
        struct sley_io_op *op = *at;
        const uint32_t set = ready_for(e, op->len);
        if (set) {
            *at = op->next;
            end_op(list, op, (int32_t)set);
        } else {
            at = &op->next;
        }
    }
}

/** The rings have changed. Gives the lock back. */
static void leave_lock(struct ended *list, struct sley_stream_pair *p)
{
    notice(list, &p->a);
    notice(list, &p->b);
    pthread_mutex_unlock(&p->lock);
}

/* ---- the slots ------------------------------------------------------------------------------------------------------ */

/** Takes the op out of a place where it waits; false: it has ended, and its waiter is being told. */
static bool take_out(struct sley_io_op **place, struct sley_io_op *op)
{
    for (; *place; place = &(*place)->next) {
        if (*place == op) {
            *place = op->next;
            return true;
        }
    }
    return false;
}

static void pair_cancel(struct sley_wait *w)
{
    struct sley_io_op *op = sley_container_of(w, struct sley_io_op, wait);
    struct sley_pair_end *e = op->object;
    struct ended list = {0};
    pthread_mutex_lock(&e->pair->lock);
    if (e->in->reader == op) {
        end_reader(&list, e->in, failure(op, -ECANCELED));
    } else if (e->out->writer == op) {
        end_writer(&list, e->out, failure(op, -ECANCELED));
    } else if (take_out(&e->out->shutdowns, op) || take_out(&e->watchers, op)) {
        end_op(&list, op, -ECANCELED);
    }
    leave_lock(&list, e->pair);
    tell(&list);
}

#define KIND(text)                                                                \
    {                                                                             \
        .version = SLEY_WAIT_VERSION, .name = "pair." text, .cancel = pair_cancel \
    }
static const struct sley_wait_ops read_ops = KIND("read");
static const struct sley_wait_ops write_ops = KIND("write");
static const struct sley_wait_ops shutdown_ops = KIND("shutdown");
static const struct sley_wait_ops ready_ops = KIND("ready");
static const struct sley_wait_ops close_ops = {.version = SLEY_WAIT_VERSION, .name = "pair.close"};

/** Ends an op that never waited, and gives the lock back. */
static void finish(struct ended *list, struct sley_pair_end *e, struct sley_io_op *op, int32_t result)
{
    leave_lock(list, e->pair);
    sley_wait_finish(&op->wait, result);
}

static void pair_read_start(struct sley_io_op *op, struct sley_stream *s, void *buf, size_t len)
{
    struct sley_pair_end *e = end_of(s);
    struct sley_pair_ring *r = e->in;
    struct ended list = {0};
    op->buf = buf;
    op->len = len;
    op->done_bytes = 0;
    op->object = e;
    (void)failure(op, 0); /* the count, if it ends before anything moves */
    if (!sley_wait_begin(&op->wait, &read_ops)) {
        return;
    }
    pthread_mutex_lock(&e->pair->lock);
    if (e->closed || r->reader) {
        finish(&list, e, op, e->closed ? -EBADF : -EBUSY);
    } else if (len == 0) {
        finish(&list, e, op, 0);
    } else {
        if (!r->reset) {
            (void)drain(r, op);
        }
        const int32_t verdict = satisfied(op) ? success(op) : read_verdict(r, op);
        if (verdict == 1 && !satisfied(op)) {
            sley_wait_arm(&op->wait);
            r->reader = op;
            pump(&list, r);
            leave_lock(&list, e->pair);
        } else {
            pump(&list, r); /* there is room now: a writer goes on */
            finish(&list, e, op, satisfied(op) ? verdict : failure(op, verdict));
        }
    }
    tell(&list);
}

/** Why a write cannot start, or 0. */
static int32_t write_verdict(const struct sley_pair_end *e)
{
    const struct sley_pair_ring *r = e->out;
    if (e->closed) {
        return -EBADF;
    }
    if (r->reset) {
        return -ECONNRESET;
    }
    if (r->ended || r->deaf) {
        return -EPIPE;
    }
    return r->writer ? -EBUSY : 0;
}

static void pair_write_start(struct sley_io_op *op, struct sley_stream *s, const void *buf, size_t len)
{
    struct sley_pair_end *e = end_of(s);
    struct sley_pair_ring *r = e->out;
    struct ended list = {0};
    op->buf = (void *)(uintptr_t)buf;
    op->len = len;
    op->done_bytes = 0;
    op->object = e;
    (void)failure(op, 0); /* the count, if it ends before anything moves */
    if (!sley_wait_begin(&op->wait, &write_ops)) {
        return;
    }
    pthread_mutex_lock(&e->pair->lock);
    const int32_t verdict = write_verdict(e);
    if (verdict < 0 || len == 0) {
        finish(&list, e, op, len == 0 && verdict == -EBUSY ? 0 : verdict);
        tell(&list);
        return;
    }
    (void)fill(r, op);
    if (satisfied(op)) {
        pump(&list, r);
        finish(&list, e, op, success(op));
    } else {
        sley_wait_arm(&op->wait);
        r->writer = op;
        pump(&list, r);
        leave_lock(&list, e->pair);
    }
    tell(&list);
}

static size_t bytes_of(const struct msghdr *m)
{
    size_t sum = 0;
    for (size_t i = 0; i < m->msg_iovlen; i++) {
        sum += least(m->msg_iov[i].iov_len, SIZE_MAX - sum);
    }
    return sum;
}

static void pair_readv_start(struct sley_io_op *op, struct sley_stream *s, struct msghdr *m)
{
    op->code = SLEY_IO_RECVMSG;
    pair_read_start(op, s, m, bytes_of(m));
}

static void pair_writev_start(struct sley_io_op *op, struct sley_stream *s, struct msghdr *m)
{
    op->code = SLEY_IO_SENDMSG;
    pair_write_start(op, s, m, bytes_of(m));
}

static void pair_shutdown_start(struct sley_io_op *op, struct sley_stream *s)
{
    struct sley_pair_end *e = end_of(s);
    struct sley_pair_ring *r = e->out;
    struct ended list = {0};
    op->object = e;
    if (!sley_wait_begin(&op->wait, &shutdown_ops)) {
        return;
    }
    pthread_mutex_lock(&e->pair->lock);
    if (e->closed || r->reset) {
        finish(&list, e, op, e->closed ? -EBADF : -ECONNRESET);
        tell(&list);
        return;
    }
    if (r->writer) {
        sley_wait_arm(&op->wait);
        op->next = r->shutdowns;
        r->shutdowns = op;
        pthread_mutex_unlock(&e->pair->lock);
        return;
    }
    r->ended = true;
    pump(&list, r);
    finish(&list, e, op, 0);
    tell(&list);
}

/* ---- looking ---------------------------------------------------------------------------------------------------------- */

static void pair_peek_start(struct sley_io_op *op, struct sley_stream *s, struct msghdr *m)
{
    op->flags = SLEY_IO_PEEK;
    pair_readv_start(op, s, m);
}

static void pair_ready_start(struct sley_io_op *op, struct sley_stream *s, uint32_t events)
{
    struct sley_pair_end *e = end_of(s);
    struct ended list = {0};
    op->object = e;
    op->len = events;
    if (!sley_wait_begin(&op->wait, &ready_ops)) {
        return;
    }
    pthread_mutex_lock(&e->pair->lock);
    const uint32_t set = ready_for(e, events);
    if (e->closed || set) {
        finish(&list, e, op, e->closed ? -EBADF : (int32_t)set);
    } else {
        sley_wait_arm(&op->wait);
        op->next = e->watchers;
        e->watchers = op;
        leave_lock(&list, e->pair);
    }
    tell(&list);
}

static int pair_try_read(struct sley_stream *s, void *buf, size_t len)
{
    struct sley_pair_end *e = end_of(s);
    struct sley_pair_ring *r = e->in;
    struct sley_io_op op = {.buf = buf, .len = len, .code = SLEY_IO_RECV};
    struct ended list = {0};
    pthread_mutex_lock(&e->pair->lock);
    int32_t n = e->closed ? -EBADF : r->reader ? -EBUSY : 0;
    if (n == 0 && len > 0) {
        n = r->reset ? 0 : (int32_t)drain(r, &op);
        if (n == 0) {
            n = read_verdict(r, &op);
            n = n == 1 ? -EAGAIN : n;
        }
        pump(&list, r);
    }
    leave_lock(&list, e->pair);
    tell(&list);
    return n;
}

static int pair_try_write(struct sley_stream *s, const void *buf, size_t len)
{
    struct sley_pair_end *e = end_of(s);
    struct sley_io_op op = {.buf = (void *)(uintptr_t)buf, .len = len, .code = SLEY_IO_SEND};
    struct ended list = {0};
    pthread_mutex_lock(&e->pair->lock);
    int32_t n = write_verdict(e);
    if (n == 0 && len > 0) {
        n = (int32_t)fill(e->out, &op);
        n = n > 0 ? n : -EAGAIN;
        pump(&list, e->out);
    }
    leave_lock(&list, e->pair);
    tell(&list);
    return n;
}

/* ---- the end ---------------------------------------------------------------------------------------------------------- */

/** Both directions end, seen from this end. */
static void leave(struct ended *list, struct sley_pair_end *e, bool reset)
{
    if (e->closed) {
        return;
    }
    e->closed = true;
    e->in->deaf = true;
    e->in->count = 0;
    e->in->reset |= reset;
    e->out->reset |= reset;
    if (e->in->reader) {
        end_reader(list, e->in, failure(e->in->reader, -ECANCELED));
    }
    while (e->out->shutdowns) {
        struct sley_io_op *op = e->out->shutdowns;
        e->out->shutdowns = op->next;
        end_op(list, op, -ECANCELED);
    }
    if (e->out->writer) {
        end_writer(list, e->out, failure(e->out->writer, -ECANCELED));
    }
    while (e->watchers) {
        struct sley_io_op *op = e->watchers;
        e->watchers = op->next;
        end_op(list, op, -ECANCELED);
    }
    e->out->ended = true;
    pump(list, e->in);
    pump(list, e->out);
}

static void pair_close_start(struct sley_io_op *op, struct sley_stream *s)
{
    struct sley_pair_end *e = end_of(s);
    struct ended list = {0};
    sley_wait_begin_always(&op->wait, &close_ops);
    pthread_mutex_lock(&e->pair->lock);
    leave(&list, e, false);
    leave_lock(&list, e->pair);
    tell(&list);
    sley_wait_finish(&op->wait, 0);
}

static void pair_abort(struct sley_stream *s)
{
    struct sley_pair_end *e = end_of(s);
    struct ended list = {0};
    pthread_mutex_lock(&e->pair->lock);
    leave(&list, e, true);
    leave_lock(&list, e->pair);
    tell(&list);
}

static const struct sley_stream_ops pair_ops = {
    .version = SLEY_STREAM_VERSION,
    .caps = SLEY_STREAM_CAP_ALL,
    .name = "pair",
    .read_start = pair_read_start,
    .write_start = pair_write_start,
    .shutdown_start = pair_shutdown_start,
    .close_start = pair_close_start,
    .abort = pair_abort,
    .readv_start = pair_readv_start,
    .writev_start = pair_writev_start,
    .peek_start = pair_peek_start,
    .ready_start = pair_ready_start,
    .try_read = pair_try_read,
    .try_write = pair_try_write,
};

/* ---- the pair ------------------------------------------------------------------------------------------------------- */

int sley_stream_pair_init(struct sley_stream_pair *p, void *buffers, size_t bytes)
{
    if (!p || !buffers || bytes == 0 || bytes > SIZE_MAX / 2) {
        return -EINVAL;
    }
    memset(p, 0, sizeof *p);
    const int rc = pthread_mutex_init(&p->lock, NULL);
    if (rc != 0) {
        return -rc;
    }
    p->rings[0] = (struct sley_pair_ring){.buf = buffers, .size = bytes};
    p->rings[1] = (struct sley_pair_ring){.buf = (unsigned char *)buffers + bytes, .size = bytes};
    p->a = (struct sley_pair_end){.stream = {&pair_ops}, .pair = p, .in = &p->rings[1], .out = &p->rings[0]};
    p->b = (struct sley_pair_end){.stream = {&pair_ops}, .pair = p, .in = &p->rings[0], .out = &p->rings[1]};
    return 0;
}

int sley_stream_pair_fini(struct sley_stream_pair *p)
{
    if (!p || !p->a.pair) {
        return 0;
    }
    if (!p->a.closed || !p->b.closed) {
        return -EBUSY;
    }
    pthread_mutex_destroy(&p->lock);
    memset(p, 0, sizeof *p);
    return 0;
}
