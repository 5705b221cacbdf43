/* Clauses: how a reactor begins and ends. */
#include "rig.h"

#include <sley/file_impl.h>

#include <sys/resource.h>

CLAUSE(table_is_complete)
{
    struct sley_reactor *r = sley__rig_make();
    const struct sley_reactor_ops *ops = r->ops;
    const struct sley_reactor_factory *f = sley__rig_given();
    CHECK(f->name && f->name[0] != '\0');
    CHECK(ops->version >= 1 && ops->version <= SLEY_REACTOR_VERSION);
    CHECK(ops->name[0] != '\0');
    CHECK_INT(ops->caps & ~(uint32_t)(SLEY_REACTOR_CAP_READINESS | SLEY_REACTOR_CAP_SHARED), ==, 0);
    CHECK(!(ops->caps & SLEY_REACTOR_CAP_SHARED) || ops->serve);
    CHECK_UINT(r->armed_count, ==, 0);
    CHECK(!r->more && !r->shared);
    if (ops->adopt) { /* who opens the short ways has to be able to go on with a send */
        struct sley_fd fd;
        const int peer = unix_pair(&fd);
        CHECK_RC(ops->adopt(r, &fd), 0);
        CHECK((sley__fd_state(&fd) & SLEY_FD_FAR) || (ops->send_on && fd.slot));
        (void)close(fd.number);
        (void)close(peer);
    }
    sley_reactor_destroy(r);
}

CLAUSE(create_without_memory_is_enomem)
{
    const struct sley_reactor_opts opts = {0};
    int rc = -ENOMEM;
    for (size_t at = 1; rc < 0; at++) {
        struct sley_reactor *r = NULL;
        const unsigned fds = sley__kit_fd_count();
        sley__kit_refuse(at);
        rc = sley__rig_factory.create(&opts, &r);
        const bool refused = sley__kit_refused();
        sley__kit_refuse(0);
        CHECK_RC(rc, refused ? -ENOMEM : 0);
        if (rc == 0) {
            sley_reactor_destroy(r);
        }
        CHECK_UINT(sley__kit_alloc_live(), ==, 0);
        CHECK_UINT(sley__kit_fd_count(), ==, fds);
        CHECK_UINT(at, <, 1000);
    }
}

CLAUSE(create_without_descriptors_is_emfile)
{
    const struct sley_reactor_opts opts = {0};
    struct rlimit limit, usual;
    struct sley_reactor *r = NULL;
    int rc = -EMFILE;
    const int first = dup(0);
    const unsigned fds = sley__kit_fd_count();
    if (first < 0) {
        SKIP("descriptor 0 is not open");
    }
    (void)close(first);
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &usual), ==, 0);
    limit = usual;
    for (limit.rlim_cur = (rlim_t)first; rc < 0; limit.rlim_cur++) {
        CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);
        rc = sley__rig_factory.create(&opts, &r);
        CHECK_INT(setrlimit(RLIMIT_NOFILE, &usual), ==, 0);
        CHECK_RC(rc, rc < 0 ? -EMFILE : 0);
        CHECK_UINT(sley__kit_alloc_live(), ==, rc < 0 ? 0 : sley__kit_alloc_live());
        CHECK_UINT(sley__kit_fd_count(), ==, rc < 0 ? fds - 1 : sley__kit_fd_count());
        CHECK_UINT(limit.rlim_cur, <, (rlim_t)first + 100);
    }
    sley_reactor_destroy(r);
}

CLAUSE(destroy_gives_everything_back)
{
    const unsigned fds = sley__kit_fd_count();
    for (int i = 0; i < 5; i++) {
        struct sley_reactor *r = sley__rig_make();
        r->ops->wake(r);
        if (i % 2) {
            CHECK_INT(r->ops->poll(r, 0), >=, 0);
        }
        sley_reactor_destroy(r);
        CHECK_UINT(sley__kit_fd_count(), ==, fds);
        CHECK_UINT(sley__kit_alloc_live(), ==, 0);
    }
}

CLAUSE(its_own_descriptors_are_close_on_exec)
{
    enum { MOST = 1024 };
    bool before[MOST];
    for (int number = 0; number < MOST; number++) {
        before[number] = fcntl(number, F_GETFD) >= 0;
    }
    struct sley_reactor *r = sley__rig_make();
    r->ops->wake(r);
    CHECK_INT(r->ops->poll(r, 0), >=, 0);
    if (r->ops->pollable_fd) {
        (void)r->ops->pollable_fd(r);
    }
    CHECK_INT(r->ops->poll(r, 0), >=, 0);
    for (int number = 0; number < MOST; number++) {
        const int flags = fcntl(number, F_GETFD);
        if (!before[number] && flags >= 0 && !(flags & FD_CLOEXEC)) {
            FAIL("descriptor %d would be a child's, too", number);
        }
    }
    sley_reactor_destroy(r);
}

/* ---- beside the executor's own ----------------------------------------------------------------------------------- */

struct ended {
    int count;
    int32_t result;
};

static int32_t note_end(struct sley_io_op *op, int32_t result)
{
    struct ended *e = op->object;
    e->count++;
    e->result = result;
    return result;
}

