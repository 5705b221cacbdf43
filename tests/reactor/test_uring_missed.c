/* Requests to end something that the kernel does not find are made again; and polls that it would answer unasked wait without asking. */
#include "uring_bed.h"

static unsigned astray; /* how many of the next requests to end something name nothing that there is */
static unsigned asked;  /* how many there have been */

static int lose_some(struct sley__uring *r, unsigned count, unsigned least, unsigned flags, void *arg, size_t size)
{
    struct io_uring_sq *sq = &r->ring.sq;
    for (unsigned at = *sq->khead; at != sq->sqe_tail; at++) {
        struct io_uring_sqe *sqe = &sq->sqes[at & sq->ring_mask];
        if (sqe->opcode == IORING_OP_ASYNC_CANCEL) {
            asked++;
            sqe->addr = astray > 0 ? 1U << 12 : sqe->addr;
            astray -= astray > 0;
        }
    }
    return counted(r, count, least, flags, arg, size);
}

static const char *const kernels[] = {"", "poll_multi", "cqe_skip", "recv_multi accept_multi",
                                      "defer_taskrun coop_taskrun single_issuer"};

static void in_rings(void (*fn)(void))
{
    for (size_t i = 0; i < sizeof kernels / sizeof kernels[0]; i++) {
        in_ring((struct sley__uring_opts){.without = uring_without(kernels[i]), .enter = lose_some}, fn);
    }
}

/* ---- what is missed ----------------------------------------------------------------------------------------------------- */

static void cancel_astray(void)
{
    struct sley_fd fds[2];
    struct sley_io_op ops[3] = {0};
    char bytes[2];
    const int peers[] = {unix_pair(&fds[0]), unix_pair(&fds[1])};
    io_start(&ops[0], &fds[0], SLEY_IO_RECV, &bytes[0], 1);
    io_start(&ops[1], &fds[0], SLEY_IO_POLL, NULL, SLEY_IO_IN);
    io_start(&ops[2], &fds[1], SLEY_IO_RECV, &bytes[1], 1);
    CHECK_INT(look(0), ==, 0);
    astray = 3;
    asked = 0;
    sley_wait_cancel(&ops[0].wait);
    sley_wait_cancel(&ops[1].wait);
    CHECK_RC(until_done(&ops[0].wait), -ECANCELED);
    CHECK_RC(until_done(&ops[1].wait), -ECANCELED);
    CHECK_UINT(astray, ==, 0);
    CHECK_UINT(asked, <=, 8);             /* 2, 2 again, of which the second is found; and the first once more; not one for each look */
    CHECK(!sley_wait_done(&ops[2].wait)); /* nobody has asked for this one's end */
    put(peers[1], "x");
    CHECK_RC(until_done(&ops[2].wait), 1);
    for (int i = 0; i < 2; i++) {
        CHECK_RC(sley_fd_close(&fds[i]), 0);
        (void)close(peers[i]);
    }
}

SLEY_TEST(cancel_that_has_not_found_its_op_is_made_again_and_for_that_descriptor_alone, "")
{
    in_rings(cancel_astray);
}

/** Two accepts in a row, and one that waits: from then on it stands. */
static void dismissal_astray(void)
{
    struct sockaddr_in addr;
    struct sley_fd listener, fd;
    struct sley_io_op op = {0};
    sley_fd_init(&listener, tcp_listener(&addr, 8));
    for (int i = 0; i < 2; i++) {
        const int peer = tcp_dial(&addr);
        io_start(&op, &listener, SLEY_IO_ACCEPT, NULL, 0);
        CHECK_RC(until_done(&op.wait), 0);
        sley_fd_init_from(&fd, &op);
        CHECK_RC(sley_fd_close(&fd), 0);
        (void)close(peer);
    }
    io_start(&op, &listener, SLEY_IO_ACCEPT, NULL, 0);
    CHECK_INT(look(0), ==, 0);
    CHECK(stands(&listener) == sley__uring_has(ring(), SLEY__URING_ACCEPT_MULTI));
    astray = 2;
    CHECK_RC(sley_fd_close(&listener), 0); /* waits for the end of what stands */
    CHECK_RC(until_done(&op.wait), -ECANCELED);
    CHECK_UINT(astray, ==, 0);
}

SLEY_TEST(close_waits_for_no_accept_that_stands_and_was_missed, "")
{
    in_rings(dismissal_astray);
}

/* ---- polls ---------------------------------------------------------------------------------------------------------------- */

