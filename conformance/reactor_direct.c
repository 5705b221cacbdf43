/* Clauses: direct descriptors, places in a table of the reactor's own. Where there is none all but the first are skipped. */
#include "rig_home.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>

#define NO_TABLE "it has no table of its own for descriptors"

static struct sley_fd listener;
static struct sockaddr_in addr;

static void listen_here(void)
{
    sley_fd_init(&listener, sley__rig_listener(&addr, 64));
}

static int dial(void)
{
    const int peer = sley__rig_dial(&addr), one = 1;
    CHECK_INT(setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one), ==, 0);
    return peer;
}

static void accept_start(struct sley_io_op *op)
{
    io_set(op, &listener, SLEY_IO_ACCEPT, NULL, 0);
    op->flags = SLEY_IO_DIRECT;
    sley_io_submit(op);
}

static int accept_one(struct sley_fd *ret_fd)
{
    struct sley_io_op op = {0};
    accept_start(&op);
    const int rc = until_done(&op.wait);
    if (rc == 0) {
        sley_fd_init_from(ret_fd, &op);
        sley_fd_set_stream(ret_fd);
    }
    return rc;
}

/** A direct connection; its peer is a plain number. Elsewhere the clause is skipped. */
static int open_pair(struct sley_fd *ret_fd)
{
    const int peer = dial();
    CHECK_RC(accept_one(ret_fd), 0);
    if (!sley_fd_is_direct(ret_fd)) {
        SKIP(NO_TABLE);
    }
    return peer;
}

static int open_file(int dir, const char *path, int flags, struct sley_fd *ret_fd)
{
    struct sley_file_op op = {.io.flags = SLEY_IO_DIRECT, .dir = dir, .a.path = path, .how = (uint32_t)flags, .mode = 0600};
    const int rc = file_run(&op, SLEY_IO_OPEN);
    if (rc == 0) {
        sley_fd_init_from(ret_fd, &op.io);
    }
    return rc;
}

static int shut_down(struct sley_fd *fd, int how)
{
    struct sley_file_op op = {.io.fd = fd, .how = (uint32_t)how};
    return file_run(&op, SLEY_IO_SHUTDOWN);
}

static bool has_ended(int peer)
{
    char byte;
    return recv(peer, &byte, 1, 0) == 0;
}

static bool system_knows(int number)
{
    return fcntl(number, F_GETFD) >= 0 || errno != EBADF;
}

static void check_free(const struct sley_fd *fd)
{
    CHECK_UINT(sley__fd_state(fd) & (SLEY_FD_HOLD_MASK | SLEY_FD_READING | SLEY_FD_WRITING), ==, 0);
}

/** A byte each way. */
static void echo(struct sley_fd *fd, int peer, char sent)
{
    char byte = 0;
    CHECK_INT(send(peer, &sent, 1, MSG_NOSIGNAL), ==, 1);
    CHECK_RC(io(fd, SLEY_IO_RECV, &byte, 1), 1);
    CHECK_INT(byte, ==, sent);
    CHECK_RC(io(fd, SLEY_IO_SEND, &byte, 1), 1);
    byte = 0;
    CHECK_INT(recv(peer, &byte, 1, 0), ==, 1);
    CHECK_INT(byte, ==, sent);
}

/* ---- what they are --------------------------------------------------------------------------------------------------- */

