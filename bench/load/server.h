/* What the system knows about the server's process: its CPU time and its memory. */
#ifndef BENCH_SERVER_H
#define BENCH_SERVER_H

#include <stdint.h>

/** CPU time of process @p pid so far, in ns. Returns: it; a negative errno. */
int64_t server_cpu_ns(int pid);
/** Resident memory of process @p pid. Returns: bytes; a negative errno. */
int64_t server_resident_bytes(int pid);

#endif
