/* What the clauses of reactors stand on: a fiber on a local executor with the reactor under test, which it may poll by hand. */
#ifndef SLEY_CONFORMANCE_RIG_H
#define SLEY_CONFORMANCE_RIG_H

#include <sley/fiber.h>
#include <sley/local.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kit.h"
#include "reactor_clauses.h"

/** Makes reactors under test, over the counting allocator. */
extern const struct sley_reactor_factory sley__rig_factory;

/** What the caller has given: the rig's makes what this one makes. */
const struct sley_reactor_factory *sley__rig_given(void);

/** Runs @p fn as the only fiber of an executor. */
void sley__rig_run(void (*fn)(void));

struct sley_reactor *sley__rig_make(void);
/** From now on ops go to a reactor that is not the executor's. Returns that one. */
struct sley_reactor *sley__rig_swap_in(struct sley_reactor **ret_mine);

/** The body of a clause. */
#define CLAUSE(name) void sley__clause_##name(void)

static inline struct sley_reactor *reactor(void)
{
    return sley_sched_current()->reactor;
}

/** What poll returns: how many events it has seen. */
static inline int look(uint64_t timeout_ns)
{
    struct sley_reactor *r = reactor();
    const int n = r->ops->poll(r, timeout_ns);
    CHECK_INT(n, >=, 0);
    return n;
}

/** Lets it notice what has happened: nothing that has not happened by then is on its way. */
static inline void settle(void)
{
    for (int i = 0; i < 4; i++) {
        (void)look(0);
    }
}

/** Is it done, or about to be? */
static inline bool soon(const struct sley_wait *w)
{
    settle();
    return sley_wait_done(w);
}

/** Drives the reactor by hand until @p w is done. */
static inline int32_t until_done(const struct sley_wait *w)
{
    while (!sley_wait_done(w)) {
        (void)look(SLEY_NEVER);
    }
    return w->result;
}

/** Asks it to end, and drives the reactor until it has. */
static inline int32_t until_cancelled(struct sley_wait *w)
{
    sley_wait_cancel(w);
    return until_done(w);
}

/* ---- ops --------------------------------------------------------------------------------------------------------- */

static inline void io_set(struct sley_io_op *op, struct sley_fd *fd, enum sley_io_code code, void *buf, size_t len)
{
    op->fd = fd;
    op->buf = buf;
    op->len = len;
    op->code = (uint8_t)code;
    op->flags = 0;
    op->end = NULL;
}

static inline void io_start(struct sley_io_op *op, struct sley_fd *fd, enum sley_io_code code, void *buf, size_t len)
{
    io_set(op, fd, code, buf, len);
    sley_io_submit(op);
}

static inline void io_start_all(struct sley_io_op *op, struct sley_fd *fd, enum sley_io_code code, void *buf, size_t len)
{
    io_set(op, fd, code, buf, len);
    op->flags = SLEY_IO_ALL;
    sley_io_submit(op);
}

/** Starts it and drives the reactor until it is done. */
static inline int32_t io(struct sley_fd *fd, enum sley_io_code code, void *buf, size_t len)
{
    struct sley_io_op op = {0};
    io_start(&op, fd, code, buf, len);
    return until_done(&op.wait);
}

static inline int32_t io_poll(struct sley_fd *fd, uint32_t events)
{
    return io(fd, SLEY_IO_POLL, NULL, events);
}

static inline void shut(struct sley_fd *fd)
{
    struct sley_io_op op = {0};
    sley_fd_close_start(&op, fd);
    CHECK_RC(until_done(&op.wait), 0);
}

/* ---- descriptors ------------------------------------------------------------------------------------------------- */

enum pair { PAIR_UNIX, PAIR_TCP, PAIR_DGRAM, PAIRS };

/** A connected pair: ours is described, the other end is a plain number that blocks. */
int sley__rig_pair(enum pair kind, struct sley_fd *ours);
int sley__rig_listener(struct sockaddr_in *ret_addr, int backlog);
/** Where nobody listens, and nobody else can as long as the socket that is returned is open. */
int sley__rig_nobody(struct sockaddr_in *ret_addr);
/** Connects, waiting. */
int sley__rig_dial(const struct sockaddr_in *addr);
/** A TCP socket that is not connected. */
void sley__rig_socket(struct sley_fd *fd);

static inline int unix_pair(struct sley_fd *ours)
{
    return sley__rig_pair(PAIR_UNIX, ours);
}

static inline void put(int number, const char *text)
{
    CHECK_INT(send(number, text, strlen(text), MSG_NOSIGNAL), ==, (intmax_t)strlen(text));
}

/** Waits until the plain end is readable: over the loopback, too, nothing is there at once (a busy machine puts its delivery off). */
void sley__rig_wait_in(int number);
/** Waits until the other end's system has all that the plain end, of TCP, has sent: also what an op of the kernel's own takes there. */
void sley__rig_wait_taken(int number);
/** Takes that many bytes from the plain end. */
void sley__rig_drain(int number, size_t bytes);

/** Bytes that say where they stand. */
static inline unsigned char byte_at(size_t at)
{
    return (unsigned char)(at * 131 + (at >> 8) * 7 + 3);
}

static inline void fill_bytes(unsigned char *buf, size_t from, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        buf[i] = byte_at(from + i);
    }
}

static inline void check_bytes(const unsigned char *buf, size_t from, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (buf[i] != byte_at(from + i)) {
            FAIL("byte %zu of the stream is %u, expected %u", from + i, buf[i], byte_at(from + i));
        }
    }
}

/* ---- one that waits, of every kind ------------------------------------------------------------------------------- */

struct waiting {
    struct sley_io_op op;
    struct sley_fd fd;
    int peer, others[4]; /* -1: none */
    size_t sent;         /* SEND, SENDMSG: what fills the socket */
    struct sockaddr_in addr;
    struct msghdr msg;
    struct iovec iov;
    char buf[4096];
};

/** The codes of ops that can wait, ended by 0. */
extern const uint8_t sley__rig_waiting_codes[];
/** Readies a descriptor on which an op of that kind has to wait, and starts it; then it does. */
void sley__rig_wait(struct waiting *w, uint8_t code);
/** Starts it once more. */
void sley__rig_wait_again(struct waiting *w, uint8_t code);
/** Lets it happen; not for CONNECT. */
void sley__rig_let(struct waiting *w, uint8_t code);
/** What it gave must be what sley__rig_let was for. */
void sley__rig_check_let(struct waiting *w, uint8_t code);
/** Closes everything. The op is done. */
void sley__rig_wait_end(struct waiting *w);

#endif
