/* The counting allocator: header and tail around each block, one lock, refusals on request. */
#include "harness_impl.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { LIVE = 0x51e7a11c, FREED = 0x51e7dead, TAIL_BYTES = 16, TAIL_BYTE = 0xa5, FILL_BYTE = 0xcd };

struct head {
    size_t bytes;
    void *start; /* what malloc returned */
    uint32_t mark;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static size_t live, count, refuse_at;
static bool refused;

static bool admit(void)
{
    pthread_mutex_lock(&lock);
    count++;
    bool ok = count != refuse_at;
    if (ok) {
        live++;
    } else {
        refused = true;
    }
    pthread_mutex_unlock(&lock);
    return ok;
}

static void *counted_alloc(struct sley_alloc *self, size_t bytes, size_t align)
{
    (void)self;
    if (bytes == 0 || align == 0 || (align & (align - 1)) != 0 || align > 2 << 20) {
        FAIL("alloc asked for %zu bytes aligned to %zu", bytes, align);
    }
    if (!admit()) {
        return NULL;
    }
    if (align < _Alignof(max_align_t)) {
        align = _Alignof(max_align_t);
    }
    char *start = malloc(sizeof(struct head) + align + bytes + TAIL_BYTES);
    CHECK_PTR(start, !=, 0);
    uintptr_t first = (uintptr_t)start + sizeof(struct head) + align - 1;
    char *block = start + ((first & ~(uintptr_t)(align - 1)) - (uintptr_t)start);
    struct head head = {bytes, start, LIVE};
    memcpy(block - sizeof head, &head, sizeof head);
    memset(block, FILL_BYTE, bytes); /* nobody may count on zeroes */
    memset(block + bytes, TAIL_BYTE, TAIL_BYTES);
    return block;
}

static void counted_free(struct sley_alloc *self, void *ptr, size_t bytes)
{
    (void)self;
    if (ptr == NULL) {
        return;
    }
    char *block = ptr;
    struct head head;
    memcpy(&head, block - sizeof head, sizeof head);
    if (head.mark != LIVE) {
        FAIL("%p freed %s", ptr, head.mark == FREED ? "twice" : "that is no block of this allocator");
    }
    if (head.bytes != bytes) {
        FAIL("block of %zu bytes freed as one of %zu", head.bytes, bytes);
    }
    for (size_t i = 0; i < TAIL_BYTES; i++) {
        if ((unsigned char)block[bytes + i] != TAIL_BYTE) {
            FAIL("block of %zu bytes written %zu bytes past its end", bytes, i + 1);
        }
    }
    head.mark = FREED;
    memcpy(block - sizeof head, &head, sizeof head);
    memset(block, FILL_BYTE, bytes);
    free(head.start);
    pthread_mutex_lock(&lock);
    live--;
    pthread_mutex_unlock(&lock);
}

static const struct sley_alloc_ops counted_ops = {
    .version = SLEY_ALLOC_VERSION,
    .caps = SLEY_ALLOC_CAP_THREADS,
    .alloc = counted_alloc,
    .free = counted_free,
};

struct sley_alloc *harness_alloc(void)
{
    static struct sley_alloc counted = {.ops = &counted_ops};
    return &counted;
}

size_t harness_alloc_live(void)
{
    pthread_mutex_lock(&lock);
    size_t n = live;
    pthread_mutex_unlock(&lock);
    return n;
}

size_t harness_alloc_count(void)
{
    pthread_mutex_lock(&lock);
    size_t n = count;
    pthread_mutex_unlock(&lock);
    return n;
}

void harness_fail_at(size_t n)
{
    pthread_mutex_lock(&lock);
    count = 0;
    refuse_at = n;
    refused = false;
    pthread_mutex_unlock(&lock);
}

bool harness_alloc_refused(void)
{
    pthread_mutex_lock(&lock);
    bool was = refused;
    pthread_mutex_unlock(&lock);
    return was;
}

void harness_alloc_start(void)
{
    live = 0;
    harness_fail_at(0);
}

struct harness_sweep harness_sweep_begin(const char *file, int line, size_t max)
{
    return (struct harness_sweep){.file = file, .line = line, .max = max, .live = harness_alloc_live()};
}

bool harness_sweep_next(struct harness_sweep *s, size_t *ret_points)
{
    if (s->started) {
        size_t now = harness_alloc_live();
        if (now != s->live) {
            harness_fail(s->file, s->line, "%zu blocks kept after allocation %zu was refused", now - s->live, s->at);
        }
        if (!harness_alloc_refused()) {
            harness_fail_at(0);
            return false;
        }
        *ret_points = s->at;
    }
    s->started = true;
    s->at++;
    if (s->at > s->max) {
        harness_fail(s->file, s->line, "more than %zu allocations", s->max);
    }
    harness_fail_at(s->at);
    return true;
}
