/*
 * echo_uring PORT [THREADS] [multishot|plain]
 *
 * One ring per thread (SINGLE_ISSUER | DEFER_TASKRUN where the kernel has
 * them), one multishot accept per ring.
 *
 * multishot: one multishot recv per connection, filling 1024-byte buffers from
 *            a provided-buffer ring; each buffer is sent from where it lies and
 *            handed back when its send is done. At most one send in flight per
 *            connection keeps the order.
 * plain:     recv into the connection's own 1024 bytes, send, recv again.
 *
 * TCP_NODELAY is set on the listening socket; accepted sockets inherit it.
 */
#define _GNU_SOURCE
#include "common.h"
#include <liburing.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>

enum { OP_ACCEPT, OP_RECV, OP_SEND, OP_MASK = 7 };
enum { NBUFS = 8192, BUFSIZE = 1024, GROUP = 0, NONE = -1 };

struct conn {
    int fd;
    int head, tail;    /* queued buffers (multishot) */
    unsigned off, len; /* position in the buffer being sent */
    uint8_t sending, receiving, closing, starved;
    struct conn *next_starved;
    char buf[]; /* BUFSIZE bytes, plain only */
};

struct worker {
    struct io_uring ring;
    int lfd;
    struct io_uring_buf_ring *br;
    char *bufs;
    int next[NBUFS];
    unsigned len[NBUFS];
    int free_bufs;
    struct conn *starved;
};

static int port, threads = 1, plain;

static struct io_uring_sqe *sqe_for(struct worker *w)
{
    struct io_uring_sqe *s = io_uring_get_sqe(&w->ring);
    while (!s) {
        io_uring_submit(&w->ring);
        s = io_uring_get_sqe(&w->ring);
    }
    return s;
}

static void tag(struct io_uring_sqe *s, void *p, unsigned op)
{
    io_uring_sqe_set_data64(s, (uint64_t)(uintptr_t)p | op);
}

static void arm_accept(struct worker *w)
{
    struct io_uring_sqe *s = sqe_for(w);
    io_uring_prep_multishot_accept(s, w->lfd, NULL, NULL, SOCK_CLOEXEC);
    tag(s, NULL, OP_ACCEPT);
}

static void arm_recv(struct worker *w, struct conn *c)
{
    struct io_uring_sqe *s = sqe_for(w);
    if (plain) {
        io_uring_prep_recv(s, c->fd, c->buf, BUFSIZE, 0);
    } else {
        io_uring_prep_recv_multishot(s, c->fd, NULL, 0, 0);
        s->flags |= IOSQE_BUFFER_SELECT;
        s->buf_group = GROUP;
    }
    tag(s, c, OP_RECV);
    c->receiving = 1;
}

static void arm_send(struct worker *w, struct conn *c)
{
    char *base = plain ? c->buf : w->bufs + (size_t)c->head * BUFSIZE;
    struct io_uring_sqe *s = sqe_for(w);
    io_uring_prep_send(s, c->fd, base + c->off, c->len - c->off, MSG_WAITALL | MSG_NOSIGNAL);
    tag(s, c, OP_SEND);
    c->sending = 1;
}

static void recycle(struct worker *w, int bid)
{
    io_uring_buf_ring_add(w->br, w->bufs + (size_t)bid * BUFSIZE, BUFSIZE, (unsigned short)bid, io_uring_buf_ring_mask(NBUFS), 0);
    io_uring_buf_ring_advance(w->br, 1);
    w->free_bufs++;
}

static void maybe_free(struct conn *c)
{
    if (c->closing && !c->sending && !c->receiving && !c->starved && c->head == NONE) {
        close(c->fd);
        free(c);
    }
}

static void start_next(struct worker *w, struct conn *c)
{
    c->off = 0;
    c->len = w->len[c->head];
    arm_send(w, c);
}

static void on_accept(struct worker *w, struct io_uring_cqe *cqe)
{
    if (cqe->res >= 0) {
        struct conn *c = calloc(1, sizeof *c + (plain ? BUFSIZE : 0));
        if (!c) {
            die("malloc");
        }
        c->fd = cqe->res;
        c->head = c->tail = NONE;
        arm_recv(w, c);
    }
    if (!(cqe->flags & IORING_CQE_F_MORE)) {
        arm_accept(w);
    }
}

static void on_recv(struct worker *w, struct conn *c, struct io_uring_cqe *cqe)
{
    int res = cqe->res;
    int more = (cqe->flags & IORING_CQE_F_MORE) != 0;
    if (!more) {
        c->receiving = 0;
    }
    if (plain) {
        if (res > 0) {
            c->off = 0;
            c->len = (unsigned)res;
            arm_send(w, c);
        } else {
            c->closing = 1;
        }
        maybe_free(c);
        return;
    }
    if (res > 0) {
        int bid = (int)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
        w->free_bufs--;
        if (c->closing) {
            recycle(w, bid);
        } else {
            w->len[bid] = (unsigned)res;
            w->next[bid] = NONE;
            if (c->head == NONE) {
                c->head = bid;
            } else {
                w->next[c->tail] = bid;
            }
            c->tail = bid;
            if (!c->sending) {
                start_next(w, c);
            }
        }
        if (!more && !c->closing) {
            arm_recv(w, c);
        }
    } else if (res == -ENOBUFS) {
        if (!more && !c->starved) {
            c->starved = 1;
            c->next_starved = w->starved;
            w->starved = c;
        }
    } else if (res == 0 || (res != -EINTR && res != -EAGAIN)) {
        c->closing = 1;
    } else if (!more) {
        arm_recv(w, c);
    }
    maybe_free(c);
}

