/* The short ways of a descriptor whose home several workers share (reactor/shared.c, shared_near.c, move.c; the states are in
 * <sley/near_impl.h>): a send outside the lock and a receive that is armed, against a close, a move, a cancel and an event. */
#include <sley/file_impl.h>
#include <sley/lend_impl.h>
#include <sley/near_impl.h>

#include "reactor/file.h"
#include "reactor/op.h"
#include "rig.h"

/* ---- a reactor: one slot, and a number that is open or not ---------------------------------------------------------------- */

enum { WORKERS = 2 };

static struct fake {
    struct sley_reactor base;
    struct sley__slot slot;
} fakes[WORKERS];

static SLEY_ATOMIC(uint32_t) is_open;
static struct sley_fd fd;
static struct sley_io_op first, second;
static struct sley_group group;
static struct sley_sched scheds[WORKERS], *at[WORKERS];

static struct fake *fake_of(struct sley_reactor *r)
{
    return sley_container_of(r, struct fake, base);
}

static int adopt(struct sley_reactor *self, struct sley_fd *f)
{
    struct sley__slot *slot = &fake_of(self)->slot;
    EXPLORE_CHECK(slot->read == NULL);
    slot->way = SLEY__WAY_DRY; /* as if a short receive had been */
    f->slot = slot;
    return 0;
}

static void end_read(struct fake *f, int32_t result)
{
    struct sley_io_op *op = f->slot.read;
    f->slot.read = NULL;
    f->slot.way = SLEY__WAY_DRY;
    sley_io_complete(&f->base, op, result);
}

static void submit(struct sley_reactor *self, struct sley_io_op *op)
{
    struct fake *f = fake_of(self);
    if (op->code == SLEY_IO_CLOSE) {
        if (f->slot.read) {
            end_read(f, -ECANCELED);
        }
        op->fd->number = -1;
        /* relaxed: the number may be another's from now on */
        atomic_store_explicit(&is_open, 0, memory_order_relaxed);
        sley_io_finish(op, 0);
    } else {
        sley_io_arm(self, op);
        f->slot.read = op;
        f->slot.way = SLEY__WAY_ASK;
    }
}

static void cancel(struct sley_reactor *self, struct sley_io_op *op)
{
    EXPLORE_CHECK(fake_of(self)->slot.read == op);
    end_read(fake_of(self), -ECANCELED);
}

static const struct sley_reactor_ops fake_ops = {
    .version = 1, .caps = SLEY_REACTOR_CAP_SHARED, .name = "fake", .adopt = adopt, .submit = submit, .cancel = cancel};

/* ---- what reactor/ has beside: here nothing; but a cancel is as in op.c ------------------------------------------------------ */

static void cancel_op(struct sley_wait *w)
{
    struct sley_io_op *op = sley_container_of(w, struct sley_io_op, wait);
    struct sley_reactor *shared = sley_io_enter(op);
    if (!sley_io_ended(op)) {
        shared->ops->cancel(shared, op);
    }
    sley_reactor_leave(shared);
}

const struct sley_wait_ops sley__io_kinds[SLEY_IO_CLOSE + 1] = {
    [SLEY_IO_RECV] = {.version = SLEY_WAIT_VERSION, .name = "recv", .cancel = cancel_op},
    [SLEY_IO_SEND] = {.version = SLEY_WAIT_VERSION, .name = "send", .cancel = cancel_op},
    [SLEY_IO_CLOSE] = {.version = SLEY_WAIT_VERSION, .name = "close"},
};

bool sley__fd_away(const struct sley_sched *s, struct sley_fd *f)
{
    (void)s, (void)f;
    return false;
}

void sley__fd_close_idle(struct sley_fd *f)
{
    (void)f;
    EXPLORE_CHECK(false);
}

void sley__file_close(struct sley_reactor *r, struct sley_io_op *op)
{
    (void)r, (void)op;
}

void sley__home_begin(struct sley_reactor *r, struct sley_sched *worker)
{
    (void)worker;
    r->listed = true;
}

bool sley__home_has_lost(const struct sley_reactor *home, int number)
{
    (void)home, (void)number;
    return false;
}

bool sley__home_gone(const struct sley_reactor *home)
{
    (void)home;
    return false;
}

void sley__lend_finish(struct sley_io_op *op, int32_t result)
{
    (void)op, (void)result;
}

void sley__lend_arm(struct sley_reactor *r, struct sley_io_op *op)
{
    (void)r, (void)op;
}

void sley__lend_complete(struct sley_reactor *r, struct sley_io_op *op, int32_t result)
{
    (void)r, (void)op, (void)result;
}

void sley__lend_close(struct sley_reactor *r, const struct sley_fd *f)
{
    (void)r, (void)f;
}

bool sley__remote_expected(const struct sley_fd *f, const struct sley_reactor *home)
{
    (void)f, (void)home;
    return false;
}

bool sley__courier_has(const struct sley_io_op *inner)
{
    (void)inner;
    return false;
}

