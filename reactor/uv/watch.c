/* Descriptors watched by uv_poll_t: made when an op first has to wait, stopped when none does, closed before the number is. */
#include "loop.h"

#include <errno.h>
#include <poll.h>

/* ---- handles ------------------------------------------------------------------------------------------------------ */

static void on_closed(uv_handle_t *handle)
{
    struct sley__uv *u = handle->data;
    u->open_count--;
}

void sley__uv_close(struct sley__uv *u, uv_handle_t *handle)
{
    handle->data = u;
    uv_close(handle, on_closed);
}

int sley__uv_open(struct sley__uv *u, uv_loop_t *loop, uv_async_cb on_bell)
{
    const int rc = uv_async_init(loop, &u->bell, on_bell);
    if (rc < 0) {
        return rc;
    }
    (void)uv_timer_init(loop, &u->timer);
    u->bell.data = u->timer.data = u;
    u->loop = loop;
    u->open_count += 2;
    return 0;
}

void sley__uv_ring(struct sley__poll *r)
{
    const int saved = errno; /* of the code that a signal handler has interrupted */
    (void)uv_async_send(&sley__uv_of(r)->bell);
    errno = saved;
}

/* ---- the watches' memory ------------------------------------------------------------------------------------------ */

static struct sley__uv_watch *watch_at(const struct sley__uv *u, uint32_t place)
{
    const uint32_t i = place - 1;
    struct sley__uv_watch *watches = u->chunks.at[i >> SLEY__UV_CHUNK_BITS];
    return &watches[i & (SLEY__UV_CHUNK - 1)];
}

/** One that is free, or NULL. */
static struct sley__uv_watch *take_watch(struct sley__uv *u)
{
    struct sley__uv_watch *w = u->free;
    if (w) {
        u->free = w->next;
        return w;
    }
    if (sley__chunks_make(&u->chunks, u->core.alloc, u->watch_count >> SLEY__UV_CHUNK_BITS, SLEY__UV_CHUNK * sizeof *w) < 0) {
        return NULL;
    }
    w = watch_at(u, ++u->watch_count);
    w->place = u->watch_count;
    return w;
}

static void give_watch(struct sley__uv *u, struct sley__uv_watch *w)
{
    w->next = u->free;
    u->free = w;
}

void sley__uv_release(struct sley__uv *u)
{
    sley__chunks_free(&u->chunks, u->core.alloc, SLEY__UV_CHUNK * sizeof(struct sley__uv_watch));
}

/* ---- watching ----------------------------------------------------------------------------------------------------- */

static int open_watch(struct sley__uv *u, struct sley__slot *slot, int number, struct sley__uv_watch **ret_watch)
{
    struct sley__uv_watch *w = take_watch(u);
    if (!w) {
        return -ENOMEM;
    }
    const int rc = uv_poll_init(u->loop, &w->poll, number); /* asks the kernel, so that uv_run need not find out, and abort */
    if (rc < 0) {
        give_watch(u, w);
        return rc;
    }
    uv_unref((uv_handle_t *)&w->poll); /* tasks keep a loop alive, not what they wait for */
    u->open_count++;
    w->poll.data = slot;
    w->owner = u;
    w->next = NULL;
    w->dropping = false;
    w->number = number;
    w->events = w->status = w->reported = 0;
    slot->token = w->place;
    *ret_watch = w;
    return 0;
}

void sley__uv_flush(struct sley__uv *u)
{
    while (u->drops) {
        struct sley__uv_watch *w = u->drops;
        const struct sley__slot *slot = w->poll.data;
        u->drops = w->next_drop;
        w->dropping = false;
        if (!uv_is_closing((uv_handle_t *)&w->poll) && !slot->watched) {
            (void)uv_poll_stop(&w->poll);
            w->events = 0;
        }
    }
}

static void on_watch_closed(uv_handle_t *handle)
{
    struct sley__uv_watch *w = sley_container_of(handle, struct sley__uv_watch, poll);
    w->owner->open_count--;
    give_watch(w->owner, w);
}

static void close_watch(struct sley__uv *u, struct sley__slot *slot)
{
    struct sley__uv_watch *w = watch_at(u, slot->token);
    if (w->dropping) {
        sley__uv_flush(u); /* its place may be another's before the next one */
    }
    w->reported = 0;
    uv_close((uv_handle_t *)&w->poll, on_watch_closed); /* stops it, too: the kernel forgets the number now */
    slot->token = 0;
    slot->watched = 0;
}

