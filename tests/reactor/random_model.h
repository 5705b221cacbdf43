/* Random ops on several connections beside a model of what has to come of them: which bytes, in which order, which results. */
#ifndef SLEY_TESTS_REACTOR_RANDOM_MODEL_H
#define SLEY_TESTS_REACTOR_RANDOM_MODEL_H

#include "bed.h"

#include <sley/lend_impl.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

enum { LINKS = 6, MOST_BYTES = 3000, HELD_MOST = 3 };
enum side { READER, WRITER, POLLER, CLOSER, SIDES };

/* One op in flight. Its memory, and that of its buffer, is given back as soon as it is done: who touches it later is found. */
struct act {
    struct sley_io_op op;
    struct msghdr message;
    struct iovec iov[2];
    struct sley_lent *lent;
    unsigned char *buf;
    size_t len;
    bool peeks, lends, asked; /* asked: to end, by a cancel or a close */
};

/* A connection. Each direction is a sequence in which every byte is known by its place. */
struct link {
    struct sley_fd fd;
    int peer; /* -1: closed */
    uint32_t key;
    size_t sent, got;       /* by the peer, by us */
    size_t written, taken;  /* by us, by the peer */
    bool is_over, is_reset; /* the peer has shut its side down; has reset the connection */
    struct act *acts[SIDES];
};

static struct link links[LINKS];
static void (*renew)(struct link *l); /* what takes the place of one that is closed; NULL: another pair */
static bool short_of_memory;          /* a request may have been refused */
static struct sley_lent *held[HELD_MOST];
static uint32_t held_count;
static uint64_t steps_done;

static inline unsigned char byte_at(const struct link *l, bool in, size_t place)
{
    return (unsigned char)(((uint32_t)place * 2654435761U >> 23) ^ l->key ^ (in ? 0 : 0x55));
}

static inline void check_sequence(const struct link *l, bool in, size_t from, const unsigned char *at, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (at[i] != byte_at(l, in, from + i)) {
            FAIL("link %d: byte %zu of %s is another", (int)(l - links), from + i, in ? "what was received" : "what was sent");
        }
    }
}

static inline size_t some_bytes(void)
{
    static const size_t limits[] = {2, 8, 100, MOST_BYTES};
    return 1 + harness_rand_below(limits[harness_rand_below(4)]);
}

/* ---- the peer ------------------------------------------------------------------------------------------------------------ */

