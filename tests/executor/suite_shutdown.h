/* What every executor's stop has to do with tasks that do not go: end at the deadline, and name each with what it waits for. */
#ifndef SLEY_TEST_SUITE_SHUTDOWN_H
#define SLEY_TEST_SUITE_SHUTDOWN_H

#include "suite.h"

/* name, conformance cases */
#define SUITE_SHUTDOWN(X)                                    \
    X(task_that_goes_on_is_named_as_ready, "SHUT-03")        \
    X(node_that_cannot_be_cancelled_is_named, "SHUT-03")     \
    X(scope_that_waits_names_its_child, "SHUT-03")           \
    X(join_names_whom_it_waits_for, "SHUT-03")               \
    X(channel_in_a_shield_is_named, "SHUT-03")               \
    X(shield_ends_at_its_own_deadline, "")                   \
    X(task_inside_its_body_elsewhere_is_not_waited_for, "")  \
    X(spawn_is_refused_while_some_are_left, "SHUT-09")       \
    X(all_of_them_are_named_each_once, "SHUT-03")            \
    X(spawns_are_refused_while_it_drains, "SHUT-09 TASK-16") \
    X(halt_does_not_end_a_drain, "SHUT-03")

SUITE_SHUTDOWN(SUITE_DECLARE)

#endif
