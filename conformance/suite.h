/* What the clauses of executors share. */
#ifndef SLEY_CONFORMANCE_SUITE_H
#define SLEY_CONFORMANCE_SUITE_H

#include <sley/executor.h>

#include "executor_clauses.h"
#include "kit.h"

/** The body of a clause; `x` is the kind that is tried. */
#define CLAUSE(name) void sley__clause_##name(const struct sley_conformance_executor *x)

struct suite_none {
    char none;
};

/** A started one over the counting allocator. */
struct sley_executor *sley__suite_start(const struct sley_conformance_executor *x);
/** Stops (it must end), releases, gives the memory back. */
void sley__suite_end(const struct sley_conformance_executor *x, struct sley_executor *ex);
struct sley_task *sley__suite_spawn(struct sley_executor *ex, const struct sley_task_type *type, const void *args);
/** Spawns and runs to the end: its result. */
int sley__suite_run(struct sley_executor *ex, const struct sley_task_type *type, const void *args);
/** Lets it go on for a moment, whoever does that. */
void sley__suite_drive(struct sley_executor *ex);
/** Until @p word, which its tasks count up (release), is @p count. */
void sley__suite_drive_until(struct sley_executor *ex, const SLEY_ATOMIC(unsigned) * word, unsigned count);

#endif
