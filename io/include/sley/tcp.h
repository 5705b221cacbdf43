/* TCP: listeners and connections, by numeric address. A connection is a stream: reading and writing are in <sley/stream.h>. */
#ifndef SLEY_TCP_H
#define SLEY_TCP_H

#include <sley/addr.h>
#include <sley/stream.h>

SLEY_EXTERN_C_BEGIN

/**
 * A connection. TCP_NODELAY is on unless the options say otherwise. After an error that ends it (-ECONNRESET, -ETIMEDOUT, ...)
 * what was received before can be read; then reads, flushes and shutdowns return that error, and writes an error.
 * Fields are private but for `stream`.
 */
struct sley_tcp {
    struct sley_stream stream;
    struct sley_fd fd;
    struct sley_io_op *shutdowns; /* wait for the write in flight */
    int32_t error;                /* what ended it, or 0 */
    bool ended;                   /* the write side, by us */
};
#ifdef __LP64__
SLEY_STATIC_ASSERT(sizeof(struct sley_tcp) == 48, "a connection is a few words");
#endif

/** Private: how an accept that meets a shortage goes about it. */
struct sley_tcp_rest {
    uint64_t last_ns;   /* how long it rested last; 0 after a success */
    uint32_t odd_count; /* broken connections in a row */
};

/** A listener. May be copied while no accept waits. All fields are private. */
struct sley_tcp_listener {
    struct sley_fd fd;
    int spare_number; /* accepted for somebody who had gone by then; -1: none */
    bool open;        /* false: zeroed; there is nothing to close */
    bool accepting;   /* `inner` is in flight, or who it was for is being told */
    bool resting;     /* `timer` is armed */
    bool closing;
    bool direct; /* the option */
    struct sley_tcp_rest rest;
    struct sley_io_op *first, *last; /* accepts that wait */
    struct sley_io_op *closer;       /* the close, while it waits for what others have in hand */
    struct sley_io_op inner;         /* the one that the reactor sees */
    struct sley_wait_hook hook;
    struct sley_timer timer;
    struct sley_wait_hook timer_hook;
};

/** Options of listen and connect; zeroed (or NULL) means the defaults. Connections inherit those of their listener. */
struct sley_tcp_opts {
    int backlog;               /**< listen: connections that wait for accept; 0: 4096. The system has a limit of its own */
    bool reuse_port;           /**< several listeners share the port, and the system spreads connections over them */
    bool exclusive_addr;       /**< listen: no SO_REUSEADDR, so that a port with connections in TIME_WAIT cannot be had at once */
    bool v6_only;              /**< "[::]" takes no IPv4 connections; default: it takes both, whatever the system's default is */
    bool nagle;                /**< small writes wait for company: TCP_NODELAY off. Default on: a write is a message's worth */
    bool reset_on_close;       /**< close drops what was not delivered and resets (SO_LINGER 0). A longer linger would block a thread */
    uint32_t keepalive_idle_s; /**< probe a silent peer after so many seconds; 0: never */
    uint32_t keepalive_interval_s; /**< between probes; 0: the system's (75) */
    uint32_t keepalive_count;      /**< unanswered probes until -ETIMEDOUT; 0: the system's (9) */
    uint32_t send_buffer_bytes;    /**< the kernel's; 0: it tunes them itself */
    uint32_t recv_buffer_bytes;
    /**
     * listen: connections are direct (struct sley_fd) where the reactor can have them so (uring, from Linux 5.19 on): they take no
     * number of the process's, which may then have more of them than RLIMIT_NOFILE allows for; each worker as many as that.
     * Elsewhere, and for accepts of plain threads, they are as ever. A full table is waited out as -ENFILE is.
     */
    bool direct;
};

/**
 * Listens on "0.0.0.0:7000", "[::]:7000" (IPv4, too), "127.0.0.1:0" (any port: sley_tcp_listener_local says which).
 * Returns: 0; -EINVAL (address, options); -EADDRINUSE; -EADDRNOTAVAIL; -EACCES; -EAFNOSUPPORT; -EMFILE and other errors of the
 * calls. `*ret_listener` untouched on failure. Thread: any. Never waits.
 */
SLEY_API int sley_tcp_listen(struct sley_tcp_listener *ret_listener, const char *addr, const struct sley_tcp_opts *opts);

