/* Random listeners, connections made and accepted, direct ones and files opened, beside a model: who comes is somebody's once, or sees the
 * end; on the connections random_model.h does its ops. Memory is refused, and numbers are taken by others, in between. */
#ifndef SLEY_TESTS_REACTOR_DOORS_MODEL_H
#define SLEY_TESTS_REACTOR_DOORS_MODEL_H

#include "random_model.h"

#include <sley/file_impl.h>

enum { DOORS = 2, KNOCKS = 5, GUESTS = 12, CALLS = 3, OPENS = 3, FILLERS = 200, TAG_BYTES = 4, ROUND_GUESTS = 1024 };

/* A listener of ours, and the accepts that are in flight on it. */
struct door {
    struct sley_fd fd;
    struct sockaddr_in addr;
    struct knock *knocks[KNOCKS];
    struct sley_io_op *closer, *poll;
};

struct knock {
    struct sley_io_op op;
    bool asked;
};

/* Who has connected from outside and is nobody's yet. Its first bytes say who it is: `key` of its link. */
struct guest {
    struct link as;
    const struct door *door; /* NULL: nobody */
};

/* A connection that we make. */
struct call {
    struct sley_io_op op;
    struct sley_fd fd;
    struct sockaddr_in to;
    int peer; /* that the street has seen; -1: not yet */
    bool asked, in_vain;
};

struct opening {
    struct sley_file_op op;
    bool asked, missing;
};

static struct door doors[DOORS];
static struct guest guests[GUESTS];
static struct call *calls[CALLS];
static struct opening *openings[OPENS];
static struct sockaddr_in street_addr, nobody_addr;
static int street, nobody; /* plain sockets: a listener, and where nobody listens */
static int fillers[FILLERS];
static uint32_t filler_count, guest_number;
static bool may_be_full;             /* the ring's table of files has few places */
static bool may_refuse;              /* memory, in this round */
static bool has_reset[ROUND_GUESTS]; /* by tag: its connection, and nobody has had it yet */
/* of this round: who has reset his connection; connections that have ended before they said whose they are; those that were closed
 * unasked; guests who have found theirs closed though nobody has asked */
static uint32_t reset_count, mute_count, unseen_count, ended_count;

/* ---- guests ---------------------------------------------------------------------------------------------------------------- */

static inline struct guest *guest_at(const struct door *d)
{
    struct guest *g = &guests[harness_rand_below(GUESTS)];
    return g->door == d ? g : NULL;
}

static inline void guest_leaves(struct guest *g)
{
    if (g->as.peer >= 0) {
        (void)close(g->as.peer);
    }
    *g = (struct guest){.as.peer = -1};
}

static inline void guest_comes(struct door *d)
{
    struct guest *g = &guests[harness_rand_below(GUESTS)];
    if (g->door || d->closer) {
        return;
    }
    const int one = 1;
    *g = (struct guest){.as = {.peer = tcp_dial(&d->addr), .key = ++guest_number}, .door = d};
    has_reset[guest_number % ROUND_GUESTS] = false;
    CHECK_INT(setsockopt(g->as.peer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one), ==, 0);
    CHECK_INT(send(g->as.peer, &g->as.key, TAG_BYTES, MSG_NOSIGNAL), ==, TAG_BYTES);
}

/** One that is nobody's yet sends, shuts its side down, or resets the connection. */
static inline void guest_does(struct guest *g)
{
    const uint64_t what = harness_rand_below(10);
    if (what < 6) {
        peer_sends(&g->as, some_bytes());
    } else if (what < 8) {
        CHECK(shutdown(g->as.peer, SHUT_WR) == 0 || errno == ENOTCONN);
        g->as.is_over = true;
    } else {
        peer_resets(&g->as);
        reset_count++;
        has_reset[g->as.key % ROUND_GUESTS] = true;
        guest_leaves(g);
    }
}

/** Has somebody closed it? Bytes that were on the way to it do not count: none are sent before it is known. */
static inline bool has_ended(int peer)
{
    char byte;
    const ssize_t n = recv(peer, &byte, 1, MSG_DONTWAIT);
    CHECK_INT(n, <=, 0);
    return n == 0 || errno == ECONNRESET;
}

