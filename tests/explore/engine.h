/* What the explorer's files share: the threads of the running execution, its accesses, its clocks. */
#ifndef SLEY_TEST_EXPLORE_ENGINE_H
#define SLEY_TEST_EXPLORE_ENGINE_H

#include "explore.h"

#include "task/switch.h"

enum {
    ACTORS = 2 * EXPLORE_THREADS, /* threads, then their store buffers */
    BUFFER = 6,                   /* stores that a buffer holds */
    SEEN = 48,                    /* locations that a waiting loop looks at */
    SPINS = 4,                    /* times that a loop looks at the same thing before it counts as waiting for it */
    STACK_BYTES = 64 * 1024,
    MAX_STEPS = 4000,
};

/** An access on its way, and what it gave. */
struct access {
    enum explore_kind kind;
    uintptr_t addr;
    unsigned size;
    int order, fail_order; /* memory_order_ */
    bool weak;
    bool can_end; /* FUTEX_WAIT, WOKEN: has a time limit */
    uint64_t value, expected, result;
    bool ok;
    const char *file, *func;
    int line;
};

/** What happened-before means to the program: a count for each thread. */
struct clock {
    uint32_t at[EXPLORE_THREADS];
};

/** A store that nobody else sees yet. */
struct pending_store {
    uintptr_t addr;
    unsigned size;
    uint64_t value;
    struct clock release;
    int event; /* that put it there */
};

/** What a loop has seen since it last paused. */
struct seen {
    uintptr_t addr;
    uint32_t changes;
};

struct thread {
    struct sley__context context;
    void (*fn)(void);
    enum { THREAD_ENDED, THREAD_AT_ACCESS } state;
    struct access next; /* what it does when it goes on */
    struct pending_store buffer[BUFFER];
    unsigned buffered;
    struct seen seen[SEEN];
    unsigned seen_count;
    struct access last; /* for loops that do not pause: the last access, and how often it has been the same */
    uint32_t last_changes;
    unsigned repeats;
    bool spurious;       /* its last CAS failed without a reason */
    unsigned barrier_at; /* BARRIER: whose buffer is next */
    bool asleep;         /* in a futex wait */
    int woken_by;        /* event */
    bool woken_early;    /* without a reason, which happens once */
    uint64_t until_ns;
    struct clock clock, acquired, released; /* for the fences: what relaxed loads have met, what relaxed stores carry */
    char locals[256];
};

/** One execution. */
struct run {
    const struct explore_scenario *s;
    struct thread threads[EXPLORE_THREADS];
    unsigned thread_count;
    int current; /* -1: none, the engine itself */
    struct sley__context engine;
    uint64_t now_ns;
    bool failed;
    bool tracing;
    char what[256];
};
extern struct run run;

/** What a step did, as far as it matters to others: at most one place, written or only read. */
struct effect {
    uintptr_t place;
    bool write;
};

/* memory.c */
void memory_reset(void);
uint32_t memory_changes(uintptr_t addr);
/** The event without which the thread's next step could not be taken, if it is known to be the only one; or -1. */
int memory_enabled_by(unsigned t);
/** Does the access, of thread @p t or (FLUSH) of its buffer. */
void memory_step(unsigned t, bool flush, struct access *a);
/** The same outside of threads, where nobody else looks. */
void memory_direct(struct access *a);
void clock_join(struct clock *into, const struct clock *from);
/** May the thread's next step be taken now? */
bool thread_enabled(unsigned t);
/** What the next step of an actor would touch. */
struct effect effect_next(unsigned actor);
bool access_drains(const struct access *a); /* waits for the thread's own buffer */

/* races.c */
void races_reset(void);
void races_atomic(uintptr_t addr, unsigned size, bool write);
/** A block is freed: as if it were written, as far as anybody has accessed it. */
void races_free(uintptr_t addr, size_t bytes);

/* system.c: futexes, time, memory */
void system_reset(void);
void system_ended(void);
void system_wake(struct access *a);
bool arena_freed(uintptr_t addr);

/* search.c */
unsigned search_choose(unsigned n);
/** Does every thread have its own of this? */
bool is_thread_local(uintptr_t addr);
/** The index of the event that is happening, or happened last. */
int search_event(void);
/** The running thread stops here until its access has been done. */
void thread_access(struct access *a);
/** Leaves the execution, from whatever stack. */
_Noreturn void search_abandon(void);

/* report.c */
void report_step(unsigned actor, const struct access *a);
void report_crashes(void);

#endif
