/* Fairness of every executor that the runtime knows by name: who is ready runs soon, whatever the others do. Counted in resumes. */
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sley/frame.h>
#include <sley/mpsc.h>
#include <sley/notify.h>
#include <sley/reactor.h>
#include <sley/runtime.h>

#include "executor/stealing/worker.h"
#include "harness.h"

enum { WORKERS_MAX = 8 };

struct kind {
    const char *executor, *reactor;
    uint32_t workers;
    bool apart;     /* tasks stay on the worker where they were spawned */
    uint32_t level; /* all tasks have this priority; 0: the usual one */
};

/** Is it known how long a task has waited? With workers that share tasks it is where it runs that decides, and nobody knows. */
static bool is_exact(const struct kind *k)
{
    return k->workers == 1 || k->apart;
}

static const struct kind *kind;

/** How many tasks each worker has resumed; a worker is told by its sched. */
static struct tally {
    _Atomic uintptr_t sched;
    _Atomic uint64_t resumes;
} tally[WORKERS_MAX];

/** The place of the worker that this runs on. */
static uint32_t here(void)
{
    const uintptr_t me = (uintptr_t)sley_sched_current();
    for (uint32_t i = 0; i < WORKERS_MAX; i++) {
        uintptr_t none = 0;
        if (atomic_load_explicit(&tally[i].sched, memory_order_relaxed) == me ||
            atomic_compare_exchange_strong_explicit(&tally[i].sched, &none, me, memory_order_relaxed, memory_order_relaxed) ||
            none == me) {
            return i;
        }
    }
    FAIL("more workers than were asked for");
}

static void count(void)
{
    atomic_fetch_add_explicit(&tally[here()].resumes, 1, memory_order_relaxed);
}

struct stamp {
    uint64_t at[WORKERS_MAX];
};

static struct stamp stamp(void)
{
    struct stamp s;
    for (int i = 0; i < WORKERS_MAX; i++) {
        s.at[i] = atomic_load_explicit(&tally[i].resumes, memory_order_relaxed);
    }
    return s;
}

/** What this task's own worker has done since then. */
static uint64_t since(struct stamp before)
{
    const uint32_t me = here();
    return stamp().at[me] - before.at[me];
}

static struct sley_runtime rt;

static void begin(const struct kind *k, struct sley_clock *clock)
{
    char error[256] = "";
    memset(tally, 0, sizeof tally);
    kind = k;
    const struct sley_runtime_opts o = {
        .executor_name = k->executor,
        .reactor_name = k->reactor,
        .worker_count = k->workers,
        .alloc = harness_alloc(),
        .clock = clock,
        .stall_ns = SLEY_NEVER,
        .ret_error = error,
        .error_bytes = sizeof error,
    };
    if (sley_runtime_init(&rt, &o) < 0) {
        FAIL("%s", error);
    }
}

static void end(void)
{
    CHECK_RC(sley_runtime_stop(&rt, SLEY_NEVER), 0);
    CHECK_RC(sley_runtime_fini(&rt), 0);
}

/** Spawns one; where tasks stay, all on one worker. With a level: before anybody runs it. */
static void spawn(const struct sley_task_type *type, const void *args)
{
    if (kind->level) {
        (void)sley_sched_enter(rt.executor->ops->sched(rt.executor));
        CHECK_RC(sley_spawn(NULL, type, args, &(struct sley_spawn_opts){.priority = kind->level}, NULL), 0);
        (void)sley_sched_enter(NULL);
    } else if (kind->apart) {
        CHECK_RC(sley_runtime_spawn_on(&rt, 0, type, args, NULL), 0);
    } else {
        CHECK_RC(sley_runtime_spawn(&rt, type, args, NULL), 0);
    }
}

/** So many of the busy: as many as there are workers that could run others beside them. */
static uint32_t busy_count(const struct kind *k)
{
    return k->apart ? 1 : k->workers;
}

/* ---- ten thousand that are always ready ------------------------------------------------------------------------------ */

struct crowd {
    uint32_t size, turns; /* of each starter */
    _Atomic uint64_t longest;
};

struct one {
    struct sley_frame frame;
    struct crowd *c;
    uint32_t n;
    struct last { /* when it ran last, or was spawned */
        struct stamp at;
        uint32_t entry;  /* of the journal */
        uint32_t where;  /* its worker then, */
        uint64_t steals; /* and how often that one had taken from others */
    } last;
};

