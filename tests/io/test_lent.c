/* Streams that read into buffers that are lent: TCP, a pair (which has no way of its own), threads, frames, several workers. */
#include "io_test.h"

#include <sley/lend_impl.h>
#include <sley/sley.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static void read_text(struct sley_stream *s, const char *text)
{
    struct sley_lent *l;
    CHECK_RC(sley_stream_read_lent(s, &l), (int)strlen(text));
    CHECK(memcmp(l->data, text, strlen(text)) == 0);
    CHECK_RC(sley_lent_return(l), 0);
}

static void write_text(struct sley_stream *s, const char *text)
{
    CHECK_RC(sley_stream_write_all(s, text, strlen(text), NULL), 0);
}

static void until_end(struct sley_stream *s)
{
    struct sley_lent *l;
    for (int i = 0; i < 2; i++) {
        CHECK_RC(sley_stream_read_lent(s, &l), 0);
        CHECK(l == NULL);
    }
}

IO_TEST(lent_read_takes_what_is_there_and_then_the_end, "TCP-19")
{
    struct io_pair p;
    struct sley_lent *l;
    io_pair(&p, NULL);
    write_text(&p.a.stream, "one");
    read_text(&p.b.stream, "one");
    write_text(&p.a.stream, "two");
    read_text(&p.b.stream, "two");
    CHECK_RC(sley_stream_shutdown(&p.a.stream), 0);
    until_end(&p.b.stream);
    CHECK_RC(sley_stream_close(&p.b.stream), 0);
    CHECK_RC(sley_stream_read_lent(&p.b.stream, &l), -EBADF);
    CHECK(l == NULL);
    io_pair_close(&p);
    return 0;
}

IO_TEST(lent_read_tells_a_reset_each_time, "")
{
    struct io_pair p;
    struct sley_lent *l;
    io_pair(&p, NULL);
    sley_stream_abort(&p.a.stream);
    for (int i = 0; i < 2; i++) {
        CHECK_RC(sley_stream_read_lent(&p.b.stream, &l), -ECONNRESET);
        CHECK(l == NULL);
    }
    io_pair_close(&p);
    return 0;
}

struct reader {
    struct sley_stream *s;
};

static int reader(struct reader *r)
{
    struct sley_lent *l;
    const int n = sley_stream_read_lent(r->s, &l);
    CHECK(n > 0 || l == NULL);
    CHECK_RC(sley_lent_return(l), 0);
    return n;
}
SLEY_FIBER(reader, struct reader)

IO_TEST(lent_read_is_cancelled_and_closed_like_others, "")
{
    struct io_pair p;
    struct sley_task *t;
    io_pair(&p, NULL);
    IO_SPAWN(&t, reader, .s = &p.b.stream);
    io_settle();
    sley_task_cancel(t);
    CHECK_RC(io_join(t), -ECANCELED);
    write_text(&p.a.stream, "kept");
    read_text(&p.b.stream, "kept");
    IO_SPAWN(&t, reader, .s = &p.b.stream);
    io_settle();
    struct sley_lent *l;
    CHECK_RC(sley_stream_read_lent(&p.b.stream, &l), -EBUSY);
    CHECK_RC(sley_stream_close(&p.b.stream), 0);
    CHECK_RC(io_join(t), -ECANCELED);
    io_pair_close(&p);
    return 0;
}

/* ---- a pair: a block of its own ------------------------------------------------------------------------------------------- */

IO_TEST(pair_is_read_into_blocks_of_its_own, "")
{
    unsigned char bytes[2 * 64];
    struct sley_stream_pair p;
    struct sley_task *t;
    CHECK_RC(sley_stream_pair_init(&p, bytes, 64), 0);
    write_text(&p.a.stream, "there already");
    read_text(&p.b.stream, "there already");
    IO_SPAWN(&t, reader, .s = &p.b.stream);
    io_settle();
    write_text(&p.a.stream, "comes later");
    CHECK_RC(io_join(t), 11);
    IO_SPAWN(&t, reader, .s = &p.b.stream);
    io_settle();
    sley_task_cancel(t);
    CHECK_RC(io_join(t), -ECANCELED);
    CHECK_RC(sley_stream_close(&p.a.stream), 0);
    until_end(&p.b.stream);
    CHECK_RC(sley_stream_close(&p.b.stream), 0);
    CHECK_RC(sley_stream_pair_fini(&p), 0);
    return 0;
}

