/* Opening very many connections: some tasks that each open their share, one after another. */
#include "open.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    OPENERS = 64, /* that many connects wait at a time: less than any backlog */
    /* of some 28,000 ports for one destination: the kernel looks through one half first, for long when that is full */
    CONNECTIONS_A_SOURCE = 12000,
};

/** Says what became of a connect that did not end at once. */
static int connected(int number)
{
    int error = 0;
    socklen_t len = sizeof error;
    return getsockopt(number, SOL_SOCKET, SO_ERROR, &error, &len) < 0 ? -errno : -error;
}

/** Connects from 127.0.0.1, .2, .3, ..., by hand: sley_tcp_connect leaves the choice of a source to the system. */
static int connect_from(struct sley_tcp *ret_conn, const struct sley_addr *to, uint32_t source)
{
    const int on = 1;
    const struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK + source)}};
    struct sley_fd fd;
    const int number = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (number < 0) {
        return -errno;
    }
    sley_fd_init(&fd, number);
    int rc = 0;
    if (setsockopt(number, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) < 0 ||
        bind(number, (const struct sockaddr *)&from, sizeof from) < 0) {
        rc = -errno;
    } else if (connect(number, &to->sock.any, to->len) < 0) {
        rc = -errno;
    }
    if (rc == -EINPROGRESS) {
        rc = sley_fd_poll(&fd, SLEY_IO_OUT);
        rc = rc < 0 ? rc : connected(number);
    }
    if (rc == 0) {
        rc = sley_tcp_from_fd(ret_conn, number);
    }
    if (rc < 0) {
        (void)sley_fd_close(&fd);
        return rc;
    }
    return sley_tcp_set_no_delay(ret_conn, true);
}

struct opener {
    const struct load *load;
    const char *server;
    struct sley_tcp *conns;
    uint32_t first;
};

static int open_share(struct opener *o)
{
    const uint32_t count = o->load->connection_count;
    const bool spread = count > CONNECTIONS_A_SOURCE && o->load->server.sock.any.sa_family == AF_INET;
    for (uint32_t i = o->first; i < count; i += OPENERS) {
        const int rc =
            SLEY_UNTIL(sley_after_ns(20 * SLEY_S), spread ? connect_from(&o->conns[i], &o->load->server, i / CONNECTIONS_A_SOURCE)
                                                          : sley_tcp_connect(&o->conns[i], o->server, NULL));
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}
SLEY_FIBER(open_share, struct opener)

int open_all(const struct load *load, const char *server, struct sley_tcp *conns)
{
    struct sley_scope openers;
    int rc = sley_scope_init(&openers, &(struct sley_scope_opts){.flags = SLEY_SCOPE_FAIL_FAST, .name = "openers"});
    if (rc < 0) {
        return rc;
    }
    for (uint32_t i = 0; i < OPENERS && rc == 0; i++) {
        rc = SLEY_SPAWN(&openers, open_share, .load = load, .server = server, .conns = conns, .first = i);
    }
    const int first = sley_scope_wait(&openers);
    const int ended = sley_scope_fini(&openers);
    return first < 0 ? first : rc < 0 ? rc : ended;
}
