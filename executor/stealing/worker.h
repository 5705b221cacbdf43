/* What the files of executor/stealing share: a worker, the pool of them, and who calls whom. */
#ifndef SLEY_STEALING_WORKER_H
#define SLEY_STEALING_WORKER_H

#include <sley/drive_impl.h>
#include <sley/placement_impl.h>
#include <sley/stealing.h>
#include <sley/thread_impl.h>
#include <sley/watch.h>

#include "inject.h"
#include "lifo.h"
#include "ring.h"

enum {
    RING_CAPACITY = 1024, /* what the backlog is for comes seldom: a task costs twice as much through it */
    LIFO_RUN_MAX = 3,     /* a pair that wake each other keeps others waiting for no more resumes than this */
    LOOK_INTERVAL = 61,   /* resumes between two looks at timers and I/O: prime, so as not to beat with the program's own rhythm */
};

struct worker {
    struct sley_sched sched;
    struct sley_stealing_pool *pool;
    struct sley_reactor *reactor;
    uint32_t index;
    uint32_t inject_interval; /* resumes between two looks at the injection queue, at most LOOK_INTERVAL */
    uint32_t left;            /* until the next one */
    uint32_t tick;            /* less `left`: resumes */
    uint32_t round;           /* counts */
    uint32_t round_left;      /* resumes out of the ring until all that was in it has had its turn */
    uint32_t lifo_run;        /* resumes in a row out of the LIFO slot */
    bool pinned_last;         /* of pinned tasks and those in the ring, which take turns */
    /* any of these: others are to know before it runs a task (sley__idle_found) */
    bool searching : 1;      /* counted in pool->idle */
    bool guards : 1;         /* pool->guarded is by this worker */
    bool untold : 1;         /* a task that has yielded is in the ring, and nobody was told */
    uint32_t batch_tick;     /* where the resumes began that the interval is tuned by, */
    uint64_t batch_start_ns; /* and when */
    pthread_t thread;
    int start_rc;
    struct sley_watched watched;
    SLEY_ATOMIC(uint32_t) bell; /* what it rests on, and parks on without a reactor */
    struct sley_scope_op drained;
    struct sley_wait_hook drained_hook;
    /* other workers read and write */
    struct sley__lifo lifo __attribute__((aligned(64)));
    struct sley__steal_ring ring;
    struct sley__inject backlog; /* what the ring has no room for */
    SLEY_ATOMIC(struct sley_task *) slots[RING_CAPACITY];
    SLEY_ATOMIC(uint64_t) steals, spared, overflows, parks;
    SLEY_ATOMIC(uint64_t) resume_ns, late_ns; /* how long a resume takes: moving average; as who guards has found it (0: no more) */
    uint32_t seen;                            /* the count of resumes when that one has looked last; its own */
    uint64_t queued_ns;                       /* for how long its queue was not found empty; the same one's */
    SLEY_ATOMIC(uint32_t) stuck;              /* it needs help: rescue.c */
    struct sley__inject pinned;               /* ready tasks that are for this worker alone */
    SLEY_ATOMIC(uint32_t) wheel_lock __attribute__((aligned(64)));
    struct sley_wheel wheel; /* under wheel_lock */
    struct sley_wheel_slot wheel_slots[SLEY_WHEEL_SLOT_COUNT_DEFAULT];
};

/* What the pool is doing, in `phase`: workers look at it between resumes. */
enum { PHASE_STARTING, PHASE_RUNNING, PHASE_PAUSED, PHASE_ENDED };

struct sley_stealing_pool {
    struct sley_group group;
    struct sley_alloc *alloc;
    struct sley_alloc libc;
    const struct sley_executor_config *config; /* while starting */
    struct sley_plan plan;                     /* where workers run, and who is near whom */
    struct sley_clock *clock;
    void (*before_park)(void *arg);
    void *hook_arg;
    struct sley_watch *watch;
    struct worker *workers;
    struct sley_sched **scheds;
    SLEY_ATOMIC(uint32_t) idle __attribute__((aligned(64))); /* idle.c */
    SLEY_ATOMIC(uint32_t) waking, guarded;
    uint64_t looked_ns; /* when the one that guards has looked last */
    struct sley__inject inject;
    SLEY_ATOMIC(uint32_t) stuck_count;
    SLEY_ATOMIC(uint32_t) phase __attribute__((aligned(64)));
    SLEY_ATOMIC(uint32_t) resting; /* workers that have seen PAUSED, or have not begun */
    SLEY_ATOMIC(uint32_t) news;    /* the bell of who drives: something that it waits for may have happened */
    SLEY_ATOMIC(uint32_t) driving; /* a thread is inside run, stop or fini */
    SLEY_ATOMIC(uint32_t) halted;
    SLEY_ATOMIC(uint32_t) spawn_index; /* whose root scope the next task from outside stands in */
};

SLEY_INLINE struct worker *worker_of(struct sley_sched *s)
{
    return sley_container_of(s, struct worker, sched);
}

enum { BEHIND_NS = 1000000 }; /* behind a worker that needs so long for all that is ready another one is welcome whatever it costs */

/* What lies in queues: nothing, what their worker is soon through with, or what is worth another's coming. */
enum work { WORK_NONE, WORK_LITTLE, WORK_WORTH };

/* queue.c: what is next */
void sley__worker_schedule(struct sley_sched *s, struct sley_task *t, enum sley_ready why);
void sley__worker_push(struct worker *w, struct sley_task *t);
void sley__worker_push_pinned(struct sley_task *t);
struct sley_task *sley__worker_next(struct worker *w);
struct sley_task *sley__worker_steal(struct worker *w);
enum work sley__worker_left(const struct worker *w); /* what lies there for others to take */

/* idle.c: who sleeps and who is woken */
void sley__idle_notify(struct sley_stealing_pool *p, enum work work); /* so much was pushed */
void sley__idle_tell(struct sley_stealing_pool *p);                   /* there may be more than was told of */
bool sley__idle_search(struct worker *w);                             /* may it search? */
void sley__idle_found(struct worker *w);                              /* it has work, and others are to know */
void sley__idle_park(struct worker *w);                               /* it has none: sleeps until something may be there */

/* worker.c: the thread */
void *sley__worker_main(void *arg);
void sley__worker_look_outside(struct worker *w);   /* at I/O, without waiting */
void sley__worker_look_inside(struct worker *w);    /* at what has come from elsewhere, and what is due; not I/O */
uint64_t sley__worker_run_timers(struct worker *w); /* returns the next deadline */
void sley__worker_wait(struct worker *w, uint64_t next_ns);
void sley__worker_batch(struct worker *w, uint64_t now_ns); /* how long resumes take is measured from here on */
uint64_t sley__pool_now_ns(const struct sley_stealing_pool *p);
extern const struct sley_sched_ops sley__worker_ops;

#endif
