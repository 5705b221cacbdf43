/* A child's handle: waiting for its end at a descriptor that becomes readable then, signals, giving up. All that concerns whether it
 * has been reaped, and so whether its number is still its own, happens under the lock of hear.h. */
#include "process.h"

#include <errno.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void forget_child(struct sley_process *p)
{
    if (p->child) {
        sley__child_free(p->child);
        p->child = NULL;
    }
}

/** Is its end known? So it is, as if others had reaped it, in the child of a fork, where it is nobody's child. With the lock. */
static bool is_over(struct sley_process *p)
{
    if (!p->ended && p->child && !sley__child_is_ours(p->child)) {
        p->ended = p->lost = true;
        forget_child(p);
    }
    return p->ended;
}

bool sley__process_reap(struct sley_process *p)
{
    siginfo_t info = {0};
    if (is_over(p)) {
        return true;
    }
    const int rc = waitid(P_PID, (id_t)p->pid, &info, WEXITED | WNOHANG);
    if (rc == 0 && info.si_pid == 0) {
        return false;
    }
    p->ended = true;
    p->lost = rc < 0;
    p->code = info.si_code == CLD_EXITED ? info.si_status : 0;
    p->signo = info.si_code == CLD_EXITED ? 0 : info.si_status;
    p->dumped = info.si_code == CLD_DUMPED;
    forget_child(p);
    return true;
}

/** Returns: 1: it runs; else a wait's result. */
static int32_t look(struct sley_process *p, struct sley_exit *ret_exit)
{
    sigset_t mask;
    sley__signal_lock(&mask);
    const bool ended = sley__process_reap(p);
    sley__signal_unlock(&mask);
    if (!ended) {
        return 1;
    }
    if (p->lost) {
        return -ECHILD;
    }
    if (ret_exit) {
        *ret_exit = (struct sley_exit){p->code, p->signo, p->dumped};
    }
    return 0;
}

/* ---- waiting --------------------------------------------------------------------------------------------------------- */

static int32_t end_wait(struct sley_io_op *op, int32_t result)
{
    if (result < 0) {
        return result;
    }
    const int32_t rc = look(op->object, op->buf);
    return rc == 1 ? -EAGAIN : rc; /* 1: the descriptor is not what it was */
}

static void prepare(struct sley_io_op *op, struct sley_process *p, struct sley_exit *ret_exit)
{
    op->fd = &p->fd;
    op->object = p;
    op->buf = ret_exit;
    op->len = SLEY_IO_IN;
    op->end = end_wait;
    op->code = SLEY_IO_POLL;
    op->flags = 0;
}

static const struct sley_wait_ops here_ops = {.version = SLEY_WAIT_VERSION, .name = "process"};

void sley_process_wait_start(struct sley_io_op *op, struct sley_process *p, struct sley_exit *ret_exit)
{
    const int32_t now = !p || p->pid == 0 ? -EINVAL : look(p, ret_exit);
    if (now == 1) {
        prepare(op, p, ret_exit);
        sley_io_submit(op);
    } else if (sley_wait_begin(&op->wait, &here_ops)) {
        sley_wait_finish(&op->wait, now);
    }
}

int sley_process_wait(struct sley_process *p, struct sley_exit *ret_exit)
{
    int rc = sley_direct_enter();
    if (rc < 0) {
        return rc;
    }
    rc = !p || p->pid == 0 ? -EINVAL : look(p, ret_exit);
    if (rc != 1) {
        return rc;
    }
    struct sley_io_op op = {0};
    prepare(&op, p, ret_exit);
    return sley_io_run(&op);
}

/* ---- signals --------------------------------------------------------------------------------------------------------- */

int sley_process_kill(struct sley_process *p, int signo)
{
    sigset_t mask;
    if (!p) {
        return -EINVAL;
    }
    sley__signal_lock(&mask);
    /* nobody but us reaps it, and not now: the number is its own */
    const int rc = p->pid == 0 || is_over(p) ? -ESRCH : kill(p->pid, signo) == 0 ? 0 : -errno;
    sley__signal_unlock(&mask);
    return rc;
}

/* ---- giving up ------------------------------------------------------------------------------------------------------- */

static void disown(struct sley_process *p)
{
    if (p->kill_on_fini && !is_over(p)) {
        (void)kill(p->pid, SIGKILL);
    }
    if (!sley__process_reap(p) && p->child) {
        p->child->orphaned = true;
        (void)sley__child_watch(p->child);
    }
}

/** The descriptor is closed, or was refused. */
static int32_t end_fini(struct sley_io_op *op, int32_t result)
{
    struct sley_process *p = op->object;
    struct sley__child *c = p->child;
    sigset_t mask;
    sley__signal_lock(&mask);
    if (result == 0) {
        disown(p);
        *p = (struct sley_process){.fd = {.number = -1}};
    } else if (c && c->bell >= 0) {
        (void)sley__child_watch(c); /* it goes on as before */
    }
    sley__signal_unlock(&mask);
    return result;
}

/** False: there is nothing to give up. */
static bool begin_fini(struct sley_io_op *op, struct sley_process *p)
{
    sigset_t mask;
    if (!p || p->pid == 0) {
        return false;
    }
    sley__signal_lock(&mask);
    if (p->child) {
        sley__child_unwatch(p->child); /* so that no handler writes to a bell that is another's by then */
    }
    sley__signal_unlock(&mask);
    op->fd = &p->fd;
    op->object = p;
    op->end = end_fini;
    op->code = SLEY_IO_CLOSE;
    op->flags = 0;
    return true;
}

void sley_process_fini_start(struct sley_io_op *op, struct sley_process *p)
{
    if (begin_fini(op, p)) {
        sley_io_submit(op);
    } else {
        sley_wait_begin_always(&op->wait, &here_ops);
        sley_wait_finish(&op->wait, 0);
    }
}

int sley_process_fini(struct sley_process *p)
{
    struct sley_io_op op = {0};
    return begin_fini(&op, p) ? sley_io_run(&op) : 0;
}