/**
 * Waits for a connection. Many may wait on one listener; each connection goes to the one that has waited longest. Connections
 * that broke before they could be taken are passed over. While descriptors or memory run out (-EMFILE, -ENFILE, -ENOBUFS,
 * -ENOMEM) it looks again after 5 ms, then ever more rarely, at most 1 s; meanwhile connections wait in the backlog. On uring a listener
 * that is accepted from in a loop may have its connections taken from the backlog before they are asked for.
 * `*ret_conn` is written on success only; the connection has no home yet, so that another executor may take it (a direct one is at
 * home where it was accepted).
 * Returns: 0; -ECANCELED (no connection is lost: the next accept gets it), also when the listener is closed; -EBADF once it is;
 * -ENODEV when the listener's home has gone; -ENOMEM away from it; -EDEADLK as sley_await. Owns: the connection. Thread: any.
 */
SLEY_API int sley_tcp_accept(struct sley_tcp_listener *l, struct sley_tcp *ret_conn);
SLEY_API void sley_tcp_accept_start(struct sley_io_op *op, struct sley_tcp_listener *l, struct sley_tcp *ret_conn);

/**
 * Ends accepts that wait with -ECANCELED, then closes. Twice, or on a zeroed listener: 0. Never cancelled.
 * Returns: 0; away from its home as sley_fd_close. Thread: any.
 */
SLEY_API int sley_tcp_listener_close(struct sley_tcp_listener *l);
SLEY_API void sley_tcp_listener_close_start(struct sley_io_op *op, struct sley_tcp_listener *l);

/** A connect in progress. */
struct sley_tcp_connect_op {
    struct sley_wait wait;
    /* private */
    struct sley_wait_hook hook;
    struct sley_io_op io; /* the connect; after a failure the close */
    struct sley_tcp conn;
    struct sley_tcp *ret_conn;
    struct sley_addr addr;
    int32_t result;
    bool closing;
};

/**
 * Connects to "127.0.0.1:7000" or "[::1]:7000". Returns: 0; -EINVAL (address, options); -ECONNREFUSED, -ETIMEDOUT (the system's),
 * -ENETUNREACH and what else the calls say; -ECANCELED. On failure `*ret_conn` is untouched and nothing is left open, cancelled
 * or not. Owns: the connection on success. @p addr and @p opts are borrowed during the start only. Thread: as sley_await.
 */
SLEY_API int sley_tcp_connect(struct sley_tcp *ret_conn, const char *addr, const struct sley_tcp_opts *opts);
SLEY_API void sley_tcp_connect_start(struct sley_tcp_connect_op *op, struct sley_tcp *ret_conn, const char *addr,
                                     const struct sley_tcp_opts *opts);

/**
 * Takes over a connected (or listening) stream socket of any origin: inherited, passed by another process. It becomes
 * non-blocking and close-on-exec. Returns: 0; -EBADF; -ENOTSOCK; -EINVAL for another kind of socket. Owns: the number on success.
 * Thread: any.
 */
SLEY_API int sley_tcp_from_fd(struct sley_tcp *ret_conn, int number);
SLEY_API int sley_tcp_listener_from_fd(struct sley_tcp_listener *ret_listener, int number);

/**
 * Addresses of the two sides. Returns: 0; -EBADF once closed; -ENOTCONN when there is no peer; else what sley_fd_borrow says.
 * Thread: any while it is open; of a direct one home.
 */
SLEY_API int sley_tcp_local(const struct sley_tcp *conn, struct sley_addr *ret_addr);
SLEY_API int sley_tcp_peer(const struct sley_tcp *conn, struct sley_addr *ret_addr);
SLEY_API int sley_tcp_listener_local(const struct sley_tcp_listener *l, struct sley_addr *ret_addr);

/**
 * As sley_fd_move: where the connection is used next is its home from then on. It keeps its options, and what it knows of how it ends.
 * Returns: 0; -EBUSY: a read, a write or a shutdown is in flight, or bytes have come ahead; else as sley_fd_move. Thread: any.
 */
SLEY_API int sley_tcp_move(struct sley_tcp *conn);
SLEY_API void sley_tcp_move_start(struct sley_io_op *op, struct sley_tcp *conn);

/** Options of one connection, as in struct sley_tcp_opts. Returns: 0; -EBADF once closed; -EINVAL; else what sley_fd_borrow says.
 * Thread: any while it is open; of a direct one home. */
SLEY_API int sley_tcp_set_no_delay(struct sley_tcp *conn, bool on);
SLEY_API int sley_tcp_set_keepalive(struct sley_tcp *conn, uint32_t idle_s, uint32_t interval_s, uint32_t count);
SLEY_API int sley_tcp_set_reset_on_close(struct sley_tcp *conn, bool on);

SLEY_EXTERN_C_END
#endif
