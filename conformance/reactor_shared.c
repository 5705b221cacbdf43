/* Clauses of SLEY_REACTOR_CAP_SHARED: several workers use a reactor, under its lock, and serve it while its owner does not look. */
#include "rig.h"

#include <sley/near_impl.h>

#include <pthread.h>

/* ---- a reactor that is shared, and workers: plain threads that keep its rules ----------------------------------------- */

static struct sley_reactor *shared;

static void shared_up(void)
{
    const struct sley_reactor_opts opts = {0};
    CHECK_RC(sley__rig_factory.create(&opts, &shared), 0);
    if (!(shared->ops->caps & SLEY_REACTOR_CAP_SHARED)) {
        SKIP("it cannot be shared");
    }
    shared->shared = true;
}

static void shared_down(void)
{
    CHECK_UINT(shared->armed_count, ==, 0);
    sley_reactor_destroy(shared);
}

/** As workers do it: the op begins, and under the lock its descriptor comes home, and it is submitted. */
static void start(struct sley_io_op *op, struct sley_fd *fd, enum sley_io_code code, void *buf, size_t len)
{
    io_set(op, fd, code, buf, len);
    op->done_bytes = 0;
    CHECK(sley_wait_begin(&op->wait, &sley__io_kinds[code]));
    sley_io_mark(op, shared);
    sley_reactor_enter(shared);
    const uint32_t state = sley__fd_state(fd);
    if (!(state & SLEY_FD_KNOWN)) {
        CHECK_RC(shared->ops->adopt ? shared->ops->adopt(shared, fd) : 0, 0);
        atomic_store_explicit(&fd->home, shared, memory_order_relaxed); /* relaxed: under its lock */
        sley__fd_set(fd, sley__fd_state(fd) | SLEY_FD_KNOWN | SLEY_FD_FAR);
    }
    if (code == SLEY_IO_CLOSE) {
        sley__fd_set(fd, sley__fd_state(fd) | SLEY_FD_CLOSING);
    }
    shared->ops->submit(shared, op);
    sley_reactor_leave(shared);
}

static void cancel(struct sley_io_op *op)
{
    sley_reactor_enter(shared);
    if (!sley_wait_done(&op->wait) && !sley_io_ended(op)) {
        shared->ops->cancel(shared, op);
    }
    sley_reactor_leave(shared);
}

static void await_spinning(const struct sley_wait *w)
{
    uint64_t since_ms = 0;
    while (!sley_wait_done(w)) {
        sley__kit_wait_on(&since_ms);
    }
}

/* ---- the owner -------------------------------------------------------------------------------------------------------- */

struct owner {
    pthread_t thread;
    SLEY_ATOMIC(bool) stop;
};

static void *own(void *arg)
{
    struct owner *o = arg;
    while (!atomic_load_explicit(&o->stop, memory_order_acquire)) { /* acquire: pairs with owner_end */
        CHECK_INT(shared->ops->poll(shared, SLEY_NEVER), >=, 0);
    }
    return NULL;
}

static bool owner_waits(void)
{
    sley_reactor_enter(shared);
    const bool waits = shared->waiting;
    sley_reactor_leave(shared);
    return waits;
}

static void owner_begin(struct owner *o)
{
    atomic_store_explicit(&o->stop, false, memory_order_relaxed); /* relaxed: the thread is made behind it */
    uint64_t since_ms = 0;
    CHECK_INT(pthread_create(&o->thread, NULL, own, o), ==, 0);
    while (!owner_waits()) {
        sley__kit_wait_on(&since_ms);
    }
}

static void owner_end(struct owner *o)
{
    atomic_store_explicit(&o->stop, true, memory_order_release); /* release: pairs with own */
    shared->ops->wake(shared);
    CHECK_INT(pthread_join(o->thread, NULL), ==, 0);
}

/* ---- a second worker, which does one thing ------------------------------------------------------------------------------ */

static void on_another_thread(void *(*fn)(void *arg), void *arg)
{
    pthread_t thread;
    CHECK_INT(pthread_create(&thread, NULL, fn, arg), ==, 0);
    CHECK_INT(pthread_join(thread, NULL), ==, 0);
}

static void *serve(void *arg)
{
    *(int *)arg = shared->ops->serve(shared);
    return NULL;
}

static int served(void)
{
    int n = -1;
    on_another_thread(serve, &n);
    CHECK_INT(n, >=, 0);
    return n;
}

