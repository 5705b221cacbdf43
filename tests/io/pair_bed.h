/* What tests of streams share: a pair of streams in memory that holds 32 bytes. */
#ifndef SLEY_TEST_PAIR_BED_H
#define SLEY_TEST_PAIR_BED_H

#include "io_test.h"

#include <pthread.h>
#include <string.h>

enum { BYTES = 32 };

struct pair {
    struct sley_stream_pair p;
    unsigned char room[2 * BYTES];
    struct sley_stream *a, *b;
};

static inline void pair_init(struct pair *p)
{
    CHECK_RC(sley_stream_pair_init(&p->p, p->room, BYTES), 0);
    p->a = &p->p.a.stream;
    p->b = &p->p.b.stream;
}

static inline void pair_fini(struct pair *p)
{
    CHECK_RC(sley_stream_close(p->a), 0);
    CHECK_RC(sley_stream_close(p->b), 0);
    CHECK_RC(sley_stream_pair_fini(&p->p), 0);
    CHECK_RC(sley_stream_pair_fini(&p->p), 0);
}

#endif
