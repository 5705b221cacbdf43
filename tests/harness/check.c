/* Checks that failed, notes, random numbers: what a case calls. */
#include "harness_impl.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct harness_report *harness_report;
bool harness_forks = true;
uint64_t harness_seed;

/* Not exit: a failed check may run on a fiber's stack or in a thread, where nothing can be unwound. */
static _Noreturn void end_case(int status)
{
    fflush(NULL);
    if (!harness_forks && status != 77) {
        printf("Bail out! a check failed, and with --no-fork nothing can go on\n");
        fflush(stdout);
        abort();
    }
    _exit(status);
}

void harness_fail(const char *file, int line, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    fprintf(stderr, "%s:%d: failed: %s\n", file, line, text);
    end_case(1);
}

void harness_fail_int(const char *file, int line, const char *what, intmax_t a, intmax_t b)
{
    harness_fail(file, line, "%s (left %" PRIdMAX ", right %" PRIdMAX ")", what, a, b);
}

void harness_fail_uint(const char *file, int line, const char *what, uintmax_t a, uintmax_t b)
{
    harness_fail(file, line, "%s (left %" PRIuMAX " = 0x%" PRIxMAX ", right %" PRIuMAX " = 0x%" PRIxMAX ")", what, a, a, b, b);
}

void harness_fail_ptr(const char *file, int line, const char *what, uintptr_t a, uintptr_t b)
{
    harness_fail(file, line, "%s (left 0x%" PRIxPTR ", right 0x%" PRIxPTR ")", what, a, b);
}

static const char *error_text(intmax_t rc)
{
    return rc < 0 && rc > -4096 ? strerror((int)-rc) : "no error";
}

void harness_fail_rc(const char *file, int line, const char *what, intmax_t rc, intmax_t want)
{
    char got[128];
    snprintf(got, sizeof got, "%s", error_text(rc)); /* strerror may reuse its buffer */
    harness_fail(file, line, "%s (got %" PRIdMAX ", %s; expected %" PRIdMAX ", %s)", what, rc, got, want, error_text(want));
}

bool harness_same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

void harness_fail_str(const char *file, int line, const char *what, const char *a, const char *b)
{
    harness_fail(file, line, "%s\n  left:  %s%s%s\n  right: %s%s%s", what, a ? "\"" : "", a ? a : "NULL", a ? "\"" : "", b ? "\"" : "",
                 b ? b : "NULL", b ? "\"" : "");
}

void harness_skip(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(harness_report->skip, sizeof harness_report->skip, fmt, args);
    va_end(args);
    if (!harness_forks) {
        longjmp(harness_skip_jump, 1);
    }
    end_case(77);
}

void harness_note(const char *fmt, ...)
{
    char line[512];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    struct harness_report *r = harness_report;
    size_t bytes = n < 0 ? 0 : (size_t)n < sizeof line ? (size_t)n : sizeof line - 1;
    if (r->notes_bytes + bytes + 2 <= sizeof r->notes) {
        memcpy(r->notes + r->notes_bytes, line, bytes);
        r->notes[r->notes_bytes + bytes] = '\n';
        r->notes_bytes += bytes + 1;
    }
}

/* ---- random numbers: splitmix64, one state a thread ------------------------------------------- */

static uint64_t case_seed;
static _Atomic(uint32_t) case_round, threads_seeded;
static _Thread_local uint32_t seeded_in_round;
static _Thread_local uint64_t state;

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* A case alone draws what it drew among others: its seed depends on its name, not on its turn. */
void harness_rand_start(const char *case_name)
{
    case_seed = harness_seed;
    for (const char *p = case_name; *p != '\0'; p++) {
        case_seed = mix(case_seed ^ (unsigned char)*p) + 1;
    }
    /* relaxed: cases start while no thread of another runs */
    atomic_store_explicit(&threads_seeded, 0, memory_order_relaxed);
    atomic_fetch_add_explicit(&case_round, 1, memory_order_relaxed); /* relaxed: as above */
}

/* noinline: after a fiber moved to another thread the thread-local's address must be taken anew. */
__attribute__((noinline)) uint64_t harness_rand(void)
{
    uint32_t round = atomic_load_explicit(&case_round, memory_order_relaxed); /* relaxed: fixed in a case */
    if (seeded_in_round != round) {
        seeded_in_round = round;
        /* relaxed: only the number counts */
        uint32_t thread = atomic_fetch_add_explicit(&threads_seeded, 1, memory_order_relaxed);
        state = mix(case_seed + thread * UINT64_C(0x9e3779b97f4a7c15));
    }
    state += UINT64_C(0x9e3779b97f4a7c15);
    return mix(state);
}

uint64_t harness_rand_below(uint64_t limit)
{
    return limit == 0 ? 0 : harness_rand() % limit;
}
