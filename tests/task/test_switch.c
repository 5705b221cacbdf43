/* The context switch: what it keeps, where it begins and ends, who may unwind through it. */
#include "harness.h"

#include <execinfo.h>
#include <fenv.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "task/stack.h"
#include "task/switch.h"

/* A context with its stack and the context that it goes back to. */
struct fiber {
    struct sley__context self, back;
    struct sley__stack_pool *pool;
    void *top;
    void (*body)(struct fiber *f);
    size_t stack_bytes;
    uintptr_t value;
};

static void fiber_main(void *arg)
{
    struct fiber *f = arg;
    f->body(f);
    sley__context_exit(&f->self, &f->back);
}

static void fiber_start(struct fiber *f, struct sley__stack_pool *pool, void (*body)(struct fiber *))
{
    *f = (struct fiber){.pool = pool, .body = body};
    f->top = sley__stack_get(pool, 0, &f->stack_bytes);
    CHECK_PTR(f->top, !=, NULL);
    sley__context_adopt_thread(&f->back);
    sley__context_init(&f->self, (char *)f->top - f->stack_bytes, f->top, fiber_main, f);
}

static void fiber_resume(struct fiber *f)
{
    sley__context_switch(&f->back, &f->self);
}

static void fiber_pause(struct fiber *f)
{
    sley__context_switch(&f->self, &f->back);
}

static void fiber_end(struct fiber *f)
{
    sley__context_fini(&f->self);
    sley__stack_put(f->pool, f->top, 0);
}

static void body_counts(struct fiber *f)
{
    for (f->value = 1; f->value < 5; f->value++) {
        fiber_pause(f);
    }
}

SLEY_TEST(round_trips_reach_both_sides, "")
{
    struct sley__stack_pool *pool = sley__stack_pool_create();
    struct fiber f;
    fiber_start(&f, pool, body_counts);
    for (uintptr_t i = 1; i <= 5; i++) {
        fiber_resume(&f);
        CHECK_UINT(f.value, ==, i);
    }
    fiber_end(&f);
    sley__stack_pool_destroy(pool);
}

static void body_stores_stack_address(struct fiber *f)
{
    f->value = (uintptr_t)__builtin_frame_address(0);
}

SLEY_TEST(body_runs_on_its_stack, "")
{
    struct sley__stack_pool *pool = sley__stack_pool_create();
    struct fiber f;
    fiber_start(&f, pool, body_stores_stack_address);
    fiber_resume(&f);
    CHECK_UINT(f.value, <, (uintptr_t)f.top);
    CHECK_UINT(f.value, >=, (uintptr_t)f.top - f.stack_bytes);
    fiber_end(&f);
    sley__stack_pool_destroy(pool);
}

/* The ABI wants the stack 16-aligned at a call; vector spills fault otherwise. */
static __attribute__((noinline)) uintptr_t address_of_aligned_local(void)
{
    _Alignas(16) volatile char local[16] = {0};
    return (uintptr_t)local + (uintptr_t)local[0];
}

static void body_checks_alignment(struct fiber *f)
{
    uintptr_t frame = (uintptr_t)__builtin_frame_address(0);
    f->value = frame % 16 == 0 && address_of_aligned_local() % 16 == 0;
}

SLEY_TEST(first_frame_is_aligned_whatever_the_top, "")
{
    struct sley__stack_pool *pool = sley__stack_pool_create();
    for (unsigned off = 0; off < 64; off += 8) {
        struct fiber f;
        fiber_start(&f, pool, body_checks_alignment);
        char *top = (char *)f.top - off;
        sley__context_fini(&f.self);
        sley__context_init(&f.self, (char *)f.top - f.stack_bytes, top, fiber_main, &f);
        fiber_resume(&f);
        CHECK_UINT(f.value, ==, 1);
        fiber_end(&f);
    }
    sley__stack_pool_destroy(pool);
}

