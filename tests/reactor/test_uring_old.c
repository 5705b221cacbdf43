/* Kernels of old: each feature of the ring missing in turn, under the suites of the ports. */
#include "bed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/** Runs the suites of the ports, which stand beside this program, with these features missing. */
static void suites_without(const char *names)
{
    static const char *const suites[] = {"ops", "wait", "close", "lent"};
    const char *missing = uring_missing();
    if (missing) {
        SKIP("%s", missing);
    }
    char self[400];
    const ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    CHECK_INT(n, >, 0);
    self[n] = '\0';
    *strrchr(self, '/') = '\0';
    CHECK_INT(setenv("SLEY_TEST_URING_WITHOUT", names, 1), ==, 0);
    for (size_t i = 0; i < sizeof suites / sizeof suites[0]; i++) {
        char path[480];
        int status;
        (void)snprintf(path, sizeof path, "%s/test-reactor-%s-uring", self, suites[i]);
        const pid_t pid = fork();
        CHECK_INT(pid, >=, 0);
        if (pid == 0) {
            (void)dup2(2, 1);
            (void)execl(path, path, (char *)NULL);
            _exit(127);
        }
        CHECK_INT(waitpid(pid, &status, 0), ==, pid);
        if (status != 0) {
            FAIL("%s without %s", path, names);
        }
    }
}

#define WITHOUT(feature)                                              \
    SLEY_TEST_SECONDS(suites_pass_without_##feature, "URING-14", 120) \
    {                                                                 \
        suites_without(#feature);                                     \
    }
WITHOUT(submit_all)
WITHOUT(coop_taskrun)
WITHOUT(single_issuer)
WITHOUT(defer_taskrun)
WITHOUT(no_sqarray)
WITHOUT(ring_fd)
WITHOUT(cqe_skip)
WITHOUT(poll_multi)
WITHOUT(poll_first)
WITHOUT(buffer_ring)
WITHOUT(msg_ring)
WITHOUT(accept_multi)
WITHOUT(recv_multi)
WITHOUT(min_wait)

SLEY_TEST_SECONDS(suites_pass_on_the_oldest_kernel, "URING-14", 120)
{
    suites_without("submit_all coop_taskrun single_issuer defer_taskrun no_sqarray ring_fd cqe_skip poll_multi poll_first "
                   "buffer_ring accept_multi recv_multi msg_ring min_wait");
}
