/* What the files of the watchdog share: watch.c (life), look.c (what it decides), shot.c (a thread's own stack), os_*.c. */
#ifndef SLEY_EXECUTOR_WATCH_H
#define SLEY_EXECUTOR_WATCH_H

#include <pthread.h>
#include <signal.h>

#include <sley/watch.h>

enum { SLEY__SHOT_FRAMES = 48 };

/** What a stalled thread has written down about itself: by its signal handler, between a question and its answer. */
struct sley__shot {
    bool same;                         /* it was still in the resume that was asked about */
    const struct sley_task_type *type; /* static data of the program; NULL: in no task */
    uint32_t frame_count;
    void *frames[SLEY__SHOT_FRAMES];
};

enum sley__watch_phase {
    SLEY__WATCH_FINE,
    SLEY__WATCH_ASKED,      /* stalled: the thread was asked for its stack */
    SLEY__WATCH_TOLD,       /* stalled, and reported */
    SLEY__WATCH_SUPPRESSED, /* stalled, and too many were reported already */
};

/** One watched worker. Under the watch's lock but for the atomics and what the handler writes. */
struct sley__watch_entry {
    struct sley_watch *watch;
    struct sley_sched *sched;
    struct sley_watched *watched;
    struct sley__watch_entry *next;
    uint32_t worker;
    SLEY_ATOMIC(uint32_t) tid; /* who drives it */
    /* as seen at the last look */
    uint32_t state;
    uint32_t count;
    uint64_t since_ns;    /* when it was seen so first */
    uint64_t seen_ns;     /* and last */
    uint64_t cpu_ns;      /* what its thread had computed at the second such look; SLEY_NEVER: there was none yet */
    uint32_t quiet_count; /* looks that found it parked */
    enum sley__watch_phase phase;
    uint64_t answer_by_ns;
    bool has_shot; /* the report named the task */
    /* at most so many reports a minute */
    uint64_t minute_ns;
    uint32_t report_count;
    uint32_t suppressed_count;
    /* the question, published by `asked`; the answer, published by `answered` */
    SLEY_ATOMIC(uint32_t) asked;
    SLEY_ATOMIC(uint32_t) answered;
    uint32_t asked_state;
    uint32_t asked_count;
    struct sley__shot shot;
};

/** What the watchdog asks the system; tests put their own in its place. */
struct sley__watch_os {
    uint64_t (*cpu_ns)(uint32_t tid);                /* processor time of a thread of this process */
    bool (*runnable)(uint32_t tid);                  /* false: it waits for something */
    void (*ask)(struct sley_watch *w, uint32_t tid); /* sends the signal */
};

struct sley_watch {
    struct sley_alloc *alloc;
    struct sley_alloc libc;
    struct sley_watch_opts opts;
    struct sley__watch_os os;
    uint64_t period_ns;
    pthread_mutex_t lock;
    struct sley__watch_entry *entries;
    SLEY_ATOMIC(uint32_t) started; /* somebody makes, or has made, the thread */
    SLEY_ATOMIC(uint32_t) running; /* it is there */
    SLEY_ATOMIC(uint32_t) ending;
    SLEY_ATOMIC(uint32_t) bell;
    bool for_one; /* ends with its one worker */
    bool by_hand; /* tests look themselves */
    pthread_t thread;
};

/* look.c */
/** One look at every worker. Returns when the next one is due; SLEY_NEVER: not before a worker wakes it. Locked by the caller. */
uint64_t sley__watch_look(struct sley_watch *w, uint64_t now_ns);
/** The last word about a worker that goes: how many of its stalls were not reported. */
void sley__watch_last(struct sley__watch_entry *e);

/* report.c */
void sley__watch_report_stall(struct sley__watch_entry *e, uint64_t stalled_ns, uint64_t cpu_ns, bool over);

/* shot.c */
int sley__shot_install(int signo);
void sley__shot_uninstall(int signo);
void sley__shot_prime(void);
void sley__shot_ask(struct sley_watch *w, uint32_t tid);

/* os_linux.c */
uint64_t sley__watch_now_ns(void);
uint32_t sley__watch_tid(void);
uint64_t sley__watch_cpu_ns(uint32_t tid);
bool sley__watch_runnable(uint32_t tid);
void sley__watch_wait(SLEY_ATOMIC(uint32_t) * bell, uint64_t until_ns);
void sley__watch_ring(SLEY_ATOMIC(uint32_t) * bell); /* async-signal-safe */

#endif
