/* Reading into buffers that are lent; and for streams that cannot be: a block of its own, which holds the read that fills it.
 *
 * The block is given to the reader with what was read, or released when nothing was. Where tasks are shared a read may end on another
 * worker while its task asks it to end: who of the two is the last to touch the block ends the node (op->stage, changed in one piece). */
#include "tcp.h"

#include <sley/lend_impl.h>
#include <sley/stream_impl.h>

enum { BLOCK_BYTES = 4096 };

enum {
    STAGE_ENDED = 1,  /* the read is over */
    STAGE_ASKING = 2, /* somebody is inside a cancel, and ends the node when it is over */
};

struct block {
    struct sley_lent lent; /* first */
    struct sley_io_op io;
    struct sley_wait_hook hook;
    struct sley_io_op *op;
    struct sley_lent **ret_lent;
    struct sley_alloc *alloc; /* NULL: libc's */
    unsigned char bytes[BLOCK_BYTES];
};

static void block_release(struct sley_lent *l)
{
    struct block *b = sley_container_of(l, struct block, lent);
    struct sley_alloc libc = {0};
    (void)sley_alloc_libc_init(&libc);
    sley_alloc_put(b->alloc ? b->alloc : &libc, b, sizeof *b);
}

static struct block *block_make(void)
{
    struct sley_alloc libc = {0};
    const struct sley_sched *s = sley_sched_current();
    struct sley_alloc *own = s && s->reactor ? s->reactor->lend.alloc : NULL;
    (void)sley_alloc_libc_init(&libc);
    struct block *b = sley_alloc_get(own ? own : &libc, sizeof *b, 64);
    if (b) {
        b->lent = (struct sley_lent){.data = b->bytes, .at.release = block_release};
        b->io = (struct sley_io_op){0};
        b->alloc = own && own->ops != libc.ops ? own : NULL; /* libc's may be a part of an executor that ends before */
    }
    return b;
}

/** The read is over, and nobody touches the block but us. Returns: the result. */
static int32_t take(struct block *b, struct sley_lent **ret_lent)
{
    const int32_t n = b->io.wait.result;
    if (n > 0) {
        *ret_lent = &b->lent;
    } else {
        block_release(&b->lent);
    }
    return n;
}

static void end(struct block *b)
{
    struct sley_io_op *op = b->op;
    const int32_t n = take(b, b->ret_lent);
    sley_wait_complete(&op->wait, n);
}

static void block_hook(struct sley_wait_hook *hook, struct sley_wait *w)
{
    struct block *b = sley_container_of(hook, struct block, hook);
    (void)w;
    /* acq_rel: what the read has written is seen by who ends the node; pairs with block_cancel */
    if (!(__atomic_fetch_or(&b->op->stage, STAGE_ENDED, __ATOMIC_ACQ_REL) & STAGE_ASKING)) {
        end(b);
    }
}

static void block_cancel(struct sley_wait *w)
{
    struct sley_io_op *op = sley_container_of(w, struct sley_io_op, wait);
    struct block *b = op->object;
    /* acq_rel: pairs with block_hook */
    if (__atomic_fetch_or(&op->stage, STAGE_ASKING, __ATOMIC_ACQ_REL) & STAGE_ENDED) {
        return;
    }
    sley_wait_cancel(&b->io.wait);
    /* acq_rel: as above */
    if (__atomic_fetch_and(&op->stage, (uint8_t)~STAGE_ASKING, __ATOMIC_ACQ_REL) & STAGE_ENDED) {
        end(b);
    }
}

static const struct sley_wait_ops block_ops = {.version = SLEY_WAIT_VERSION, .name = "stream.read_lent", .cancel = block_cancel};

void sley__stream_read_block_start(struct sley_io_op *op, struct sley_stream *s, struct sley_lent **ret_lent)
{
    op->stage = 0;
    if (!sley_wait_begin(&op->wait, &block_ops)) {
        return;
    }
    struct block *b = block_make();
    if (!b) {
        sley_wait_finish(&op->wait, -ENOBUFS);
        return;
    }
    sley_stream_read_start(&b->io, s, b->bytes, sizeof b->bytes);
    if (sley_wait_done(&b->io.wait)) {
        sley_wait_finish(&op->wait, take(b, ret_lent));
        return;
    }
    b->op = op;
    b->ret_lent = ret_lent;
    b->hook.fn = block_hook;
    op->object = b;
    sley_wait_arm(&op->wait);
    sley_wait_hook(&b->io.wait, &b->hook);
}

void sley_stream_read_lent_start(struct sley_io_op *op, struct sley_stream *s, struct sley_lent **ret_lent)
{
    *ret_lent = NULL;
    op->kind = 0;
    if (s->ops->version >= 2 && s->ops->read_lent_start) {
        s->ops->read_lent_start(op, s, ret_lent);
    } else {
        sley__stream_read_block_start(op, s, ret_lent);
    }
}

/** A plain thread waits with the block in its hands. */
static int thread_read(struct sley_stream *s, struct sley_lent **ret_lent)
{
    struct block *b = block_make();
    if (!b) {
        return -ENOBUFS;
    }
    b->io.wait.result = sley_stream_read(s, b->bytes, sizeof b->bytes);
    return take(b, ret_lent);
}

int sley_stream_read_lent(struct sley_stream *s, struct sley_lent **ret_lent)
{
    *ret_lent = NULL;
    const int rc = sley_direct_enter();
    if (rc < 0) {
        return rc;
    }
    if (!sley_sched_current()) {
        return thread_read(s, ret_lent);
    }
    struct sley_io_op op;
    /* relaxed: nobody else knows the node */
    atomic_store_explicit(&op.wait.word, 0, memory_order_relaxed);
    op.wait.at.site = NULL;
    sley_stream_read_lent_start(&op, s, ret_lent);
    return sley_await(&op.wait);
}
