/* Checks that failed, random numbers, what is open: what clauses call. */
#include "kit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#if defined(__SANITIZE_THREAD__) || HAS_FEATURE(thread_sanitizer)
enum { THREADS_BEFORE = 2 }; /* it has one of its own */
#else
enum { THREADS_BEFORE = 1 };
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || HAS_FEATURE(address_sanitizer) || \
    HAS_FEATURE(thread_sanitizer) || HAS_FEATURE(memory_sanitizer)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

struct sley__kit_report *sley__kit_report;

/* Not exit: a check may fail on a fiber's stack or in a thread, where nothing can be unwound. */
void sley__kit_fail(const char *file, int line, const char *fmt, ...)
{
    static SLEY_ATOMIC(bool) failed;
    char text[768];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    /* relaxed: the first one's words count, and nothing else depends on it */
    if (!atomic_exchange_explicit(&failed, true, memory_order_relaxed)) {
        const char *slash = strrchr(file, '/');
        (void)snprintf(sley__kit_report->why, sizeof sley__kit_report->why, "%s:%d: %s", slash ? slash + 1 : file, line, text);
    }
    _exit(SLEY__KIT_BROKEN);
}

void sley__kit_fail_rc(const char *file, int line, const char *what, intmax_t rc, intmax_t want)
{
    char got[64], expected[64];
    (void)snprintf(got, sizeof got, "%s", rc < 0 ? strerror((int)-rc) : "no error"); /* strerror may reuse its buffer */
    (void)snprintf(expected, sizeof expected, "%s", want < 0 ? strerror((int)-want) : "no error");
    sley__kit_fail(file, line, "%s is %jd (%s), expected %jd (%s)", what, rc, got, want, expected);
}

void sley__kit_skip(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(sley__kit_report->skip, sizeof sley__kit_report->skip, fmt, args);
    va_end(args);
    _exit(SLEY__KIT_SKIPPED);
}

bool sley__kit_under_valgrind(void)
{
    const char *preload = getenv("LD_PRELOAD");
    return preload && strstr(preload, "vgpreload");
}

unsigned sley__kit_slowness(void)
{
    return SANITIZED || sley__kit_under_valgrind() ? 10 : 1;
}

void sley__kit_wait_on(uint64_t *since_ms)
{
    enum { YIELDS_MS = 20, NAP_MS = 1000 }; /* naps are shorter than what the run takes for sleep from which nothing wakes */
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    const uint64_t now_ms = (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
    *since_ms = *since_ms ? *since_ms : now_ms;
    const uint64_t waited_ms = now_ms - *since_ms;
    if (waited_ms < YIELDS_MS) {
        (void)sched_yield();
    } else {
        (void)poll(NULL, 0, (int)(waited_ms < NAP_MS ? waited_ms : NAP_MS));
    }
}

/* ---- random numbers: splitmix64, one state a thread -------------------------------------------------------------- */

static uint64_t clause_seed;
static uint32_t clause_effort = 100;
static SLEY_ATOMIC(uint32_t) threads_seeded;
static _Thread_local bool seeded;
static _Thread_local uint64_t state;

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* A clause alone draws what it drew among others: its seed depends on its name, not on its turn. */
void sley__kit_begin(uint64_t seed, const char *clause, uint32_t effort)
{
    clause_seed = seed;
    clause_effort = effort ? effort : 100;
    for (const char *p = clause; *p; p++) {
        clause_seed = mix(clause_seed ^ (unsigned char)*p) + 1;
    }
}

/* noinline: after a fiber moved to another thread the thread-local's address must be taken anew. */
SLEY_NOINLINE uint64_t sley__kit_below(uint64_t limit)
{
    if (!seeded) {
        seeded = true;
        /* relaxed: only the number counts */
        state = mix(clause_seed + atomic_fetch_add_explicit(&threads_seeded, 1, memory_order_relaxed) * UINT64_C(0x9e3779b97f4a7c15));
    }
    state += UINT64_C(0x9e3779b97f4a7c15);
    return limit ? mix(state) % limit : 0;
}

unsigned sley__kit_rounds(unsigned n)
{
    const unsigned some = (unsigned)((uint64_t)n * clause_effort / 100 / sley__kit_slowness());
    return some ? some : 1;
}

/* ---- what is left ------------------------------------------------------------------------------------------------- */

unsigned sley__kit_fd_count(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned n = 0;
    if (!dir) {
        return 0; /* no /proc: nothing is compared */
    }
    for (const struct dirent *entry; (entry = readdir(dir));) {
        char link[300], target[PATH_MAX];
        (void)snprintf(link, sizeof link, "/proc/self/fd/%s", entry->d_name);
        const ssize_t len = readlink(link, target, sizeof target - 1);
        if (len > 0) {
            target[len] = '\0';
            n += strncmp(target, "/proc/", 6) != 0; /* this very directory; what valgrind and sanitizers read */
        }
    }
    (void)closedir(dir);
    return n;
}

/** Is it on its way out? pthread_join returns in the middle of it, and the rest takes as long as the kernel is kept from it. */
static bool ends(const char *tid)
{
    enum { EXITING = 0x4 }; /* PF_EXITING */
    char path[300], text[512] = "";
    unsigned flags = EXITING; /* of what has gone meanwhile */
    (void)snprintf(path, sizeof path, "/proc/self/task/%s/stat", tid);
    const int fd = open(path, O_RDONLY | O_CLOEXEC); /* not by stdio: no library of ours can print */
    if (fd < 0) {
        return errno == ENOENT;
    }
    const ssize_t n = read(fd, text, sizeof text - 1);
    text[n > 0 ? n : 0] = '\0';
    (void)close(fd);
    const char *name_end = strrchr(text, ')'); /* state and five numbers come before them */
    if (name_end) {
        (void)sscanf(name_end + 1, " %*c %*d %*d %*d %*d %*d %u", &flags);
    }
    return flags & EXITING;
}

static unsigned count_threads(void)
{
    DIR *dir = opendir("/proc/self/task");
    unsigned n = 0;
    for (const struct dirent *entry; dir && (entry = readdir(dir));) {
        n += entry->d_name[0] != '.' && !ends(entry->d_name);
    }
    if (dir) {
        (void)closedir(dir);
    }
    return n;
}

unsigned sley__kit_thread_count(unsigned expected)
{
    unsigned n = count_threads();
    for (int i = 0; i < 2000 && n > expected; i++) {
        (void)poll(NULL, 0, 1); /* under qemu-user a joined thread goes on for a moment, and nothing tells how long */
        n = count_threads();
    }
    return n;
}

unsigned sley__kit_threads_before(void)
{
    return THREADS_BEFORE;
}

static void *end_at_once(void *arg)
{
    return arg;
}

/* The thread sanitizer starts a thread of its own along with a process's first; it is not the clause's. */
void sley__kit_settle(void)
{
    pthread_t thread;
    if (SANITIZED && pthread_create(&thread, NULL, end_at_once, NULL) == 0) {
        (void)pthread_join(thread, NULL);
    }
}
