/* Signals: none is lost, every listener hears, what was there before is called and comes back; on every executor and on threads. */
#include "kinds.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

/* The thread sanitizer puts deliveries off, and keeps one of a signal at a time: there each is heard before the next is sent. */
static bool may_queue(void)
{
    return !harness_under_tsan();
}

static void send_to_process(int signo)
{
    while (kill(getpid(), signo) != 0) {
        CHECK_INT(errno, ==, EAGAIN); /* the queue of real-time signals is full */
        (void)sched_yield();
    }
}

static unsigned rounds(unsigned n)
{
    return n / harness_slowness();
}

/* ---- in tasks ---------------------------------------------------------------------------------------------------------- */

struct hearer {
    struct sley_frame frame;
    struct sley_signal_op op;
    struct sley_signal *signal;
    int result;
};

static enum sley_step hear(struct hearer *h)
{
    SLEY_BEGIN(h);
    SLEY_CALL(h, h->result, sley_signal_wait, &h->op, h->signal);
    SLEY_RETURN(h, h->result);
    SLEY_END(h);
}
SLEY_FRAME(hear, struct hearer)

static int hear_as_fiber(struct sley_signal **s)
{
    return sley_signal_wait(*s);
}
SLEY_FIBER(hear_as_fiber, struct sley_signal *)

static int join(struct sley_task *t)
{
    int result = -EIO;
    CHECK_RC(sley_task_join(t, &result), 0);
    sley_task_unref(t);
    return result;
}

KINDS_TEST(signal_with_two_listeners_is_heard_by_both, "SIG-01", kinds)
{
    struct sley_signal a, b;
    struct sley_task *ta, *tb;
    CHECK_RC(sley_signal_init(&a, SIGUSR1), 0);
    CHECK_RC(sley_signal_init(&b, SIGUSR1), 0);
    CHECK_RC(SLEY_SPAWN_TASK(&ta, NULL, hear, .signal = &a), 0);
    CHECK_RC(SLEY_SPAWN_TASK(&tb, NULL, hear_as_fiber, &b), 0);
    CHECK_RC(sley_yield(), 0);
    send_to_process(SIGUSR1);
    CHECK_RC(join(ta), 1);
    CHECK_RC(join(tb), 1);
    sley_signal_fini(&a);
    sley_signal_fini(&b);
    return 0;
}

KINDS_TEST(signal_that_came_before_the_wait_is_told_once, "SIG-05", kinds)
{
    struct sley_signal s, other;
    CHECK_RC(sley_signal_init(&s, SIGUSR2), 0);
    for (unsigned i = 0; i < 20; i++) {
        send_to_process(SIGUSR2);
        CHECK_RC(sley_signal_wait(&s), 1);
    }
    CHECK_RC(sley_signal_init(&other, SIGUSR2), 0);
    CHECK_UINT(sley_signal_pending(&other), ==, 0);
    send_to_process(SIGUSR2);
    CHECK_RC(sley_signal_wait(&other), 1);
    CHECK_UINT(sley_signal_pending(&s), ==, 1);
    sley_signal_fini(&other);
    sley_signal_fini(&s);
    return 0;
}

KINDS_TEST(wait_that_is_cancelled_takes_no_signal, "", kinds)
{
    struct sley_signal s;
    struct sley_signal_op op = {0};
    CHECK_RC(sley_signal_init(&s, SIGUSR1), 0);
    sley_signal_wait_start(&op, &s);
    CHECK_RC(sley_signal_wait(&s), -EBUSY);
    CHECK_RC(sley_wait_fini(&op.wait), -ECANCELED);
    sley_signal_wait_start(&op, &s);
    CHECK_RC(sley_await_until(&op.wait, sley_after_ns(SLEY_MS)), -ETIMEDOUT);
    send_to_process(SIGUSR1);
    CHECK_RC(sley_signal_wait(&s), 1);
    sley_signal_fini(&s);
    return 0;
}

KINDS_TEST(listener_that_is_finished_ends_its_wait, "", kinds)
{
    struct sley_signal s;
    struct sley_task *t;
    CHECK_RC(sley_signal_init(&s, SIGUSR1), 0);
    CHECK_RC(SLEY_SPAWN_TASK(&t, NULL, hear, .signal = &s), 0);
    for (int i = 0; i < 100; i++) {
        CHECK_RC(sley_yield(), 0);
    }
    sley_signal_fini(&s);
    const int result = join(t);
    CHECK(result == -ECANCELED || result == -EINVAL); /* elsewhere it may not have begun yet */
    CHECK_RC(sley_signal_wait(&s), -EINVAL);
    sley_signal_fini(&s);
    sley_signal_fini(NULL);
    return 0;
}

