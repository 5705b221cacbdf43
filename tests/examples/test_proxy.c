/* A proxy as a user would write it: both directions, half-close, one idle timeout for the pair; over real sockets. */
#include <string.h>

#include "rig.h"

#define IDLE (60 * SLEY_S)

struct pump {
    struct sley_stream *from, *to;
    struct sley_scope *life;
};

static int pump(struct pump *p)
{
    char buf[4096];
    int n;
    while ((n = sley_stream_read(p->from, buf, sizeof buf)) > 0) {
        sley_scope_deadline(p->life, sley_after_ns(IDLE)); /* either direction keeps both alive */
        n = sley_stream_write_all(p->to, buf, (size_t)n, NULL);
        if (n < 0) {
            return n;
        }
    }
    return n < 0 ? n : sley_stream_shutdown(p->to); /* the end travels; the other direction goes on */
}
SLEY_FIBER(pump, struct pump)

struct link {
    struct sley_tcp a;
    const char *target;
};

static int proxy(struct link *p)
{
    struct sley_tcp b;
    struct sley_scope life;
    int rc = SLEY_UNTIL(sley_after_ns(10 * SLEY_S), sley_tcp_connect(&b, p->target, NULL));
    if (rc < 0) {
        sley_stream_abort(&p->a.stream);
        return rc;
    }
    rc = sley_scope_init(&life, &(struct sley_scope_opts){.deadline_ns = sley_after_ns(IDLE), .flags = SLEY_SCOPE_FAIL_FAST});
    if (rc == 0) {
        rc = SLEY_SPAWN(&life, pump, .from = &p->a.stream, .to = &b.stream, .life = &life);
    }
    if (rc == 0) {
        rc = SLEY_SPAWN(&life, pump, .from = &b.stream, .to = &p->a.stream, .life = &life);
    }
    if (rc < 0) {
        sley_scope_cancel(&life);
    }
    const int first = sley_scope_wait(&life);
    rc = rc < 0 ? rc : first;
    (void)sley_scope_fini(&life); /* its verdict was wait's */
    if (rc < 0) {
        sley_stream_abort(&p->a.stream);
        sley_stream_abort(&b.stream);
        return rc;
    }
    rc = sley_stream_close(&p->a.stream);
    const int closed = sley_stream_close(&b.stream);
    return rc < 0 ? rc : closed;
}
SLEY_FIBER(proxy, struct link)

/* ---- a target that answers, and a client ------------------------------------------------------------------------------ */

struct server {
    struct sley_tcp_listener listener;
    int (*serve)(struct server *s, struct sley_tcp conn);
    char target[SLEY_ADDR_TEXT_BYTES]; /* of the proxy */
};

static int serve_one(struct server *s)
{
    struct sley_tcp conn;
    CHECK_RC(sley_tcp_accept(&s->listener, &conn), 0);
    CHECK_RC(sley_tcp_listener_close(&s->listener), 0);
    return s->serve(s, conn);
}
SLEY_FIBER(serve_one, struct server)

static int serve_proxy(struct server *s, struct sley_tcp conn)
{
    struct link link = {.a = conn, .target = s->target};
    return proxy(&link);
}

/** Reads to the end, only then answers: the half-close has to come through. */
static int serve_count(struct server *s, struct sley_tcp conn)
{
    (void)s;
    char buf[1000];
    uint32_t total = 0;
    int n;
    while ((n = sley_stream_read(&conn.stream, buf, sizeof buf)) > 0) {
        total += (uint32_t)n;
    }
    CHECK_RC(n, 0);
    CHECK_RC(sley_stream_write_all(&conn.stream, &total, sizeof total, NULL), 0);
    return sley_stream_close(&conn.stream);
}

/** Answers once, then says nothing until the other side goes. */
static int serve_silence(struct server *s, struct sley_tcp conn)
{
    (void)s;
    char byte;
    CHECK_RC(sley_stream_read(&conn.stream, &byte, 1), 1);
    CHECK_RC(sley_stream_write_all(&conn.stream, &byte, 1, NULL), 0);
    CHECK_RC(sley_stream_read(&conn.stream, &byte, 1), -ECONNRESET);
    return sley_stream_close(&conn.stream);
}

static void start(struct server *s, char *ret_addr, struct sley_task **ret_task)
{
    struct sley_addr addr;
    CHECK_RC(sley_tcp_listen(&s->listener, "127.0.0.1:0", NULL), 0);
    CHECK_RC(sley_tcp_listener_local(&s->listener, &addr), 0);
    CHECK_INT(sley_addr_format(&addr, ret_addr, SLEY_ADDR_TEXT_BYTES), >, 0);
    CHECK_RC(sley_spawn(NULL, &serve_one__type, s, NULL, ret_task), 0); /* a copy: the listener is the task's from here on */
}

struct stage {
    int (*target)(struct server *s, struct sley_tcp conn);
    int (*client)(struct sley_tcp *conn);
    int proxy_result;
};

static int play(struct stage *a)
{
    struct server target = {.serve = a->target}, front = {.serve = serve_proxy};
    struct sley_task *tasks[2];
    struct sley_tcp conn;
    char addr[SLEY_ADDR_TEXT_BYTES];
    int result;
    start(&target, front.target, &tasks[0]);
    start(&front, addr, &tasks[1]);
    CHECK_RC(sley_tcp_connect(&conn, addr, NULL), 0);
    CHECK_RC(a->client(&conn), 0);
    CHECK_RC(sley_stream_close(&conn.stream), 0);
    CHECK_RC(sley_task_join(tasks[0], &result), 0);
    CHECK_RC(result, 0);
    CHECK_RC(sley_task_join(tasks[1], &result), 0);
    CHECK_RC(result, a->proxy_result);
    sley_task_unref(tasks[0]);
    sley_task_unref(tasks[1]);
    return 0;
}
SLEY_FIBER(play, struct stage)

static int ask_for_count(struct sley_tcp *conn)
{
    static char data[300000];
    uint32_t total = 0;
    memset(data, 'x', sizeof data);
    CHECK_RC(sley_stream_write_all(&conn->stream, data, sizeof data, NULL), 0);
    CHECK_RC(sley_stream_shutdown(&conn->stream), 0);
    CHECK_RC(sley_stream_read_exact(&conn->stream, &total, sizeof total, NULL), 0);
    CHECK_UINT(total, ==, sizeof data);
    char byte;
    CHECK_RC(sley_stream_read(&conn->stream, &byte, 1), 0); /* and the other direction has ended, too */
    return 0;
}

static int go_silent(struct sley_tcp *conn)
{
    char byte = 'x';
    CHECK_RC(sley_stream_write_all(&conn->stream, &byte, 1, NULL), 0);
    CHECK_RC(sley_stream_read(&conn->stream, &byte, 1), 1);
    rig_advance(IDLE + SLEY_S); /* all stands, and nobody says any more */
    CHECK_RC(sley_stream_read(&conn->stream, &byte, 1), -ECONNRESET);
    return 0;
}

SLEY_TEST(proxy_passes_data_and_half_close, "")
{
    const struct stage s = {.target = serve_count, .client = ask_for_count};
    CHECK_RC(rig_run("epoll", &play__type, &s, NULL), 0);
}

SLEY_TEST(proxy_idle_for_a_minute_resets_both_sides, "")
{
    const struct stage s = {.target = serve_silence, .client = go_silent, .proxy_result = -ETIMEDOUT};
    CHECK_RC(rig_run("epoll", &play__type, &s, NULL), 0);
}
