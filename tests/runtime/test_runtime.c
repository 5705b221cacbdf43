/* Assembly: names, the environment, what is said when something is not there; a runtime's life as a user sees it. */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <sley/frame.h>
#include <sley/local.h>
#include <sley/reactor_poll.h>
#include <sley/runtime.h>

#include "forty_two.h"
#include "harness.h"

struct framed {
    struct sley_frame frame;
    struct sley_timer timer;
    int value;
};

static enum sley_step framed(struct framed *f)
{
    int rc;
    SLEY_BEGIN(f);
    SLEY_CALL(f, rc, sley_sleep, &f->timer, SLEY_US);
    SLEY_RETURN(f, rc < 0 ? rc : f->value);
    SLEY_END(f);
}
SLEY_FRAME(framed, struct framed)

static void clear_environment(void)
{
    (void)unsetenv("SLEY_EXECUTOR");
    (void)unsetenv("SLEY_REACTOR");
    (void)unsetenv("SLEY_WORKERS");
    (void)unsetenv("SLEY_STALL_MS");
}

static const char *describe(const struct sley_runtime_opts *o)
{
    static char text[128];
    struct sley_runtime rt;
    int result = 0;
    CHECK_RC(sley_runtime_init(&rt, o), 0);
    const int n = sley_runtime_describe(&rt, text, sizeof text);
    CHECK_INT(n, ==, (int)strlen(text));
    char cut[6];
    CHECK_INT(sley_runtime_describe(&rt, cut, sizeof cut), ==, 5);
    CHECK_RC(sley_runtime_describe(&rt, NULL, 3), -EINVAL);
    CHECK_RC(sley_runtime_run(&rt, &forty_two__type, NULL, &result), 0);
    CHECK_INT(result, ==, 42);
    CHECK_RC(sley_runtime_run(&rt, &framed__type, &(struct framed){.value = 8}, &result), 0);
    CHECK_INT(result, ==, 8);
    CHECK_RC(sley_runtime_stop(&rt, SLEY_NEVER), 0);
    CHECK_RC(sley_runtime_fini(&rt), 0);
    CHECK_RC(sley_runtime_fini(&rt), 0);
    return text;
}

/** What `auto` takes for a worker that shares its reactor with nobody: a ring where one starts. */
static const char *usual(void)
{
    struct sley_runtime rt;
    const int rc = sley_runtime_init(
        &rt, &(struct sley_runtime_opts){.executor_name = "local", .worker_count = 1, .reactor_name = "uring", .stall_ns = SLEY_S});
    CHECK_RC(sley_runtime_fini(&rt), 0);
    return rc == 0 ? "uring" : "epoll";
}

/** @p executor on the usual reactor; what that one, or one that did not start, says of itself may follow. */
static void check_usual(const struct sley_runtime_opts *o, const char *executor)
{
    char text[96];
    (void)snprintf(text, sizeof text, "executor %s, reactor %s", executor, usual());
    const char *got = describe(o);
    CHECK_INT(strncmp(got, text, strlen(text)), ==, 0);
}

SLEY_TEST(parts_are_chosen_by_name_environment_or_default, "")
{
    clear_environment();
    check_usual(NULL, "local");
    check_usual(&sley_preset_local, "local");
    check_usual(&sley_preset_shares, "shares");
    const char *const reactors[] = {"epoll", "poll", "none", "auto"};
    for (size_t i = 0; i < 4; i++) {
        const struct sley_runtime_opts o = {.reactor_name = reactors[i], .alloc = harness_alloc()};
        CHECK(strstr(describe(&o), i == 3 ? usual() : reactors[i]) != NULL);
        CHECK_INT(setenv("SLEY_REACTOR", reactors[i], 1), ==, 0);
        CHECK(strstr(describe(NULL), i == 3 ? usual() : reactors[i]) != NULL);
    }
    CHECK_INT(setenv("SLEY_REACTOR", "poll", 1), ==, 0);
    CHECK(strstr(describe(&(struct sley_runtime_opts){.reactor_name = "epoll"}), "epoll") != NULL); /* options win */
    CHECK_INT(setenv("SLEY_REACTOR", "", 1), ==, 0);                                                /* empty: as if unset */
    CHECK_INT(setenv("SLEY_EXECUTOR", "local", 1), ==, 0);
    CHECK_INT(setenv("SLEY_WORKERS", "1", 1), ==, 0);
    check_usual(NULL, "local");
    clear_environment();
}

