/* What needs more than tasks: bytes through a socket, calls to other cores, blocking in place. Each where the executor has it. */
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sley/cores.h>
#include <sley/stealing.h>
#include <sley/tcp.h>

#include "stress.h"

enum { PIECE_MAX = 3000, ENDS = 2 };

/* A connection within the process. Both ends count; the bytes say where they stand. */
struct line {
    _Atomic uint32_t refs;
    _Atomic uint64_t sent, received;
    _Atomic bool cut, whole; /* somebody has closed early; the end was seen */
    struct sley_tcp ends[ENDS];
};

static unsigned char byte_at(uint64_t at)
{
    return (unsigned char)(at * 131 + (at >> 8) * 7 + 3);
}

static void line_end(struct line *l, int which)
{
    EXPECT_RC(sley_stream_close(&l->ends[which].stream), 0);
    if (atomic_fetch_sub_explicit(&l->refs, 1, memory_order_acq_rel) == 1) {
        EXPECT(l->received <= l->sent);
        EXPECT(!l->whole || l->cut || l->received == l->sent);
        atomic_fetch_sub_explicit(&w.objects, 1, memory_order_relaxed);
        free(l);
    }
}

struct talker {
    struct line *l;
    uint64_t id;
    uint32_t count;
};

static int talk(struct talker *a)
{
    unsigned char buf[PIECE_MAX];
    uint64_t at = 0;
    int rc = 0;
    for (uint32_t n = 0; n < a->count; n++) {
        struct rng r = rng_of(child_of(a->id, n));
        const size_t len = 1 + below(&r, PIECE_MAX);
        size_t done = 0;
        for (size_t i = 0; i < len; i++) {
            buf[i] = byte_at(at + i);
        }
        if (chance(&r, 60)) {
            rc = sley_stream_write_all(&a->l->ends[0].stream, buf, len, &done);
        } else {
            rc = SLEY_UNTIL(soon(&r, 500), sley_stream_write_all(&a->l->ends[0].stream, buf, len, &done));
        }
        at += done;
        atomic_fetch_add_explicit(&a->l->sent, done, memory_order_relaxed);
        tick();
        if (rc < 0 && rc != -ETIMEDOUT) {
            EXPECT(rc == -ECANCELED || rc == -EPIPE || rc == -ECONNRESET);
            break;
        }
    }
    line_end(a->l, 0);
    add(&w.ended);
    return 0;
}
SLEY_FIBER(talk, struct talker)

static int hear(struct talker *a)
{
    unsigned char buf[PIECE_MAX];
    uint64_t at = 0;
    int rc = 1;
    for (uint32_t n = 0; rc != 0; n++) {
        struct rng r = rng_of(child_of(a->id, n));
        const size_t len = 1 + below(&r, PIECE_MAX);
        rc = chance(&r, 60) ? sley_stream_read(&a->l->ends[1].stream, buf, len)
                            : SLEY_UNTIL(soon(&r, 500), sley_stream_read(&a->l->ends[1].stream, buf, len));
        for (int i = 0; i < rc; i++) {
            EXPECT(buf[i] == byte_at(at + (uint64_t)i));
        }
        at += rc > 0 ? (uint64_t)rc : 0;
        atomic_fetch_add_explicit(&a->l->received, rc > 0 ? (uint64_t)rc : 0, memory_order_relaxed);
        tick();
        if ((rc < 0 && rc != -ETIMEDOUT) || chance(&r, 2)) {
            EXPECT(rc >= 0 || rc == -ECANCELED || rc == -ECONNRESET || rc == -ETIMEDOUT);
            a->l->cut = true;
            break;
        }
    }
    a->l->whole = rc == 0;
    add(&w.messages);
    line_end(a->l, 1);
    add(&w.ended);
    return 0;
}
SLEY_FIBER(hear, struct talker)

/** Two connected sockets. Returns whether there are: thousands a second use up what numbers there are. */
static bool connect_pair(int fds[ENDS])
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t bytes = sizeof at;
    (void)pthread_mutex_lock(&lock); /* one descriptor more at a time */
    const int listener = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT(listener >= 0);
    EXPECT_RC(bind(listener, (const struct sockaddr *)&at, sizeof at), 0);
    EXPECT_RC(listen(listener, 1), 0);
    EXPECT_RC(getsockname(listener, (struct sockaddr *)&at, &bytes), 0);
    fds[0] = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT(fds[0] >= 0);
    const bool connected = connect(fds[0], (const struct sockaddr *)&at, sizeof at) == 0;
    fds[1] = connected ? accept(listener, NULL, NULL) : -1;
    (void)close(listener);
    if (fds[1] < 0) {
        (void)close(fds[0]);
    }
    (void)pthread_mutex_unlock(&lock);
    return fds[1] >= 0;
}

int act_stream(struct rng *r, uint64_t id)
{
    struct sley_scope scope = {0};
    int fds[ENDS];
    if (!sley_sched_current()->reactor || !connect_pair(fds)) {
        return sley_consume();
    }
    struct line *l = calloc(1, sizeof *l);
    EXPECT(l);
    add(&w.objects);
    l->refs = ENDS;
    for (int i = 0; i < ENDS; i++) {
        EXPECT_RC(sley_tcp_from_fd(&l->ends[i], fds[i]), 0);
    }
    EXPECT_RC(sley_scope_init(&scope, &(struct sley_scope_opts){.deadline_ns = chance(r, 20) ? soon(r, 3000) : 0}), 0);
    add(&w.spawned);
    EXPECT_RC(SLEY_SPAWN(&scope, talk, .l = l, .id = child_of(id, 60), .count = 1 + below(r, 40)), 0);
    add(&w.spawned);
    EXPECT_RC(SLEY_SPAWN(&scope, hear, .l = l, .id = child_of(id, 61)), 0);
    if (chance(r, 15)) {
        (void)sley_yield();
        sley_scope_cancel(&scope);
    }
    (void)sley_scope_wait(&scope);
    (void)sley_scope_fini(&scope);
    return 0;
}

/** In no task of that core, or in the caller's on its own; it may spawn there. */
static int called(void *arg)
{
    uint64_t id;
    memcpy(&id, arg, sizeof id);
    struct rng r = {id};
    if (chance(&r, 30)) {
        add(&w.spawned);
        EXPECT_RC(sley_cores_spawn_on(sley_cores_current(), (uint32_t)sley_cores_here(), root_type,
                                      &(struct node_args){child_of(id, 70), 0}, NULL),
                  0);
    }
    tick();
    return result_of(id);
}

static int block(void *arg)
{
    return job(arg);
}

int act_elsewhere(struct rng *r, uint64_t id)
{
    struct sley_cores *cores = sley_cores_current();
    int result = 0, rc;
    if (!cores) {
        EXPECT_RC(sley_block_in_place(block, &id, &result), 0);
        EXPECT_RC(result, result_of(id));
        return 0;
    }
    struct sley_core *core = sley_cores_at(cores, below(r, sley_cores_count(cores)));
    rc = chance(r, 30) ? SLEY_UNTIL(soon(r, 300), sley_run_on(core, called, &id, &result)) : sley_run_on(core, called, &id, &result);
    EXPECT(rc == 0 || rc == -ETIMEDOUT || rc == -ECANCELED);
    EXPECT(rc < 0 || result == result_of(id));
    return rc;
}
