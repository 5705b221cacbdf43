/* Random reads of 4 KiB from a file of 64 MiB, 64 in flight: from the page cache, and around it (O_DIRECT). */
#include "micro.h"

#include <sley/file.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK = 4096, BLOCKS = 16384, TASKS = 64 };

struct reader {
    struct sley_frame frame;
    struct sley_file *file;
    uint64_t n, i;
    struct micro_random random;
    char *buf;
    struct sley_file_op op;
};

static uint64_t next_offset(struct micro_random *r)
{
    (void)micro_delay_ns(r); /* one step of the generator */
    return (r->state >> 20) % BLOCKS * BLOCK;
}

static enum sley_step reader_frame(struct reader *r)
{
    int rc;
    SLEY_BEGIN(r);
    for (r->i = 0; r->i < r->n; r->i++) {
        SLEY_CALL(r, rc, sley_file_read_at, &r->op, r->file, r->buf, BLOCK, next_offset(&r->random));
        if (rc != BLOCK) {
            SLEY_RETURN(r, rc < 0 ? rc : -EPROTO);
        }
    }
    SLEY_END(r);
}
SLEY_FRAME(reader_frame, struct reader)

static int reader_fiber(struct reader *r)
{
    for (uint64_t i = 0; i < r->n; i++) {
        const int rc = sley_file_read_at(r->file, r->buf, BLOCK, next_offset(&r->random));
        if (rc != BLOCK) {
            return rc < 0 ? rc : -EPROTO;
        }
    }
    return 0;
}
SLEY_FIBER(reader_fiber, struct reader)

struct readers {
    struct sley_frame frame;
    const struct sley_task_type *type;
    uint64_t n;
    char *memory;
    int number; /* the open file; the task's */
    struct sley_file file;
    struct sley_task *tasks[TASKS];
    struct micro_join join;
    struct sley_io_op close;
    int result;
};

static int spawn_readers(struct readers *f)
{
    int rc = sley_file_from_fd(&f->file, f->number);
    for (uint32_t i = 0; i < TASKS && rc == 0; i++) {
        const struct reader r = {.file = &f->file, .n = f->n / TASKS, .random = {42 + i * 7919u}, .buf = f->memory + (size_t)i * BLOCK};
        rc = sley_spawn(NULL, f->type, &r, NULL, &f->tasks[i]);
        f->join.count += rc == 0;
    }
    f->join.tasks = f->tasks;
    return rc;
}

static enum sley_step readers_frame(struct readers *f)
{
    int rc;
    SLEY_BEGIN(f);
    f->result = spawn_readers(f);
    SLEY_RUN(f, rc, micro_join_frame, &f->join);
    f->result = f->result < 0 ? f->result : rc;
    SLEY_CALL(f, rc, sley_file_close, &f->close, &f->file);
    SLEY_RETURN(f, f->result < 0 ? f->result : rc);
    SLEY_END(f);
}
SLEY_FRAME(readers_frame, struct readers)

static int readers_fiber(struct readers *f)
{
    const int rc = spawn_readers(f), joined = micro_join_fiber(f->tasks, f->join.count, NULL), closed = sley_file_close(&f->file);
    return rc < 0 ? rc : joined < 0 ? joined : closed;
}
SLEY_FIBER(readers_fiber, struct readers)

/** A file that nobody else sees, all of it written, on a disk (not in memory, where O_DIRECT means nothing). */
static int make_file(int flags)
{
    const char *dir = getenv("SLEY_BENCH_DIR");
    char path[256];
    if (snprintf(path, sizeof path, "%s/sley-file-XXXXXX", dir ? dir : "/var/tmp") >= (int)sizeof path) {
        return -ENAMETOOLONG;
    }
    const int plain = mkstemp(path);
    if (plain < 0) {
        return -errno;
    }
    char block[BLOCK];
    memset(block, 'x', sizeof block);
    int rc = 0;
    for (int i = 0; i < BLOCKS && rc == 0; i++) {
        rc = write(plain, block, sizeof block) == (ssize_t)sizeof block ? 0 : -EIO;
    }
    rc = rc == 0 && fsync(plain) < 0 ? -errno : rc;
    const int number = rc == 0 ? open(path, O_RDONLY | O_CLOEXEC | flags) : -1;
    rc = rc == 0 && number < 0 ? -errno : rc;
    (void)unlink(path);
    (void)close(plain);
    return rc < 0 ? rc : number;
}

/** Making the file is no part of what is measured; a tenth of the reads, before, is a warm-up. */
static int file_reads(struct micro *m, const char *name, int flags, uint64_t n)
{
    char *memory = NULL;
    struct readers args = {.type = m->style == SLEY_STYLE_FRAME ? &reader_frame__type : &reader_fiber__type};
    int number = make_file(flags), rc = number < 0 ? number : -posix_memalign((void **)&memory, BLOCK, (size_t)TASKS * BLOCK);
    args.memory = memory;
    for (int pass = 0; pass < 2 && rc == 0; pass++) {
        args.n = pass == 0 ? n / 10 : n;
        args.number = fcntl(number, F_DUPFD_CLOEXEC, 0);
        const struct micro_meter meter = micro_meter_start();
        rc = args.number < 0 ? -errno : micro_run(m, &readers_frame__type, &readers_fiber__type, &args);
        if (rc == 0 && pass == 1) {
            micro_meter_done(meter, m, name, n / TASKS * TASKS);
        }
    }
    free(memory);
    if (number >= 0) {
        (void)close(number);
    }
    return rc;
}

int micro_file_cached(struct micro *m, uint64_t n)
{
    return file_reads(m, "file_cached", 0, n);
}

int micro_file_direct(struct micro *m, uint64_t n)
{
    return file_reads(m, "file_direct", O_DIRECT, n);
}