static void check_refused(const struct sley_runtime_opts *o, const char *text)
{
    char why[256] = "old";
    struct sley_runtime rt;
    struct sley_runtime_opts with = *o;
    with.ret_error = why;
    with.error_bytes = sizeof why;
    with.alloc = harness_alloc();
    CHECK_RC(sley_runtime_init(&rt, &with), -EINVAL);
    if (strlen(why) > strlen(text)) { /* a list of parts may go on: that depends on the build */
        why[strlen(text)] = '\0';
    }
    CHECK_STR(why, text);
    CHECK_RC(sley_runtime_init(&rt, o), -EINVAL); /* nobody to tell is fine */
    CHECK_RC(sley_runtime_fini(&rt), 0);          /* nothing is left, and that is safe to say */
    CHECK_RC(sley_runtime_stop(&rt, 0), 0);
    CHECK_RC(sley_runtime_run(&rt, &forty_two__type, NULL, NULL), -EINVAL);
    CHECK_RC(sley_runtime_spawn(&rt, &forty_two__type, NULL, NULL), -ESHUTDOWN);
    CHECK_RC(sley_runtime_turn(&rt, NULL), -ENOTSUP);
    sley_runtime_halt(&rt);
}

SLEY_TEST(unknown_names_are_refused_with_the_alternatives, "")
{
    clear_environment();
    check_refused(&(struct sley_runtime_opts){.reactor_name = "kqueue"},
                  "no reactor \"kqueue\" in this build; there is: auto, epoll, poll, ");
    check_refused(&(struct sley_runtime_opts){.executor_name = "global"},
                  "no executor \"global\" in this build; there is: local, cores, ");
    check_refused(&(struct sley_runtime_opts){.worker_count = 3}, "the local executor has one worker, not 3");
    check_refused(&(struct sley_runtime_opts){.worker_count = UINT32_MAX}, "4294967295 workers are too many; there may be 1024");
    check_refused(&(struct sley_runtime_opts){.placement = "spread"}, "the local executor takes no placement");
    CHECK_INT(setenv("SLEY_REACTOR", "x", 1), ==, 0);
    check_refused(&(struct sley_runtime_opts){.executor_name = "local"},
                  "no reactor \"x\" in this build; there is: auto, epoll, poll, ");
    clear_environment();
    CHECK_INT(setenv("SLEY_EXECUTOR", "y", 1), ==, 0);
    check_refused(&(struct sley_runtime_opts){.reactor_name = "none"}, "no executor \"y\" in this build; there is: local, cores, ");
    clear_environment();
    const char *const bad[] = {"0", "-1", "two", "1025", "3x", "99999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[128];
        CHECK_INT(setenv("SLEY_WORKERS", bad[i], 1), ==, 0);
        (void)snprintf(text, sizeof text, "SLEY_WORKERS is \"%s\"; it must be a number from 1 to 1024", bad[i]);
        check_refused(&(struct sley_runtime_opts){.executor_name = "local"}, text);
    }
    clear_environment();
    CHECK_RC(sley_runtime_init(NULL, NULL), -EINVAL);
    CHECK_RC(sley_runtime_fini(NULL), 0);
}

