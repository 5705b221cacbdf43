/* CPU time by the process's own clock, in ns (/proc/PID/stat counts in hundredths of a second); memory from /proc/PID/statm. */
#include "server.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

int64_t server_cpu_ns(int pid)
{
    clockid_t clock;
    struct timespec t;
    const int rc = clock_getcpuclockid(pid, &clock);
    if (rc != 0) {
        return -rc;
    }
    return clock_gettime(clock, &t) == 0 ? (int64_t)t.tv_sec * 1000000000 + t.tv_nsec : -errno;
}

int64_t server_resident_bytes(int pid)
{
    char path[64];
    long long total, resident;
    (void)snprintf(path, sizeof path, "/proc/%d/statm", pid);
    FILE *f = fopen(path, "r");
    if (!f) {
        return -errno;
    }
    const int found = fscanf(f, "%lld %lld", &total, &resident);
    (void)fclose(f);
    return found == 2 ? resident * sysconf(_SC_PAGESIZE) : -EPROTO;
}