void sley__remote_submit(struct sley_io_op *op, struct sley_reactor *home)
{
    (void)op, (void)home;
}

int sley_io_call_home(struct sley_io_op *op, struct sley_fd *f, const struct sley_io_op *like, void (*start)(struct sley_io_op *inner))
{
    (void)op, (void)f, (void)like, (void)start;
    return -ENODEV;
}

int32_t sley_io_try(struct sley_io_op *op)
{
    (void)op;
    return 4;
}

int32_t sley_io_try_on(struct sley_io_op *op, int32_t n)
{
    (void)op;
    return n;
}

/* ---- who does what --------------------------------------------------------------------------------------------------------------- */

static void schedule(struct sley_sched *s, struct sley_task *t, enum sley_ready why)
{
    (void)s, (void)t, (void)why;
}

static void release_sched(struct sley_sched *s)
{
    (void)s;
}

static const struct sley_sched_ops sched_ops = {
    .version = SLEY_SCHED_VERSION,
    .name = "near",
    .ring = release_sched,
    .now_ns = rig_now,
    .timer_arm = rig_arm,
    .timer_disarm = rig_disarm,
    .release = release_sched,
    .schedule = schedule,
};

static void release(struct sley_group *g)
{
    (void)g;
    for (unsigned i = 0; i < WORKERS; i++) {
        sley_sched_destroy(&scheds[i]);
    }
}

static void setup(void)
{
    explore_thread_local(&sley__self, sizeof(struct sley_sched *));
    memset(scheds, 0, sizeof scheds);
    for (unsigned i = 0; i < WORKERS; i++) {
        at[i] = &scheds[i];
        EXPLORE_CHECK(sley_sched_init(&scheds[i], &sched_ops, &(struct sley_sched_opts){.alloc = explore_alloc()}) == 0);
    }
    sley_group_init(&group, at, WORKERS, release);
    memset(fakes, 0, sizeof fakes);
    memset(&first, 0, sizeof first);
    memset(&second, 0, sizeof second);
    for (unsigned i = 0; i < WORKERS; i++) {
        fakes[i].base.ops = &fake_ops;
        fakes[i].base.shared = fakes[i].base.near = fakes[i].base.listed = true;
        fakes[i].base.index = i;
        scheds[i].reactor = &fakes[i].base;
        scheds[i].budget = 100;
    }
    atomic_store_explicit(&is_open, 1, memory_order_relaxed);
    (void)adopt(&fakes[0].base, &fd);
    fd.number = 9;
    atomic_store_explicit(&fd.state, SLEY_FD_STREAM | SLEY_FD_FAR | SLEY_FD_KNOWN, memory_order_relaxed);
    atomic_store_explicit(&fd.home, &fakes[0].base, memory_order_relaxed);
}

static void prepare(struct sley_io_op *op, uint8_t code)
{
    op->fd = &fd;
    op->code = code;
}

/** The long way: a home is found, or made. */
static void submit_send(struct sley_io_op *op, struct sley_sched *s)
{
    prepare(op, SLEY_IO_SEND);
    EXPLORE_CHECK(sley_wait_begin(&op->wait, &sley__io_kinds[SLEY_IO_SEND]));
    sley__shared_submit(s, op);
    EXPLORE_CHECK(sley_wait_done(&op->wait));
    EXPLORE_CHECK(op->wait.result == 4 || op->wait.result == -EBUSY || op->wait.result == -EBADF);
}

/** On worker @p i: what was sent has gone to this connection. */
static void send_on(unsigned i)
{
    struct sley_sched *s = &scheds[i];
    (void)sley_sched_enter(s);
    struct sley_reactor *r = sley_io_send_enter(&fd, s);
    if (r) {
        /* relaxed: the system call */
        EXPLORE_CHECK(atomic_load_explicit(&is_open, memory_order_relaxed) && fd.number == 9);
        prepare(&first, SLEY_IO_SEND);
        sley_io_sent_shared(r, &first, 4, s);
        EXPLORE_CHECK(sley_wait_done(&first.wait) && first.wait.result == 4);
    } else {
        submit_send(&first, s);
    }
    (void)sley_sched_enter(NULL);
}

static void send_at_home(void)
{
    send_on(0);
}

static void send_away(void)
{
    send_on(1);
}

static void close_it(void)
{
    (void)sley_sched_enter(&scheds[1]);
    prepare(&second, SLEY_IO_CLOSE);
    sley_wait_begin_always(&second.wait, &sley__io_kinds[SLEY_IO_CLOSE]);
    EXPLORE_CHECK(sley__shared_close(&scheds[1], &second));
    EXPLORE_CHECK(sley_wait_done(&second.wait) && second.wait.result == 0);
    (void)sley_sched_enter(NULL);
}

static bool arm_on(struct sley_sched *s)
{
    static char buf[4];
    prepare(&first, SLEY_IO_RECV);
    return sley_io_recv_shared(&first, &fd, buf, sizeof buf, s);
}

static void arm_at_home(void)
{
    (void)sley_sched_enter(&scheds[0]);
    (void)arm_on(&scheds[0]);
    (void)sley_sched_enter(NULL);
}

