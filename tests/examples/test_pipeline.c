/* Producer and consumer over a bounded channel as a user would write them, with an orderly end: what was sent is worked on. */
#include <stdio.h>

#include "rig.h"

struct item {
    uint64_t id;
    char text[56];
};
SLEY_MPSC_TYPE(items, struct item, 128)

struct side {
    struct items *ch;
};

static struct {
    uint64_t sent, worked;
    uint64_t work_ns;
} seen;

static int producer(struct side *s)
{
    for (uint64_t id = 0;; id++) {
        struct item item = {.id = id};
        (void)snprintf(item.text, sizeof item.text, "item %llu", (unsigned long long)id);
        const int rc = items_send(s->ch, &item);
        if (rc < 0) {
            return rc == -ECANCELED ? 0 : rc;
        }
        seen.sent++;
    }
}
SLEY_FIBER(producer, struct side)

static int work(const struct item *it)
{
    CHECK_UINT(it->id, ==, seen.worked); /* in order, none lost */
    char text[56];
    (void)snprintf(text, sizeof text, "item %llu", (unsigned long long)it->id);
    CHECK_STR(it->text, text);
    seen.worked++;
    return sley_sleep(seen.work_ns);
}

static int consumer(struct side *s)
{
    struct item it;
    int rc;
    while ((rc = items_recv(s->ch, &it)) == 1) {
        if ((rc = work(&it)) < 0) {
            return rc;
        }
    }
    return rc;
}
SLEY_FIBER(consumer, struct side)

static struct items ch;

/** Runs for a second, then stops the producer, lets the consumer drain for at most 30 s. */
static int app(void *unused)
{
    (void)unused;
    struct sley_scope prod, cons; /* two, because the end is ordered */
    int rc = items_init(&ch);
    if (rc < 0) {
        return rc;
    }
    CHECK_RC(sley_scope_init(&cons, NULL), 0);
    CHECK_RC(sley_scope_init(&prod, NULL), 0);
    rc = SLEY_SPAWN(&cons, consumer, .ch = &ch);
    if (rc == 0) {
        rc = SLEY_SPAWN(&prod, producer, .ch = &ch);
    }
    if (rc == 0) {
        rc = sley_sleep(SLEY_S); /* or a signal, or whatever ends the program */
    }
    CHECK_RC(sley_scope_fini(&prod), 0); /* cancels and waits */
    items_close(&ch);
    sley_scope_deadline(&cons, sley_after_ns(30 * SLEY_S));
    if (sley_scope_wait(&cons) == -ETIMEDOUT) {
        rc = -ETIMEDOUT;
    }
    (void)sley_scope_fini(&cons); /* its verdict was wait's */
    items_fini(&ch, NULL);
    return rc;
}
SLEY_FIBER(app, void)

SLEY_TEST(pipeline_stopped_works_off_what_was_sent, "")
{
    seen.work_ns = 10 * SLEY_MS;
    CHECK_RC(rig_run("none", &app__type, NULL, NULL), 0);
    CHECK_UINT(seen.sent, >, 128);
    CHECK_UINT(seen.worked, ==, seen.sent);
}

SLEY_TEST(pipeline_whose_drain_takes_too_long_times_out, "")
{
    uint64_t took;
    seen.work_ns = SLEY_S;
    CHECK_RC(rig_run("none", &app__type, NULL, &took), -ETIMEDOUT);
    CHECK_UINT(seen.worked, <, seen.sent);
    CHECK_UINT(took, >=, 31 * SLEY_S);
    CHECK_UINT(took, <=, 32 * SLEY_S);
}
