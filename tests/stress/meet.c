/* Where tasks meet: each object adds up what went in, and compares with what came out when the last reference goes. */
#include "stress.h"

/* A drop function has no argument of its own; nothing waits between its set-up and its use. */
static _Thread_local uint64_t dropped;

static void drop(void *elem)
{
    uint64_t v;
    memcpy(&v, elem, sizeof v);
    dropped += v;
}

static void *make(size_t bytes)
{
    void *p = calloc(1, bytes);
    EXPECT(p);
    add(&w.objects);
    return p;
}

static bool last(_Atomic uint32_t *refs)
{
    return atomic_fetch_sub_explicit(refs, 1, memory_order_acq_rel) == 1;
}

static void gone(void *p)
{
    atomic_fetch_sub_explicit(&w.objects, 1, memory_order_relaxed);
    free(p);
}

/* ---- pipe ---------------------------------------------------------------------------------------------------------- */

struct pipe *pipe_new(uint32_t capacity, uint32_t producers, uint32_t consumers)
{
    struct pipe *p = make(sizeof *p);
    p->refs = producers + consumers;
    p->producers = producers;
    p->consumers = consumers;
    EXPECT_RC(sley_mpsc_init(&p->ch, p->slots, capacity, sizeof p->slots[0]), 0);
    return p;
}

void pipe_sent(struct pipe *p, uint64_t value)
{
    atomic_fetch_add_explicit(&p->sent, value, memory_order_relaxed);
    tick();
}

void pipe_received(struct pipe *p, uint64_t value)
{
    atomic_fetch_add_explicit(&p->received, value, memory_order_relaxed);
    add(&w.messages);
    tick();
}

static void pipe_unref(struct pipe *p)
{
    if (last(&p->refs)) {
        EXPECT(!p->ch.receivers.head && !p->ch.senders.head);
        dropped = 0;
        sley_mpsc_fini(&p->ch, drop);
        EXPECT(p->sent == p->received + dropped);
        gone(p);
    }
}

void pipe_producer_ends(struct pipe *p)
{
    if (last(&p->producers)) {
        sley_mpsc_close(&p->ch);
    }
    pipe_unref(p);
}

void pipe_consumer_ends(struct pipe *p)
{
    if (last(&p->consumers)) {
        sley_mpsc_close(&p->ch);
    }
    pipe_unref(p);
}

/* ---- once ---------------------------------------------------------------------------------------------------------- */

struct once *once_new(uint32_t refs)
{
    struct once *o = make(sizeof *o);
    o->refs = refs;
    EXPECT_RC(sley_oneshot_init(&o->o, &o->slot, sizeof o->slot), 0);
    return o;
}

void once_unref(struct once *o)
{
    if (last(&o->refs)) {
        dropped = 0;
        sley_oneshot_fini(&o->o, drop);
        EXPECT(o->sent == o->received + dropped);
        gone(o);
    }
}

void once_send(struct once *o, uint64_t value)
{
    if (value % 8 == 0) {
        sley_oneshot_close_send(&o->o);
    } else {
        const int rc = sley_oneshot_send(&o->o, &value);
        EXPECT(rc == 0 || rc == -EPIPE);
        atomic_fetch_add_explicit(&o->sent, rc == 0 ? value : 0, memory_order_relaxed);
    }
    tick();
    once_unref(o);
}

/* ---- bell ---------------------------------------------------------------------------------------------------------- */

struct bell *bell_new(uint32_t refs, uint32_t total)
{
    struct bell *b = make(sizeof *b);
    b->refs = refs;
    b->total = total;
    sley_notify_init(&b->n);
    return b;
}

void bell_ring(struct bell *b)
{
    atomic_fetch_add_explicit(&b->said, 1, memory_order_release);
    sley_notify_set(&b->n);
    tick();
}

bool bell_over(struct bell *b)
{
    if (atomic_load_explicit(&b->said, memory_order_acquire) < b->total) {
        return false;
    }
    sley_notify_set(&b->n);
    return true;
}

void bell_unref(struct bell *b)
{
    if (last(&b->refs)) {
        EXPECT(!b->n.waiters.head);
        sley_notify_fini(&b->n);
        gone(b);
    }
}
