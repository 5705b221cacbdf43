/* Allocators keep their table's contract: size, alignment, exhaustion as NULL, nothing lost; the pool coalesces. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "task/alloc_ops.h"

enum { UNIT = 2 * sizeof(void *) };

static void fill(void *ptr, size_t bytes, unsigned char seed)
{
    unsigned char *p = ptr;
    for (size_t i = 0; i < bytes; i++) {
        p[i] = (unsigned char)(seed + i);
    }
}

static void check_fill(const void *ptr, size_t bytes, unsigned char seed)
{
    const unsigned char *p = ptr;
    for (size_t i = 0; i < bytes; i++) {
        if (p[i] != (unsigned char)(seed + i)) {
            FAIL("byte %zu of %zu is %u, not %u", i, bytes, p[i], (unsigned char)(seed + i));
        }
    }
}

/* Every alignment up to `most`, several sizes, all out at once and all intact. */
static void check_table(struct sley_alloc *a, size_t most)
{
    static const size_t sizes[] = {1, 8, 24, 72, 4096};
    enum { SIZES = sizeof(sizes) / sizeof(sizes[0]) };
    void *blocks[17][SIZES];
    CHECK(sley__alloc_valid(a));
    for (unsigned k = 0; (size_t)1 << k <= most; k++) {
        for (size_t i = 0; i < SIZES; i++) {
            blocks[k][i] = sley_alloc_get(a, sizes[i], (size_t)1 << k);
            CHECK_PTR(blocks[k][i], !=, 0);
            CHECK_UINT((uintptr_t)blocks[k][i] & (((uintptr_t)1 << k) - 1), ==, 0);
            fill(blocks[k][i], sizes[i], (unsigned char)(k * SIZES + i));
        }
    }
    for (unsigned k = 0; (size_t)1 << k <= most; k++) {
        for (size_t i = 0; i < SIZES; i++) {
            check_fill(blocks[k][i], sizes[i], (unsigned char)(k * SIZES + i));
            sley_alloc_put(a, blocks[k][i], sizes[i]);
        }
    }
    sley_alloc_put(a, NULL, 72);
    sley_alloc_trim(a);
}

SLEY_TEST(libc_every_alignment_is_kept, "TASK-06")
{
    struct sley_alloc a;
    CHECK_RC(sley_alloc_libc_init(NULL), -EINVAL);
    CHECK_RC(sley_alloc_libc_init(&a), 0);
    CHECK(a.ops->caps & SLEY_ALLOC_CAP_THREADS);
    check_table(&a, 65536);
    sley_alloc_fini(&a);
}

SLEY_TEST(mimalloc_every_alignment_is_kept_or_enotsup, "TASK-06")
{
    struct sley_alloc a = {.heap = &a};
    CHECK_RC(sley_alloc_mimalloc_init(NULL), -EINVAL);
    int rc = sley_alloc_mimalloc_init(&a);
    if (rc == -ENOTSUP) {
        CHECK(a.ops == NULL && a.heap == &a); /* untouched */
        harness_note("built without mimalloc");
        return;
    }
    CHECK_RC(rc, 0);
    CHECK(a.ops->caps & SLEY_ALLOC_CAP_THREADS);
    check_table(&a, 65536);
    sley_alloc_fini(&a);
}

struct swap {
    struct sley_alloc *a;
    pthread_barrier_t barrier;
    void *blocks[4][250];
};

struct swapper {
    struct swap *swap;
    size_t index;
    pthread_t thread;
};

/* Allocates a row, frees the next thread's while that one has perhaps ended already. */
static void *swap_rows(void *arg)
{
    struct swapper *me = arg;
    void **mine = me->swap->blocks[me->index], **other = me->swap->blocks[(me->index + 1) % 4];
    for (size_t i = 0; i < 250; i++) {
        mine[i] = sley_alloc_get(me->swap->a, 8 + i, 8);
        CHECK_PTR(mine[i], !=, 0);
        fill(mine[i], 8 + i, (unsigned char)i);
    }
    pthread_barrier_wait(&me->swap->barrier);
    for (size_t i = 0; i < 250; i++) {
        check_fill(other[i], 8 + i, (unsigned char)i);
        sley_alloc_put(me->swap->a, other[i], 8 + i);
    }
    return NULL;
}

