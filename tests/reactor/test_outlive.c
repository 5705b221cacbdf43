/* Descriptors that outlive their home, in a runtime whose reactor might stand where that one stood. */
#include "bed.h"

#include <sley/reactor_impl.h>

#include <sys/uio.h>

static struct far {
    struct sley_fd fd;
    int peer;
} far, other;

/** Its home is this worker from now on. */
static void settle(struct far *f)
{
    char byte;
    f->peer = tcp_pair(&f->fd);
    put(f->peer, "h");
    CHECK_RC(io(&f->fd, SLEY_IO_RECV, &byte, 1), 1);
    CHECK_PTR(sley__fd_home(&f->fd), ==, reactor());
}

static void close_far(struct far *f)
{
    CHECK_RC(sley_fd_close(&f->fd), 0);
    CHECK_INT(f->fd.number, ==, -1);
    (void)close(f->peer);
}

/** Gives large blocks that were freed out again at once, as malloc may. */
static struct hasty {
    struct sley_alloc base;
    struct iovec freed[16];
} hasty;

static void *hasty_get(struct sley_alloc *self, size_t bytes, size_t align)
{
    (void)self;
    for (size_t i = 0; i < 16; i++) {
        void *block = hasty.freed[i].iov_base;
        if (block && hasty.freed[i].iov_len == bytes) {
            hasty.freed[i].iov_base = NULL;
            return block;
        }
    }
    return sley_alloc_get(harness_alloc(), bytes, align);
}

static void hasty_put(struct sley_alloc *self, void *block, size_t bytes)
{
    (void)self;
    for (size_t i = 0; block && bytes >= 256 && i < 16; i++) {
        if (!hasty.freed[i].iov_base) {
            hasty.freed[i] = (struct iovec){memset(block, 0xa5, bytes), bytes};
            return;
        }
    }
    sley_alloc_put(harness_alloc(), block, bytes);
}

static void hasty_run(void (*fn)(void))
{
    static const struct sley_alloc_ops ops = {
        .version = SLEY_ALLOC_VERSION, .caps = SLEY_ALLOC_CAP_THREADS, .alloc = hasty_get, .free = hasty_put};
    static const struct sley_reactor_factory *const reactors[] = {&REACTOR, NULL};
    struct bed b;
    hasty.base.ops = &ops;
    sley_local_init(&b.ex);
    const struct sley_executor_config config = {.alloc = &hasty.base, .reactors = reactors};
    CHECK_RC(b.ex.base.ops->start(&b.ex.base, &config), 0);
    bed_run(&b, fn);
    bed_end(&b);
}

static void settle_two(void)
{
    settle(&far);
    settle(&other);
}

static void use_far(void)
{
    char byte;
    CHECK_PTR(sley__fd_home(&far.fd), !=, reactor());
    put(far.peer, "x");
    CHECK_RC(io(&far.fd, SLEY_IO_RECV, &byte, 1), -ENODEV);
    CHECK_RC(io(&far.fd, SLEY_IO_SEND, "x", 1), -ENODEV);
    CHECK_RC(sley_fd_poll(&far.fd, SLEY_IO_OUT), -ENODEV);
    close_far(&far);
}

static void move_other(void)
{
    char byte;
    CHECK_RC(sley_fd_move(&other.fd), 0);
    put(other.peer, "x");
    CHECK_RC(io(&other.fd, SLEY_IO_RECV, &byte, 1), 1);
    close_far(&other);
}

SLEY_TEST(descriptor_that_outlived_its_home_is_not_at_home_in_one_at_its_place, "REACT-25")
{
    const char *missing = MISSING();
    if (missing) {
        SKIP("%s", missing);
    }
    hasty_run(settle_two);
    hasty_run(use_far);
    hasty_run(move_other);
    for (size_t i = 0; i < 16; i++) {
        sley_alloc_put(harness_alloc(), hasty.freed[i].iov_base, hasty.freed[i].iov_len);
    }
}