/* ---- serving ------------------------------------------------------------------------------------------------------------ */

CLAUSE(serve_completes_what_is_ready)
{
    shared_up();
    for (int round = 0; round < 4; round++) {
        struct sley_fd fds[2];
        struct sley_io_op ops[2] = {0}, closing = {0};
        char bytes[2] = "";
        const int peers[2] = {unix_pair(&fds[0]), unix_pair(&fds[1])};
        for (int i = 0; i < 2; i++) {
            start(&ops[i], &fds[i], SLEY_IO_RECV, &bytes[i], 1);
        }
        (void)served();
        CHECK(!sley_wait_done(&ops[0].wait) && !sley_wait_done(&ops[1].wait));
        put(peers[round % 2], "x");
        for (int i = 0; i < 100 && !sley_wait_done(&ops[round % 2].wait); i++) {
            (void)served(); /* the owner does not look */
        }
        CHECK(sley_wait_done(&ops[round % 2].wait));
        CHECK_RC(ops[round % 2].wait.result, 1);
        CHECK_INT(bytes[round % 2], ==, 'x');
        CHECK(!sley_wait_done(&ops[!(round % 2)].wait));
        for (int i = 0; i < 2; i++) {
            start(&closing, &fds[i], SLEY_IO_CLOSE, NULL, 0);
            CHECK(sley_wait_done(&closing.wait));
            (void)close(peers[i]);
        }
    }
    shared_down();
}

CLAUSE(serve_leaves_an_owner_that_waits_alone)
{
    shared_up();
    struct owner o;
    owner_begin(&o);
    for (int i = 0; i < 20; i++) {
        CHECK_INT(served(), ==, 0);
        CHECK(owner_waits());
    }
    owner_end(&o);
    shared_down();
}

CLAUSE(serve_leaves_wakes_to_the_owner)
{
    shared_up();
    for (int i = 0; i < 10; i++) {
        shared->ops->wake(shared);
        (void)served();
        (void)served();
        CHECK_INT(shared->ops->poll(shared, SLEY_NEVER), >=, 0); /* else a hang */
        for (int k = 0; k < 4; k++) {
            CHECK_INT(shared->ops->poll(shared, 0), >=, 0);
        }
    }
    shared_down();
}

/* ---- while the owner waits ------------------------------------------------------------------------------------------------ */

CLAUSE(op_started_while_the_owner_waits_is_seen)
{
    shared_up();
    struct owner o;
    owner_begin(&o);
    for (int round = 0; round < 20; round++) {
        struct sley_fd fd;
        struct sley_io_op op = {0}, poll = {0}, closing = {0};
        char byte = 0;
        const int peer = unix_pair(&fd);
        for (uint64_t since_ms = 0; !owner_waits();) {
            sley__kit_wait_on(&since_ms);
        }
        start(&op, &fd, SLEY_IO_RECV, &byte, 1);
        start(&poll, &fd, SLEY_IO_POLL, NULL, SLEY_IO_IN);
        CHECK(!sley_wait_done(&op.wait));
        put(peer, "x");
        await_spinning(&op.wait);
        await_spinning(&poll.wait);
        CHECK_RC(op.wait.result, 1);
        CHECK_RC(poll.wait.result, SLEY_IO_IN);
        CHECK_INT(byte, ==, 'x');
        start(&closing, &fd, SLEY_IO_CLOSE, NULL, 0);
        await_spinning(&closing.wait);
        (void)close(peer);
    }
    owner_end(&o);
    shared_down();
}

CLAUSE(any_worker_cancels_and_closes)
{
    shared_up();
    struct owner o;
    owner_begin(&o);
    for (int round = 0; round < 20; round++) {
        struct sley_fd fd;
        struct sley_io_op op = {0}, poll = {0}, closing = {0};
        char byte;
        const int peer = unix_pair(&fd), number = fd.number;
        start(&op, &fd, SLEY_IO_RECV, &byte, 1);
        start(&poll, &fd, SLEY_IO_POLL, NULL, SLEY_IO_IN);
        cancel(&op);
        await_spinning(&op.wait);
        CHECK_RC(op.wait.result, -ECANCELED);
        cancel(&op); /* nothing any more */
        CHECK(!sley_wait_done(&poll.wait));
        start(&op, &fd, SLEY_IO_RECV, &byte, 1);
        start(&closing, &fd, SLEY_IO_CLOSE, NULL, 0);
        await_spinning(&closing.wait);
        CHECK(sley_wait_done(&op.wait) && sley_wait_done(&poll.wait));
        CHECK_RC(op.wait.result, -ECANCELED);
        CHECK_RC(poll.wait.result, -ECANCELED);
        CHECK_RC(closing.wait.result, 0);
        CHECK_INT(fcntl(number, F_GETFD), <, 0);
        (void)close(peer);
    }
    owner_end(&o);
    shared_down();
}