void sley__uv_close_all(struct sley__uv *u)
{
    for (uint32_t place = 1; place <= u->watch_count; place++) {
        uv_handle_t *handle = (uv_handle_t *)&watch_at(u, place)->poll;
        if (watch_at(u, place)->owner && !uv_is_closing(handle)) {
            uv_close(handle, on_watch_closed);
        }
    }
    sley__uv_close(u, (uv_handle_t *)&u->bell);
    sley__uv_close(u, (uv_handle_t *)&u->timer);
}

/** For errors alone libuv has no bit. Urgent data has one, which is the rarest of the others. */
static int events_of(uint32_t interest)
{
    const int events = (interest & SLEY_IO_IN ? UV_READABLE : 0) | (interest & SLEY_IO_OUT ? UV_WRITABLE : 0);
    return events ? events : UV_PRIORITIZED;
}

/**
 * Nobody waits any more. A connection's stop is put off, for its task mostly waits again soon, and each stop and start are two
 * system calls; not that of other descriptors, whose numbers may be somebody else's soon.
 */
static void unwatch(struct sley__uv *u, struct sley__uv_watch *w, const struct sley__slot *slot)
{
    w->reported = 0;
    if (!(slot->marks & SLEY__SLOT_SHORT)) {
        (void)uv_poll_stop(&w->poll);
        w->events = 0;
    } else if (w->events && !w->dropping) {
        w->dropping = true;
        w->next_drop = u->drops;
        u->drops = w;
        u->changed = true;
        u->core.base.more |= u->shows_more;
    }
}

int sley__uv_watch(struct sley__poll *r, struct sley__slot *slot, int number, uint32_t interest)
{
    struct sley__uv *u = sley__uv_of(r);
    struct sley__uv_watch *w = slot->token ? watch_at(u, slot->token) : NULL;
    if (interest == 0) {
        slot->watched = 0;
        if (w) {
            unwatch(u, w, slot);
        }
        return 0;
    }
    const int events = events_of(interest);
    int rc = w ? 0 : open_watch(u, slot, number, &w);
    if (rc == 0 && w->events != events) { /* else what is ready is reported again in any case */
        rc = uv_poll_start(&w->poll, events, u->on_poll);
        u->changed = true;
        r->base.more |= u->shows_more;
    }
    if (rc < 0) {
        return rc;
    }
    w->events = events;
    slot->watched = (uint8_t)(interest | SLEY_IO_ERR);
    return 0;
}

/**
 * libuv hides hang-ups, and stops watching when there is an error. Returns: what poll(2) says, after seeing to it that an open
 * descriptor is still watched.
 */
static SLEY_NOINLINE uint32_t ask(struct sley__uv_watch *w, int status)
{
    struct sley__slot *slot = w->poll.data;
    struct pollfd p = {.fd = w->number, .events = (short)(slot->watched & (SLEY_IO_IN | SLEY_IO_OUT))};
    const int n = poll(&p, 1, 0);
    if (status < 0) {
        w->events = 0;
        (void)sley__uv_watch(&w->owner->core, slot, w->number, p.revents & POLLNVAL ? 0 : slot->watched);
    }
    return n > 0 ? (uint32_t)p.revents : 0;
}

void sley__uv_report(struct sley__uv_watch *w, int status, int events)
{
    struct sley__slot *slot = w->poll.data;
    uint32_t ready = (events & UV_READABLE ? SLEY_IO_IN : 0u) | (events & UV_WRITABLE ? SLEY_IO_OUT : 0u);
    if (SLEY_UNLIKELY(status < 0 || slot->polls || !ready)) {
        ready = ask(w, status);
    }
    if (ready) {
        sley__poll_event(&w->owner->core, slot, w->number, ready);
    }
}

/* ---- the core's table: a number's uv_poll_t ends with it ----------------------------------------------------------- */

int sley__uv_adopt(struct sley_reactor *self, struct sley_fd *fd)
{
    const int rc = sley__poll_adopt(self, fd);
    if (rc == 0 && fd->slot->token) {
        close_watch(sley_container_of(self, struct sley__uv, core.base), fd->slot);
    }
    return rc;
}

/** The slot of a number, adopted or not, or NULL. */
static struct sley__slot *find_slot(const struct sley__poll *r, int number)
{
    return sley__chunks_find(&r->chunks, (uint32_t)number >> SLEY__SLOT_BITS) ? sley__poll_slot(r, number) : NULL;
}

void sley__uv_submit(struct sley_reactor *self, struct sley_io_op *op)
{
    if (SLEY_UNLIKELY(op->code == SLEY_IO_CLOSE)) {
        struct sley__uv *u = sley_container_of(self, struct sley__uv, core.base);
        struct sley__slot *slot = find_slot(&u->core, op->fd->number);
        if (slot && slot->token) {
            close_watch(u, slot);
        }
    }
    sley__poll_submit(self, op);
}