SLEY_TEST(stall_time_of_the_environment_is_a_number_of_milliseconds, "")
{
    clear_environment();
    const char *const bad[] = {"-1", "ten", "3600001", "5ms"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[128];
        CHECK_INT(setenv("SLEY_STALL_MS", bad[i], 1), ==, 0);
        (void)snprintf(text, sizeof text, "SLEY_STALL_MS is \"%s\"; it must be a number from 1 to 3600000, or 0: off", bad[i]);
        check_refused(&(struct sley_runtime_opts){.executor_name = "local"}, text);
        check_usual(&(struct sley_runtime_opts){.stall_ns = SLEY_S}, "local"); /* options win */
    }
    const char *const good[] = {"", "0", "1", "3600000"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        CHECK_INT(setenv("SLEY_STALL_MS", good[i], 1), ==, 0);
        check_usual(NULL, "local");
    }
    clear_environment();
}

/* Workers that share tasks are placed by the same option and variable. */
SLEY_TEST(stealing_is_placed_by_name, "")
{
    struct sley_runtime rt;
    clear_environment();
    (void)unsetenv("SLEY_PLACEMENT");
    const struct sley_runtime_opts pack = {.executor_name = "stealing", .worker_count = 1, .placement = "pack"};
    CHECK_PTR(strstr(describe(&pack), "executor stealing"), !=, NULL);
    check_refused(&(struct sley_runtime_opts){.executor_name = "stealing", .placement = "far"}, "no placement \"far\"; there is: ");
    check_refused(&(struct sley_runtime_opts){.executor_name = "shares", .placement = "pack"},
                  "the shares executor takes no placement");
    CHECK_INT(setenv("SLEY_PLACEMENT", "spread", 1), ==, 0);
    const struct sley_runtime_opts many = {.executor_name = "stealing", .worker_count = 1024};
    if (sysconf(_SC_NPROCESSORS_ONLN) < 1024) {
        check_refused(&many, "1024 workers do not fit on ");
    }
    CHECK_RC(sley_runtime_init(&rt, &(struct sley_runtime_opts){.executor_name = "stealing"}), 0);
    CHECK_RC(sley_runtime_run_all(&rt), 0);
    CHECK_RC(sley_runtime_fini(&rt), 0);
    (void)unsetenv("SLEY_PLACEMENT");
}

/* The cores by name: as many as asked for, placed as asked for; a task on each. */
SLEY_TEST(cores_are_chosen_counted_and_placed, "")
{
    struct sley_runtime rt;
    clear_environment();
    (void)unsetenv("SLEY_PLACEMENT");
    check_usual(&(struct sley_runtime_opts){.executor_name = "cores", .worker_count = 3, .alloc = harness_alloc()},
                "cores (3 workers)");
    CHECK_PTR(strstr(describe(&sley_preset_cores), "executor cores ("), !=, NULL);
    check_refused(&(struct sley_runtime_opts){.executor_name = "cores", .placement = "far"}, "no placement \"far\"; there is: ");
    CHECK_INT(setenv("SLEY_EXECUTOR", "cores", 1), ==, 0);
    CHECK_INT(setenv("SLEY_WORKERS", "2", 1), ==, 0);
    CHECK_INT(setenv("SLEY_PLACEMENT", "near", 1), ==, 0);
    check_refused(&(struct sley_runtime_opts){.reactor_name = "none"}, "no placement \"near\"; there is: ");
    CHECK_INT(setenv("SLEY_PLACEMENT", "unbound", 1), ==, 0);
    CHECK_RC(sley_runtime_init(&rt, &(struct sley_runtime_opts){.alloc = harness_alloc()}), 0);
    CHECK_UINT(sley_runtime_workers(&rt), ==, 2);
    for (uint32_t i = 0; i < 2; i++) {
        struct sley_task *t = NULL;
        int result = 0;
        CHECK_RC(sley_runtime_spawn_on(&rt, i, &forty_two__type, NULL, &t), 0);
        CHECK_RC(sley_task_join(t, &result), 0);
        CHECK_INT(result, ==, 42);
        sley_task_unref(t);
    }
    CHECK_RC(sley_runtime_spawn_on(&rt, 2, &forty_two__type, NULL, NULL), -EINVAL);
    CHECK_RC(sley_runtime_stop(&rt, SLEY_NEVER), 0);
    CHECK_RC(sley_runtime_fini(&rt), 0);
    CHECK_UINT(sley_runtime_workers(&rt), ==, 0);
    CHECK_RC(sley_runtime_spawn_on(&rt, 0, &forty_two__type, NULL, NULL), -ESHUTDOWN);
    clear_environment();
    (void)unsetenv("SLEY_PLACEMENT");
    CHECK_RC(sley_runtime_init(&rt, &sley_preset_local), 0); /* one worker: it is number 0 */
    CHECK_UINT(sley_runtime_workers(&rt), ==, 1);
    CHECK_RC(sley_runtime_spawn_on(&rt, 1, &forty_two__type, NULL, NULL), -EINVAL);
    CHECK_RC(sley_runtime_spawn_on(&rt, 0, &forty_two__type, NULL, NULL), 0);
    CHECK_RC(sley_runtime_run_all(&rt), 0);
    CHECK_RC(sley_runtime_fini(&rt), 0);
}