/* ---- threads ---------------------------------------------------------------------------------------------------------------- */

static void *thread_reads(void *arg)
{
    struct sley_tcp *t = arg;
    read_text(&t->stream, "for a thread");
    until_end(&t->stream);
    return NULL;
}

IO_TEST(plain_thread_reads_into_a_block_of_its_own, "")
{
    struct io_pair p;
    pthread_t thread;
    io_pair(&p, NULL);
    CHECK_INT(pthread_create(&thread, NULL, thread_reads, &p.b), ==, 0);
    write_text(&p.a.stream, "for a thread");
    CHECK_RC(sley_stream_shutdown(&p.a.stream), 0);
    CHECK_INT(pthread_join(thread, NULL), ==, 0);
    io_pair_close(&p);
    return 0;
}

/* ---- frames ----------------------------------------------------------------------------------------------------------------- */

struct echo {
    struct sley_frame frame;
    struct sley_stream *s;
    struct sley_io_op op;
    struct sley_lent *lent;
    int n;
};

static enum sley_step echo(struct echo *e)
{
    SLEY_BEGIN(e);
    do {
        SLEY_CALL(e, e->n, sley_stream_read_lent, &e->op, e->s, &e->lent);
        if (e->n > 0) {
            SLEY_CALL(e, e->n, sley_stream_write_all, &e->op, e->s, e->lent->data, (size_t)e->n, NULL);
            CHECK_RC(sley_lent_return(e->lent), 0);
            e->n = e->n < 0 ? e->n : 1;
        }
    } while (e->n > 0);
    SLEY_RETURN(e, e->n);
    SLEY_END(e);
}
SLEY_FRAME(echo, struct echo)

/** Sends and takes back @p total bytes in messages of many lengths. */
static void exchange(struct sley_stream *s, size_t total)
{
    unsigned char out[3000], in[3000];
    for (size_t done = 0; done < total;) {
        const size_t n = 1 + (size_t)harness_rand_below(sizeof out);
        io_fill(out, done, n);
        CHECK_RC(sley_stream_write_all(s, out, n, NULL), 0);
        CHECK_RC(sley_stream_read_exact(s, in, n, NULL), 0);
        io_check(in, done, n);
        done += n;
    }
    CHECK_RC(sley_stream_shutdown(s), 0);
}

IO_TEST(frame_echoes_what_it_was_lent, "")
{
    struct io_pair p;
    struct sley_task *t;
    io_pair(&p, NULL);
    IO_SPAWN(&t, echo, .s = &p.b.stream);
    exchange(&p.a.stream, 200000);
    CHECK_RC(io_join(t), 0);
    io_pair_close(&p);
    return 0;
}

/* ---- several workers -------------------------------------------------------------------------------------------------------- */

enum { WORKERS = 4, CLIENTS = 12 };

struct echo_pair {
    struct io_pair p;
    bool in_memory;
    struct sley_stream_pair mem;
    unsigned char bytes[2 * 4096]; /* a message, and its echo */
};

static int client(struct reader *r)
{
    exchange(r->s, 60000);
    return 0;
}
SLEY_FIBER(client, struct reader)

static int shared_main(void *unused)
{
    static struct echo_pair pairs[CLIENTS];
    struct sley_task *servers[CLIENTS], *clients[CLIENTS];
    (void)unused;
    for (int i = 0; i < CLIENTS; i++) {
        struct echo_pair *e = &pairs[i];
        e->in_memory = i % 4 == 3;
        if (e->in_memory) {
            CHECK_RC(sley_stream_pair_init(&e->mem, e->bytes, 4096), 0);
        } else {
            io_pair(&e->p, NULL);
        }
        IO_SPAWN(&servers[i], echo, .s = e->in_memory ? &e->mem.b.stream : &e->p.b.stream);
        IO_SPAWN(&clients[i], client, .s = e->in_memory ? &e->mem.a.stream : &e->p.a.stream);
    }
    for (int i = 0; i < CLIENTS; i++) {
        struct echo_pair *e = &pairs[i];
        CHECK_RC(io_join(clients[i]), 0);
        CHECK_RC(io_join(servers[i]), 0);
        if (e->in_memory) {
            CHECK_RC(sley_stream_close(&e->mem.a.stream), 0);
            CHECK_RC(sley_stream_close(&e->mem.b.stream), 0);
            CHECK_RC(sley_stream_pair_fini(&e->mem), 0);
        } else {
            io_pair_close(&e->p);
        }
    }
    return 0;
}
SLEY_FIBER(shared_main, void)

