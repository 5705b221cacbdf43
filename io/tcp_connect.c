/* Connecting: an op of the reactor, and a close behind it when it fails, so that nobody is left with half a connection. Where
 * several workers share the descriptor, its home's lock keeps a cancel away from the step from the one to the other. */
#include "tcp.h"

#include <unistd.h>

static void connect_cancel(struct sley_wait *w)
{
    struct sley_tcp_connect_op *op = sley_container_of(w, struct sley_tcp_connect_op, wait);
    struct sley_reactor *r = sley_fd_enter(&op->conn.fd);
    if (!op->closing) {
        sley_wait_cancel(&op->io.wait);
    }
    sley_reactor_leave(r);
}

static const struct sley_wait_ops connect_ops = {
    .version = SLEY_WAIT_VERSION,
    .name = "tcp.connect",
    .cancel = connect_cancel,
};

static void hook_fired(struct sley_wait_hook *hook, struct sley_wait *w)
{
    struct sley_tcp_connect_op *op = sley_container_of(hook, struct sley_tcp_connect_op, hook);
    if (op->closing) {
        sley_wait_complete(&op->wait, op->result);
    } else if (w->result >= 0) {
        *op->ret_conn = op->conn; /* nothing is in flight on it: it may move */
        sley_wait_complete(&op->wait, 0);
    } else {
        struct sley_reactor *r = sley_fd_enter(&op->conn.fd);
        op->result = w->result;
        op->closing = true;
        sley_fd_close_start(&op->io, &op->conn.fd);
        sley_reactor_leave(r);
        sley_wait_hook(&op->io.wait, &op->hook);
    }
}

/** Readies op->conn and op->addr. */
static int prepare(struct sley_tcp_connect_op *op, const char *addr, const struct sley_tcp_opts *opts)
{
    const int rc = sley_addr_parse(&op->addr, addr);
    if (rc < 0) {
        return rc;
    }
    const int number = sley__tcp_socket(&op->addr, opts);
    if (number < 0) {
        return number;
    }
    sley__tcp_init(&op->conn, number);
    op->io.fd = &op->conn.fd;
    op->io.buf = &op->addr.sock;
    op->io.len = op->addr.len;
    op->io.end = NULL;
    op->io.code = SLEY_IO_CONNECT;
    op->io.flags = 0;
    return 0;
}

void sley_tcp_connect_start(struct sley_tcp_connect_op *op, struct sley_tcp *ret_conn, const char *addr,
                            const struct sley_tcp_opts *opts)
{
    if (!sley_wait_begin(&op->wait, &connect_ops)) {
        return;
    }
    int rc = ret_conn ? 0 : -EINVAL;
    if (rc == 0) {
        rc = sley_sched_current() ? prepare(op, addr, opts) : -ENOTSUP;
    }
    if (rc < 0) {
        sley_wait_finish(&op->wait, rc);
        return;
    }
    op->ret_conn = ret_conn;
    op->closing = false;
    op->hook.fn = hook_fired;
    sley_wait_arm(&op->wait);
    sley_io_submit(&op->io);
    sley_wait_hook(&op->io.wait, &op->hook);
}

int sley_tcp_connect(struct sley_tcp *ret_conn, const char *addr, const struct sley_tcp_opts *opts)
{
    int rc = sley_direct_enter();
    if (rc < 0) {
        return rc;
    }
    struct sley_tcp_connect_op op = {0};
    if (sley_sched_current()) {
        sley_tcp_connect_start(&op, ret_conn, addr, opts);
        return sley_await(&op.wait);
    }
    rc = ret_conn ? prepare(&op, addr, opts) : -EINVAL;
    if (rc < 0) {
        return rc;
    }
    rc = sley_io_run(&op.io);
    if (rc < 0) {
        (void)close(op.conn.fd.number);
        return rc;
    }
    *ret_conn = op.conn;
    return 0;
}
