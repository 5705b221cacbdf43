/* For tests of lent receives on a ring. */
#ifndef SLEY_TESTS_REACTOR_URING_LENT_BED_H
#define SLEY_TESTS_REACTOR_URING_LENT_BED_H

#include "uring_bed.h"

static inline void lend(uint32_t bytes, uint32_t count)
{
    reactor()->lend.opts = (struct sley_lend_opts){.buffer_bytes = bytes, .buffer_count = count};
}

struct receive {
    struct sley_io_op op;
    struct sley_lent *lent;
};

static inline void start(struct receive *x, struct sley_fd *fd)
{
    sley_fd_recv_lent_start(&x->op, fd, &x->lent);
}

static inline void keep(struct receive *x, const char *text)
{
    CHECK_RC(until_done(&x->op.wait), (int)strlen(text));
    CHECK(x->lent != NULL && memcmp(x->lent->data, text, strlen(text)) == 0);
}

static inline void expect(struct receive *x, const char *text)
{
    keep(x, text);
    CHECK_RC(sley_lent_return(x->lent), 0);
}

#endif
