/* From one core to another and back: a call on it, a round trip over two channels (channel.c has the players), and a message to an
 * echo over a socket pair whose both descriptors are at home there, so that each send and receive travels. For `cores`, two at least. */
#include "cross.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sley/reactor_impl.h>

int micro_spawn_apart(const struct sley_task_type *type, const void *args, struct sley_task **ret_task)
{
    struct sley_cores *ex = sley_cores_current();
    return sley_cores_spawn_on(ex, micro_other(ex), type, args, ret_task);
}

uint32_t micro_other(const struct sley_cores *ex)
{
    return ((uint32_t)sley_cores_here() + 1) % sley_cores_count(ex);
}

/* ---- cross_run_on ---------------------------------------------------------------------------------------------------- */

struct calls {
    struct sley_frame frame;
    uint64_t n, i, count;
    struct sley_core *core;
    struct sley_run_on_op op;
};

static int add_one(void *count)
{
    ++*(uint64_t *)count;
    return 0;
}

static enum sley_step calls_frame(struct calls *f)
{
    int rc;
    SLEY_BEGIN(f);
    f->core = sley_cores_at(sley_cores_current(), micro_other(sley_cores_current()));
    for (f->i = 0; f->i < f->n; f->i++) {
        SLEY_CALL(f, rc, sley_run_on, &f->op, f->core, add_one, &f->count, NULL);
        if (rc < 0) {
            SLEY_RETURN(f, rc);
        }
    }
    SLEY_RETURN(f, f->count == f->n ? 0 : -EPROTO);
    SLEY_END(f);
}
SLEY_FRAME(calls_frame, struct calls)

static int calls_fiber(struct calls *a)
{
    struct sley_core *core = sley_cores_at(sley_cores_current(), micro_other(sley_cores_current()));
    int rc = 0;
    for (uint64_t i = 0; i < a->n && rc == 0; i++) {
        rc = sley_run_on(core, add_one, &a->count, NULL);
    }
    return rc < 0 ? rc : a->count == a->n ? 0 : -EPROTO;
}
SLEY_FIBER(calls_fiber, struct calls)

int micro_cross_run_on(struct micro *m, uint64_t n)
{
    return micro_run(m, &calls_frame__type, &calls_fiber__type, &(struct calls){.n = n});
}

/* ---- cross_op --------------------------------------------------------------------------------------------------------- */

enum { MESSAGE = 64 };

/* In memory of its own: both cores use it. */
struct pair {
    struct sley_fd here, there;
    struct sley_io_op first;
    char byte;
};

static void io_start(struct sley_io_op *op, struct sley_fd *fd, enum sley_io_code code, void *buf, size_t len)
{
    op->fd = fd;
    op->buf = buf;
    op->len = len;
    op->code = (uint8_t)code;
    op->flags = SLEY_IO_ALL;
    op->end = NULL;
    sley_io_submit(op);
}

static int io(struct sley_fd *fd, enum sley_io_code code, void *buf, size_t len)
{
    struct sley_io_op op = {.fd = fd, .buf = buf, .len = len, .code = (uint8_t)code, .flags = SLEY_IO_ALL};
    return sley_io_run(&op);
}

/** On the other core: the descriptor that is used from here begins there. */
static int begin_there(void *arg)
{
    struct pair *p = arg;
    io_start(&p->first, &p->here, SLEY_IO_SEND, &p->byte, 1);
    return 0;
}

struct echoer {
    struct sley_frame frame;
    struct pair *pair;
    struct sley_io_op op;
    char buf[MESSAGE];
    size_t bytes;
};

static enum sley_step echoer_frame(struct echoer *f)
{
    int rc;
    SLEY_BEGIN(f);
    for (f->bytes = 1;; f->bytes = MESSAGE) { /* the first one is the byte that was sent there */
        SLEY_CALL(f, rc, io, &f->op, &f->pair->there, SLEY_IO_RECV, f->buf, f->bytes);
        if (rc < 0) {
            break;
        }
        SLEY_CALL(f, rc, io, &f->op, &f->pair->there, SLEY_IO_SEND, f->buf, f->bytes);
        if (rc < 0) {
            break;
        }
    }
    SLEY_CALL(f, rc, sley_fd_close, &f->op, &f->pair->there);
    SLEY_RETURN(f, rc);
    SLEY_END(f);
}
SLEY_FRAME(echoer_frame, struct echoer)

