/* Channels: a round trip over two of capacity one; many messages through one of 1024. */
#include <stdlib.h>

#include "cross.h"

#include <sley/mpsc.h>

SLEY_MPSC_TYPE(balls, uint64_t, 1)
SLEY_MPSC_TYPE(messages, uint64_t, 1024)

/* ---- ping_pong_chan ------------------------------------------------------------------------------------------------ */

struct player {
    struct sley_frame frame;
    struct balls *to, *from;
    uint64_t n, i;
    uint64_t ball;
    struct sley_mpsc_op op;
};

static enum sley_step ponger_frame(struct player *f)
{
    int rc;
    SLEY_BEGIN(f);
    for (;;) {
        SLEY_CALL(f, rc, balls_recv, &f->op, f->from, &f->ball);
        if (rc <= 0) {
            SLEY_RETURN(f, rc);
        }
        f->ball++;
        SLEY_CALL(f, rc, balls_send, &f->op, f->to, &f->ball);
        if (rc < 0) {
            SLEY_RETURN(f, rc);
        }
    }
    SLEY_END(f);
}
SLEY_FRAME(ponger_frame, struct player)

static enum sley_step pinger_frame(struct player *f)
{
    int rc;
    SLEY_BEGIN(f);
    for (f->i = 0; f->i < f->n; f->i++) {
        f->ball = f->i;
        SLEY_CALL(f, rc, balls_send, &f->op, f->to, &f->ball);
        if (rc < 0) {
            SLEY_RETURN(f, rc);
        }
        SLEY_CALL(f, rc, balls_recv, &f->op, f->from, &f->ball);
        if (rc < 0 || f->ball != f->i + 1) {
            SLEY_RETURN(f, rc < 0 ? rc : -EPROTO);
        }
    }
    balls_close(f->to);
    SLEY_END(f);
}
SLEY_FRAME(pinger_frame, struct player)

struct player_args {
    struct balls *to, *from;
    uint64_t n;
};

static int ponger_fiber(struct player_args *a)
{
    uint64_t ball;
    int rc;
    while ((rc = balls_recv(a->from, &ball)) == 1) {
        ball++;
        rc = balls_send(a->to, &ball);
        if (rc < 0) {
            return rc;
        }
    }
    return rc;
}
SLEY_FIBER(ponger_fiber, struct player_args)

static int pinger_fiber(struct player_args *a)
{
    for (uint64_t i = 0; i < a->n; i++) {
        uint64_t ball = i;
        int rc = balls_send(a->to, &ball);
        if (rc < 0) {
            return rc;
        }
        rc = balls_recv(a->from, &ball);
        if (rc < 0 || ball != i + 1) {
            return rc < 0 ? rc : -EPROTO;
        }
    }
    balls_close(a->to);
    return 0;
}
SLEY_FIBER(pinger_fiber, struct player_args)

struct match {
    struct sley_frame frame;
    uint64_t n;
    bool apart; /* each on a core of its own */
    struct balls *ping, *pong;
    struct sley_task *tasks[2];
    struct micro_join join;
};

static enum sley_step match_frame(struct match *f)
{
    int rc;
    SLEY_BEGIN(f);
    rc = f->apart ? micro_spawn_apart(&ponger_frame__type, &(struct player){.to = f->pong, .from = f->ping}, &f->tasks[1])
                  : SLEY_SPAWN_TASK(&f->tasks[1], NULL, ponger_frame, .to = f->pong, .from = f->ping);
    if (rc == 0) {
        rc = SLEY_SPAWN_TASK(&f->tasks[0], NULL, pinger_frame, .to = f->ping, .from = f->pong, .n = f->n);
    }
    if (rc < 0) {
        SLEY_RETURN(f, rc);
    }
    f->join.tasks = f->tasks;
    f->join.count = 2;
    SLEY_RUN(f, rc, micro_join_frame, &f->join);
    SLEY_RETURN(f, rc);
    SLEY_END(f);
}
SLEY_FRAME(match_frame, struct match)

static int match_fiber(struct match *a)
{
    int rc = a->apart ? micro_spawn_apart(&ponger_fiber__type, &(struct player_args){.to = a->pong, .from = a->ping}, &a->tasks[1])
                      : SLEY_SPAWN_TASK(&a->tasks[1], NULL, ponger_fiber, .to = a->pong, .from = a->ping);
    if (rc == 0) {
        rc = SLEY_SPAWN_TASK(&a->tasks[0], NULL, pinger_fiber, .to = a->ping, .from = a->pong, .n = a->n);
    }
    return rc < 0 ? rc : micro_join_fiber(a->tasks, 2, NULL);
}
SLEY_FIBER(match_fiber, struct match)

static int ping_pong(struct micro *m, uint64_t n, bool apart)
{
    struct balls ping, pong;
    int rc = balls_init(&ping);
    if (rc < 0) {
        return rc;
    }
    rc = balls_init(&pong);
    if (rc == 0) {
        rc = micro_run(m, &match_frame__type, &match_fiber__type, &(struct match){.n = n, .apart = apart, .ping = &ping, .pong = &pong});
        balls_fini(&pong, NULL);
    }
    balls_fini(&ping, NULL);
    return rc;
}

int micro_ping_pong_chan(struct micro *m, uint64_t n)
{
    return ping_pong(m, n, false);
}

int micro_cross_chan(struct micro *m, uint64_t n)
{
    return ping_pong(m, n, true);
}