/** Cancels, deadlines and signals meet: whatever a wait has not told is told by the next. */
KINDS_TEST(cancels_and_signals_that_meet_lose_none, "", kinds)
{
    struct sley_signal s;
    uint64_t sent = 0, heard = 0;
    CHECK_RC(sley_signal_init(&s, SIGRTMIN), 0);
    for (unsigned i = rounds(300); i > 0; i--) {
        struct sley_signal_op op = {0};
        sley_signal_wait_start(&op, &s);
        for (uint64_t n = harness_rand_below(may_queue() ? 4 : 2); n > 0; n--) {
            send_to_process(SIGRTMIN); /* real-time: each of them is queued */
            sent++;
            while (!may_queue() && !sley_wait_done(&op.wait) && sley_signal_pending(&s) == 0) {
                CHECK_RC(sley_yield(), 0);
            }
        }
        const int rc = harness_rand_below(2) ? sley_wait_fini(&op.wait) : sley_await_until(&op.wait, sley_after_ns(1000));
        heard += rc > 0 ? (uint64_t)rc : 0;
        CHECK(rc > 0 || rc == -ECANCELED || rc == -ETIMEDOUT);
    }
    while (heard < sent) {
        const int rc = sley_signal_wait(&s);
        CHECK_INT(rc, >, 0);
        heard += (uint64_t)rc;
    }
    CHECK_UINT(heard, ==, sent);
    sley_signal_fini(&s);
    return 0;
}

/* ---- several runtimes ------------------------------------------------------------------------------------------------------ */

struct listener {
    pthread_t thread;
    pthread_barrier_t *ready;
    const struct kind *kind;
};

static void *listen_once(void *arg)
{
    struct listener *l = arg;
    struct sley_runtime rt;
    struct sley_signal s;
    int result = 0;
    CHECK_RC(sley_signal_init(&s, SIGUSR1), 0);
    kind_start(&rt, l->kind);
    (void)pthread_barrier_wait(l->ready);
    struct sley_signal *which = &s;
    CHECK_RC(sley_runtime_run(&rt, &hear_as_fiber__type, &which, &result), 0);
    CHECK_RC(result, 1);
    kind_end(&rt);
    sley_signal_fini(&s);
    return NULL;
}

SLEY_TEST_SECONDS(signal_is_heard_by_four_runtimes_ten_times, "SIG-03", 60)
{
    static const struct kind four[] = {{"local", "epoll", 1}, {"local", "poll", 1}, {"stealing", "epoll", 2}, {"cores", "none", 2}};
    catcher_start();
    for (unsigned round = 0; round < 10; round++) {
        pthread_barrier_t ready;
        struct listener l[4];
        CHECK_INT(pthread_barrier_init(&ready, NULL, 5), ==, 0);
        for (int i = 0; i < 4; i++) {
            l[i].ready = &ready;
            l[i].kind = &four[i];
            CHECK_INT(pthread_create(&l[i].thread, NULL, listen_once, &l[i]), ==, 0);
        }
        (void)pthread_barrier_wait(&ready);
        send_to_process(SIGUSR1);
        for (int i = 0; i < 4; i++) {
            CHECK_INT(pthread_join(l[i].thread, NULL), ==, 0);
        }
        CHECK_INT(pthread_barrier_destroy(&ready), ==, 0);
    }
    catcher_stop();
}

SLEY_TEST(runtime_that_listened_first_ends_and_the_other_still_hears, "SIG-04")
{
    static const struct kind local = {"local", "epoll", 1};
    struct sley_runtime first, second;
    struct sley_signal a, b, *which = &b;
    int result = 0;
    kind_start(&first, &local);
    kind_start(&second, &local);
    CHECK_RC(sley_signal_init(&a, SIGUSR1), 0);
    CHECK_RC(sley_signal_init(&b, SIGUSR1), 0);
    sley_signal_fini(&a);
    kind_end(&first);
    CHECK_INT(raise(SIGUSR1), ==, 0);
    CHECK_RC(sley_runtime_run(&second, &hear_as_fiber__type, &which, &result), 0);
    CHECK_RC(result, 1);
    sley_signal_fini(&b);
    kind_end(&second);
}

/* ---- threads, and counts ------------------------------------------------------------------------------------------------------ */

