/* The task slab: exact sizes, little overhead, blocks never overlap, memory comes back, failures lose nothing. */
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "task/slab.h"

/* Passes on to another allocator, counts bytes, and fails for good after `left` more requests. */
struct meter {
    struct sley_alloc base;
    struct sley_alloc *inner;
    size_t requests, held_bytes, largest_bytes, trims;
    size_t huge_asked; /* chunks that are to be huge pages */
    bool no_huge;      /* refuses these, as mimalloc may */
    size_t left;
};

enum { HUGE_BYTES = 2 << 20 };

static void *meter_alloc(struct sley_alloc *self, size_t bytes, size_t align)
{
    struct meter *m = sley_container_of(self, struct meter, base);
    m->requests++;
    if (m->left == 0) {
        return NULL;
    }
    if (align == HUGE_BYTES) {
        m->huge_asked++;
        if (m->no_huge) {
            return NULL;
        }
    }
    m->left--;
    void *ptr = sley_alloc_get(m->inner, bytes, align);
    if (ptr != NULL) {
        m->held_bytes += bytes;
        m->largest_bytes = bytes > m->largest_bytes ? bytes : m->largest_bytes;
    }
    return ptr;
}

static void meter_free(struct sley_alloc *self, void *ptr, size_t bytes)
{
    struct meter *m = sley_container_of(self, struct meter, base);
    m->held_bytes -= bytes;
    sley_alloc_put(m->inner, ptr, bytes);
}

static void meter_trim(struct sley_alloc *self)
{
    sley_container_of(self, struct meter, base)->trims++;
}

static const struct sley_alloc_ops meter_ops = {
    .version = SLEY_ALLOC_VERSION, .alloc = meter_alloc, .free = meter_free, .trim = meter_trim};
static const struct sley_alloc_ops scarce_ops = {
    .version = SLEY_ALLOC_VERSION, .caps = SLEY_ALLOC_CAP_SCARCE, .alloc = meter_alloc, .free = meter_free};

static void meter_init(struct meter *m, const struct sley_alloc_ops *ops)
{
    *m = (struct meter){.base = {.ops = ops}, .inner = harness_alloc(), .left = SIZE_MAX};
}

/* A block's own bytes follow from its address and size: two that overlap cannot both be right. */
static void fill(void *ptr, size_t bytes)
{
    uint64_t x = ((uint64_t)(uintptr_t)ptr + bytes) * UINT64_C(0x9e3779b97f4a7c15);
    for (size_t i = 0; i < bytes; i++) {
        ((unsigned char *)ptr)[i] = (unsigned char)(x >> 8 * (i % 8)) ^ (unsigned char)i;
    }
}

static void check_fill(const void *ptr, size_t bytes)
{
    uint64_t x = ((uint64_t)(uintptr_t)ptr + bytes) * UINT64_C(0x9e3779b97f4a7c15);
    for (size_t i = 0; i < bytes; i++) {
        unsigned char want = (unsigned char)(x >> 8 * (i % 8)) ^ (unsigned char)i;
        if (((const unsigned char *)ptr)[i] != want) {
            FAIL("byte %zu of a block of %zu was changed", i, bytes);
        }
    }
}

SLEY_TEST(sizes_are_exact_in_steps_of_eight, "")
{
    for (size_t bytes = 9; bytes <= SLEY__SLAB_MAX_BYTES; bytes++) {
        struct sley__slab s;
        sley__slab_init(&s, harness_alloc());
        size_t step = (bytes + 7) / 8 * 8;
        char *a = sley__slab_alloc(&s, bytes), *b = sley__slab_alloc(&s, bytes);
        CHECK_UINT((uintptr_t)a % 8, ==, 0);
        CHECK_PTR(b, ==, a + step);
        fill(a, step);
        fill(b, step);
        check_fill(a, step);
        sley__slab_free(&s, a, bytes);
        check_fill(b, step);
        CHECK_PTR(sley__slab_alloc(&s, step), ==, a); /* last in, first out, within the class */
        sley__slab_free(&s, a, step);
        sley__slab_free(&s, b, bytes);
        sley__slab_fini(&s);
    }
}

