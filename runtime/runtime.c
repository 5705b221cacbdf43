/* Assembly: names and the environment become an executor with its reactor. */
#include "parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const struct sley_runtime_opts sley_preset_local = {.executor_name = "local", .reactor_name = "auto", .worker_count = 1};
const struct sley_runtime_opts sley_preset_cores = {.executor_name = "cores", .reactor_name = "auto", .placement = "spread"};
const struct sley_runtime_opts sley_preset_stealing = {.executor_name = "stealing", .reactor_name = "auto"};
const struct sley_runtime_opts sley_preset_shares = {.executor_name = "shares", .reactor_name = "auto", .worker_count = 1};

static void fail(const struct sley_runtime_opts *o, const char *what, const char *value, const char *alternatives)
{
    if (o->ret_error && o->error_bytes) {
        (void)snprintf(o->ret_error, o->error_bytes, "no %s \"%s\" in this build; there is: %s", what, value, alternatives);
    }
}

static const char *choose(const char *option, const char *variable, const char *fallback)
{
    const char *env = option ? NULL : getenv(variable);
    return option ? option : env && *env ? env : fallback;
}

static const struct sley__named_reactor *find_reactor(const struct sley_runtime_opts *o)
{
    char all[128] = "";
    const char *name = choose(o->reactor_name, "SLEY_REACTOR", sley__reactors[0].name);
    for (const struct sley__named_reactor *r = sley__reactors; r->name; r++) {
        if (r->factories && !r->factories[0]) {
            continue;
        }
        if (strcmp(r->name, name) == 0) {
            return r;
        }
        const size_t len = strlen(all);
        (void)snprintf(all + len, sizeof all - len, "%s%s", len ? ", " : "", r->name);
    }
    fail(o, "reactor", name, all);
    return NULL;
}

static const struct sley__named_executor *find_executor(const struct sley_runtime_opts *o)
{
    char all[128] = "";
    const char *name = choose(o->executor_name, "SLEY_EXECUTOR", sley__executors[0].name);
    for (const struct sley__named_executor *e = sley__executors; e->name; e++) {
        if (strcmp(e->name, name) == 0) {
            return e;
        }
        const size_t len = strlen(all);
        (void)snprintf(all + len, sizeof all - len, "%s%s", len ? ", " : "", e->name);
    }
    fail(o, "executor", name, all);
    return NULL;
}

/** Returns: the number; -EINVAL when it, or SLEY_WORKERS, is none from 1 to 1024. */
static int find_workers(const struct sley_runtime_opts *o)
{
    const char *env = o->worker_count ? NULL : getenv("SLEY_WORKERS");
    if (o->worker_count > 1024) {
        if (o->ret_error && o->error_bytes) {
            (void)snprintf(o->ret_error, o->error_bytes, "%u workers are too many; there may be 1024", o->worker_count);
        }
        return -EINVAL;
    }
    if (!env || !*env) {
        return (int)o->worker_count;
    }
    char *end;
    const long n = strtol(env, &end, 10);
    if (*end || n < 1 || n > 1024) {
        if (o->ret_error && o->error_bytes) {
            (void)snprintf(o->ret_error, o->error_bytes, "SLEY_WORKERS is \"%s\"; it must be a number from 1 to 1024", env);
        }
        return -EINVAL;
    }
    return (int)n;
}

/** Returns: 0 and how long a task may keep its worker; -EINVAL when SLEY_STALL_MS is no number of milliseconds. */
static int find_stall(const struct sley_runtime_opts *o, uint64_t *ret_ns)
{
    const char *env = o->stall_ns ? NULL : getenv("SLEY_STALL_MS");
    *ret_ns = o->stall_ns;
    if (!env || !*env) {
        return 0;
    }
    char *end;
    const long n = strtol(env, &end, 10);
    if (*end || n < 0 || n > 3600000) {
        if (o->ret_error && o->error_bytes) {
            (void)snprintf(o->ret_error, o->error_bytes, "SLEY_STALL_MS is \"%s\"; it must be a number from 1 to 3600000, or 0: off",
                           env);
        }
        return -EINVAL;
    }
    *ret_ns = n ? (uint64_t)n * SLEY_MS : SLEY_NEVER;
    return 0;
}