/** How often this worker has taken from others. */
static uint64_t steals(void)
{
    struct sley_sched *s = sley_sched_current();
    /* relaxed: its own */
    return s->group ? atomic_load_explicit(&sley_container_of(s, struct worker, sched)->steals, memory_order_relaxed) : 0;
}

/** Who has resumed one of the crowd, in order. */
static _Atomic uint8_t journal[WORKERS_MAX * 100000];
static _Atomic uint32_t journal_length;

static struct last last_now(void)
{
    return (struct last){stamp(), atomic_load_explicit(&journal_length, memory_order_relaxed), here(), steals()};
}

/**
 * The least that a task can have waited which was moved meanwhile, from worker to worker and to this one, when nobody knows: a worker
 * that has lost its processor keeps its tasks waiting, but not unfairly, and more than one may have, one after the other.
 */
static uint64_t least_wait(const struct last *last, uint32_t me)
{
    enum { MOVES = 4 };                     /* more often than a task is moved in two rounds */
    uint64_t least[MOVES + 1][WORKERS_MAX]; /* with so many moves behind it, and now there */
    memset(least, 0x3f, sizeof least);
    least[0][last->where] = 0;
    const uint32_t end = atomic_load_explicit(&journal_length, memory_order_relaxed);
    for (uint32_t i = last->entry; i <= end; i++) {
        const uint32_t who = i < end ? atomic_load_explicit(&journal[i], memory_order_relaxed) : WORKERS_MAX;
        for (uint32_t m = 1; m <= MOVES; m++) {
            for (uint32_t k = 0; k < kind->workers * kind->workers; k++) {
                const uint32_t from = k / kind->workers, to = k % kind->workers;
                least[m][to] = least[m - 1][from] < least[m][to] ? least[m - 1][from] : least[m][to];
            }
        }
        for (uint32_t m = 0; m <= MOVES && who < WORKERS_MAX; m++) {
            least[m][who]++;
        }
    }
    return least[MOVES][me];
}

/** A task that is where it was, on a worker that has taken nothing from others, has waited for what that worker has done. */
static void waited(struct one *f)
{
    const uint32_t me = here();
    const struct stamp now = stamp();
    const uint64_t there = now.at[f->last.where] - f->last.at.at[f->last.where], mine = now.at[me] - f->last.at.at[me];
    const bool moved = f->last.where != me || f->last.steals != steals();
    uint64_t gap = there < mine ? there : mine, longest = atomic_load_explicit(&f->c->longest, memory_order_relaxed);
    if (moved && gap > 2 * f->c->size) {
        gap = least_wait(&f->last, me);
    }
    CHECK_UINT(gap, <=, 2 * f->c->size);
    while (gap > longest &&
           !atomic_compare_exchange_weak_explicit(&f->c->longest, &longest, gap, memory_order_relaxed, memory_order_relaxed)) {
    }
    count();
    const uint32_t entry = atomic_fetch_add_explicit(&journal_length, 1, memory_order_relaxed);
    CHECK_UINT(entry, <, sizeof journal / sizeof journal[0]);
    atomic_store_explicit(&journal[entry], (uint8_t)me, memory_order_relaxed);
    f->last = last_now();
}

static enum sley_step one(struct one *f)
{
    int rc;
    SLEY_BEGIN(f);
    for (f->n = 0; f->n < f->c->turns; f->n++) {
        waited(f);
        SLEY_YIELD(f, rc);
    }
    (void)rc;
    SLEY_END(f);
}
SLEY_FRAME(one, struct one)

struct starter {
    struct sley_frame frame;
    struct crowd *c;
};

static enum sley_step starter(struct starter *f)
{
    const struct sley_scope *root = NULL;
    SLEY_BEGIN(f);
    for (uint32_t i = 0; i < f->c->size; i++) {
        CHECK_RC(SLEY_SPAWN((struct sley_scope *)(uintptr_t)root, one, .c = f->c, .last = last_now()), 0);
    }
    SLEY_END(f);
}
SLEY_FRAME(starter, struct starter)