static void check_plain_or_direct(const struct sley_fd *fd, int status)
{
    if (sley_fd_is_direct(fd)) {
        CHECK(!system_knows(fd->number));
    } else {
        CHECK_INT(fcntl(fd->number, F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);
        CHECK_INT(fcntl(fd->number, F_GETFL) & status, ==, status);
    }
}

CLAUSE(direct_is_asked_for_not_demanded)
{
    struct sley_fd fd;
    char buf[4] = "";
    listen_here();
    const int peer = dial(), dir = sley__rig_dir();
    CHECK_RC(accept_one(&fd), 0);
    check_plain_or_direct(&fd, O_NONBLOCK);
    echo(&fd, peer, 'a');
    shut(&fd);
    CHECK(has_ended(peer));
    CHECK_RC(open_file(dir, "f", O_RDWR | O_CREAT, &fd), 0);
    check_plain_or_direct(&fd, 0);
    CHECK_RC(move_at(&fd, SLEY_IO_WRITE, "abc", 3, 0), 3);
    CHECK_RC(move_at(&fd, SLEY_IO_READ, buf, sizeof buf, 0), 3);
    CHECK(memcmp(buf, "abc", 3) == 0);
    file_close(&fd);
    CHECK_UINT(reactor()->armed_count, ==, 0);
    shut(&listener);
    (void)close(peer);
    (void)close(dir);
}

CLAUSE(direct_descriptor_takes_no_number)
{
    struct sley_fd first, second, file, guessed;
    struct rlimit limit, none;
    char byte;
    listen_here();
    const unsigned before = sley__kit_fd_count();
    const int peer = open_pair(&first);
    CHECK_UINT(sley__kit_fd_count(), ==, before + 1); /* the peer's */
    CHECK(!system_knows(first.number));
    const int another = dial(), dir = sley__rig_dir();
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), ==, 0);
    none = limit;
    none.rlim_cur = 0; /* the process has none left */
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &none), ==, 0);
    const int accepted = accept_one(&second), opened = open_file(dir, "f", O_RDWR | O_CREAT, &file);
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);
    CHECK_RC(accepted, 0);
    CHECK(sley_fd_is_direct(&second) && second.number != first.number);
    CHECK(opened == -EMFILE || opened == 0);
    CHECK(opened < 0 || sley_fd_is_direct(&file));
    echo(&first, peer, '1');
    echo(&second, another, '2');
    sley_fd_init(&guessed, first.number); /* a number alone says nothing */
    CHECK_RC(io(&guessed, SLEY_IO_RECV, &byte, 1), -EBADF);
    CHECK_RC(io_poll(&guessed, SLEY_IO_OUT), -EBADF);
    if (opened == 0) {
        file_close(&file);
    }
    shut(&first);
    shut(&second);
    shut(&listener);
    (void)close(peer);
    (void)close(another);
    (void)close(dir);
}

/* ---- what they do ---------------------------------------------------------------------------------------------------- */

static void talk(struct sley_fd *fd, int peer)
{
    char buf[16];
    struct sley_io_op op = {0}, second = {0};
    put(peer, "before");
    CHECK_RC(io(fd, SLEY_IO_RECV, buf, sizeof buf), 6);
    io_start(&op, fd, SLEY_IO_RECV, buf, sizeof buf);
    CHECK(!soon(&op.wait));
    CHECK_UINT(reactor()->armed_count, ==, 1);
    io_start(&second, fd, SLEY_IO_RECV, buf, sizeof buf);
    CHECK_RC(until_done(&second.wait), -EBUSY);
    CHECK_RC(until_cancelled(&op.wait), -ECANCELED);
    CHECK_UINT(reactor()->armed_count, ==, 0);
    check_free(fd);
    io_start_all(&op, fd, SLEY_IO_RECV, buf, 6);
    put(peer, "abc");
    CHECK(!soon(&op.wait));
    put(peer, "def");
    CHECK_RC(until_done(&op.wait), 0);
    CHECK_UINT(op.done_bytes, ==, 6);
    CHECK(memcmp(buf, "abcdef", 6) == 0);
}

static void exchange_messages(struct sley_fd *fd, int peer)
{
    char buf[16];
    struct iovec iov = {.iov_base = (char *)(uintptr_t) "xyz", .iov_len = 3};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    struct sley_io_op op = {0};
    CHECK_RC(io(fd, SLEY_IO_SENDMSG, &m, 0), 3);
    CHECK_INT(recv(peer, buf, sizeof buf, 0), ==, 3);
    CHECK_RC(io_poll(fd, SLEY_IO_OUT), SLEY_IO_OUT);
    sley_fd_poll_start(&op, fd, SLEY_IO_IN);
    CHECK(!soon(&op.wait));
    put(peer, "x");
    CHECK_RC(until_done(&op.wait), SLEY_IO_IN);
    iov = (struct iovec){buf, sizeof buf};
    CHECK_RC(io(fd, SLEY_IO_RECVMSG, &m, 0), 1);
}