SLEY_TEST(allocator_for_one_thread_is_refused_where_there_are_several, "")
{
    static char memory[16384];
    const char *const names[] = {"stealing", "cores"};
    const char *const texts[] = {
        "the stealing executor needs an allocator for several threads",
        "cores share an allocator, and this one is for one thread at a time",
    };
    clear_environment();
    for (size_t i = 0; i < 2; i++) {
        struct sley_alloc_pool fixed;
        struct sley_runtime rt;
        char why[256] = "";
        CHECK_RC(sley_alloc_pool_init(&fixed, memory, sizeof memory), 0);
        const struct sley_runtime_opts o = {
            .executor_name = names[i], .worker_count = 2, .alloc = &fixed.base, .ret_error = why, .error_bytes = sizeof why};
        CHECK_INT(sley_runtime_init(&rt, &o), <, 0);
        CHECK_STR(why, texts[i]);
        CHECK_UINT(fixed.used_bytes, ==, 0);
        sley_alloc_fini(&fixed.base);
    }
}

SLEY_TEST(error_text_is_cut_to_its_buffer, "")
{
    char why[16];
    struct sley_runtime rt;
    clear_environment();
    memset(why, 'z', sizeof why);
    const struct sley_runtime_opts o = {.reactor_name = "kqueue", .ret_error = why, .error_bytes = 10};
    CHECK_RC(sley_runtime_init(&rt, &o), -EINVAL);
    CHECK_STR(why, "no reacto");
    CHECK_INT(why[10], ==, 'z');
}

SLEY_TEST(executor_given_by_pointer_is_used, "")
{
    static struct sley_local local;
    struct sley_runtime rt;
    int result = 0;
    clear_environment();
    sley_local_init(&local);
    const struct sley_reactor_factory *const reactors[] = {&sley_reactor_poll2, NULL};
    const struct sley_runtime_opts o = {.executor = &local.base, .reactors = reactors, .alloc = harness_alloc()};
    CHECK_RC(sley_runtime_init(&rt, &o), 0);
    CHECK_PTR(rt.executor, ==, &local.base);
    CHECK_RC(sley_runtime_run(&rt, &forty_two__type, NULL, &result), 0);
    CHECK_INT(result, ==, 42);
    CHECK_RC(sley_runtime_fini(&rt), 0);
    CHECK_INT(setenv("SLEY_WORKERS", "3", 1), ==, 0);
    check_refused(&(struct sley_runtime_opts){.executor = &local.base}, "the local executor did not start with 3 workers (errno 22)");
    clear_environment();
}

