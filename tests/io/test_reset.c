/* TCP connections that are reset, in every state: idle, reading, writing, half-closed; by the peer and from here. */
#include "io_test.h"

enum { MUCH = 16 << 20 };
static unsigned char much[MUCH];

static const struct sley_tcp_opts small_buffers = {.send_buffer_bytes = 8192, .recv_buffer_bytes = 8192};

IO_TEST(tcp_reset_while_reading, "TCP-13")
{
    struct io_pair p;
    struct sley_addr a;
    char buf[8];
    size_t done = 99;
    for (int exact = 0; exact < 2; exact++) {
        io_pair(&p, NULL);
        SLEY_OP(struct sley_io_op, reading);
        if (exact) {
            CHECK_RC(sley_stream_write(&p.b.stream, "ab", 2), 2);
            sley_stream_read_exact_start(&reading, &p.a.stream, buf, 8, &done);
        } else {
            sley_stream_read_start(&reading, &p.a.stream, buf, 8);
        }
        io_settle();
        CHECK(!sley_wait_done(&reading.wait));
        sley_stream_abort(&p.b.stream);
        CHECK_RC(sley_await(&reading.wait), -ECONNRESET);
        CHECK_UINT(done, ==, exact ? 2u : 99u);
        CHECK_RC(sley_tcp_local(&p.a, &a), 0);
        for (int i = 0; i < 3; i++) {
            CHECK_RC(sley_stream_read(&p.a.stream, buf, 8), -ECONNRESET);
            CHECK_RC(sley_stream_read_exact(&p.a.stream, buf, 8, &done), -ECONNRESET);
            CHECK_UINT(done, ==, 0);
            CHECK_INT(sley_stream_write(&p.a.stream, "x", 1), <, 0);
            CHECK_RC(sley_stream_flush(&p.a.stream), -ECONNRESET);
            CHECK_RC(sley_stream_shutdown(&p.a.stream), -ECONNRESET);
        }
        sley_stream_abort(&p.b.stream);
        CHECK_RC(sley_stream_close(&p.b.stream), 0);
        CHECK_RC(sley_stream_close(&p.a.stream), 0);
    }
    return 0;
}

IO_TEST(tcp_reset_while_writing_ends_the_write_and_its_shutdown, "TCP-14")
{
    struct io_pair p;
    size_t done = 0;
    io_pair(&p, &small_buffers);
    SLEY_OP(struct sley_io_op, writing);
    SLEY_OP(struct sley_io_op, ending);
    sley_stream_write_all_start(&writing, &p.a.stream, much, MUCH, &done);
    sley_stream_shutdown_start(&ending, &p.a.stream);
    CHECK(!sley_wait_done(&writing.wait));
    sley_stream_abort(&p.b.stream);
    CHECK_RC(sley_await(&writing.wait), -ECONNRESET);
    CHECK_UINT(done, <, MUCH);
    CHECK_RC(sley_await(&ending.wait), -ECONNRESET);
    CHECK_INT(sley_stream_write(&p.a.stream, "x", 1), <, 0);
    CHECK_RC(sley_stream_read(&p.a.stream, much, 1), -ECONNRESET); /* not an end of file */
    CHECK_RC(sley_stream_close(&p.a.stream), 0);
    return 0;
}

/** The peer has closed for good: what is written to it comes back as a reset, at the latest by the second write or so. */
IO_TEST(tcp_writes_to_a_peer_that_is_gone_end_with_an_error, "TCP-14")
{
    struct io_pair p;
    char buf[8];
    io_pair(&p, NULL);
    CHECK_RC(sley_stream_write(&p.b.stream, "bye", 3), 3);
    CHECK_RC(sley_stream_close(&p.b.stream), 0);
    int rc = 0, writes = 0;
    while (writes++ < 100000 && (rc = sley_stream_write(&p.a.stream, "x", 1)) > 0) {
        io_settle();
    }
    CHECK(rc == -EPIPE || rc == -ECONNRESET);
    CHECK_RC(sley_stream_read(&p.a.stream, buf, 8), 3); /* what came before the error */
    rc = sley_stream_read(&p.a.stream, buf, 8);
    CHECK(rc == 0 || rc == -ECONNRESET);
    CHECK_RC(sley_stream_close(&p.a.stream), 0);
    return 0;
}

IO_TEST(tcp_reset_of_an_idle_connection_is_met_by_the_next_call, "TCP-13")
{
    struct io_pair p;
    char buf[8];
    io_pair(&p, NULL);
    CHECK_RC(sley_stream_write(&p.b.stream, "ab", 2), 2);
    io_wait_in(p.a.fd.number);
    CHECK_RC(sley_stream_read(&p.a.stream, buf, 8), 2);
    sley_stream_abort(&p.b.stream);
    io_wait_in(p.a.fd.number);
    CHECK_RC(sley_stream_read(&p.a.stream, buf, 8), -ECONNRESET);
    CHECK_RC(sley_stream_close(&p.a.stream), 0);
    io_pair(&p, NULL);
    sley_stream_abort(&p.b.stream);
    io_wait_in(p.a.fd.number);
    CHECK_RC(sley_stream_write(&p.a.stream, "x", 1), -ECONNRESET);
    CHECK_RC(sley_stream_write(&p.a.stream, "x", 0), -ECONNRESET);
    CHECK_RC(sley_stream_read(&p.a.stream, buf, 8), -ECONNRESET);
    CHECK_RC(sley_stream_close(&p.a.stream), 0);
    return 0;
}

IO_TEST(tcp_abort_ends_what_is_in_flight_here, "")
{
    struct io_pair p;
    char buf[8];
    io_pair(&p, &small_buffers);
    SLEY_OP(struct sley_io_op, reading);
    SLEY_OP(struct sley_io_op, writing);
    sley_stream_read_start(&reading, &p.a.stream, buf, sizeof buf);
    sley_stream_write_all_start(&writing, &p.a.stream, much, MUCH, NULL);
    sley_stream_abort(&p.a.stream);
    CHECK_RC(sley_await(&reading.wait), -ECANCELED);
    CHECK_RC(sley_await(&writing.wait), -ECANCELED);
    CHECK_RC(sley_stream_read(&p.a.stream, buf, 1), -EBADF);
    int n;
    while ((n = sley_stream_read(&p.b.stream, much, MUCH)) > 0) {
    }
    CHECK_RC(n, -ECONNRESET);
    CHECK_RC(sley_stream_close(&p.b.stream), 0);
    io_pair(&p, NULL);
    CHECK_RC(sley_tcp_set_reset_on_close(&p.a, true), 0);
    CHECK_RC(sley_stream_close(&p.a.stream), 0);
    CHECK_RC(sley_stream_read(&p.b.stream, buf, 1), -ECONNRESET);
    CHECK_RC(sley_stream_close(&p.b.stream), 0);
    return 0;
}
