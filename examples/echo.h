/* The echo server's two styles: task types that take the arguments below. */
#ifndef EXAMPLES_ECHO_H
#define EXAMPLES_ECHO_H

#include <sley/sley.h>

enum { ECHO_BUFFER_BYTES = 1024 };

/** A server's arguments, for both styles; the listener becomes the server's. */
struct echo_server {
    struct sley_frame frame; /* what the frame style needs first; the fiber style leaves it alone */
    struct sley_tcp_listener listener;
    struct sley_scope conns;
    struct sley_tcp tcp;
    union {
        struct sley_io_op io;
        struct sley_scope_op scope;
    } op;
    int result;
    bool lent; /* connections read into buffers that are lent: an idle one holds none */
};

/** A peer that goes away in the middle of a message is its affair, not the server's error. */
static inline int echo_verdict(int rc)
{
    return rc == -ECONNRESET || rc == -EPIPE || rc == -ETIMEDOUT ? 0 : rc;
}

extern const struct sley_task_type *const echo_fiber, *const echo_frame;

#endif
