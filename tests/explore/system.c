/* What the layer's macros call, and the system around the threads: futexes, membarrier, time, and memory that is never reused. */
#include "layer.h"

#include "engine.h"

#include <errno.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <stdarg.h>
#include <sys/syscall.h>

#undef memset
#undef memcpy

enum { ARENA_BYTES = 1 << 18, ARENA_UNIT = 8 };

static _Alignas(64) char arena[ARENA_BYTES];
static unsigned char freed[ARENA_BYTES / ARENA_UNIT];
static size_t arena_used, arena_live;

/* ---- accesses ------------------------------------------------------------------------------------------------------ */

/** The bug that this run plants here, if it does. */
static int planted(enum explore_kind kind, const char *func)
{
    const struct explore_planted *p = run.s ? run.s->planted : NULL;
    return run.current >= 0 && p && p->kind == kind && strcmp(p->func, func) == 0 ? (int)p->how : -1;
}

static struct access make(enum explore_kind kind, const volatile void *p, unsigned size, int order, EXPLORE__AT_ARG)
{
    return (struct access){.kind = kind,
                           .addr = (uintptr_t)p,
                           .size = size,
                           .order = planted(kind, func) == EXPLORE_RELAX ? (int)memory_order_relaxed : order,
                           .file = file,
                           .func = func,
                           .line = line};
}

uint64_t explore__load(const volatile void *p, unsigned size, int order, EXPLORE__AT_ARG)
{
    struct access a = make(EXPLORE_LOAD, p, size, order, file, func, line);
    thread_access(&a);
    races_atomic(a.addr, size, false);
    return a.result;
}

void explore__store(volatile void *p, unsigned size, uint64_t value, int order, EXPLORE__AT_ARG)
{
    struct access a = make(EXPLORE_STORE, p, size, order, file, func, line);
    a.value = value;
    if (planted(EXPLORE_STORE, func) == EXPLORE_DROP) {
        return;
    }
    thread_access(&a);
    races_atomic(a.addr, size, true);
}

static uint64_t computed(enum explore_kind kind, uint64_t old, uint64_t operand)
{
    return kind == EXPLORE_ADD   ? old + operand
           : kind == EXPLORE_SUB ? old - operand
           : kind == EXPLORE_OR  ? old | operand
           : kind == EXPLORE_AND ? old & operand
           : kind == EXPLORE_XOR ? old ^ operand
                                 : operand;
}

uint64_t explore__rmw(enum explore_kind kind, volatile void *p, unsigned size, uint64_t value, int order, EXPLORE__AT_ARG)
{
    if (planted(kind, func) == EXPLORE_SPLIT) {
        const uint64_t old = explore__load(p, size, order, file, func, line);
        explore__store(p, size, computed(kind, old, value), order, file, func, line);
        return old;
    }
    struct access a = make(kind, p, size, order, file, func, line);
    a.value = planted(kind, func) == EXPLORE_DROP ? 0 : value;
    thread_access(&a);
    races_atomic(a.addr, size, true);
    return a.result;
}

bool explore__cas(volatile void *p, unsigned size, uint64_t *expected, uint64_t value, int order, int fail_order, bool weak,
                  EXPLORE__AT_ARG)
{
    if (planted(EXPLORE_CAS, func) == EXPLORE_SPLIT) {
        const uint64_t old = explore__load(p, size, order, file, func, line);
        const bool same = old == *expected;
        if (same) {
            explore__store(p, size, value, order, file, func, line);
        }
        *expected = old;
        return same;
    }
    struct access a = make(EXPLORE_CAS, p, size, order, file, func, line);
    a.expected = *expected;
    a.value = value;
    a.fail_order = fail_order;
    a.weak = weak;
    thread_access(&a);
    races_atomic(a.addr, size, a.ok);
    *expected = a.result;
    return a.ok;
}

void explore__fence(int order, EXPLORE__AT_ARG)
{
    struct access a = make(EXPLORE_FENCE, NULL, 0, order, file, func, line);
    if (planted(EXPLORE_FENCE, func) != EXPLORE_DROP) {
        thread_access(&a);
    }
}

void explore__pause(EXPLORE__AT_ARG)
{
    struct access a = make(EXPLORE_PAUSE, NULL, 0, memory_order_relaxed, file, func, line);
    thread_access(&a);
}

/* ---- the system ---------------------------------------------------------------------------------------------------- */

void system_reset(void)
{
    memset(freed, 0, arena_used / ARENA_UNIT);
    memset(arena, 0xa5, arena_used);
    arena_used = arena_live = 0;
    run.now_ns = 1;
}

void system_ended(void)
{
    if (arena_live != 0) {
        explore_fail("%zu bytes of explore_alloc() were not given back", arena_live);
    }
}

uint64_t explore_now_ns(void)
{
    return run.now_ns;
}

int explore__clock(struct timespec *ret)
{
    *ret = (struct timespec){(time_t)(run.now_ns / 1000000000), (long)(run.now_ns % 1000000000)};
    return 0;
}