SLEY_TEST(other_sizes_pass_straight_through, "")
{
    static const size_t sizes[] = {1, 8, SLEY__SLAB_MAX_BYTES + 1, 100000};
    struct meter m;
    struct sley__slab s;
    meter_init(&m, &meter_ops);
    sley__slab_init(&s, &m.base);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        void *p = sley__slab_alloc(&s, sizes[i]);
        CHECK_PTR(p, !=, 0);
        CHECK_UINT(m.held_bytes, ==, sizes[i]);
        memset(p, 1, sizes[i]);
        sley__slab_free(&s, p, sizes[i]);
        CHECK_UINT(m.held_bytes, ==, 0);
    }
    CHECK_UINT(s.held_bytes, ==, 0);
    sley__slab_fini(&s);
}

SLEY_TEST(init_takes_nothing_and_first_chunks_are_small, "")
{
    struct meter m;
    struct sley__slab s, zeroed;
    memset(&zeroed, 0, sizeof(zeroed));
    sley__slab_fini(NULL);
    sley__slab_fini(&zeroed);
    for (int scarce = 0; scarce < 2; scarce++) {
        meter_init(&m, scarce ? &scarce_ops : &meter_ops);
        sley__slab_init(&s, &m.base);
        CHECK_UINT(sley__slab_trim(&s, 0), ==, 0);
        CHECK_UINT(m.requests, ==, 0);
        CHECK_PTR(sley__slab_alloc(&s, 72), !=, 0);
        CHECK_PTR(sley__slab_alloc(&s, 104), !=, 0); /* another class, the same chunk */
        CHECK_UINT(m.requests, ==, 1);
        CHECK_UINT(m.held_bytes, <=, scarce ? 512 : 4096);
        CHECK_UINT(m.held_bytes, ==, s.held_bytes);
        for (int i = 0; i < 10000; i++) {
            CHECK_PTR(sley__slab_alloc(&s, 72), !=, 0);
        }
        CHECK_UINT(m.largest_bytes, <=, scarce ? 2048 : 65536);
        sley__slab_fini(&s);
        CHECK_UINT(m.held_bytes, ==, 0);
    }
    harness_note("struct sley__slab has %zu bytes", sizeof(struct sley__slab));
}

SLEY_TEST(overhead_is_at_most_two_percent, "")
{
    static const size_t sizes[] = {64, 72, 80, 104, 112, 128, 136, 520, 1000, 1024};
    size_t blocks = 100000;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct meter m;
        struct sley__slab s;
        meter_init(&m, &meter_ops);
        sley__slab_init(&s, &m.base);
        for (size_t k = 0; k < blocks; k++) {
            CHECK_PTR(sley__slab_alloc(&s, sizes[i]), !=, 0);
        }
        harness_note("%zu bytes a block cost %.2f", sizes[i], (double)m.held_bytes / (double)blocks);
        CHECK_UINT(m.held_bytes - s.fresh_bytes, <=, blocks * sizes[i] * 102 / 100);
        CHECK_UINT(m.requests, <=, 20 + m.held_bytes / 60000);
        sley__slab_fini(&s);
    }
}

SLEY_TEST(who_holds_much_has_huge_pages_or_what_there_is, "")
{
    enum { BYTES = 1024, COUNT = 48 << 10 };
    for (int refused = 0; refused <= 1; refused++) {
        struct meter m;
        struct sley__slab s;
        meter_init(&m, &meter_ops);
        m.no_huge = refused;
        sley__slab_init(&s, &m.base);
        void **blocks = calloc(COUNT, sizeof(*blocks));
        for (size_t i = 0; i < COUNT; i++) {
            blocks[i] = sley__slab_alloc(&s, BYTES);
            CHECK_PTR(blocks[i], !=, 0);
            fill(blocks[i], BYTES);
        }
        CHECK_UINT(m.huge_asked, >=, refused ? 100 : 10);
        CHECK_UINT(m.largest_bytes, <=, refused ? 65536 : HUGE_BYTES);
        for (size_t i = 0; i < COUNT; i++) {
            check_fill(blocks[i], BYTES);
            sley__slab_free(&s, blocks[i], BYTES);
        }
        CHECK_UINT(sley__slab_trim(&s, 0), >, 24 << 20);
        sley__slab_fini(&s);
        CHECK_UINT(m.held_bytes, ==, 0);
        free(blocks);
    }
}

struct block {
    unsigned char *ptr;
    size_t bytes;
};

/* Sizes as tasks have them: a few favourites, some of everything, now and then one without a class. */
static size_t random_size(void)
{
    static const size_t usual[] = {72, 80, 104, 112, 128};
    uint64_t dice = harness_rand_below(100);
    if (dice < 70) {
        return usual[dice % 5];
    }
    return dice < 98 ? 1 + harness_rand_below(SLEY__SLAB_MAX_BYTES) : 1 + harness_rand_below(3000);
}

