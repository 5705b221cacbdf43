/* TCP: listeners and connections, by numeric address. A connection is a stream: reading and writing are in <sley/stream.h>. */
#ifndef SLEY_TCP_H
#define SLEY_TCP_H

#include <sley/addr.h>
#include <sley/stream.h>

SLEY_EXTERN_C_BEGIN

/**
 * A connection. TCP_NODELAY is on unless the options say otherwise. After an error that ends the connection (-ECONNRESET, -ETIMEDOUT,
 * ...) bytes that came before can still be read; then reads, flushes and shutdowns return that error, and writes return an error.
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

/** A listener. May be copied to a new place while no accept waits (the old copy must not be used any more). All fields are private. */
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
    int backlog;               /**< listen: how many connections may wait for an accept; 0: 4096. The system has a limit of its own */
    bool reuse_port;           /**< several listeners share the port, and the system spreads connections over them */
    bool exclusive_addr;       /**< listen: no SO_REUSEADDR: -EADDRINUSE while connections of the port are in TIME_WAIT */
    bool v6_only;              /**< "[::]" takes no IPv4 connections; default: it takes both, whatever the system's default is */
    bool nagle;                /**< TCP_NODELAY off: the system delays small writes to send them together. Default: on */
    bool reset_on_close;       /**< SO_LINGER 0: close drops undelivered bytes and resets (a longer linger would block) */
    uint32_t keepalive_idle_s; /**< seconds of silence before the first keep-alive probe; 0: no probes */
    uint32_t keepalive_interval_s; /**< seconds between probes; 0: the system's (75) */
    uint32_t keepalive_count;      /**< unanswered probes until -ETIMEDOUT; 0: the system's (9) */
    uint32_t send_buffer_bytes;    /**< sizes of the kernel's buffers; 0: the kernel adapts them itself */
    uint32_t recv_buffer_bytes;
    /**
     * listen: connections are direct descriptors (struct sley_fd) if the reactor supports that (uring, from Linux 5.19 on). They use no
     * descriptor number, so that RLIMIT_NOFILE limits the connections of each worker, not those of the process. With other reactors,
     * and on plain threads, connections are ordinary. A full table is treated as -ENFILE: accepts wait, see below.
     */
    bool direct;
};

/**
 * Listens on @p addr: "0.0.0.0:7000", "[::]:7000" (IPv4, too), "127.0.0.1:0" (any free port; sley_tcp_listener_local says which).
 * Returns: 0; -EINVAL (address, options); -EADDRINUSE; -EADDRNOTAVAIL; -EACCES; -EAFNOSUPPORT; -EMFILE and other errors of the system
 * calls. `*ret_listener` is untouched on failure. Owns: the listener, to be closed. Thread: any. Never waits.
 */
SLEY_API int sley_tcp_listen(struct sley_tcp_listener *ret_listener, const char *addr, const struct sley_tcp_opts *opts);

/**
 * Waits for a connection. Many accepts may wait on one listener; each connection goes to the one that has waited longest. Connections
 * that fail before they are taken are skipped. While the system has no descriptors or memory (-EMFILE, -ENFILE, -ENOBUFS, -ENOMEM) the
 * accept tries again after 5 ms, then at growing intervals of at most 1 s; connections wait in the backlog meanwhile. On uring, a
 * listener that is accepted from in a loop may take connections from the backlog before the next accept asks for them.
 * `*ret_conn` is written on success only. The connection has no home yet, so that any executor may use it first (but the home of a
 * direct one is the reactor where it was accepted).
 * Returns: 0; -ECANCELED (no connection is lost: the next accept gets it), also when the listener is closed meanwhile; -EBADF once it
 * is closed; -ENODEV when the listener's home has been destroyed; -ENOMEM (on another executor than the home); -EDEADLK as sley_await.
 * Owns: the connection. Thread: any.
 */
SLEY_API int sley_tcp_accept(struct sley_tcp_listener *l, struct sley_tcp *ret_conn);
SLEY_API void sley_tcp_accept_start(struct sley_io_op *op, struct sley_tcp_listener *l, struct sley_tcp *ret_conn);

/**
 * Completes the accepts that wait with -ECANCELED, then closes the listener. The call itself cannot be cancelled.
 * Returns: 0, also for a closed or zeroed listener; on another executor than the home the errors of sley_fd_close. Thread: any.
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
 * Connects to @p addr: "127.0.0.1:7000" or "[::1]:7000". Returns: 0; -EINVAL (address, options); -ECONNREFUSED, -ETIMEDOUT (the
 * system's own time-out), -ENETUNREACH and other errors of the system calls; -ECANCELED. On failure `*ret_conn` is untouched and
 * nothing is left open. Owns: the connection on success. @p addr and @p opts are borrowed during the start only. Thread: as sley_await.
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
 * As sley_fd_move: the worker that uses the connection next becomes its home. Options, and an error that has ended it, stay with it.
 * Returns: 0; -EBUSY: a read, a write or a shutdown is in flight, or the home holds bytes received in advance; else as sley_fd_move.
 * Thread: any.
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
