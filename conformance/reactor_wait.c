/* Clauses: poll and wake. What takes time is compared with what comes before and after it, never with a clock. */
#include "rig.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/select.h>
#include <sys/time.h>

CLAUSE(poll_of_zero_only_looks)
{
    struct sley_fd fd;
    struct sley_io_op op = {0};
    char byte;
    const int peer = unix_pair(&fd);
    for (int i = 0; i < 100; i++) { /* a wait would be a hang */
        (void)look(0);
    }
    io_start(&op, &fd, SLEY_IO_RECV, &byte, 1);
    for (int i = 0; i < 100; i++) {
        (void)look(0);
    }
    CHECK(!sley_wait_done(&op.wait));
    put(peer, "x");
    for (int i = 0; i < 1000 && !sley_wait_done(&op.wait); i++) {
        (void)look(0);
    }
    CHECK(sley_wait_done(&op.wait));
    CHECK_RC(op.wait.result, 1);
    shut(&fd);
    (void)close(peer);
}

/* ---- something that comes later, from a thread ------------------------------------------------------------------- */

struct later {
    int number;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t told;
    bool stop;
    uint64_t after_ns;
};

static void *put_later(void *arg)
{
    struct later *l = arg;
    struct timespec end;
    (void)clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += (time_t)(l->after_ns / SLEY_S);
    end.tv_nsec += (long)(l->after_ns % SLEY_S);
    end.tv_sec += end.tv_nsec / (long)SLEY_S;
    end.tv_nsec %= (long)SLEY_S;
    (void)pthread_mutex_lock(&l->mutex);
    while (!l->stop && pthread_cond_timedwait(&l->told, &l->mutex, &end) == 0) {
    }
    (void)pthread_mutex_unlock(&l->mutex);
    put(l->number, "x");
    return NULL;
}

static void begin_later(struct later *l, int number, uint64_t after_ns)
{
    *l = (struct later){.mutex = PTHREAD_MUTEX_INITIALIZER, .told = PTHREAD_COND_INITIALIZER};
    l->number = number;
    l->after_ns = after_ns;
    CHECK_INT(pthread_create(&l->thread, NULL, put_later, l), ==, 0);
}

static void end_later(struct later *l)
{
    (void)pthread_mutex_lock(&l->mutex);
    l->stop = true;
    (void)pthread_cond_signal(&l->told);
    (void)pthread_mutex_unlock(&l->mutex);
    CHECK_INT(pthread_join(l->thread, NULL), ==, 0);
}

CLAUSE(poll_waits_its_time_at_most)
{
    struct sley_fd fd;
    struct sley_io_op op = {0};
    char byte;
    const int peer = unix_pair(&fd);
    io_start(&op, &fd, SLEY_IO_RECV, &byte, 1);
    for (int i = 0; i < 20; i++) {
        (void)look(SLEY_MS); /* else a hang: nothing else ends it */
        (void)look(100 * SLEY_US);
        CHECK(!sley_wait_done(&op.wait));
    }
    put(peer, "x");
    CHECK_RC(until_done(&op.wait), 1);
    shut(&fd);
    (void)close(peer);
}

CLAUSE(poll_waits_and_does_not_spin)
{
    for (int armed = 0; armed < 2; armed++) {
        struct sley_fd fd;
        struct sley_io_op op = {0};
        char byte;
        const int peer = unix_pair(&fd);
        if (armed) {
            io_start(&op, &fd, SLEY_IO_RECV, &byte, 1);
        }
        (void)look(0);
        unsigned looks = 0;
        for (const uint64_t end = sley_after_ns(40 * SLEY_MS); sley_now_ns() < end; looks++) {
            (void)look(4 * SLEY_MS);
        }
        CHECK_UINT(looks, <=, 30); /* ten would do */
        looks = 0;
        for (const uint64_t end = sley_after_ns(10 * SLEY_MS); sley_now_ns() < end; looks++) {
            (void)look(400 * SLEY_US);
        }
        CHECK_UINT(looks, <=, 200); /* 25 would do: less than a millisecond is a wait, too */
        shut(&fd);
        (void)close(peer);
    }
}