/* Random traffic; `most` blocks at once. Returns how many requests were refused. */
static size_t churn(struct sley__slab *s, unsigned steps, size_t most, bool trims)
{
    struct block *out = calloc(most, sizeof(*out));
    size_t count = 0, refused = 0;
    bool growing = true;
    for (unsigned step = 0; step < steps; step++) {
        if (harness_rand_below(1000) < 3) {
            growing = !growing;
        }
        if (count < most && harness_rand_below(100) < (growing ? 70 : 30)) {
            struct block b = {.bytes = random_size()};
            b.ptr = sley__slab_alloc(s, b.bytes);
            if (b.ptr == NULL) {
                refused++;
                continue;
            }
            CHECK_UINT((uintptr_t)b.ptr % 8, ==, 0);
            fill(b.ptr, b.bytes);
            out[count++] = b;
        } else if (count > 0) {
            size_t pick = harness_rand_below(count);
            check_fill(out[pick].ptr, out[pick].bytes);
            sley__slab_free(s, out[pick].ptr, out[pick].bytes);
            out[pick] = out[--count];
        }
        if (trims && harness_rand_below(500) == 0) {
            size_t held = s->held_bytes, keep = harness_rand_below(3) * 10000;
            CHECK_UINT(sley__slab_trim(s, keep), ==, held - s->held_bytes);
        }
    }
    while (count > 0) {
        struct block b = out[--count];
        check_fill(b.ptr, b.bytes);
        sley__slab_free(s, b.ptr, b.bytes);
    }
    free(out);
    return refused;
}

SLEY_TEST(random_traffic_keeps_blocks_apart_and_all_comes_back, "")
{
    struct meter m;
    struct sley__slab s;
    for (int trims = 0; trims < 2; trims++) {
        meter_init(&m, &meter_ops);
        sley__slab_init(&s, &m.base);
        CHECK_UINT(churn(&s, 200000 / harness_slowness(), 2000, trims != 0), ==, 0);
        size_t held = s.held_bytes;
        CHECK_UINT(held, ==, m.held_bytes);
        CHECK_UINT(sley__slab_trim(&s, 0), ==, held); /* every byte was accounted for */
        CHECK_UINT(m.held_bytes, ==, 0);
        sley__slab_fini(&s);
    }
}

SLEY_TEST(trim_gives_back_wholly_free_chunks_alone, "")
{
    enum { BLOCKS = 20000 };
    static void *blocks[BLOCKS];
    struct meter m;
    struct sley__slab s;
    meter_init(&m, &meter_ops);
    sley__slab_init(&s, &m.base);
    for (size_t i = 0; i < BLOCKS; i++) {
        blocks[i] = sley__slab_alloc(&s, 72);
        fill(blocks[i], 72);
    }
    CHECK_UINT(sley__slab_trim(&s, 0), ==, 0);
    for (size_t i = 0; i < BLOCKS; i++) { /* in any order, but for one in the middle */
        size_t k = i + harness_rand_below(BLOCKS - i);
        void *b = blocks[k];
        blocks[k] = blocks[i];
        blocks[i] = b;
    }
    for (size_t i = 1; i < BLOCKS; i++) {
        sley__slab_free(&s, blocks[i], 72);
    }
    size_t held = m.held_bytes, given = sley__slab_trim(&s, 0);
    CHECK_UINT(given, ==, held - m.held_bytes);
    CHECK_UINT(m.held_bytes, <=, 65536); /* one chunk: that of the block still out */
    CHECK_UINT(m.trims, ==, 1);          /* the sley_alloc was told, too */
    check_fill(blocks[0], 72);
    /* What is left of that chunk is usable: no request until it is full. */
    size_t requests = m.requests, room = (m.held_bytes - 64) / 72 - 1;
    for (size_t i = 0; i < room; i++) {
        fill(sley__slab_alloc(&s, 72), 72);
    }
    CHECK_UINT(m.requests, ==, requests);
    check_fill(blocks[0], 72);
    sley__slab_fini(&s);
    CHECK_UINT(m.held_bytes, ==, 0);
}