#if defined(__x86_64__)
/* Loads all registers that the callee must keep, switches, and says which of them came back changed. */
static __attribute__((noinline)) unsigned registers_lost(struct sley__context *from, struct sley__context *to, uint64_t seed)
{
    uint64_t got[6];
    uint64_t in[6], *out = got, *values = in;
    void (*fn)(struct sley__context *, struct sley__context *) = sley__context_switch;
    for (unsigned i = 0; i < 6; i++) {
        in[i] = seed * (2 * i + 3);
    }
    __asm__ volatile("subq $128, %%rsp\n\t" /* past the red zone */
                     "pushq %%rbp\n\t"
                     "pushq %[out]\n\t"
                     "movq 40(%[in]), %%rbp\n\t"
                     "movq 0(%[in]), %%rbx\n\t"
                     "movq 8(%[in]), %%r12\n\t"
                     "movq 16(%[in]), %%r13\n\t"
                     "movq 24(%[in]), %%r14\n\t"
                     "movq 32(%[in]), %%r15\n\t"
                     "call *%[fn]\n\t"
                     "popq %%rax\n\t"
                     "movq %%rbx, 0(%%rax)\n\t"
                     "movq %%r12, 8(%%rax)\n\t"
                     "movq %%r13, 16(%%rax)\n\t"
                     "movq %%r14, 24(%%rax)\n\t"
                     "movq %%r15, 32(%%rax)\n\t"
                     "movq %%rbp, 40(%%rax)\n\t"
                     "popq %%rbp\n\t"
                     "addq $128, %%rsp\n\t"
                     : "+D"(from), "+S"(to), [out] "+a"(out), [in] "+d"(values), [fn] "+c"(fn)
                     :
                     : "rbx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3",
                       "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
    unsigned lost = 0;
    for (unsigned i = 0; i < 6; i++) {
        lost |= (unsigned)(got[i] != in[i]) << i;
    }
    return lost;
}
#elif defined(__aarch64__)
static __attribute__((noinline)) unsigned registers_lost(struct sley__context *from, struct sley__context *to, uint64_t seed)
{
    uint64_t in[18], got[18];
    for (unsigned i = 0; i < 18; i++) {
        in[i] = seed * (2 * i + 3);
    }
    register struct sley__context *x0 __asm__("x0") = from;
    register struct sley__context *x1 __asm__("x1") = to;
    register uint64_t *x2 __asm__("x2") = in;
    register uint64_t *x3 __asm__("x3") = got;
    register void (*x4)(struct sley__context *, struct sley__context *) __asm__("x4") = sley__context_switch;
    __asm__ volatile("stp x29, x3, [sp, #-32]!\n\tstr x19, [sp, #16]\n\t"
                     "ldp x19, x20, [x2]\n\tldp x21, x22, [x2, #16]\n\tldp x23, x24, [x2, #32]\n\t"
                     "ldp x25, x26, [x2, #48]\n\tldp x27, x28, [x2, #64]\n\t"
                     "ldp d8, d9, [x2, #80]\n\tldp d10, d11, [x2, #96]\n\tldp d12, d13, [x2, #112]\n\t"
                     "ldp d14, d15, [x2, #128]\n\t"
                     "blr x4\n\t"
                     "ldr x3, [sp, #8]\n\t"
                     "stp x19, x20, [x3]\n\tstp x21, x22, [x3, #16]\n\tstp x23, x24, [x3, #32]\n\t"
                     "stp x25, x26, [x3, #48]\n\tstp x27, x28, [x3, #64]\n\t"
                     "stp d8, d9, [x3, #80]\n\tstp d10, d11, [x3, #96]\n\tstp d12, d13, [x3, #112]\n\t"
                     "stp d14, d15, [x3, #128]\n\t"
                     "ldr x19, [sp, #16]\n\tldp x29, x3, [sp], #32"
                     : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3), "+r"(x4)
                     :
                     : "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17", "x18", "x20", "x21", "x22",
                       "x23", "x24", "x25", "x26", "x27", "x28", "x30", "d0", "d1", "d2", "d3", "d4", "d5", "d6", "d7", "d8", "d9",
                       "d10", "d11", "d12", "d13", "d14", "d15", "d16", "d17", "d18", "d19", "d20", "d21", "d22", "d23", "d24", "d25",
                       "d26", "d27", "d28", "d29", "d30", "d31", "memory", "cc");
    unsigned lost = 0;
    for (unsigned i = 0; i < 18; i++) {
        lost |= (unsigned)(got[i] != in[i]) << i;
    }
    return lost;
}
#endif

