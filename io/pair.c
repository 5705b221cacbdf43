/* The pair of streams in memory: the stream's table, and the end. How bytes move is in pair_ring.c. */
#include "pair.h"

#include <string.h>

static struct sley_pair_end *end_of(struct sley_stream *s)
{
    return sley_container_of(s, struct sley_pair_end, stream);
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

static void notice(struct sley__pair_ended *list, struct sley_pair_end *e)
{
    for (struct sley_io_op **at = &e->watchers; *at;) {
        struct sley_io_op *op = *at;
        const uint32_t set = ready_for(e, op->len);
        if (set) {
            *at = op->next;
            sley__pair_end_op(list, op, (int32_t)set);
        } else {
            at = &op->next;
        }
    }
}

/** The rings have changed. Gives the lock back. */
static void leave_lock(struct sley__pair_ended *list, struct sley_stream_pair *p)
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
    struct sley__pair_ended list = {0};
    pthread_mutex_lock(&e->pair->lock);
    if (e->in->reader == op) {
        sley__pair_end_reader(&list, e->in, sley__pair_failure(op, -ECANCELED));
    } else if (e->out->writer == op) {
        sley__pair_end_writer(&list, e->out, sley__pair_failure(op, -ECANCELED));
    } else if (take_out(&e->out->shutdowns, op) || take_out(&e->watchers, op)) {
        sley__pair_end_op(&list, op, -ECANCELED);
    }
    leave_lock(&list, e->pair);
    sley__pair_tell(&list);
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
static void finish(struct sley__pair_ended *list, struct sley_pair_end *e, struct sley_io_op *op, int32_t result)
{
    leave_lock(list, e->pair);
    sley_wait_finish(&op->wait, result);
}

static void pair_read_start(struct sley_io_op *op, struct sley_stream *s, void *buf, size_t len)
{
    struct sley_pair_end *e = end_of(s);
    struct sley_pair_ring *r = e->in;
    struct sley__pair_ended list = {0};
    op->buf = buf;
    op->len = len;
    op->done_bytes = 0;
    op->object = e;
    (void)sley__pair_failure(op, 0); /* the count, if it ends before anything moves */
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
            (void)sley__pair_drain(r, op);
        }
        const int32_t verdict = sley__pair_satisfied(op) ? sley__pair_success(op) : sley__pair_read_verdict(r, op);
        if (verdict == 1 && !sley__pair_satisfied(op)) {
            sley_wait_arm(&op->wait);
            r->reader = op;
            sley__pair_pump(&list, r);
            leave_lock(&list, e->pair);
        } else {
            sley__pair_pump(&list, r); /* there is room now: a writer goes on */
            finish(&list, e, op, sley__pair_satisfied(op) ? verdict : sley__pair_failure(op, verdict));
        }
    }
    sley__pair_tell(&list);
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
    struct sley__pair_ended list = {0};
    op->buf = (void *)(uintptr_t)buf;
    op->len = len;
    op->done_bytes = 0;
    op->object = e;
    (void)sley__pair_failure(op, 0); /* the count, if it ends before anything moves */
    if (!sley_wait_begin(&op->wait, &write_ops)) {
        return;
    }
    pthread_mutex_lock(&e->pair->lock);
    const int32_t verdict = write_verdict(e);
    if (verdict < 0 || len == 0) {
        finish(&list, e, op, len == 0 && verdict == -EBUSY ? 0 : verdict);
        sley__pair_tell(&list);
        return;
    }
    (void)sley__pair_fill(r, op);
    if (sley__pair_satisfied(op)) {
        sley__pair_pump(&list, r);
        finish(&list, e, op, sley__pair_success(op));
    } else {
        sley_wait_arm(&op->wait);
        r->writer = op;
        sley__pair_pump(&list, r);
        leave_lock(&list, e->pair);
    }
    sley__pair_tell(&list);
}

