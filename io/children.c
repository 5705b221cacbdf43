/* Children that nobody waits for at their pidfd: orphans, whose handles have gone, and all of them on kernels without pidfd. They are
 * in a list that the handler of SIGCHLD goes through: it asks for each by its number, so that children of others stay theirs. */
#include "process.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <sys/wait.h>

static struct sley__child *watched, *spent; /* spent: reaped in a handler, which may not free */
static bool heard_all;                      /* SIGCHLD is listened to */
static uint32_t fork_count;                 /* between this process and the first */

static struct sley_alloc *libc_alloc(void)
{
    static struct sley_alloc libc;
    return libc.ops || sley_alloc_libc_init(&libc) == 0 ? &libc : NULL;
}

static void take_out(struct sley__child **list, const struct sley__child *c)
{
    while (*list != c) {
        list = &(*list)->next;
    }
    *list = c->next;
}

/** Has it ended? An orphan is reaped by the look; of others only the bell is rung. */
static bool look(const struct sley__child *c)
{
    siginfo_t info = {0};
    const int rc = waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG | (c->orphaned ? 0 : WNOWAIT));
    if (rc == 0 && info.si_pid == 0) {
        return false;
    }
    if (!c->orphaned) {
        (void)eventfd_write(c->bell, 1);
    }
    return true; /* also when it is not there (ECHILD): somebody else has reaped it */
}

static void quiet(void)
{
    if (!watched && heard_all) {
        heard_all = false;
        sley__signal_deafen(SIGCHLD);
    }
}

/** In the handler, too. */
static void look_at_all(void)
{
    for (struct sley__child **at = &watched; *at;) {
        struct sley__child *c = *at;
        if (!look(c)) {
            at = &c->next;
            continue;
        }
        *at = c->next;
        c->listed = false;
        if (c->orphaned) {
            c->next = spent;
            spent = c;
        }
    }
    quiet();
}

static void free_spent(void)
{
    while (spent) {
        struct sley__child *c = spent;
        spent = c->next;
        sley_alloc_put(libc_alloc(), c, sizeof *c);
    }
}

/** In the child of a fork none of these are its own. */
static void forget_all(void)
{
    watched = spent = NULL;
    heard_all = false;
    fork_count++;
}

struct sley__child *sley__child_new(void)
{
    sigset_t mask;
    sley__signal_at_fork(forget_all);
    sley__signal_lock(&mask);
    look_at_all();
    free_spent();
    struct sley_alloc *libc = libc_alloc();
    struct sley__child *c = libc ? sley_alloc_get(libc, sizeof *c, _Alignof(struct sley__child)) : NULL;
    if (c) {
        *c = (struct sley__child){.bell = -1, .fork_count = fork_count};
    }
    sley__signal_unlock(&mask);
    return c;
}

void sley__child_free(struct sley__child *c)
{
    sley__child_unwatch(c);
    sley_alloc_put(libc_alloc(), c, sizeof *c);
    free_spent();
}

int sley__child_watch(struct sley__child *c)
{
    int rc = 0;
    if (!c->listed) {
        c->listed = true;
        c->next = watched;
        watched = c;
    }
    if (!heard_all) {
        rc = sley__signal_hear(SIGCHLD, look_at_all);
        heard_all = rc == 0;
    }
    look_at_all(); /* what has ended before it was in the list */
    return rc;
}

void sley__child_unwatch(struct sley__child *c)
{
    if (c->listed && sley__child_is_ours(c)) {
        take_out(&watched, c);
        quiet();
    }
    c->listed = false;
}

bool sley__child_is_ours(const struct sley__child *c)
{
    return c->fork_count == fork_count;
}
