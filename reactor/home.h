/* What home.c is to courier.c and remote.c: how a worker is reached from elsewhere, and memory that is no executor's. */
#ifndef SLEY_REACTOR_HOME_H
#define SLEY_REACTOR_HOME_H

#include "op.h"

/** Zeroed, of libc: it may outlive every executor. Returns: NULL when there is none. */
void *sley__home_alloc(size_t bytes, size_t align);
void sley__home_free(void *block, size_t bytes);

/** The worker of a home that has not gone, held until sley_sched_unhold; NULL: it has gone. @p r is only compared. */
struct sley_sched *sley__home_hold(const struct sley_reactor *r);
/** Does it go on by itself? What stands still now nobody is to set going while a descriptor of its is closed: its user sees to that. */
bool sley__home_runs(const struct sley_reactor *home);

/** courier.c: in the child of a fork, none is under way. */
void sley__couriers_forget(void);

#endif