CLAUSE(direct_connection_is_a_connection)
{
    struct sley_fd fd;
    struct sley_lent *lent;
    struct sley_io_op op = {0};
    char buf[16];
    listen_here();
    const int peer = open_pair(&fd);
    reactor()->lend.alloc = sley__kit_alloc();
    reactor()->lend.opts = (struct sley_lend_opts){.buffer_bytes = 16, .buffer_count = 2};
    for (int round = 0; round < 4; round++) {
        CHECK_RC(io(&fd, SLEY_IO_SEND, (char *)(uintptr_t) "hello", 5), 5);
        CHECK_INT(recv(peer, buf, sizeof buf, 0), ==, 5);
        talk(&fd, peer);
        exchange_messages(&fd, peer);
        sley_fd_recv_lent_start(&op, &fd, &lent);
        CHECK(!soon(&op.wait));
        put(peer, "lent");
        CHECK_RC(until_done(&op.wait), 4);
        CHECK(memcmp(lent->data, "lent", 4) == 0);
        CHECK_RC(sley_lent_return(lent), 0);
    }
    struct sley_file_op zc = {.io = {.fd = &fd, .buf = (char *)(uintptr_t) "copy", .len = 4}};
    CHECK_RC(file_run(&zc, SLEY_IO_SEND_ZC), 4);
    CHECK_INT(recv(peer, buf, sizeof buf, 0), ==, 4);
    CHECK_RC(shut_down(&fd, SHUT_WR), 0);
    CHECK(has_ended(peer));
    put(peer, "late");
    CHECK_RC(io(&fd, SLEY_IO_RECV, buf, sizeof buf), 4);
    CHECK_INT(shutdown(peer, SHUT_WR), ==, 0);
    CHECK_RC(io(&fd, SLEY_IO_RECV, buf, sizeof buf), 0);
    shut(&fd);
    shut(&listener);
    (void)close(peer);
}

CLAUSE(direct_file_is_a_file)
{
    struct sley_fd fd;
    struct sley_file_op op;
    char buf[8] = "", first[2], second[3];
    struct iovec in[] = {{first, 2}, {second, 3}};
    listen_here();
    const int peer = open_pair(&fd), dir = sley__rig_dir(); /* is there a table? Without making a call on another thread */
    shut(&fd);
    shut(&listener);
    (void)close(peer);
    CHECK_RC(open_file(dir, "f", O_RDWR | O_CREAT | O_EXCL, &fd), 0);
    if (!sley_fd_is_direct(&fd)) {
        SKIP(NO_TABLE);
    }
    CHECK_RC(move_at(&fd, SLEY_IO_WRITE, "abcdef", 6, 2), 6);
    CHECK_RC(move_at(&fd, SLEY_IO_READ, buf, sizeof buf, 0), 8);
    CHECK(memcmp(buf, "\0\0abcdef", 8) == 0);
    CHECK_RC(move_at(&fd, SLEY_IO_READ, buf, sizeof buf, 8), 0);
    CHECK_RC(move_at(&fd, SLEY_IO_READV, in, 2, 2), 5);
    CHECK(memcmp(first, "ab", 2) == 0 && memcmp(second, "cde", 3) == 0);
    op = (struct sley_file_op){.io.fd = &fd};
    CHECK_RC(file_run(&op, SLEY_IO_FSYNC), 0);
    CHECK_RC(file_run(&op, SLEY_IO_FDATASYNC), 0);
    CHECK_RC(io_poll(&fd, SLEY_IO_IN), -EPERM);
    file_close(&fd);
    CHECK_RC(move_at(&fd, SLEY_IO_READ, buf, 1, 0), -EBADF);
    CHECK_RC(open_file(dir, "f", O_RDWR | O_CREAT | O_EXCL, &fd), -EEXIST);
    CHECK_RC(open_file(dir, "missing", O_RDONLY, &fd), -ENOENT);
    CHECK_UINT(reactor()->armed_count, ==, 0);
    (void)close(dir);
}

static void check_refused(struct sley_file_op *op, enum sley_io_code code)
{
    const int rc = file_run(op, code);
    if (rc < 0 && rc != -ENOTSUP) {
        FAIL("op %u gives %d", (unsigned)code, rc);
    }
    check_free(op->io.fd);
}

