/* How to write a reactor: a fourth one, over select(2), in one file and over nothing but <sley/reactor_impl.h>.
 * It tries an op (sley_io_try makes the system call, without waiting). What cannot be done yet it arms (sley_io_arm), remembers, and
 * tries again when the system says so; what has been done it completes (sley_io_complete), or finishes (sley_io_finish) when it
 * never had to wait. Each op once, and it is not touched afterwards: its memory is the caller's as soon as it is done, and telling
 * so may run a hook that starts, cancels or closes anything. Not fast: each poll looks at each op. docs/writing-a-reactor.md
 * Does it keep the contract?   sley-conformance reactor ./libreactor_select.so:reactor_select */
#include "reactor_select.h"
#include <fcntl.h>
#include <string.h>
#include <sys/select.h>
#include <unistd.h>

struct reactor {
    struct sley_reactor base;
    struct sley_alloc *alloc;
    struct sley_io_op *armed, **tail; /* all that waits, the oldest first, through `next` */
    struct sley_io_op *walk;          /* the next one that poll looks at: a hook may take that very one away */
    unsigned long *in, *out;          /* bit sets in one block, as large as the highest number needs: the kernel has no FD_SETSIZE */
    size_t words;                     /* of each */
    int bell[2];                      /* a pipe: how wake ends a wait */
    SLEY_ATOMIC(bool) rung;           /* one byte at most is in it */
    bool ending;
};
enum { WORD_BITS = 8 * sizeof(unsigned long), IN = 1, OUT = 2, NEITHER = 4 /* what select is asked about an op */ };

static struct reactor *of(struct sley_reactor *self)
{
    return sley_container_of(self, struct reactor, base);
}

static unsigned asks(const struct sley_io_op *op)
{
    const unsigned in_set = (op->len & SLEY_IO_IN ? IN : 0u) | (op->len & SLEY_IO_OUT ? OUT : 0u); /* a POLL's; errors are IN's */
    const bool sends = op->code == SLEY_IO_CONNECT || op->code == SLEY_IO_SEND || op->code == SLEY_IO_SENDMSG;
    return op->code != SLEY_IO_POLL ? (sends ? OUT : IN) : in_set ? in_set : NEITHER;
}

static void arm(struct reactor *r, struct sley_io_op *op)
{
    sley_io_arm(&r->base, op);
    op->next = NULL;
    *r->tail = op;
    r->tail = &op->next;
}

/** Out of the list first: the op may be gone when complete returns, and the list may be another. */
static void complete(struct reactor *r, struct sley_io_op *op, int32_t result)
{
    struct sley_io_op **p = &r->armed;
    while (*p != op) {
        p = &(*p)->next;
    }
    *p = op->next;
    if (r->tail == &op->next) {
        r->tail = p;
    }
    r->walk = r->walk == op ? op->next : r->walk;
    sley_io_complete(&r->base, op, result);
}

/** There will be bits for @p number. On failure everything is as it was. */
static int make_room(struct reactor *r, int number)
{
    if ((size_t)number < r->words * WORD_BITS) {
        return 0;
    }
    const size_t words = (size_t)number / WORD_BITS + 16;
    unsigned long *in = sley_alloc_zeroed(r->alloc, 2 * words * sizeof *in, _Alignof(unsigned long));
    if (!in) {
        return -ENOMEM;
    }
    sley_alloc_put(r->alloc, r->in, 2 * r->words * sizeof *in);
    r->in = in;
    r->out = in + words;
    r->words = words;
    return 0;
}

static void set_bit(unsigned long *set, int number, bool value)
{
    set[(size_t)number / WORD_BITS] |= (unsigned long)value << (size_t)number % WORD_BITS;
}

static bool has_bit(const unsigned long *set, int number)
{
    return set[(size_t)number / WORD_BITS] >> (size_t)number % WORD_BITS & 1;
}

/** A descriptor comes home. Nothing is remembered of numbers, so there is nothing to forget; but two may not wait on one. */
static int adopt(struct sley_reactor *self, struct sley_fd *fd)
{
    for (const struct sley_io_op *op = of(self)->armed; op; op = op->next) {
        if (op->fd->number == fd->number) {
            return -EEXIST;
        }
    }
    return make_room(of(self), fd->number);
}

/** First everything that waits on it, then the number: who gets it next must not meet an op of its old life. */
static void close_number(struct reactor *r, struct sley_io_op *close_op)
{
    struct sley_fd *fd = close_op->fd; /* says CLOSING: no hook can start another op on it */
    for (struct sley_io_op *op = r->armed, *next; op; op = next) {
        next = op->next;
        if (op->fd == fd) {
            complete(r, op, -ECANCELED);
            next = r->armed; /* its hook may have changed anything */
        }
    }
    (void)close(fd->number);
    fd->number = -1;
    sley_io_finish(close_op, 0);
}

static void submit(struct sley_reactor *self, struct sley_io_op *op)
{
    struct reactor *r = of(self);
    if (op->code == SLEY_IO_CLOSE) {
        close_number(r, op);
        return;
    }
    const int32_t n = sley_io_try(op);
    if (n != -EAGAIN && n != -EINPROGRESS) { /* the latter: an ALL op has had its share; others come first, then it goes on */
        sley_io_finish(op, n);
    } else if (r->ending) {
        sley_io_finish(op, -ECANCELED);
    } else {
        arm(r, op);
    }
}