static inline void peer_sends(struct link *l, size_t n)
{
    unsigned char buf[MOST_BYTES + 1];
    for (size_t i = 0; i < n; i++) {
        buf[i] = byte_at(l, true, l->sent + i);
    }
    const ssize_t done = l->peer < 0 || l->is_over ? 0 : send(l->peer, buf, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    l->sent += done > 0 ? (size_t)done : 0;
}

static inline void peer_takes(struct link *l, size_t n)
{
    unsigned char buf[MOST_BYTES + 1];
    const ssize_t done = l->peer < 0 ? 0 : recv(l->peer, buf, n, MSG_DONTWAIT);
    if (done > 0) {
        check_sequence(l, false, l->taken, buf, (size_t)done);
        l->taken += (size_t)done;
    }
}

static inline void peer_resets(struct link *l)
{
    const struct linger at_once = {.l_onoff = 1};
    if (l->peer >= 0) {
        (void)setsockopt(l->peer, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        (void)close(l->peer);
        l->peer = -1;
        l->is_reset = true;
    }
}

/* ---- in ------------------------------------------------------------------------------------------------------------------ */

static inline struct act *new_act(struct link *l, enum side side, enum sley_io_code code, size_t len)
{
    struct act *a = calloc(1, sizeof *a);
    CHECK(a != NULL);
    a->buf = malloc(len + 1);
    CHECK(a->buf != NULL);
    a->len = len;
    a->op = (struct sley_io_op){.fd = &l->fd, .buf = a->buf, .len = len, .code = (uint8_t)code};
    if (code == SLEY_IO_RECVMSG || code == SLEY_IO_SENDMSG) {
        a->iov[0] = (struct iovec){a->buf, len / 3};
        a->iov[1] = (struct iovec){a->buf + len / 3, len - len / 3};
        a->message = (struct msghdr){.msg_iov = a->iov, .msg_iovlen = 2};
        a->op.buf = &a->message;
        a->op.len = 0;
    }
    if (side == WRITER) {
        for (size_t i = 0; i < len; i++) {
            a->buf[i] = byte_at(l, false, l->written + i);
        }
    }
    return a;
}

static inline void free_act(struct act *a)
{
    free(a->buf);
    free(a);
}

/** One that is too late, or whose direction is taken, is told so at once, and disturbs nobody. */
static inline void submit_act(struct link *l, enum side side, struct act *a)
{
    const bool refused = l->acts[side] || l->acts[CLOSER];
    if (a->lends) {
        sley_fd_recv_lent_start(&a->op, &l->fd, &a->lent);
    } else {
        sley_io_submit(&a->op);
    }
    if (!refused) {
        l->acts[side] = a;
        return;
    }
    CHECK(sley_wait_done(&a->op.wait));
    CHECK_RC(a->op.wait.result, l->acts[CLOSER] ? -EBADF : -EBUSY);
    CHECK(a->lent == NULL);
    free_act(a);
}

static inline void start_reader(struct link *l)
{
    const uint64_t kind = harness_rand_below(8);
    struct act *a = new_act(l, READER, kind == 1 || kind == 2 ? SLEY_IO_RECVMSG : SLEY_IO_RECV, some_bytes());
    a->op.flags = kind == 0 ? SLEY_IO_ALL : kind == 1 ? SLEY_IO_PEEK : 0;
    a->peeks = kind == 1;
    a->lends = kind >= 4;
    submit_act(l, READER, a);
}

static inline void start_writer(struct link *l)
{
    const uint64_t kind = harness_rand_below(3);
    const size_t len = harness_rand_below(20) == 0 ? 300000 : some_bytes();
    struct act *a = new_act(l, WRITER, kind == 1 ? SLEY_IO_SENDMSG : SLEY_IO_SEND, len);
    a->op.flags = kind == 0 ? SLEY_IO_ALL : 0;
    submit_act(l, WRITER, a);
}

static inline void start_poller(struct link *l)
{
    if (!l->acts[POLLER]) { /* else it would be one of two */
        static const size_t events[] = {SLEY_IO_IN, SLEY_IO_OUT, SLEY_IO_IN | SLEY_IO_OUT};
        struct act *a = new_act(l, POLLER, SLEY_IO_POLL, 0);
        a->op.len = events[harness_rand_below(3)];
        submit_act(l, POLLER, a);
    }
}

static inline void start_closer(struct link *l)
{
    if (!l->acts[CLOSER]) {
        for (int side = READER; side <= POLLER; side++) {
            if (l->acts[side]) {
                l->acts[side]->asked = true;
            }
        }
        submit_act(l, CLOSER, new_act(l, CLOSER, SLEY_IO_CLOSE, 0));
    }
}

static inline void cancel_act(struct act *a)
{
    if (a && !sley_wait_done(&a->op.wait)) {
        a->asked = true;
        sley_wait_cancel(&a->op.wait);
    }
}

/* ---- out ----------------------------------------------------------------------------------------------------------------- */

static inline void received(struct link *l, const unsigned char *at, size_t n, bool peeked)
{
    CHECK_UINT(l->got + n, <=, l->sent);
    check_sequence(l, true, l->got, at, n);
    l->got += peeked ? 0 : n;
}

static inline bool at_end(const struct link *l)
{
    return l->is_over && l->got == l->sent;
}

static inline void check_failure(const struct link *l, const struct act *a, int32_t n)
{
    const bool broken = l->is_reset || l->peer < 0, starved = short_of_memory && (n == -ENOMEM || n == -ENOBUFS);
    if (!starved && !(n == -ECANCELED && a->asked) && !(broken && (n == -ECONNRESET || n == -EPIPE))) {
        FAIL("link %d: code %u, flags %u, %zu bytes: %d", (int)(l - links), a->op.code, a->op.flags, a->len, n);
    }
}

static inline void reader_done(struct link *l, struct act *a)
{
    const int32_t n = a->op.wait.result;
    CHECK((a->lent != NULL) == (a->lends && n > 0));
    if (a->op.flags & SLEY_IO_ALL) {
        received(l, a->buf, a->op.done_bytes, false);
        CHECK((n == 0) == (a->op.done_bytes == a->len));
        if (n < 0 && !(n == -ENODATA && (at_end(l) || l->is_reset))) {
            check_failure(l, a, n);
        }
    } else if (n > 0) {
        received(l, a->lends ? a->lent->data : a->buf, (size_t)n, a->peeks);
    } else if (n < 0 || !(at_end(l) || l->is_reset)) {
        check_failure(l, a, n);
    }
    if (a->lent && held_count < HELD_MOST && harness_rand_below(3) == 0) {
        held[held_count++] = a->lent;
    } else if (a->lent) {
        CHECK_RC(sley_lent_return(a->lent), 0);
    }
}

static inline void writer_done(struct link *l, struct act *a)
{
    const int32_t n = a->op.wait.result;
    l->written += a->op.flags & SLEY_IO_ALL ? a->op.done_bytes : n > 0 ? (size_t)n : 0;
    CHECK_UINT(l->taken, <=, l->written);
    if (n < 0) {
        check_failure(l, a, n);
    } else if (a->op.flags & SLEY_IO_ALL) {
        CHECK_UINT(a->op.done_bytes, ==, a->len);
    } else {
        CHECK_INT(n, >, 0);
    }
}

static inline void poller_done(struct link *l, struct act *a)
{
    const int32_t n = a->op.wait.result;
    if (n <= 0) {
        check_failure(l, a, n);
    } else {
        CHECK_INT(n & ~((int32_t)a->op.len | SLEY_IO_ERR | SLEY_IO_HUP), ==, 0);
    }
}

static inline void open_link(struct link *l, bool tcp)
{
    memset(l, 0, sizeof *l);
    l->peer = tcp ? tcp_pair(&l->fd) : unix_pair(&l->fd);
    l->key = (uint32_t)harness_rand();
}

static inline void closer_done(struct link *l)
{
    CHECK_INT(l->fd.number, ==, -1);
    for (int side = READER; side <= POLLER; side++) {
        CHECK(l->acts[side] == NULL);
    }
    while (l->peer >= 0 && l->taken < l->written) {
        const size_t before = l->taken;
        peer_takes(l, MOST_BYTES);
        if (l->taken == before) {
            CHECK_UINT(l->sent, >, l->got); /* bytes that nobody has received turn a close into a reset */
            break;
        }
    }
    if (l->peer >= 0) {
        (void)close(l->peer);
    }
    if (renew) {
        renew(l);
    } else {
        open_link(l, harness_rand_below(3) > 0); /* its number, most likely, is the one before */
    }
}

static inline bool collect(struct link *l)
{
    static void (*const done[])(struct link *, struct act *) = {reader_done, writer_done, poller_done};
    bool any = false;
    for (int side = READER; side <= POLLER; side++) {
        struct act *a = l->acts[side];
        if (a && sley_wait_done(&a->op.wait)) {
            l->acts[side] = NULL;
            done[side](l, a);
            free_act(a);
            any = true;
        }
    }
    if (l->acts[CLOSER] && sley_wait_done(&l->acts[CLOSER]->op.wait)) {
        CHECK_RC(l->acts[CLOSER]->op.wait.result, 0);
        free_act(l->acts[CLOSER]);
        l->acts[CLOSER] = NULL;
        closer_done(l);
        any = true;
    }
    return any;
}

static inline void look_and_collect(void)
{
    CHECK_INT(look(0), >=, 0);
    for (int i = 0; i < LINKS; i++) {
        while (collect(&links[i])) {
        }
    }
}

/* ---- what is done at once ------------------------------------------------------------------------------------------------- */

static inline void now(struct link *l)
{
    unsigned char buf[MOST_BYTES];
    const bool in = harness_rand_below(2);
    const size_t len = 1 + harness_rand_below(MOST_BYTES);
    for (size_t i = 0; i < len && !in; i++) {
        buf[i] = byte_at(l, false, l->written + i);
    }
    const int32_t n = sley_io_now(&l->fd, in ? SLEY_IO_RECV : SLEY_IO_SEND, buf, len);
    if (l->acts[CLOSER]) {
        CHECK_RC(n, -EBADF);
    } else if (l->acts[in ? READER : WRITER]) {
        CHECK_RC(n, -EBUSY);
    } else if (n > 0 && in) {
        received(l, buf, (size_t)n, false);
    } else if (n > 0) {
        l->written += (size_t)n;
    } else {
        CHECK(n == -EAGAIN || l->is_reset || (in && n == 0 && at_end(l)) || (n == -ENOTSUP && sley_fd_is_direct(&l->fd)));
    }
}

/** What is in flight, or has come ahead, stays. */
static inline void move(struct link *l)
{
    const bool used = l->acts[READER] || l->acts[WRITER] || l->acts[POLLER];
    const int rc = sley_fd_move(&l->fd);
    if (sley_fd_is_direct(&l->fd) && rc == -ENOTSUP) {
        return;
    }
    CHECK(rc == (l->acts[CLOSER] ? -EBADF : -EBUSY) || (rc == 0 && !used));
}

static inline void give_back(void)
{
    if (held_count > 0) {
        CHECK_RC(sley_lent_return(held[--held_count]), 0);
    }
}

/* ---- steps ---------------------------------------------------------------------------------------------------------------- */

static inline void step(void)
{
    struct link *l = &links[harness_rand_below(LINKS)];
    const uint64_t what = harness_rand_below(100);
    steps_done++;
    while (collect(l)) { /* a buffer that came back has let it go on, perhaps */
    }
    if (what < 20) {
        start_reader(l);
    } else if (what < 30) {
        start_writer(l);
    } else if (what < 35) {
        start_poller(l);
    } else if (what < 50) {
        peer_sends(l, some_bytes());
    } else if (what < 58) {
        peer_takes(l, some_bytes());
    } else if (what < 64) {
        cancel_act(l->acts[harness_rand_below(3)]);
    } else if (what < 70) {
        give_back();
    } else if (what < 76) {
        now(l);
    } else if (what < 80) {
        move(l);
    } else if (what == 80 && l->peer >= 0) {
        CHECK(shutdown(l->peer, SHUT_WR) == 0 || l->is_reset);
        l->is_over = true;
    } else if (what == 81 && harness_rand_below(2)) {
        peer_resets(l);
    } else if (what == 82) {
        start_closer(l);
    } else {
        look_and_collect();
        return;
    }
    while (collect(l)) {
    }
}

/** Every op that can end has to: what it waits for is brought about. One that hangs is found by the case's time limit. */
static inline void settle(struct link *l)
{
    while (l->acts[CLOSER] || l->acts[WRITER] || l->acts[READER]) {
        const struct act *a = l->acts[READER];
        give_back(); /* what others have kept meanwhile, too: this one may wait for a buffer */
        peer_takes(l, MOST_BYTES);
        if (a && l->got == l->sent && !l->is_over && l->peer >= 0) {
            peer_sends(l, a->len < MOST_BYTES ? a->len : MOST_BYTES);
        } else if (a && (a->op.flags & SLEY_IO_ALL) && !l->is_over) {
            peer_sends(l, a->len < MOST_BYTES ? a->len : MOST_BYTES);
        }
        look_and_collect();
    }
    cancel_act(l->acts[POLLER]);
    while (l->acts[POLLER]) {
        look_and_collect();
    }
    /* nothing is in flight: all that was sent has come, or is there */
    while (!l->is_reset && l->taken < l->written) {
        peer_takes(l, MOST_BYTES);
    }
}

static inline void begin_model(void)
{
    reactor()->lend.opts = (struct sley_lend_opts){
        .buffer_bytes = 64U << harness_rand_below(4),
        .buffer_count = 2 + (uint32_t)harness_rand_below(8),
    };
    for (int i = 0; i < LINKS; i++) {
        open_link(&links[i], i % 3 > 0);
    }
}

static inline void end_model(void)
{
    for (int i = 0; i < LINKS; i++) {
        settle(&links[i]);
        CHECK_RC(sley_fd_close(&links[i].fd), 0);
        if (links[i].peer >= 0) {
            (void)close(links[i].peer);
        }
    }
    while (held_count > 0) {
        give_back();
    }
    CHECK_UINT(reactor()->armed_count, ==, 0);
}

static inline void run_model(void)
{
    begin_model();
    for (unsigned n = 1; n <= 400; n++) {
        step();
        if (n % 100 == 0) {
            settle(&links[harness_rand_below(LINKS)]);
        }
    }
    end_model();
}

/** What is in flight stays so. */
static inline void leave_model(void)
{
    begin_model();
    for (uint64_t left = harness_rand_below(300); left > 0; left--) {
        step();
    }
}

/** The reactor has ended: every op has, too, and has told the truth. */
static inline void check_left(void)
{
    for (int i = 0; i < LINKS; i++) {
        struct link *l = &links[i];
        for (int side = READER; side < SIDES; side++) {
            struct act *a = l->acts[side];
            CHECK(!a || sley_wait_done(&a->op.wait));
            if (a) {
                a->asked = true;
            }
        }
        while (collect(l)) {
        }
        CHECK_RC(sley_fd_close(&l->fd), 0);
        if (l->peer >= 0) {
            (void)close(l->peer);
        }
    }
    while (held_count > 0) {
        give_back();
    }
}

/** SLEY_TEST_ROUNDS asks for more, or fewer. */
static inline unsigned rounds(void)
{
    const char *text = getenv("SLEY_TEST_ROUNDS");
    return text ? (unsigned)strtoul(text, NULL, 10) : 60 / harness_slowness();
}

#endif
