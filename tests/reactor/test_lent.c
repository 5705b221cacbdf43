/* Receives into buffers that the reactor lends: result and buffer together, nothing held while waiting, pools that run out. */
#include "bed.h"

#include <sley/lend_impl.h>

#include <errno.h>

static struct sley__lender *pool(void)
{
    struct sley__lender *p = sley__lender_of(reactor());
    CHECK(p != NULL);
    return p;
}

static void lend(uint32_t bytes, uint32_t count)
{
    CHECK(reactor()->lend.pool == NULL);
    reactor()->lend.opts = (struct sley_lend_opts){.buffer_bytes = bytes, .buffer_count = count};
}

/** What is in users' hands; a ring keeps some for the kernel. */
static uint32_t out(void)
{
#ifdef BED_URING
    const struct sley__uring *r = sley_container_of(reactor(), struct sley__uring, base);
    return pool()->out_count - r->stock.count - r->stock.kept;
#else
    return pool()->out_count;
#endif
}

static void check_bytes(const struct sley_lent *l, int32_t n, const char *text)
{
    CHECK_RC(n, (int)strlen(text));
    CHECK(l != NULL);
    CHECK(memcmp(l->data, text, strlen(text)) == 0);
}

struct receive {
    struct sley_io_op op;
    struct sley_lent *lent;
};

static void start(struct receive *r, struct sley_fd *fd)
{
    sley_fd_recv_lent_start(&r->op, fd, &r->lent);
}

static void expect(struct receive *r, const char *text)
{
    const int32_t n = until_done(&r->op.wait);
    check_bytes(r->lent, n, text);
    CHECK_RC(sley_lent_return(r->lent), 0);
}

static void expect_rc(struct receive *r, int rc)
{
    CHECK_RC(until_done(&r->op.wait), rc);
    CHECK(r->lent == NULL);
}

static void close_both(struct sley_fd *fd, int peer)
{
    CHECK_RC(sley_fd_close(fd), 0);
    (void)close(peer);
}

FIBER_TEST(lent_receive_gives_bytes_and_buffer_together, "")
{
    struct sley_fd fd;
    struct sley_lent *l;
    const int peer = tcp_pair(&fd);
    put(peer, "before");
    int n = sley_fd_recv_lent(&fd, &l);
    check_bytes(l, n, "before");
    l->data[0] = 'B'; /* it is ours */
    CHECK_RC(sley_lent_return(l), 0);
    CHECK_RC(sley_lent_return(NULL), 0);
    struct receive r = {0};
    start(&r, &fd);
    CHECK_INT(look(0), >=, 0);
    CHECK(!sley_wait_done(&r.op.wait));
    put(peer, "after");
    expect(&r, "after");
    CHECK_UINT(out(), ==, 0);
    CHECK_INT(shutdown(peer, SHUT_WR), ==, 0);
    for (int i = 0; i < 2; i++) { /* again and again */
        CHECK_RC(sley_fd_recv_lent(&fd, &l), 0);
        CHECK(l == NULL);
    }
    CHECK_UINT(reactor()->armed_count, ==, 0);
    CHECK_UINT(out(), ==, 0);
    close_both(&fd, peer);
}

FIBER_TEST(waiting_receives_hold_no_buffer, "")
{
    enum { MANY = 100 };
    static struct sley_fd fds[MANY];
    static struct receive rs[MANY];
    int peers[MANY];
    lend(64, 4);
    for (int i = 0; i < MANY; i++) {
        peers[i] = tcp_pair(&fds[i]);
        rs[i] = (struct receive){0};
        start(&rs[i], &fds[i]);
    }
    CHECK_INT(look(0), >=, 0);
    CHECK_UINT(out(), ==, 0);
    CHECK(pool()->first == NULL);
    for (int i = MANY; i-- > 0;) {
        put(peers[i], "it");
        expect(&rs[i], "it");
    }
    for (int i = 0; i < MANY; i++) {
        close_both(&fds[i], peers[i]);
    }
}

