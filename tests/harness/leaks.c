/* What a case must give back: descriptors, threads, blocks of the counting allocator. */
#include "harness_impl.h"

#include <dirent.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static unsigned count_entries(const char *path)
{
    DIR *dir = opendir(path);
    unsigned n = 0;
    if (dir == NULL) {
        return 0;
    }
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        n += entry->d_name[0] != '.';
    }
    closedir(dir);
    return n;
}

static void list_fds(void)
{
    for (int fd = 0; fd < 65536; fd++) {
        char link[64], target[PATH_MAX];
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t n = readlink(link, target, sizeof target - 1);
        if (n > 0) {
            target[n] = '\0';
            fprintf(stderr, "open: %d -> %s\n", fd, target);
        }
    }
}

/* A joined thread leaves /proc a moment after pthread_join returned, and nothing tells when: look again for up to 2 s. */
static unsigned settled_threads(unsigned expected)
{
    unsigned n = 0;
    for (int i = 0; i < 2000; i++) {
        n = count_entries("/proc/self/task");
        if (n <= expected) {
            break;
        }
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return n;
}

void harness_leaks_start(struct harness_before *b)
{
    b->fd_count = count_entries("/proc/self/fd");
    b->thread_count = count_entries("/proc/self/task");
    b->block_count = harness_alloc_live();
}

void harness_leaks_check(const struct harness_before *b, const char *when)
{
    unsigned fds = count_entries("/proc/self/fd");
    if (fds != b->fd_count) {
        list_fds();
        FAIL("%s: %u descriptors open, %u before", when, fds, b->fd_count);
    }
    unsigned threads = settled_threads(b->thread_count);
    if (threads > b->thread_count) {
        FAIL("%s: %u threads alive, %u before", when, threads, b->thread_count);
    }
    if (harness_alloc_live() != b->block_count) {
        FAIL("%s: %zu blocks of harness_alloc() not freed, %zu before", when, harness_alloc_live(), b->block_count);
    }
}