CLAUSE(poll_takes_any_timeout)
{
    static const uint64_t times[] = {1, 999, SLEY_US, SLEY_MS, UINT64_C(1) << 40, UINT64_C(1) << 62, SLEY_NEVER - 1, SLEY_NEVER};
    struct sley_fd fd;
    char byte;
    const int peer = unix_pair(&fd);
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        struct sley_io_op op = {0};
        if (times[i] < SLEY_S) {
            (void)look(times[i]);
        }
        io_start(&op, &fd, SLEY_IO_RECV, &byte, 1);
        put(peer, "x");
        while (!sley_wait_done(&op.wait)) {
            (void)look(times[i]);
        }
        CHECK_RC(op.wait.result, 1);
        io_start(&op, &fd, SLEY_IO_RECV, &byte, 1); /* and one whose event comes while it waits */
        static struct later l;
        begin_later(&l, peer, SLEY_MS);
        while (!sley_wait_done(&op.wait)) {
            (void)look(times[i]);
        }
        end_later(&l);
    }
    shut(&fd);
    (void)close(peer);
}

/** Drives it by hand until @p w is done; the poll that has done it says so. */
static void until_said(const struct sley_wait *w)
{
    while (!sley_wait_done(w)) {
        const int n = look(SLEY_NEVER);
        CHECK(!sley_wait_done(w) || n > 0);
    }
}

CLAUSE(poll_says_whether_it_has_completed_one)
{
    for (const uint8_t *code = sley__rig_waiting_codes; *code; code++) {
        struct waiting w;
        sley__rig_wait(&w, *code);
        for (int i = 0; i < 3; i++) {
            CHECK_INT(look(0), ==, 0);
        }
        if (*code != SLEY_IO_CONNECT) { /* which nothing here lets go on */
            sley__rig_let(&w, *code);
            until_said(&w.op.wait);
            sley__rig_check_let(&w, *code);
        } else {
            sley_wait_cancel(&w.op.wait);
            until_said(&w.op.wait);
        }
        settle();
        for (int i = 0; i < 3; i++) {
            CHECK_INT(look(0), ==, 0);
        }
        sley__rig_wait_end(&w);
    }
}

/* ---- signals ----------------------------------------------------------------------------------------------------- */

static struct sley_reactor *to_wake;
static volatile sig_atomic_t handled;

static void on_signal(int signo)
{
    (void)signo;
    handled++;
    if (to_wake) {
        to_wake->ops->wake(to_wake);
    }
}

static void catch_alarms(void)
{
    const struct sigaction action = {.sa_handler = on_signal}; /* without SA_RESTART */
    CHECK_INT(sigaction(SIGALRM, &action, NULL), ==, 0);
}

CLAUSE(poll_survives_signals)
{
    struct sley_fd fd;
    struct sley_io_op op = {0};
    char byte;
    const struct itimerval often = {.it_value.tv_usec = 1000, .it_interval.tv_usec = 1000}, off = {.it_value.tv_usec = 0};
    const int peer = unix_pair(&fd);
    to_wake = NULL;
    catch_alarms();
    io_start(&op, &fd, SLEY_IO_RECV, &byte, 1);
    CHECK_INT(setitimer(ITIMER_REAL, &often, NULL), ==, 0);
    while (handled < 20) {
        (void)look(2 * SLEY_MS); /* checks that it is no error */
        CHECK(!sley_wait_done(&op.wait));
    }
    CHECK_INT(setitimer(ITIMER_REAL, &off, NULL), ==, 0);
    put(peer, "x");
    CHECK_RC(until_done(&op.wait), 1);
    shut(&fd);
    (void)close(peer);
}

