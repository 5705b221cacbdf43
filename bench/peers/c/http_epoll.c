/*
 * http_epoll PORT [THREADS]: fixed reply to every request head (bytes up to an
 * empty line), keep-alive and pipelining, level-triggered epoll.
 */
#define _GNU_SOURCE
#include "common.h"
#include <pthread.h>
#include <stdint.h>
#include <sys/epoll.h>

static const char reply[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                            "Content-Length: 13\r\n\r\nHello, World!";
enum { REPLY = sizeof reply - 1, BATCH = 16 };

struct conn {
    int fd;
    unsigned len;    /* bytes of unfinished request heads in buf */
    uint64_t unsent; /* reply bytes not yet written, always a tail of replies */
    char buf[4096];
};

static int port, threads = 1;
static char replies[REPLY * BATCH];

static void drop(struct conn *c)
{
    close(c->fd);
    free(c);
}

static int push(struct conn *c)
{
    while (c->unsent > 0) {
        /* the next byte to send starts (unsent mod REPLY) before a reply's end */
        size_t rest = c->unsent % REPLY;
        size_t skip = rest ? REPLY - rest : 0;
        size_t want = sizeof replies - skip;
        if (want > c->unsent) {
            want = (size_t)c->unsent;
        }
        ssize_t n = write(c->fd, replies + skip, want);
        if (n < 0) {
            if (errno == EINTR) {
                continue;
            }
            return errno == EAGAIN ? 0 : -1;
        }
        c->unsent -= (uint64_t)n;
    }
    return 1;
}

static void rearm(int ep, struct conn *c, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = c};
    epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &ev);
}

static void accept_all(int ep, int lfd)
{
    for (;;) {
        int fd = accept4(lfd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EINTR || errno == ECONNABORTED) {
                continue;
            }
            return;
        }
        set_nodelay(fd);
        struct conn *c = malloc(sizeof *c);
        if (!c) {
            die("malloc");
        }
        c->fd = fd;
        c->len = 0;
        c->unsent = 0;
        struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
        if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) < 0) {
            drop(c);
        }
    }
}

static void serve(int ep, struct conn *c, uint32_t events)
{
    int r;
    if (events & EPOLLOUT) {
        r = push(c);
        if (r < 0) {
            drop(c);
        } else if (r > 0) {
            rearm(ep, c, EPOLLIN);
        }
        return;
    }
    ssize_t n = read(c->fd, c->buf + c->len, sizeof c->buf - c->len);
    if (n <= 0) {
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        drop(c);
        return;
    }
    c->len += (unsigned)n;
    char *at = c->buf, *end = c->buf + c->len, *hit;
    while ((hit = memmem(at, (size_t)(end - at), "\r\n\r\n", 4)) != NULL) {
        at = hit + 4;
        c->unsent += REPLY;
    }
    c->len = (unsigned)(end - at);
    if (at != c->buf && c->len) {
        memmove(c->buf, at, c->len);
    }
    if (c->len == sizeof c->buf) { /* head too long */
        drop(c);
        return;
    }
    r = push(c);
    if (r < 0) {
        drop(c);
    } else if (r == 0) {
        rearm(ep, c, EPOLLOUT);
    }
}

static void *loop(void *arg)
{
    (void)arg;
    int lfd = listen_on(port, threads > 1, SOCK_NONBLOCK);
    int ep = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL}, evs[256];
    epoll_ctl(ep, EPOLL_CTL_ADD, lfd, &ev);
    for (;;) {
        int n = epoll_wait(ep, evs, 256, -1);
        for (int i = 0; i < n; i++) {
            if (!evs[i].data.ptr) {
                accept_all(ep, lfd);
            } else {
                serve(ep, evs[i].data.ptr, evs[i].events);
            }
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: http_epoll PORT [THREADS]\n");
        return 2;
    }
    port = atoi(argv[1]);
    if (argc > 2) {
        threads = atoi(argv[2]);
    }
    for (int i = 0; i < BATCH; i++) {
        memcpy(replies + i * REPLY, reply, REPLY);
    }
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
