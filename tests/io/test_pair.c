/* The pair of streams in memory. */
#include "mover.h"

IO_TEST(pair_write_takes_what_fits_and_waits_for_room, "STREAM-01")
{
    struct pair p;
    unsigned char out[64], in[64];
    pair_init(&p);
    io_fill(out, 0, sizeof out);
    CHECK_RC(sley_stream_write(p.a, out, 64), 32);
    SLEY_OP(struct sley_io_op, op);
    sley_stream_write_start(&op, p.a, out + 32, 32);
    CHECK(!sley_wait_done(&op.wait));
    CHECK_RC(sley_stream_read(p.b, in, 4), 4);
    CHECK(sley_wait_done(&op.wait));
    CHECK_RC(sley_await(&op.wait), 4);
    CHECK_RC(sley_stream_read(p.b, in + 4, sizeof in), 32);
    io_check(in, 0, 36);
    pair_fini(&p);
    return 0;
}

IO_TEST(pair_of_three_bytes_is_short_at_the_edge_and_whole_over_the_wrap, "EMB-07")
{
    struct sley_stream_pair p;
    unsigned char room[6], in[4];
    CHECK_RC(sley_stream_pair_init(&p, room, 3), 0);
    struct sley_stream *a = &p.a.stream, *b = &p.b.stream;
    CHECK_RC(sley_stream_write(a, "ab", 2), 2);
    CHECK_RC(sley_stream_read(b, in, 1), 1);
    CHECK(in[0] == 'a');
    CHECK_RC(sley_stream_write(a, "cdef", 4), 2); /* one byte is inside: room for two, one of them beyond the wrap */
    SLEY_OP(struct sley_io_op, full);
    sley_stream_write_start(&full, a, "g", 1);
    CHECK(!sley_wait_done(&full.wait));
    CHECK_RC(sley_stream_read(b, in, 4), 3);
    CHECK(memcmp(in, "bcd", 3) == 0);
    CHECK_RC(sley_await(&full.wait), 1);
    CHECK_RC(sley_stream_read(b, in, 4), 1);
    CHECK(in[0] == 'g');
    CHECK_RC(sley_stream_write(a, "xyzw", 4), 3); /* all the room again */
    CHECK_RC(sley_stream_close(a), 0);
    CHECK_RC(sley_stream_close(b), 0);
    CHECK_RC(sley_stream_pair_fini(&p), 0);
    return 0;
}

IO_TEST(pair_writer_goes_reader_gets_the_rest_then_the_end, "STREAM-02")
{
    struct pair p;
    unsigned char buf[BYTES];
    size_t done = 99;
    pair_init(&p);
    CHECK_RC(sley_stream_write(p.a, "hello", 5), 5);
    CHECK_RC(sley_stream_close(p.a), 0);
    CHECK_RC(sley_stream_read(p.b, buf, 2), 2);
    CHECK_RC(sley_stream_read_exact(p.b, buf, 4, &done), -ENODATA);
    CHECK_UINT(done, ==, 3);
    CHECK_RC(sley_stream_read(p.b, buf, sizeof buf), 0);
    CHECK_RC(sley_stream_read(p.b, buf, sizeof buf), 0);
    CHECK_RC(sley_stream_write(p.b, "x", 1), -EPIPE);
    CHECK_RC(sley_stream_read(p.a, buf, 1), -EBADF);
    CHECK_RC(sley_stream_write(p.a, buf, 1), -EBADF);
    CHECK_RC(sley_stream_shutdown(p.a), -EBADF);
    pair_fini(&p);
    return 0;
}

