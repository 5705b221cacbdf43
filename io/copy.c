/* sley_stream_copy: a chain of reads, writes and flushes that goes on by callback, so that no task is needed to drive it. */
#include <sley/stream_impl.h>

/** What has been started last; when that is done, step() goes on from here. */
enum stage { STAGE_READ, STAGE_FLUSH, STAGE_WRITE, STAGE_LAST_FLUSH };

/* Rounds without waiting before others get their turn: 128 KiB, about what a task's budget lets it move. */
enum { ROUNDS = 16 };

/* In op->news. One at a time drives a copy; who comes meanwhile, on another worker perhaps, leaves word and goes. */
enum {
    DRIVEN = 1, /* somebody drives it: all but `news` is his. Set by whoever then does; cleared when there is nothing to do but wait */
    FIRED = 2,  /* what it waits for is done. Set by the hook, cleared by the driver */
    ASKED = 4,  /* it is to end early */
};

static void copy_cancel(struct sley_wait *w);

static const struct sley_wait_ops copy_ops = {
    .version = SLEY_WAIT_VERSION,
    .name = "stream.copy",
    .cancel = copy_cancel,
};

static bool asked(const struct sley_stream_copy_op *op)
{
    /* relaxed: a request, which nothing travels with */
    return (atomic_load_explicit(&op->news, memory_order_relaxed) & ASKED) != 0;
}

static struct sley_wait *end(struct sley_stream_copy_op *op, int32_t result)
{
    if (op->ret_bytes) {
        *op->ret_bytes = op->done_bytes;
    }
    sley_wait_complete(&op->wait, result);
    return NULL;
}

/** Reads the next piece; if that has to wait, what was written so far is flushed meanwhile. */
static struct sley_wait *read_next(struct sley_stream_copy_op *op)
{
    if (asked(op)) {
        return end(op, -ECANCELED);
    }
    op->stage = STAGE_READ;
    sley_stream_read_start(&op->io, op->src, op->buf, sizeof op->buf);
    if (sley_wait_done(&op->io.wait) || !op->dirty) {
        return &op->io.wait;
    }
    op->dirty = false;
    op->stage = STAGE_FLUSH;
    sley_stream_flush_start(&op->flush, op->dst);
    return &op->flush.wait;
}

static struct sley_wait *flushed(struct sley_stream_copy_op *op)
{
    op->stage = STAGE_READ;
    op->failed = op->flush.wait.result < 0 ? op->flush.wait.result : 0;
    if (op->failed) {
        sley_wait_cancel(&op->io.wait);
    }
    return &op->io.wait;
}

static struct sley_wait *have_read(struct sley_stream_copy_op *op)
{
    const int32_t n = op->io.wait.result;
    if (op->failed || n < 0) {
        return end(op, op->failed ? op->failed : n);
    }
    if (n == 0) {
        op->stage = STAGE_LAST_FLUSH;
        sley_stream_flush_start(&op->flush, op->dst);
        return &op->flush.wait;
    }
    op->stage = STAGE_WRITE;
    sley_stream_write_all_start(&op->io, op->dst, op->buf, (size_t)n, &op->chunk_bytes);
    return &op->io.wait;
}

/** What was started last is done. Returns what to wait for next, or NULL when the copy has ended (and may be gone). */
static struct sley_wait *step(struct sley_stream_copy_op *op)
{
    switch ((enum stage)op->stage) {
    case STAGE_FLUSH:
        return flushed(op);
    case STAGE_READ:
        return have_read(op);
    case STAGE_WRITE:
        op->done_bytes += op->chunk_bytes;
        op->dirty = true;
        return op->io.wait.result < 0 ? end(op, op->io.wait.result) : read_next(op);
    case STAGE_LAST_FLUSH:
        break;
    }
    return end(op, op->flush.wait.result < 0 ? op->flush.wait.result : 0);
}

static struct sley_wait *waited_for(struct sley_stream_copy_op *op)
{
    return op->stage == STAGE_FLUSH || op->stage == STAGE_LAST_FLUSH ? &op->flush.wait : &op->io.wait;
}

/** There is nothing to do but wait: true when that has just come to its end. Else the op is no longer the caller's. */
static bool hand_over(struct sley_stream_copy_op *op)
{
    /* acquire: observes what the hook's thread knows of the node; pairs with leave_word */
    uint32_t news = atomic_load_explicit(&op->news, memory_order_acquire);
    for (;;) {
        if (news & FIRED) {
            /* relaxed: only the driver clears it, and it is not set again before the next hook */
            (void)atomic_fetch_and_explicit(&op->news, ~(uint32_t)FIRED, memory_order_relaxed);
            return true;
        }
        if ((news & ASKED) && !op->told) {
            op->told = true;
            sley_wait_cancel(waited_for(op)); /* which may fire the hook, here */
            /* acquire: as above */
            news = atomic_load_explicit(&op->news, memory_order_acquire);
            continue;
        }
        /* release: publishes what the driver has done to the next one; acquire: as above */
        if (atomic_compare_exchange_weak_explicit(&op->news, &news, news & ~(uint32_t)DRIVEN, memory_order_release,
                                                  memory_order_acquire)) {
            return false;
        }
    }
}

