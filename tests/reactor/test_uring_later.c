/* Receives in turn: where more are armed than one look handles, each look hands over a share of them, the oldest first. */
#include "bed.h"

#include "reactor/uring/uring.h"

#include <errno.h>

enum { PAIRS = 470 }; /* with their peers below the usual limit of 1,024 descriptors */

static struct sley_fd fds[PAIRS];
static struct sley_io_op ops[PAIRS];
static int peers[PAIRS];
static char bytes[PAIRS];

static struct sley__uring *ring(void)
{
    return sley_container_of(reactor(), struct sley__uring, base);
}

static void open_all(void)
{
    for (int i = 0; i < PAIRS; i++) {
        peers[i] = unix_pair(&fds[i]);
    }
}

static void close_all(void)
{
    for (int i = 0; i < PAIRS; i++) {
        CHECK_RC(sley_fd_close(&fds[i]), 0);
        (void)close(peers[i]);
    }
    CHECK_UINT(reactor()->armed_count, ==, 0);
    CHECK_UINT(ring()->flying_count, ==, 0);
}

static void start(int i)
{
    bytes[i] = 0;
    io_start(&ops[i], &fds[i], SLEY_IO_RECV, &bytes[i], 1);
    CHECK(!sley_wait_done(&ops[i].wait));
}

static uint32_t waiting(void)
{
    return ring()->later.tail - ring()->later.head;
}

static bool is_put_off(int i)
{
    return sley__uring_is_later(ring(), &ops[i]);
}

FIBER_TEST(receives_beyond_a_share_come_in_turn_and_none_comes_twice_before_the_last, "")
{
    static uint32_t turns[PAIRS];
    open_all();
    for (int i = 0; i < PAIRS; i++) {
        put(peers[i], "abcdefghijklmnopqrst");
        start(i);
    }
    CHECK_UINT(waiting(), ==, PAIRS - SLEY__URING_SHARE - 1);
    for (uint32_t done = 0; done < 4 * PAIRS;) {
        uint32_t least = UINT32_MAX, most = 0;
        CHECK_INT(look(0), >=, 0);
        for (int i = 0; i < PAIRS; i++) {
            if (sley_wait_done(&ops[i].wait)) {
                CHECK_RC(until_done(&ops[i].wait), 1);
                CHECK_INT(bytes[i], ==, 'a' + (int)turns[i]);
                turns[i]++;
                done++;
                start(i);
            }
        }
        for (int i = 0; i < PAIRS; i++) {
            least = turns[i] < least ? turns[i] : least;
            most = turns[i] > most ? turns[i] : most;
        }
        CHECK_UINT(most - least, <=, 2); /* within a look they start again in another order */
    }
    close_all();
}

FIBER_TEST(receives_that_wait_for_nothing_do_not_keep_back_those_that_have_something, "")
{
    open_all();
    for (int i = 0; i < PAIRS; i++) {
        start(i);
    }
    put(peers[PAIRS - 1], "x");
    CHECK_RC(until_done(&ops[PAIRS - 1].wait), 1);
    CHECK_UINT(waiting(), ==, 0);
    put(peers[0], "y");
    CHECK_RC(until_done(&ops[0].wait), 1); /* it waits in the kernel: the look before has brought little */
    close_all();
}

FIBER_TEST(receive_that_waits_for_its_turn_is_cancelled_and_loses_no_byte, "")
{
    open_all();
    for (int i = 0; i < PAIRS; i++) {
        start(i);
    }
    const int empty = PAIRS - 2, full = PAIRS - 1;
    CHECK(is_put_off(empty) && is_put_off(full));
    put(peers[full], "z");
    sley_wait_cancel(&ops[empty].wait);
    sley_wait_cancel(&ops[full].wait);
    CHECK(!is_put_off(empty) && !is_put_off(full));
    CHECK_RC(until_done(&ops[empty].wait), -ECANCELED);
    if (until_done(&ops[full].wait) == -ECANCELED) {
        start(full);
        CHECK_RC(until_done(&ops[full].wait), 1);
    }
    CHECK_INT(bytes[full], ==, 'z');
    for (int i = 0; i < PAIRS; i++) {
        if (!sley_wait_done(&ops[i].wait)) {
            CHECK_RC(sley_wait_fini(&ops[i].wait), -ECANCELED);
        }
    }
    close_all();
}

FIBER_TEST(line_of_receives_does_not_grow_for_those_that_have_left_it, "")
{
    enum { FIRST = 300, LEFT = 200, DIRECT = SLEY__URING_SHARE + 1 };
    open_all();
    for (int i = 0; i < FIRST; i++) {
        start(i);
    }
    const uint32_t size = ring()->later.size;
    for (int i = DIRECT; i < DIRECT + LEFT; i++) {
        sley_wait_cancel(&ops[i].wait);
    }
    for (int i = FIRST; i < PAIRS; i++) {
        start(i);
    }
    CHECK_UINT(ring()->later.size, ==, size);
    CHECK_UINT(waiting(), ==, PAIRS - DIRECT - LEFT);
    for (int i = 0; i < PAIRS; i++) {
        const bool left = i >= DIRECT && i < DIRECT + LEFT;
        if (!left) {
            put(peers[i], "l");
        }
        CHECK_RC(until_done(&ops[i].wait), left ? -ECANCELED : 1);
    }
    close_all();
}

FIBER_TEST(closes_complete_receives_that_wait_for_their_turn, "")
{
    open_all();
    for (int i = 0; i < PAIRS; i++) {
        start(i);
    }
    CHECK_UINT(waiting(), >, 0);
    close_all();
    for (int i = 0; i < PAIRS; i++) {
        CHECK_RC(until_done(&ops[i].wait), -ECANCELED);
    }
}

static void *refuse(struct sley_alloc *self, size_t size, size_t align)
{
    (void)self, (void)size, (void)align;
    return NULL;
}

static void give_back(struct sley_alloc *self, void *ptr, size_t size)
{
    (void)self;
    CHECK(ptr == NULL || size == 0);
}

FIBER_TEST(receives_for_which_there_is_no_line_are_submitted_at_once, "")
{
    static const struct sley_alloc_ops ops_of_none = {.version = SLEY_ALLOC_VERSION, .alloc = refuse, .free = give_back};
    struct sley_alloc none = {.ops = &ops_of_none}, *usual = ring()->alloc;
    open_all();
    for (int i = 0; i < PAIRS; i++) { /* each has its slot */
        CHECK_RC(io(&fds[i], SLEY_IO_SEND, bytes, 1), 1);
    }
    ring()->alloc = &none;
    for (int i = 0; i < PAIRS; i++) {
        start(i);
    }
    ring()->alloc = usual;
    CHECK_UINT(waiting(), ==, 0);
    for (int i = PAIRS - 1; i >= 0; i--) {
        put(peers[i], "m");
        CHECK_RC(until_done(&ops[i].wait), 1);
    }
    close_all();
}
