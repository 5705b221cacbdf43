/*
 * micro_libuv BENCH [SCALE]: what libuv has a counterpart for: timers, the
 * thread pool, and turns of the loop.
 */
#include "common.h"
#include <stdint.h>
#include <time.h>
#include <uv.h>

static uv_loop_t loop;

static double clock_ns(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static double wall0, cpu0;

static void start(void)
{
    cpu0 = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    wall0 = clock_ns(CLOCK_MONOTONIC);
}

static void done(const char *bench, long ops)
{
    double wall = clock_ns(CLOCK_MONOTONIC) - wall0, cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu0;
    printf("bench=%s peer=libuv ns_per_op=%.1f cpu_ns_per_op=%.1f ops=%ld wall_ms=%.1f\n", bench, wall / (double)ops, cpu / (double)ops,
           ops, wall / 1e6);
}

static uint64_t seed;

static uint64_t delay(void)
{
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return 1 + (seed * 0x2545F4914F6CDD1Dull >> 33) % 1000;
}

static long left, fired;

static void on_timer(uv_timer_t *t)
{
    (void)t;
    fired++;
}

static void timer_start_stop(long n)
{
    uv_timer_t t;
    seed = 42;
    uv_timer_init(&loop, &t);
    for (long i = 0; i < n; i++) {
        uv_timer_start(&t, on_timer, delay(), 0);
        uv_timer_stop(&t);
    }
    uv_close((uv_handle_t *)&t, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
}

static void timer_bulk(long n, int report)
{
    uv_timer_t *ts = malloc((size_t)n * sizeof *ts);
    if (!ts) {
        die("malloc");
    }
    for (size_t at = 0; at < (size_t)n * sizeof *ts; at += 4096) {
        ((volatile char *)ts)[at] = 0; /* the pages of the timers are no part of what is measured */
    }
    seed = 42;
    start();
    for (long i = 0; i < n; i++) {
        uv_timer_init(&loop, &ts[i]);
        uv_timer_start(&ts[i], on_timer, 600000 + delay(), 0);
    }
    if (report) {
        done("timer_bulk_insert", n);
    }
    start();
    for (long i = 0; i < n; i++) {
        uv_timer_stop(&ts[i]);
    }
    if (report) {
        done("timer_bulk_cancel", n);
    }
    for (long i = 0; i < n; i++) {
        uv_close((uv_handle_t *)&ts[i], NULL);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    free(ts);
}

static void on_closed(uv_handle_t *h)
{
    free(h);
}

static void on_fire(uv_timer_t *t)
{
    fired++;
    uv_close((uv_handle_t *)t, on_closed);
}

static void timer_fire(long n)
{
    seed = 42;
    fired = 0;
    uv_update_time(&loop);
    for (long i = 0; i < n; i++) {
        uv_timer_t *t = malloc(sizeof *t);
        if (!t) {
            die("malloc");
        }
        uv_timer_init(&loop, t);
        uv_timer_start(t, on_fire, delay(), 0);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    if (fired != n) {
        exit(3);
    }
}

static void on_work(uv_work_t *w)
{
    (void)w;
}

static void on_worked(uv_work_t *w, int status)
{
    (void)status;
    fired++;
    if (left-- > 0) {
        uv_queue_work(&loop, w, on_work, on_worked);
    }
}

static void blocking(long tasks, long n)
{
    uv_work_t w[100];
    fired = 0;
    left = n - tasks;
    for (long i = 0; i < tasks; i++) {
        uv_queue_work(&loop, &w[i], on_work, on_worked);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    if (fired != n) {
        exit(3);
    }
}

static void on_idle(uv_idle_t *h)
{
    if (--left <= 0) {
        uv_close((uv_handle_t *)h, NULL);
    }
}

/* one idle callback per turn of the loop: a turn is one epoll_wait */
static void turn(long n)
{
    uv_idle_t h;
    left = n;
    uv_idle_init(&loop, &h);
    uv_idle_start(&h, on_idle);
    uv_run(&loop, UV_RUN_DEFAULT);
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "list";
    double scale = argc > 2 ? atof(argv[2]) : 1;
    long m = (long)(1e6 * scale), b = (long)(2e5 * scale);
    uv_loop_init(&loop);
    if (!strcmp(name, "timer_poll_drop")) {
        timer_start_stop(m / 10);
        start();
        timer_start_stop(m);
        done(name, m);
    } else if (!strcmp(name, "timer_bulk")) {
        timer_bulk(m / 10, 0);
        timer_bulk(m, 1);
    } else if (!strcmp(name, "timer_fire")) {
        timer_fire(m / 10);
        start();
        timer_fire(m);
        done(name, m);
    } else if (!strcmp(name, "blocking_seq") || !strcmp(name, "blocking_100")) {
        long tasks = !strcmp(name, "blocking_seq") ? 1 : 100;
        blocking(tasks, b / 10 + tasks);
        start();
        blocking(tasks, b);
        done(name, b);
    } else if (!strcmp(name, "loop_turn")) {
        turn(m / 10);
        start();
        turn(m);
        done(name, m);
    } else if (!strcmp(name, "list")) {
        puts("timer_poll_drop\ntimer_bulk\ntimer_fire\nblocking_seq\nblocking_100\nloop_turn");
    } else {
        fprintf(stderr, "no such bench\n");
        return 2;
    }
    return 0;
}
