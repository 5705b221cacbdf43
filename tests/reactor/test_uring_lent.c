/* Receives into lent buffers over a ring: the kernel's stock of them. */
#include "uring_lent_bed.h"

#include <errno.h>

static bool without(enum sley__uring_feature f)
{
    if (!sley__uring_has(ring(), f)) {
        harness_note("without %s: nothing to see", sley__uring_kinds[f].name);
        return true;
    }
    return false;
}

static void close_both(struct sley_fd *fd, int peer)
{
    CHECK_RC(sley_fd_close(fd), 0);
    (void)close(peer);
}

/** In users' hands. */
static uint32_t out(void)
{
    return reactor()->lend.pool->out_count - ring()->stock.count - ring()->stock.kept;
}

/* ---- the stock --------------------------------------------------------------------------------------------------------- */

static void one_submission(void)
{
    enum { ROUNDS = 20 };
    struct sley_fd fd;
    struct receive x = {0};
    const int peer = unix_pair(&fd); /* datagrams and what may carry descriptors are asked for one by one */
    start(&x, &fd);
    CHECK_INT(look(0), >=, 0);
    put(peer, "first");
    expect(&x, "first");
    if (!without(SLEY__URING_BUFFER_RING)) {
        const unsigned before = submitted;
        for (int i = 0; i < ROUNDS; i++) {
            start(&x, &fd);
            CHECK_INT(look(0), >=, 0);
            put(peer, "one");
            expect(&x, "one");
        }
        CHECK_UINT(submitted - before, ==, ROUNDS);
    }
    close_both(&fd, peer);
}

SLEY_TEST(receive_that_waits_for_its_bytes_and_its_buffer_is_one_submission, "")
{
    in_ring((struct sley__uring_opts){.enter = counted}, one_submission);
}

static void half(void)
{
    enum { BUFFERS = 8 };
    struct sley_fd fd[BUFFERS + 1];
    struct receive x[BUFFERS + 1] = {0};
    int peers[BUFFERS + 1];
    lend(16, BUFFERS);
    for (int i = 0; i <= BUFFERS; i++) {
        peers[i] = unix_pair(&fd[i]);
        start(&x[i], &fd[i]);
    }
    CHECK_INT(look(0), >=, 0);
    if (!without(SLEY__URING_BUFFER_RING)) {
        CHECK_UINT(ring()->stock.count, ==, BUFFERS / 2);
    }
    for (int i = 0; i < BUFFERS; i++) { /* all of them are to be had, whoever keeps them */
        put(peers[i], "x");
        keep(&x[i], "x");
        CHECK_UINT(ring()->stock.count, <=, BUFFERS / 2);
    }
    CHECK_UINT(ring()->stock.count, ==, 0);
    put(peers[BUFFERS], "last");
    while (!(x[BUFFERS].op.flags & SLEY__LEND_STARVED)) {
        CHECK(!sley_wait_done(&x[BUFFERS].op.wait));
        CHECK_INT(look(SLEY_NEVER), >=, 0);
    }
    for (int i = 0; i < BUFFERS; i++) {
        CHECK_RC(sley_lent_return(x[i].lent), 0);
    }
    expect(&x[BUFFERS], "last");
    CHECK_UINT(out(), ==, 0);
    for (int i = 0; i <= BUFFERS; i++) {
        close_both(&fd[i], peers[i]);
    }
}

SLEY_TEST(stock_is_half_of_the_pool_and_all_of_the_pool_can_be_had, "")
{
    in_ring((struct sley__uring_opts){0}, half);
}

static void grows(void)
{
    enum { CONNS = 100 };
    static struct sley_fd fd[CONNS];
    static struct receive x[CONNS];
    static int peers[CONNS];
    memset(x, 0, sizeof x);
    for (int i = 0; i < CONNS; i++) {
        peers[i] = unix_pair(&fd[i]);
        start(&x[i], &fd[i]);
    }
    CHECK_INT(look(0), >=, 0);
    const uint32_t before = ring()->stock.wanted;
    for (int i = 0; i < CONNS; i++) {
        put(peers[i], "all at once");
    }
    for (int i = 0; i < CONNS; i++) {
        keep(&x[i], "all at once");
    }
    CHECK_UINT(ring()->stock.wanted, >=, before);
    CHECK(!sley__uring_has(ring(), SLEY__URING_BUFFER_RING) || ring()->stock.wanted > before);
    for (int i = 0; i < CONNS; i++) {
        CHECK_RC(sley_lent_return(x[i].lent), 0);
        close_both(&fd[i], peers[i]);
    }
    CHECK_UINT(out(), ==, 0);
}

SLEY_TEST(stock_that_runs_out_grows_and_everyone_gets_a_buffer, "")
{
    in_ring((struct sley__uring_opts){0}, grows);
    in_ring((struct sley__uring_opts){.entry_count = 4, .result_count = 4}, grows);
    in_ring((struct sley__uring_opts){.without = uring_without("buffer_ring")}, grows);
}

static struct bed shared_bed;

static void receive_here(void)
{
    struct sley_fd fd;
    struct receive x = {0};
    const int peer = unix_pair(&fd);
    for (int i = 0; i < 3; i++) {
        start(&x, &fd);
        put(peer, "here");
        expect(&x, "here");
    }
    CHECK_UINT(out(), ==, 0);
    close_both(&fd, peer);
}

static void *drive_elsewhere(void *unused)
{
    (void)unused;
    bed_run(&shared_bed, receive_here);
    return NULL;
}

SLEY_TEST(stock_goes_with_a_ring_that_another_thread_takes_over, "")
{
    pthread_t t;
    ring_start(&shared_bed, (struct sley__uring_opts){0});
    bed_run(&shared_bed, receive_here);
    CHECK_INT(pthread_create(&t, NULL, drive_elsewhere, NULL), ==, 0);
    CHECK_INT(pthread_join(t, NULL), ==, 0);
    bed_run(&shared_bed, receive_here);
    bed_end(&shared_bed);
}