/** The executor that was given, or the named one in the runtime's memory. NULL: the reason is in the error text. */
static struct sley_executor *choose_executor(struct sley_runtime *rt, const struct sley_runtime_opts *o, int workers)
{
    if (o->executor) {
        return o->executor;
    }
    const struct sley__named_executor *named = find_executor(o);
    if (named && named->is_single && workers > 1) {
        if (o->ret_error && o->error_bytes) {
            (void)snprintf(o->ret_error, o->error_bytes, "the %s executor has one worker, not %d", named->name, workers);
        }
        return NULL;
    }
    if (named && o->placement && !named->is_placed) {
        if (o->ret_error && o->error_bytes) {
            (void)snprintf(o->ret_error, o->error_bytes, "the %s executor takes no placement", named->name);
        }
        return NULL;
    }
    struct sley_workers_opts opts = {.placement = SLEY_PLACEMENT_UNBOUND};
    const char *placement = named && named->is_placed ? choose(o->placement, "SLEY_PLACEMENT", "unbound") : "unbound";
    if (sley_workers_place(&opts, placement) < 0) {
        if (o->ret_error && o->error_bytes) {
            (void)snprintf(
                o->ret_error, o->error_bytes,
                "no placement \"%s\"; there is: unbound, spread, pack, a list of CPUs, and spread:LIST, pack:LIST, fenced:LIST",
                placement);
        }
        return NULL;
    }
    return named ? named->init(&rt->memory, &opts) : NULL;
}

/** A start has failed: says so, unless the executor has said more, or nobody is to be told. No pool is left behind. */
static int give_up(struct sley_runtime *rt, const struct sley_runtime_opts *o, const struct sley_executor *ex, int workers, int rc)
{
    char many[32] = "";
    (void)sley_blocking_destroy(rt->blocking);
    rt->blocking = NULL;
    if (!o->ret_error || !o->error_bytes || o->ret_error[0]) {
        return rc;
    }
    const char *name = ex->ops && ex->ops->name ? ex->ops->name : "given";
    if (ex->ops && (ex->ops->caps & SLEY_EXECUTOR_CAP_WORKERS) && o->alloc && !(o->alloc->ops->caps & SLEY_ALLOC_CAP_THREADS)) {
        (void)snprintf(o->ret_error, o->error_bytes, "the %s executor needs an allocator for several threads", name);
        return rc;
    }
    if (workers > 1) {
        (void)snprintf(many, sizeof many, " with %d workers", workers);
    }
    (void)snprintf(o->ret_error, o->error_bytes, "the %s executor did not start%s (errno %d)", name, many, -rc);
    return rc;
}

/** The runtime's own pool, unless it is given one: a record; its threads come with jobs, and go. */
static int make_pool(struct sley_runtime *rt, const struct sley_runtime_opts *o)
{
    const struct sley_blocking_opts opts = {
        .alloc = o->alloc && (o->alloc->ops->caps & SLEY_ALLOC_CAP_THREADS) ? o->alloc : NULL,
        .report = o->report,
        .report_arg = o->report_arg,
    };
    return o->blocking ? 0 : sley_blocking_create(&opts, &rt->blocking);
}