CLAUSE(direct_refusals_are_enotsup)
{
    struct sley_fd fd, out, in, file;
    struct sley_file_op op;
    struct statx st;
    char byte = 'x';
    int numbers[2];
    listen_here();
    const int peer = open_pair(&fd), dir = sley__rig_dir();
    sley__rig_pipe(O_NONBLOCK, &numbers[0], &numbers[1]);
    sley_fd_init(&out, numbers[0]);
    sley_fd_init(&in, numbers[1]);
    write_text(in.number, "some");
    put(peer, "some");
    op = (struct sley_file_op){.io = {.fd = &fd, .buf = &st}, .mode = STATX_TYPE};
    check_refused(&op, SLEY_IO_STAT);
    op = (struct sley_file_op){.io = {.fd = &fd, .len = 2}, .a.to = &in};
    check_refused(&op, SLEY_IO_SPLICE);
    op = (struct sley_file_op){.io = {.fd = &out, .len = 2}, .a.to = &fd};
    check_refused(&op, SLEY_IO_SPLICE);
    check_free(&fd);
    CHECK_RC(open_file(dir, "f", O_RDWR | O_CREAT, &file), 0);
    op = here(&file, &byte, 1);
    check_refused(&op, SLEY_IO_WRITE);
    op = here(&file, &byte, 1);
    check_refused(&op, SLEY_IO_READ);
    op = (struct sley_file_op){.io = {.fd = &file, .len = 5}};
    check_refused(&op, SLEY_IO_FALLOCATE);
    CHECK_RC(sley_fd_move(&fd), -ENOTSUP);
    CHECK_UINT(reactor()->armed_count, ==, 0);
    CHECK_RC(io(&fd, SLEY_IO_SEND, &byte, 1), 1); /* nothing has happened to it */
    file_close(&file);
    shut(&fd);
    file_close(&out);
    file_close(&in);
    shut(&listener);
    (void)close(peer);
    (void)close(dir);
}

/* ---- places ---------------------------------------------------------------------------------------------------------- */

enum { MOST = 1024 };
static struct sley_fd held[MOST];

/** Tables are as long as the process's, perhaps: makes that short, before the first place is wanted. */
static void ask_for_few(void)
{
    struct rlimit limit;
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), ==, 0);
    limit.rlim_cur = 64;
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);
    listen_here();
}

/** Takes every place, by connections whose peers have gone; the peer of one more, in the backlog, is left. Returns how many there are. */
static unsigned fill(int *ret_peer)
{
    unsigned n = 0;
    for (;; n++) {
        int rc;
        if (n == MOST) {
            SKIP("its table has more than %d places", MOST);
        }
        *ret_peer = dial();
        rc = accept_one(&held[n]);
        if (rc < 0) {
            CHECK_RC(rc, -ENFILE);
            break;
        }
        if (!sley_fd_is_direct(&held[n])) {
            SKIP(NO_TABLE);
        }
        (void)close(*ret_peer);
    }
    CHECK_UINT(n, >, 0);
    return n;
}

static void empty(unsigned n)
{
    while (n > 0) {
        shut(&held[--n]);
    }
}

CLAUSE(direct_table_that_is_full_is_enfile)
{
    struct sley_fd fd;
    struct sley_io_op op = {0};
    int peer;
    ask_for_few();
    const unsigned n = fill(&peer);
    const int dir = sley__rig_dir(), opened = open_file(dir, "f", O_RDWR | O_CREAT, &fd);
    CHECK(opened == -ENFILE || (opened == 0 && !sley_fd_is_direct(&fd))); /* where files are never direct */
    if (opened == 0) {
        file_close(&fd);
    }
    CHECK_RC(accept_one(&fd), -ENFILE);
    struct pollfd p = {.fd = peer, .events = POLLIN};
    CHECK_INT(poll(&p, 1, 0), ==, 0); /* it waits in the backlog */
    shut(&held[0]);
    CHECK_RC(accept_one(&held[0]), 0);
    CHECK(sley_fd_is_direct(&held[0]));
    echo(&held[0], peer, 'e');
    const int plain = dial();
    io_start(&op, &listener, SLEY_IO_ACCEPT, NULL, 0); /* there is room for those that ask for no place */
    CHECK_RC(until_done(&op.wait), 0);
    CHECK_INT(op.out_number, <, SLEY_FD_DIRECT_FIRST);
    CHECK_INT(close(op.out_number), ==, 0);
    empty(n);
    shut(&listener);
    (void)close(peer);
    (void)close(plain);
    (void)close(dir);
}

