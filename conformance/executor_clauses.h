/* The clauses of an executor's contract (<sley/executor.h>): what each needs, its name, its sentence. */
#ifndef SLEY_CONFORMANCE_EXECUTOR_CLAUSES_H
#define SLEY_CONFORMANCE_EXECUTOR_CLAUSES_H

#include <sley/conformance.h>

/* Counters of clauses are relaxed throughout: they are read when those who add have been joined, or to look again. */

/* Tables, a line a clause. */
/* clang-format off */
/* DRIVEN: without SLEY_EXECUTOR_CAP_WORKERS, who calls run is the one thread there is; WORKERS: with it, tasks go on by themselves */
#define SLEY__EXECUTOR_CLAUSES(X)                                                                                                 \
    X(ANY, run_returns_when_its_task_has_ended, "run returns when the task it waits for has ended, and without one"               \
        " when none is left.")                                                                                                    \
    X(ANY, spawn_from_elsewhere_wakes_an_idle_one, "A spawn from another thread wakes an executor that is idle.")                 \
    X(ANY, spawn_from_elsewhere_runs_beside_load, "A spawn from another thread gets its turn beside tasks that are"               \
        " always ready.")                                                                                                         \
    X(ANY, run_returns_under_load, "run returns when its task has ended, whatever else goes on being ready.")                     \
    X(ANY, newcomer_beside_ping_pong_ends, "A new task ends beside pairs that wake each other for ever.")                         \
    X(ANY, descriptor_is_seen_under_load, "A descriptor that becomes ready is seen beside tasks that are always ready.")          \
    X(ANY, sleep_is_never_early, "A sleep is never early.")                                                                       \
    X(ANY, nearer_timer_from_elsewhere_cuts_the_wait, "A timer that is nearer than what the executor waits for is not"            \
        " slept over.")                                                                                                           \
    X(ANY, nested_run_is_refused, "run, stop and fini inside a task are -EDEADLK.")                                               \
    X(ANY, run_that_failed_leaves_the_thread_free, "After a run that was halted the thread may run another executor.")            \
    X(ANY, halt_from_a_thread_and_a_signal_handler, "halt from another thread, or a signal handler, ends run with"                \
        " -ECANCELED; none is lost.")                                                                                             \
    X(ANY, busy_one_is_not_released, "fini is -EBUSY while tasks are left, and they go on.")                                      \
    X(ANY, stop_runs_each_cleanup_once, "stop cancels every task and runs each to its end, once.")                                \
    X(ANY, stop_beside_descriptors, "stop ends tasks that are busy with descriptors.")                                            \
    X(ANY, stop_beside_foreign_completions, "stop ends tasks whose nodes other threads complete meanwhile.")                      \
    X(ANY, spawn_after_stop_is_refused, "After stop spawn is -ESHUTDOWN, after fini run fails.")                                  \
    X(ANY, starts_again_after_its_end, "After fini it may be started again; while it runs start is -EINVAL.")                     \
    X(ANY, each_allocation_refused, "With memory refused at any point start or spawn is -ENOMEM, and nothing is left.")           \
    X(ANY, stress, "Spawns, cancels, joins and posts from threads race with run, stop and release; nothing is lost.")             \
    X(DRIVEN, nothing_progresses_undriven, "Without workers nothing runs while nobody drives it.")                                \
    X(DRIVEN, two_on_one_thread_keep_apart, "Two without workers on one thread, driven by turns, keep apart.")                    \
    X(DRIVEN, second_driver_is_refused, "While one thread drives it run, stop, turn and fini on another are -EBUSY.")             \
    X(DRIVEN, halt_before_run_runs_nothing, "A halt before run makes it return at once, with nothing run; several are one.")      \
    X(WORKERS, tasks_progress_while_nobody_runs, "With workers tasks go on and end though nobody is in run.")                     \
    X(WORKERS, second_wait_is_refused, "While one thread is in run another one, stop and fini are -EBUSY.")                       \
    X(WORKERS, halt_ends_the_wait_and_nothing_else, "halt ends the wait in run; tasks go on.")                                    \
    X(WORKERS, wakes_between_workers_are_not_lost, "Wakes from worker to worker are not lost.")                                   \
    X(ANY, stop_and_release_from_another_thread, "Another thread than the one that started it may stop and release it.")      \
    X(ANY, task_that_goes_on_is_named_as_ready, "A task that ignores its cancel is named at the deadline of stop, as ready.")     \
    X(ANY, node_that_cannot_be_cancelled_is_named, "What a task waits for that cannot be cancelled is named, with its place.")    \
    X(ANY, scope_that_waits_names_its_child, "A scope that waits for a child is named, and at home the child.")                   \
    X(ANY, join_names_whom_it_waits_for, "A join that is left is named with whom it waits for.")                                  \
    X(ANY, channel_in_a_shield_is_named, "What waits inside a shield is named.")                                                  \
    X(ANY, shield_ends_at_its_own_deadline, "A shield whose deadline comes before that of stop ends in time.")                    \
    X(ANY, task_inside_its_body_elsewhere_is_not_waited_for, "stop does not wait for a body that computes: -ETIMEDOUT"            \
        " with workers, else -EBUSY.")                                                                                            \
    X(ANY, spawn_is_refused_while_some_are_left, "While tasks are left after a stop spawn is -ESHUTDOWN, and stop may"            \
        " be called again.")                                                                                                      \
    X(ANY, all_of_them_are_named_each_once, "Each task that is left is named once.")                                              \
    X(ANY, spawns_are_refused_while_it_drains, "While stop drains, spawns from threads and from tasks are -ESHUTDOWN.")           \
    X(ANY, halt_does_not_end_a_drain, "halt, from a task or a signal handler, does not end what stop has begun.")
/* clang-format on */

#define SLEY__EXECUTOR_CLAUSE_DECLARE(needs, name, sentence) void sley__clause_##name(const struct sley_conformance_executor *x);
SLEY__EXECUTOR_CLAUSES(SLEY__EXECUTOR_CLAUSE_DECLARE)

#endif