SLEY_TEST_SECONDS(signal_is_heard_each_of_100000_times, "SIG-05", 60)
{
    struct sley_signal s;
    CHECK_RC(sley_signal_init(&s, SIGUSR1), 0);
    for (unsigned i = rounds(100000); i > 0; i--) {
        CHECK_INT(raise(SIGUSR1), ==, 0);
        CHECK_RC(sley_signal_wait(&s), 1);
    }
    for (int i = 0; i < 1000; i++) {
        CHECK_INT(raise(SIGUSR1), ==, 0); /* delivered before it returns */
    }
    CHECK_RC(sley_signal_wait(&s), 1000);
    CHECK_UINT(sley_signal_pending(&s), ==, 0);
    sley_signal_fini(&s);
}

static void *send_many(void *arg)
{
    const SLEY_ATOMIC(uint64_t) *heard = arg;
    for (unsigned i = 0; i < rounds(20000); i++) {
        while (!may_queue() && atomic_load_explicit(heard, memory_order_relaxed) < i) {
            (void)sched_yield();
        }
        send_to_process(SIGRTMIN);
    }
    return NULL;
}

/** A thread parks, wakes, counts. */
SLEY_TEST_SECONDS(thread_that_waits_hears_all_that_another_sends, "", 60)
{
    struct sley_signal s;
    pthread_t other;
    static SLEY_ATOMIC(uint64_t) heard;
    CHECK_RC(sley_signal_init(&s, SIGRTMIN), 0);
    catcher_start();
    CHECK_INT(pthread_create(&other, NULL, send_many, &heard), ==, 0);
    while (heard < rounds(20000)) {
        const int rc = sley_signal_wait(&s);
        CHECK_INT(rc, >, 0);
        heard += (uint64_t)rc;
    }
    CHECK_INT(pthread_join(other, NULL), ==, 0);
    catcher_stop();
    CHECK_UINT(heard, ==, rounds(20000));
    CHECK_UINT(sley_signal_pending(&s), ==, 0);
    sley_signal_fini(&s);
}

/* ---- listeners that come and go while signals come ------------------------------------------------------------------------------ */

struct churn {
    SLEY_ATOMIC(uint32_t) over;
    pthread_t thread;
};

static void *come_and_go(void *arg)
{
    struct churn *c = arg;
    while (!atomic_load_explicit(&c->over, memory_order_acquire)) {
        struct sley_signal s[3];
        for (int i = 0; i < 3; i++) {
            CHECK_RC(sley_signal_init(&s[i], SIGRTMIN), 0);
        }
        for (int i = 0; i < 3; i++) {
            sley_signal_fini(&s[i]);
        }
    }
    return NULL;
}

SLEY_TEST_SECONDS(listeners_that_come_and_go_take_nothing_from_one_that_stays, "", 60)
{
    struct churn c[2] = {0};
    struct sley_signal s;
    CHECK_RC(sley_signal_init(&s, SIGRTMIN), 0);
    catcher_start();
    for (int i = 0; i < 2; i++) {
        CHECK_INT(pthread_create(&c[i].thread, NULL, come_and_go, &c[i]), ==, 0);
    }
    uint64_t heard = 0;
    const unsigned n = rounds(20000);
    for (unsigned i = 0; i < n; i++) {
        send_to_process(SIGRTMIN);
        heard += may_queue() && i % 8 ? 0 : (uint64_t)sley_signal_wait(&s);
    }
    while (heard < n) {
        heard += (uint64_t)sley_signal_wait(&s);
    }
    CHECK_UINT(heard, ==, n);
    for (int i = 0; i < 2; i++) {
        atomic_store_explicit(&c[i].over, 1, memory_order_release);
        CHECK_INT(pthread_join(c[i].thread, NULL), ==, 0);
    }
    catcher_stop();
    sley_signal_fini(&s);
}

/* ---- what was there before ---------------------------------------------------------------------------------------------------------- */

static volatile sig_atomic_t plain_calls, full_calls;

static void plain(int signo)
{
    plain_calls += signo == SIGUSR1;
}

static void full(int signo, siginfo_t *info, void *context)
{
    full_calls += signo == SIGUSR2 && info->si_pid == getpid() && context != NULL;
}