FIBER_TEST(receives_without_a_buffer_wait_and_are_served_in_turn, "")
{
    enum { CONNS = 6, BUFFERS = 2 };
    struct sley_fd fds[CONNS];
    struct receive rs[CONNS] = {0};
    struct sley_lent *held[CONNS];
    int peers[CONNS];
    lend(16, BUFFERS);
    for (int i = 0; i < CONNS; i++) {
        peers[i] = tcp_pair(&fds[i]);
        put(peers[i], (const char[]){(char)('a' + i), 0});
    }
    for (int i = 0; i < CONNS; i++) {
        start(&rs[i], &fds[i]);
        while (!(rs[i].op.flags & SLEY__LEND_STARVED) && !sley_wait_done(&rs[i].op.wait)) {
            CHECK_INT(look(SLEY_NEVER), >=, 0);
        }
        CHECK(sley_wait_done(&rs[i].op.wait) == (i < BUFFERS));
    }
    for (int i = 0; i < 3; i++) {
        CHECK_INT(look(0), >=, 0); /* nothing changes, nothing spins on */
    }
    CHECK_UINT(out(), ==, BUFFERS);
    for (int i = 0; i < CONNS; i++) {
        CHECK_RC(until_done(&rs[i].op.wait), 1);
        held[i] = rs[i].lent;
        CHECK_INT(held[i]->data[0], ==, 'a' + i);
        CHECK(i + 1 == CONNS || i + 1 < BUFFERS || !sley_wait_done(&rs[i + 1].op.wait));
        if (i > 0) {
            CHECK_RC(sley_lent_return(held[i - 1]), 0);
        }
    }
    CHECK_RC(sley_lent_return(held[CONNS - 1]), 0);
    CHECK_UINT(out(), ==, 0);
    CHECK_UINT(reactor()->armed_count, ==, 0);
    for (int i = 0; i < CONNS; i++) {
        close_both(&fds[i], peers[i]);
    }
}

/** One buffer, which `first` has; the receive @p r of @p fd, for which there is data, waits for it. */
static void starve(struct sley_fd *first, int first_peer, struct sley_lent **ret_held, struct receive *r, struct sley_fd *fd, int peer)
{
    put(first_peer, "first");
    const int n = sley_fd_recv_lent(first, ret_held);
    check_bytes(*ret_held, n, "first");
    put(peer, "second");
    *r = (struct receive){0};
    start(r, fd);
    while (!(r->op.flags & SLEY__LEND_STARVED)) {
        CHECK(!sley_wait_done(&r->op.wait));
        CHECK_INT(look(SLEY_NEVER), >=, 0);
    }
}

FIBER_TEST(receive_in_line_can_be_cancelled_and_loses_nothing, "")
{
    struct sley_fd a, b;
    struct sley_lent *held;
    struct receive r, other = {0};
    const int pa = tcp_pair(&a), pb = tcp_pair(&b);
    lend(16, 1);
    starve(&a, pa, &held, &r, &b, pb);
    start(&other, &b);
    expect_rc(&other, -EBUSY);
    sley_wait_cancel(&r.op.wait);
    CHECK(sley_wait_done(&r.op.wait));
    expect_rc(&r, -ECANCELED);
    CHECK_RC(sley_lent_return(held), 0);
    CHECK_RC(sley_fd_recv_lent(&b, &held), 6);
    CHECK(memcmp(held->data, "second", 6) == 0);
    CHECK_RC(sley_lent_return(held), 0);
    close_both(&a, pa);
    close_both(&b, pb);
}

FIBER_TEST(close_ends_a_receive_in_line, "")
{
    struct sley_fd a, b;
    struct sley_lent *held;
    struct receive r;
    const int pa = tcp_pair(&a), pb = tcp_pair(&b);
    lend(16, 1);
    starve(&a, pa, &held, &r, &b, pb);
    CHECK_RC(sley_fd_close(&b), 0);
    CHECK(sley_wait_done(&r.op.wait));
    expect_rc(&r, -ECANCELED);
    CHECK_RC(sley_lent_return(held), 0);
    CHECK_UINT(out(), ==, 0);
    (void)close(pb);
    close_both(&a, pa);
}

FIBER_TEST(peer_that_resets_ends_a_receive_in_line_at_its_turn, "")
{
    struct sley_fd a, b;
    struct sley_lent *held;
    struct receive r;
    const int pa = tcp_pair(&a), pb = tcp_pair(&b);
    lend(16, 1);
    starve(&a, pa, &held, &r, &b, pb);
    CHECK_INT(setsockopt(pb, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger)), ==, 0);
    (void)close(pb);
    CHECK_RC(sley_lent_return(held), 0);
    expect(&r, "second"); /* came before */
    start(&r, &b);
    expect_rc(&r, -ECONNRESET);
    CHECK_UINT(out(), ==, 0);
    CHECK_RC(sley_fd_close(&b), 0);
    close_both(&a, pa);
}

