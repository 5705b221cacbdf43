/* Memory that the kernel has registered: what is, what is not and why, and that ops work with either. */
#include "uring_bed.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <sley/mpsc.h>

static int file_run(struct sley_file_op *op, enum sley_io_code code)
{
    op->io.code = (uint8_t)code;
    return sley_io_run(&op->io);
}

/** A file without a name. */
static void open_file(struct sley_fd *ret_fd)
{
    const char *tmp = getenv("TMPDIR");
    const int number = open(tmp ? tmp : "/tmp", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
    CHECK_INT(number, >=, 0);
    sley_fd_init(ret_fd, number);
}

static int move(struct sley_fd *fd, enum sley_io_code code, struct sley_fixed *f, size_t at, size_t len, uint64_t offset)
{
    struct sley_file_op op = {.io = {.fd = fd, .buf = (char *)f->base + at, .len = len}, .offset = offset, .a.fixed = f};
    return file_run(&op, code);
}

/** What the kernel is asked to do. */
static struct io_uring_sqe described(struct sley_fd *fd, enum sley_io_code code, struct sley_fixed *f)
{
    struct io_uring_sqe sqe = {0};
    struct sley_file_op op = {.io = {.fd = fd, .buf = f->base, .len = 1, .code = (uint8_t)code}};
    if (code == SLEY_IO_SEND_ZC) {
        op.b.fixed = f;
    } else {
        op.a.fixed = f;
    }
    sley__uring_describe_file(ring(), &sqe, &op.io);
    return sqe;
}

/** Writes from the memory, and reads back into it. */
static void use(struct sley_fixed *f)
{
    struct sley_fd fd;
    char *const at = f->base;
    open_file(&fd);
    memcpy(at, "abcdef", 6);
    CHECK_RC(move(&fd, SLEY_IO_WRITE_FIXED, f, 0, 6, 3), 6);
    CHECK_RC(move(&fd, SLEY_IO_READ_FIXED, f, 100, 9, 0), 9);
    CHECK_INT(memcmp(at + 100, "\0\0\0abcdef", 9), ==, 0);
    CHECK_RC(move(&fd, SLEY_IO_READ_FIXED, f, 100, 9, 9), 0);
    CHECK_RC(sley_fd_close(&fd), 0);
}

static unsigned char memory[8192];

static void registered(void)
{
    struct sley_fixed a, b;
    struct sley_fd fd;
    CHECK_RC(sley_fixed_init(&a, memory, 4096), 0);
    CHECK_RC(sley_fixed_init(&b, memory + 4096, 4096), 0);
    const bool known = sley__uring_has(ring(), SLEY__URING_FIXED_BUFFERS);
    CHECK((a.home != NULL) == known && (b.home != NULL) == known);
    open_file(&fd);
    CHECK_INT(described(&fd, SLEY_IO_READ_FIXED, &a).opcode, ==, known ? IORING_OP_READ_FIXED : IORING_OP_READ);
    CHECK_INT(described(&fd, SLEY_IO_WRITE_FIXED, &b).opcode, ==, known ? IORING_OP_WRITE_FIXED : IORING_OP_WRITE);
    CHECK_INT(described(&fd, SLEY_IO_WRITE_FIXED, &b).buf_index, ==, known ? b.index : 0);
    CHECK_INT(described(&fd, SLEY_IO_SEND_ZC, &b).ioprio, ==, known ? IORING_RECVSEND_FIXED_BUF : 0);
    CHECK_RC(sley_fd_close(&fd), 0);
    use(&a);
    use(&b);
    CHECK_RC(sley_fixed_fini(&a), 0);
    CHECK_RC(sley_fixed_init(&a, memory, 2048), 0);
    CHECK(!known || a.index == 0); /* its place is free again */
    use(&a);
    use(&b);
    CHECK_RC(sley_fixed_fini(&a), 0);
    CHECK_RC(sley_fixed_fini(&b), 0);
}

SLEY_TEST(fixed_memory_is_known_to_the_kernel_and_used_by_its_index, "")
{
    in_ring((struct sley__uring_opts){0}, registered);
}

SLEY_TEST(fixed_memory_of_a_kernel_without_a_table_is_memory_like_any_other, "URING-14")
{
    in_ring((struct sley__uring_opts){.without = uring_without("fixed_buffers")}, registered);
}

static void many(void)
{
    static struct sley_fixed pieces[300];
    int without = 0;
    for (int i = 0; i < 300; i++) {
        CHECK_RC(sley_fixed_init(&pieces[i], memory, sizeof memory), 0);
        without += !pieces[i].home;
    }
    CHECK_INT(without, ==, 300 - 256);
    use(&pieces[0]);
    use(&pieces[255]);
    use(&pieces[299]);
    for (int i = 0; i < 300; i++) {
        CHECK_RC(sley_fixed_fini(&pieces[i]), 0);
    }
}

SLEY_TEST(fixed_memory_beyond_the_table_stays_unregistered_and_works, "")
{
    in_ring((struct sley__uring_opts){0}, many);
}

/** From now on this process may lock @p bytes, and no more. */
static void limit_locked(rlim_t bytes)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct caps[2];
    CHECK_INT(syscall(SYS_capget, &head, caps), ==, 0);
    caps[CAP_IPC_LOCK / 32].effective &= ~(1u << CAP_IPC_LOCK % 32);
    CHECK_INT(syscall(SYS_capset, &head, caps), ==, 0);
    CHECK_INT(setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){bytes, bytes}), ==, 0);
}

