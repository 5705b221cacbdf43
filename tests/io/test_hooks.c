/* Who waits by a callback acts in the middle of what has ended the wait: it may close what it waited at, and give the memory back when that
 * is closed. Here the memory is unmapped. */
#include <string.h>
#include <sys/mman.h>

#include <sley/notify.h>
#include <sley/task_impl.h>

#include "io_test.h"

static void *map(size_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK_PTR(at, !=, MAP_FAILED);
    return at;
}

/* ---- a listener ----------------------------------------------------------------------------------------------------------- */

struct guest {
    struct sley_io_op accept, close;
    struct sley_wait_hook accepted, closed;
    struct sley_tcp_listener *l;
    struct sley_tcp conn;
    struct sley_notify over;
};

static void listener_closed(struct sley_wait_hook *hook, struct sley_wait *w)
{
    struct guest *g = sley_container_of(hook, struct guest, closed);
    CHECK_RC(w->result, 0);
    CHECK_INT(munmap(g->l, sizeof *g->l), ==, 0);
    sley_notify_set(&g->over);
}

static void accepted(struct sley_wait_hook *hook, struct sley_wait *w)
{
    struct guest *g = sley_container_of(hook, struct guest, accepted);
    CHECK_RC(w->result, 0);
    sley_tcp_listener_close_start(&g->close, g->l);
    sley_wait_hook(&g->close.wait, &g->closed);
}

static int accept_and_close(bool lies)
{
    struct io_listener l;
    static struct guest g;
    struct sley_tcp a, b;
    memset(&g, 0, sizeof g);
    io_listen(&l, NULL);
    g.l = map(sizeof *g.l);
    *g.l = l.l;
    g.accepted.fn = accepted;
    g.closed.fn = listener_closed;
    if (lies) { /* the second of two that wait is given what has come meanwhile */
        struct sley_io_op first = {0};
        sley_tcp_accept_start(&first, g.l, &b);
        sley_tcp_accept_start(&g.accept, g.l, &g.conn);
        sley_wait_hook(&g.accept.wait, &g.accepted);
        CHECK_RC(sley_tcp_connect(&a, l.text, NULL), 0);
        CHECK_RC(sley_await(&first.wait), 0);
        CHECK_RC(sley_stream_close(&a.stream), 0);
        CHECK_RC(sley_stream_close(&b.stream), 0);
    } else {
        sley_tcp_accept_start(&g.accept, g.l, &g.conn);
        sley_wait_hook(&g.accept.wait, &g.accepted);
    }
    CHECK_RC(sley_tcp_connect(&a, l.text, NULL), 0);
    CHECK_RC(sley_notify_wait(&g.over), 0);
    CHECK_RC(sley_stream_close(&a.stream), 0);
    return sley_stream_close(&g.conn.stream);
}

IO_TEST(listener_may_go_when_its_accept_is_told, "")
{
    return accept_and_close(false);
}

IO_TEST(listener_may_go_when_the_last_of_its_accepts_is_told, "")
{
    return accept_and_close(true);
}

/* ---- a connection ----------------------------------------------------------------------------------------------------------- */

struct half {
    struct sley_io_op op;
    struct sley_wait_hook hook;
};

struct leaver {
    struct half ends[2]; /* two that wait until a write is over, to shut down behind it */
    struct sley_io_op close;
    struct sley_wait_hook closed;
    struct sley_tcp *conn;
    struct sley_notify over;
};

static struct leaver leaver;

static void connection_closed(struct sley_wait_hook *hook, struct sley_wait *w)
{
    (void)hook;
    CHECK_RC(w->result, 0);
    CHECK_INT(munmap(leaver.conn, sizeof *leaver.conn), ==, 0);
    sley_notify_set(&leaver.over);
}

static void shut_down(struct sley_wait_hook *hook, struct sley_wait *w)
{
    (void)hook;
    CHECK_RC(w->result, 0);
    if (!leaver.closed.fn) { /* the first */
        leaver.closed.fn = connection_closed;
        sley_stream_close_start(&leaver.close, &leaver.conn->stream);
        sley_wait_hook(&leaver.close.wait, &leaver.closed);
    }
}

IO_TEST(connection_may_go_when_the_first_of_its_shutdowns_is_told, "")
{
    enum { MUCH = 8 << 20 };
    static unsigned char buf[MUCH], got[65536];
    struct io_pair p;
    struct sley_io_op write = {0};
    memset(&leaver, 0, sizeof leaver);
    io_pair(&p, NULL);
    leaver.conn = map(sizeof *leaver.conn);
    *leaver.conn = p.a;
    sley_stream_write_all_start(&write, &leaver.conn->stream, buf, sizeof buf, NULL);
    CHECK(!sley_wait_done(&write.wait));
    for (int i = 0; i < 2; i++) {
        leaver.ends[i].hook.fn = shut_down;
        sley_stream_shutdown_start(&leaver.ends[i].op, &leaver.conn->stream);
        sley_wait_hook(&leaver.ends[i].op.wait, &leaver.ends[i].hook);
    }
    size_t sum = 0;
    for (int n = 1; n > 0; sum += (size_t)n) {
        n = sley_stream_read(&p.b.stream, got, sizeof got);
        CHECK_INT(n, >=, 0);
    }
    CHECK_UINT(sum, ==, sizeof buf);
    CHECK_RC(sley_await(&write.wait), 0);
    CHECK_RC(sley_notify_wait(&leaver.over), 0);
    return sley_stream_close(&p.b.stream);
}