#if defined(__x86_64__) || defined(__aarch64__)
static void body_keeps_registers(struct fiber *f)
{
    for (uint64_t seed = 1; seed < 10; seed++) {
        f->value |= registers_lost(&f->self, &f->back, seed * UINT64_C(0x9e3779b97f4a7c15));
    }
}

SLEY_TEST(callee_saved_registers_are_each_contexts_own, "")
{
    struct sley__stack_pool *pool = sley__stack_pool_create();
    struct fiber f;
    fiber_start(&f, pool, body_keeps_registers);
    for (uint64_t seed = 100; seed < 109; seed++) {
        CHECK_UINT(registers_lost(&f.back, &f.self, seed * UINT64_C(0xbf58476d1ce4e5b9)), ==, 0);
    }
    fiber_resume(&f);
    CHECK_UINT(f.value, ==, 0);
    fiber_end(&f);
    sley__stack_pool_destroy(pool);
}
#endif

/* volatile and not inlined: the compiler would divide by itself, or move the division past fesetround. */
static __attribute__((noinline)) double third(void)
{
    volatile double one = 1, three = 3;
    return one / three;
}

static __attribute__((noinline)) long double long_third(void)
{
    volatile long double one = 1, three = 3;
    return one / three;
}

static void body_rounds_up(struct fiber *f)
{
    CHECK_INT(fegetround(), ==, FE_TOWARDZERO); /* the creator's */
    CHECK_INT(fesetround(FE_UPWARD), ==, 0);
    double up = third();
    long double long_up = long_third();
    for (unsigned i = 0; i < 3; i++) {
        fiber_pause(f);
        CHECK_INT(fegetround(), ==, FE_UPWARD);
        CHECK(third() == up);
        CHECK(long_third() == long_up);
    }
}

SLEY_TEST(rounding_mode_is_each_contexts_own, "")
{
    if (harness_under_valgrind()) {
        SKIP("valgrind computes with its own rounding");
    }
    struct sley__stack_pool *pool = sley__stack_pool_create();
    struct fiber f;
    double nearest = third();
    CHECK_INT(fesetround(FE_TOWARDZERO), ==, 0);
    fiber_start(&f, pool, body_rounds_up);
    CHECK_INT(fesetround(FE_UPWARD), ==, 0);
    double up = third();
    CHECK_INT(fesetround(FE_TONEAREST), ==, 0);
    CHECK(up > nearest);
    for (unsigned i = 0; i < 4; i++) {
        fiber_resume(&f);
        CHECK_INT(fegetround(), ==, FE_TONEAREST);
        CHECK(third() == nearest);
    }
    fiber_end(&f);
    sley__stack_pool_destroy(pool);
}

static __attribute__((noinline)) unsigned recurse(unsigned depth, volatile unsigned char *above)
{
    volatile unsigned char frame[64];
    frame[0] = (unsigned char)(above[0] + 1);
    return depth == 0 ? frame[0] : recurse(depth - 1, frame) + (frame[0] == (unsigned char)(above[0] + 1));
}

static void body_recurses(struct fiber *f)
{
    volatile unsigned char first[64] = {0};
    f->value = recurse(100, first);
    fiber_pause(f);
    f->value = recurse(100, first);
}

