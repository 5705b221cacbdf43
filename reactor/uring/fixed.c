/* Registered memory: a table of the ring's, made when the first piece comes. What finds no room in it, or may not be locked, stays as it
 * is: its ops are plain reads and writes. */
#include "uring.h"

#include <errno.h>
#include <sys/uio.h>

/* Pieces are pools, not single buffers, so that few are many; the kernel keeps 8 bytes for each. */
enum { FIXED_COUNT = 256 };

static struct sley__uring *uring_of(struct sley_reactor *self)
{
    return sley_container_of(self, struct sley__uring, base);
}

static int make_table(struct sley__uring *r)
{
    struct io_uring_rsrc_register table = {.nr = FIXED_COUNT, .flags = IORING_RSRC_REGISTER_SPARSE};
    if (!r->fixed) {
        r->fixed = sley_alloc_zeroed(r->alloc, FIXED_COUNT * sizeof(struct sley_fixed *), _Alignof(struct sley_fixed *));
    }
    const int rc = r->fixed ? sley__uring_syscall_register(r->ring.ring_fd, IORING_REGISTER_BUFFERS2, &table, sizeof table) : -ENOMEM;
    if (rc == -EINVAL) {
        r->features &= ~(1u << SLEY__URING_FIXED_BUFFERS);
    }
    r->has_fixed = rc == 0;
    return rc;
}

/** Puts memory into a place of the table; of 0 bytes: nothing. */
static int put(struct sley__uring *r, uint32_t index, void *base, size_t bytes)
{
    const struct iovec iov = {.iov_base = base, .iov_len = bytes};
    struct io_uring_rsrc_update2 up = {.offset = index, .data = (uint64_t)(uintptr_t)&iov, .nr = 1};
    const int rc = sley__uring_syscall_register(r->ring.ring_fd, IORING_REGISTER_BUFFERS_UPDATE, &up, sizeof up);
    return rc < 0 ? rc : 0;
}

int sley__uring_fixed_add(struct sley_reactor *self, struct sley_fixed *f)
{
    struct sley__uring *r = uring_of(self);
    uint32_t index = 0;
    int rc = sley__uring_has(r, SLEY__URING_FIXED_BUFFERS) ? 0 : -ENOTSUP;
    if (rc == 0 && !r->has_fixed) {
        rc = make_table(r);
    }
    while (rc == 0 && index < FIXED_COUNT && r->fixed[index]) {
        index++;
    }
    if (rc == 0) {
        rc = index < FIXED_COUNT ? put(r, index, f->base, f->bytes) : -ENOSPC;
    }
    if (rc == 0) {
        r->fixed[index] = f;
        f->index = index;
    }
    return rc;
}

void sley__uring_fixed_remove(struct sley_reactor *self, struct sley_fixed *f)
{
    struct sley__uring *r = uring_of(self);
    if (f->index < FIXED_COUNT && r->fixed && r->fixed[f->index] == f) { /* else its home was another one at this address */
        r->fixed[f->index] = NULL;
        (void)put(r, f->index, NULL, 0);
    }
}

void sley__uring_fixed_again(struct sley__uring *r)
{
    const bool had = r->has_fixed;
    r->has_fixed = false;
    const int rc = had ? make_table(r) : -ENOTSUP;
    for (uint32_t i = 0; had && i < FIXED_COUNT; i++) {
        struct sley_fixed *f = r->fixed[i];
        if (f && (rc < 0 || put(r, i, f->base, f->bytes) < 0)) {
            f->index = SLEY__URING_UNFIXED;
            r->fixed[i] = NULL;
        }
    }
}

void sley__uring_fixed_free(struct sley__uring *r)
{
    if (r->fixed) {
        sley_alloc_put(r->alloc, r->fixed, FIXED_COUNT * sizeof(struct sley_fixed *));
    }
}