static void none_of_ten_thousand_waits_two_rounds(const struct kind *k)
{
    const uint32_t starters = k->apart ? k->workers : 1;
    struct crowd c = {.size = (harness_slowness() > 1 ? 5000 : 10000) / starters, .turns = 8};
    begin(k, NULL);
    atomic_store_explicit(&journal_length, 0, memory_order_relaxed);
    for (uint32_t i = 0; i < starters && k->apart; i++) {
        CHECK_RC(sley_runtime_spawn_on(&rt, i, &starter__type, &(struct starter){.c = &c}, NULL), 0);
    }
    if (!k->apart) {
        spawn(&starter__type, &(struct starter){.c = &c});
    }
    CHECK_RC(sley_runtime_run_all(&rt), 0);
    harness_note("%s, %u workers: of %u ready tasks the longest wait was %llu resumes", k->executor, k->workers, c.size,
                 (unsigned long long)c.longest);
    end();
}

/* ---- one that never has to wait, beside one that yields ----------------------------------------------------------------- */

static _Atomic uint32_t over;
static _Atomic uint64_t inlines; /* what the busy one has done without waiting */

struct busy {
    struct sley_frame frame;
    struct sley_mpsc *ch;
    struct sley_fd *fd;
    struct sley_mpsc_op op;
    struct sley_io_op io;
    uint64_t v;
};

static enum sley_step busy_channel(struct busy *f)
{
    int rc = 0;
    SLEY_BEGIN(f);
    while (rc >= 0 && !over) {
        f->op = (struct sley_mpsc_op){0};
        SLEY_CALL(f, rc, sley_mpsc_send, &f->op, f->ch, &f->v);
        f->op = (struct sley_mpsc_op){0};
        SLEY_CALL(f, rc, sley_mpsc_recv, &f->op, f->ch, &f->v);
        inlines += 2;
    }
    SLEY_END(f);
}
SLEY_FRAME(busy_channel, struct busy)

static enum sley_step busy_descriptor(struct busy *f)
{
    int rc = 0;
    SLEY_BEGIN(f);
    while (rc >= 0 && !over) {
        f->io = (struct sley_io_op){0};
        SLEY_CALL(f, rc, sley_fd_poll, &f->io, f->fd, SLEY_IO_OUT);
        inlines++;
    }
    SLEY_END(f);
}
SLEY_FRAME(busy_descriptor, struct busy)

struct yielder {
    struct sley_frame frame;
    uint32_t n;
    uint64_t last, longest;
    _Atomic uint64_t *what; /* is counted between its resumes */
    uint64_t most;
};

static enum sley_step yielder(struct yielder *f)
{
    int rc;
    SLEY_BEGIN(f);
    for (f->n = 0; f->n < 200; f->n++) {
        if (f->n > 0 && *f->what - f->last > f->longest) {
            f->longest = *f->what - f->last;
        }
        f->last = *f->what;
        SLEY_YIELD(f, rc);
    }
    (void)rc;
    over = 1;
    if (is_exact(kind)) {
        CHECK_UINT(f->longest, <=, f->most);
    }
    SLEY_END(f);
}
SLEY_FRAME(yielder, struct yielder)

static void busy_channel_starves_nobody(const struct kind *k)
{
    struct sley_mpsc ch[WORKERS_MAX];
    uint64_t slot[WORKERS_MAX];
    over = 0;
    inlines = 0;
    begin(k, NULL);
    for (uint32_t i = 0; i < busy_count(k); i++) {
        CHECK_RC(sley_mpsc_init(&ch[i], &slot[i], 1, sizeof slot[i]), 0);
        spawn(&busy_channel__type, &(struct busy){.ch = &ch[i]});
    }
    spawn(&yielder__type, &(struct yielder){.what = &inlines, .most = 4 * 128});
    CHECK_RC(sley_runtime_run_all(&rt), 0);
    end();
    for (uint32_t i = 0; i < busy_count(k); i++) {
        sley_mpsc_fini(&ch[i], NULL);
    }
}

static void busy_descriptor_starves_nobody(const struct kind *k)
{
    int fds[WORKERS_MAX][2];
    struct sley_fd fd[WORKERS_MAX];
    over = 0;
    inlines = 0;
    begin(k, NULL);
    for (uint32_t i = 0; i < busy_count(k); i++) {
        CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds[i]), ==, 0);
        sley_fd_init(&fd[i], fds[i][0]);
        spawn(&busy_descriptor__type, &(struct busy){.fd = &fd[i]});
    }
    spawn(&yielder__type, &(struct yielder){.what = &inlines, .most = 4 * 128});
    CHECK_RC(sley_runtime_run_all(&rt), 0);
    end();
    for (uint32_t i = 0; i < busy_count(k); i++) {
        CHECK_INT(close(fds[i][0]), ==, 0);
        CHECK_INT(close(fds[i][1]), ==, 0);
    }
}

