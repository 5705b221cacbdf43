/* A plain thread talks to a task over channels: the same calls, which park the thread instead of a task. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <sley/sley.h>

SLEY_MPSC_TYPE(questions, int, 4)
SLEY_MPSC_TYPE(answers, long, 4)

struct channels {
    struct questions *questions;
    struct answers *answers;
};

/** The task: squares what it is asked, until nobody asks any more. */
static int square(struct channels *c)
{
    int n, rc;
    while ((rc = questions_recv(c->questions, &n)) == 1) {
        const long answer = (long)n * n;
        if ((rc = answers_send(c->answers, &answer)) < 0) {
            break;
        }
    }
    answers_close(c->answers);
    return rc;
}
SLEY_FIBER(square, struct channels)

/** The thread: belongs to no runtime, and waits in the very same calls. */
static void *ask(void *arg)
{
    const struct channels *c = arg;
    long answer = 0;
    int rc = 0;
    for (int n = 1; n <= 5 && rc >= 0; n++) {
        if ((rc = questions_send(c->questions, &n)) == 0 && (rc = answers_recv(c->answers, &answer)) == 1) {
            printf("%d squared is %ld\n", n, answer);
        }
    }
    questions_close(c->questions); /* the task's receive returns 0: it ends */
    return rc == 1 ? arg : NULL;
}

int main(void)
{
    static struct questions questions;
    static struct answers answers;
    struct channels channels = {&questions, &answers};
    struct sley_runtime runtime = {0};
    pthread_t thread;
    void *asked = NULL;
    int result = 0;

    int rc = questions_init(&questions);
    rc = rc < 0 ? rc : answers_init(&answers);
    rc = rc < 0 ? rc : sley_runtime_init(&runtime, NULL);
    rc = rc < 0 ? rc : -pthread_create(&thread, NULL, ask, &channels);
    if (rc < 0) {
        fprintf(stderr, "blocking_from_thread: %s\n", strerror(-rc));
        return 1;
    }
    rc = sley_runtime_run(&runtime, &square__type, &channels, &result);
    questions_close(&questions); /* if the task could not run, the thread must not wait for it */
    answers_close(&answers);
    const int joined = pthread_join(thread, &asked);
    int ended = sley_runtime_stop(&runtime, sley_after_ns(SLEY_S));
    ended = ended < 0 ? ended : sley_runtime_fini(&runtime);
    answers_fini(&answers, NULL);
    questions_fini(&questions, NULL);
    return rc < 0 || result < 0 || joined != 0 || !asked || ended < 0;
}