/* ---- mpsc ---------------------------------------------------------------------------------------------------------- */

struct producer {
    struct sley_frame frame;
    struct messages *to;
    uint64_t n, i;
    struct sley_mpsc_op op;
};
static enum sley_step producer_frame(struct producer *f)
{
    int rc;
    SLEY_BEGIN(f);
    for (f->i = 0; f->i < f->n; f->i++) {
        SLEY_CALL(f, rc, messages_send, &f->op, f->to, &f->i);
        if (rc < 0) {
            SLEY_RETURN(f, rc);
        }
    }
    SLEY_END(f);
}
SLEY_FRAME(producer_frame, struct producer)

struct producer_args {
    struct messages *to;
    uint64_t n;
};
static int producer_fiber(struct producer_args *a)
{
    for (uint64_t i = 0; i < a->n; i++) {
        const int rc = messages_send(a->to, &i);
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}
SLEY_FIBER(producer_fiber, struct producer_args)

/* What came out; the consumer checks it against what must have gone in. */
struct received {
    uint64_t count, sum;
};

struct consumer {
    struct sley_frame frame;
    struct messages *from;
    struct received *ret_received;
    struct received received;
    uint64_t message;
    struct sley_mpsc_op op;
};
static enum sley_step consumer_frame(struct consumer *f)
{
    int rc;
    SLEY_BEGIN(f);
    for (;;) {
        SLEY_CALL(f, rc, messages_recv, &f->op, f->from, &f->message);
        if (rc <= 0) {
            break;
        }
        f->received.count++;
        f->received.sum += f->message;
    }
    *f->ret_received = f->received;
    SLEY_RETURN(f, rc);
    SLEY_END(f);
}
SLEY_FRAME(consumer_frame, struct consumer)

struct consumer_args {
    struct messages *from;
    struct received *ret_received;
};
static int consumer_fiber(struct consumer_args *a)
{
    struct received received = {0};
    uint64_t message;
    int rc;
    while ((rc = messages_recv(a->from, &message)) == 1) {
        received.count++;
        received.sum += message;
    }
    *a->ret_received = received;
    return rc;
}
SLEY_FIBER(consumer_fiber, struct consumer_args)

struct mpsc {
    struct sley_frame frame;
    struct messages *channel;
    uint64_t each; /* messages of one producer */
    uint32_t producer_count;
    struct received *received;
    struct sley_task *tasks[4], *consumer;
    struct micro_join join;
};

static enum sley_step mpsc_frame(struct mpsc *f)
{
    int rc = 0;
    SLEY_BEGIN(f);
    for (uint32_t i = 0; i < f->producer_count && rc == 0; i++) {
        rc = SLEY_SPAWN_TASK(&f->tasks[i], NULL, producer_frame, .to = f->channel, .n = f->each);
    }
    if (rc == 0) {
        rc = SLEY_SPAWN_TASK(&f->consumer, NULL, consumer_frame, .from = f->channel, .ret_received = f->received);
    }
    if (rc < 0) {
        SLEY_RETURN(f, rc);
    }
    f->join.tasks = f->tasks;
    f->join.count = f->producer_count;
    SLEY_RUN(f, rc, micro_join_frame, &f->join);
    messages_close(f->channel);
    if (rc < 0) {
        SLEY_RETURN(f, rc);
    }
    f->join.tasks = &f->consumer;
    f->join.count = 1;
    SLEY_RUN(f, rc, micro_join_frame, &f->join);
    SLEY_RETURN(f, rc);
    SLEY_END(f);
}
SLEY_FRAME(mpsc_frame, struct mpsc)

static int mpsc_fiber(struct mpsc *a)
{
    int rc = 0;
    for (uint32_t i = 0; i < a->producer_count && rc == 0; i++) {
        rc = SLEY_SPAWN_TASK(&a->tasks[i], NULL, producer_fiber, .to = a->channel, .n = a->each);
    }
    if (rc == 0) {
        rc = SLEY_SPAWN_TASK(&a->consumer, NULL, consumer_fiber, .from = a->channel, .ret_received = a->received);
    }
    if (rc < 0) {
        return rc;
    }
    rc = micro_join_fiber(a->tasks, a->producer_count, NULL);
    messages_close(a->channel);
    return rc < 0 ? rc : micro_join_fiber(&a->consumer, 1, NULL);
}
SLEY_FIBER(mpsc_fiber, struct mpsc)

static int mpsc(struct micro *m, uint32_t producer_count, uint64_t n)
{
    struct received received = {0};
    const uint64_t each = n / producer_count;
    struct messages *channel = malloc(sizeof *channel);
    if (!channel) {
        return -ENOMEM;
    }
    int rc = messages_init(channel);
    if (rc == 0) {
        const struct mpsc args = {.channel = channel, .each = each, .producer_count = producer_count, .received = &received};
        rc = micro_run(m, &mpsc_frame__type, &mpsc_fiber__type, &args);
        messages_fini(channel, NULL);
    }
    free(channel);
    if (rc == 0 && (received.count != each * producer_count || received.sum != producer_count * (each * (each - 1) / 2))) {
        rc = -EPROTO;
    }
    return rc;
}

int micro_mpsc_1p(struct micro *m, uint64_t n)
{
    return mpsc(m, 1, n);
}

int micro_mpsc_4p(struct micro *m, uint64_t n)
{
    return mpsc(m, 4, n);
}