/** Sends until not one byte more is taken. */
static void fill(const struct sley_fd *fd)
{
    static const char block[4096];
    while (send(fd->number, block, sizeof block, MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
    }
    while (send(fd->number, block, 1, MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
    }
}

/** A full socket whose peer has shut its side down. Returns: the peer. */
static int full_pair(struct sley_fd *fd)
{
    const int peer = unix_pair(fd);
    fill(fd);
    CHECK_INT(shutdown(peer, SHUT_WR), ==, 0);
    return peer;
}

static void empty(int peer)
{
    char block[4096];
    while (recv(peer, block, sizeof block, MSG_DONTWAIT) > 0) {
    }
}

static void wait_for_room(void)
{
    struct sley_fd fd;
    struct sley_io_op op = {0}, other = {0};
    const int peer = full_pair(&fd);
    for (int i = 0; i < 3; i++) {
        io_start(&op, &fd, SLEY_IO_POLL, NULL, SLEY_IO_OUT);
        for (int k = 0; k < 4; k++) {
            CHECK_INT(look(0), >=, 0);
        }
        const unsigned before = submitted;
        for (int k = 0; k < 20; k++) {
            CHECK_INT(look(0), ==, 0);
        }
        CHECK_UINT(submitted, ==, before); /* it waits in the kernel */
        CHECK(!sley_wait_done(&op.wait));
        if (i == 0) {
            CHECK_RC(sley_wait_fini(&op.wait), -ECANCELED);
        } else if (i == 1) { /* something has come, and it has been asked to end */
            empty(peer);
            CHECK_RC(until_done(&op.wait), SLEY_IO_OUT);
            fill(&fd);
        } else { /* more than one, and the other's end */
            io_start(&other, &fd, SLEY_IO_POLL, NULL, SLEY_IO_OUT);
            CHECK_INT(look(0), >=, 0);
            (void)close(peer);
            CHECK(until_done(&op.wait) & SLEY_IO_HUP);
            CHECK(until_done(&other.wait) & SLEY_IO_HUP);
        }
    }
    CHECK_RC(sley_fd_close(&fd), 0);
    CHECK_UINT(reactor()->armed_count, ==, 0);
    CHECK_UINT(ring()->flying_count, ==, 0);
}

SLEY_TEST(poll_for_room_at_a_peer_that_has_shut_its_side_down_waits_without_asking_again, "")
{
    in_rings(wait_for_room);
}

/** There was room, and is none any more when the poll has been ended: it waits on. A request to end it that was missed is made again. */
static void room_that_goes(void)
{
    struct sley_fd fd;
    struct sley_io_op op = {0};
    const int peer = full_pair(&fd);
    io_start(&op, &fd, SLEY_IO_POLL, NULL, SLEY_IO_OUT);
    for (int k = 0; k < 4; k++) {
        CHECK_INT(look(0), >=, 0);
    }
    empty(peer);
    astray = 2;
    for (int k = 0; k < 8 && op.out_number != SLEY__URING_POLL_CAME; k++) {
        CHECK_INT(look(0), >=, 0);
    }
    CHECK_INT(op.out_number, ==, SLEY__URING_POLL_CAME);
    fill(&fd);
    for (int k = 0; k < 16; k++) {
        CHECK_INT(look(0), >=, 0);
    }
    CHECK_UINT(astray, ==, 0);
    CHECK(!sley_wait_done(&op.wait));
    empty(peer);
    CHECK_RC(until_done(&op.wait), SLEY_IO_OUT);
    CHECK_RC(sley_fd_close(&fd), 0);
    (void)close(peer);
}

SLEY_TEST(poll_for_room_that_has_gone_again_waits_on, "")
{
    in_rings(room_that_goes);
}

/** As a plain send (test_uring_thread.c), by an op that asks for no copy: a Unix socket knows none, and it is done as a plain one. */
static void cancel_no_copy_to_half_closed(void)
{
    static char much[8 << 20];
    struct sley_fd fd;
    const int peer = full_pair(&fd);
    for (unsigned looks = 0; looks < 6; looks++) {
        struct sley_file_op op = {.io = {.fd = &fd, .buf = much, .len = sizeof much, .code = SLEY_IO_SEND_ZC}};
        sley_io_submit(&op.io);
        for (unsigned n = 0; n < looks; n++) {
            CHECK_INT(look(0), >=, 0);
        }
        sley_wait_cancel(&op.io.wait);
        CHECK_RC(until_done(&op.io.wait), -ECANCELED);
    }
    CHECK_RC(sley_fd_close(&fd), 0);
    (void)close(peer);
}

SLEY_TEST(cancel_that_does_not_find_a_send_without_a_copy_is_asked_again, "")
{
    in_rings(cancel_no_copy_to_half_closed);
}
