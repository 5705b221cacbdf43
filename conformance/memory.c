/* The counting allocator: a head and a tail around each block, one lock, refusals on request. */
#include "kit.h"

#include <pthread.h>
#include <string.h>

enum { LIVE = 0x51e7a11c, FREED = 0x51e7dead, TAIL_BYTES = 16, TAIL_BYTE = 0xa5, FILL_BYTE = 0xcd, KEPT_MOST = 64 };

struct head {
    size_t bytes, front; /* what was asked for; from the start of the whole block to it */
    uint32_t mark;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static size_t live, count, refuse_at;
static bool refused;
static bool keeps;
static struct kept {
    char *start;
    size_t whole, front; /* bytes of it; as in its head */
} kept[KEPT_MOST];       /* the last one first to go */
static unsigned kept_count;
static struct sley_alloc libc;

static bool admit(void)
{
    (void)pthread_mutex_lock(&lock);
    const bool ok = ++count != refuse_at;
    live += ok;
    refused = refused || !ok;
    (void)pthread_mutex_unlock(&lock);
    return ok;
}

/** A whole block. NULL: none is kept that fits. */
static char *take_kept(size_t whole, size_t front)
{
    char *start = NULL;
    (void)pthread_mutex_lock(&lock);
    for (unsigned i = kept_count; i > 0 && !start; i--) {
        if (kept[i - 1].whole == whole && kept[i - 1].front == front) {
            start = kept[i - 1].start;
            memmove(&kept[i - 1], &kept[i], (--kept_count - (i - 1)) * sizeof kept[0]);
        }
    }
    (void)pthread_mutex_unlock(&lock);
    return start;
}

static void give_back(char *start, size_t whole, size_t front)
{
    (void)pthread_mutex_lock(&lock);
    const bool keep = keeps && kept_count < KEPT_MOST;
    if (keep) {
        kept[kept_count++] = (struct kept){start, whole, front};
    }
    live--;
    (void)pthread_mutex_unlock(&lock);
    if (!keep) {
        sley_alloc_put(&libc, start, whole);
    }
}

static void *counted_alloc(struct sley_alloc *self, size_t bytes, size_t align)
{
    (void)self;
    if (bytes == 0 || align == 0 || (align & (align - 1)) || align > 65536) {
        FAIL("%zu bytes aligned to %zu were asked for", bytes, align);
    }
    if (!admit()) {
        return NULL;
    }
    const size_t front = align > 64 ? align : 64;
    char *start = take_kept(front + bytes + TAIL_BYTES, front);
    start = start ? start : sley_alloc_get(&libc, front + bytes + TAIL_BYTES, front);
    if (!start) {
        SKIP("this machine has no memory left");
    }
    char *block = start + front;
    const struct head head = {bytes, front, LIVE};
    memcpy(block - sizeof head, &head, sizeof head);
    memset(block, FILL_BYTE, bytes); /* nobody may count on zeroes */
    memset(block + bytes, TAIL_BYTE, TAIL_BYTES);
    return block;
}

static void counted_free(struct sley_alloc *self, void *ptr, size_t bytes)
{
    (void)self;
    if (!ptr) {
        return;
    }
    char *block = ptr;
    struct head head;
    memcpy(&head, block - sizeof head, sizeof head);
    if (head.mark != LIVE) {
        FAIL("%s was given back", head.mark == FREED ? "a block twice" : "what is no block of its allocator");
    }
    if (head.bytes != bytes) {
        FAIL("a block of %zu bytes was given back as one of %zu", head.bytes, bytes);
    }
    for (size_t i = 0; i < TAIL_BYTES; i++) {
        if ((unsigned char)block[bytes + i] != TAIL_BYTE) {
            FAIL("a block of %zu bytes was written %zu bytes past its end", bytes, i + 1);
        }
    }
    head.mark = FREED;
    memcpy(block - sizeof head, &head, sizeof head);
    memset(block, FILL_BYTE, bytes);
    give_back(block - head.front, head.front + bytes + TAIL_BYTES, head.front);
}

static const struct sley_alloc_ops counted_ops = {
    .version = SLEY_ALLOC_VERSION,
    .caps = SLEY_ALLOC_CAP_THREADS,
    .alloc = counted_alloc,
    .free = counted_free,
};

struct sley_alloc *sley__kit_alloc(void)
{
    static struct sley_alloc counted = {.ops = &counted_ops};
    if (!libc.ops) {
        (void)sley_alloc_libc_init(&libc);
    }
    return &counted;
}

size_t sley__kit_alloc_live(void)
{
    (void)pthread_mutex_lock(&lock);
    const size_t n = live;
    (void)pthread_mutex_unlock(&lock);
    return n;
}

void sley__kit_refuse(size_t n)
{
    (void)pthread_mutex_lock(&lock);
    count = 0;
    refuse_at = n;
    refused = false;
    (void)pthread_mutex_unlock(&lock);
}

bool sley__kit_refused(void)
{
    (void)pthread_mutex_lock(&lock);
    const bool was = refused;
    (void)pthread_mutex_unlock(&lock);
    return was;
}

void sley__kit_keep(bool keep)
{
    (void)pthread_mutex_lock(&lock);
    keeps = keep;
    while (!keep && kept_count > 0) {
        const struct kept *k = &kept[--kept_count];
        sley_alloc_put(&libc, k->start, k->whole);
    }
    (void)pthread_mutex_unlock(&lock);
}
