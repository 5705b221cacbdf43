/* What clauses are written with: checks that end the clause's process, random numbers, counted memory. */
#ifndef SLEY_CONFORMANCE_KIT_H
#define SLEY_CONFORMANCE_KIT_H

#include <sley/alloc.h>
#include <sley/conformance.h>

/* ---- checks: they end the clause when they fail, from any thread and any fiber; operands are evaluated once ------ */

#define CHECK(cond)                                          \
    do {                                                     \
        if (!(cond)) {                                       \
            sley__kit_fail(__FILE__, __LINE__, "%s", #cond); \
        }                                                    \
    } while (0)

#define CHECK_INT(a, op, b)                                                                 \
    do {                                                                                    \
        const intmax_t a_ = (intmax_t)(a), b_ = (intmax_t)(b);                              \
        if (!(a_ op b_)) {                                                                  \
            sley__kit_fail(__FILE__, __LINE__, "%s (%jd, %jd)", #a " " #op " " #b, a_, b_); \
        }                                                                                   \
    } while (0)
#define CHECK_UINT(a, op, b) CHECK_INT(a, op, b)
#define CHECK_PTR(a, op, b) CHECK_INT((uintptr_t)(a), op, (uintptr_t)(b))

/** A result as the libraries give it: 0, a count, or negative errno, which is printed by name. */
#define CHECK_RC(expr, expected)                                             \
    do {                                                                     \
        const intmax_t rc_ = (intmax_t)(expr), want_ = (intmax_t)(expected); \
        if (rc_ != want_) {                                                  \
            sley__kit_fail_rc(__FILE__, __LINE__, #expr, rc_, want_);        \
        }                                                                    \
    } while (0)

#define FAIL(...) sley__kit_fail(__FILE__, __LINE__, __VA_ARGS__)
/** It does not apply here. */
#define SKIP(...) sley__kit_skip(__VA_ARGS__)

_Noreturn void sley__kit_fail(const char *file, int line, const char *fmt, ...) SLEY_PRINTF(3, 4);
_Noreturn void sley__kit_fail_rc(const char *file, int line, const char *what, intmax_t rc, intmax_t want);
_Noreturn void sley__kit_skip(const char *fmt, ...) SLEY_PRINTF(1, 2);

/* ---- random numbers, rounds -------------------------------------------------------------------------------------- */

/** A random number in [0, limit), from the run's seed; a sequence of its own for each thread that asks. */
uint64_t sley__kit_below(uint64_t limit);
/** @p n rounds of stress, or as many of them as this build and the effort asked for allow. At least one. */
unsigned sley__kit_rounds(unsigned n);
bool sley__kit_under_valgrind(void);

/* ---- signals ----------------------------------------------------------------------------------------------------- */

/* The thread sanitizer runs handlers late, at its own calls; one that comes just before a futex wait is slept over by it. */
#if defined(__has_feature)
#define HAS_FEATURE(x) __has_feature(x)
#else
#define HAS_FEATURE(x) 0
#endif
#if defined(__SANITIZE_THREAD__) || HAS_FEATURE(thread_sanitizer)
enum { SIGNALS_IN_TIME = 0 };
#else
enum { SIGNALS_IN_TIME = 1 };
#endif

/* ---- memory ------------------------------------------------------------------------------------------------------ */

/** Counts what is out, checks sizes and what is around each block, and refuses on request. Any thread. */
struct sley_alloc *sley__kit_alloc(void);
size_t sley__kit_alloc_live(void);
/** The @p n th request from now on is refused, once (1 is the next one); 0: none. */
void sley__kit_refuse(size_t n);
bool sley__kit_refused(void);
/** Whether what is given back is kept for the next request of its size: it comes to the same place then, whoever's memory is beneath. */
void sley__kit_keep(bool keep);

/* ---- what is left at the end ------------------------------------------------------------------------------------------------- */

/** How many are open, those in /proc left out. */
unsigned sley__kit_fd_count(void);

/** How many threads there are, once it is no more than @p expected, or after two seconds: joined ones leave /proc a moment later. */
unsigned sley__kit_thread_count(unsigned expected);
unsigned sley__kit_threads_before(void); /* how many a process has that has started none that stays */

/* ---- the run (run.c) --------------------------------------------------------------------------------------------- */

struct sley__kit_suite {
    const char *subject; /* for the report */
    const struct sley_clause *clauses;
    size_t count;
    void (*warm_up)(void); /* before what is open is counted: what a library keeps once in a process is no leak */
    void (*run)(const struct sley__kit_suite *self, size_t index); /* in the clause's process */
};

int sley__kit_run(const struct sley__kit_suite *suite, const struct sley_conformance_opts *o, struct sley_conformance_count *ret_count);

enum { SLEY__KIT_BYSTANDERS = 8 };
/** What a clause's process tells the run, in memory that both see. */
struct sley__kit_report {
    char why[1024], skip[256];
    char scratch[256]; /* a directory, which the run removes with all that is in it; "": none */
    unsigned bystander_count;
    long bystanders[SLEY__KIT_BYSTANDERS]; /* threads that are none of the clause's */
};
extern struct sley__kit_report *sley__kit_report;
enum { SLEY__KIT_BROKEN = 1, SLEY__KIT_SKIPPED = 77 };

/** Before a clause begins: its seed, the run's effort in percent. */
void sley__kit_begin(uint64_t seed, const char *clause, uint32_t effort);
/** How much slower than plain this build or this run is: 1, or 10 under a sanitizer or valgrind. */
unsigned sley__kit_slowness(void);
/**
 * For a thread that waits in a loop for what another one does: yields; when that goes on for long it sleeps, for as long as it has waited,
 * so that the run sees that nobody gets on: on a busy machine one that yields hardly uses a processor, and would not be given up.
 * @p since_ms is 0 at the beginning of a wait.
 */
void sley__kit_wait_on(uint64_t *since_ms);
void sley__kit_settle(void);

#endif
