/* A machine whose libc walks no stacks: the report of who is left is without backtraces. */
#include "core.h"

void sley__trace_begin(bool still)
{
    (void)still;
}

void sley__trace_left(const struct sley_sched *s, struct sley_task *t, bool stands, const char *what)
{
    (void)t, (void)stands;
    s->report(s->report_arg, SLEY_REPORT_LEFT, what);
}