static void arm_and_cancel(void)
{
    (void)sley_sched_enter(&scheds[0]);
    if (arm_on(&scheds[0])) {
        sley_wait_cancel(&first.wait);
    }
    (void)sley_sched_enter(NULL);
}

/** A report of the port's, whoever handles it. */
static void event(void)
{
    struct fake *f = &fakes[0];
    sley__reactor_enter(&f->base);
    if (f->slot.way == SLEY__WAY_TAKEN) {
        struct sley_io_op *op = f->slot.read;
        EXPLORE_CHECK(atomic_load_explicit(&is_open, memory_order_relaxed) && op->fd->number == 9);
        f->slot.read = NULL;
        f->slot.way = SLEY__WAY_DRY;
        f->base.armed_count--;
        sley__fd_set(op->fd, sley__fd_state(op->fd) - (SLEY_FD_READING | SLEY_FD_HOLD));
        sley__reactor_tell(&f->base, op, 1);
    }
    sley__reactor_leave(&f->base);
}

/** Gives it up, and uses it here. */
static void move_and_send_on(unsigned i)
{
    struct sley_sched *s = &scheds[i];
    (void)sley_sched_enter(s);
    sley_fd_move_start(&second, &fd);
    EXPLORE_CHECK(sley_wait_done(&second.wait) && (second.wait.result == 0 || second.wait.result == -EBUSY));
    submit_send(&second, s);
    (void)sley_sched_enter(NULL);
}

static void move_and_send_at_home(void)
{
    move_and_send_on(0);
}

static void move_and_send_away(void)
{
    move_and_send_on(1);
}

/* ---- the end ---------------------------------------------------------------------------------------------------------------------- */

static void check(void)
{
    const uint32_t in_use = SLEY_FD_HOLD_MASK | SLEY_FD_READING | SLEY_FD_WRITING | SLEY_FD_SENDING_MASK;
    if (fakes[0].slot.read) { /* nobody has ended it */
        EXPLORE_CHECK(fd.number == 9);
        (void)sley_sched_enter(&scheds[0]);
        event();
        (void)sley_sched_enter(NULL);
    }
    EXPLORE_CHECK((sley__fd_state(&fd) & in_use) == 0);
    EXPLORE_CHECK(fakes[0].base.armed_count == 0 && fakes[1].base.armed_count == 0);
    if (first.code == SLEY_IO_RECV && first.wait.ops) {
        EXPLORE_CHECK(sley_wait_done(&first.wait) && (first.wait.result == 1 || first.wait.result == -ECANCELED));
    }
    if (sley_group_fini(&group)) {
        release(&group);
    }
}

static const struct explore_scenario send_and_close = {.setup = setup, .threads = {send_at_home, close_it}, .check = check};
static const struct explore_scenario send_and_move = {
    .setup = setup, .threads = {send_at_home, move_and_send_away}, .check = check, .preemptions = 3};
static const struct explore_scenario send_away_and_move = {
    .setup = setup, .threads = {send_away, move_and_send_at_home}, .check = check, .preemptions = 3};
static const struct explore_scenario arm_event_and_close = {
    .setup = setup, .threads = {arm_at_home, event, close_it}, .check = check, .preemptions = 2};

EXPLORE_TEST(near_send_outside_the_lock_is_closed_behind)
{
    explore_exhaust("a send and a close", &send_and_close);
}

EXPLORE_TEST(near_sends_and_a_move_have_one_home_each)
{
    explore_exhaust("a send at home, and a move elsewhere", &send_and_move);
    explore_exhaust("a send elsewhere, and a move at home", &send_away_and_move);
}

EXPLORE_TEST(near_receive_is_ended_once_by_event_or_close)
{
    explore_exhaust("a receive, its event, a close", &arm_event_and_close);
}

EXPLORE_TEST(near_receive_is_ended_once_by_event_or_cancel)
{
    const struct explore_scenario s = {.setup = setup, .threads = {arm_and_cancel, event}, .check = check};
    explore_exhaust("a receive, its event, a cancel", &s);
}

EXPLORE_TEST(planted_bugs_of_short_ways_are_found)
{
    struct explore_scenario s = send_and_close;
    s.planted = &(const struct explore_planted){"sley__fd_set", EXPLORE_STORE, EXPLORE_DROP};
    explore_find("the number is not pinned", &s, "");
    s.planted = &(const struct explore_planted){"sley_spin_lock", EXPLORE_EXCHANGE, EXPLORE_SPLIT};
    explore_find("two hold the lock", &s, "");
    s = arm_event_and_close;
    s.planted = &(const struct explore_planted){"sley_spin_unlock", EXPLORE_STORE, EXPLORE_RELAX};
    explore_find("what was armed is not published", &s, "data race");
    s = send_and_move;
    s.planted = &(const struct explore_planted){"without_home", EXPLORE_STORE, EXPLORE_RELAX};
    explore_find("a move is not published", &s, "data race");
}