/* ---- a pair that wake each other, beside one that yields ------------------------------------------------------------------ */

static _Atomic uint64_t strokes;

struct player {
    struct sley_frame frame;
    struct sley_notify *mine, *other;
    struct sley_notify_op op;
};

static enum sley_step player(struct player *f)
{
    int rc = 0;
    SLEY_BEGIN(f);
    while (!over && rc == 0) {
        f->op = (struct sley_notify_op){0};
        SLEY_CALL(f, rc, sley_notify_wait, &f->op, f->mine);
        strokes++;
        sley_notify_set(f->other);
    }
    sley_notify_set(f->other);
    SLEY_END(f);
}
SLEY_FRAME(player, struct player)

struct channel_player {
    struct sley_frame frame;
    struct sley_mpsc *mine, *other;
    struct sley_mpsc_op op;
    uint64_t v;
};

static enum sley_step channel_player(struct channel_player *f)
{
    int rc = 1;
    SLEY_BEGIN(f);
    while (!over && rc == 1) {
        f->op = (struct sley_mpsc_op){0};
        SLEY_CALL(f, rc, sley_mpsc_recv, &f->op, f->mine, &f->v);
        strokes++;
        (void)sley_mpsc_try_send(f->other, &f->v);
    }
    (void)sley_mpsc_try_send(f->other, &f->v);
    SLEY_END(f);
}
SLEY_FRAME(channel_player, struct channel_player)

static void notify_pair_starves_no_third(const struct kind *k)
{
    struct sley_notify at[WORKERS_MAX][2] = {0};
    over = 0;
    strokes = 0;
    begin(k, NULL);
    for (uint32_t i = 0; i < busy_count(k); i++) {
        spawn(&player__type, &(struct player){.mine = &at[i][0], .other = &at[i][1]});
        spawn(&player__type, &(struct player){.mine = &at[i][1], .other = &at[i][0]});
        sley_notify_set(&at[i][0]);
    }
    spawn(&yielder__type, &(struct yielder){.what = &strokes, .most = 16});
    CHECK_RC(sley_runtime_run_all(&rt), 0);
    end();
}

static void channel_pair_starves_no_third(const struct kind *k)
{
    struct sley_mpsc ch[WORKERS_MAX][2];
    uint64_t slots[WORKERS_MAX][2], v = 0;
    over = 0;
    strokes = 0;
    begin(k, NULL);
    for (uint32_t i = 0; i < busy_count(k); i++) {
        CHECK_RC(sley_mpsc_init(&ch[i][0], &slots[i][0], 1, sizeof v), 0);
        CHECK_RC(sley_mpsc_init(&ch[i][1], &slots[i][1], 1, sizeof v), 0);
        spawn(&channel_player__type, &(struct channel_player){.mine = &ch[i][0], .other = &ch[i][1]});
        spawn(&channel_player__type, &(struct channel_player){.mine = &ch[i][1], .other = &ch[i][0]});
        CHECK_RC(sley_mpsc_try_send(&ch[i][0], &v), 0);
    }
    spawn(&yielder__type, &(struct yielder){.what = &strokes, .most = 16});
    CHECK_RC(sley_runtime_run_all(&rt), 0);
    end();
    for (uint32_t i = 0; i < busy_count(k); i++) {
        while (sley_mpsc_try_recv(&ch[i][0], &v) == 1 || sley_mpsc_try_recv(&ch[i][1], &v) == 1) {
        }
        sley_mpsc_fini(&ch[i][0], NULL);
        sley_mpsc_fini(&ch[i][1], NULL);
    }
}

/* ---- beside fifty that only yield: what comes from elsewhere, timers, descriptors ------------------------------------------- */

enum { LOAD = 50 };

struct load {
    struct sley_frame frame;
};

static enum sley_step load(struct load *f)
{
    int rc = 0;
    SLEY_BEGIN(f);
    while (!over) {
        count();
        SLEY_YIELD(f, rc);
    }
    (void)rc;
    SLEY_END(f);
}
SLEY_FRAME(load, struct load)

