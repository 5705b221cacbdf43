/* Starting a child: its descriptors are arranged under numbers that collide with none that are asked for, then posix_spawn does it. */
#include "process.h"
#include "tcp.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/** What has to be given back. Numbers: -1 for none. */
struct arranged {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    int theirs[3], ours[3];
    bool has_actions, has_attr;
};

static int close_one(int number)
{
    if (number >= 0) {
        (void)close(number);
    }
    return -1;
}

static void tidy(struct arranged *a)
{
    for (int i = 0; i < 3; i++) {
        a->theirs[i] = close_one(a->theirs[i]);
        a->ours[i] = close_one(a->ours[i]);
    }
    if (a->has_actions) {
        (void)posix_spawn_file_actions_destroy(&a->actions);
    }
    if (a->has_attr) {
        (void)posix_spawnattr_destroy(&a->attr);
    }
}

/* ---- descriptors ------------------------------------------------------------------------------------------------------ */

/** A copy that stands in nobody's way, and goes by itself. */
static int aside(int number)
{
    const int copy = fcntl(number, F_DUPFD_CLOEXEC, 3);
    return copy < 0 ? -errno : copy;
}

static int make_pair(struct arranged *a, int i)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        return -errno;
    }
    a->ours[i] = pair[0];
    const int flags = fcntl(pair[0], F_GETFL);
    int rc = flags < 0 || fcntl(pair[0], F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0; /* the child's blocks, as it expects */
    const int theirs = rc < 0 ? rc : aside(pair[1]);
    a->theirs[i] = theirs < 0 ? -1 : theirs;
    (void)close(pair[1]);
    return theirs < 0 ? theirs : 0;
}

static int arrange_one(struct arranged *a, int i, const struct sley_stdio *io)
{
    int rc = 0;
    switch (io->kind) {
    case SLEY_STDIO_NULL:
        return -posix_spawn_file_actions_addopen(&a->actions, i, "/dev/null", O_RDWR, 0);
    case SLEY_STDIO_INHERIT:
        if (fcntl(i, F_GETFD) < 0) {
            return 0; /* closed here, and so there */
        }
        rc = a->theirs[i] = aside(i); /* ours may be another's source, and be overwritten first */
        break;
    case SLEY_STDIO_FD:
        rc = a->theirs[i] = aside(io->number);
        break;
    case SLEY_STDIO_PIPE:
        rc = io->ret_pipe ? make_pair(a, i) : -EINVAL;
        break;
    default:
        rc = -EINVAL;
        break;
    }
    if (rc < 0) {
        a->theirs[i] = close_one(a->theirs[i]);
        return rc;
    }
    return -posix_spawn_file_actions_adddup2(&a->actions, a->theirs[i], i); /* the copy survives exec */
}

static int arrange_descriptors(struct arranged *a, const struct sley_process_opts *o)
{
    int rc = -posix_spawn_file_actions_init(&a->actions);
    a->has_actions = rc == 0;
    if (rc == 0 && o->cwd) {
        rc = -posix_spawn_file_actions_addchdir_np(&a->actions, o->cwd);
    }
    for (int i = 0; i < 3 && rc == 0; i++) {
        rc = arrange_one(a, i, &o->stdio[i]);
    }
    return rc < 0 ? rc : -posix_spawn_file_actions_addclosefrom_np(&a->actions, 3);
}

/* ---- all else ----------------------------------------------------------------------------------------------------------- */

static int arrange_attributes(struct arranged *a, const struct sley_process_opts *o)
{
    sigset_t none, all;
    short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
    int rc = -posix_spawnattr_init(&a->attr);
    a->has_attr = rc == 0;
    if (rc < 0) {
        return rc;
    }
    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    (void)posix_spawnattr_setsigmask(&a->attr, &none);
    (void)posix_spawnattr_setsigdefault(&a->attr, &all);
    if (o->new_session) {
        flags |= POSIX_SPAWN_SETSID;
    } else if (o->group != 0) {
        flags |= POSIX_SPAWN_SETPGROUP;
        (void)posix_spawnattr_setpgroup(&a->attr, o->group < 0 ? 0 : o->group);
    }
    return -posix_spawnattr_setflags(&a->attr, flags);
}

/** Does it have pidfd? Seccomp filters forbid it where it is not known. */
static bool has_pidfd(void)
{
    const long probe = syscall(SYS_pidfd_open, getpid(), 0);
    const bool has = probe >= 0 || (errno != ENOSYS && errno != EPERM);
    (void)close_one((int)probe);
    return has;
}

/** What will say that it has ended: made before it is there, if it can be. Returns: its number; -1: a pidfd, later; -errno. */
static int make_bell(struct sley__child *c)
{
    if (has_pidfd()) {
        return 0;
    }
    c->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return c->bell < 0 ? -errno : 0;
}

/** The child runs. Returns: its descriptor; -errno: it does not any more. */
static int attach(struct sley__child *c, pid_t pid)
{
    c->pid = pid;
    int number = c->bell, rc = 0;
    if (number >= 0) {
        sigset_t mask;
        sley__signal_lock(&mask);
        rc = sley__child_watch(c);
        if (rc < 0) {
            sley__child_unwatch(c);
        }
        sley__signal_unlock(&mask);
    } else {
        number = (int)syscall(SYS_pidfd_open, pid, 0);
        rc = number < 0 ? -errno : 0;
    }
    if (rc < 0) {
        (void)kill(pid, SIGKILL);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    return rc < 0 ? rc : number;
}

static int spawn(struct arranged *a, const struct sley_process_opts *o, pid_t *ret_pid)
{
    char *const name[] = {(char *)(uintptr_t)o->file, NULL};
    char *const *argv = o->argv ? o->argv : name, *const *envp = o->envp ? o->envp : environ;
    int rc = arrange_descriptors(a, o);
    rc = rc < 0 ? rc : arrange_attributes(a, o);
    return rc < 0 ? rc : -posix_spawnp(ret_pid, o->file, &a->actions, &a->attr, argv, envp);
}

/** Our ends become streams. */
static void hand_out(struct arranged *a, const struct sley_process_opts *o)
{
    for (int i = 0; i < 3; i++) {
        if (a->ours[i] >= 0) {
            struct sley_tcp *end = &o->stdio[i].ret_pipe->end;
            sley__tcp_init(end, a->ours[i]);
            sley_fd_init(&end->fd, a->ours[i]); /* a short read of a local socket says nothing about what is behind it */
            a->ours[i] = -1;
        }
    }
}

int sley_process_spawn(struct sley_process *ret_process, const struct sley_process_opts *o)
{
    struct arranged a = {.theirs = {-1, -1, -1}, .ours = {-1, -1, -1}};
    pid_t pid = 0;
    if (!ret_process || !o || !o->file || !*o->file) {
        return -EINVAL;
    }
    struct sley__child *c = sley__child_new();
    if (!c) {
        return -ENOMEM;
    }
    int rc = make_bell(c);
    rc = rc < 0 ? rc : spawn(&a, o, &pid);
    rc = rc < 0 ? rc : attach(c, pid);
    if (rc >= 0) {
        hand_out(&a, o);
        *ret_process = (struct sley_process){.child = c, .pid = pid, .kill_on_fini = o->kill_on_fini};
        sley_fd_init(&ret_process->fd, rc);
        rc = 0;
    } else {
        sigset_t mask;
        (void)close_one(c->bell);
        sley__signal_lock(&mask);
        sley__child_free(c);
        sley__signal_unlock(&mask);
    }
    tidy(&a);
    return rc;
}
