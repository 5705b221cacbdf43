/* Tasks and threads that write numbered bytes to a stream, or read and check them, in random pieces. */
#ifndef SLEY_TEST_MOVER_H
#define SLEY_TEST_MOVER_H

#include "pair_bed.h"

struct mover {
    struct sley_stream *s;
    size_t total;
};

static inline void write_pieces(struct mover *m)
{
    unsigned char buf[3 * BYTES];
    for (size_t at = 0; at < m->total;) {
        size_t n = 1 + harness_rand_below(sizeof buf);
        n = n < m->total - at ? n : m->total - at;
        io_fill(buf, at, n);
        const int rc = sley_stream_write(m->s, buf, n);
        CHECK_INT(rc, >, 0);
        at += (size_t)rc;
    }
    CHECK_RC(sley_stream_shutdown(m->s), 0);
}

static inline void read_pieces(struct mover *m)
{
    unsigned char buf[3 * BYTES];
    size_t at = 0;
    int rc;
    while ((rc = sley_stream_read(m->s, buf, 1 + harness_rand_below(sizeof buf))) > 0) {
        io_check(buf, at, (size_t)rc);
        at += (size_t)rc;
    }
    CHECK_RC(rc, 0);
    CHECK_UINT(at, ==, m->total);
}

static inline void *write_thread(void *arg)
{
    write_pieces(arg);
    return NULL;
}

static inline int read_fiber(struct mover *m)
{
    read_pieces(m);
    return 0;
}
SLEY_FIBER(read_fiber, struct mover)

#endif