static void start_noted(struct sley_io_op *op, struct sley_fd *fd, enum sley_io_code code, void *buf, size_t len, struct ended *e)
{
    io_set(op, fd, code, buf, len);
    op->object = e;
    op->end = note_end;
    sley_io_submit(op);
}

CLAUSE(destroy_completes_what_waits)
{
    enum { N = 5 };
    for (int round = 0; round < 3; round++) {
        struct sley_reactor *mine, *usual = sley__rig_swap_in(&mine);
        struct sley_fd fds[N];
        struct sley_io_op ops[2 * N] = {0};
        struct ended ends[2 * N] = {0};
        char bytes[N];
        int peers[N];
        for (int i = 0; i < N; i++) {
            peers[i] = unix_pair(&fds[i]);
            start_noted(&ops[N + i], &fds[i], SLEY_IO_POLL, NULL, SLEY_IO_IN, &ends[N + i]);
            start_noted(&ops[i], &fds[i], SLEY_IO_RECV, &bytes[i], 1, &ends[i]);
        }
        for (int i = 0; i < round; i++) {
            (void)look(0);
        }
        sley_reactor_destroy(mine);
        sley_sched_current()->reactor = usual;
        for (int i = 0; i < 2 * N; i++) {
            CHECK(sley_wait_done(&ops[i].wait));
            CHECK_RC(ops[i].wait.result, -ECANCELED);
            CHECK_INT(ends[i].count, ==, 1);
        }
        for (int i = 0; i < N; i++) {
            (void)close(fds[i].number); /* at home in what is no more */
            (void)close(peers[i]);
        }
    }
}

CLAUSE(destroy_leaves_descriptors_open)
{
    struct sley_reactor *mine, *usual = sley__rig_swap_in(&mine);
    struct sley_fd fds[2];
    struct sley_io_op op = {0};
    char byte;
    const int peers[2] = {unix_pair(&fds[0]), unix_pair(&fds[1])};
    CHECK_RC(io(&fds[0], SLEY_IO_SEND, "x", 1), 1);
    io_start(&op, &fds[1], SLEY_IO_RECV, &byte, 1);
    sley_reactor_destroy(mine);
    sley_sched_current()->reactor = usual;
    CHECK(sley_wait_done(&op.wait));
    for (int i = 0; i < 2; i++) {
        CHECK_INT(fcntl(fds[i].number, F_GETFD), >=, 0);
        put(peers[i], "y");
        CHECK_INT(recv(fds[i].number, &byte, 1, MSG_DONTWAIT), ==, 1);
        CHECK_RC(sley_fd_close(&fds[i]), 0); /* its home is gone: it can still be closed */
        (void)close(peers[i]);
    }
}

/** Memory is given again at once where it has been given back: what is put where memory happens to be comes to the same place. */
CLAUSE(dead_home_has_no_successor)
{
    struct sley_fd fds[8];
    int peers[8];
    sley__kit_keep(true);
    for (int i = 0; i < 8; i++) {
        struct sley_reactor *mine, *usual = sley__rig_swap_in(&mine);
        peers[i] = unix_pair(&fds[i]);
        for (int k = 0; k < i; k++) { /* those whose homes are gone */
            CHECK_RC(io(&fds[k], SLEY_IO_SEND, "x", 1), -ENODEV);
        }
        CHECK_RC(io(&fds[i], SLEY_IO_SEND, "x", 1), 1);
        sley_reactor_destroy(mine);
        sley_sched_current()->reactor = usual;
    }
    sley__kit_keep(false);
    for (int i = 0; i < 8; i++) {
        CHECK_RC(sley_fd_close(&fds[i]), 0);
        (void)close(peers[i]);
    }
}

CLAUSE(two_reactors_keep_apart)
{
    struct sley_reactor *mine, *usual = sley__rig_swap_in(&mine);
    struct sley_sched *s = sley_sched_current();
    struct sley_fd fds[2];
    struct sley_io_op ops[2] = {0};
    char bytes[2];
    const int peers[2] = {unix_pair(&fds[0]), unix_pair(&fds[1])};
    io_start(&ops[0], &fds[0], SLEY_IO_RECV, &bytes[0], 1);
    s->reactor = usual;
    io_start(&ops[1], &fds[1], SLEY_IO_RECV, &bytes[1], 1);
    put(peers[0], "a");
    CHECK(!soon(&ops[1].wait)); /* the other one's data */
    CHECK(!sley_wait_done(&ops[0].wait));
    mine->ops->wake(mine); /* and its bell */
    put(peers[1], "b");
    CHECK_RC(until_done(&ops[1].wait), 1);
    s->reactor = mine;
    CHECK_RC(until_done(&ops[0].wait), 1);
    CHECK(bytes[0] == 'a' && bytes[1] == 'b');
    CHECK_UINT(mine->armed_count, ==, 0);
    CHECK_UINT(usual->armed_count, ==, 0);
    shut(&fds[0]);
    s->reactor = usual;
    shut(&fds[1]);
    sley_reactor_destroy(mine);
    (void)close(peers[0]);
    (void)close(peers[1]);
}
