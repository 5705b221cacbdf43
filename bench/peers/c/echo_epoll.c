/* echo_epoll PORT [THREADS]: level-triggered epoll, one set per thread. */
#define _GNU_SOURCE
#include "common.h"
#include <pthread.h>
#include <stdint.h>
#include <sys/epoll.h>

struct conn {
    int fd;
    unsigned off, len; /* unsent part of buf */
    char buf[1024];
};

static int port, threads = 1;

static void drop(struct conn *c)
{
    close(c->fd);
    free(c);
}

/* Writes what is left. 1: all of it, 0: the socket is full, -1: failed. */
static int push(struct conn *c)
{
    while (c->off < c->len) {
        ssize_t n = write(c->fd, c->buf + c->off, c->len - c->off);
        if (n < 0) {
            if (errno == EINTR) {
                continue;
            }
            return errno == EAGAIN ? 0 : -1;
        }
        c->off += (unsigned)n;
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
        c->off = c->len = 0;
        struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
        if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) < 0) {
            drop(c);
        }
    }
}

static void serve(int ep, struct conn *c, uint32_t events)
{
    if (events & EPOLLOUT) {
        int r = push(c);
        if (r < 0) {
            drop(c);
        } else if (r > 0) {
            rearm(ep, c, EPOLLIN);
        }
        return;
    }
    ssize_t n = read(c->fd, c->buf, sizeof c->buf);
    if (n <= 0) {
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        drop(c);
        return;
    }
    c->off = 0;
    c->len = (unsigned)n;
    int r = push(c);
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
        fprintf(stderr, "usage: echo_epoll PORT [THREADS]\n");
        return 2;
    }
    port = atoi(argv[1]);
    if (argc > 2) {
        threads = atoi(argv[2]);
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
