/*
 * echo_libuv PORT: callbacks on one loop. The reply is tried at once with
 * uv_try_write; what does not fit goes through uv_write with reading stopped.
 */
#include "common.h"
#include <uv.h>

struct conn {
    uv_tcp_t tcp;
    uv_write_t req;
    char buf[1024];
};

static void on_closed(uv_handle_t *h)
{
    free(h->data);
}

static void drop(struct conn *c)
{
    if (!uv_is_closing((uv_handle_t *)&c->tcp)) {
        uv_close((uv_handle_t *)&c->tcp, on_closed);
    }
}

static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *out)
{
    struct conn *c = h->data;
    (void)hint;
    *out = uv_buf_init(c->buf, sizeof c->buf);
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf);

static void on_written(uv_write_t *req, int status)
{
    struct conn *c = req->data;
    if (status < 0) {
        drop(c);
    } else {
        uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
    }
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
    struct conn *c = s->data;
    if (n == 0) {
        return;
    }
    if (n < 0) {
        drop(c);
        return;
    }
    uv_buf_t out = uv_buf_init(buf->base, (unsigned)n);
    int wrote = uv_try_write(s, &out, 1);
    if (wrote == n) {
        return;
    }
    if (wrote < 0 && wrote != UV_EAGAIN) {
        drop(c);
        return;
    }
    if (wrote > 0) {
        out.base += wrote;
        out.len -= (size_t)wrote;
    }
    uv_read_stop(s);
    c->req.data = c;
    if (uv_write(&c->req, s, &out, 1, on_written) < 0) {
        drop(c);
    }
}

static void on_connection(uv_stream_t *server, int status)
{
    if (status < 0) {
        return;
    }
    struct conn *c = malloc(sizeof *c);
    if (!c) {
        die("malloc");
    }
    uv_tcp_init(server->loop, &c->tcp);
    c->tcp.data = c;
    if (uv_accept(server, (uv_stream_t *)&c->tcp) < 0) {
        drop(c);
        return;
    }
    uv_tcp_nodelay(&c->tcp, 1);
    uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: echo_libuv PORT\n");
        return 2;
    }
    raise_nofile();
    uv_loop_t *loop = uv_default_loop();
    uv_tcp_t server;
    struct sockaddr_in addr;
    uv_tcp_init(loop, &server); /* uv_tcp_bind sets SO_REUSEADDR */
    uv_ip4_addr("0.0.0.0", atoi(argv[1]), &addr);
    int r = uv_tcp_bind(&server, (const struct sockaddr *)&addr, 0);
    if (r == 0) {
        r = uv_listen((uv_stream_t *)&server, 4096, on_connection);
    }
    if (r < 0) {
        fprintf(stderr, "listen: %s\n", uv_strerror(r));
        return 1;
    }
    return uv_run(loop, UV_RUN_DEFAULT);
}
