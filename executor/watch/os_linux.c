/* What the watchdog needs of Linux: a futex, a thread's processor time, whether it runs. */
#include "watch.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

uint64_t sley__watch_now_ns(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * SLEY_S + (uint64_t)ts.tv_nsec;
}

static SLEY__TLS uint32_t tid; /* a runtime that is driven by turns asks at each */

void sley__watch_forked(void)
{
    tid = 0;
}

uint32_t sley__watch_tid(void)
{
    if (tid == 0) {
        tid = (uint32_t)syscall(SYS_gettid);
    }
    return tid;
}

uint64_t sley__watch_cpu_ns(uint32_t of_tid)
{
    struct timespec ts;
    /* the kernel's own encoding of "the scheduler's clock of a thread"; libc offers it only for a pthread_t, which may be gone */
    const clockid_t clock = (clockid_t)(~of_tid << 3 | 6);
    if (clock_gettime(clock, &ts) != 0) {
        return 0;
    }
    return (uint64_t)ts.tv_sec * SLEY_S + (uint64_t)ts.tv_nsec;
}

bool sley__watch_runnable(uint32_t of_tid)
{
    char path[48], text[128];
    (void)snprintf(path, sizeof path, "/proc/self/task/%u/stat", (unsigned)of_tid);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    const ssize_t n = read(fd, text, sizeof text - 1);
    (void)close(fd);
    if (n <= 0) {
        return false;
    }
    text[n] = '\0';
    const char *state = strrchr(text, ')'); /* "1234 (name) R ..." */
    return state && strncmp(state, ") R", 3) == 0;
}

void sley__watch_wait(SLEY_ATOMIC(uint32_t) * bell, uint64_t until_ns)
{
    const struct timespec ts = {.tv_sec = (time_t)(until_ns / SLEY_S), .tv_nsec = (long)(until_ns % SLEY_S)};
    /* BITSET takes an absolute CLOCK_MONOTONIC time */
    (void)syscall(SYS_futex, bell, FUTEX_WAIT_BITSET_PRIVATE, 0, until_ns == SLEY_NEVER ? NULL : &ts, NULL, FUTEX_BITSET_MATCH_ANY);
    /* acquire: observes what it was rung for; an exchange takes in every ring up to here */
    (void)atomic_exchange_explicit(bell, 0, memory_order_acquire);
}

void sley__watch_ring(SLEY_ATOMIC(uint32_t) * bell)
{
    /* release: publishes what this is rung for to the wait that takes it in */
    if (atomic_exchange_explicit(bell, 1, memory_order_release) == 0) {
        (void)syscall(SYS_futex, bell, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    }
}
