/* A table by number, in chunks: see chunks_impl.h. */
#include <sley/chunks_impl.h>

#include <errno.h>
#include <string.h>

static int grow(struct sley__chunks *c, struct sley_alloc *alloc, uint32_t chunk)
{
    uint32_t count = c->count ? c->count : 8;
    while (count <= chunk) {
        count *= 2;
    }
    void **at = sley_alloc_zeroed(alloc, count * sizeof *at, _Alignof(void *));
    if (!at) {
        return -ENOMEM;
    }
    if (c->at) {
        memcpy(at, c->at, c->count * sizeof *at);
        sley_alloc_put(alloc, c->at, c->count * sizeof *at);
    }
    c->at = at;
    c->count = count;
    return 0;
}

int sley__chunks_make(struct sley__chunks *c, struct sley_alloc *alloc, uint32_t chunk, size_t bytes)
{
    if (chunk >= c->count && grow(c, alloc, chunk) < 0) {
        return -ENOMEM;
    }
    if (!c->at[chunk]) {
        c->at[chunk] = sley_alloc_zeroed(alloc, bytes, 64);
    }
    return c->at[chunk] ? 0 : -ENOMEM;
}

void sley__chunks_free(struct sley__chunks *c, struct sley_alloc *alloc, size_t bytes)
{
    for (uint32_t i = 0; i < c->count; i++) {
        if (c->at[i]) {
            sley_alloc_put(alloc, c->at[i], bytes);
        }
    }
    if (c->at) {
        sley_alloc_put(alloc, c->at, c->count * sizeof *c->at);
    }
}