int sley_runtime_init(struct sley_runtime *rt, const struct sley_runtime_opts *o)
{
    static const struct sley_runtime_opts none;
    o = o ? o : &none;
    if (!rt) {
        return -EINVAL;
    }
    memset(rt, 0, sizeof *rt);
    if (o->ret_error && o->error_bytes) {
        o->ret_error[0] = '\0';
    }
    const struct sley_reactor_factory *const attached[] = {o->attach.ops ? o->attach.ops->factory : NULL, NULL};
    const struct sley_reactor_factory *const *reactors = attached[0] ? attached : o->reactors;
    const struct sley__named_reactor *named = reactors ? NULL : find_reactor(o);
    const int workers = find_workers(o);
    uint64_t stall_ns;
    if (find_stall(o, &stall_ns) < 0 || workers < 0 || (!reactors && !named)) {
        return -EINVAL;
    }
    struct sley_executor *ex = choose_executor(rt, o, workers);
    if (!ex || sley__attach_check(o, ex) < 0) {
        return -EINVAL;
    }
    rt->clock = o->clock;
    int rc = make_pool(rt, o);
    if (rc < 0) {
        if (o->ret_error && o->error_bytes) {
            (void)snprintf(o->ret_error, o->error_bytes, "no memory for the blocking pool");
        }
        return rc;
    }
    sley_offload_blocking_init(&rt->offload, o->blocking ? o->blocking : rt->blocking);
    const struct sley_executor_config config = {
        .alloc = o->alloc,
        .blocking = o->blocking ? o->blocking : rt->blocking,
        .offload = &rt->offload.base,
        .reactors = reactors ? reactors : named->factories,
        .clock = o->clock,
        .tick_ns = o->tick_ns,
        .worker_count = (uint32_t)workers,
        .report = o->report,
        .report_arg = o->report_arg,
        .before_park = o->before_park,
        .hook_arg = o->hook_arg,
        .ret_error = o->ret_error,
        .error_bytes = o->error_bytes,
        .stall_ns = stall_ns,
        .stuck_ns = o->stuck_ns,
        .loop = o->attach.loop,
        .ret_refused = rt->refused,
        .refused_bytes = sizeof rt->refused,
        .lend = o->lend,
    };
    rc = sley_executor_check(ex->ops);
    if (rc == 0) {
        rc = ex->ops->start(ex, &config);
    }
    if (rc < 0) {
        return give_up(rt, o, ex, workers, rc);
    }
    rt->executor = ex;
    sley__attach_start(rt, &o->attach);
    return 0;
}

/** A task may have forked: then this is the child now, too. */
static int run(struct sley_runtime *rt, const struct sley_task *until)
{
    const int rc = rt->executor->ops->run(rt->executor, until);
    return sley_executor_orphaned(rt->executor) ? -EOWNERDEAD : rc;
}

int sley_runtime_run(struct sley_runtime *rt, const struct sley_task_type *type, const void *args, int *ret_result)
{
    struct sley_task *t;
    if (!rt->executor) {
        return -EINVAL;
    }
    int rc = sley_sched_may_drive();
    rc = rc < 0 ? rc : sley__attach_may_run(rt);
    if (rc < 0) {
        return rc;
    }
    rc = rt->executor->ops->spawn(rt->executor, type, args, &t);
    if (rc < 0) {
        return rc;
    }
    rc = run(rt, t);
    if (rc == 0 && ret_result) {
        (void)sley_task_result(t, ret_result);
    }
    sley_task_unref(t);
    sley__attach_again(rt);
    return rc;
}

int sley_runtime_spawn(struct sley_runtime *rt, const struct sley_task_type *type, const void *args, struct sley_task **ret_task)
{
    struct sley_executor *ex = rt->executor;
    /* the task may end, and the runtime behind it, before this has returned: one that is looked at afterwards stays */
    struct sley_sched *held = ex && rt->attach.ops ? ex->ops->sched(ex) : NULL;
    if (held) {
        sley_sched_hold(held);
    }
    const int rc = ex ? ex->ops->spawn(ex, type, args, ret_task) : -ESHUTDOWN;
    if (held) {
        sley__attach_again(rt);
        sley_sched_unhold(held);
    }
    return rc;
}

uint32_t sley_runtime_workers(const struct sley_runtime *rt)
{
    struct sley_executor *ex = rt->executor;
    return !ex ? 0 : ex->ops->worker_count ? ex->ops->worker_count(ex) : 1;
}

int sley_runtime_spawn_on(struct sley_runtime *rt, uint32_t worker, const struct sley_task_type *type, const void *args,
                          struct sley_task **ret_task)
{
    struct sley_executor *ex = rt->executor;
    if (ex && ex->ops->spawn_on) {
        return ex->ops->spawn_on(ex, worker, type, args, ret_task);
    }
    const uint32_t n = sley_runtime_workers(rt);
    return n == 1 && worker == 0 ? sley_runtime_spawn(rt, type, args, ret_task) : n == 0 ? -ESHUTDOWN : n == 1 ? -EINVAL : -ENOTSUP;
}