SLEY_TEST(trim_keeps_what_it_is_told_and_any_size_uses_it, "")
{
    enum { BLOCKS = 5000 };
    static void *blocks[BLOCKS];
    struct meter m;
    struct sley__slab s;
    meter_init(&m, &meter_ops);
    sley__slab_init(&s, &m.base);
    for (size_t i = 0; i < BLOCKS; i++) {
        blocks[i] = sley__slab_alloc(&s, 72);
    }
    for (size_t i = 0; i < BLOCKS; i++) {
        sley__slab_free(&s, blocks[i], 72);
    }
    sley__slab_trim(&s, 150000);
    CHECK_UINT(m.held_bytes, <=, 150000);
    CHECK_UINT(m.held_bytes, >, 150000 - 65536);
    size_t requests = m.requests;
    for (size_t i = 0; i < 500; i++) {
        fill(sley__slab_alloc(&s, 160), 160);
    }
    CHECK_UINT(m.requests, ==, requests);
    CHECK_UINT(sley__slab_trim(&s, SIZE_MAX), ==, 0);
    sley__slab_fini(&s);
    CHECK_UINT(m.held_bytes, ==, 0);
}

SLEY_TEST(alloc_survives_any_single_refusal, "")
{
    HARNESS_SWEEP_ALLOC(points, 100)
    {
        struct sley__slab s;
        sley__slab_init(&s, harness_alloc());
        for (size_t i = 0; i < 3000; i++) { /* a large chunk refused: a smaller one will do */
            CHECK_PTR(sley__slab_alloc(&s, 72), !=, 0);
        }
        bool before = harness_alloc_refused();
        void *large = sley__slab_alloc(&s, 5000); /* nothing smaller will do here */
        CHECK_INT(large == NULL, ==, !before && harness_alloc_refused());
        if (large != NULL) {
            sley__slab_free(&s, large, 5000);
        }
        sley__slab_fini(&s);
    }
    CHECK_UINT(points, >=, 8);
}

SLEY_TEST(alloc_out_of_memory_for_good_loses_nothing, "")
{
    for (size_t grants = 0; grants < 12; grants++) {
        static struct block out[20000];
        struct meter m;
        struct sley__slab s;
        size_t count = 0;
        meter_init(&m, &meter_ops);
        m.left = grants;
        sley__slab_init(&s, &m.base);
        for (;;) {
            struct block b = {.bytes = count % 3 == 0 ? 104 : 72};
            b.ptr = sley__slab_alloc(&s, b.bytes);
            if (b.ptr == NULL) {
                break;
            }
            fill(b.ptr, b.bytes);
            out[count++] = b;
        }
        CHECK_INT(count > 0, ==, grants > 0);
        CHECK_PTR(sley__slab_alloc(&s, 112), ==, 0);
        for (size_t i = 0; i < count; i++) {
            check_fill(out[i].ptr, out[i].bytes);
        }
        if (count > 0) { /* one comes back: just that one can be had again */
            sley__slab_free(&s, out[0].ptr, out[0].bytes);
            CHECK_PTR(sley__slab_alloc(&s, 112), ==, 0);
            CHECK_PTR(sley__slab_alloc(&s, out[0].bytes), ==, out[0].ptr);
        }
        for (size_t i = 0; i < count; i++) {
            sley__slab_free(&s, out[i].ptr, out[i].bytes);
        }
        CHECK_UINT(sley__slab_trim(&s, 0), >=, count * 72);
        CHECK_UINT(m.held_bytes, ==, 0);
        sley__slab_fini(&s);
    }
}

/* Takes blocks until there are no more; returns how many. */
static size_t exhaust(struct sley__slab *s, size_t bytes, void **ret_blocks, size_t most)
{
    size_t count = 0;
    while (count < most && (ret_blocks[count] = sley__slab_alloc(s, bytes)) != NULL) {
        fill(ret_blocks[count], bytes);
        count++;
    }
    return count;
}

static void give_all(struct sley__slab *s, size_t bytes, void **blocks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        check_fill(blocks[i], bytes);
        sley__slab_free(s, blocks[i], bytes);
    }
}

