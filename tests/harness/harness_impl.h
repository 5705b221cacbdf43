/* Between the files of the harness. */
#ifndef SLEY_HARNESS_IMPL_H
#define SLEY_HARNESS_IMPL_H

#include "harness.h"

#include <setjmp.h>

/* Shared by runner and case, in memory that both processes map. */
struct harness_report {
    char skip[512];
    char notes[8192];
    size_t notes_bytes;
};
extern struct harness_report *harness_report;
extern bool harness_forks;
extern uint64_t harness_seed;
extern jmp_buf harness_skip_jump; /* where a skipped case goes with --no-fork */

void harness_rand_start(const char *case_name);
void harness_alloc_start(void);

#endif
