/* What a case must give back: descriptors, threads, blocks of the counting allocator. */
#include "harness_impl.h"

#include <dirent.h>
#include <errno.h>
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

enum { EXITING = 0x4 }; /* PF_EXITING */

/** What /proc says of a thread. False: it has gone. */
static bool stat_thread(const char *tid, char *ret_state, unsigned *ret_flags)
{
    char path[300], text[512] = "";
    snprintf(path, sizeof path, "/proc/self/task/%s/stat", tid);
    FILE *f = fopen(path, "re");
    *ret_state = 'R';
    *ret_flags = 0;
    if (f == NULL) {
        return errno != ENOENT;
    }
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    const char *name_end = strrchr(text, ')'); /* state and five numbers come before the flags */
    return name_end != NULL && sscanf(name_end + 1, " %c %*d %*d %*d %*d %*d %u", ret_state, ret_flags) == 2;
}

/** Is it on its way out? pthread_join returns in the middle of it, and the rest takes as long as the kernel is kept from it. */
static bool ends(const char *tid)
{
    char state;
    unsigned flags;
    return !stat_thread(tid, &state, &flags) || (flags & EXITING);
}

bool harness_others_sleep(void)
{
    const pid_t self = gettid();
    DIR *dir = opendir("/proc/self/task");
    bool sleep = dir != NULL;
    for (const struct dirent *entry; sleep && (entry = readdir(dir)) != NULL;) {
        char state;
        unsigned flags;
        const long tid = strtol(entry->d_name, NULL, 10);
        sleep = tid == 0 || tid == self || !stat_thread(entry->d_name, &state, &flags) || state == 'S' || (flags & EXITING);
    }
    if (dir != NULL) {
        closedir(dir);
    }
    return sleep;
}

static unsigned count_threads(void)
{
    DIR *dir = opendir("/proc/self/task");
    unsigned n = 0;
    for (const struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        n += entry->d_name[0] != '.' && !ends(entry->d_name);
    }
    if (dir != NULL) {
        closedir(dir);
    }
    return n;
}

/* Under qemu-user a joined thread goes on for a moment, and nothing tells how long: look again for up to 2 s. */
static unsigned settled_threads(unsigned expected)
{
    unsigned n = 0;
    for (int i = 0; i < 2000; i++) {
        n = count_threads();
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
    b->thread_count = count_threads();
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
