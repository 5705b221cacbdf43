/*
 * file_uring BENCH [SCALE]: random reads of 4 KiB from a file of 64 MiB, 64 in flight, on one ring and nothing else: file_cached (from
 * the page cache) and file_direct (O_DIRECT). SLEY_BENCH_DIR says where the file is made.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 4096, BLOCKS = 16384, DEPTH = 64 };

static struct io_uring ring;
static uint64_t seeds[DEPTH];
static char *memory;
static int number;

static void die(const char *what, int rc)
{
    fprintf(stderr, "file_uring: %s: %s\n", what, strerror(rc < 0 ? -rc : errno));
    exit(1);
}

static double clock_ns(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static void make_file(int flags)
{
    const char *dir = getenv("SLEY_BENCH_DIR");
    char path[256], block[BLOCK];
    snprintf(path, sizeof path, "%s/sley-file-XXXXXX", dir ? dir : "/var/tmp");
    int plain = mkstemp(path);
    if (plain < 0) {
        die(path, 0);
    }
    memset(block, 'x', sizeof block);
    for (int i = 0; i < BLOCKS; i++) {
        if (write(plain, block, sizeof block) != (ssize_t)sizeof block) {
            die("write", 0);
        }
    }
    if (fsync(plain) < 0 || (number = open(path, O_RDONLY | O_CLOEXEC | flags)) < 0) {
        die("open", 0);
    }
    unlink(path);
    close(plain);
}

static void prepare(unsigned slot)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
    uint64_t s = seeds[slot];
    s ^= s >> 12;
    s ^= s << 25;
    s ^= s >> 27;
    seeds[slot] = s;
    io_uring_prep_read(sqe, number, memory + (size_t)slot * BLOCK, BLOCK, (s >> 20) % BLOCKS * BLOCK);
    io_uring_sqe_set_data64(sqe, slot);
}

static void reads(long n)
{
    long begun = 0, ended = 0;
    for (; begun < DEPTH && begun < n; begun++) {
        prepare((unsigned)begun);
    }
    while (ended < n) {
        int rc = io_uring_submit_and_wait(&ring, 1);
        if (rc < 0 && rc != -EINTR) {
            die("submit", rc);
        }
        struct io_uring_cqe *cqe;
        unsigned head, seen = 0;
        io_uring_for_each_cqe(&ring, head, cqe)
        {
            if (cqe->res != BLOCK) {
                die("read", cqe->res < 0 ? cqe->res : -EIO);
            }
            if (begun < n) {
                prepare((unsigned)cqe->user_data);
                begun++;
            }
            seen++;
        }
        io_uring_cq_advance(&ring, seen);
        ended += seen;
    }
}

int main(int argc, char **argv)
{
    const int direct = argc > 1 && strcmp(argv[1], "file_direct") == 0;
    if (argc < 2 || (!direct && strcmp(argv[1], "file_cached") != 0)) {
        fprintf(stderr, "usage: file_uring file_cached|file_direct [SCALE]\n");
        return 2;
    }
    const double scale = argc > 2 ? atof(argv[2]) : 1;
    long n = (long)((direct ? 100000 : 1000000) * scale / 10000) * 10000;
    n = n ? n : 10000;
    make_file(direct ? O_DIRECT : 0);
    if (posix_memalign((void **)&memory, BLOCK, (size_t)DEPTH * BLOCK) != 0) {
        die("memory", -ENOMEM);
    }
    for (unsigned i = 0; i < DEPTH; i++) {
        seeds[i] = 42 + i * 7919u;
    }
    struct io_uring_params p = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN};
    int rc = io_uring_queue_init_params(256, &ring, &p);
    if (rc < 0) {
        die("io_uring", rc);
    }
    io_uring_register_ring_fd(&ring);
    reads(n / 10);
    double cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID), wall = clock_ns(CLOCK_MONOTONIC);
    reads(n);
    wall = clock_ns(CLOCK_MONOTONIC) - wall;
    cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    printf("bench=%s peer=uring ns_per_op=%.1f cpu_ns_per_op=%.1f ops=%ld\n", argv[1], wall / (double)n, cpu / (double)n, n);
    io_uring_queue_exit(&ring);
    return 0;
}