SLEY_TEST(deep_recursion_survives_switches, "")
{
    struct sley__stack_pool *pool = sley__stack_pool_create();
    struct fiber f;
    fiber_start(&f, pool, body_recurses);
    fiber_resume(&f);
    CHECK_UINT(f.value, ==, 101 + 100);
    f.value = 0;
    fiber_resume(&f);
    CHECK_UINT(f.value, ==, 101 + 100);
    fiber_end(&f);
    sley__stack_pool_destroy(pool);
}

static void body_adds(struct fiber *f)
{
    for (uintptr_t i = 0; i < 10; i++) {
        f->value += i;
        fiber_pause(f);
    }
}

SLEY_TEST(a_thousand_contexts_keep_apart, "")
{
    enum { COUNT = 1000 };
    struct sley__stack_pool *pool = sley__stack_pool_create();
    struct fiber *f = calloc(COUNT, sizeof(*f));
    CHECK_PTR(f, !=, NULL);
    for (unsigned i = 0; i < COUNT; i++) {
        fiber_start(&f[i], pool, body_adds);
        f[i].value = i;
    }
    for (unsigned round = 0; round < 11; round++) {
        for (unsigned i = 0; i < COUNT; i++) {
            fiber_resume(&f[i]);
        }
    }
    for (unsigned i = 0; i < COUNT; i++) {
        CHECK_UINT(f[i].value, ==, i + 45);
        fiber_end(&f[i]);
    }
    free(f);
    sley__stack_pool_destroy(pool);
}

SLEY_TEST_SECONDS(ended_contexts_leave_stacks_usable, "", 60)
{
    struct sley__stack_pool *pool = sley__stack_pool_create();
    void *first = NULL;
    unsigned rounds = harness_under_valgrind() ? 200 : 20000;
    for (unsigned i = 0; i < rounds; i++) {
        struct fiber f;
        fiber_start(&f, pool, i % 2 == 0 ? body_recurses : body_adds);
        first = first != NULL ? first : f.top;
        CHECK_PTR(f.top, ==, first);
        for (unsigned k = 0; k < (i % 2 == 0 ? 2 : 11); k++) {
            fiber_resume(&f);
        }
        fiber_end(&f);
    }
    sley__stack_pool_destroy(pool);
}

SLEY_TEST(context_that_never_ran_is_released, "")
{
    struct sley__stack_pool *pool = sley__stack_pool_create();
    struct fiber f;
    fiber_start(&f, pool, body_adds);
    fiber_end(&f);
    sley__context_fini(&f.self); /* twice is fine */
    sley__context_fini(NULL);
    sley__stack_pool_destroy(pool);
}

static void body_switches_directly(struct fiber *f)
{
    struct fiber *other = (struct fiber *)f->value;
    if (other != NULL) {
        other->back = f->self; /* replaced by the switch */
        sley__context_switch(&f->self, &other->self);
    }
}

static void body_goes_back_to_peer(struct fiber *f)
{
    struct fiber *peer = (struct fiber *)f->value;
    f->value = 77;
    sley__context_exit(&f->self, &peer->self);
}

SLEY_TEST(fibers_switch_to_each_other_without_the_thread, "")
{
    struct sley__stack_pool *pool = sley__stack_pool_create();
    struct fiber a, b;
    fiber_start(&a, pool, body_switches_directly);
    fiber_start(&b, pool, body_goes_back_to_peer);
    a.value = (uintptr_t)&b;
    b.value = (uintptr_t)&a;
    fiber_resume(&a);
    CHECK_UINT(b.value, ==, 77);
    fiber_end(&a);
    fiber_end(&b);
    sley__stack_pool_destroy(pool);
}

static void *resume_here(void *arg)
{
    struct fiber *f = arg;
    sley__context_adopt_thread(&f->back);
    fiber_resume(f);
    return NULL;
}

