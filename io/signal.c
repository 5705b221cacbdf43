/* Signals: one table for the process, guarded by a lock that handlers take, too. Who holds it has every signal blocked, so that no
 * handler ever waits for what it has interrupted; and it is held for some list's length, never while a waiter is told.
 *
 * A source is installed while it has users, and what was there before is called and comes back. Whoever covers our handler decides:
 * we do not touch his, and if ours is uncovered later, with no user left, it gives way at the next delivery. */
#include "hear.h"

#include <sley/group_impl.h>

#include <errno.h>
#include <pthread.h>

struct source {
    struct sley_signal *first;
    struct sigaction previous;
    void (*heard)(void);
    uint32_t heard_count;
    uint32_t user_count; /* listeners, and heard_count */
    bool installed;      /* our handler may be called: `previous` is valid */
};

static struct source sources[NSIG];
static SLEY_ATOMIC(uint32_t) lock;
static void (*forked_hook)(void);

/* ---- the lock ---------------------------------------------------------------------------------------------------------- */

void sley__signal_lock(sigset_t *ret_mask)
{
    sigset_t all;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, ret_mask);
    sley_spin_lock(&lock);
}

void sley__signal_unlock(const sigset_t *mask)
{
    sley_spin_unlock(&lock);
    (void)pthread_sigmask(SIG_SETMASK, mask, NULL);
}

/* ---- a delivery -------------------------------------------------------------------------------------------------------- */

/** What a wait is told; the rest, should it not fit, stays. */
static int32_t take_count(struct sley_signal *s)
{
    const uint64_t n = s->count < INT32_MAX ? s->count : INT32_MAX;
    s->count -= n;
    return (int32_t)n;
}

static struct sley_signal_op *take_waiter(struct sley_signal *s)
{
    struct sley_signal_op *op = s->waiter;
    s->waiter = NULL;
    op->signal = NULL;
    return op;
}

/** Counts for every listener. Returns those to be told, their results in their nodes. */
static struct sley_signal_op *count_all(struct source *src)
{
    struct sley_signal_op *told = NULL;
    for (struct sley_signal *s = src->first; s; s = s->next) {
        s->count++;
        if (s->waiter) {
            struct sley_signal_op *op = take_waiter(s);
            op->wait.result = take_count(s);
            op->next = told;
            told = op;
        }
    }
    return told;
}

static void tell(struct sley_signal_op *op)
{
    while (op) {
        struct sley_signal_op *next = op->next; /* first: the op may be gone after the next line */
        sley_wait_complete_signal(&op->wait, op->wait.result);
        op = next;
    }
}

static bool is_function(const struct sigaction *a)
{
    return (a->sa_flags & SA_SIGINFO) || (a->sa_handler != SIG_DFL && a->sa_handler != SIG_IGN);
}

static void chain(const struct sigaction *previous, int signo, siginfo_t *info, void *context)
{
    if (previous->sa_flags & SA_SIGINFO) {
        previous->sa_sigaction(signo, info, context);
    } else if (is_function(previous)) {
        previous->sa_handler(signo);
    }
}

/** Nobody listens any more: somebody who had covered us has gone by now. */
static void give_way(struct source *src, int signo)
{
    src->installed = false;
    (void)sigaction(signo, &src->previous, NULL);
    if (!is_function(&src->previous)) {
        (void)raise(signo); /* comes when this handler has returned, to whom it belongs */
    }
}

static void on_signal(int signo, siginfo_t *info, void *context)
{
    const int saved = errno; /* of the code that was interrupted */
    struct source *src = &sources[signo];
    sley_spin_lock(&lock);
    struct sley_signal_op *told = count_all(src);
    const struct sigaction previous = src->previous;
    if (src->heard_count > 0) {
        src->heard();
    } else if (src->user_count == 0 && src->installed) {
        give_way(src, signo);
    }
    sley_spin_unlock(&lock);
    tell(told);
    chain(&previous, signo, info, context);
    errno = saved;
}

/* ---- dispositions ------------------------------------------------------------------------------------------------------ */

static bool is_ours(const struct sigaction *a)
{
    return (a->sa_flags & SA_SIGINFO) && a->sa_sigaction == on_signal;
}

static int install(struct source *src, int signo)
{
    struct sigaction now;
    if (sigaction(signo, NULL, &now) < 0) {
        return -errno;
    }
    if (is_ours(&now)) {
        return 0;
    }
    if (src->installed && is_function(&now)) {
        return -EBUSY;
    }
    /* all blocked inside: see above. What the previous handler asked of SIGCHLD is asked further on */
    struct sigaction ours = {.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK | (now.sa_flags & SA_NOCLDSTOP)};
    ours.sa_sigaction = on_signal;
    (void)sigfillset(&ours.sa_mask);
    src->previous = now; /* first: a handler on another thread waits for the lock, but one is as good as installed */
    if (sigaction(signo, &ours, NULL) < 0) {
        return -errno;
    }
    src->installed = true;
    return 0;
}

static void uninstall(struct source *src, int signo)
{
    struct sigaction now;
    if (sigaction(signo, NULL, &now) == 0 && is_ours(&now)) {
        (void)sigaction(signo, &src->previous, NULL);
        src->installed = false;
    }
}

/** With the lock, as the next. */
static int begin_use(int signo)
{
    struct source *src = &sources[signo];
    const int rc = src->user_count == 0 ? install(src, signo) : 0;
    src->user_count += rc == 0;
    return rc;
}

static void end_use(int signo)
{
    struct source *src = &sources[signo];
    if (--src->user_count == 0) {
        uninstall(src, signo);
    }
}