/** Sleeps while the word is @p value: one step that looks and falls asleep, one that wakes up. */
static long futex_wait(struct access *a, uint32_t value, const struct timespec *until)
{
    struct thread *t = run.current >= 0 ? &run.threads[run.current] : NULL;
    if (!t) {
        return 0;
    }
    a->can_end = until != NULL || (run.s->spurious && !t->woken_early);
    a->expected = value;
    thread_access(a);
    if (a->result != value) {
        errno = EAGAIN;
        return -1;
    }
    t->until_ns = until ? (uint64_t)until->tv_sec * 1000000000 + (uint64_t)until->tv_nsec : 0;
    a->kind = EXPLORE_WOKEN;
    thread_access(a);
    const bool timed_out = t->asleep;
    t->asleep = false;
    t->woken_early = t->woken_early || (timed_out && !until);
    if (timed_out && run.now_ns < t->until_ns) {
        run.now_ns = t->until_ns;
    }
    errno = timed_out ? ETIMEDOUT : 0;
    return timed_out ? -1 : 0;
}

void system_wake(struct access *a)
{
    for (a->result = 0; a->result < a->value; a->result++) {
        struct thread *sleepers[EXPLORE_THREADS];
        unsigned n = 0;
        for (unsigned i = 0; i < run.thread_count; i++) {
            struct thread *t = &run.threads[i];
            if (t->state == THREAD_AT_ACCESS && t->next.kind == EXPLORE_WOKEN && t->asleep && t->next.addr == a->addr) {
                sleepers[n++] = t;
            }
        }
        if (n == 0) {
            return;
        }
        struct thread *t = sleepers[n > 1 ? search_choose(n) : 0];
        t->asleep = false;
        t->woken_by = search_event();
    }
}

static long futex(struct access *a, va_list more)
{
    const int op = va_arg(more, int) & ~(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME);
    const uint32_t value = va_arg(more, uint32_t);
    if (op == FUTEX_WAIT_BITSET || op == FUTEX_WAIT) {
        const struct timespec *until = va_arg(more, const struct timespec *);
        return futex_wait(a, value, until);
    }
    if (op != FUTEX_WAKE) {
        explore_fail("futex operation %d is not modelled", op);
    }
    if (run.current >= 0 && planted(EXPLORE_FUTEX_WAKE, a->func) != EXPLORE_DROP) {
        a->kind = EXPLORE_FUTEX_WAKE;
        a->value = value;
        thread_access(a);
    }
    return (long)a->result;
}

/** Returns when each other thread's buffer was empty at some moment since the call. */
static long membarrier(struct access *a, int command)
{
    if (command != MEMBARRIER_CMD_PRIVATE_EXPEDITED || run.current < 0 || planted(EXPLORE_BARRIER, a->func) == EXPLORE_DROP) {
        return 0;
    }
    struct thread *t = &run.threads[run.current];
    a->kind = EXPLORE_BARRIER;
    for (unsigned i = 0; i < run.thread_count; i++) {
        if ((int)i != run.current) {
            t->barrier_at = i;
            thread_access(a);
        }
    }
    return 0;
}

long explore__syscall(EXPLORE__AT_ARG, long number, ...)
{
    va_list more;
    va_start(more, number);
    long rc = 0;
    if (number == SYS_futex) {
        struct access a = make(EXPLORE_FUTEX_WAIT, va_arg(more, void *), 4, memory_order_relaxed, file, func, line);
        rc = futex(&a, more);
    } else if (number == SYS_membarrier) {
        struct access a = make(EXPLORE_BARRIER, NULL, 0, memory_order_seq_cst, file, func, line);
        rc = membarrier(&a, va_arg(more, int));
    } else {
        explore_fail("system call %ld is not modelled", number);
    }
    va_end(more);
    return rc;
}

/* ---- memory -------------------------------------------------------------------------------------------------------- */

bool arena_freed(uintptr_t addr)
{
    const uintptr_t at = addr - (uintptr_t)arena;
    return at < arena_used && freed[at / ARENA_UNIT];
}

static void *arena_alloc(struct sley_alloc *self, size_t bytes, size_t align)
{
    (void)self;
    const size_t at = (arena_used + (align - 1)) & ~(align - 1);
    const size_t end = (at + bytes + ARENA_UNIT - 1) & ~(size_t)(ARENA_UNIT - 1);
    if (end > ARENA_BYTES) {
        explore_fail("an execution allocates more than %d bytes", ARENA_BYTES);
    }
    arena_used = end;
    arena_live += bytes;
    return arena + at;
}

static void arena_free(struct sley_alloc *self, void *ptr, size_t bytes)
{
    (void)self;
    if (!ptr) {
        return;
    }
    if (arena_freed((uintptr_t)ptr)) {
        explore_fail("%p is freed twice", ptr);
    }
    races_free((uintptr_t)ptr, bytes);
    memset(ptr, 0x5a, bytes);
    memset(&freed[((char *)ptr - arena) / ARENA_UNIT], 1, (bytes + ARENA_UNIT - 1) / ARENA_UNIT);
    arena_live -= bytes;
}

static const struct sley_alloc_ops arena_ops = {
    .version = SLEY_ALLOC_VERSION,
    .caps = SLEY_ALLOC_CAP_THREADS | SLEY_ALLOC_CAP_SCARCE,
    .alloc = arena_alloc,
    .free = arena_free,
};

struct sley_alloc *explore_alloc(void)
{
    static struct sley_alloc alloc = {.ops = &arena_ops};
    return &alloc;
}
