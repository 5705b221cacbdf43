/* Two streams in memory, each the other's peer: for tests, and between tasks or threads that speak in bytes. No descriptor. */
#ifndef SLEY_STREAM_PAIR_H
#define SLEY_STREAM_PAIR_H

#include <pthread.h>

#include <sley/stream.h>

SLEY_EXTERN_C_BEGIN

/**
 * Private: one direction. Shape: a ring of `size` bytes, of which `count` from `head` on are filled.
 * Invariant: a reader waits only while count == 0 (or its ALL is not complete), a writer only while count == size.
 */
struct sley_pair_ring {
    unsigned char *buf;
    size_t size, head, count;
    struct sley_io_op *reader, *writer; /* in flight, or NULL */
    struct sley_io_op *shutdowns;       /* wait for the writer */
    bool ended;                         /* the writing end writes no more */
    bool deaf;                          /* the reading end reads no more */
    bool reset;                         /* an end was aborted */
};

struct sley_stream_pair;

/** One end. Fields are private but for `stream`. */
struct sley_pair_end {
    struct sley_stream stream;
    struct sley_stream_pair *pair;
    struct sley_pair_ring *in, *out;
    struct sley_io_op *watchers; /* wait until it is ready */
    bool closed;
};

/** The pair. Must not move, nor may its memory be reused, before sley_stream_pair_fini. */
struct sley_stream_pair {
    struct sley_pair_end a, b;
    /* private */
    struct sley_pair_ring rings[2];
    pthread_mutex_t lock;
};

/**
 * Makes a pair that buffers @p bytes (> 0) in each direction. @p buffers, twice that, is borrowed until fini.
 * A zero-length write fails with -EPIPE when a longer one would. Returns: 0; -EINVAL; what pthread_mutex_init says.
 * Thread: any; the ends may be used by different threads and executors at once.
 */
SLEY_API int sley_stream_pair_init(struct sley_stream_pair *p, void *buffers, size_t bytes);

/** Ends a pair whose ends are closed or aborted. Again: 0. Returns: 0; -EBUSY when an end is open (nothing happens). Thread: stopped. */
SLEY_API int sley_stream_pair_fini(struct sley_stream_pair *p);

SLEY_EXTERN_C_END
#endif
