/* What the tests of streams share: a case as a fiber on each reactor, connected pairs, small helpers. */
#ifndef SLEY_IO_TEST_H
#define SLEY_IO_TEST_H

#include <sley/fiber.h>
#include <sley/frame.h>
#include <sley/local.h>
#include <sley/reactor_poll.h>
#include <sley/stream_impl.h>
#include <sley/stream_pair.h>
#include <sley/tcp.h>

#include "harness.h"

#ifdef IO_UV /* it is built */
#include <sley/reactor_uv.h>
#define IO_TEST_ON_UV(name, ids)                       \
    SLEY_TEST(name##_on_uv, ids)                       \
    {                                                  \
        io_run(&sley_reactor_uv, &name##__type, NULL); \
    }
#else
#define IO_TEST_ON_UV(name, ids)
#endif

/* meson says whether this build has it; a kernel that has not skips the case */
#ifdef IO_URING
#include <sley/reactor_uring.h>
#define IO_TEST_ON_URING(name, ids)                       \
    SLEY_TEST(name##_on_uring, ids)                       \
    {                                                     \
        io_run(&sley_reactor_uring, &name##__type, NULL); \
    }
#else
#define IO_TEST_ON_URING(name, ids)
#endif

/** A case whose body is a fiber, run on epoll, poll(2), libuv and io_uring, as far as they are built in. The body returns 0. */
#ifdef IO_DIRECT /* on io_uring alone, with direct connections */
#define IO_TEST(name, ids)         \
    static int name(void *unused); \
    SLEY_FIBER(name, void)         \
    IO_TEST_ON_URING(name, ids)    \
    static int name(void *unused __attribute__((unused)))
#else
#define IO_TEST(name, ids)                                \
    static int name(void *unused);                        \
    SLEY_FIBER(name, void)                                \
    SLEY_TEST(name##_on_epoll, ids)                       \
    {                                                     \
        io_run(&sley_reactor_epoll, &name##__type, NULL); \
    }                                                     \
    SLEY_TEST(name##_on_poll, ids)                        \
    {                                                     \
        io_run(&sley_reactor_poll2, &name##__type, NULL); \
    }                                                     \
    IO_TEST_ON_UV(name, ids)                              \
    IO_TEST_ON_URING(name, ids)                           \
    static int name(void *unused __attribute__((unused)))
#endif

/**
 * Runs the task on a local executor (or the one that SLEY_EXECUTOR names) with that reactor (and clock, or NULL) until it ends with
 * 0; then everything is released.
 */
void io_run_clock(const struct sley_reactor_factory *reactor, struct sley_clock *clock, const struct sley_task_type *type,
                  const void *args);
void io_run(const struct sley_reactor_factory *reactor, const struct sley_task_type *type, const void *args);

/** Which reactor the current task's executor has. */
const struct sley_reactor_factory *io_reactor(void);

/** A listener on 127.0.0.1 and its address as text. */
struct io_listener {
    struct sley_tcp_listener l;
    char text[SLEY_ADDR_TEXT_BYTES];
};
void io_listen(struct io_listener *l, const struct sley_tcp_opts *opts);

/** Where nobody listens, and nobody else can as long as the socket that is returned is open. */
int io_nobody(char ret_text[SLEY_ADDR_TEXT_BYTES]);

/** Two ends of one connection. */
struct io_pair {
    struct sley_tcp a, b;
};
void io_pair(struct io_pair *p, const struct sley_tcp_opts *opts);
void io_pair_close(struct io_pair *p);

/** The descriptors that are open, but for those of files. */
unsigned io_fd_count(void);
/** Which file is open there; 0: none. A number that is free may be a watchdog's a moment later. */
uint64_t io_file_of(int number);
/** Lets everything else run until nothing is ready: several yields. */
void io_settle(void);
/** Waits until the descriptor is readable. */
void io_wait_in(int number);

/** Bytes that say where they stand. */
static inline unsigned char io_byte(size_t at)
{
    return (unsigned char)(at * 131 + (at >> 8) * 7 + 3);
}
static inline void io_fill(unsigned char *buf, size_t from, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        buf[i] = io_byte(from + i);
    }
}
void io_check(const unsigned char *buf, size_t from, size_t len);

/** Runs the op's start in a task of its own and keeps the verdict: what another task does. */
#define IO_SPAWN(ret_task, fn, ...) CHECK_RC(SLEY_SPAWN_TASK(ret_task, NULL, fn, __VA_ARGS__), 0)
/** What the task returned; gives the handle back. */
int io_join(struct sley_task *t);

#endif