/* ---- who comes in ------------------------------------------------------------------------------------------------------------ */

static inline bool is_vacant(const struct link *l)
{
    return l->fd.number < 0 && !l->acts[CLOSER];
}

static inline void vacate(struct link *l)
{
    memset(l, 0, sizeof *l);
    sley_fd_init(&l->fd, -1);
    l->peer = -1;
}

static inline struct link *vacant_link(void)
{
    for (int i = 0; i < LINKS; i++) {
        if (is_vacant(&links[i])) {
            return &links[i];
        }
    }
    return NULL;
}

/** Waits for its first bytes. Returns: who it is; NULL: the guest has reset it. */
static inline struct guest *who_is(struct sley_fd *fd, const struct door *d)
{
    uint32_t tag = 0;
    struct sley_io_op op;
    int rc;
    do {
        op = (struct sley_io_op){.fd = fd, .buf = &tag, .len = TAG_BYTES, .code = SLEY_IO_RECV, .flags = SLEY_IO_ALL};
        rc = sley_io_run(&op);
    } while (rc == -ENOMEM && short_of_memory);
    for (int i = 0; i < GUESTS && rc == 0; i++) {
        if (guests[i].door && guests[i].as.key == tag) {
            CHECK(guests[i].door == d);
            return &guests[i];
        }
    }
    if (rc == 0) { /* else it was somebody's before */
        CHECK_UINT(tag - 1, <, guest_number);
        CHECK(has_reset[tag % ROUND_GUESTS]);
        has_reset[tag % ROUND_GUESTS] = false;
    } else if (rc != -ECONNRESET && rc != -ENODATA) {
        FAIL("a guest's first bytes: %d", rc);
    }
    return NULL;
}

static inline void takes_in(struct door *d, struct sley_fd *fd)
{
    if (harness_rand_below(8) == 0) {
        unseen_count++;
        CHECK_RC(sley_fd_close(fd), 0);
        return;
    }
    struct guest *g = who_is(fd, d);
    struct link *l = g ? vacant_link() : NULL;
    mute_count += !g;
    CHECK_UINT(mute_count, <=, reset_count);
    if (!l) {
        CHECK_RC(sley_fd_close(fd), 0);
        if (g) {
            guest_leaves(g);
        }
        return;
    }
    *l = g->as;
    l->fd = *fd;
    if (!sley_fd_is_direct(fd) && harness_rand_below(2)) {
        sley_fd_set_stream(&l->fd);
    }
    g->as.peer = -1;
    guest_leaves(g);
}

/* ---- doors ------------------------------------------------------------------------------------------------------------------ */

static inline void open_door(struct door *d)
{
    memset(d, 0, sizeof *d);
    sley_fd_init(&d->fd, tcp_listener(&d->addr, 64));
}

static inline void knock(struct door *d)
{
    const uint64_t at = harness_rand_below(KNOCKS);
    if (d->knocks[at] || d->closer) {
        return;
    }
    struct knock *k = calloc(1, sizeof *k);
    CHECK(k != NULL);
    k->op = (struct sley_io_op){.fd = &d->fd, .code = SLEY_IO_ACCEPT, .flags = harness_rand_below(3) ? 0 : SLEY_IO_DIRECT};
    d->knocks[at] = k;
    sley_io_submit(&k->op);
}

static inline void cancel_knock(struct door *d)
{
    struct knock *k = d->knocks[harness_rand_below(KNOCKS)];
    if (k && !sley_wait_done(&k->op.wait)) {
        k->asked = true;
        sley_wait_cancel(&k->op.wait);
    }
}

static inline void start_to_close_door(struct door *d)
{
    if (!d->closer) {
        for (int i = 0; i < KNOCKS; i++) {
            if (d->knocks[i]) {
                d->knocks[i]->asked = true;
            }
        }
        d->closer = calloc(1, sizeof *d->closer);
        CHECK(d->closer != NULL);
        sley_fd_close_start(d->closer, &d->fd);
    }
}

