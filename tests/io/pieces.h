/* A stream over another one, for tests: it moves one piece at a time, and is without SLEY_STREAM_CAP_ALL. */
#ifndef SLEY_TESTS_IO_PIECES_H
#define SLEY_TESTS_IO_PIECES_H

#include <sley/stream_impl.h>

struct way {
    struct sley_wait_hook hook;
    struct sley_io_op op, *outer;
};

/** A stream over another, without SLEY_STREAM_CAP_ALL: its ops end where those of the other end, on any worker. */
struct pieces {
    struct sley_stream stream, *over;
    struct way in, out;
};

static inline void piece_done(struct sley_wait_hook *hook, struct sley_wait *w)
{
    sley_stream_end(sley_container_of(hook, struct way, hook)->outer, w->result);
}

static const struct sley_wait_ops piece_wait_ops = {.version = SLEY_WAIT_VERSION, .name = "piece"};

static inline bool piece_begin(struct way *way, struct sley_io_op *op)
{
    if (!sley_stream_begin(op, &piece_wait_ops)) {
        return false;
    }
    sley_stream_arm(op);
    way->outer = op;
    way->hook.fn = piece_done;
    return true;
}

static inline void piece_read_start(struct sley_io_op *op, struct sley_stream *s, void *buf, size_t len)
{
    struct pieces *p = sley_container_of(s, struct pieces, stream);
    if (piece_begin(&p->in, op)) {
        sley_stream_read_start(&p->in.op, p->over, buf, len < 7 ? len : 7);
        sley_wait_hook(&p->in.op.wait, &p->in.hook);
    }
}

static inline void piece_write_start(struct sley_io_op *op, struct sley_stream *s, const void *buf, size_t len)
{
    struct pieces *p = sley_container_of(s, struct pieces, stream);
    if (piece_begin(&p->out, op)) {
        sley_stream_write_start(&p->out.op, p->over, buf, len < 5 ? len : 5);
        sley_wait_hook(&p->out.op.wait, &p->out.hook);
    }
}

static inline void piece_shutdown_start(struct sley_io_op *op, struct sley_stream *s)
{
    sley_stream_shutdown_start(op, sley_container_of(s, struct pieces, stream)->over);
}

static inline void piece_close_start(struct sley_io_op *op, struct sley_stream *s)
{
    sley_stream_close_start(op, sley_container_of(s, struct pieces, stream)->over);
}

static inline void piece_abort(struct sley_stream *s)
{
    sley_stream_abort(sley_container_of(s, struct pieces, stream)->over);
}

static const struct sley_stream_ops piece_ops = {
    .version = SLEY_STREAM_VERSION,
    .name = "pieces",
    .read_start = piece_read_start,
    .write_start = piece_write_start,
    .shutdown_start = piece_shutdown_start,
    .close_start = piece_close_start,
    .abort = piece_abort,
};

#endif