SLEY_TEST(handler_that_was_there_is_called_and_comes_back_with_the_last_listener, "SIG-02")
{
    const struct sigaction before = {.sa_handler = plain};
    const struct sigaction before_full = {.sa_sigaction = full, .sa_flags = SA_SIGINFO};
    struct sigaction now;
    struct sley_signal a, b, c;
    CHECK_INT(sigaction(SIGUSR1, &before, NULL), ==, 0);
    CHECK_INT(sigaction(SIGUSR2, &before_full, NULL), ==, 0);
    CHECK_RC(sley_signal_init(&a, SIGUSR1), 0);
    CHECK_RC(sley_signal_init(&b, SIGUSR1), 0);
    CHECK_RC(sley_signal_init(&c, SIGUSR2), 0);
    CHECK_INT(raise(SIGUSR1), ==, 0);
    CHECK_INT(raise(SIGUSR2), ==, 0);
    CHECK_INT(plain_calls, ==, 1);
    CHECK_INT(full_calls, ==, 1);
    sley_signal_fini(&a);
    CHECK_INT(raise(SIGUSR1), ==, 0);
    CHECK_INT(plain_calls, ==, 2);
    CHECK_RC(sley_signal_wait(&b), 2);
    sley_signal_fini(&b);
    sley_signal_fini(&c);
    CHECK_INT(sigaction(SIGUSR1, NULL, &now), ==, 0);
    CHECK(now.sa_handler == plain);
    CHECK_INT(sigaction(SIGUSR2, NULL, &now), ==, 0);
    CHECK(now.sa_sigaction == full);
    CHECK_INT(raise(SIGUSR1), ==, 0); /* nobody listens: it is the old handler's alone */
    CHECK_INT(plain_calls, ==, 3);
    CHECK_RC(sley_signal_init(&b, SIGUSR1), 0);
    CHECK_UINT(sley_signal_pending(&b), ==, 0);
    CHECK_INT(raise(SIGUSR1), ==, 0);
    CHECK_RC(sley_signal_wait(&b), 1);
    sley_signal_fini(&b);
}

/** The default of SIGTERM would end the process, and does so again when nobody listens. */
SLEY_TEST(default_action_is_not_taken_while_somebody_listens, "")
{
    struct sigaction now;
    struct sley_signal s;
    CHECK_RC(sley_signal_init(&s, SIGTERM), 0);
    CHECK_INT(raise(SIGTERM), ==, 0);
    CHECK_RC(sley_signal_wait(&s), 1);
    sley_signal_fini(&s);
    CHECK_INT(sigaction(SIGTERM, NULL, &now), ==, 0);
    CHECK(now.sa_handler == SIG_DFL);
    CHECK(signal(SIGHUP, SIG_IGN) != SIG_ERR);
    CHECK_RC(sley_signal_init(&s, SIGHUP), 0);
    CHECK_INT(raise(SIGHUP), ==, 0);
    CHECK_RC(sley_signal_wait(&s), 1);
    sley_signal_fini(&s);
    CHECK(signal(SIGHUP, SIG_DFL) == SIG_IGN);
}

SLEY_TEST(handler_put_over_listeners_is_left_alone, "")
{
    struct sigaction ours, now;
    struct sley_signal s;
    CHECK(signal(SIGUSR1, SIG_IGN) != SIG_ERR);
    CHECK_RC(sley_signal_init(&s, SIGUSR1), 0);
    const struct sigaction over = {.sa_handler = plain};
    CHECK_INT(sigaction(SIGUSR1, &over, &ours), ==, 0);
    CHECK_INT(raise(SIGUSR1), ==, 0);
    CHECK_UINT(sley_signal_pending(&s), ==, 0); /* it does not call ours */
    sley_signal_fini(&s);
    CHECK_INT(sigaction(SIGUSR1, NULL, &now), ==, 0);
    CHECK(now.sa_handler == plain);
    CHECK_RC(sley_signal_init(&s, SIGUSR1), -EBUSY);
    CHECK_INT(sigaction(SIGUSR1, &ours, NULL), ==, 0); /* it goes: ours is found again */
    CHECK_RC(sley_signal_init(&s, SIGUSR1), 0);
    CHECK_INT(raise(SIGUSR1), ==, 0);
    CHECK_RC(sley_signal_wait(&s), 1);
    CHECK_INT(sigaction(SIGUSR1, &over, &ours), ==, 0);
    sley_signal_fini(&s);
    CHECK_INT(sigaction(SIGUSR1, &ours, NULL), ==, 0);
    CHECK_INT(raise(SIGUSR1), ==, 0); /* nobody listens: ours gives way to what was there in the beginning */
    CHECK_INT(sigaction(SIGUSR1, NULL, &now), ==, 0);
    CHECK(now.sa_handler == SIG_IGN);
}

SLEY_TEST(signals_that_cannot_be_waited_for_are_refused, "")
{
    static const int refused[] = {SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, 0, -1, NSIG, NSIG + 100, 33};
    struct sley_signal s = {0};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        CHECK_RC(sley_signal_init(&s, refused[i]), -EINVAL);
    }
    CHECK_RC(sley_signal_init(NULL, SIGUSR1), -EINVAL);
    CHECK_RC(sley_signal_wait(&s), -EINVAL);
    CHECK_RC(sley_signal_wait(NULL), -EINVAL);
    sley_signal_fini(&s);
}
