/* What every executor has to do: the clauses of the kit, each as a case with its conformance ids. */
#ifndef SLEY_TEST_SUITE_H
#define SLEY_TEST_SUITE_H

#include <stdlib.h>

#include <sley/conformance.h>

#include "harness.h"

#define suite_executor sley_conformance_executor

extern const struct sley_reactor_factory *const suite_epoll[], *const suite_poll[];

/** Defines @p fn, which makes a struct sley_KIND and calls what follows for its start, with `ex`. */
#define SUITE_CREATE(fn, kind, ...)                  \
    static struct sley_executor *fn(void)            \
    {                                                \
        struct sley_##kind *ex = malloc(sizeof *ex); \
        CHECK_PTR(ex, !=, NULL);                     \
        __VA_ARGS__;                                 \
        return &ex->base;                            \
    }

/** Defines `destroy` for what SUITE_CREATE has made. */
#define SUITE_DESTROY(kind)                                    \
    static void destroy(struct sley_executor *ex)              \
    {                                                          \
        free(sley_container_of(ex, struct sley_##kind, base)); \
    }

/** A clause tried on @p x, as a case; @p name and @p ids come from the lists below. */
#define SUITE_CASE(prefix, x, name, ids) \
    SLEY_TEST(prefix##_##name, ids)      \
    {                                    \
        suite_##name(&(x));              \
    }

/** Tries one clause on @p x: passes, fails or skips the case. */
void suite_try(const struct suite_executor *x, const char *clause);

/* name, conformance cases. Each runs both styles where that matters. These ask nothing of the table's caps. */
#define SUITE_ANY(X)                                              \
    X(run_returns_when_its_task_has_ended, "JOIN-01 TASK-12")     \
    X(spawn_from_elsewhere_wakes_an_idle_one, "LOCAL-04 WAKE-07") \
    X(spawn_from_elsewhere_runs_beside_load, "LOCAL-05")          \
    X(run_returns_under_load, "LOCAL-08")                         \
    X(newcomer_beside_ping_pong_ends, "LOCAL-09")                 \
    X(descriptor_is_seen_under_load, "LOCAL-06 LOCAL-07")         \
    X(sleep_is_never_early, "TIMER-01 TIMER-16")                  \
    X(nearer_timer_from_elsewhere_cuts_the_wait, "TIMER-12")      \
    X(nested_run_is_refused, "LOCAL-16")                          \
    X(run_that_failed_leaves_the_thread_free, "LOCAL-17 SHUT-10") \
    X(halt_from_a_thread_and_a_signal_handler, "EMB-10 WAKE-16")  \
    X(busy_one_is_not_released, "SHUT-02")                        \
    X(stop_runs_each_cleanup_once, "SHUT-03 SHUT-04")             \
    X(stop_beside_descriptors, "SHUT-05")                         \
    X(stop_beside_foreign_completions, "SHUT-06 SHUT-13")         \
    X(spawn_after_stop_is_refused, "SHUT-09 TASK-16")             \
    X(starts_again_after_its_end, "SHUT-10")                      \
    X(stop_and_release_from_another_thread, "SHUT-03")            \
    X(each_allocation_refused, "SHUT-01")                         \
    X(stress, "SHUT-13 JOIN-14 WAKE-13")

/* Only without SLEY_EXECUTOR_CAP_WORKERS: who calls run is the one thread there is. */
#define SUITE_DRIVEN(X)                         \
    X(nothing_progresses_undriven, "LOCAL-01")  \
    X(two_on_one_thread_keep_apart, "LOCAL-03") \
    X(second_driver_is_refused, "LOCAL-14")     \
    X(halt_before_run_runs_nothing, "LOCAL-19")

/* Only with it: tasks go on by themselves, and run waits for them. */
#define SUITE_WORKERS(X)                               \
    X(tasks_progress_while_nobody_runs, "JOIN-01")     \
    X(second_wait_is_refused, "LOCAL-14")              \
    X(halt_ends_the_wait_and_nothing_else, "LOCAL-19") \
    X(wakes_between_workers_are_not_lost, "WAKE-12 WAKE-13")

#define SUITE_EXECUTOR(X) SUITE_ANY(X) SUITE_DRIVEN(X)
#define SUITE_EXECUTOR_WORKERS(X) SUITE_ANY(X) SUITE_WORKERS(X)

#define SUITE_DECLARE(name, ids)                                    \
    static inline void suite_##name(const struct suite_executor *x) \
    {                                                               \
        suite_try(x, #name);                                        \
    }
SUITE_ANY(SUITE_DECLARE)
SUITE_DRIVEN(SUITE_DECLARE)
SUITE_WORKERS(SUITE_DECLARE)

#endif
