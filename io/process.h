/* What the files of processes share: the list of children that a SIGCHLD is to look after. */
#ifndef SLEY_IO_PROCESS_H
#define SLEY_IO_PROCESS_H

#include "hear.h"

#include <sley/process.h>
#include <sley/reactor_impl.h>

/** Of a child, from its start until it has been reaped. */
struct sley__child {
    struct sley__child *next; /* in one of the lists of children.c */
    pid_t pid;
    int bell;      /* without pidfd: an eventfd that says that it has ended; -1 */
    bool orphaned; /* its handle has gone: reap it */
    bool listed;
    uint32_t fork_count; /* whose it is: children.c */
};

/* All with the lock of hear.h but for the first. */

/** Memory for one. NULL: there is none. Frees what handlers have reaped. Without the lock. */
struct sley__child *sley__child_new(void);
/** It has been reaped, or was never there: off the list, and its memory goes. */
void sley__child_free(struct sley__child *c);
/** From now on each SIGCHLD looks at it, and so does this call. Returns: as sley_signal_init; then only later calls look. */
int sley__child_watch(struct sley__child *c);
void sley__child_unwatch(struct sley__child *c);
/** Is it a child of this process? Not so of one that was inherited by fork. */
bool sley__child_is_ours(const struct sley__child *c);

/** Reaps what can be, and fills in how it ended. Returns whether it has ended. */
bool sley__process_reap(struct sley_process *p);

#endif