SLEY_TEST_SECONDS(workers_that_share_tasks_lend_to_and_take_back_from_each_other, "", 60)
{
    struct sley_runtime rt;
    const struct sley_runtime_opts o = {
        .alloc = harness_alloc(),
        .executor_name = "stealing",
        .reactor_name = "epoll",
        .worker_count = WORKERS,
        .stall_ns = SLEY_NEVER,
        .lend = {.buffer_bytes = 500, .buffer_count = 2}, /* fewer than connections: they wait in line, and wake each other */
    };
    int result = -EIO;
    CHECK_RC(sley_runtime_init(&rt, &o), 0);
    CHECK_RC(sley_runtime_run(&rt, &shared_main__type, NULL, &result), 0);
    CHECK_RC(result, 0);
    CHECK_RC(sley_runtime_stop(&rt, SLEY_NEVER), 0);
    CHECK_RC(sley_runtime_fini(&rt), 0);
}

/* ---- buffers that outlive a runtime whose allocator is its own ----------------------------------------------------------------- */

static struct sley_lent *kept_of_tcp, *kept_of_pair;

static int keep_two(void *unused)
{
    static unsigned char bytes[2 * 64];
    static struct sley_stream_pair mem;
    struct io_pair p;
    (void)unused;
    io_pair(&p, NULL);
    CHECK_RC(sley_stream_pair_init(&mem, bytes, 64), 0);
    CHECK_RC(sley_stream_write_all(&p.a.stream, "tcp", 3, NULL), 0);
    CHECK_RC(sley_stream_write_all(&mem.a.stream, "pair", 4, NULL), 0);
    CHECK_RC(sley_stream_read_lent(&p.b.stream, &kept_of_tcp), 3);
    CHECK_RC(sley_stream_read_lent(&mem.b.stream, &kept_of_pair), 4);
    io_pair_close(&p);
    CHECK_RC(sley_stream_close(&mem.a.stream), 0);
    CHECK_RC(sley_stream_close(&mem.b.stream), 0);
    return sley_stream_pair_fini(&mem);
}
SLEY_FIBER(keep_two, void)

static void keep_on(const char *executor, uint32_t workers)
{
    struct sley_runtime *rt = malloc(sizeof *rt); /* so that checkers see who reads it afterwards */
    const struct sley_runtime_opts o = {
        .executor_name = executor, .reactor_name = "epoll", .worker_count = workers, .stall_ns = SLEY_NEVER};
    int result = -EIO;
    CHECK(rt != NULL);
    CHECK_RC(sley_runtime_init(rt, &o), 0);
    CHECK_RC(sley_runtime_run(rt, &keep_two__type, NULL, &result), 0);
    CHECK_RC(result, 0);
    CHECK_RC(sley_runtime_stop(rt, SLEY_NEVER), 0);
    CHECK_RC(sley_runtime_fini(rt), 0);
    free(rt);
    CHECK(memcmp(kept_of_tcp->data, "tcp", 3) == 0);
    CHECK(memcmp(kept_of_pair->data, "pair", 4) == 0);
    CHECK_RC(sley_lent_return(kept_of_tcp), 0);
    CHECK_RC(sley_lent_return(kept_of_pair), 0);
}

SLEY_TEST(regress_buffers_outlive_a_runtime_with_an_allocator_of_its_own, "")
{
    keep_on("local", 1);
    keep_on("cores", 2);
    keep_on("stealing", 2);
}
