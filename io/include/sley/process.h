/* Child processes: start one, wait for its end, send it signals, exchange bytes with its standard descriptors. */
#ifndef SLEY_PROCESS_H
#define SLEY_PROCESS_H

#include <sys/types.h>

#include <sley/tcp.h>

SLEY_EXTERN_C_BEGIN

struct sley__child;

/** A child process. May be copied to a new place while no wait is in flight. Zeroed: none. Fields are private but for `pid`. */
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
 * The parent's end of a child's standard descriptor: a stream, `&pipe.end.stream`. The ends are connected local sockets, as in libuv,
 * not FIFOs: the child cannot open /dev/stdin by that name. A shutdown of the parent's end ends the child's input.
 */
struct sley_pipe {
    struct sley_tcp end; /* TCP's calls on addresses and options are not for it */
};

enum sley_stdio_kind {
    SLEY_STDIO_INHERIT, /**< the parent's descriptor; closed if the parent's is closed */
    SLEY_STDIO_NULL,    /**< /dev/null */
    SLEY_STDIO_PIPE,    /**< a stream: `*ret_pipe` is the parent's end */
    SLEY_STDIO_FD,      /**< a copy of `number`, which the parent keeps */
};

struct sley_stdio {
    enum sley_stdio_kind kind;
    int number;
    struct sley_pipe *ret_pipe; /**< written on success */
};

struct sley_process_opts {
    const char *file;  /**< the program: a path if it has a slash, else looked for in the parent's PATH */
    char *const *argv; /**< NULL-terminated; NULL: the file's name alone */
    char *const *envp; /**< NULL: the parent's environment */
    const char *cwd;   /**< working directory; NULL: the parent's. A relative path in `file` is relative to it */
    struct sley_stdio stdio[3];
    pid_t group;       /**< process group; 0: the parent's; -1: a new one; else one that exists */
    bool new_session;  /**< which implies a group of its own */
    bool kill_on_fini; /**< sley_process_fini kills it (SIGKILL) if it still runs */
};

/**
 * Starts a child. It gets the descriptors in @p o and no others: all others are closed in it, also those without close-on-exec. In
 * the child no signal is blocked, and each has its default action. Returns: 0; the system's error about the program (-ENOENT, -EACCES,
 * -ENOEXEC, ...), the directory or the group; -EMFILE, -ENOMEM, -EAGAIN; -EINVAL. Owns: the caller ends it by sley_process_fini; nothing
 * is left on failure.
 * Thread: any. Cost: blocks the thread until the child has begun its program, mostly less than a millisecond.
 */
SLEY_API int sley_process_spawn(struct sley_process *ret_process, const struct sley_process_opts *o);

/**
 * Waits until the child has ended; `*ret_exit` (may be NULL) says how. Later waits return the same. Many may wait at once. Returns: 0;
 * -ECHILD: other code has reaped it (SIGCHLD is ignored, or waitpid(-1) was called), or this process is a fork of its parent;
 * -ECANCELED: if the child has ended meanwhile, the next wait says so; -EINVAL for a zeroed one; else as sley_fd_poll. Thread: as
 * sley_await; all waits on one executor.
 */
SLEY_API int sley_process_wait(struct sley_process *p, struct sley_exit *ret_exit);
SLEY_API void sley_process_wait_start(struct sley_io_op *op, struct sley_process *p, struct sley_exit *ret_exit);

/**
 * Sends a signal (0: only checks that it can). Returns: 0; -ESRCH when a wait has returned its end, and in the child of a fork: no other
 * process that may have its number now gets the signal; -EINVAL; -EPERM. Thread: any.
 */
SLEY_API int sley_process_kill(struct sley_process *p, int signo);

/**
 * Releases the handle: waits in flight end with -ECANCELED; the child is killed if `kill_on_fini` says so, else it runs on. It is reaped
 * when it ends, at its SIGCHLD (<sley/signal.h> says what that needs), at the latest in the next spawn or fini. In a fork of the parent
 * this does nothing to the child. The call itself cannot be cancelled. Returns: 0, also for NULL, a zeroed or released one; on another
 * executor than that of its waits the errors of sley_fd_close, without any effect. Thread: as sley_fd_close.
 */
SLEY_API int sley_process_fini(struct sley_process *p);
SLEY_API void sley_process_fini_start(struct sley_io_op *op, struct sley_process *p);

SLEY_EXTERN_C_END
#endif