static void check_threads(struct sley_alloc *a)
{
    struct swap swap = {.a = a};
    struct swapper swappers[4];
    CHECK_RC(pthread_barrier_init(&swap.barrier, NULL, 4), 0);
    for (size_t i = 0; i < 4; i++) {
        swappers[i] = (struct swapper){.swap = &swap, .index = i};
        CHECK_RC(pthread_create(&swappers[i].thread, NULL, swap_rows, &swappers[i]), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        CHECK_RC(pthread_join(swappers[i].thread, NULL), 0);
    }
    CHECK_RC(pthread_barrier_destroy(&swap.barrier), 0);
}

SLEY_TEST(threads_free_each_others_blocks, "")
{
    struct sley_alloc a;
    CHECK_RC(sley_alloc_libc_init(&a), 0);
    check_threads(&a);
    sley_alloc_fini(&a);
    if (sley_alloc_mimalloc_init(&a) == 0) {
        check_threads(&a);
        sley_alloc_fini(&a);
    }
}

static unsigned finis;

static void *no_memory(struct sley_alloc *self, size_t bytes, size_t align)
{
    (void)self, (void)bytes, (void)align;
    return NULL;
}

static void no_free(struct sley_alloc *self, void *ptr, size_t bytes)
{
    (void)self, (void)ptr, (void)bytes;
}

static void count_fini(struct sley_alloc *self)
{
    (void)self;
    finis++;
}

SLEY_TEST(valid_wants_version_and_required_slots, "")
{
    struct sley_alloc_ops ops = {.version = SLEY_ALLOC_VERSION, .alloc = no_memory, .free = no_free};
    struct sley_alloc a = {.ops = &ops};
    CHECK(sley__alloc_valid(&a));
    CHECK(!sley__alloc_valid(NULL));
    CHECK(!sley__alloc_valid(&(struct sley_alloc){.ops = NULL}));
    ops.version = 0;
    CHECK(!sley__alloc_valid(&a));
    ops.version = SLEY_ALLOC_VERSION + 1;
    CHECK(sley__alloc_valid(&a));
    ops.alloc = NULL;
    CHECK(!sley__alloc_valid(&a));
    ops.alloc = no_memory;
    ops.free = NULL;
    CHECK(!sley__alloc_valid(&a));
}

SLEY_TEST(fini_runs_once_and_takes_null_and_zeroed, "")
{
    const struct sley_alloc_ops ops = {.version = SLEY_ALLOC_VERSION, .alloc = no_memory, .free = no_free, .fini = count_fini};
    struct sley_alloc a = {.ops = &ops}, zeroed = {.ops = NULL};
    sley_alloc_fini(NULL);
    sley_alloc_fini(&zeroed);
    sley_alloc_trim(&a); /* no such slot: nothing */
    sley_alloc_fini(&a);
    sley_alloc_fini(&a);
    CHECK_UINT(finis, ==, 1);
}

SLEY_TEST(pool_init_refuses_what_cannot_hold_a_block, "")
{
    _Alignas(UNIT) char memory[2 * UNIT];
    struct sley_alloc_pool p;
    CHECK_RC(sley_alloc_pool_init(NULL, memory, sizeof(memory)), -EINVAL);
    CHECK_RC(sley_alloc_pool_init(&p, NULL, 4096), -EINVAL);
    CHECK_RC(sley_alloc_pool_init(&p, memory, 0), -EINVAL);
    CHECK_RC(sley_alloc_pool_init(&p, memory, UNIT - 1), -EINVAL);
    CHECK_RC(sley_alloc_pool_init(&p, memory + 1, 2 * UNIT - 2), -EINVAL);
    CHECK_RC(sley_alloc_pool_init(&p, memory + 1, 2 * UNIT - 1), 0);
    CHECK_UINT(p.total_bytes, ==, UNIT);
    void *only = sley_alloc_get(&p.base, 1, 1);
    CHECK_PTR(only, ==, memory + UNIT);
    CHECK_PTR(sley_alloc_get(&p.base, 1, 1), ==, 0);
    sley_alloc_put(&p.base, only, 1);
    sley_alloc_fini(&p.base);
}

SLEY_TEST(pool_alignments_are_kept, "TASK-06")
{
    size_t bytes = 1024 * 1024;
    char *memory = malloc(bytes);
    struct sley_alloc_pool p;
    CHECK_RC(sley_alloc_pool_init(&p, memory, bytes), 0);
    CHECK_UINT(p.base.ops->caps, ==, SLEY_ALLOC_CAP_SCARCE);
    check_table(&p.base, 65536);
    CHECK_UINT(p.used_bytes, ==, 0);
    void *whole = sley_alloc_get(&p.base, p.total_bytes, 8); /* what alignment skipped came back too */
    CHECK_PTR(whole, !=, 0);
    sley_alloc_put(&p.base, whole, p.total_bytes);
    sley_alloc_fini(&p.base);
    free(memory);
}

SLEY_TEST(pool_exhausted_gives_null_and_wastes_nothing, "")
{
    enum { BLOCKS = 64 };
    _Alignas(64) char memory[BLOCKS * 64 + 64];
    struct sley_alloc_pool p;
    void *blocks[BLOCKS];
    fill(memory, sizeof(memory), 3);
    CHECK_RC(sley_alloc_pool_init(&p, memory, BLOCKS * 64), 0);
    CHECK_PTR(sley_alloc_get(&p.base, BLOCKS * 64 + 1, 8), ==, 0);
    CHECK_PTR(sley_alloc_get(&p.base, SIZE_MAX, 8), ==, 0);
    for (size_t i = 0; i < BLOCKS; i++) {
        blocks[i] = sley_alloc_get(&p.base, 64, 64);
        CHECK_PTR(blocks[i], ==, memory + i * 64); /* no header between them */
        memset(blocks[i], 0xee, 64);
    }
    CHECK_PTR(sley_alloc_get(&p.base, 1, 1), ==, 0);
    CHECK_UINT(p.used_bytes, ==, BLOCKS * 64);
    for (size_t i = 0; i < BLOCKS; i += 2) {
        sley_alloc_put(&p.base, blocks[i], 64);
    }
    CHECK_PTR(sley_alloc_get(&p.base, 65, 8), ==, 0); /* half is free, but nowhere two neighbours */
    for (size_t i = 1; i < BLOCKS; i += 2) {
        sley_alloc_put(&p.base, blocks[i], 64);
    }
    void *whole = sley_alloc_get(&p.base, BLOCKS * 64, 8);
    CHECK_PTR(whole, ==, memory);
    sley_alloc_put(&p.base, whole, BLOCKS * 64);
    CHECK_UINT(p.peak_bytes, ==, BLOCKS * 64);
    sley_alloc_fini(&p.base);
    check_fill(memory + BLOCKS * 64, 64, (unsigned char)(3 + BLOCKS * 64));
}

SLEY_TEST(pool_refuses_frees_that_cannot_be, "")
{
    enum { BLOCKS = 8 };
    static _Alignas(UNIT) char around[UNIT + BLOCKS * 64], elsewhere[64];
    char *memory = around + UNIT;
    struct sley_alloc_pool p;
    char *blocks[BLOCKS];
    CHECK_RC(sley_alloc_pool_init(&p, memory, BLOCKS * 64), 0);
    for (size_t i = 0; i < BLOCKS; i++) {
        blocks[i] = sley_alloc_get(&p.base, 64, 8);
        CHECK_PTR(blocks[i], ==, memory + i * 64);
    }
    sley_alloc_put(&p.base, blocks[2], 64);
    sley_alloc_put(&p.base, blocks[4], 64);
    size_t used = p.used_bytes;
    struct {
        char *ptr;
        size_t bytes;
    } wrong[] = {
        {blocks[2], 64},          {blocks[4], 16},        /* twice */
        {blocks[1], 65},          {blocks[3], SIZE_MAX},  /* reaches into a free neighbour; absurd */
        {elsewhere, 64},          {blocks[4] + UNIT, 16}, /* foreign; inside a free piece */
        {blocks[7], 80},          {around, 64},           /* past the end; before the beginning */
        {blocks[0] + UNIT / 2, 8}                         /* no block begins there */
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        sley_alloc_put(&p.base, wrong[i].ptr, wrong[i].bytes);
        CHECK_UINT(p.refused_count, ==, i + 1);
        CHECK_UINT(p.used_bytes, ==, used);
    }
    for (size_t i = 0; i < BLOCKS; i++) {
        if (i != 2 && i != 4) {
            sley_alloc_put(&p.base, blocks[i], 64);
        }
    }
    CHECK_UINT(p.used_bytes, ==, 0);
    CHECK_PTR(sley_alloc_get(&p.base, BLOCKS * 64, 8), ==, memory);
    sley_alloc_fini(&p.base);
}

/* Blocks that are out; the pool's memory as they see it. */
struct shadow {
    unsigned char *ptr;
    size_t bytes, align;
    unsigned char seed;
};

static size_t rounded(size_t bytes)
{
    return (bytes + UNIT - 1) / UNIT * UNIT;
}

/* Is there a place for such a block, as a map of units (true: taken) has it? */
static bool map_has_room(const bool *map, size_t units, const char *memory, size_t bytes, size_t align)
{
    size_t run = 0, need = rounded(bytes) / UNIT;
    for (size_t i = 0; i < units; i++) {
        if (map[i]) {
            run = 0;
        } else if (run > 0 || (uintptr_t)(memory + i * UNIT) % align == 0) {
            run++;
        }
        if (run == need) {
            return true;
        }
        /* A run begins at the first aligned free unit; with align > UNIT a later begin only leaves less room. */
    }
    return false;
}

SLEY_TEST(pool_random_operations_match_a_map, "")
{
    enum { UNITS = 256, MOST = 64 };
    _Alignas(256) char memory[UNITS * UNIT];
    static bool map[UNITS];
    static struct shadow out[MOST];
    size_t count = 0, refused = 0, used = 0;
    struct sley_alloc_pool p;
    CHECK_RC(sley_alloc_pool_init(&p, memory, sizeof(memory)), 0);
    for (unsigned step = 0; step < 200000 / harness_slowness(); step++) {
        if (count < MOST && harness_rand_below(100) < 55) {
            struct shadow b = {
                .bytes = 1 + harness_rand_below(160), .align = (size_t)1 << harness_rand_below(9), .seed = (unsigned char)step};
            bool room = map_has_room(map, UNITS, memory, b.bytes, b.align);
            b.ptr = sley_alloc_get(&p.base, b.bytes, b.align);
            CHECK_INT(b.ptr != NULL, ==, room);
            if (b.ptr == NULL) {
                refused++;
                continue;
            }
            CHECK_UINT((uintptr_t)b.ptr % b.align, ==, 0);
            size_t at = (size_t)(b.ptr - (unsigned char *)memory) / UNIT;
            for (size_t i = 0; i < rounded(b.bytes) / UNIT; i++) {
                CHECK(!map[at + i]);
                map[at + i] = true;
            }
            fill(b.ptr, b.bytes, b.seed);
            used += rounded(b.bytes);
            out[count++] = b;
        } else if (count > 0) {
            size_t pick = harness_rand_below(count);
            struct shadow b = out[pick];
            out[pick] = out[--count];
            check_fill(b.ptr, b.bytes, b.seed);
            size_t at = (size_t)(b.ptr - (unsigned char *)memory) / UNIT;
            memset(map + at, 0, rounded(b.bytes) / UNIT);
            sley_alloc_put(&p.base, b.ptr, b.bytes);
            used -= rounded(b.bytes);
        }
        CHECK_UINT(p.used_bytes, ==, used);
    }
    CHECK_UINT(refused, >, 0); /* the pool was full now and then */
    while (count > 0) {
        struct shadow b = out[--count];
        check_fill(b.ptr, b.bytes, b.seed);
        sley_alloc_put(&p.base, b.ptr, b.bytes);
    }
    CHECK_UINT(p.used_bytes, ==, 0);
    CHECK_PTR(sley_alloc_get(&p.base, sizeof(memory), 256), ==, memory);
    sley_alloc_fini(&p.base);
}