static void *drive(void *arg)
{
    (void)arg;
    CHECK_RC(sley_runtime_run_all(&rt), 0);
    return NULL;
}

struct newcomer {
    struct sley_frame frame;
    struct stamp *ran;
    _Atomic uint32_t *done;
};

static enum sley_step newcomer(struct newcomer *f)
{
    SLEY_BEGIN(f);
    *f->ran = stamp();
    atomic_store_explicit(f->done, 1, memory_order_release);
    SLEY_END(f);
}
SLEY_FRAME(newcomer, struct newcomer)

static void newcomer_from_elsewhere_runs_under_load(const struct kind *k)
{
    pthread_t driver;
    over = 0;
    begin(k, NULL);
    for (int i = 0; i < LOAD; i++) {
        spawn(&load__type, NULL);
    }
    CHECK_INT(pthread_create(&driver, NULL, drive, NULL), ==, 0);
    for (int i = 0; i < 50; i++) {
        struct stamp ran;
        _Atomic uint32_t done = 0;
        spawn(&newcomer__type, &(struct newcomer){.ran = &ran, .done = &done});
        const struct stamp came = stamp(); /* it was there before: this can only make the wait look shorter */
        while (!atomic_load_explicit(&done, memory_order_acquire)) {
            (void)sched_yield();
        }
        /* on the first worker to count: where nothing is shared it has all of them */
        CHECK(!is_exact(k) || ran.at[0] <= came.at[0] || ran.at[0] - came.at[0] <= 1000);
    }
    over = 1;
    CHECK_INT(pthread_join(driver, NULL), ==, 0);
    end();
}

/** Each resume of the load takes ten microseconds. */
static uint64_t resumes_now(struct sley_clock *self)
{
    const struct stamp now = stamp();
    uint64_t all = 0;
    (void)self;
    for (int i = 0; i < WORKERS_MAX; i++) {
        all += now.at[i];
    }
    return SLEY_S + 10 * SLEY_US * all;
}

struct sleeper {
    struct sley_frame frame;
    struct sley_timer timer;
    uint32_t n;
    uint64_t deadline_ns;
};

static enum sley_step sleeper(struct sleeper *f)
{
    int rc = 0;
    SLEY_BEGIN(f);
    for (f->n = 1; f->n <= 50; f->n++) {
        f->deadline_ns = sley_after_ns(f->n * 300 * SLEY_US);
        f->timer = (struct sley_timer){0};
        SLEY_CALL(f, rc, sley_sleep_until, &f->timer, f->deadline_ns);
        CHECK_RC(rc, 0);
        CHECK_UINT(sley_now_ns(), >=, f->deadline_ns);
        if (is_exact(kind)) { /* a tick, a look, a round */
            CHECK_UINT(sley_now_ns() - f->deadline_ns, <=, SLEY_MS + 10 * SLEY_US * (64 + 2 * LOAD));
        }
    }
    over = 1;
    SLEY_END(f);
}
SLEY_FRAME(sleeper, struct sleeper)

static void timer_is_seen_under_load(const struct kind *k)
{
    static struct sley_clock clock = {.now_ns = resumes_now};
    over = 0;
    begin(k, &clock);
    for (int i = 0; i < LOAD; i++) {
        spawn(&load__type, NULL);
    }
    spawn(&sleeper__type, NULL);
    CHECK_RC(sley_runtime_run_all(&rt), 0);
    end();
}

/** Whoever looks at it makes it a millisecond later: so a timer is due at each of the places where a worker looks. */
static uint64_t stepping_now(struct sley_clock *self)
{
    static _Atomic uint64_t looks;
    (void)self;
    return SLEY_S + SLEY_MS * ++looks;
}

struct napper {
    struct sley_frame frame;
    struct sley_timer timer;
    uint32_t n;
};

static enum sley_step napper(struct napper *f)
{
    int rc = 0;
    SLEY_BEGIN(f);
    for (f->n = 1; f->n <= 200; f->n++) {
        f->timer = (struct sley_timer){0};
        SLEY_CALL(f, rc, sley_sleep, &f->timer, (1 + f->n % 20) * SLEY_MS);
        CHECK_RC(rc, 0);
    }
    SLEY_END(f);
}
SLEY_FRAME(napper, struct napper)