static void locked(void)
{
    enum { LARGE = 4 << 20 };
    struct sley_fixed small, large;
    char *const pages = mmap(NULL, LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(pages != MAP_FAILED);
    CHECK_RC(sley_fixed_init(&large, pages, LARGE), 0);
    CHECK_PTR(large.home, ==, NULL);
    use(&large);
    CHECK_RC(sley_fixed_init(&small, memory, 4096), 0);
    CHECK_PTR(small.home, ==, reactor());
    use(&small);
    CHECK_RC(sley_fixed_fini(&small), 0);
    CHECK_RC(sley_fixed_fini(&large), 0);
    CHECK_INT(munmap(pages, LARGE), ==, 0);
}

SLEY_TEST(fixed_memory_that_may_not_be_locked_stays_unregistered_and_works, "")
{
    limit_locked(1 << 20);
    in_ring((struct sley__uring_opts){0}, locked);
}

/* ---- a ring that changes hands --------------------------------------------------------------------------------------------- */

static struct bed travelling;
static struct sley_fixed kept;

static void make_kept(void)
{
    CHECK_RC(sley_fixed_init(&kept, memory, sizeof memory), 0);
    CHECK_PTR(kept.home, ==, reactor());
    CHECK_INT(look(0), >=, 0); /* the ring is this thread's */
}

static void use_kept(void)
{
    use(&kept); /* the first op of this thread: from here on the ring is another */
    CHECK(sley__uring_is_fixed(ring(), &kept));
    use(&kept);
    CHECK_RC(sley_fixed_fini(&kept), 0);
}

static void *drive_elsewhere(void *arg)
{
    (void)arg;
    bed_run(&travelling, use_kept);
    return NULL;
}

SLEY_TEST(fixed_memory_stays_registered_when_another_thread_takes_the_ring_over, "URING-12")
{
    pthread_t t;
    ring_start(&travelling, (struct sley__uring_opts){0});
    bed_run(&travelling, make_kept);
    CHECK_INT(pthread_create(&t, NULL, drive_elsewhere, NULL), ==, 0);
    CHECK_INT(pthread_join(t, NULL), ==, 0);
    bed_end(&travelling);
}

/* ---- a pool of two ----------------------------------------------------------------------------------------------------------- */

enum { WRITERS = 10, ROUNDS = 20 };

SLEY_MPSC_TYPE(pool, int, 2)

static struct pool pool;
static struct sley_fixed pieces[2];
static struct sley_fd pool_file;
static int writing, most, written;

static void write_some(void)
{
    for (int i = 0; i < ROUNDS; i++) {
        int which;
        CHECK_RC(pool_recv(&pool, &which), 1);
        struct sley_fixed *f = &pieces[which];
        writing++;
        most = writing > most ? writing : most;
        CHECK_RC(move(&pool_file, SLEY_IO_WRITE_FIXED, f, 0, f->bytes, (uint64_t)written++ * f->bytes), (int)f->bytes);
        writing--;
        CHECK_RC(pool_send(&pool, &which), 0);
    }
}

static int write_task(struct bed_args *unused)
{
    (void)unused;
    write_some();
    return 0;
}
SLEY_FIBER(write_task, struct bed_args)

static void ten_writers(void)
{
    struct sley_scope scope;
    CHECK_RC(pool_init(&pool), 0);
    open_file(&pool_file);
    for (int i = 0; i < 2; i++) {
        CHECK_RC(sley_fixed_init(&pieces[i], memory + 4096 * i, 4096), 0);
        CHECK_PTR(pieces[i].home, ==, reactor());
        CHECK_RC(pool_send(&pool, &i), 0);
    }
    CHECK_RC(sley_scope_init(&scope, NULL), 0);
    for (int i = 0; i < WRITERS; i++) {
        CHECK_RC(SLEY_SPAWN(&scope, write_task, NULL), 0);
    }
    CHECK_RC(sley_scope_wait(&scope), 0);
    CHECK_RC(sley_scope_fini(&scope), 0);
    CHECK_INT(most, ==, 2);
    CHECK_INT(written, ==, WRITERS * ROUNDS);
    CHECK_INT(lseek(pool_file.number, 0, SEEK_END), ==, WRITERS * ROUNDS * 4096);
    pool_fini(&pool, NULL);
    for (int i = 0; i < 2; i++) {
        CHECK_RC(sley_fixed_fini(&pieces[i]), 0);
    }
    CHECK_RC(sley_fd_close(&pool_file), 0);
}

SLEY_TEST(ten_writers_share_a_pool_of_two_registered_buffers, "URING-08")
{
    in_ring((struct sley__uring_opts){0}, ten_writers);
}

/* ---- zero copy ----------------------------------------------------------------------------------------------------------------- */

static int32_t told;
static bool done_when_told;

static void sent(struct sley_file_op *op, int32_t result)
{
    told = result;
    done_when_told = sley_wait_done(&op->wait);
}

static void send_fixed(void)
{
    struct sley_fd fd;
    struct sley_fixed f;
    char got[4096];
    const int peer = tcp_pair(&fd);
    CHECK_RC(sley_fixed_init(&f, memory, sizeof memory), 0);
    memset(memory, 'z', sizeof memory);
    struct sley_file_op op = {.io = {.fd = &fd, .buf = memory, .len = sizeof got}, .a.sent = sent, .b.fixed = &f};
    told = 0;
    op.io.code = SLEY_IO_SEND_ZC;
    sley_io_submit(&op.io);
    while (told == 0) {
        CHECK_INT(look(SLEY_NEVER), >=, 0);
    }
    CHECK_INT(told, ==, (int)sizeof got);
    CHECK(!done_when_told);
    CHECK_INT(recv(peer, got, sizeof got, MSG_WAITALL), ==, (int)sizeof got);
    CHECK_INT(memcmp(got, memory, sizeof got), ==, 0);
    CHECK_RC(until_done(&op.wait), (int)sizeof got);
    op.io.buf = memory + sizeof memory - 10;
    op.io.len = 11;
    CHECK_RC(file_run(&op, SLEY_IO_SEND_ZC), -EFAULT); /* not inside */
    CHECK_RC(sley_fixed_fini(&f), 0);
    CHECK_RC(sley_fd_close(&fd), 0);
    (void)close(peer);
}

SLEY_TEST(zero_copy_send_of_registered_memory_has_two_stages, "URING-09")
{
    in_ring((struct sley__uring_opts){0}, send_fixed);
    in_ring((struct sley__uring_opts){.without = uring_without("fixed_buffers")}, send_fixed);
}
