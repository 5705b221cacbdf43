/* A fiber that runs into its guard page: its task's name goes to the report function before the process ends as it would have.
 * The dispositions of SIGSEGV and SIGBUS are taken while some worker has stacks, and chained; each worker's thread gets a
 * signal stack, since the fiber's own is used up. */
#include "core.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "stack_overflow.h"

enum { ALT_BYTES = 64 * 1024 };

static pthread_mutex_t install_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned install_count;
static struct sigaction outer[2]; /* what was there before us: SIGSEGV, SIGBUS */

/** The thread's signal stack belongs to this worker. */
static SLEY__TLS void *thread_alt;

static const struct sigaction *outer_of(int signo)
{
    return &outer[signo == SIGBUS];
}

/** Is @p addr in the guard of a stack of the pool that the fiber's own is from? */
static bool hit(struct sley_task *t, const void *addr)
{
    const struct sley__stack_pool *own = sley_container_of(t, struct sley__fiber, task)->pool;
    const struct sley__stack_pool *pool = own ? own : t->sched->memory->stacks;
    return pool && sley__stack_guard_hit(pool, addr);
}

static void on_fault(int signo, siginfo_t *info, void *context)
{
    struct sley_sched *s = sley__self;
    struct sley_task *t = s ? s->current : NULL;
    if (t && t->type->style == SLEY_STYLE_FIBER && hit(t, info->si_addr)) {
        sley__report_overflow(s, t);
    }
    const struct sigaction *next = outer_of(signo);
    if (next->sa_flags & SA_SIGINFO) {
        next->sa_sigaction(signo, info, context);
    } else if (next->sa_handler != SIG_DFL && next->sa_handler != SIG_IGN) {
        next->sa_handler(signo);
    } else {
        struct sigaction dfl;
        memset(&dfl, 0, sizeof dfl);
        dfl.sa_handler = SIG_DFL;
        (void)sigaction(signo, &dfl, NULL); /* the access is tried again, and ends the process */
    }
}

static void install(void)
{
    struct sigaction sa;
    memset(&sa, 0, sizeof sa);
    sa.sa_sigaction = on_fault;
    sa.sa_flags = SA_SIGINFO | SA_ONSTACK;
    (void)sigemptyset(&sa.sa_mask);
    (void)pthread_mutex_lock(&install_lock);
    if (install_count++ == 0) {
        (void)sigaction(SIGSEGV, &sa, &outer[0]);
        (void)sigaction(SIGBUS, &sa, &outer[1]);
    }
    (void)pthread_mutex_unlock(&install_lock);
}

/** Puts a disposition back, unless somebody has put his own on top of ours. */
static void restore(int signo)
{
    struct sigaction now;
    if (sigaction(signo, NULL, &now) == 0 && (now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_fault) {
        (void)sigaction(signo, outer_of(signo), NULL);
    }
}

static void uninstall(void)
{
    (void)pthread_mutex_lock(&install_lock);
    if (--install_count == 0) {
        restore(SIGSEGV);
        restore(SIGBUS);
    }
    (void)pthread_mutex_unlock(&install_lock);
}

void sley__overflow_thread(struct sley__memory *m)
{
    if (!m->alt || thread_alt == m->alt) {
        return;
    }
    stack_t old;
    if (sigaltstack(NULL, &old) == 0 && (old.ss_flags & SS_DISABLE)) {
        const stack_t ss = {.ss_sp = m->alt, .ss_size = ALT_BYTES};
        (void)sigaltstack(&ss, NULL);
    }
    thread_alt = m->alt; /* a signal stack of the application's own serves as well */
}

void sley__overflow_watch(struct sley__memory *m)
{
    if (m->alt) {
        return;
    }
    void *alt = mmap(NULL, ALT_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (alt == MAP_FAILED) {
        return; /* no diagnosis then; the guard still holds */
    }
    m->alt = alt;
    install();
    sley__overflow_thread(m);
}

void sley__overflow_unwatch(struct sley__memory *m)
{
    if (!m->alt) {
        return;
    }
    uninstall();
    stack_t now;
    if (sigaltstack(NULL, &now) == 0 && now.ss_sp == m->alt) {
        const stack_t none = {.ss_flags = SS_DISABLE};
        (void)sigaltstack(&none, NULL);
    }
    if (thread_alt == m->alt) {
        thread_alt = NULL;
    }
    (void)munmap(m->alt, ALT_BYTES);
    m->alt = NULL;
}
