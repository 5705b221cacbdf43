/* TCP sockets without waiting: making them, their options and addresses, taking them over. */
#include "tcp.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <unistd.h>

enum { BACKLOG = 4096 };

int sley__tcp_set(int number, int level, int name, int value)
{
    if (number < 0) {
        return -EBADF;
    }
    return setsockopt(number, level, name, &value, sizeof value) == 0 ? 0 : -errno;
}

static int set_keepalive(int number, uint32_t idle_s, uint32_t interval_s, uint32_t count)
{
    if (idle_s > INT32_MAX || interval_s > INT32_MAX || count > INT32_MAX) {
        return -EINVAL;
    }
    int rc = sley__tcp_set(number, SOL_SOCKET, SO_KEEPALIVE, idle_s > 0);
    if (rc == 0 && idle_s > 0) {
        rc = sley__tcp_set(number, IPPROTO_TCP, TCP_KEEPIDLE, (int)idle_s);
    }
    if (rc == 0 && interval_s > 0) {
        rc = sley__tcp_set(number, IPPROTO_TCP, TCP_KEEPINTVL, (int)interval_s);
    }
    if (rc == 0 && count > 0) {
        rc = sley__tcp_set(number, IPPROTO_TCP, TCP_KEEPCNT, (int)count);
    }
    return rc;
}

static int set_linger(int number, bool reset)
{
    const struct linger l = {.l_onoff = reset, .l_linger = 0};
    if (number < 0) {
        return -EBADF;
    }
    return setsockopt(number, SOL_SOCKET, SO_LINGER, &l, sizeof l) == 0 ? 0 : -errno;
}

static int set_buffer(int number, int name, uint32_t bytes)
{
    if (bytes == 0) {
        return 0;
    }
    return bytes > INT32_MAX ? -EINVAL : sley__tcp_set(number, SOL_SOCKET, name, (int)bytes);
}

static int set_options(int number, int family, const struct sley_tcp_opts *o)
{
    int rc = o->nagle ? 0 : sley__tcp_set(number, IPPROTO_TCP, TCP_NODELAY, 1);
    if (rc == 0 && family == AF_INET6) {
        rc = sley__tcp_set(number, IPPROTO_IPV6, IPV6_V6ONLY, o->v6_only);
    }
    if (rc == 0 && o->reuse_port) {
        rc = sley__tcp_set(number, SOL_SOCKET, SO_REUSEPORT, 1);
    }
    if (rc == 0 && o->reset_on_close) {
        rc = set_linger(number, true);
    }
    if (rc == 0 && o->keepalive_idle_s > 0) {
        rc = set_keepalive(number, o->keepalive_idle_s, o->keepalive_interval_s, o->keepalive_count);
    }
    /* before connect and listen: the window is negotiated by them */
    if (rc == 0) {
        rc = set_buffer(number, SO_SNDBUF, o->send_buffer_bytes);
    }
    return rc < 0 ? rc : set_buffer(number, SO_RCVBUF, o->recv_buffer_bytes);
}

int sley__tcp_socket(const struct sley_addr *addr, const struct sley_tcp_opts *opts)
{
    static const struct sley_tcp_opts defaults;
    const int family = addr->sock.any.sa_family;
    const int number = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    if (number < 0) {
        return -errno;
    }
    const int rc = set_options(number, family, opts ? opts : &defaults);
    if (rc < 0) {
        (void)close(number);
        return rc;
    }
    return number;
}

static void listener_init(struct sley_tcp_listener *l, int number)
{
    *l = (struct sley_tcp_listener){.spare_number = -1, .open = true};
    sley_fd_init(&l->fd, number);
}

int sley_tcp_listen(struct sley_tcp_listener *ret_listener, const char *addr, const struct sley_tcp_opts *opts)
{
    struct sley_addr a;
    if (!ret_listener || (opts && opts->backlog < 0)) {
        return -EINVAL;
    }
    int rc = sley_addr_parse(&a, addr);
    if (rc < 0) {
        return rc;
    }
    const int number = sley__tcp_socket(&a, opts);
    if (number < 0) {
        return number;
    }
    if (!opts || !opts->exclusive_addr) {
        rc = sley__tcp_set(number, SOL_SOCKET, SO_REUSEADDR, 1);
    }
    if (rc == 0 && (bind(number, &a.sock.any, a.len) < 0 || listen(number, opts && opts->backlog ? opts->backlog : BACKLOG) < 0)) {
        rc = -errno;
    }
    if (rc < 0) {
        (void)close(number);
        return rc;
    }
    listener_init(ret_listener, number);
    ret_listener->direct = opts && opts->direct;
    return 0;
}

