/* The load generator's parts: what its connections share. load.c opens and measures, client.c echoes. */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <sley/sley.h>

#include "histogram.h"

/** One thread runs all of it, so that plain fields do. */
struct load {
    struct sley_addr server;
    uint32_t connection_count;
    uint32_t payload_bytes;
    uint32_t depth;        /* messages in flight on each connection */
    uint64_t interval_ns;  /* between two messages of a connection; 0: the next one follows the answer */
    bool measuring;        /* latencies count; before it is warm-up */
    uint64_t echo_count;   /* while measuring */
    uint64_t missed_count; /* the same: messages that were not sent, for the answer to the one before was not there when they were due */
    uint64_t error_count;  /* connections that ended early or brought back something else */
    int first_error;
    struct histogram latency_ns;
};

/** A connection that sends and checks until it is cancelled. */
struct client {
    struct sley_frame frame;
    struct sley_tcp tcp;
    struct load *load;
    uint32_t number;
    /* what it holds from its start on */
    unsigned char *ring; /* depth messages: what is on its way, as it must come back */
    unsigned char *got;
    uint64_t *sent_ns; /* of each message in the ring */
    uint64_t sequence;
    size_t at;        /* how far into the ring the answer has come */
    size_t from, len; /* what is to be sent */
    int n;
    uint64_t due_ns; /* with an interval: when the next message goes out */
    union {
        struct sley_io_op op;
        struct sley_timer timer;
    };
};

/** Spawns a client that takes @p tcp over. Returns: as sley_spawn. */
int client_spawn(struct sley_scope *scope, struct load *load, struct sley_tcp tcp, uint32_t number);

#endif
