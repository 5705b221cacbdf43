/* Echo, each connection a fiber. */
#include "echo.h"

struct conn {
    struct sley_tcp tcp;
};

static int echo(struct conn *c)
{
    char buf[ECHO_BUFFER_BYTES];
    int n;
    while ((n = sley_stream_read(&c->tcp.stream, buf, sizeof buf)) > 0) {
        n = sley_stream_write_all(&c->tcp.stream, buf, (size_t)n, NULL);
        if (n < 0) {
            break;
        }
    }
    const int closed = sley_stream_close(&c->tcp.stream);
    return n < 0 ? echo_verdict(n) : closed;
}
SLEY_FIBER(echo, struct conn)

static int echo_lent(struct conn *c)
{
    struct sley_lent *lent;
    int n;
    while ((n = sley_stream_read_lent(&c->tcp.stream, &lent)) > 0) {
        n = sley_stream_write_all(&c->tcp.stream, lent->data, (size_t)n, NULL);
        const int returned = sley_lent_return(lent);
        n = n < 0 ? n : returned;
        if (n < 0) {
            break;
        }
    }
    const int closed = sley_stream_close(&c->tcp.stream);
    return n < 0 ? echo_verdict(n) : closed;
}
SLEY_FIBER(echo_lent, struct conn)

static int spawn(struct echo_server *s)
{
    return s->lent ? SLEY_SPAWN(&s->conns, echo_lent, .tcp = s->tcp) : SLEY_SPAWN(&s->conns, echo, .tcp = s->tcp);
}

static int server(struct echo_server *s)
{
    int rc = sley_scope_init(&s->conns, &(struct sley_scope_opts){.name = "connections"});
    while (rc == 0) {
        rc = sley_tcp_accept(&s->listener, &s->tcp);
        if (rc == 0 && spawn(s) < 0) {
            sley_stream_abort(&s->tcp.stream); /* no memory for one more: this peer is refused, the others go on */
        }
    }
    const int closed = sley_tcp_listener_close(&s->listener);
    const int ended = sley_scope_fini(&s->conns);
    return rc < 0 ? rc : closed < 0 ? closed : ended;
}
SLEY_FIBER(server, struct echo_server)

const struct sley_task_type *const echo_fiber = &server__type;