CLAUSE(direct_close_ends_what_waits)
{
    struct sley_fd fd;
    char byte;
    listen_here();
    for (int unheard = 0; unheard < 2; unheard++) {
        struct sley_io_op receive = {0}, readable = {0};
        const int peer = open_pair(&fd);
        io_start(&receive, &fd, SLEY_IO_RECV, &byte, 1);
        sley_fd_poll_start(&readable, &fd, SLEY_IO_IN);
        CHECK(!soon(&receive.wait) && !sley_wait_done(&readable.wait));
        struct sley_io_op closing = {.fd = &fd, .code = SLEY_IO_CLOSE, .flags = unheard ? SLEY_IO_UNHEARD : 0};
        sley_io_submit(&closing);
        CHECK(!unheard || sley_wait_done(&closing.wait));
        CHECK_RC(until_done(&closing.wait), 0);
        CHECK(unheard || (sley_wait_done(&receive.wait) && sley_wait_done(&readable.wait)));
        CHECK_RC(until_done(&receive.wait), -ECANCELED);
        CHECK_RC(until_done(&readable.wait), -ECANCELED);
        settle();
        CHECK(has_ended(peer));
        CHECK_UINT(reactor()->armed_count, ==, 0);
        if (!unheard) {
            CHECK_INT(fd.number, ==, -1);
            CHECK_RC(io(&fd, SLEY_IO_SEND, &byte, 1), -EBADF);
            shut(&fd);
        }
        (void)close(peer);
    }
    shut(&listener);
}

CLAUSE(direct_places_are_exact)
{
    struct sley_io_op op = {0};
    struct sley_fd fd;
    int peer;
    char byte;
    ask_for_few();
    const int dir = sley__rig_dir();
    const unsigned n = fill(&peer);
    (void)close(peer);
    shut(&held[0]); /* for the one that is left in the backlog, so that the next ACCEPTs wait */
    CHECK_RC(accept_one(&held[0]), 0);
    empty(n);
    for (unsigned i = 0; i < 2 * n; i++) { /* as often as there are places, and again */
        accept_start(&op);
        CHECK(!soon(&op.wait));
        CHECK_RC(until_cancelled(&op.wait), -ECANCELED);
        CHECK_RC(open_file(dir, "missing", O_RDONLY, &fd), -ENOENT);
        struct sley_file_op open_op = {.io.flags = SLEY_IO_DIRECT, .dir = dir, .a.path = "f", .how = O_RDWR | O_CREAT};
        open_op.mode = 0600;
        file_start(&open_op, SLEY_IO_OPEN);
        sley_wait_cancel(&open_op.io.wait);
        if (sley_await(&open_op.io.wait) == 0) {
            sley_fd_init_from(&fd, &open_op.io);
            file_close(&fd);
        }
        peer = open_pair(&fd);
        io_start(&op, &fd, SLEY_IO_RECV, &byte, 1);
        CHECK(!soon(&op.wait));
        shut(&fd);
        CHECK_RC(until_done(&op.wait), -ECANCELED);
        (void)close(peer);
    }
    CHECK_UINT(fill(&peer), ==, n);
    empty(n);
    shut(&listener);
    (void)close(peer);
    (void)close(dir);
}

CLAUSE(direct_place_starts_clean)
{
    struct sley_io_op op = {0};
    char buf[7];
    int peer;
    ask_for_few();
    const unsigned n = fill(&peer), last = n - 1;
    for (int round = 0; round < 6; round++) { /* always the only place that is free */
        shut(&held[last]);
        CHECK_RC(accept_one(&held[last]), 0);
        io_start(&op, &held[last], SLEY_IO_RECV, buf, sizeof buf);
        CHECK(!soon(&op.wait));
        put(peer, (const char[]){(char)('a' + round), 0});
        CHECK_RC(until_done(&op.wait), 1);
        CHECK_INT(buf[0], ==, 'a' + round);
        put(peer, "left for nobody");
        if (round % 2) { /* it has ended, too, and said so */
            CHECK_INT(shutdown(peer, SHUT_WR), ==, 0);
            CHECK_INT(io_poll(&held[last], SLEY_IO_IN) & SLEY_IO_IN, ==, SLEY_IO_IN);
        }
        (void)close(peer);
        peer = dial();
    }
    empty(n);
    shut(&listener);
    (void)close(peer);
}

/* ---- whose they are -------------------------------------------------------------------------------------------------- */

static void *borrow_elsewhere(void *arg)
{
    CHECK_RC(sley_fd_borrow(arg), -EXDEV);
    return NULL;
}