FIBER_TEST(what_is_longer_than_a_buffer_comes_in_pieces, "")
{
    struct sley_fd fd;
    struct sley_lent *l;
    const int peer = tcp_pair(&fd);
    char text[256], got[256];
    lend(16, 2);
    memset(text, 'x', sizeof text);
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = (char)('a' + i % 23);
    }
    CHECK_INT(send(peer, text, sizeof text, 0), ==, (intmax_t)sizeof text);
    for (size_t done = 0; done < sizeof text;) {
        const int n = sley_fd_recv_lent(&fd, &l);
        CHECK_INT(n, >, 0);
        CHECK_INT(n, <=, 16);
        memcpy(got + done, l->data, (size_t)n);
        done += (size_t)n;
        CHECK_RC(sley_lent_return(l), 0);
    }
    CHECK(memcmp(got, text, sizeof text) == 0);
    close_both(&fd, peer);
}

FIBER_TEST(lent_and_own_buffers_take_turns_on_a_connection, "")
{
    struct sley_fd fd;
    struct sley_lent *l;
    char byte[4];
    const int peer = tcp_pair(&fd);
    lend(16, 2);
    for (int round = 0; round < 20; round++) {
        put(peer, "abcd");
        CHECK_RC(sley_fd_recv_lent(&fd, &l), 4);
        CHECK(memcmp(l->data, "abcd", 4) == 0);
        CHECK_RC(sley_lent_return(l), 0);
        put(peer, "efghijkl");
        CHECK_RC(io(&fd, SLEY_IO_RECV, byte, 3), 3);
        CHECK(memcmp(byte, "efg", 3) == 0);
        CHECK_RC(io(&fd, SLEY_IO_RECV, byte, 1), 1);
        CHECK_INT(byte[0], ==, 'h');
        CHECK_RC(sley_fd_recv_lent(&fd, &l), 4);
        CHECK(memcmp(l->data, "ijkl", 4) == 0);
        CHECK_RC(sley_lent_return(l), 0);
    }
    CHECK_UINT(out(), ==, 0);
    close_both(&fd, peer);
}

static void *refuse_alloc(struct sley_alloc *self, size_t size, size_t align)
{
    (void)self, (void)size, (void)align;
    return NULL;
}

static void refuse_free(struct sley_alloc *self, void *ptr, size_t size)
{
    (void)self, (void)size;
    CHECK(ptr == NULL);
}

FIBER_TEST(no_memory_for_a_pool_is_enobufs_and_the_bytes_stay, "TCP-19")
{
    static const struct sley_alloc_ops ops = {.version = SLEY_ALLOC_VERSION, .alloc = refuse_alloc, .free = refuse_free};
    struct sley_alloc none = {.ops = &ops}, *usual = reactor()->lend.alloc;
    struct sley_fd fd;
    struct sley_lent *l;
    const int peer = tcp_pair(&fd);
    put(peer, "stays");
    reactor()->lend.alloc = &none;
    CHECK_RC(sley_fd_recv_lent(&fd, &l), -ENOBUFS);
    CHECK(l == NULL);
    reactor()->lend.alloc = usual;
    const int n = sley_fd_recv_lent(&fd, &l);
    check_bytes(l, n, "stays");
    CHECK_RC(sley_lent_return(l), 0);
    close_both(&fd, peer);
}

static struct sley_lent *kept[2];

static void *return_from_afar(void *arg)
{
    CHECK_RC(sley_lent_return(arg), -EXDEV);
    return NULL;
}

static void keep_two(void)
{
    struct sley_fd fd;
    pthread_t thread;
    const int peer = tcp_pair(&fd);
    lend(16, 3);
    for (int i = 0; i < 2; i++) {
        put(peer, "kept");
        const int n = sley_fd_recv_lent(&fd, &kept[i]);
        check_bytes(kept[i], n, "kept");
    }
    CHECK_INT(pthread_create(&thread, NULL, return_from_afar, kept[0]), ==, 0);
    CHECK_INT(pthread_join(thread, NULL), ==, 0);
    CHECK_UINT(out(), ==, 2);
    close_both(&fd, peer);
}

SLEY_TEST(buffers_outlive_their_reactor_and_the_last_takes_the_pool_along, "")
{
    in_fiber(keep_two);
    for (int i = 0; i < 2; i++) {
        CHECK(memcmp(kept[i]->data, "kept", 4) == 0);
        CHECK_RC(sley_lent_return(kept[i]), 0);
    }
}

static void hook_returns(struct sley_wait_hook *hook, struct sley_wait *w);

static struct line {
    struct receive r;
    struct sley_wait_hook hook;
    int32_t n;
} line[8];
static int line_at;

static void hook_returns(struct sley_wait_hook *hook, struct sley_wait *w)
{
    struct line *l = sley_container_of(hook, struct line, hook);
    CHECK_INT(l - line, ==, line_at);
    l->n = w->result;
    line_at++;
    CHECK_RC(sley_lent_return(l->r.lent), 0);
}