static inline void start_to_poll_door(struct door *d)
{
    if (!d->poll && !d->closer) {
        d->poll = calloc(1, sizeof *d->poll);
        CHECK(d->poll != NULL);
        sley_fd_poll_start(d->poll, &d->fd, SLEY_IO_IN);
    }
}

static inline void check_accept_failed(const struct knock *k)
{
    const int32_t n = k->op.wait.result;
    const bool full = may_be_full && n == -ENFILE && (k->op.flags & SLEY_IO_DIRECT);
    if (!full && !(n == -ECANCELED && k->asked) && !(n == -ENOMEM && short_of_memory)) {
        FAIL("accept: %d", n);
    }
}

static inline bool collect_knock(struct door *d, struct knock **at)
{
    struct knock *k = *at;
    struct sley_fd fd;
    if (!k || !sley_wait_done(&k->op.wait)) {
        return false;
    }
    *at = NULL;
    const bool came = k->op.wait.result == 0;
    if (came) {
        CHECK((k->op.flags & SLEY_IO_DIRECT) || k->op.out_number < SLEY_FD_DIRECT_FIRST);
        sley_fd_init_from(&fd, &k->op);
    } else {
        check_accept_failed(k);
    }
    free(k);
    if (came) {
        if (harness_rand_below(2)) {
            knock(d); /* as in a loop */
        }
        takes_in(d, &fd);
    }
    return true;
}

/** All that lay there has been closed with it. */
static inline void door_closed(struct door *d)
{
    CHECK_RC(d->closer->wait.result, 0);
    CHECK_INT(d->fd.number, ==, -1);
    free(d->closer);
    for (int i = 0; i < GUESTS; i++) {
        if (guests[i].door == d) {
            wait_in(guests[i].as.peer);
            CHECK(has_ended(guests[i].as.peer));
            guest_leaves(&guests[i]);
        }
    }
}

static inline bool collect_door(struct door *d)
{
    bool any = false;
    for (int i = 0; i < KNOCKS; i++) {
        any |= collect_knock(d, &d->knocks[i]);
    }
    if (d->poll && sley_wait_done(&d->poll->wait)) {
        const int32_t n = d->poll->wait.result;
        if (n != SLEY_IO_IN && n != -ECANCELED && !(n == -ENOMEM && short_of_memory)) {
            FAIL("readiness of a listener: %d", n);
        }
        free(d->poll);
        d->poll = NULL;
        any = true;
    }
    if (d->closer && sley_wait_done(&d->closer->wait)) {
        for (int i = 0; i < KNOCKS; i++) { /* one that was told while another was being asked who it is */
            CHECK(!d->knocks[i] || sley_wait_done(&d->knocks[i]->op.wait));
            any |= collect_knock(d, &d->knocks[i]);
        }
        CHECK(!d->poll || sley_wait_done(&d->poll->wait));
        free(d->poll);
        door_closed(d);
        open_door(d);
        any = true;
    }
    return any;
}

/* ---- connections that we make -------------------------------------------------------------------------------------------------- */

static inline uint16_t port_of(int number, bool peers)
{
    struct sockaddr_in a = {0};
    socklen_t len = sizeof a;
    const int rc = peers ? getpeername(number, (struct sockaddr *)&a, &len) : getsockname(number, (struct sockaddr *)&a, &len);
    return rc == 0 ? a.sin_port : 0;
}

