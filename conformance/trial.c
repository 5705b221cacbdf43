/* A clause's process: what it runs, and when it is given up. A clock says little on a busy machine, so the kernel is asked: who sleeps,
 * all threads and children of it, and does not run at all for 40 looks in a row, waits for what does not come; who is not through
 * after so much time of a processor's goes on for ever. Who waits for a processor is late, no more; but there is an end to that, too,
 * for one that yields for ever, or is stopped, looks the same: ten times as much of real time, of which counts what this process has
 * seen of it. */
#include "trial.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    ASLEEP_LOOKS = 40,
    REAL_FACTOR = 10,
    REAL_LEAST_MS = 30000, /* a short limit is for short clauses: a machine may keep those waiting a hundred times as long as they run */
    GAP_MS = 1000          /* between two looks; longer ones are a machine, or a run, that stands still */
};

/* ---- in the clause's process ------------------------------------------------------------------------------------- */

/** Threads that are there before the clause begins, beside this one, are a sanitizer's: they wake by themselves now and then. */
static void note_bystanders(struct sley__kit_report *r)
{
    DIR *dir = opendir("/proc/self/task");
    r->bystander_count = 0;
    for (const struct dirent *entry; dir && (entry = readdir(dir));) {
        const long tid = strtol(entry->d_name, NULL, 10);
        if (tid > 0 && tid != getpid() && r->bystander_count < SLEY__KIT_BYSTANDERS) {
            r->bystanders[r->bystander_count++] = tid;
        }
    }
    if (dir) {
        (void)closedir(dir);
    }
}

static _Noreturn void run_child(const struct sley__kit_trial *t)
{
    (void)setpgid(0, 0);                             /* so that one kill reaches what the clause starts */
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); /* and none outlives the run */
    sley__kit_report = t->report;
    sley__kit_begin(t->seed, t->suite->clauses[t->index].name, t->effort);
    (void)sley__kit_alloc();
    sley__kit_settle();
    note_bystanders(t->report); /* it may hang in here already */
    t->suite->warm_up();
    const unsigned fds = sley__kit_fd_count(), threads = sley__kit_thread_count(sley__kit_threads_before());
    note_bystanders(t->report);
    t->suite->run(t->suite, t->index);
    const unsigned fds_left = sley__kit_fd_count();
    if (fds_left != fds) {
        FAIL("%u descriptors are open at the end, %u were at the start", fds_left, fds);
    }
    const unsigned threads_left = sley__kit_thread_count(threads);
    if (threads_left > threads) {
        FAIL("%u threads are there at the end, %u were at the start", threads_left, threads);
    }
    if (sley__kit_alloc_live() != 0) {
        FAIL("%zu blocks are not given back at the end", sley__kit_alloc_live());
    }
    _exit(0);
}

/* ---- seen from outside ------------------------------------------------------------------------------------------- */

