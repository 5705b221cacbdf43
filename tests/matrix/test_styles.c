/* The foundation in both styles, on the executor, workers and reactor that the environment names; SLEY_STYLE (fiber, frame) picks one of
 * the styles. Nothing in here knows how many threads there are. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <sley/sley.h>

#include "chosen.h"
#include "harness.h"

/** A case of two bodies, fiber_NAME and frame_NAME, each the main task of a runtime of its own. */
#define STYLES_TEST(name, ids)               \
    SLEY_TEST_SECONDS(name, ids, 60)         \
    {                                        \
        run("fiber", &fiber_##name##__type); \
        run("frame", &frame_##name##__type); \
    }

static atomic_uint count;

static void run(const char *style, const struct sley_task_type *type)
{
    char why[256] = "";
    struct sley_runtime rt;
    int result = -EIO;
    if (chosen_any("SLEY_STYLE") && !chosen_is("SLEY_STYLE", style)) {
        return;
    }
    (void)chosen_reactor(); /* so that the linker keeps what has a name */
    atomic_store_explicit(&count, 0, memory_order_relaxed);
    const struct sley_runtime_opts o = {.alloc = harness_alloc(), .ret_error = why, .error_bytes = sizeof why};
    const int rc = sley_runtime_init(&rt, &o);
    if (rc < 0) {
        FAIL("%s", why);
    }
    CHECK_RC(sley_runtime_run(&rt, type, NULL, &result), 0);
    CHECK_RC(result, 0);
    CHECK_RC(sley_runtime_stop(&rt, SLEY_NEVER), 0);
    CHECK_RC(sley_runtime_fini(&rt), 0);
}

static void counted(void)
{
    atomic_fetch_add_explicit(&count, 1, memory_order_relaxed); /* whoever reads it has awaited who adds */
}

static void check_count(unsigned want)
{
    CHECK_UINT(atomic_load_explicit(&count, memory_order_relaxed), ==, want);
}

/* ---- a tree: each waits for its children ----------------------------------------------------------------------------- */

enum { CHILDREN = 4, DEPTH = 4, LEAVES = 256 };

struct node {
    struct sley_frame frame;
    struct sley_scope scope;
    union {
        struct sley_scope_op scope;
        struct sley_timer timer;
    } op;
    int depth, i;
};
static const struct sley_task_type fiber_node__type, frame_node__type;

static int fiber_node(struct node *n)
{
    if (n->depth == 0) {
        counted();
        return sley_sleep(SLEY_MS);
    }
    CHECK_RC(sley_scope_init(&n->scope, NULL), 0);
    for (int i = 0; i < CHILDREN; i++) {
        CHECK_RC(sley_spawn(&n->scope, &fiber_node__type, &(struct node){.depth = n->depth - 1}, NULL, NULL), 0);
    }
    CHECK_RC(sley_scope_wait(&n->scope), 0);
    return sley_scope_fini(&n->scope);
}
SLEY_FIBER(fiber_node, struct node)

static enum sley_step frame_node(struct node *n)
{
    int rc;
    SLEY_BEGIN(n);
    if (n->depth == 0) {
        counted();
        SLEY_CALL(n, rc, sley_sleep, &n->op.timer, SLEY_MS);
        SLEY_RETURN(n, rc);
    }
    CHECK_RC(sley_scope_init(&n->scope, NULL), 0);
    for (n->i = 0; n->i < CHILDREN; n->i++) {
        CHECK_RC(sley_spawn(&n->scope, &frame_node__type, &(struct node){.depth = n->depth - 1}, NULL, NULL), 0);
    }
    SLEY_CALL(n, rc, sley_scope_wait, &n->op.scope, &n->scope);
    CHECK_RC(rc, 0);
    SLEY_CALL(n, rc, sley_scope_fini, &n->op.scope, &n->scope);
    SLEY_RETURN(n, rc);
    SLEY_END(n);
}
SLEY_FRAME(frame_node, struct node)

static int fiber_tree_of_tasks_ends(void *unused)
{
    (void)unused;
    struct node top = {.depth = DEPTH};
    CHECK_RC(fiber_node(&top), 0);
    check_count(LEAVES);
    return 0;
}
SLEY_FIBER(fiber_tree_of_tasks_ends, void)

struct tree {
    struct sley_frame frame;
    struct node top;
};
static enum sley_step frame_tree_of_tasks_ends(struct tree *t)
{
    int rc;
    SLEY_BEGIN(t);
    t->top.depth = DEPTH;
    SLEY_RUN(t, rc, frame_node, &t->top);
    CHECK_RC(rc, 0);
    check_count(LEAVES);
    SLEY_RETURN(t, 0);
    SLEY_END(t);
}
SLEY_FRAME(frame_tree_of_tasks_ends, struct tree)

STYLES_TEST(tree_of_tasks_ends, "")

/* ---- a cancel, and deadlines ----------------------------------------------------------------------------------------- */

enum { PARKED = 50 };

struct parked {
    struct sley_frame frame;
    struct sley_timer timer;
};

static int fiber_parked(struct parked *p)
{
    (void)p;
    const int rc = sley_sleep(1000 * SLEY_S);
    CHECK_RC(rc, -ECANCELED);
    counted();
    return rc;
}
SLEY_FIBER(fiber_parked, struct parked)

static enum sley_step frame_parked(struct parked *p)
{
    int rc;
    SLEY_BEGIN(p);
    SLEY_CALL(p, rc, sley_sleep, &p->timer, 1000 * SLEY_S);
    CHECK_RC(rc, -ECANCELED);
    counted();
    SLEY_RETURN(p, rc);
    SLEY_END(p);
}
SLEY_FRAME(frame_parked, struct parked)

static int fiber_scope_that_is_cancelled_ends_each_wait(void *unused)
{
    (void)unused;
    struct sley_scope s;
    CHECK_RC(sley_scope_init(&s, NULL), 0);
    for (int i = 0; i < PARKED; i++) {
        CHECK_RC(SLEY_SPAWN(&s, fiber_parked, .timer = {.wait = {0}}), 0);
    }
    CHECK_RC(sley_sleep(2 * SLEY_MS), 0);
    CHECK_RC(SLEY_UNTIL(sley_after_ns(SLEY_MS), sley_sleep(1000 * SLEY_S)), -ETIMEDOUT);
    sley_scope_cancel(&s);
    (void)sley_scope_fini(&s); /* its verdict is the cancel */
    check_count(PARKED);
    return 0;
}
SLEY_FIBER(fiber_scope_that_is_cancelled_ends_each_wait, void)

struct canceller {
    struct sley_frame frame;
    struct sley_scope scope;
    struct sley_scope_op op;
    struct sley_timer timer, deadline;
};
static enum sley_step frame_scope_that_is_cancelled_ends_each_wait(struct canceller *c)
{
    int rc;
    SLEY_BEGIN(c);
    CHECK_RC(sley_scope_init(&c->scope, NULL), 0);
    for (int i = 0; i < PARKED; i++) {
        CHECK_RC(SLEY_SPAWN(&c->scope, frame_parked, .timer = {.wait = {0}}), 0);
    }
    SLEY_CALL(c, rc, sley_sleep, &c->timer, 2 * SLEY_MS);
    CHECK_RC(rc, 0);
    SLEY_CALL_UNTIL(c, rc, &c->deadline, sley_after_ns(SLEY_MS), sley_sleep, &c->timer, 1000 * SLEY_S);
    CHECK_RC(rc, -ETIMEDOUT);
    sley_scope_cancel(&c->scope);
    SLEY_CALL(c, rc, sley_scope_fini, &c->op, &c->scope);
    check_count(PARKED);
    SLEY_RETURN(c, 0);
    SLEY_END(c);
}
SLEY_FRAME(frame_scope_that_is_cancelled_ends_each_wait, struct canceller)

STYLES_TEST(scope_that_is_cancelled_ends_each_wait, "")

/* ---- a channel of four slots ------------------------------------------------------------------------------------------- */

enum { MESSAGES = 5000 };
SLEY_MPSC_TYPE(numbers, int, 4)

struct side {
    struct sley_frame frame;
    struct numbers *ch;
    struct sley_mpsc_op op;
    int i;
};

static int fiber_sender(struct side *s)
{
    for (int i = 0; i < MESSAGES; i++) {
        CHECK_RC(numbers_send(s->ch, &i), 0);
    }
    numbers_close(s->ch);
    return 0;
}
SLEY_FIBER(fiber_sender, struct side)

static enum sley_step frame_sender(struct side *s)
{
    int rc;
    SLEY_BEGIN(s);
    for (s->i = 0; s->i < MESSAGES; s->i++) {
        SLEY_CALL(s, rc, numbers_send, &s->op, s->ch, &s->i);
        CHECK_RC(rc, 0);
    }
    numbers_close(s->ch);
    SLEY_RETURN(s, 0);
    SLEY_END(s);
}
SLEY_FRAME(frame_sender, struct side)

static int fiber_channel_passes_each_message_in_order(void *unused)
{
    (void)unused;
    struct numbers ch;
    struct sley_task *t;
    int value, seen = 0, result = -1, rc;
    CHECK_RC(numbers_init(&ch), 0);
    CHECK_RC(SLEY_SPAWN_TASK(&t, NULL, fiber_sender, .ch = &ch), 0);
    while ((rc = numbers_recv(&ch, &value)) == 1) {
        CHECK_INT(value, ==, seen++);
    }
    CHECK_RC(rc, 0);
    CHECK_INT(seen, ==, MESSAGES);
    CHECK_RC(sley_task_join(t, &result), 0);
    CHECK_RC(result, 0);
    sley_task_unref(t);
    numbers_fini(&ch, NULL);
    return 0;
}
SLEY_FIBER(fiber_channel_passes_each_message_in_order, void)

struct receiver {
    struct sley_frame frame;
    struct numbers ch;
    struct sley_task *task;
    union {
        struct sley_mpsc_op recv;
        struct sley_task_join_op join;
    } op;
    int value, seen, result;
};
static enum sley_step frame_channel_passes_each_message_in_order(struct receiver *r)
{
    int rc;
    SLEY_BEGIN(r);
    CHECK_RC(numbers_init(&r->ch), 0);
    CHECK_RC(SLEY_SPAWN_TASK(&r->task, NULL, frame_sender, .ch = &r->ch), 0);
    for (;;) {
        SLEY_CALL(r, rc, numbers_recv, &r->op.recv, &r->ch, &r->value);
        if (rc != 1) {
            break;
        }
        CHECK_INT(r->value, ==, r->seen++);
    }
    CHECK_RC(rc, 0);
    CHECK_INT(r->seen, ==, MESSAGES);
    SLEY_CALL(r, rc, sley_task_join, &r->op.join, r->task, &r->result);
    CHECK_RC(rc, 0);
    CHECK_RC(r->result, 0);
    sley_task_unref(r->task);
    numbers_fini(&r->ch, NULL);
    SLEY_RETURN(r, 0);
    SLEY_END(r);
}
SLEY_FRAME(frame_channel_passes_each_message_in_order, struct receiver)

STYLES_TEST(channel_passes_each_message_in_order, "")

/* ---- a file, and a call that blocks ------------------------------------------------------------------------------------ */

static int seven(void *arg)
{
    *(int *)arg += 1;
    return 7;
}

static char path[64];

static const char *new_path(void)
{
    (void)snprintf(path, sizeof path, "/tmp/sley-styles-%d", (int)getpid());
    return path;
}

static int fiber_file_and_blocking_call(void *unused)
{
    (void)unused;
    struct sley_file f;
    char back[6] = "";
    int calls = 0, result = 0;
    CHECK_RC(sley_file_open(&f, new_path(), O_RDWR | O_CREAT | O_TRUNC, 0600), 0);
    CHECK_RC(sley_file_write_at(&f, "hello", 5, 100), 5);
    CHECK_RC(sley_file_read_at(&f, back, 5, 100), 5);
    CHECK_STR(back, "hello");
    CHECK_RC(sley_file_close(&f), 0);
    CHECK_RC(sley_path_unlink(path), 0);
    CHECK_RC(sley_path_unlink(path), -ENOENT);
    CHECK_RC(sley_blocking(seven, &calls, &result), 0);
    CHECK_INT(result + calls, ==, 8);
    return 0;
}
SLEY_FIBER(fiber_file_and_blocking_call, void)

struct filer {
    struct sley_frame frame;
    struct sley_file f;
    struct sley_file_op op;
    struct sley_io_op close;
    struct sley_blocking_op blocking;
    char back[6];
    int calls, result;
};
static enum sley_step frame_file_and_blocking_call(struct filer *f)
{
    int rc;
    SLEY_BEGIN(f);
    SLEY_CALL(f, rc, sley_file_open, &f->op, &f->f, new_path(), O_RDWR | O_CREAT | O_TRUNC, 0600);
    CHECK_RC(rc, 0);
    SLEY_CALL(f, rc, sley_file_write_at, &f->op, &f->f, "hello", 5, 100);
    CHECK_RC(rc, 5);
    SLEY_CALL(f, rc, sley_file_read_at, &f->op, &f->f, f->back, 5, 100);
    CHECK_RC(rc, 5);
    CHECK_STR(f->back, "hello");
    SLEY_CALL(f, rc, sley_file_close, &f->close, &f->f);
    CHECK_RC(rc, 0);
    SLEY_CALL(f, rc, sley_path_unlink, &f->op, path);
    CHECK_RC(rc, 0);
    SLEY_CALL(f, rc, sley_path_unlink, &f->op, path);
    CHECK_RC(rc, -ENOENT);
    SLEY_CALL(f, rc, sley_blocking, &f->blocking, seven, &f->calls, &f->result);
    CHECK_RC(rc, 0);
    CHECK_INT(f->result + f->calls, ==, 8);
    SLEY_RETURN(f, 0);
    SLEY_END(f);
}
SLEY_FRAME(frame_file_and_blocking_call, struct filer)

STYLES_TEST(file_and_blocking_call, "")