static void timer_due_on_the_way_to_sleep_fires(const struct kind *k)
{
    static struct sley_clock clock = {.now_ns = stepping_now};
    begin(k, &clock);
    spawn(&napper__type, NULL);
    CHECK_RC(sley_runtime_run_all(&rt), 0);
    end();
}

struct reader {
    struct sley_frame frame;
    struct sley_fd *fd;
    int peer;
    struct sley_io_op op;
    struct stamp wrote;
    uint32_t has_written;
};

struct writer {
    struct sley_frame frame;
    struct reader *r;
};

/** Writes when the other waits; the time runs from there. */
static enum sley_step writer(struct writer *f)
{
    int rc = 0;
    SLEY_BEGIN(f);
    SLEY_YIELD(f, rc);
    (void)rc;
    f->r->wrote = stamp();
    __atomic_store_n(&f->r->has_written, 1, __ATOMIC_RELEASE); /* the byte says so, too, but that no sanitizer sees */
    CHECK_INT(write(f->r->peer, "x", 1), ==, 1);
    SLEY_END(f);
}
SLEY_FRAME(writer, struct writer)

static enum sley_step reader(struct reader *f)
{
    int rc = 0;
    SLEY_BEGIN(f);
    CHECK_RC(SLEY_SPAWN(NULL, writer, .r = f), 0);
    SLEY_CALL(f, rc, sley_fd_poll, &f->op, f->fd, SLEY_IO_IN);
    CHECK_RC(rc, SLEY_IO_IN);
    CHECK_UINT(__atomic_load_n(&f->has_written, __ATOMIC_ACQUIRE), ==, 1);
    if (is_exact(kind)) {
        CHECK_UINT(since(f->wrote), <=, 2 * 64 + 2 * LOAD);
    }
    over = 1;
    SLEY_END(f);
}
SLEY_FRAME(reader, struct reader)

static void descriptor_is_seen_under_load(const struct kind *k)
{
    int fds[2];
    struct sley_fd fd;
    over = 0;
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), ==, 0);
    sley_fd_init(&fd, fds[0]);
    begin(k, NULL);
    for (int i = 0; i < LOAD; i++) {
        spawn(&load__type, NULL);
    }
    spawn(&reader__type, &(struct reader){.fd = &fd, .peer = fds[1]});
    CHECK_RC(sley_runtime_run_all(&rt), 0);
    end();
    CHECK_INT(close(fds[0]), ==, 0);
    CHECK_INT(close(fds[1]), ==, 0);
}

/* ---- each on each ------------------------------------------------------------------------------------------------------- */

#define EACH_QUEUED(X, kind)                                    \
    X(none_of_ten_thousand_waits_two_rounds, "", kind)          \
    X(busy_channel_starves_nobody, "LOCAL-10", kind)            \
    X(busy_descriptor_starves_nobody, "LOCAL-07", kind)         \
    X(notify_pair_starves_no_third, "LOCAL-09 STEAL-07", kind)  \
    X(channel_pair_starves_no_third, "LOCAL-09 STEAL-07", kind) \
    X(timer_is_seen_under_load, "LOCAL-15", kind)               \
    X(timer_due_on_the_way_to_sleep_fires, "", kind)            \
    X(descriptor_is_seen_under_load, "LOCAL-06", kind)
#define EACH(X, kind)    \
    EACH_QUEUED(X, kind) \
    X(newcomer_from_elsewhere_runs_under_load, "LOCAL-05 STEAL-09", kind)
#define CASE(name, ids, kind)     \
    SLEY_TEST(kind##_##name, ids) \
    {                             \
        name(&kind);              \
    }

static const struct kind local = {"local", "epoll", 1, false, 0};
EACH(CASE, local)
/* who comes from elsewhere has the usual priority, and such as these starve it: that is their meaning */
static const struct kind local_urgent = {"local", "epoll", 1, false, 3};
EACH_QUEUED(CASE, local_urgent)
static const struct kind cores_2 = {"cores", "epoll", 2, true, 0};
EACH(CASE, cores_2)
static const struct kind shares = {"shares", "epoll", 1, false, 0};
EACH(CASE, shares)
static const struct kind stealing_1 = {"stealing", "epoll", 1, false, 0};
EACH(CASE, stealing_1)
static const struct kind stealing_2 = {"stealing", "epoll", 2, false, 0};
EACH(CASE, stealing_2)
static const struct kind stealing_8 = {"stealing", "epoll", 8, false, 0};
EACH(CASE, stealing_8)