/* ---- taking over ---------------------------------------------------------------------------------------------------- */

static int get_int(int number, int name)
{
    int value = 0;
    socklen_t len = sizeof value;
    return getsockopt(number, SOL_SOCKET, name, &value, &len) == 0 ? value : -errno;
}

static int take_over(int number, int listening)
{
    const int type = get_int(number, SO_TYPE);
    if (type < 0) {
        return type;
    }
    const int listens = get_int(number, SO_ACCEPTCONN);
    const int domain = get_int(number, SO_DOMAIN);
    if (type != SOCK_STREAM || listens != listening || (domain != AF_INET && domain != AF_INET6)) {
        return -EINVAL;
    }
    const int flags = fcntl(number, F_GETFL);
    if (flags < 0 || fcntl(number, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(number, F_SETFD, FD_CLOEXEC) < 0) {
        return -errno;
    }
    return 0;
}

int sley_tcp_from_fd(struct sley_tcp *ret_conn, int number)
{
    const int rc = ret_conn ? take_over(number, 0) : -EINVAL;
    if (rc == 0) {
        sley__tcp_init(ret_conn, number);
    }
    return rc;
}

int sley_tcp_listener_from_fd(struct sley_tcp_listener *ret_listener, int number)
{
    const int rc = ret_listener ? take_over(number, 1) : -EINVAL;
    if (rc == 0) {
        listener_init(ret_listener, number);
    }
    return rc;
}

/* ---- addresses and options ------------------------------------------------------------------------------------------ */

int sley__tcp_address(int number, int (*get)(int, struct sockaddr *, socklen_t *), struct sley_addr *ret_addr)
{
    struct sley_addr a = {0};
    socklen_t len = sizeof a.sock;
    if (!ret_addr) {
        return -EINVAL;
    }
    if (number < 0) {
        return -EBADF;
    }
    if (get(number, &a.sock.any, &len) < 0) {
        return -errno;
    }
    a.len = len;
    *ret_addr = a;
    return 0;
}

static int address_of(const struct sley_fd *fd, int (*get)(int, struct sockaddr *, socklen_t *), struct sley_addr *ret_addr)
{
    const int number = sley_fd_borrow(fd);
    const int rc = number < 0 ? number : sley__tcp_address(number, get, ret_addr);
    sley_fd_give_back(fd, number);
    return rc;
}

int sley_tcp_local(const struct sley_tcp *conn, struct sley_addr *ret_addr)
{
    return address_of(&conn->fd, getsockname, ret_addr);
}

int sley_tcp_peer(const struct sley_tcp *conn, struct sley_addr *ret_addr)
{
    return address_of(&conn->fd, getpeername, ret_addr);
}

int sley_tcp_listener_local(const struct sley_tcp_listener *l, struct sley_addr *ret_addr)
{
    return address_of(&l->fd, getsockname, ret_addr);
}

int sley_tcp_set_no_delay(struct sley_tcp *conn, bool on)
{
    const int number = sley_fd_borrow(&conn->fd);
    const int rc = number < 0 ? number : sley__tcp_set(number, IPPROTO_TCP, TCP_NODELAY, on);
    sley_fd_give_back(&conn->fd, number);
    return rc;
}

int sley_tcp_set_keepalive(struct sley_tcp *conn, uint32_t idle_s, uint32_t interval_s, uint32_t count)
{
    const int number = sley_fd_borrow(&conn->fd);
    const int rc = number < 0 ? number : set_keepalive(number, idle_s, interval_s, count);
    sley_fd_give_back(&conn->fd, number);
    return rc;
}

int sley_tcp_set_reset_on_close(struct sley_tcp *conn, bool on)
{
    const int number = sley_fd_borrow(&conn->fd);
    const int rc = number < 0 ? number : set_linger(number, on);
    sley_fd_give_back(&conn->fd, number);
    return rc;
}
