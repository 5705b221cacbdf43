/* Does a reactor, or an executor, keep its contract? Every clause by name, each in a process of its own. For who writes one. */
#ifndef SLEY_CONFORMANCE_H
#define SLEY_CONFORMANCE_H

#include <sley/executor.h>

SLEY_EXTERN_C_BEGIN

/** One thing that the contract demands. */
struct sley_clause {
    const char *name;     /**< "cancel_moves_nothing" */
    const char *sentence; /**< what is demanded, in words */
};

enum sley_verdict {
    SLEY_VERDICT_KEPT,
    SLEY_VERDICT_BROKEN,  /**< a check failed, the process died, or it did not end */
    SLEY_VERDICT_SKIPPED, /**< it does not apply, for the reason given: a capability that is not claimed, a limit of this machine */
};

/** How to try. Zeroed fields mean the default. */
struct sley_conformance_opts {
    const char *const *only; /**< NULL-terminated patterns of fnmatch(3) for names of clauses; NULL: all of them */
    uint64_t seed;           /**< of what is random; 0: another one each time. It is in the first lines of the report */
    /**
     * Of a processor's time, for each clause; 0: 30 s. Sanitizers get ten times as much. One that sleeps for seconds though nothing wakes
     * it does not get that long. Of real time there is ten times as much, 30 s at least, whatever it does: sleep, wake, yield.
     */
    uint32_t timeout_ms;
    uint32_t effort; /**< percent of the rounds that stress takes; 0: 100 */
    uint32_t jobs;   /**< how many clauses are tried at a time; 0: as many as there are processors. They are told in their order */
    /** What was found; @p why says where and what when it is broken or skipped, else it is empty. NULL: nothing. */
    void (*verdict)(void *arg, const struct sley_clause *clause, enum sley_verdict verdict, const char *why);
    /** The same as a report in TAP, line by line, without newlines. NULL: nothing. */
    void (*line)(void *arg, const char *line);
    void *arg; /**< for both */
};

struct sley_conformance_count {
    unsigned kept, broken, skipped;
};

/** The clauses of the contract of <sley/reactor_impl.h>, in the order in which they are tried. Thread: any. */
SLEY_API const struct sley_clause *sley_conformance_reactor_clauses(size_t *ret_count);

/**
 * Tries the reactors that @p factory makes, on a local executor, clause after clause. Each has a child process of its own (fork), so
 * that a crash and a hang are verdicts like others; the caller is best a program of its own with one thread. @p ret_count may
 * be NULL. Returns: how many clauses are broken (0: it conforms); -EINVAL when no clause has such a name, or @p factory has no create;
 * -ENOTSUP: its version is none of this contract's; -EAGAIN, -ENOMEM when there is no process. Thread: any, one at a time. Calls back:
 * on the caller's thread.
 */
SLEY_API int sley_conformance_run_reactor(const struct sley_reactor_factory *factory, const struct sley_conformance_opts *o,
                                          struct sley_conformance_count *ret_count);

/**
 * What a shared object that is given to the program sley-conformance exports, unless it is told another name:
 *
 *     const struct sley_reactor_factory sley_conformance_reactor = {...};
 */
#define SLEY_CONFORMANCE_REACTOR_SYMBOL "sley_conformance_reactor"

/** An executor to be tried: how it is made, and what it is given. */
struct sley_conformance_executor {
    const char *name; /**< for the report */
    /** Readies one in memory of its own; it has not started. Thread: any. */
    struct sley_executor *(*create)(void);
    void (*destroy)(struct sley_executor *ex);          /**< it has not started, or its fini has returned 0. Gives the memory back */
    const struct sley_reactor_factory *const *reactors; /**< as in its configuration; NULL: none */
    bool has_io;                                        /**< they take descriptors */
    uint32_t worker_count;                              /**< as in its configuration; 0: as many as the kind thinks best */
};

/** The clauses of the contract of <sley/executor.h>. Those that need workers, or that there are none, are skipped
 * elsewhere. Thread: any. */
SLEY_API const struct sley_clause *sley_conformance_executor_clauses(size_t *ret_count);
/** As sley_conformance_run_reactor. */
SLEY_API int sley_conformance_run_executor(const struct sley_conformance_executor *executor, const struct sley_conformance_opts *o,
                                           struct sley_conformance_count *ret_count);

/** The same of an executor: const struct sley_conformance_executor sley_conformance_executor = {...}; */
#define SLEY_CONFORMANCE_EXECUTOR_SYMBOL "sley_conformance_executor"

SLEY_EXTERN_C_END
#endif
