/* The kernel's stock: a ring of buffers of the pool, from which it takes one for a receive when it has something to put there.
 *
 * A pool's buffer is free, in somebody's hands, in stock (`count`), or has been filled from there for somebody who has not asked yet
 * (`kept`, see ahead.c). Invariant: count + kept <= most, half of the pool, so that they do not keep all others waiting. While somebody
 * is in line at the pool nothing is put into stock. Few, used again and again, are in the cache: so there are 16 to begin with, and
 * twice as many when they ran out. */
#include "uring.h"

#include <errno.h>
#include <sys/mman.h>

enum { GROUP = 0, FIRST = 16 };

static size_t ring_bytes(const struct sley__uring_stock *s)
{
    return s->entries * sizeof(struct io_uring_buf);
}

static void put(struct sley__uring_stock *s, const struct sley_lent *l)
{
    struct io_uring_buf *b = &s->at->bufs[s->tail & (s->entries - 1)];
    b->addr = (uint64_t)(uintptr_t)l->data;
    b->len = l->pool->bytes;
    b->bid = (uint16_t)(l - l->pool->lents);
    s->tail++;
    s->count++;
    io_uring_smp_store_release(&s->at->tail, s->tail);
}

void sley__uring_restock(struct sley__uring *r)
{
    struct sley__uring_stock *s = &r->stock;
    struct sley__lender *p = r->base.lend.pool;
    while (s->count + s->kept < s->wanted && !p->first && sley__lender_has(p)) {
        put(s, sley__lender_take(p));
    }
}

static int announce(struct sley__uring *r)
{
    struct io_uring_buf_reg reg = {.ring_addr = (uint64_t)(uintptr_t)r->stock.at, .ring_entries = r->stock.entries, .bgid = GROUP};
    return sley__uring_syscall_register(r->ring.ring_fd, IORING_REGISTER_PBUF_RING, &reg, 1);
}

static void unmap(struct sley__uring *r)
{
    struct sley__uring_stock *s = &r->stock;
    (void)munmap(s->at, ring_bytes(s));
    sley_alloc_put(r->alloc, s->pieces, s->piece_count * sizeof *s->pieces);
    s->at = NULL;
}

/** Makes the ring of buffers. Returns false: there is none to be had, or no buffer to spare. */
static bool prepare(struct sley__uring *r, const struct sley__lender *p)
{
    struct sley__uring_stock *s = &r->stock;
    s->most = p->count / 2;
    if (s->most == 0) {
        return false;
    }
    for (s->entries = 1; s->entries < s->most; s->entries *= 2) {
    }
    void *at = mmap(NULL, ring_bytes(s), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) {
        return false;
    }
    s->at = at;
    s->piece_count = p->count;
    s->pieces = sley_alloc_zeroed(r->alloc, p->count * sizeof *s->pieces, _Alignof(struct sley__uring_piece));
    if (!s->pieces) {
        (void)munmap(at, ring_bytes(s));
        s->at = NULL;
        return false;
    }
    s->wanted = s->most < FIRST ? s->most : FIRST;
    const int rc = announce(r);
    if (rc < 0) {
        unmap(r);
        /* when the ring is another thread's the op will be told so */
        r->features &= rc == -EEXIST ? ~0U : ~(1u << SLEY__URING_BUFFER_RING);
    }
    return rc == 0;
}

bool sley__uring_has_stock(struct sley__uring *r)
{
    const struct sley__lender *p = sley__lender_of(&r->base);
    if (!p || !sley__uring_has(r, SLEY__URING_BUFFER_RING) || (!r->stock.at && !prepare(r, p))) {
        return false;
    }
    if (r->stock.count == 0 && r->stock.kept > 0) {
        sley__uring_stock_ran_out(r); /* into what is not asked for */
    }
    sley__uring_restock(r);
    return r->stock.count > 0;
}

void sley__uring_stock_ran_out(struct sley__uring *r)
{
    struct sley__uring_stock *s = &r->stock;
    s->wanted = s->wanted * 2 < s->most ? s->wanted * 2 : s->most;
}

struct sley_lent *sley__uring_take_from_stock(struct sley__uring *r, uint32_t flags)
{
    r->stock.count--;
    return &r->base.lend.pool->lents[flags >> IORING_CQE_BUFFER_SHIFT];
}

void sley__uring_describe_choice(struct io_uring_sqe *sqe)
{
    sqe->flags = IOSQE_BUFFER_SELECT;
    sqe->buf_group = GROUP;
}

/** Nothing is in flight, and the kernel takes no more. */
static void take_all_back(struct sley__uring *r)
{
    struct sley__uring_stock *s = &r->stock;
    struct sley__lender *p = r->base.lend.pool;
    for (; s->count > 0; s->count--) {
        s->tail--;
        sley__lender_put(p, &p->lents[s->at->bufs[s->tail & (s->entries - 1)].bid]);
    }
}

void sley__uring_stock_again(struct sley__uring *r)
{
    if (!r->stock.at) {
        return;
    }
    take_all_back(r);
    r->stock.tail = 0;
    io_uring_smp_store_release(&r->stock.at->tail, 0);
    if (sley__uring_has(r, SLEY__URING_BUFFER_RING) && announce(r) == 0) {
        sley__uring_restock(r);
    } else { /* what is in the queue is told -ENOBUFS, and goes the other way */
        r->features &= ~(1u << SLEY__URING_BUFFER_RING);
        unmap(r);
    }
}

void sley__uring_stock_free(struct sley__uring *r)
{
    if (r->stock.at) {
        take_all_back(r);
        unmap(r);
    }
}
