/* Shared by tests that run on every kind of runtime; see kinds.h. */
#include "kinds.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>

#include "chosen.h"

#define WITH_REACTOR                                                                                                  \
    {"local", "epoll", 1}, {"local", "poll", 1}, {"shares", "epoll", 1}, {"cores", "epoll", 2}, {"cores", "poll", 2}, \
        {"stealing", "epoll", 1},                                                                                     \
    {                                                                                                                 \
        "stealing", "epoll", 3                                                                                        \
    }

const struct kind kinds[] = {WITH_REACTOR, {"local", "none", 1}, {"cores", "none", 2}, {"stealing", "none", 2}, {NULL, NULL, 0}};
const struct kind kinds_with_reactor[] = {WITH_REACTOR, {NULL, NULL, 0}};

const struct kind *kinds_chosen(const struct kind *list)
{
    static struct kind one[2];
    const struct sley_reactor_factory *reactor = chosen_reactor();
    if (!chosen_any("SLEY_EXECUTOR") || !reactor) {
        return list;
    }
    one[0] = (struct kind){getenv("SLEY_EXECUTOR"), reactor->name, chosen_workers()};
    return one;
}

static void start(struct sley_runtime *rt, const struct kind *k, struct sley_alloc *alloc)
{
    const struct sley_runtime_opts o = {
        .alloc = alloc,
        .executor_name = k->executor,
        .reactor_name = k->reactor,
        .worker_count = k->workers,
        .stall_ns = SLEY_NEVER,
    };
    CHECK_RC(sley_runtime_init(rt, &o), 0);
}

void kind_start(struct sley_runtime *rt, const struct kind *k)
{
    start(rt, k, harness_alloc());
}

void kind_start_forked(struct sley_runtime *rt, const struct kind *k)
{
    start(rt, k, NULL);
}

void kind_run(struct sley_runtime *rt, const struct sley_task_type *type, const void *args)
{
    int result = -EIO;
    CHECK_RC(sley_runtime_run(rt, type, args, &result), 0);
    CHECK_RC(result, 0);
}

void kind_end(struct sley_runtime *rt)
{
    CHECK_RC(sley_runtime_stop(rt, SLEY_NEVER), 0);
    CHECK_RC(sley_runtime_fini(rt), 0);
}

static struct {
    pthread_t thread;
    sem_t over;
} catcher;

static void *catch (void *arg)
{
    sigset_t none;
    (void)arg;
    CHECK_INT(sigemptyset(&none), ==, 0);
    CHECK_INT(pthread_sigmask(SIG_SETMASK, &none, NULL), ==, 0);
    while (sem_wait(&catcher.over) != 0) {
        CHECK_INT(errno, ==, EINTR);
    }
    return NULL;
}

void catcher_start(void)
{
    static const int caught[] = {SIGUSR1, SIGUSR2, SIGCHLD};
    sigset_t set;
    CHECK_INT(sigemptyset(&set), ==, 0);
    CHECK_INT(sigaddset(&set, SIGRTMIN), ==, 0);
    for (size_t i = 0; i < sizeof caught / sizeof caught[0]; i++) {
        CHECK_INT(sigaddset(&set, caught[i]), ==, 0);
    }
    CHECK_INT(pthread_sigmask(SIG_BLOCK, &set, NULL), ==, 0);
    CHECK_INT(sem_init(&catcher.over, 0, 0), ==, 0);
    CHECK_INT(pthread_create(&catcher.thread, NULL, catch, NULL), ==, 0);
}

void catcher_stop(void)
{
    CHECK_INT(sem_post(&catcher.over), ==, 0);
    CHECK_INT(pthread_join(catcher.thread, NULL), ==, 0);
    CHECK_INT(sem_destroy(&catcher.over), ==, 0);
}
