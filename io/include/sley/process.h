/* Child processes: starting them, waiting for their end, signals to them, streams to their standard descriptors. */
#ifndef SLEY_PROCESS_H
#define SLEY_PROCESS_H

#include <sys/types.h>

#include <sley/tcp.h>

SLEY_EXTERN_C_BEGIN

struct sley__child;

/** A running child, or one whose end is known. May be copied while no wait is in flight. Zeroed: none. Fields are private but for `pid`. */
struct sley_process {
    struct sley_fd fd;         /* becomes readable when it ends */
    struct sley__child *child; /* what remembers it when this has been given up */
    pid_t pid;
    int code, signo;
    bool dumped;
    bool ended; /* it has been reaped: the number may be another's by now */
    bool lost;  /* ... by somebody else, or it is not a child of ours */
    bool kill_on_fini;
};

/** How a child has ended. */
struct sley_exit {
    int code;    /**< what it returned, 0 to 255, if signo is 0 */
    int signo;   /**< the signal that ended it, or 0 */
    bool dumped; /**< it has left a core */
};

/**
 * Our end of a child's standard descriptor: a stream, `&pipe.end.stream`. Both ends are connected local sockets, as libuv makes
 * them, not FIFOs: a child cannot open /dev/stdin by that name. Shutting down ours ends the child's input.
 */
struct sley_pipe {
    struct sley_tcp end; /* TCP's calls on addresses and options are not for it */
};

enum sley_stdio_kind {
    SLEY_STDIO_INHERIT, /**< ours; closed if ours is */
    SLEY_STDIO_NULL,    /**< /dev/null */
    SLEY_STDIO_PIPE,    /**< a stream: `*ret_pipe` is the other end */
    SLEY_STDIO_FD,      /**< `number`, which stays ours */
};

struct sley_stdio {
    enum sley_stdio_kind kind;
    int number;
    struct sley_pipe *ret_pipe; /**< written on success */
};

struct sley_process_opts {
    const char *file;  /**< the program: a path if it has a slash, else looked for in our PATH */
    char *const *argv; /**< NULL-terminated; NULL: the file's name alone */
    char *const *envp; /**< NULL: our environment */
    const char *cwd;   /**< NULL: ours. A path of `file` that is relative is so to this */
    struct sley_stdio stdio[3];
    pid_t group;       /**< 0: ours; -1: one of its own; else a group that exists */
    bool new_session;  /**< which implies a group of its own */
    bool kill_on_fini; /**< sley_process_fini kills it (SIGKILL) if it still runs */
};

/**
 * Starts a child, which has of our descriptors only those of @p o: every other one is closed there, also if it is not close-on-exec.
 * No signal is blocked in it, or handled other than by default. Returns: 0; what the system says of the program (-ENOENT,
 * -EACCES, -ENOEXEC, ...), of the directory or the group; -EMFILE, -ENOMEM, -EAGAIN; -EINVAL. Nothing is left on failure.
 * Thread: any. Cost: blocks the thread until the child has begun its program, mostly less than a millisecond.
 */
SLEY_API int sley_process_spawn(struct sley_process *ret_process, const struct sley_process_opts *o);

/**
 * Waits for the end; `*ret_exit` (may be NULL) says how. Again: the same. Many may wait. Returns: 0; -ECHILD: somebody else has
 * reaped it (SIGCHLD is ignored, or waitpid(-1) was called), or this is the child of a fork; -ECANCELED, and an end that came
 * meanwhile is told by the next wait; -EINVAL for none; else as sley_fd_poll. Thread: as sley_await; one home.
 */
SLEY_API int sley_process_wait(struct sley_process *p, struct sley_exit *ret_exit);
SLEY_API void sley_process_wait_start(struct sley_io_op *op, struct sley_process *p, struct sley_exit *ret_exit);

/**
 * Sends a signal (0: none, looks only). Returns: 0; -ESRCH once its end has been waited for, and in the child of a fork: nothing is
 * sent then, whoever has its number now; -EINVAL; -EPERM. Thread: any.
 */
SLEY_API int sley_process_kill(struct sley_process *p, int signo);

/**
 * Gives the child up: waits in flight end with -ECANCELED, it is killed if so arranged, else runs on. Either way it is reaped when it
 * ends, at its SIGCHLD (<sley/signal.h> says what that needs), and at the latest with the next spawn or fini. Twice, on a zeroed or
 * NULL one: 0. In the child of a fork nothing happens to it. Never cancelled. Returns: 0; away from where it is waited for as
 * sley_fd_close: nothing has happened then. Thread: as sley_fd_close.
 */
SLEY_API int sley_process_fini(struct sley_process *p);
SLEY_API void sley_process_fini_start(struct sley_io_op *op, struct sley_process *p);

SLEY_EXTERN_C_END
#endif