CLAUSE(wake_from_a_signal_handler)
{
    const struct itimerval once = {.it_value.tv_usec = 500};
    to_wake = reactor();
    catch_alarms();
    for (int i = 0; i < 20; i++) {
        errno = 1234;
        CHECK_INT(raise(SIGALRM), ==, 0);
        CHECK_INT(errno, ==, 1234);
        (void)look(SLEY_NEVER); /* else a hang */
        const int before = handled;
        CHECK_INT(setitimer(ITIMER_REAL, &once, NULL), ==, 0);
        while (handled == before) {
            (void)look(SLEY_NEVER);
        }
        settle(); /* the last wake is used up */
    }
}

/** The alarm is to come when poll has looked and does not sleep yet: half of the time before it begins, else soon after. */
CLAUSE(wake_on_the_brink_of_a_wait_ends_it)
{
    const struct itimerval alarm = {.it_value.tv_usec = 60}; /* an earlier one comes before setitimer has returned */
    uint64_t lead_ns = 60 * SLEY_US;                         /* what it takes to come */
    if (!SIGNALS_IN_TIME) {
        SKIP("the thread sanitizer runs handlers late");
    }
    to_wake = reactor();
    catch_alarms();
    for (unsigned left = 500 + sley__kit_rounds(5000); left > 0; left--) { /* fewer would hardly ever meet the moment */
        const sig_atomic_t before = handled;
        const uint64_t begin_ns = sley_now_ns() + lead_ns;
        CHECK_INT(setitimer(ITIMER_REAL, &alarm, NULL), ==, 0);
        while (handled == before && sley_now_ns() < begin_ns) {
            SLEY__RELAX();
        }
        const uint64_t step_ns = lead_ns / 32;
        lead_ns = handled != before ? lead_ns - step_ns : lead_ns < SLEY_MS ? lead_ns + step_ns + 1 : lead_ns;
        if (left % 2) {
            to_wake->ops->wake(to_wake); /* then it comes while this one is taken in */
        }
        do {                        /* one look at least, which uses the wake up */
            (void)look(SLEY_NEVER); /* else a hang */
        } while (handled == before);
    }
    settle();
}

/* ---- wakes ------------------------------------------------------------------------------------------------------- */

CLAUSE(wake_before_poll_ends_it)
{
    struct sley_reactor *r = reactor();
    for (int i = 0; i < 10; i++) {
        for (int k = 0; k <= i * 100; k++) {
            r->ops->wake(r);
        }
        (void)look(SLEY_NEVER);
        settle();
        unsigned looks = 0;
        for (const uint64_t end = sley_after_ns(4 * SLEY_MS); sley_now_ns() < end; looks++) {
            (void)look(SLEY_MS);
        }
        CHECK_UINT(looks, <=, 30); /* nothing of a thousand wakes is left */
    }
}

struct waker {
    struct sley_reactor *r;
    SLEY_ATOMIC(uint32_t) * sent;
    const SLEY_ATOMIC(uint32_t) * seen;
    uint32_t rounds;
};

static void *wake_often(void *arg)
{
    const struct waker *k = arg;
    for (uint32_t i = 1; i <= k->rounds; i++) {
        atomic_store_explicit(k->sent, i, memory_order_relaxed); /* relaxed: published by the wake itself */
        k->r->ops->wake(k->r);
        for (uint64_t n = sley__kit_below(40); n > 0; n--) {
            SLEY__RELAX();
        }
        uint64_t since_ms = 0;
        while (i % 4 == 0 && atomic_load_explicit(k->seen, memory_order_relaxed) != i) { /* relaxed: paces, no more */
            sley__kit_wait_on(&since_ms);
        }
    }
    return NULL;
}

/** One alone, and each wake on its own: that of another would make up for one that is lost. */
static sem_t heard;

static void *wake_one_by_one(void *arg)
{
    const struct waker *k = arg;
    for (uint32_t i = 1; i <= k->rounds; i++) {
        for (uint64_t n = sley__kit_below(60); n > 0; n--) { /* from the poll that has ended to the next one's sleep */
            SLEY__RELAX();
        }
        atomic_store_explicit(k->sent, i, memory_order_relaxed); /* relaxed: published by the wake itself */
        k->r->ops->wake(k->r);
        for (uint64_t n = sley__kit_below(i % 2 ? 60 : 400); n > 0; n--) {
            SLEY__RELAX();
        }
        k->r->ops->wake(k->r); /* while the first is taken in, perhaps */
        unsigned n = 0;
        while (atomic_load_explicit(k->seen, memory_order_relaxed) != i) { /* relaxed: paces, no more */
            if (n++ < 1000) {
                SLEY__RELAX();
            } else {
                (void)sem_wait(&heard); /* asleep, so that a hang shows as one; there may be posts of earlier rounds */
            }
        }
    }
    return NULL;
}