SLEY_TEST(context_goes_on_on_another_thread, "")
{
    struct sley__stack_pool *pool = sley__stack_pool_create();
    struct fiber f;
    fiber_start(&f, pool, body_counts);
    for (uintptr_t i = 1; i <= 5; i++) {
        pthread_t t;
        CHECK_INT(pthread_create(&t, NULL, resume_here, &f), ==, 0);
        CHECK_INT(pthread_join(t, NULL), ==, 0);
        CHECK_UINT(f.value, ==, i);
    }
    fiber_end(&f);
    sley__stack_pool_destroy(pool);
}

/* Two threads take turns at one context. The hand-over is right (fences), but of a kind that TSan does not see: it stays
 * silent only if it knows that what runs is neither of the two threads. */
static struct {
    struct sley__context self;
    _Atomic(struct sley__context *) back;
    _Atomic(unsigned) turn;
    unsigned count; /* plain: the context's own */
} shared;

enum { TURNS = 20 };

static void shared_main(void *arg)
{
    (void)arg;
    for (;;) {
        shared.count++;
        /* relaxed: written by the thread that has just switched to here. */
        sley__context_switch(&shared.self, atomic_load_explicit(&shared.back, memory_order_relaxed));
    }
}

static void *take_turns(void *arg)
{
    unsigned mine = (unsigned)(uintptr_t)arg;
    struct sley__context back;
    sley__context_adopt_thread(&back);
    for (unsigned turn = mine; turn < TURNS; turn += 2) {
        /* relaxed: the fence below makes it an acquire; pairs with the other thread's fence and store. */
        while (atomic_load_explicit(&shared.turn, memory_order_relaxed) != turn) {
            (void)sched_yield();
        }
        atomic_thread_fence(memory_order_acquire);
        /* relaxed: read by the context alone, on this thread. */
        atomic_store_explicit(&shared.back, &back, memory_order_relaxed);
        sley__context_switch(&back, &shared.self);
        atomic_thread_fence(memory_order_release);
        /* relaxed: the fence above makes it a release. */
        atomic_store_explicit(&shared.turn, turn + 1, memory_order_relaxed);
    }
    return NULL;
}

SLEY_TEST(context_is_told_from_the_threads_that_run_it, "")
{
    struct sley__stack_pool *pool = sley__stack_pool_create();
    size_t usable;
    char *top = sley__stack_get(pool, 0, &usable);
    CHECK_PTR(top, !=, NULL);
    sley__context_init(&shared.self, top - usable, top, shared_main, NULL);
    pthread_t threads[2];
    for (unsigned i = 0; i < 2; i++) {
        void *arg = (void *)(uintptr_t)i;
        CHECK_INT(pthread_create(&threads[i], NULL, take_turns, arg), ==, 0);
    }
    for (unsigned i = 0; i < 2; i++) {
        CHECK_INT(pthread_join(threads[i], NULL), ==, 0);
    }
    CHECK_UINT(shared.count, ==, TURNS);
    sley__context_fini(&shared.self);
    sley__stack_put(pool, top, 0);
    sley__stack_pool_destroy(pool);
}

enum { FRAMES_MAX = 64 };
static void *frames[FRAMES_MAX];

static void body_takes_backtrace(struct fiber *f)
{
    f->value = (uintptr_t)backtrace(frames, FRAMES_MAX);
}

SLEY_TEST(backtrace_ends_at_the_first_frame, "")
{
    struct sley__stack_pool *pool = sley__stack_pool_create();
    void *warm[4];
    (void)backtrace(warm, 4); /* loads the unwinder, on the thread's stack */
    struct fiber f;
    fiber_start(&f, pool, body_takes_backtrace);
    fiber_resume(&f);
    harness_note("%zu frames", (size_t)f.value);
    CHECK_UINT(f.value, >=, 3); /* body, fiber_main, where it begins */
    CHECK_UINT(f.value, <=, 8);
    fiber_end(&f);
    sley__stack_pool_destroy(pool);
}
