/* A stream without CAP_ALL for tests: a byte at a time, of another stream's memory. */
#ifndef SLEY_TEST_DRIP_H
#define SLEY_TEST_DRIP_H

#include "io_test.h"

/** Moves one byte per op; `mute` writes nothing. While `stall` is above 0 an op waits for drip_go. Counts its flushes. */
struct drip {
    struct sley_stream stream;
    struct sley_io_op *waiting;
    unsigned char *bytes; /* what is read, what was written */
    size_t at, len;
    unsigned start_count, flush_count, stall;
    bool mute, stubborn;
};

static inline struct drip *drip_of(struct sley_stream *s)
{
    return sley_container_of(s, struct drip, stream);
}

static inline void drip_cancel(struct sley_wait *w);
static const struct sley_wait_ops drip_wait = {.version = 1, .name = "drip", .cancel = drip_cancel};

/** One byte, or the end. */
static inline int32_t drip_move(struct drip *d, struct sley_io_op *op)
{
    if (d->at == d->len || d->mute) {
        return 0;
    }
    if (op->out_number == 1) {
        d->bytes[d->at++] = *(unsigned char *)op->next;
    } else {
        *(unsigned char *)op->next = d->bytes[d->at++];
    }
    return 1;
}

static inline void drip_start(struct drip *d, struct sley_io_op *op, void *buf, size_t len, int writes)
{
    d->start_count++;
    if (!sley_stream_begin(op, &drip_wait)) {
        return;
    }
    op->next = buf;
    op->out_number = writes;
    if (len == 0) {
        sley_stream_end(op, 0);
    } else if (d->stall > 0) {
        sley_stream_arm(op);
        d->waiting = op;
    } else {
        sley_stream_end(op, drip_move(d, op));
    }
}

/** Ends the op that waits. */
static inline void drip_go(struct drip *d)
{
    struct sley_io_op *op = d->waiting;
    d->waiting = NULL;
    sley_stream_end(op, drip_move(d, op));
}

static struct drip *drip_last;

static inline void drip_cancel(struct sley_wait *w)
{
    struct drip *d = drip_last;
    if (d->waiting && &d->waiting->wait == w) {
        struct sley_io_op *op = d->waiting;
        d->waiting = NULL;
        if (d->stubborn) {
            d->stubborn = false; /* once: its true result came first */
            sley_stream_end(op, drip_move(d, op));
        } else {
            sley_stream_end(op, -ECANCELED);
        }
    }
}

static inline void drip_read_start(struct sley_io_op *op, struct sley_stream *s, void *buf, size_t len)
{
    drip_start(drip_of(s), op, buf, len, 0);
}

static inline void drip_write_start(struct sley_io_op *op, struct sley_stream *s, const void *buf, size_t len)
{
    drip_start(drip_of(s), op, (void *)(uintptr_t)buf, len, 1);
}

static inline void drip_flush_start(struct sley_io_op *op, struct sley_stream *s)
{
    drip_of(s)->flush_count++;
    sley_wait_begin_always(&op->wait, &drip_wait);
    sley_wait_finish(&op->wait, 0);
}

static inline void drip_close_start(struct sley_io_op *op, struct sley_stream *s)
{
    (void)s;
    sley_wait_begin_always(&op->wait, &drip_wait);
    sley_wait_finish(&op->wait, 0);
}

static inline void drip_abort(struct sley_stream *s)
{
    (void)s;
}

static const struct sley_stream_ops drip_ops = {
    .version = SLEY_STREAM_VERSION,
    .name = "drip",
    .read_start = drip_read_start,
    .write_start = drip_write_start,
    .flush_start = drip_flush_start,
    .shutdown_start = drip_close_start,
    .close_start = drip_close_start,
    .abort = drip_abort,
};

static inline void drip_init(struct drip *d, unsigned char *bytes, size_t len)
{
    *d = (struct drip){.stream = {&drip_ops}, .bytes = bytes, .len = len};
    drip_last = d;
}

#endif