static void hear_one_by_one(uint32_t rounds)
{
    static SLEY_ATOMIC(uint32_t) sent, seen;
    struct waker waker = {reactor(), &sent, &seen, rounds};
    pthread_t thread;
    CHECK_INT(sem_init(&heard, 0, 0), ==, 0);
    CHECK_INT(pthread_create(&thread, NULL, wake_one_by_one, &waker), ==, 0);
    for (uint32_t now = 0; now != rounds;) {
        (void)look(SLEY_NEVER);                                  /* a wake that is lost is a hang here */
        now = atomic_load_explicit(&sent, memory_order_relaxed); /* relaxed: poll has acquired it */
        atomic_store_explicit(&seen, now, memory_order_relaxed); /* relaxed: as in wake_one_by_one */
        CHECK_INT(sem_post(&heard), ==, 0);
    }
    CHECK_INT(pthread_join(thread, NULL), ==, 0);
}

CLAUSE(wake_from_threads_is_never_lost)
{
    enum { THREADS = 2 };
    static SLEY_ATOMIC(uint32_t) sent[THREADS], seen[THREADS];
    const uint32_t rounds = sley__kit_rounds(10000) * 4;
    struct waker wakers[THREADS];
    pthread_t threads[THREADS];
    hear_one_by_one(sley__kit_rounds(4000));
    for (int i = 0; i < THREADS; i++) {
        wakers[i] = (struct waker){reactor(), &sent[i], &seen[i], rounds};
        CHECK_INT(pthread_create(&threads[i], NULL, wake_often, &wakers[i]), ==, 0);
    }
    for (uint32_t least = 0; least != rounds;) {
        (void)look(SLEY_NEVER); /* a wake that is lost is a hang here */
        least = rounds;
        for (int i = 0; i < THREADS; i++) {
            const uint32_t now = atomic_load_explicit(&sent[i], memory_order_relaxed); /* relaxed: poll has acquired it */
            atomic_store_explicit(&seen[i], now, memory_order_relaxed);                /* relaxed: as in wake_often */
            least = now < least ? now : least;
        }
    }
    for (int i = 0; i < THREADS; i++) {
        CHECK_INT(pthread_join(threads[i], NULL), ==, 0);
    }
}

static bool readable(int number)
{
    fd_set set;
    struct timeval none = {0};
    FD_ZERO(&set);
    FD_SET(number, &set);
    return select(number + 1, &set, NULL, NULL, &none) == 1;
}

CLAUSE(pollable_fd_tells_when_there_is_work)
{
    struct sley_reactor *r = reactor();
    struct sley_fd fd;
    struct sley_io_op op = {0};
    char byte;
    if (!r->ops->pollable_fd) {
        SKIP("it has none");
    }
    const int peer = unix_pair(&fd), number = r->ops->pollable_fd(r);
    if (number == -ENOTSUP) {
        (void)close(peer);
        (void)close(fd.number);
        SKIP("it has none here");
    }
    CHECK_INT(number, >=, 0);
    for (int i = 0; i < 3; i++) {
        io_start(&op, &fd, SLEY_IO_RECV, &byte, 1);
        while (readable(number)) { /* what it has of its own to do */
            (void)look(0);
        }
        CHECK(!sley_wait_done(&op.wait));
        put(peer, "x");
        CHECK(readable(number) || r->more);
        CHECK_RC(until_done(&op.wait), 1);
        settle();
        r->ops->wake(r);
        CHECK(readable(number) || r->more);
        settle();
    }
    shut(&fd);
    (void)close(peer);
}