SLEY_TEST(pool_of_few_kilobytes_is_used_up_by_any_size, "")
{
    static const size_t sizes[] = {72, 24, 240, 128};
    for (size_t kib = 1; kib <= 16; kib *= 2) {
        static _Alignas(16) char memory[16384];
        static void *blocks[1024];
        struct sley_alloc_pool p;
        struct sley__slab s;
        CHECK_RC(sley_alloc_pool_init(&p, memory, kib * 1024), 0);
        sley__slab_init(&s, &p.base);
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            /* No trim in between: what the size before left behind is found when it is needed. */
            size_t count = exhaust(&s, sizes[i], blocks, 1024);
            harness_note("%zu KiB: %zu blocks of %zu", kib, count, sizes[i]);
            CHECK_UINT(count * sizes[i], >=, kib * 1024 * (kib < 4 ? 65 : 85) / 100);
            give_all(&s, sizes[i], blocks, count);
        }
        sley__slab_trim(&s, 0);
        CHECK_UINT(p.used_bytes, ==, 0);
        sley__slab_fini(&s);
        sley_alloc_fini(&p.base);
    }
}

SLEY_TEST(full_pool_splits_larger_blocks_and_still_adds_up, "")
{
    static _Alignas(16) char memory[8192];
    static void *large[128], *small[128];
    struct sley_alloc_pool p;
    struct sley__slab s;
    CHECK_RC(sley_alloc_pool_init(&p, memory, sizeof(memory)), 0);
    sley__slab_init(&s, &p.base);
    size_t count = exhaust(&s, 128, large, 128), freed = 0;
    for (size_t i = 0; i < count; i += 2) { /* no chunk becomes free */
        sley__slab_free(&s, large[i], 128);
        freed++;
    }
    size_t used = p.used_bytes;
    CHECK_UINT(exhaust(&s, 72, small, 128), >=, freed); /* leftovers of chunks may give some more */
    CHECK_UINT(p.used_bytes, >=, used);
    size_t smaller = 0;
    while (sley__slab_alloc(&s, 56) != NULL) { /* the other halves */
        smaller++;
    }
    CHECK_UINT(smaller, >=, freed);
    for (size_t i = 1; i < count; i += 2) {
        check_fill(large[i], 128);
    }
    sley__slab_fini(&s);
    CHECK_UINT(p.used_bytes, ==, 0);
    sley_alloc_fini(&p.base);
}

SLEY_TEST(random_traffic_in_a_full_pool_keeps_blocks_apart, "")
{
    static _Alignas(16) char memory[40960];
    struct sley_alloc_pool p;
    struct sley__slab s;
    CHECK_RC(sley_alloc_pool_init(&p, memory, sizeof(memory)), 0);
    sley__slab_init(&s, &p.base);
    size_t refused = churn(&s, 100000 / harness_slowness(), 500, true);
    CHECK_UINT(refused, >, 0);
    sley__slab_trim(&s, 0);
    CHECK_UINT(p.used_bytes, ==, 0);
    CHECK_UINT(s.held_bytes, ==, 0);
    sley__slab_fini(&s);
    sley_alloc_fini(&p.base);
}

SLEY_TEST(double_free_is_refused_in_debug_builds, "")
{
    struct sley__slab s;
    sley__slab_init(&s, harness_alloc());
    char *a = sley__slab_alloc(&s, 72), *b = sley__slab_alloc(&s, 72);
    CHECK(sley__slab_free(&s, a, 72));
    if (SLEY__SLAB_CHECKS) {
        CHECK(!sley__slab_free(&s, a, 72));
    }
    CHECK(sley__slab_free(&s, b, 72));
    CHECK_PTR(sley__slab_alloc(&s, 72), ==, b);
    CHECK_PTR(sley__slab_alloc(&s, 72), ==, a);
    CHECK_PTR(sley__slab_alloc(&s, 72), ==, b + 72); /* nobody is handed out a second time */
    sley__slab_fini(&s);
}

#ifdef SLEY__ANNOTATE_ASAN
SLEY_TEST(free_blocks_are_poisoned_under_asan, "")
{
    struct sley__slab s;
    sley__slab_init(&s, harness_alloc());
    char *a = sley__slab_alloc(&s, 72), *b = sley__slab_alloc(&s, 72);
    CHECK(__asan_address_is_poisoned(b + 72)); /* fresh memory nobody was given */
    sley__slab_free(&s, a, 72);
    sley__slab_free(&s, b, 72);
    CHECK(__asan_address_is_poisoned(a) && __asan_address_is_poisoned(a + 71));
    CHECK(__asan_address_is_poisoned(b) && __asan_address_is_poisoned(b + 71));
    sley__slab_trim(&s, SIZE_MAX);
    a = sley__slab_alloc(&s, 40);
    CHECK_PTR(__asan_region_is_poisoned(a, 40), ==, 0);
    CHECK(__asan_address_is_poisoned(a + 40));
    sley__slab_fini(&s);
}
#endif