SLEY_TEST(each_allocation_of_a_runtime_refused, "SHUT-01")
{
    clear_environment();
    HARNESS_SWEEP_ALLOC(points, 100)
    {
        char why[128];
        struct sley_runtime rt;
        int result = 0;
        const struct sley_runtime_opts o = {.alloc = harness_alloc(), .ret_error = why, .error_bytes = sizeof why};
        int rc = sley_runtime_init(&rt, &o);
        if (rc < 0) {
            CHECK_RC(rc, -ENOMEM);
            CHECK_UINT(strlen(why), >, 0);
        } else {
            rc = sley_runtime_run(&rt, &framed__type, &(struct framed){.value = 3}, &result);
            CHECK(rc == -ENOMEM || (rc == 0 && result == 3));
            rc = sley_runtime_run(&rt, &forty_two__type, NULL, &result);
            CHECK(rc == -ENOMEM || (rc == 0 && result == 42));
            CHECK_RC(sley_runtime_stop(&rt, SLEY_NEVER), 0);
            CHECK_RC(sley_runtime_fini(&rt), 0);
        }
    }
    CHECK_UINT(points, >=, 4);
}

static _Alignas(64) char pool_memory[32 * 1024];

SLEY_TEST(regress_runtime_over_a_fixed_pool_runs, "")
{
    struct sley_alloc_pool pool;
    struct sley_runtime rt;
    int result = 0;
    clear_environment();
    CHECK_RC(sley_alloc_pool_init(&pool, pool_memory, sizeof pool_memory), 0);
    CHECK_RC(sley_runtime_init(&rt, &(struct sley_runtime_opts){.reactor_name = "none", .alloc = &pool.base}), 0);
    for (int i = 0; i < 50; i++) {
        CHECK_RC(sley_runtime_run(&rt, &framed__type, &(struct framed){.value = i}, &result), 0);
        CHECK_INT(result, ==, i);
    }
    CHECK_RC(sley_runtime_run(&rt, &forty_two__type, NULL, &result), 0);
    CHECK_RC(sley_runtime_stop(&rt, SLEY_NEVER), 0);
    CHECK_RC(sley_runtime_fini(&rt), 0);
    CHECK_UINT(pool.used_bytes, ==, 0);
    sley_alloc_fini(&pool.base);
}

static int run_again(struct sley_runtime **rt)
{
    CHECK_RC(sley_runtime_run(*rt, &forty_two__type, NULL, NULL), -EDEADLK);
    CHECK_RC(sley_runtime_run_all(*rt), -EDEADLK);
    CHECK_RC(sley_runtime_stop(*rt, 0), -EDEADLK);
    CHECK_RC(sley_runtime_fini(*rt), -EDEADLK);
    CHECK_RC(sley_runtime_spawn(*rt, &forty_two__type, NULL, NULL), 0); /* that is fine */
    return 0;
}
SLEY_FIBER(run_again, struct sley_runtime *)

static unsigned reports;

static void count_report(void *arg, enum sley_report_kind kind, const char *text)
{
    (void)arg;
    CHECK_INT(kind, ==, SLEY_REPORT_MISUSE);
    CHECK(strstr(text, "run_again (") != NULL);
    reports++;
}

SLEY_TEST(runtime_is_not_run_inside_itself, "LOCAL-16 SHUT-11")
{
    struct sley_runtime rt, *prt = &rt;
    clear_environment();
    const struct sley_runtime_opts opts = {.alloc = harness_alloc(), .report = count_report, .stall_ns = SLEY_NEVER};
    CHECK_RC(sley_runtime_init(&rt, &opts), 0);
    CHECK_RC(sley_runtime_run(&rt, &run_again__type, &prt, NULL), 0);
    CHECK_RC(sley_runtime_run_all(&rt), 0);
#ifdef SLEY_DEBUG
    CHECK_UINT(reports, ==, 4);
#else
    CHECK_UINT(reports, ==, 0);
#endif
    CHECK_RC(sley_runtime_fini(&rt), 0);
}

/* ---- a runtime in a thread-specific slot, destroyed as the thread ends --------------------------------------------------- */