/** Tells the driver; true when there is none, and the caller is it. */
static bool leave_word(struct sley_stream_copy_op *op, uint32_t word)
{
    /* acq_rel: as a driver it observes what the one before has done; else its word is observed by hand_over */
    return !(atomic_fetch_or_explicit(&op->news, word | DRIVEN, memory_order_acq_rel) & DRIVEN);
}

/** May calls on the streams be made from here? */
static bool at_home(const struct sley_stream_copy_op *op, const struct sley_sched *s)
{
    return s && (s == op->home || (s->group && s->group == op->home->group));
}

/** Goes on later, out of whatever this thread is in the middle of. */
static void put_off(struct sley_stream_copy_op *op)
{
    struct sley_sched *s = sley_sched_current();
    (void)sley_sched_post(at_home(op, s) ? s : op->home, &op->post); /* never refused while the copy's own task is there */
}

/** As the driver, goes on until something has to be waited for. */
static void run(struct sley_stream_copy_op *op, struct sley_wait *w)
{
    for (int rounds = 0; w != NULL; rounds++) {
        if (!sley_wait_done(w)) {
            op->told = false;
            sley_wait_hook(w, &op->hook);
            if (!hand_over(op)) {
                return;
            }
        }
        if (rounds >= ROUNDS * 2) {
            put_off(op);
            return;
        }
        w = step(op);
    }
}

static void posted(struct sley_post *post)
{
    struct sley_stream_copy_op *op = sley_container_of(post, struct sley_stream_copy_op, post);
    run(op, step(op));
}

static void copy_cancel(struct sley_wait *w)
{
    struct sley_stream_copy_op *op = sley_container_of(w, struct sley_stream_copy_op, wait);
    if (leave_word(op, ASKED) && hand_over(op)) {
        put_off(op);
    }
}

static void hook_fired(struct sley_wait_hook *hook, struct sley_wait *w)
{
    struct sley_stream_copy_op *op = sley_container_of(hook, struct sley_stream_copy_op, hook);
    struct sley_sched *s = sley_sched_current();
    (void)w;
    if (!leave_word(op, FIRED)) {
        return;
    }
    /* relaxed: as in hand_over */
    (void)atomic_fetch_and_explicit(&op->news, ~(uint32_t)FIRED, memory_order_relaxed);
    if (!at_home(op, s) || s->current) {
        /* in the middle of somebody else's task, whose cancellation is not ours, and whose stack may be deep; or not a worker */
        put_off(op);
    } else {
        run(op, step(op));
    }
}

void sley_stream_copy_start(struct sley_stream_copy_op *op, struct sley_stream *dst, struct sley_stream *src,
                            uint64_t *ret_bytes)
{
    if (ret_bytes) {
        *ret_bytes = 0;
    }
    if (!sley_wait_begin(&op->wait, &copy_ops)) {
        return;
    }
    if (!dst || !src || !sley_sched_current()) {
        sley_wait_finish(&op->wait, dst && src ? -ENOTSUP : -EINVAL);
        return;
    }
    op->dst = dst;
    op->src = src;
    op->ret_bytes = ret_bytes;
    op->done_bytes = 0;
    op->hook.fn = hook_fired;
    op->post.fn = posted;
    op->failed = 0;
    op->told = false;
    op->home = sley_sched_current();
    op->dirty = false;
    /* relaxed: nobody else knows the op yet */
    atomic_store_explicit(&op->news, DRIVEN, memory_order_relaxed);
    sley_wait_arm(&op->wait);
    run(op, read_next(op));
}

/** A plain thread waits in each call. */
static int thread_copy(struct sley_stream *dst, struct sley_stream *src, uint64_t *ret_bytes)
{
    unsigned char buf[SLEY_STREAM_COPY_BYTES];
    uint64_t done = 0;
    int rc;
    while ((rc = sley_stream_read(src, buf, sizeof buf)) > 0) {
        size_t moved;
        rc = sley_stream_write_all(dst, buf, (size_t)rc, &moved);
        done += moved;
        if (rc == 0) {
            rc = sley_stream_flush(dst); /* the next read may wait */
        }
        if (rc < 0) {
            break;
        }
    }
    if (ret_bytes) {
        *ret_bytes = done;
    }
    return rc;
}

int sley_stream_copy(struct sley_stream *dst, struct sley_stream *src, uint64_t *ret_bytes)
{
    if (ret_bytes) {
        *ret_bytes = 0;
    }
    const int rc = sley_direct_enter();
    if (rc < 0) {
        return rc;
    }
    if (!dst || !src) {
        return -EINVAL;
    }
    if (!sley_sched_current()) {
        return thread_copy(dst, src, ret_bytes);
    }
    SLEY_OP(struct sley_stream_copy_op, op);
    sley_stream_copy_start(&op, dst, src, ret_bytes);
    return sley_await(&op.wait);
}