/** Only armed ops come here, and nothing has happened: each try has said so. */
static void cancel(struct sley_reactor *self, struct sley_io_op *op)
{
    complete(of(self), op, -ECANCELED);
}

/** Fills the sets. Returns the highest number; adds to @p ret_asks what is asked. */
static int gather(struct reactor *r, unsigned *ret_asks)
{
    int highest = r->bell[0];
    memset(r->in, 0, 2 * r->words * sizeof *r->in);
    set_bit(r->in, r->bell[0], true);
    for (const struct sley_io_op *op = r->armed; op; op = op->next) {
        const unsigned what = asks(op);
        *ret_asks |= what;
        set_bit(r->in, op->fd->number, what & IN);
        set_bit(r->out, op->fd->number, what & OUT);
        highest = op->fd->number > highest ? op->fd->number : highest;
    }
    return highest;
}

/** Tries the POLLs, or the others, that are ready (@p all: all of them): each once, what hooks start is for the next time. */
static int try_ready(struct reactor *r, bool polls, bool all)
{
    int seen = 0;
    uint32_t left = r->base.armed_count;
    for (r->walk = r->armed; r->walk && left > 0; left--) {
        struct sley_io_op *op = r->walk;
        const unsigned what = asks(op);
        const int number = op->fd->number;
        const bool ready = ((what & IN) && has_bit(r->in, number)) || ((what & OUT) && has_bit(r->out, number)) || (what & NEITHER);
        r->walk = op->next;
        const int32_t n = (all || ready) && polls == (op->code == SLEY_IO_POLL) ? sley_io_try(op) : -EAGAIN;
        if (n != -EAGAIN && n != -EINPROGRESS) { /* it waits on when somebody else was faster */
            complete(r, op, n);
            seen++;
        }
    }
    r->walk = NULL;
    return seen;
}

static int poll_once(struct sley_reactor *self, uint64_t timeout_ns)
{
    struct reactor *r = of(self);
    unsigned what = 0;
    const int highest = gather(r, &what);
    /* what waits for errors alone is looked at every 5 ms. To come back early is fine; to be refused for a long time is not */
    const uint64_t longest = what & NEITHER ? 5 * SLEY_MS : 1000000 * SLEY_S, ns = timeout_ns < longest ? timeout_ns : longest;
    const struct timespec ts = {.tv_sec = (time_t)(ns / SLEY_S), .tv_nsec = (long)(ns % SLEY_S)};
    const int n = pselect(highest + 1, (fd_set *)r->in, (fd_set *)r->out, NULL, &ts, NULL);
    if (n < 0 && errno != EBADF) {
        return errno == EINTR ? 0 : -errno;
    }
    const bool all = n < 0; /* EBADF: a number was closed behind our back; trying finds out whose */
    if (!all && has_bit(r->in, r->bell[0])) {
        (void)!read(r->bell[0], &(char){0}, 1);
        /* acquire: pairs with wake. The byte was taken before: whoever wakes from here on rings again */
        (void)atomic_exchange_explicit(&r->rung, false, memory_order_acquire);
    }
    const int seen = try_ready(r, true, all); /* POLLs before others take what makes them ready */
    return seen + try_ready(r, false, all);
}

/** From any thread, and from signal handlers: no lock, no memory, errno is kept. */
static void wake(struct sley_reactor *self)
{
    struct reactor *r = of(self);
    /* release: publishes what the waker has posted; pairs with poll_once */
    if (!atomic_exchange_explicit(&r->rung, true, memory_order_release)) {
        const int saved = errno;
        (void)!write(r->bell[1], "", 1);
        errno = saved;
    }
}

static void destroy(struct sley_reactor *self)
{
    struct reactor *r = of(self);
    r->ending = true; /* what a hook starts now does not wait */
    while (r->armed) {
        complete(r, r->armed, -ECANCELED);
    }
    (void)close(r->bell[0]);
    (void)close(r->bell[1]);
    sley_alloc_put(r->alloc, r->in, 2 * r->words * sizeof *r->in);
    sley_alloc_put(r->alloc, r, sizeof *r);
}

static const struct sley_reactor_ops ops = {.version = SLEY_REACTOR_VERSION,
                                            .caps = SLEY_REACTOR_CAP_READINESS /* it tries first */,
                                            .name = "select",
                                            .adopt = adopt,
                                            .submit = submit,
                                            .cancel = cancel,
                                            .poll = poll_once,
                                            .wake = wake,
                                            .destroy = destroy};

static int create(const struct sley_reactor_opts *o, struct sley_reactor **ret_reactor)
{
    struct reactor *r = sley_reactor_alloc(o->alloc, sizeof *r);
    if (!r) {
        return -ENOMEM;
    }
    *r = (struct reactor){.base.ops = &ops, .alloc = o->alloc, .tail = &r->armed, .bell = {-1, -1}};
    const int rc = pipe2(r->bell, O_CLOEXEC | O_NONBLOCK) < 0 ? -errno : make_room(r, r->bell[1]);
    if (rc < 0) {
        destroy(&r->base); /* closes what there is */
    } else {
        *ret_reactor = &r->base;
    }
    return rc;
}

const struct sley_reactor_factory reactor_select = {.version = SLEY_REACTOR_VERSION, .name = "select", .create = create};