IO_TEST(pair_reader_goes_while_a_writer_waits, "STREAM-03 STREAM-05")
{
    struct pair p;
    unsigned char out[100] = {0};
    size_t done = 99;
    pair_init(&p);
    SLEY_OP(struct sley_io_op, op);
    sley_stream_write_all_start(&op, p.a, out, sizeof out, &done);
    CHECK(!sley_wait_done(&op.wait));
    CHECK_RC(sley_stream_close(p.b), 0);
    CHECK_RC(sley_await(&op.wait), -EPIPE);
    CHECK_UINT(done, ==, BYTES);
    CHECK_RC(sley_stream_write(p.a, out, 1), -EPIPE);
    CHECK_RC(sley_stream_write(p.a, out, 0), -EPIPE);
    pair_fini(&p);
    return 0;
}

IO_TEST(pair_zero_length_returns_at_once, "STREAM-04")
{
    struct pair p;
    unsigned char buf[BYTES];
    size_t done = 99;
    pair_init(&p);
    for (int full = 0; full < 2; full++) {
        CHECK_RC(sley_stream_read(p.b, buf, 0), 0);
        CHECK_RC(sley_stream_write(p.a, buf, 0), 0);
        CHECK_RC(sley_stream_read_exact(p.b, buf, 0, &done), 0);
        CHECK_UINT(done, ==, 0);
        done = 99;
        CHECK_RC(sley_stream_write_all(p.a, buf, 0, &done), 0);
        CHECK_UINT(done, ==, 0);
        if (!full) {
            CHECK_RC(sley_stream_write(p.a, buf, BYTES), BYTES);
        }
    }
    pair_fini(&p);
    return 0;
}

IO_TEST(pair_one_read_and_one_write_at_a_time, "")
{
    struct pair p;
    unsigned char buf[BYTES], more[1];
    pair_init(&p);
    SLEY_OP(struct sley_io_op, reading);
    sley_stream_read_start(&reading, p.a, buf, sizeof buf);
    CHECK_RC(sley_stream_read(p.a, more, 1), -EBUSY);
    CHECK_RC(sley_stream_write(p.a, "ab", 2), 2);
    CHECK_RC(sley_stream_write(p.b, "cd", 2), 2);
    CHECK_RC(sley_await(&reading.wait), 2);
    CHECK_RC(sley_stream_write(p.a, buf, BYTES), BYTES - 2);
    SLEY_OP(struct sley_io_op, writing);
    sley_stream_write_start(&writing, p.a, buf, 1);
    CHECK_RC(sley_stream_write(p.a, more, 1), -EBUSY);
    CHECK_RC(sley_stream_pair_fini(&p.p), -EBUSY);
    CHECK_RC(sley_stream_close(p.a), 0);
    CHECK_RC(sley_await(&writing.wait), -ECANCELED);
    pair_fini(&p);
    return 0;
}

IO_TEST(pair_shutdown_waits_for_the_write_in_flight, "TCP-11")
{
    struct pair p;
    unsigned char out[100], in[100];
    size_t done = 0, got = 0;
    pair_init(&p);
    io_fill(out, 0, sizeof out);
    SLEY_OP(struct sley_io_op, writing);
    SLEY_OP(struct sley_io_op, ending);
    SLEY_OP(struct sley_io_op, given_up);
    sley_stream_write_all_start(&writing, p.a, out, sizeof out, &done);
    sley_stream_shutdown_start(&ending, p.a);
    sley_stream_shutdown_start(&given_up, p.a);
    CHECK(!sley_wait_done(&ending.wait));
    CHECK_RC(sley_wait_fini(&given_up.wait), -ECANCELED);
    CHECK_RC(sley_stream_read_exact(p.b, in, sizeof in, &got), 0);
    CHECK_RC(sley_await(&writing.wait), 0);
    CHECK_UINT(done, ==, sizeof out);
    CHECK_RC(sley_await(&ending.wait), 0);
    io_check(in, 0, sizeof in);
    CHECK_RC(sley_stream_read(p.b, in, 1), 0);
    CHECK_RC(sley_stream_shutdown(p.a), 0);
    CHECK_RC(sley_stream_write(p.a, out, 1), -EPIPE);
    CHECK_RC(sley_stream_write(p.b, "back", 4), 4);
    CHECK_RC(sley_stream_read(p.a, in, sizeof in), 4);
    pair_fini(&p);
    return 0;
}