static uint64_t now_ms(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

int sley__kit_trial_start(struct sley__kit_trial *t)
{
    int ends[2];
    if (pipe(ends) < 0) {
        return -errno;
    }
    t->pid = fork();
    if (t->pid == 0) {
        (void)close(ends[0]);
        run_child(t);
    }
    const int rc = t->pid < 0 ? -errno : 0;
    (void)close(ends[1]);
    if (rc < 0) {
        (void)close(ends[0]);
        return rc;
    }
    t->pipe_end = ends[0];
    t->started = true;
    t->looked_ms = now_ms();
    return 0;
}

static bool is_bystander(const struct sley__kit_report *r, long tid)
{
    unsigned i = 0;
    while (i < r->bystander_count && r->bystanders[i] != tid) {
        i++;
    }
    return i < r->bystander_count;
}

/** Does this thread sleep? Adds how often it has been switched. Unknown is awake. */
static bool thread_sleeps(pid_t pid, long tid, uint64_t *ret_switches)
{
    char text[4096];
    (void)snprintf(text, sizeof text, "/proc/%ld/task/%ld/status", (long)pid, tid);
    const int number = open(text, O_RDONLY | O_CLOEXEC);
    const ssize_t n = number >= 0 ? read(number, text, sizeof text - 1) : -1;
    if (number >= 0) {
        (void)close(number);
    }
    text[n > 0 ? n : 0] = '\0';
    const char *state = strstr(text, "\nState:"), *count = text;
    while ((count = strstr(count, "ctxt_switches:")) != NULL) { /* voluntary or not */
        count += strlen("ctxt_switches:");
        *ret_switches += strtoull(count, NULL, 10);
    }
    const char is = state ? state[7 + strspn(state + 7, " \t")] : 'R';
    return is == 'S' || is == 'Z'; /* what has ended does nothing either */
}

/** As above, for the processes that this thread has started: who waits for a late one of them is not asleep for good. */
static bool children_sleep(pid_t pid, long tid, uint64_t *ret_switches)
{
    char text[1024];
    (void)snprintf(text, sizeof text, "/proc/%ld/task/%ld/children", (long)pid, tid);
    const int number = open(text, O_RDONLY | O_CLOEXEC);
    const ssize_t n = number >= 0 ? read(number, text, sizeof text - 1) : -1; /* a kernel may have no such file */
    if (number >= 0) {
        (void)close(number);
    }
    text[n > 0 ? n : 0] = '\0';
    bool sleep = true;
    char *at = text;
    for (long child; sleep && (child = strtol(at, &at, 10)) > 0;) {
        sleep = thread_sleeps((pid_t)child, child, ret_switches);
    }
    return sleep;
}

/** Counts whether all of its threads and children sleep, and whether without having run since the last time. */
static void look_at_sleep(struct sley__kit_trial *t)
{
    char path[64];
    uint64_t switches = 1;
    bool sleeps = true;
    (void)snprintf(path, sizeof path, "/proc/%ld/task", (long)t->pid);
    DIR *dir = opendir(path);
    if (!dir) {
        return; /* nobody knows: then it is the clocks that count */
    }
    for (const struct dirent *entry; sleeps && (entry = readdir(dir));) {
        const long tid = strtol(entry->d_name, NULL, 10);
        if (tid > 0 && !is_bystander(t->report, tid)) {
            sleeps = thread_sleeps(t->pid, tid, &switches) && children_sleep(t->pid, tid, &switches);
        }
    }
    (void)closedir(dir);
    t->asleep = sleeps && switches == t->switches ? t->asleep + 1 : 0;
    t->switches = sleeps ? switches : 0;
}

static uint64_t processor_ms(pid_t pid)
{
    clockid_t clock;
    struct timespec ts = {0};
    if (clock_getcpuclockid(pid, &clock) == 0) {
        (void)clock_gettime(clock, &ts);
    }
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/** Has it had its time? */
static void look_at_clocks(struct sley__kit_trial *t)
{
    const uint64_t now = now_ms(), gap_ms = now - t->looked_ms;
    if (gap_ms < SLEY__TRIAL_LOOK_MS) {
        return;
    }
    t->looked_ms = now;
    t->real_ms += gap_ms < GAP_MS ? gap_ms : GAP_MS;
    look_at_sleep(t);
    if (t->asleep >= ASLEEP_LOOKS) {
        t->late = "it slept, and nothing woke it any more";
    } else if (processor_ms(t->pid) >= t->limit_ms) {
        t->late = "it used up its time, and did not end";
    } else if (t->real_ms >= t->limit_ms * REAL_FACTOR && t->real_ms >= REAL_LEAST_MS) {
        t->late = "it did not end";
    }
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path) < 0 && errno != ENOENT ? -1 : 0;
}

static void end(struct sley__kit_trial *t)
{
    t->ended = true;
    (void)close(t->pipe_end);
    if (t->report->scratch[0]) {
        (void)nftw(t->report->scratch, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    }
}

bool sley__kit_trial_look(struct sley__kit_trial *t)
{
    if (t->ended || !t->started) {
        return t->ended;
    }
    if (waitpid(t->pid, &t->status, WNOHANG) == 0) {
        look_at_clocks(t);
        if (!t->late) {
            return false;
        }
        sley__kit_trial_stop(t);
        return true;
    }
    (void)kill(-t->pid, SIGKILL); /* what the clause has left running */
    end(t);
    return true;
}

void sley__kit_trial_stop(struct sley__kit_trial *t)
{
    if (!t->started || t->ended) {
        return;
    }
    (void)kill(-t->pid, SIGKILL);
    (void)kill(t->pid, SIGKILL); /* in case it has not reached setpgid */
    while (waitpid(t->pid, &t->status, 0) < 0 && errno == EINTR) {
    }
    end(t);
}

enum sley_verdict sley__kit_trial_judge(const struct sley__kit_trial *t, char *ret_why, size_t bytes)
{
    const struct sley__kit_report *r = t->report;
    ret_why[0] = '\0';
    if (t->late) {
        (void)snprintf(ret_why, bytes, "%s", t->late);
        return SLEY_VERDICT_BROKEN;
    }
    if (WIFSIGNALED(t->status)) {
        const int signo = WTERMSIG(t->status);
        (void)snprintf(ret_why, bytes, "the process died of signal %d, %s", signo, strsignal(signo));
        return SLEY_VERDICT_BROKEN;
    }
    if (WEXITSTATUS(t->status) == SLEY__KIT_SKIPPED && r->skip[0]) {
        (void)snprintf(ret_why, bytes, "%s", r->skip);
        return SLEY_VERDICT_SKIPPED;
    }
    if (WEXITSTATUS(t->status) != 0) {
        (void)snprintf(ret_why, bytes, "%s", r->why[0] ? r->why : "the process ended by itself");
        return SLEY_VERDICT_BROKEN;
    }
    return SLEY_VERDICT_KEPT;
}