static pthread_key_t slot;
static unsigned destroyed;

static void destroy_runtime(void *arg)
{
    struct sley_runtime *rt = arg;
    CHECK_RC(sley_runtime_stop(rt, SLEY_NEVER), 0);
    CHECK_RC(sley_runtime_fini(rt), 0);
    free(rt);
    destroyed++;
}

static void *with_slot(void *arg)
{
    (void)arg;
    struct sley_runtime other, *rt = malloc(sizeof *rt);
    CHECK_PTR(rt, !=, NULL);
    CHECK_RC(sley_runtime_init(rt, &(struct sley_runtime_opts){.alloc = harness_alloc()}), 0);
    CHECK_INT(pthread_setspecific(slot, rt), ==, 0);
    CHECK_RC(sley_runtime_init(&other, &(struct sley_runtime_opts){.alloc = harness_alloc()}), 0);
    CHECK_RC(sley_runtime_run(&other, &forty_two__type, NULL, NULL), 0);
    CHECK_RC(sley_runtime_fini(&other), 0);
    CHECK_RC(sley_runtime_spawn(rt, &forty_two__type, NULL, NULL), 0);
    CHECK_RC(sley_runtime_run(rt, &forty_two__type, NULL, NULL), 0);
    return NULL;
}

SLEY_TEST(runtime_in_a_thread_specific_slot, "SHUT-10")
{
    pthread_t thread;
    clear_environment();
    CHECK_INT(pthread_key_create(&slot, destroy_runtime), ==, 0);
    CHECK_INT(pthread_create(&thread, NULL, with_slot, NULL), ==, 0);
    CHECK_INT(pthread_join(thread, NULL), ==, 0);
    CHECK_UINT(destroyed, ==, 1);
    CHECK_INT(pthread_key_delete(slot), ==, 0);
}

/* ---- a runtime that goes while who has spawned its last task is about to return ------------------------------------------- */

static struct sley_executor_ops slow_ops; /* local's, whose spawn returns when everything is over */
static SLEY_ATOMIC(int) stage;

static void wait_for_stage(int n)
{
    while (atomic_load_explicit(&stage, memory_order_acquire) < n) { /* acquire: pairs with the stores */
        (void)sched_yield();
    }
}

static int spawn_slowly(struct sley_executor *ex, const struct sley_task_type *type, const void *args, struct sley_task **ret_task)
{
    const int rc = sley_local_ops.spawn(ex, type, args, ret_task);
    atomic_store_explicit(&stage, 1, memory_order_release); /* release: as above */
    wait_for_stage(2);
    return rc;
}

static void *spawn_last(void *arg)
{
    CHECK_RC(sley_runtime_spawn(arg, &forty_two__type, NULL, NULL), 0);
    return NULL;
}

SLEY_TEST(runtime_may_go_when_its_last_task_has_ended_whoever_returns_from_spawning_it, "SHUT-13")
{
    struct sley_local local;
    pthread_t thread;
    struct sley_runtime *rt = mmap(NULL, sizeof *rt, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK_PTR(rt, !=, MAP_FAILED);
    clear_environment();
    sley_local_init(&local);
    slow_ops = sley_local_ops;
    slow_ops.spawn = spawn_slowly;
    local.base.ops = &slow_ops;
    CHECK_RC(sley_runtime_init(rt, &(struct sley_runtime_opts){.alloc = harness_alloc(), .executor = &local.base}), 0);
    CHECK_INT(pthread_create(&thread, NULL, spawn_last, rt), ==, 0);
    wait_for_stage(1);
    CHECK_RC(sley_runtime_run_all(rt), 0);
    CHECK_RC(sley_runtime_fini(rt), 0);
    CHECK_INT(munmap(rt, sizeof *rt), ==, 0);
    atomic_store_explicit(&stage, 2, memory_order_release); /* release: as above */
    CHECK_INT(pthread_join(thread, NULL), ==, 0);
}