IO_TEST(pair_abort_resets_the_peer, "")
{
    struct pair p;
    unsigned char buf[BYTES];
    pair_init(&p);
    CHECK_RC(sley_stream_write(p.a, "lost", 4), 4);
    SLEY_OP(struct sley_io_op, reading);
    sley_stream_read_start(&reading, p.a, buf, sizeof buf);
    sley_stream_abort(p.b);
    CHECK_RC(sley_await(&reading.wait), -ECONNRESET);
    CHECK_RC(sley_stream_read(p.a, buf, 1), -ECONNRESET);
    CHECK_RC(sley_stream_write(p.a, buf, 1), -ECONNRESET);
    CHECK_RC(sley_stream_shutdown(p.a), -ECONNRESET);
    sley_stream_abort(p.b);
    pair_fini(&p);
    return 0;
}

IO_TEST(pair_cancel_loses_and_doubles_no_byte, "")
{
    struct pair p;
    unsigned char out[200], in[200], none[8];
    size_t done = 99, got = 99;
    pair_init(&p);
    io_fill(out, 0, sizeof out);
    SLEY_OP(struct sley_io_op, op);
    sley_stream_read_start(&op, p.b, none, sizeof none); /* before data */
    CHECK_RC(sley_wait_fini(&op.wait), -ECANCELED);
    sley_stream_write_all_start(&op, p.a, out, sizeof out, &done); /* in the middle */
    CHECK_RC(sley_stream_read_exact(p.b, in, 50, &got), 0);
    CHECK_RC(sley_wait_fini(&op.wait), -ECANCELED);
    CHECK_UINT(done, ==, 50 + BYTES);
    SLEY_OP(struct sley_io_op, late);
    sley_stream_write_all_start(&late, p.a, out + done, sizeof out - done, NULL);
    sley_stream_read_exact_start(&op, p.b, in + 50, sizeof in - 50, &got);
    sley_wait_cancel(&op.wait); /* after completion: nothing */
    CHECK_RC(sley_await(&op.wait), 0);
    CHECK_UINT(got, ==, 150);
    CHECK_RC(sley_await(&late.wait), 0);
    io_check(in, 0, sizeof in);
    sley_stream_read_exact_start(&op, p.b, in, 10, &got); /* with a part of it there */
    CHECK_RC(sley_stream_write(p.a, out, 3), 3);
    CHECK_RC(sley_wait_fini(&op.wait), -ECANCELED);
    CHECK_UINT(got, ==, 3);
    pair_fini(&p);
    return 0;
}

/** The same calls on a plain thread, which parks, as in a fiber. */
SLEY_TEST(pair_thread_writes_fiber_reads_in_random_pieces, "")
{
    struct pair p;
    pair_init(&p);
    struct mover w = {p.a, 100000 / harness_slowness()}, r = {p.b, w.total};
    pthread_t thread;
    CHECK_INT(pthread_create(&thread, NULL, write_thread, &w), ==, 0);
    io_run(&sley_reactor_epoll, &read_fiber__type, &r);
    CHECK_INT(pthread_join(thread, NULL), ==, 0);
    pair_fini(&p);
}

SLEY_TEST(pair_two_threads_move_bytes_both_ways, "")
{
    struct pair p;
    pair_init(&p);
    struct mover w = {p.a, 50000 / harness_slowness()}, r = {p.b, w.total}, w2 = {p.b, w.total}, r2 = {p.a, w.total};
    pthread_t one, two;
    CHECK_INT(pthread_create(&one, NULL, write_thread, &w), ==, 0);
    CHECK_INT(pthread_create(&two, NULL, write_thread, &w2), ==, 0);
    read_pieces(&r);
    read_pieces(&r2);
    CHECK_INT(pthread_join(one, NULL), ==, 0);
    CHECK_INT(pthread_join(two, NULL), ==, 0);
    pair_fini(&p);
}