struct echoer_args {
    struct pair *pair;
};

static int echoer_fiber(struct echoer_args *a)
{
    char buf[MESSAGE];
    size_t bytes = 1;
    while (io(&a->pair->there, SLEY_IO_RECV, buf, bytes) == 0 && io(&a->pair->there, SLEY_IO_SEND, buf, bytes) == 0) {
        bytes = MESSAGE;
    }
    return sley_fd_close(&a->pair->there);
}
SLEY_FIBER(echoer_fiber, struct echoer_args)

struct asker {
    struct sley_frame frame;
    struct pair *pair;
    uint64_t n, i;
    struct sley_task *other;
    int result;
    union {
        struct sley_io_op io;
        struct sley_run_on_op call;
        struct sley_task_join_op join;
    } op;
    char buf[MESSAGE];
};

static enum sley_step asker_frame(struct asker *f)
{
    int rc;
    SLEY_BEGIN(f);
    SLEY_CALL(f, rc, sley_run_on, &f->op.call, sley_cores_at(sley_cores_current(), micro_other(sley_cores_current())), begin_there,
              f->pair, NULL);
    rc = rc < 0 ? rc : micro_spawn_apart(&echoer_frame__type, &(struct echoer){.pair = f->pair}, &f->other);
    if (rc < 0) {
        SLEY_RETURN(f, rc);
    }
    f->op.io = (struct sley_io_op){0}; /* the ops take turns in one place */
    SLEY_CALL(f, rc, io, &f->op.io, &f->pair->here, SLEY_IO_RECV, f->buf, 1);
    for (f->i = 0; f->i < f->n && rc == 0; f->i++) {
        SLEY_CALL(f, rc, io, &f->op.io, &f->pair->here, SLEY_IO_SEND, f->buf, MESSAGE);
        if (rc == 0) {
            SLEY_CALL(f, rc, io, &f->op.io, &f->pair->here, SLEY_IO_RECV, f->buf, MESSAGE);
        }
    }
    f->result = rc;
    SLEY_CALL(f, rc, sley_fd_close, &f->op.io, &f->pair->here);
    f->result = f->result < 0 ? f->result : rc;
    f->op.join = (struct sley_task_join_op){0};
    SLEY_CALL(f, rc, sley_task_join, &f->op.join, f->other, NULL);
    sley_task_unref(f->other);
    SLEY_RETURN(f, f->result < 0 ? f->result : rc);
    SLEY_END(f);
}
SLEY_FRAME(asker_frame, struct asker)

static int asker_fiber(struct asker *a)
{
    struct sley_task *other;
    int rc = sley_run_on(sley_cores_at(sley_cores_current(), micro_other(sley_cores_current())), begin_there, a->pair, NULL);
    rc = rc < 0 ? rc : micro_spawn_apart(&echoer_fiber__type, &(struct echoer_args){.pair = a->pair}, &other);
    if (rc < 0) {
        return rc;
    }
    rc = io(&a->pair->here, SLEY_IO_RECV, a->buf, 1);
    for (uint64_t i = 0; i < a->n && rc == 0; i++) {
        rc = io(&a->pair->here, SLEY_IO_SEND, a->buf, MESSAGE);
        rc = rc < 0 ? rc : io(&a->pair->here, SLEY_IO_RECV, a->buf, MESSAGE);
    }
    const int closed = sley_fd_close(&a->pair->here), joined = sley_task_join(other, NULL);
    sley_task_unref(other);
    return rc < 0 ? rc : closed < 0 ? closed : joined;
}
SLEY_FIBER(asker_fiber, struct asker)

int micro_cross_op(struct micro *m, uint64_t n)
{
    int numbers[2];
    struct pair *pair = calloc(1, sizeof *pair);
    if (!pair) {
        return -ENOMEM;
    }
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, numbers) < 0) {
        free(pair);
        return -errno;
    }
    sley_fd_init(&pair->here, numbers[0]);
    sley_fd_init(&pair->there, numbers[1]);
    const int rc = micro_run(m, &asker_frame__type, &asker_fiber__type, &(struct asker){.pair = pair, .n = n});
    free(pair);
    return rc;
}
