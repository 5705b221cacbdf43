/* Echo, each connection a stackless frame: what lives across a wait is a field. */
#include "echo.h"

struct conn {
    struct sley_frame frame;
    struct sley_tcp tcp;
    struct sley_io_op op;
    int n;
    char buf[ECHO_BUFFER_BYTES];
};

static enum sley_step echo(struct conn *c)
{
    int rc;
    SLEY_BEGIN(c);
    for (;;) {
        SLEY_CALL(c, c->n, sley_stream_read, &c->op, &c->tcp.stream, c->buf, sizeof c->buf);
        if (c->n <= 0) {
            break;
        }
        SLEY_CALL(c, c->n, sley_stream_write_all, &c->op, &c->tcp.stream, c->buf, (size_t)c->n, NULL);
        if (c->n < 0) {
            break;
        }
    }
    SLEY_CALL(c, rc, sley_stream_close, &c->op, &c->tcp.stream);
    SLEY_RETURN(c, c->n < 0 ? echo_verdict(c->n) : rc);
    SLEY_END(c);
}
SLEY_FRAME(echo, struct conn)

/* The same without a buffer: what waits is this, and a task's header. */
struct lent_conn {
    struct sley_frame frame;
    struct sley_tcp tcp;
    struct sley_io_op op;
    union {
        struct sley_lent *lent;
        int verdict;
    } last;
};

static enum sley_step echo_lent(struct lent_conn *c)
{
    int rc = 0;
    SLEY_BEGIN(c);
    for (;;) {
        SLEY_CALL(c, rc, sley_stream_read_lent, &c->op, &c->tcp.stream, &c->last.lent);
        if (rc <= 0) {
            break;
        }
        SLEY_CALL(c, rc, sley_stream_write_all, &c->op, &c->tcp.stream, c->last.lent->data, (size_t)rc, NULL);
        const int returned = sley_lent_return(c->last.lent);
        rc = rc < 0 ? rc : returned;
        if (rc < 0) {
            break;
        }
    }
    c->last.verdict = rc;
    SLEY_CALL(c, rc, sley_stream_close, &c->op, &c->tcp.stream);
    SLEY_RETURN(c, c->last.verdict < 0 ? echo_verdict(c->last.verdict) : rc);
    SLEY_END(c);
}
SLEY_FRAME(echo_lent, struct lent_conn)

static int spawn(struct echo_server *s)
{
    return s->lent ? SLEY_SPAWN(&s->conns, echo_lent, .tcp = s->tcp) : SLEY_SPAWN(&s->conns, echo, .tcp = s->tcp);
}

static enum sley_step server(struct echo_server *s)
{
    int rc;
    SLEY_BEGIN(s);
    s->result = sley_scope_init(&s->conns, &(struct sley_scope_opts){.name = "connections"});
    while (s->result == 0) {
        SLEY_CALL(s, s->result, sley_tcp_accept, &s->op.io, &s->listener, &s->tcp);
        if (s->result == 0 && spawn(s) < 0) {
            sley_stream_abort(&s->tcp.stream); /* no memory for one more: this peer is refused, the others go on */
        }
    }
    SLEY_CALL(s, rc, sley_tcp_listener_close, &s->op.io, &s->listener);
    if (rc < 0 && s->result == -ECANCELED) {
        s->result = rc;
    }
    SLEY_CALL(s, rc, sley_scope_fini, &s->op.scope, &s->conns);
    SLEY_RETURN(s, s->result < 0 ? s->result : rc);
    SLEY_END(s);
}
SLEY_FRAME(server, struct echo_server)

const struct sley_task_type *const echo_frame = &server__type;
