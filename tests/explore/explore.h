/* A small model checker: runs a scenario of up to four threads in every order that can matter, on production sources that were
 * compiled with layer.h. How it searches is in search.c, what memory does in memory.c; docs/testing.md says how to use it. */
#ifndef SLEY_TEST_EXPLORE_H
#define SLEY_TEST_EXPLORE_H

#include <sley/alloc.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { EXPLORE_THREADS = 4 };

/** What an atomic access is. The first five are read-modify-writes; see layer.h for what becomes which. */
enum explore_kind {
    EXPLORE_EXCHANGE,
    EXPLORE_ADD,
    EXPLORE_SUB,
    EXPLORE_OR,
    EXPLORE_AND,
    EXPLORE_XOR,
    EXPLORE_CAS,
    EXPLORE_LOAD,
    EXPLORE_STORE,
    EXPLORE_FENCE,      /**< of the processor; sequentially consistent */
    EXPLORE_BARRIER,    /**< membarrier: waits for the store buffer of each thread in turn */
    EXPLORE_FUTEX_WAIT, /**< looks at the word and goes to sleep */
    EXPLORE_FUTEX_WAKE,
    EXPLORE_WOKEN, /**< the other end of a FUTEX_WAIT */
    EXPLORE_PAUSE, /**< a turn of a loop that waits for somebody else */
    EXPLORE_FLUSH, /**< the oldest store of a buffer reaches memory */
};

/** A bug put into the product for one run: every access of kind @p kind in function @p func behaves differently. */
struct explore_planted {
    const char *func;
    enum explore_kind kind;
    enum {
        EXPLORE_RELAX, /**< its memory order becomes relaxed */
        EXPLORE_SPLIT, /**< a read-modify-write becomes a load and a store */
        EXPLORE_DROP,  /**< a fence, barrier, store or wake does not happen; arithmetic adds nothing */
    } how;
};

/** What is explored. Everything that threads share is set up by `setup`, which runs before each execution. */
struct explore_scenario {
    void (*setup)(void);
    void (*threads[EXPLORE_THREADS])(void);
    void (*check)(void);     /**< after all threads have ended; may be NULL */
    bool tso;                /**< stores wait in a buffer until they are flushed, as on x86; else they are seen at once */
    bool barriers;           /**< with tso: BARRIER is used, so the moment when a store enters the buffer matters, too */
    bool spurious;           /**< a weak CAS may fail without a reason, a futex wait return */
    unsigned preemptions;    /**< 0: every order, without its equivalents; else all orders with at most so many preemptions */
    uint64_t max_executions; /**< 0: 20 million */
    double max_seconds;      /**< of the processor; 0: 40; times SLEY_EXPLORE_SCALE and the harness's slowness */
    const struct explore_planted *planted;
};

struct explore_result {
    bool found;          /**< a bug: see `what` and `schedule` */
    bool exhausted;      /**< nothing is left to run, within the bound */
    uint64_t executions; /**< that ran to their end */
    uint64_t redundant;  /**< that were left when they became equivalent to one that had run */
    uint64_t steps;      /**< accesses and waits, over all executions */
    unsigned longest;    /**< steps of the longest execution */
    double seconds;
    char what[256];
    char schedule[2048]; /**< who took each step: a, b, ... threads, A, B, ... their store buffers, digits: choices */
};

/** Explores. Does not print. */
void explore_run(const struct explore_scenario *s, struct explore_result *ret);
/** Runs one schedule and prints each step. */
void explore_replay(const struct explore_scenario *s, const char *schedule);

/** The scenario has no bug and its space was exhausted; else the case fails, with the steps that led there. Prints a line. */
void explore_exhaust(const char *name, const struct explore_scenario *s);
/** The explorer finds a bug whose description contains @p what; else the case fails. Prints the schedule. */
void explore_find(const char *name, const struct explore_scenario *s, const char *what);

/** A case of the suite: `EXPLORE_TEST(inbox_posts_arrive) { explore_exhaust(...); }`. */
#define EXPLORE_TEST(name) SLEY_TEST_SECONDS(name, "", 120)
/** The same, with the ids of the conformance cases that it covers. */
#define EXPLORE_CASE(name, ids) SLEY_TEST_SECONDS(name, ids, 120)

/* ---- for scenarios --------------------------------------------------------------------------------------------- */

#define EXPLORE_CHECK(cond)                                       \
    do {                                                          \
        if (!(cond)) {                                            \
            explore_fail("%s:%d: %s", __FILE__, __LINE__, #cond); \
        }                                                         \
    } while (0)

/** Ends the execution: this schedule shows a bug. */
_Noreturn void explore_fail(const char *fmt, ...) SLEY_PRINTF(1, 2);
/** One of [0, n), each in turn. In threads only. */
unsigned explore_choose(unsigned n);
/** The thread that runs, from 0 in the order of `threads`; -1 in setup and check. */
int explore_thread(void);
/** Names a thread-local of the program: each thread of a scenario has a value of its own, zero at first. In setup. */
void explore_thread_local(void *at, size_t bytes);
/** Blocks are never reused within an execution: who touches a freed one is found out. What is left at the end is a leak. */
struct sley_alloc *explore_alloc(void);
/** The time that clock_gettime gives; moves only when a futex wait times out. */
uint64_t explore_now_ns(void);

#endif