/* ---- whoever is told --------------------------------------------------------------------------------------------------------- */

static void *enter_and_leave(void *arg)
{
    sley_reactor_enter(shared);
    *(int *)arg += 1;
    sley_reactor_leave(shared);
    return NULL;
}

struct told {
    struct sley_wait_hook hook;
    int count;
};

static void let_another_in(struct sley_wait_hook *hook, struct sley_wait *w)
{
    struct told *t = sley_container_of(hook, struct told, hook);
    (void)w;
    on_another_thread(enter_and_leave, &t->count); /* a hang if the lock is held */
}

CLAUSE(hooks_run_without_the_lock)
{
    shared_up();
    enum { BY_POLL, BY_SERVE, BY_CANCEL, BY_CLOSE, WAYS };
    for (int way = 0; way < WAYS; way++) {
        struct sley_fd fd;
        struct sley_io_op op = {0}, closing = {0};
        struct told told = {.hook = {.fn = let_another_in}};
        char byte;
        const int peer = unix_pair(&fd);
        start(&op, &fd, SLEY_IO_RECV, &byte, 1);
        sley_wait_hook(&op.wait, &told.hook);
        if (way == BY_CANCEL) {
            cancel(&op);
        } else if (way != BY_CLOSE) {
            put(peer, "x");
        }
        while (way < BY_CANCEL && !sley_wait_done(&op.wait)) {
            CHECK_INT(way == BY_POLL ? shared->ops->poll(shared, 0) : shared->ops->serve(shared), >=, 0);
        }
        start(&closing, &fd, SLEY_IO_CLOSE, NULL, 0);
        while (!sley_wait_done(&closing.wait) || !sley_wait_done(&op.wait)) {
            CHECK_INT(shared->ops->poll(shared, 0), >=, 0);
        }
        CHECK_INT(told.count, ==, 1);
        CHECK_RC(op.wait.result, way < BY_CANCEL ? 1 : -ECANCELED);
        (void)close(peer);
    }
    shared_down();
}

/* ---- all at once --------------------------------------------------------------------------------------------------------------- */

static unsigned rounds;

/** Bytes come to a descriptor of its own; each is received once, whatever is cancelled, and whoever looks. */
static void *work(void *arg)
{
    struct sley_fd fd;
    struct sley_io_op closing = {0};
    const int peer = unix_pair(&fd);
    (void)arg;
    for (unsigned i = 0; i < rounds; i++) {
        struct sley_io_op op = {0};
        char byte = 0;
        if (sley__kit_below(2)) {
            put(peer, "x");
        }
        const bool put_before = recv(fd.number, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 1;
        start(&op, &fd, SLEY_IO_RECV, &byte, 1);
        if (!put_before) {
            put(peer, "x");
        }
        if (sley__kit_below(3) == 0) {
            CHECK_INT(shared->ops->serve(shared), >=, 0);
        }
        if (sley__kit_below(3) == 0) {
            cancel(&op);
        }
        await_spinning(&op.wait);
        CHECK(op.wait.result == 1 || op.wait.result == -ECANCELED);
        CHECK_INT(recv(fd.number, &byte, 1, MSG_DONTWAIT), ==, op.wait.result == 1 ? -1 : 1);
        CHECK_INT(byte, ==, 'x');
    }
    start(&closing, &fd, SLEY_IO_CLOSE, NULL, 0);
    await_spinning(&closing.wait);
    (void)close(peer);
    return NULL;
}

CLAUSE(workers_that_race_lose_nothing)
{
    enum { WORKERS = 3 };
    pthread_t threads[WORKERS];
    struct owner o;
    rounds = sley__kit_rounds(2000) + 20;
    shared_up();
    owner_begin(&o);
    for (int i = 0; i < WORKERS; i++) {
        CHECK_INT(pthread_create(&threads[i], NULL, work, NULL), ==, 0);
    }
    for (int i = 0; i < WORKERS; i++) {
        CHECK_INT(pthread_join(threads[i], NULL), ==, 0);
    }
    owner_end(&o);
    shared_down();
}