FIBER_TEST(return_inside_a_completion_serves_the_next_in_turn, "")
{
    struct sley_fd a, fds[8];
    struct sley_lent *held;
    int pa = tcp_pair(&a), peers[8];
    lend(16, 1);
    line_at = 0;
    put(pa, "x");
    CHECK_RC(sley_fd_recv_lent(&a, &held), 1);
    for (int i = 0; i < 8; i++) {
        peers[i] = tcp_pair(&fds[i]);
        put(peers[i], "y");
        line[i] = (struct line){.hook.fn = hook_returns};
        start(&line[i].r, &fds[i]);
        while (!(line[i].r.op.flags & SLEY__LEND_STARVED)) {
            CHECK_INT(look(SLEY_NEVER), >=, 0);
        }
        sley_wait_hook(&line[i].r.op.wait, &line[i].hook);
    }
    CHECK_RC(sley_lent_return(held), 0);
    while (line_at < 8) {
        CHECK_INT(look(SLEY_NEVER), >=, 0);
    }
    for (int i = 0; i < 8; i++) {
        CHECK_RC(line[i].n, 1);
        close_both(&fds[i], peers[i]);
    }
    CHECK_UINT(out(), ==, 0);
    close_both(&a, pa);
}

/* Many connections over few buffers, which are kept for a while: every byte comes once and in order, whoever waits in line. */
static struct {
    unsigned char sent, got;
    unsigned in_flight;
} counts[24];

static void take_count(int i, const struct receive *r)
{
    const int32_t bytes = r->op.wait.result;
    CHECK_INT(bytes, >, 0);
    for (int32_t k = 0; k < bytes; k++) {
        CHECK_UINT(r->lent->data[k], ==, counts[i].got);
        counts[i].got++;
    }
    counts[i].in_flight -= (unsigned)bytes;
}

static void send_count(int i, int peer)
{
    unsigned char text[20];
    const size_t n = 1 + harness_rand_below(sizeof text);
    for (size_t at = 0; at < n; at++) {
        text[at] = counts[i].sent++;
    }
    CHECK_INT(send(peer, text, n, 0), ==, (intmax_t)n);
    counts[i].in_flight += (unsigned)n;
}

FIBER_TEST(few_buffers_for_many_connections_lose_and_reorder_nothing, "")
{
    enum { CONNS = 24, BUFFERS = 3, ROUNDS = 4000 };
    static struct sley_fd fds[CONNS];
    static struct receive rs[CONNS];
    struct sley_lent *held[BUFFERS] = {0};
    int peers[CONNS];
    lend(8, BUFFERS + 1);
    for (int i = 0; i < CONNS; i++) {
        peers[i] = tcp_pair(&fds[i]);
        rs[i] = (struct receive){0};
        start(&rs[i], &fds[i]);
    }
    for (int round = 0; round < ROUNDS; round++) {
        const int to = (int)harness_rand_below(CONNS);
        send_count(to, peers[to]);
        CHECK_INT(look(0), >=, 0);
        for (int i = 0; i < CONNS; i++) {
            if (sley_wait_done(&rs[i].op.wait)) {
                take_count(i, &rs[i]);
                const size_t place = harness_rand_below(BUFFERS);
                struct sley_lent *back = held[place];
                held[place] = rs[i].lent;
                start(&rs[i], &fds[i]);
                CHECK_RC(sley_lent_return(back), 0);
            } else if (harness_rand_below(50) == 0) {
                sley_wait_cancel(&rs[i].op.wait);
                if (until_done(&rs[i].op.wait) == -ECANCELED) {
                    start(&rs[i], &fds[i]);
                }
            }
        }
    }
    for (int i = 0; i < BUFFERS; i++) {
        CHECK_RC(sley_lent_return(held[i]), 0);
    }
    for (unsigned left = 1; left > 0;) { /* whoever has one: others may wait for it */
        left = 0;
        for (int i = 0; i < CONNS; i++) {
            if (sley_wait_done(&rs[i].op.wait)) {
                take_count(i, &rs[i]);
                CHECK_RC(sley_lent_return(rs[i].lent), 0);
                start(&rs[i], &fds[i]);
            }
            left += counts[i].in_flight;
        }
        CHECK_INT(look(0), >=, 0);
    }
    for (int i = 0; i < CONNS; i++) {
        if (sley_wait_done(&rs[i].op.wait)) {
            CHECK_RC(sley_lent_return(rs[i].lent), 0);
        }
        CHECK_RC(sley_fd_close(&fds[i]), 0);
        CHECK(sley_wait_done(&rs[i].op.wait));
        (void)close(peers[i]);
    }
    CHECK_UINT(out(), ==, 0);
    CHECK_UINT(reactor()->armed_count, ==, 0);
}
