/* The stress program: what its files share. Every random decision comes from the seed of the round and the task's own number, none
 * from timing, so that a seed repeats what is done (not in which order). */
#ifndef STRESS_H
#define STRESS_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <sley/mpsc.h>
#include <sley/notify.h>
#include <sley/oneshot.h>
#include <sley/sley.h>

/* ---- random numbers ---------------------------------------------------------------------------------------------- */

struct rng {
    uint64_t s;
};

static inline uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}
static inline uint64_t next(struct rng *r)
{
    r->s += UINT64_C(0x9e3779b97f4a7c15);
    return mix(r->s);
}
static inline uint32_t below(struct rng *r, uint32_t n)
{
    return (uint32_t)(next(r) >> 33) % n;
}
static inline bool chance(struct rng *r, uint32_t percent)
{
    return below(r, 100) < percent;
}

/* ---- the world of a round ---------------------------------------------------------------------------------------- */

struct world {
    _Atomic uint64_t seed; /* of this round */
    _Atomic uint32_t round;
    uint32_t depth, trees;
    struct sley_runtime rt;   /* the executor under test */
    struct sley_runtime side; /* a local one on a thread of its own */
    struct sley_notify side_ends;
    _Atomic uint64_t progress;               /* whatever happens */
    _Atomic uint64_t spawned, ended;         /* tasks */
    _Atomic uint64_t jobs_begun, jobs_ended; /* blocking jobs */
    _Atomic uint64_t messages, joins, objects;
    _Atomic uint32_t stalled;
};
extern struct world w;

_Noreturn void fail(const char *file, int line, const char *what, long long a);
void driven(int rc); /* what a run of w.rt has returned */
#define EXPECT(cond) ((cond) ? (void)0 : fail(__FILE__, __LINE__, #cond, 0))
#define EXPECT_RC(a, b) expect_rc(__FILE__, __LINE__, #a " == " #b, (a), (b))
static inline void expect_rc(const char *file, int line, const char *what, int a, int b)
{
    if (a != b) {
        fail(file, line, what, a);
    }
}

static inline void add(_Atomic uint64_t *n)
{
    atomic_fetch_add_explicit(n, 1, memory_order_relaxed);
}
static inline void tick(void)
{
    add(&w.progress);
}

struct rng rng_of(uint64_t id);                 /* a task's own */
uint64_t child_of(uint64_t id, uint64_t n);     /* the number of its n-th child */
int result_of(uint64_t id);                     /* what it returns when all goes well */
void result_check(uint64_t id, int result);     /* or: it failed on purpose, or was cancelled */
uint64_t soon(struct rng *r, uint32_t most_us); /* a deadline */
struct sley_alloc *counting(void);              /* fails when a size is wrong */
uint64_t counting_live(void);

/* ---- where tasks meet (meet.c): on the heap, counted, checked when the last one goes ------------------------------ */

/* Producers send, consumers receive; the last of either side closes, so that nobody waits for ever. */
struct pipe {
    _Atomic uint32_t refs, producers, consumers;
    _Atomic uint64_t sent, received;
    struct sley_mpsc ch;
    uint64_t slots[4];
};
struct pipe *pipe_new(uint32_t capacity, uint32_t producers, uint32_t consumers);
void pipe_sent(struct pipe *p, uint64_t value);
void pipe_received(struct pipe *p, uint64_t value);
void pipe_producer_ends(struct pipe *p);
void pipe_consumer_ends(struct pipe *p);

/* One value. The sender sends or closes, always. */
struct once {
    _Atomic uint32_t refs;
    _Atomic uint64_t sent, received;
    struct sley_oneshot o;
    uint64_t slot;
};
struct once *once_new(uint32_t refs);
void once_send(struct once *o, uint64_t value); /* and unref */
void once_unref(struct once *o);

/* Somebody rings until all has been said; who waits passes the last ring on. */
struct bell {
    _Atomic uint32_t refs, said;
    uint32_t total;
    struct sley_notify n;
};
struct bell *bell_new(uint32_t refs, uint32_t total);
void bell_ring(struct bell *b);
bool bell_over(struct bell *b); /* all has been said: others are told, too */
void bell_unref(struct bell *b);

/* ---- tasks (tree.c: fibers; leaf.c: frames) ---------------------------------------------------------------------- */

struct node_args {
    uint64_t id;
    uint32_t depth;
};
int spawn_node(struct sley_scope *scope, struct rng *r, uint64_t id, uint32_t depth, struct sley_task **ret_task);
int spawn_leaf(struct sley_scope *scope, uint64_t id, uint32_t depth, struct sley_task **ret_task);
int spawn_producer(struct sley_scope *scope, bool as_fiber, struct pipe *p, uint64_t id, uint32_t count);
void spawn_far_producer(struct pipe *p, uint64_t id, uint32_t count); /* in no scope, on whichever worker it comes to */
int spawn_consumer(struct sley_scope *scope, bool as_fiber, struct pipe *p, uint64_t id);
int spawn_listener(struct sley_scope *scope, bool as_fiber, struct bell *b, uint64_t id);
extern const struct sley_task_type *const root_type;
extern const struct sley_task_type *const side_root_type;
int job(void *arg); /* a blocking job: `*(uint64_t *)arg` is its number, result_of that is its result */

/* ---- sockets, other cores, blocking in place (stream.c) ----------------------------------------------------------- */

int act_stream(struct rng *r, uint64_t id);
int act_elsewhere(struct rng *r, uint64_t id);

/* ---- other threads (service.c) ----------------------------------------------------------------------------------- */

enum request_kind {
    REQUEST_SEND,   /* obj: a pipe, as producer of `value` messages */
    REQUEST_ONCE,   /* obj: a once */
    REQUEST_RING,   /* obj: a bell, rung `value` times */
    REQUEST_CANCEL, /* task: and give the handle back */
    REQUEST_JOIN,   /* the same; on threads that nobody waits for */
    REQUEST_SPAWN,  /* a node with the number `value` */
};
struct request {
    struct request *next;
    enum request_kind kind;
    void *obj;
    struct sley_task *task;
    uint64_t value;
};
void ask(struct request r);
void service_start(void);
void service_drain(void); /* drives w.rt until nothing is left, here or there */
void service_stop(void);

#endif