CLAUSE(direct_descriptor_lends_a_number)
{
    struct sley_fd fd;
    struct sockaddr_in local;
    socklen_t len = sizeof local;
    pthread_t thread;
    listen_here();
    const int peer = open_pair(&fd);
    CHECK_INT(pthread_create(&thread, NULL, borrow_elsewhere, &fd), ==, 0);
    CHECK_INT(pthread_join(thread, NULL), ==, 0);
    const unsigned before = sley__kit_fd_count();
    const int number = sley_fd_borrow(&fd);
    if (number == -ENOTSUP) {
        SKIP("it lends none");
    }
    CHECK_INT(number, >=, 0);
    CHECK_UINT(sley__kit_fd_count(), ==, before + 1);
    CHECK_INT(fcntl(number, F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);
    CHECK_INT(getsockname(number, (struct sockaddr *)&local, &len), ==, 0);
    CHECK_UINT(local.sin_port, ==, addr.sin_port);
    sley_fd_give_back(&fd, number);
    CHECK_UINT(sley__kit_fd_count(), ==, before);
    echo(&fd, peer, 'l');
    shut(&fd);
    CHECK_RC(sley_fd_borrow(&fd), -EBADF);
    shut(&listener);
    (void)close(peer);
}

CLAUSE(direct_descriptors_end_with_their_reactor)
{
    struct sley_sched *s = sley_sched_current();
    struct sley_reactor *usual = s->reactor, *mine;
    const struct sley_reactor_opts opts = {0};
    struct sley_fd busy, idle;
    struct sley_io_op op = {0};
    char byte;
    listen_here();
    CHECK_RC(sley__rig_factory.create(&opts, &mine), 0);
    mine->sched = s;
    s->reactor = mine;
    const int busy_peer = open_pair(&busy), idle_peer = open_pair(&idle);
    io_start(&op, &busy, SLEY_IO_RECV, &byte, 1);
    CHECK(!soon(&op.wait));
    sley_reactor_destroy(mine);
    s->reactor = usual;
    CHECK(sley_wait_done(&op.wait));
    CHECK_RC(op.wait.result, -ECANCELED);
    CHECK(has_ended(busy_peer) && has_ended(idle_peer));
    CHECK_RC(io(&idle, SLEY_IO_SEND, &byte, 1), -ENODEV);
    shut(&busy); /* there is nothing left to close */
    shut(&idle);
    CHECK_INT(close(listener.number), ==, 0); /* which is not direct */
    (void)close(busy_peer);
    (void)close(idle_peer);
}

static void open_far(void)
{
    listen_here();
    far.peer = open_pair(&far.fd);
    shut(&listener);
}

static void use_from_afar(void)
{
    char buf[8];
    struct sley_io_op op = {0};
    io_start(&op, &far.fd, SLEY_IO_RECV, buf, sizeof buf);
    CHECK(!sley_wait_done(&op.wait));
    put(far.peer, "hello");
    CHECK_RC(sley_await(&op.wait), 5);
    io_start(&op, &far.fd, SLEY_IO_SEND, buf, 5);
    CHECK_RC(sley_await(&op.wait), 5);
    CHECK_INT(recv(far.peer, buf, sizeof buf, 0), ==, 5);
    CHECK_RC(sley_fd_borrow(&far.fd), -EXDEV);
    CHECK_RC(sley_fd_move(&far.fd), -ENOTSUP);
}

CLAUSE(direct_op_from_elsewhere_is_done_at_home)
{
    struct sley_io_op op = {0};
    char buf[8];
    up(&home);
    call_in(&home, open_far);
    up(&other);
    call_in(&other, use_from_afar);
    down(&other);
    io_start(&op, &far.fd, SLEY_IO_RECV, buf, sizeof buf); /* from this thread, which is nobody's */
    CHECK(!driven_soon(&op.wait));
    sley_wait_cancel(&op.wait);
    CHECK_RC(driven(&op.wait), -ECANCELED);
    put(far.peer, "again");
    io_start(&op, &far.fd, SLEY_IO_RECV, buf, sizeof buf);
    CHECK_RC(driven(&op.wait), 5);
    sley_fd_close_start(&op, &far.fd);
    CHECK_RC(driven(&op.wait), 0);
    CHECK_INT(far.fd.number, ==, -1);
    CHECK(has_ended(far.peer));
    down(&home);
    (void)close(far.peer);
}
