/* A clause in its process: begun, looked at, judged. */
#ifndef SLEY_CONFORMANCE_TRIAL_H
#define SLEY_CONFORMANCE_TRIAL_H

#include <sys/types.h>

#include "kit.h"

enum { SLEY__TRIAL_LOOK_MS = 50 }; /* between two looks */

/** Zeroed before its start. */
struct sley__kit_trial {
    const struct sley__kit_suite *suite;
    size_t index;                    /* of the clause */
    struct sley__kit_report *report; /* in memory that its process sees */
    uint32_t effort;
    uint64_t seed, limit_ms; /* of processor time; ten times as much of real time */
    /* private */
    pid_t pid;
    int pipe_end; /* readable when the process has ended */
    int status;
    bool started, ended;
    const char *late; /* why it was ended; NULL: it has ended by itself */
    uint64_t looked_ms, switches;
    uint64_t real_ms; /* since its start, without what nobody has seen */
    unsigned asleep;  /* looks in a row at which it slept, without having run in between */
};

/** Returns: 0; a negative errno when there is no process for it. */
int sley__kit_trial_start(struct sley__kit_trial *t);
/** Has it ended? One that has had its time is ended here. Does not wait. */
bool sley__kit_trial_look(struct sley__kit_trial *t);
/** Ends it, whatever it is doing. */
void sley__kit_trial_stop(struct sley__kit_trial *t);
/** Of one that has ended: the verdict, and why. */
enum sley_verdict sley__kit_trial_judge(const struct sley__kit_trial *t, char *ret_why, size_t bytes);

#endif