static size_t bytes_of(const struct msghdr *m)
{
    size_t sum = 0;
    for (size_t i = 0; i < m->msg_iovlen; i++) {
        sum += sley__pair_least(m->msg_iov[i].iov_len, SIZE_MAX - sum);
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
    struct sley__pair_ended list = {0};
    op->object = e;
    if (!sley_wait_begin(&op->wait, &shutdown_ops)) {
        return;
    }
    pthread_mutex_lock(&e->pair->lock);
    if (e->closed || r->reset) {
        finish(&list, e, op, e->closed ? -EBADF : -ECONNRESET);
        sley__pair_tell(&list);
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
    sley__pair_pump(&list, r);
    finish(&list, e, op, 0);
    sley__pair_tell(&list);
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
    struct sley__pair_ended list = {0};
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
    sley__pair_tell(&list);
}

static int pair_try_read(struct sley_stream *s, void *buf, size_t len)
{
    struct sley_pair_end *e = end_of(s);
    struct sley_pair_ring *r = e->in;
    struct sley_io_op op = {.buf = buf, .len = len, .code = SLEY_IO_RECV};
    struct sley__pair_ended list = {0};
    pthread_mutex_lock(&e->pair->lock);
    int32_t n = e->closed ? -EBADF : r->reader ? -EBUSY : 0;
    if (n == 0 && len > 0) {
        n = r->reset ? 0 : (int32_t)sley__pair_drain(r, &op);
        if (n == 0) {
            n = sley__pair_read_verdict(r, &op);
            n = n == 1 ? -EAGAIN : n;
        }
        sley__pair_pump(&list, r);
    }
    leave_lock(&list, e->pair);
    sley__pair_tell(&list);
    return n;
}

static int pair_try_write(struct sley_stream *s, const void *buf, size_t len)
{
    struct sley_pair_end *e = end_of(s);
    struct sley_io_op op = {.buf = (void *)(uintptr_t)buf, .len = len, .code = SLEY_IO_SEND};
    struct sley__pair_ended list = {0};
    pthread_mutex_lock(&e->pair->lock);
    int32_t n = write_verdict(e);
    if (n == 0 && len > 0) {
        n = (int32_t)sley__pair_fill(e->out, &op);
        n = n > 0 ? n : -EAGAIN;
        sley__pair_pump(&list, e->out);
    }
    leave_lock(&list, e->pair);
    sley__pair_tell(&list);
    return n;
}

/* ---- the end ---------------------------------------------------------------------------------------------------------- */

/** Both directions end, seen from this end. */
static void leave(struct sley__pair_ended *list, struct sley_pair_end *e, bool reset)
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
        sley__pair_end_reader(list, e->in, sley__pair_failure(e->in->reader, -ECANCELED));
    }
    while (e->out->shutdowns) {
        struct sley_io_op *op = e->out->shutdowns;
        e->out->shutdowns = op->next;
        sley__pair_end_op(list, op, -ECANCELED);
    }
    if (e->out->writer) {
        sley__pair_end_writer(list, e->out, sley__pair_failure(e->out->writer, -ECANCELED));
    }
    while (e->watchers) {
        struct sley_io_op *op = e->watchers;
        e->watchers = op->next;
        sley__pair_end_op(list, op, -ECANCELED);
    }
    e->out->ended = true;
    sley__pair_pump(list, e->in);
    sley__pair_pump(list, e->out);
}

static void pair_close_start(struct sley_io_op *op, struct sley_stream *s)
{
    struct sley_pair_end *e = end_of(s);
    struct sley__pair_ended list = {0};
    sley_wait_begin_always(&op->wait, &close_ops);
    pthread_mutex_lock(&e->pair->lock);
    leave(&list, e, false);
    leave_lock(&list, e->pair);
    sley__pair_tell(&list);
    sley_wait_finish(&op->wait, 0);
}

static void pair_abort(struct sley_stream *s)
{
    struct sley_pair_end *e = end_of(s);
    struct sley__pair_ended list = {0};
    pthread_mutex_lock(&e->pair->lock);
    leave(&list, e, true);
    leave_lock(&list, e->pair);
    sley__pair_tell(&list);
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
