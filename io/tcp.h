/* What the files of TCP share: sockets with their options set. */
#ifndef SLEY_IO_TCP_H
#define SLEY_IO_TCP_H

#include <sley/remote_impl.h>
#include <sley/stream_impl.h>
#include <sley/tcp.h>

/** A socket for @p addr with the options of both sides set. Returns its number, or a negative errno. */
int sley__tcp_socket(const struct sley_addr *addr, const struct sley_tcp_opts *opts);
/** sley_stream_read_lent_start into a block that is allocated for it, and read by read_start (lent.c). */
void sley__stream_read_block_start(struct sley_io_op *op, struct sley_stream *s, struct sley_lent **ret_lent);
/** What it says may be what ends the connection: then it is kept. Home, under its lock. */
void sley__tcp_note_error(struct sley_tcp *t, int32_t result);
/** Starts an op of the connection that is none of the usual; its flags and kind are set. */
void sley__tcp_start_other(struct sley_io_op *op, struct sley_tcp *t, uint8_t code,
                           int32_t (*end)(struct sley_io_op *op, int32_t result), void *buf, size_t len);

/* tcp.c */

/** The node of an op that is done here, without the reactor. */
extern const struct sley_wait_ops sley__tcp_here_ops;
/** As sley_io_call_home, for an op that has not begun, and uses nothing but its node. Returns false: the descriptor is not away. */
bool sley__tcp_go_home(struct sley_io_op *op, struct sley_tcp *t, void (*start)(struct sley_io_op *inner));

/* tcp_end.c: slots */
void sley__tcp_flush_start(struct sley_io_op *op, struct sley_stream *s);
void sley__tcp_shutdown_start(struct sley_io_op *op, struct sley_stream *s);
void sley__tcp_close_start(struct sley_io_op *op, struct sley_stream *s);
void sley__tcp_abort(struct sley_stream *s);
/** The write in flight is over. Its op no longer holds the descriptor: a hook of the first that is told may close it, and let it go. */
void sley__tcp_end_shutdowns(struct sley_tcp *t);

/* tcp_look.c: slots */
void sley__tcp_peek_start(struct sley_io_op *op, struct sley_stream *s, struct msghdr *m);
void sley__tcp_ready_start(struct sley_io_op *op, struct sley_stream *s, uint32_t events);
int sley__tcp_try_read(struct sley_stream *s, void *buf, size_t len);
int sley__tcp_try_write(struct sley_stream *s, const void *buf, size_t len);

/** Makes a connection of an open, non-blocking socket. */
void sley__tcp_init(struct sley_tcp *t, int number);
/** The address of one side of a socket; @p get is getsockname or getpeername. */
int sley__tcp_address(int number, int (*get)(int, struct sockaddr *, socklen_t *), struct sley_addr *ret_addr);
int sley__tcp_set(int number, int level, int name, int value);

SLEY_INLINE struct sley_tcp *sley__tcp_of(struct sley_stream *s)
{
    return sley_container_of(s, struct sley_tcp, stream);
}

SLEY_INLINE struct sley_tcp *sley__tcp_of_op(const struct sley_io_op *op)
{
    return sley_container_of(op->fd, struct sley_tcp, fd);
}

/** Is the descriptor at home in the reactor of this very worker? */
SLEY_INLINE bool sley__fd_here(struct sley_fd *fd)
{
    return sley__self && sley__fd_home(fd) && !sley_fd_away(fd);
}

#endif