/** Takes in one of those that have come to the street, whose call may have been cancelled since. Returns false: there is none. */
static inline bool look_at_street(void)
{
    const int peer = accept4(street, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (peer < 0) {
        return false;
    }
    const uint16_t port = port_of(peer, true);
    for (int i = 0; i < CALLS; i++) {
        struct call *c = calls[i];
        if (c && c->peer < 0 && port != 0 && port_of(c->fd.number, false) == port) {
            c->peer = peer;
            return true;
        }
    }
    (void)close(peer);
    return true;
}

static inline void start_call(void)
{
    struct call **at = &calls[harness_rand_below(CALLS)];
    if (*at) {
        return;
    }
    struct call *c = calloc(1, sizeof *c);
    CHECK(c != NULL);
    const int number = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    CHECK_INT(number, >=, 0);
    c->in_vain = harness_rand_below(5) == 0;
    c->to = c->in_vain ? nobody_addr : street_addr;
    c->peer = -1;
    sley_fd_init(&c->fd, number);
    c->op = (struct sley_io_op){.fd = &c->fd, .buf = &c->to, .len = sizeof c->to, .code = SLEY_IO_CONNECT};
    *at = c;
    sley_io_submit(&c->op);
}

static inline bool collect_call(struct call **at)
{
    struct call *c = *at;
    if (!c || !sley_wait_done(&c->op.wait)) {
        return false;
    }
    const int32_t n = c->op.wait.result;
    const bool refused = n == -ECONNREFUSED && c->in_vain;
    if (n == 0) {
        CHECK(!c->in_vain);
        while (c->peer < 0) { /* it has come, or is about to */
            wait_in(street);
            CHECK(look_at_street());
        }
    } else if (!refused && !(n == -ECANCELED && c->asked) && !(n == -ENOMEM && short_of_memory)) {
        FAIL("connect: %d", n);
    }
    *at = NULL;
    struct link *l = n == 0 ? vacant_link() : NULL;
    if (l) {
        *l = (struct link){.fd = c->fd, .peer = c->peer, .key = (uint32_t)harness_rand()};
    } else {
        CHECK_RC(sley_fd_close(&c->fd), 0);
        if (c->peer >= 0) {
            (void)close(c->peer);
        }
    }
    free(c);
    return true;
}

static inline void cancel_call(struct call *c)
{
    if (c && !sley_wait_done(&c->op.wait)) {
        c->asked = true;
        sley_wait_cancel(&c->op.wait);
    }
}

/* ---- files --------------------------------------------------------------------------------------------------------------------- */

static inline void start_opening(void)
{
    struct opening **at = &openings[harness_rand_below(OPENS)];
    if (*at) {
        return;
    }
    struct opening *o = calloc(1, sizeof *o);
    CHECK(o != NULL);
    o->missing = harness_rand_below(4) == 0;
    o->op.a.path = o->missing ? "/proc/self/is-not-there" : "/proc/self/exe";
    o->op.dir = AT_FDCWD;
    o->op.how = O_RDONLY;
    o->op.io.code = SLEY_IO_OPEN;
    o->op.io.flags = harness_rand_below(2) ? SLEY_IO_DIRECT : 0;
    *at = o;
    sley_io_submit(&o->op.io);
}

static inline void read_and_close(struct sley_fd *fd)
{
    char buf[4] = "";
    struct sley_file_op op = {.io = {.fd = fd, .buf = buf, .len = sizeof buf, .code = SLEY_IO_READ}};
    const int rc = sley_io_run(&op.io);
    CHECK((rc == sizeof buf && memcmp(buf, "\177ELF", 4) == 0) || ((rc == -ENOMEM || rc == -EAGAIN) && short_of_memory));
    CHECK_RC(sley_fd_close(fd), 0);
}

static inline void check_opening_failed(const struct opening *o)
{
    const int32_t n = o->op.io.wait.result;
    const bool full = n == -ENFILE && may_be_full && (o->op.io.flags & SLEY_IO_DIRECT);
    const bool starved = (n == -ENOMEM || n == -EAGAIN) && short_of_memory;
    if (!full && !starved && !(n == -ENOENT && o->missing) && !(n == -ECANCELED && o->asked)) {
        FAIL("open: %d", n);
    }
}

static inline bool collect_opening(struct opening **at)
{
    struct opening *o = *at;
    if (!o || !sley_wait_done(&o->op.io.wait)) {
        return false;
    }
    *at = NULL;
    const int32_t n = o->op.io.wait.result;
    if (n == 0) {
        struct sley_fd fd;
        CHECK(!o->missing);
        sley_fd_init_from(&fd, &o->op.io);
        read_and_close(&fd);
    } else {
        check_opening_failed(o);
    }
    free(o);
    return true;
}

static inline void cancel_opening(struct opening *o)
{
    if (o && !sley_wait_done(&o->op.io.wait)) {
        o->asked = true;
        sley_wait_cancel(&o->op.io.wait);
    }
}

#endif
