/* The test harness: cases, checks, leak checks, failing allocations. What a test needs, and nothing of the libraries but
 * their allocator table. docs/testing.md says how to run the result. */
#ifndef SLEY_HARNESS_H
#define SLEY_HARNESS_H

#include <sley/alloc.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct harness_case {
    const char *name;
    const char *ids; /* conformance cases, separated by blanks; "" for none */
    void (*fn)(void);
    unsigned timeout_s; /* 0: the default, 30 s */
    struct harness_case *next;
};

void harness_register(struct harness_case *c);

/** A case: `SLEY_TEST(wake_while_running_requeues_once, "TASK-11") { ... }`. Runs in a process of its own. */
#define SLEY_TEST(name, ids) SLEY_TEST_SECONDS(name, ids, 0)
/** The same with a time limit other than 30 s (slow machines, sanitizers and valgrind get a multiple of it). */
#define SLEY_TEST_SECONDS(name, ids, seconds)                                          \
    static void test_##name(void);                                                     \
    static struct harness_case case_##name = {#name, ids, test_##name, seconds, NULL}; \
    __attribute__((constructor)) static void register_##name(void)                     \
    {                                                                                  \
        harness_register(&case_##name);                                                \
    }                                                                                  \
    static void test_##name(void)

/* Checks end the case when they fail, from any thread and any fiber. Operands are evaluated once. */

#define CHECK(cond)                                        \
    do {                                                   \
        if (!(cond)) {                                     \
            harness_fail(__FILE__, __LINE__, "%s", #cond); \
        }                                                  \
    } while (0)

#define CHECK_INT(a, op, b) CHECK_AS(intmax_t, harness_fail_int, a, op, b)
#define CHECK_UINT(a, op, b) CHECK_AS(uintmax_t, harness_fail_uint, a, op, b)
#define CHECK_PTR(a, op, b) CHECK_AS(uintptr_t, harness_fail_ptr, a, op, b)
#define CHECK_AS(type, report, a, op, b)                           \
    do {                                                           \
        type a_ = (type)(a), b_ = (type)(b);                       \
        if (!(a_ op b_)) {                                         \
            report(__FILE__, __LINE__, #a " " #op " " #b, a_, b_); \
        }                                                          \
    } while (0)

/** A result as the libraries give it: 0, a count, or negative errno; failures are printed by name. */
#define CHECK_RC(expr, expected)                                                     \
    do {                                                                             \
        intmax_t rc_ = (intmax_t)(expr), want_ = (intmax_t)(expected);               \
        if (rc_ != want_) {                                                          \
            harness_fail_rc(__FILE__, __LINE__, #expr " == " #expected, rc_, want_); \
        }                                                                            \
    } while (0)

#define CHECK_STR(a, b)                                                     \
    do {                                                                    \
        const char *a_ = (a), *b_ = (b);                                    \
        if (!harness_same_text(a_, b_)) {                                   \
            harness_fail_str(__FILE__, __LINE__, #a " equals " #b, a_, b_); \
        }                                                                   \
    } while (0)

/** Ends the case as skipped; only reasons listed in tests/expected-skips are accepted. */
#define SKIP(...) harness_skip(__VA_ARGS__)
#define FAIL(...) harness_fail(__FILE__, __LINE__, __VA_ARGS__)

_Noreturn void harness_fail(const char *file, int line, const char *fmt, ...) SLEY_PRINTF(3, 4);
_Noreturn void harness_fail_int(const char *file, int line, const char *what, intmax_t a, intmax_t b);
_Noreturn void harness_fail_uint(const char *file, int line, const char *what, uintmax_t a, uintmax_t b);
_Noreturn void harness_fail_ptr(const char *file, int line, const char *what, uintptr_t a, uintptr_t b);
_Noreturn void harness_fail_rc(const char *file, int line, const char *what, intmax_t rc, intmax_t want);
_Noreturn void harness_fail_str(const char *file, int line, const char *what, const char *a, const char *b);
_Noreturn void harness_skip(const char *fmt, ...) SLEY_PRINTF(1, 2);
bool harness_same_text(const char *a, const char *b);

/** A figure worth reading in a passing run (sizes, counts): one `# ` line of the report. */
void harness_note(const char *fmt, ...) SLEY_PRINTF(1, 2);

/** Random numbers that SLEY_TEST_SEED repeats; a sequence of its own for each thread that asks. */
uint64_t harness_rand(void);
/** A random number in [0, limit). */
uint64_t harness_rand_below(uint64_t limit);

/** How much slower than plain this build or this run is: 1, or 10 under a sanitizer or valgrind. Divide iterations by it.
 * SLEY_TEST_BRIEF asks for 10, where the same is run many times. */
unsigned harness_slowness(void);
bool harness_under_valgrind(void);
/** Was the harness built with the thread sanitizer? */
bool harness_under_tsan(void);
/**
 * Is there to be another round of a race, of which @p done are done? At most @p most; fewer where each takes long, as on a busy machine
 * on which a yield costs a slice: no more once a quarter of the case's time is over.
 */
bool harness_another(unsigned done, unsigned most);

/* ---- what is left (leaks.c) ------------------------------------------------------------------- */

/** What is there before something that has to give everything back. Each case is compared so as a whole. */
struct harness_before {
    unsigned fd_count, thread_count;
    size_t block_count;
};
void harness_leaks_start(struct harness_before *b);
/** Fails with @p when where there are more descriptors, threads or blocks of harness_alloc() than before. */
void harness_leaks_check(const struct harness_before *b, const char *when);
/** Do all other threads of this process sleep? One that only has no processor does not. */
bool harness_others_sleep(void);

/* ---- allocations (alloc.c) -------------------------------------------------------------------- */

/**
 * An allocator that counts. A case fails when a block of it is left at the end, is freed twice, with a wrong size, or was
 * written past its end. Any thread. `harness_alloc()->ops` may be wrapped.
 */
struct sley_alloc *harness_alloc(void);
/** Blocks that are out now; requests since the last harness_fail_at, refused ones included. */
size_t harness_alloc_live(void);
size_t harness_alloc_count(void);
/** The @p n th request from now on is refused, once (1 is the next one); 0: none. Restarts the count. */
void harness_fail_at(size_t n);
/** Was one refused since the last harness_fail_at? */
bool harness_alloc_refused(void);

/**
 * Runs the block once for each allocation that it makes, with that one refused, then once with none refused:
 *
 *     HARNESS_SWEEP_ALLOC(points, 1000) {
 *         int rc = thing_init(&t, harness_alloc());
 *         CHECK_RC(rc, harness_alloc_refused() ? -ENOMEM : 0);
 *         thing_fini(&t);
 *     }
 *     CHECK_UINT(points, >=, 3); // how many allocations were made to fail
 *
 * Each round must return what it took. More than @p max points fail the case. Leave the block only at its end.
 */
#define HARNESS_SWEEP_ALLOC(points, max)                                                     \
    size_t points = 0;                                                                       \
    for (struct harness_sweep sweep_##points = harness_sweep_begin(__FILE__, __LINE__, max); \
         harness_sweep_next(&sweep_##points, &points);)

struct harness_sweep {
    const char *file;
    int line;
    bool started;
    size_t at, max, live;
};
struct harness_sweep harness_sweep_begin(const char *file, int line, size_t max);
bool harness_sweep_next(struct harness_sweep *s, size_t *ret_points);

#endif
