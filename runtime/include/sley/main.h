/* SLEY_MAIN: a program from one task. It alone prints, in the program's own code; the libraries never do. */
#ifndef SLEY_MAIN_H
#define SLEY_MAIN_H

#include <stdio.h>
#include <string.h>

#include <sley/runtime.h>

/** What a fiber that is declared with `struct sley_main_args` as its arguments gets. */
struct sley_main_args {
    int argc;
    char **argv;
};

static inline void sley__main_report(void *arg, enum sley_report_kind kind, const char *text)
{
    (void)arg, (void)kind;
    fprintf(stderr, "sley: %s\n", text);
}

/* private: SLEY_MAIN */
static inline int sley__main(const struct sley_task_type *type, int argc, char **argv)
{
    char why[256] = "";
    struct sley_runtime rt;
    struct sley_main_args args = {argc, argv};
    struct sley_runtime_opts opts;
    memset(&opts, 0, sizeof opts);
    opts.report = sley__main_report;
    opts.ret_error = why;
    opts.error_bytes = sizeof why;
    int rc = sley_runtime_init(&rt, &opts);
    if (rc < 0) {
        fprintf(stderr, "sley: cannot start: %s\n", why[0] ? why : strerror(-rc));
        return 2;
    }
    int result = 0;
    const bool takes_args = type->style == SLEY_STYLE_FIBER && type->args_bytes == sizeof args;
    rc = sley_runtime_run(&rt, type, takes_args ? &args : NULL, &result);
    if (rc == 0 && result < 0) {
        fprintf(stderr, "%s: %s\n", type->name, strerror(-result));
    } else if (rc < 0) {
        fprintf(stderr, "sley: cannot run %s: %s\n", type->name, strerror(-rc));
    }
    /* what the main task has left in the root scope gets five seconds to end */
    if (sley_runtime_stop(&rt, sley_after_ns(5 * SLEY_S)) == 0) {
        (void)sley_runtime_fini(&rt);
    }
    return rc < 0 ? 2 : result < 0;
}

/** Defines main(): a runtime as the environment says, @p fn (a SLEY_FIBER or SLEY_FRAME) its main task. Exit 0; 1: failed; 2: no start. */
#define SLEY_MAIN(fn)                               \
    int main(int argc, char **argv)                 \
    {                                               \
        return sley__main(&fn##__type, argc, argv); \
    }

#endif