int sley_runtime_run_all(struct sley_runtime *rt)
{
    int rc = rt->executor ? sley__attach_may_run(rt) : -EINVAL;
    if (rc == 0) {
        rc = run(rt, NULL);
        sley__attach_again(rt);
    }
    return rc;
}

void sley_runtime_halt(struct sley_runtime *rt)
{
    if (rt->executor) {
        rt->executor->ops->halt(rt->executor);
    }
}

int sley_runtime_turn(struct sley_runtime *rt, uint64_t *ret_next_ns)
{
    struct sley_executor *ex = rt->executor;
    return ex && ex->ops->turn && !rt->attach.ops ? ex->ops->turn(ex, 0, ret_next_ns) : -ENOTSUP;
}

int sley_runtime_fd(struct sley_runtime *rt)
{
    struct sley_executor *ex = rt->executor;
    return ex && ex->ops->pollable_fd ? ex->ops->pollable_fd(ex) : -ENOTSUP;
}

/** A deadline of the runtime's clock as one of CLOCK_MONOTONIC, which the pool lives by. */
static uint64_t real_deadline(const struct sley_runtime *rt, uint64_t deadline_ns)
{
    struct timespec ts;
    if (!rt->clock || deadline_ns == SLEY_NEVER) {
        return deadline_ns;
    }
    const uint64_t now = rt->clock->now_ns(rt->clock);
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * SLEY_S + (uint64_t)ts.tv_nsec + (deadline_ns > now ? deadline_ns - now : 0);
}

/** A job of its own pool would wait for itself, or for a task that waits for it. */
static int may_end(struct sley_runtime *rt)
{
    return sley__blocking_inside(rt->blocking) ? -EDEADLK : sley__attach_may_run(rt);
}

int sley_runtime_stop(struct sley_runtime *rt, uint64_t drain_deadline_ns)
{
    int rc = may_end(rt);
    rc = rc < 0 || !rt->executor ? rc : rt->executor->ops->stop(rt->executor, drain_deadline_ns);
    sley__attach_again(rt);
    if (rc < 0 && rc != -ETIMEDOUT) {
        return rc;
    }
    /* tasks first, while what they hand in on their way out is still run */
    const int pool_rc = sley_blocking_stop(rt->blocking, real_deadline(rt, drain_deadline_ns));
    return rc < 0 ? rc : pool_rc;
}

int sley_runtime_fini(struct sley_runtime *rt)
{
    if (!rt || !rt->executor) {
        return 0;
    }
    int rc = may_end(rt);
    rc = rc < 0 ? rc : rt->executor->ops->fini(rt->executor);
    if (rc == 0) {
        rt->executor = NULL;
        (void)sley_blocking_destroy(rt->blocking); /* after a stop that timed out what still runs keeps it */
        rt->blocking = NULL;
    }
    return rc;
}

int sley_runtime_describe(const struct sley_runtime *rt, char *ret_text, size_t bytes)
{
    if (!rt->executor || !ret_text || bytes == 0) {
        return -EINVAL;
    }
    struct sley_reactor *r = rt->executor->ops->sched(rt->executor)->reactor;
    char workers[32] = "", detail[192] = "";
    if (rt->executor->ops->worker_count) {
        const uint32_t count = sley_runtime_workers(rt);
        (void)snprintf(workers, sizeof workers, " (%u worker%s)", count, count == 1 ? "" : "s");
    }
    if (r && r->ops->version >= 2 && r->ops->describe) {
        (void)r->ops->describe(r, detail, sizeof detail);
    }
    const size_t len = strlen(rt->refused);
    const int end = len > 2 ? (int)len - 2 : 0; /* without the full stop and blank */
    const int n =
        snprintf(ret_text, bytes, "executor %s%s, reactor %s%s%s%s%s%.*s", rt->executor->ops->name, workers, r ? r->ops->name : "none",
                 detail[0] ? " (" : "", detail, detail[0] ? ")" : "", end ? "; " : "", end, rt->refused);
    return n < 0 ? -EINVAL : (size_t)n < bytes ? n : (int)bytes - 1;
}