static void on_send(struct worker *w, struct conn *c, struct io_uring_cqe *cqe)
{
    c->sending = 0;
    if (cqe->res < 0) {
        c->closing = 1;
        while (c->head != NONE) {
            int bid = c->head;
            c->head = w->next[bid];
            recycle(w, bid);
        }
        shutdown(c->fd, SHUT_RDWR); /* ends a recv that is still armed */
        maybe_free(c);
        return;
    }
    c->off += (unsigned)cqe->res;
    if (c->off < c->len) {
        arm_send(w, c);
        return;
    }
    if (plain) {
        arm_recv(w, c);
        return;
    }
    int bid = c->head;
    c->head = w->next[bid];
    recycle(w, bid);
    if (c->head != NONE) {
        start_next(w, c);
    } else {
        maybe_free(c);
    }
}

static void ring_init(struct io_uring *ring)
{
    static const unsigned tries[] = {
#ifdef IORING_SETUP_DEFER_TASKRUN
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
#endif
        IORING_SETUP_COOP_TASKRUN,
        0,
    };
    for (unsigned i = 0; i < sizeof tries / sizeof *tries; i++) {
        struct io_uring_params p = {.flags = tries[i] | IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL, .cq_entries = 32768};
        int r = io_uring_queue_init_params(4096, ring, &p);
        if (r == 0) {
            io_uring_register_ring_fd(ring);
            return;
        }
        errno = -r;
    }
    die("io_uring_queue_init");
}

static void *loop(void *arg)
{
    (void)arg;
    struct worker *w = calloc(1, sizeof *w);
    if (!w) {
        die("malloc");
    }
    w->lfd = listen_on(port, threads > 1, 0);
    set_nodelay(w->lfd);
    ring_init(&w->ring);
    if (!plain) {
        size_t ring_bytes = NBUFS * sizeof(struct io_uring_buf);
        w->br = mmap(NULL, ring_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        w->bufs = mmap(NULL, (size_t)NBUFS * BUFSIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (w->br == MAP_FAILED || w->bufs == MAP_FAILED) {
            die("mmap");
        }
        struct io_uring_buf_reg reg = {.ring_addr = (uint64_t)(uintptr_t)w->br, .ring_entries = NBUFS, .bgid = GROUP};
        int r = io_uring_register_buf_ring(&w->ring, &reg, 0);
        if (r < 0) {
            errno = -r;
            die("io_uring_register_buf_ring");
        }
        io_uring_buf_ring_init(w->br);
        for (int i = 0; i < NBUFS; i++) {
            recycle(w, i);
        }
    }
    arm_accept(w);
    for (;;) {
        int r = io_uring_submit_and_wait(&w->ring, 1);
        if (r < 0 && r != -EINTR && r != -EBUSY && r != -EAGAIN) {
            errno = -r;
            die("io_uring_submit_and_wait");
        }
        unsigned head, seen = 0;
        struct io_uring_cqe *cqe;
        io_uring_for_each_cqe(&w->ring, head, cqe)
        {
            seen++;
            void *p = (void *)(uintptr_t)(cqe->user_data & ~(uint64_t)OP_MASK);
            switch (cqe->user_data & OP_MASK) {
            case OP_ACCEPT:
                on_accept(w, cqe);
                break;
            case OP_RECV:
                on_recv(w, p, cqe);
                break;
            case OP_SEND:
                on_send(w, p, cqe);
                break;
            }
        }
        io_uring_cq_advance(&w->ring, seen);
        /* give the starved ones as many chances as there are buffers */
        for (int n = w->free_bufs; n > 0 && w->starved; n--) {
            struct conn *c = w->starved;
            w->starved = c->next_starved;
            c->starved = 0;
            if (c->closing) {
                maybe_free(c);
            } else {
                arm_recv(w, c);
            }
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: echo_uring PORT [THREADS] [multishot|plain]\n");
        return 2;
    }
    port = atoi(argv[1]);
    if (argc > 2) {
        threads = atoi(argv[2]);
    }
    plain = argc > 3 && strcmp(argv[3], "plain") == 0;
    raise_nofile();
    for (int i = 1; i < threads; i++) {
        pthread_t t;
        if (pthread_create(&t, NULL, loop, NULL) != 0) {
            die("pthread_create");
        }
    }
    loop(NULL);
    return 0;
}