int sley__signal_hear(int signo, void (*heard)(void))
{
    const int rc = begin_use(signo);
    if (rc == 0) {
        sources[signo].heard = heard;
        sources[signo].heard_count++;
    }
    return rc;
}

void sley__signal_deafen(int signo)
{
    sources[signo].heard_count--;
    end_use(signo);
}

/* ---- fork ---------------------------------------------------------------------------------------------------------------- */

static sigset_t fork_mask;

static void before_fork(void)
{
    sigset_t mask;
    sley__signal_lock(&mask);
    fork_mask = mask; /* behind the lock: threads may fork at once */
}

static void in_parent(void)
{
    const sigset_t mask = fork_mask;
    sley__signal_unlock(&mask);
}

/** The child has no listeners, and handlers as if there had never been any. */
static void in_child(void)
{
    for (int signo = 1; signo < NSIG; signo++) {
        struct source *src = &sources[signo];
        for (struct sley_signal *s = src->first, *next; s; s = next) {
            next = s->next;
            if (s->waiter) {
                (void)take_waiter(s); /* nobody is there to be told */
            }
            *s = (struct sley_signal){.orphaned = true};
        }
        if (src->user_count > 0) {
            uninstall(src, signo);
        }
        src->first = NULL;
        src->user_count = src->heard_count = 0;
    }
    if (forked_hook) {
        forked_hook();
    }
    in_parent();
}

static void watch_forks(void)
{
    (void)pthread_atfork(before_fork, in_parent, in_child);
}

static void init_once(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, watch_forks);
}

void sley__signal_at_fork(void (*forked)(void))
{
    init_once();
    sigset_t mask;
    sley__signal_lock(&mask);
    forked_hook = forked;
    sley__signal_unlock(&mask);
}

/* ---- listeners ----------------------------------------------------------------------------------------------------------- */

static bool can_be_heard(int signo)
{
    static const int refused[] = {SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        if (signo == refused[i]) {
            return false;
        }
    }
    return signo > 0 && signo < NSIG;
}

int sley_signal_init(struct sley_signal *s, int signo)
{
    if (!s || !can_be_heard(signo)) {
        return -EINVAL;
    }
    init_once();
    sigset_t mask;
    sley__signal_lock(&mask);
    const int rc = begin_use(signo);
    if (rc == 0) {
        struct sley_signal **first = &sources[signo].first;
        *s = (struct sley_signal){.signo = signo, .next = *first};
        if (*first) {
            (*first)->prev = s;
        }
        *first = s;
    }
    sley__signal_unlock(&mask);
    return rc;
}

static void take_out(struct sley_signal *s)
{
    if (s->prev) {
        s->prev->next = s->next;
    } else {
        sources[s->signo].first = s->next;
    }
    if (s->next) {
        s->next->prev = s->prev;
    }
    end_use(s->signo);
}

void sley_signal_fini(struct sley_signal *s)
{
    if (!s) {
        return;
    }
    sigset_t mask;
    struct sley_signal_op *op = NULL;
    sley__signal_lock(&mask);
    if (s->signo) {
        take_out(s);
        op = s->waiter ? take_waiter(s) : NULL;
    }
    *s = (struct sley_signal){0};
    sley__signal_unlock(&mask);
    if (op) {
        sley_wait_complete(&op->wait, -ECANCELED);
    }
}

uint64_t sley_signal_pending(const struct sley_signal *s)
{
    sigset_t mask;
    sley__signal_lock(&mask);
    const uint64_t n = s->count;
    sley__signal_unlock(&mask);
    return n;
}

/* ---- waiting ------------------------------------------------------------------------------------------------------------- */

static void wait_cancel(struct sley_wait *w)
{
    struct sley_signal_op *op = sley_container_of(w, struct sley_signal_op, wait);
    sigset_t mask;
    sley__signal_lock(&mask);
    const bool mine = op->signal != NULL;
    if (mine) {
        (void)take_waiter(op->signal);
    }
    sley__signal_unlock(&mask);
    if (mine) {
        sley_wait_complete(w, -ECANCELED);
    }
}

static const struct sley_wait_ops wait_ops = {.version = SLEY_WAIT_VERSION, .name = "signal.wait", .cancel = wait_cancel};

/** With the lock. Returns: the result; 0: the op is armed. */
static int32_t take_or_arm(struct sley_signal_op *op, struct sley_signal *s)
{
    if (!s->signo) {
        return s->orphaned ? -EOWNERDEAD : -EINVAL;
    }
    if (s->waiter) {
        return -EBUSY;
    }
    if (s->count > 0) {
        return take_count(s);
    }
    op->signal = s;
    sley_wait_arm(&op->wait);
    s->waiter = op;
    return 0;
}

void sley_signal_wait_start(struct sley_signal_op *op, struct sley_signal *s)
{
    if (!sley_wait_begin(&op->wait, &wait_ops)) {
        return;
    }
    sigset_t mask;
    int32_t result = -EINVAL;
    op->signal = NULL;
    if (s) {
        sley__signal_lock(&mask);
        result = take_or_arm(op, s);
        sley__signal_unlock(&mask);
    }
    if (result != 0) {
        sley_wait_finish(&op->wait, result);
    }
}

int sley_signal_wait(struct sley_signal *s)
{
    const int rc = sley_direct_enter();
    if (rc < 0) {
        return rc;
    }
    struct sley_signal_op op = {0};
    sley_signal_wait_start(&op, s);
    return sley_await(&op.wait);
}
