/* A wait in a crowd: after a look that has brought many completions the next wait asks for as many, for a moment. */
#include "uring_bed.h"

enum { PAIRS = 48, FEW = 3 };

static struct sley_fd fds[PAIRS];
static struct sley_io_op ops[PAIRS];
static int peers[PAIRS];
static char bytes[PAIRS];

/* the calls that may have waited: how many the greediest has asked for, and how */
static unsigned asked;
static bool limited;
static uint32_t moment;

static int noted(struct sley__uring *r, unsigned count, unsigned least, unsigned flags, void *arg, size_t size)
{
    if (least > asked) {
        const struct sley__uring_wait *w = arg;
        asked = least;
        limited = flags & IORING_ENTER_EXT_ARG;
        moment = limited ? w->moment_us : 0;
        CHECK(!limited || (size == sizeof *w && w->limit != 0));
    }
    return sley__uring_syscall_enter(r->enter_fd, count, least, flags | r->enter_flags, arg, size);
}

static void start(int i)
{
    bytes[i] = 0;
    io_start(&ops[i], &fds[i], SLEY_IO_RECV, &bytes[i], 1);
}

/** Returns: how many more have come. */
static int take_all(int first, int end)
{
    int done = 0;
    for (int i = first; i < end; i++) {
        if (sley_wait_done(&ops[i].wait) && bytes[i] != 0) {
            CHECK_RC(ops[i].wait.result, 1);
            CHECK_INT(bytes[i], ==, '!' + i);
            bytes[i] = 0;
            done++;
        }
    }
    return done;
}

static void put_letter(int i)
{
    const char letter = (char)('!' + i);
    CHECK_INT(write(peers[i], &letter, 1), ==, 1);
}

/** All of them are answered in one look; nothing is armed then. */
static void gather(void)
{
    for (int i = 0; i < PAIRS; i++) {
        peers[i] = unix_pair(&fds[i]);
        put_letter(i);
        start(i);
    }
    int done = 0;
    do {
        CHECK_INT(look(SLEY_NEVER), >=, 0);
        done += take_all(0, PAIRS);
    } while (done < PAIRS);
    CHECK_UINT(ring()->seen, ==, PAIRS);
    asked = moment = 0;
    limited = false;
}

static void disperse(void)
{
    for (int i = 0; i < PAIRS; i++) {
        if (!sley_wait_done(&ops[i].wait)) {
            CHECK_RC(sley_wait_fini(&ops[i].wait), -ECANCELED);
        }
        CHECK_RC(sley_fd_close(&fds[i]), 0);
        (void)close(peers[i]);
    }
    CHECK_UINT(ring()->flying_count, ==, 0);
}

static bool can_ask(void)
{
    return sley__uring_has(ring(), SLEY__URING_MIN_WAIT);
}

/** Without DEFER what comes may have told of itself before, and nobody has waited. */
static void expect_asked(unsigned n)
{
    if (asked > 0 || sley__uring_has(ring(), SLEY__URING_DEFER)) {
        const bool by_many = n > 1 && can_ask();
        CHECK_UINT(asked, ==, by_many ? n : 1u);
        CHECK_UINT(moment, ==, by_many ? 50u : 0);
        CHECK(limited || !by_many);
    }
}

static void many(void)
{
    gather();
    for (int i = 0; i < PAIRS; i++) {
        start(i);
    }
    CHECK_INT(look(0), ==, 0); /* they wait in the kernel */
    ring()->seen = PAIRS;
    for (int i = 0; i < PAIRS; i++) {
        put_letter(i);
    }
    int done = 0, looks = 0;
    do {
        CHECK_INT(look(SLEY_NEVER), >, 0);
        done += take_all(0, PAIRS);
        looks++;
    } while (done < PAIRS);
    expect_asked(PAIRS - PAIRS / 8); /* a look between has brought nothing */
    if (can_ask() && sley__uring_has(ring(), SLEY__URING_DEFER)) {
        CHECK_INT(looks, <=, 2); /* not 20 at a time */
    }
    disperse();
}

SLEY_TEST(wait_after_a_look_that_has_brought_many_asks_for_many, "")
{
    in_ring((struct sley__uring_opts){.enter = noted}, many);
}

SLEY_TEST(wait_without_min_wait_asks_for_one, "URING-14")
{
    in_ring((struct sley__uring_opts){.enter = noted, .without = uring_without("min_wait")}, many);
    in_ring((struct sley__uring_opts){.enter = noted, .without = uring_without("min_wait defer_taskrun coop_taskrun")}, many);
}

SLEY_TEST(wait_asks_for_many_without_deferred_completions, "URING-14")
{
    in_ring((struct sley__uring_opts){.enter = noted, .without = uring_without("defer_taskrun")}, many);
}

static void lone(void)
{
    gather();
    for (int i = 0; i < PAIRS; i++) {
        start(i);
    }
    put_letter(7);
    CHECK_INT(look(SLEY_NEVER), ==, 1); /* it found that on its way in, or waited for a moment */
    CHECK_RC(until_done(&ops[7].wait), 1);
    expect_asked(PAIRS);
    asked = moment = 0;
    start(7);
    put_letter(8);
    CHECK_INT(look(SLEY_NEVER), ==, 1);
    CHECK_RC(until_done(&ops[8].wait), 1);
    expect_asked(1);
    disperse();
}

SLEY_TEST(lone_message_after_a_crowd_is_not_kept_for_others, "")
{
    in_ring((struct sley__uring_opts){.enter = noted}, lone);
}

static void *ring_late(void *arg)
{
    struct sley_reactor *r = arg;
    r->ops->wake(r);
    return NULL;
}

/** Nothing comes, and there is no deadline: the moment is not the end of the wait, a wake is. */
static void nobody(void)
{
    pthread_t t;
    gather();
    for (int i = 0; i < PAIRS; i++) {
        start(i);
    }
    CHECK_INT(pthread_create(&t, NULL, ring_late, reactor()), ==, 0);
    CHECK_INT(look(SLEY_NEVER), ==, 0);
    CHECK_INT(pthread_join(t, NULL), ==, 0);
    expect_asked(PAIRS);
    disperse();
}

SLEY_TEST(wake_ends_a_wait_for_many, "")
{
    in_ring((struct sley__uring_opts){.enter = noted}, nobody);
}

static void few(void)
{
    gather();
    for (int i = 0; i < FEW; i++) {
        put_letter(i);
        start(i);
    }
    CHECK_INT(look(SLEY_NEVER), ==, FEW);
    CHECK_INT(take_all(0, FEW), ==, FEW);
    expect_asked(FEW);
    disperse();
}

SLEY_TEST(wait_asks_for_no_more_than_is_in_flight, "")
{
    in_ring((struct sley__uring_opts){.enter = noted}, few);
}

static void soon(void)
{
    gather();
    for (int i = 0; i < PAIRS; i++) {
        start(i);
    }
    CHECK_INT(look(20 * SLEY_US), ==, 0);
    expect_asked(1);
    disperse();
}

SLEY_TEST(wait_with_a_deadline_within_the_moment_asks_for_one, "")
{
    in_ring((struct sley__uring_opts){.enter = noted}, soon);
}
