/* Reading a file on the blocking pool: a task waits for its checksum, two seconds at most. hash FILE... */
#include <sley/sley.h>

#include <stdio.h>
#include <string.h>

struct hash_job {
    const char *path;
    uint64_t sum;
};

/* Runs on a thread of the pool: the world of errno, where calls block. */
static int hash_file(void *arg)
{
    struct hash_job *job = arg;
    unsigned char buf[65536];
    FILE *f = fopen(job->path, "rb");
    if (!f) {
        return -errno;
    }
    int rc = 0;
    job->sum = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (size_t n; rc == 0 && (n = fread(buf, 1, sizeof buf, f)) > 0;) {
        for (size_t i = 0; i < n; i++) {
            job->sum = (job->sum ^ buf[i]) * UINT64_C(0x100000001b3);
        }
        rc = sley_cancelled() ? -ECANCELED : 0; /* a job that runs is never torn away: it looks */
    }
    rc = rc == 0 && ferror(f) ? -EIO : rc;
    (void)fclose(f);
    return rc;
}

struct hash_args {
    const char *path;
};

/* One of many tasks; others run while this one waits. */
static int hash(struct hash_args *a)
{
    struct hash_job job = {.path = a->path}; /* on the task's stack: the wait outlives the job */
    int result = 0;
    int rc = SLEY_UNTIL(sley_after_ns(2 * SLEY_S), sley_blocking(hash_file, &job, &result));
    rc = rc < 0 ? rc : result; /* was it run, and if so, what did it return? */
    if (rc < 0) {
        fprintf(stderr, "hash: %s: %s\n", a->path, strerror(-rc));
        return rc;
    }
    return printf("%016llx  %s\n", (unsigned long long)job.sum, a->path) < 0 ? -EIO : 0;
}
SLEY_FIBER(hash, struct hash_args)

static int hash_all(struct sley_main_args *args)
{
    struct sley_scope files;
    int rc = sley_scope_init(&files, NULL);
    for (int i = 1; i < args->argc && rc == 0; i++) {
        rc = SLEY_SPAWN(&files, hash, .path = args->argv[i]);
    }
    const int first = sley_scope_wait(&files);
    (void)sley_scope_fini(&files); /* its verdict was wait's */
    return rc < 0 ? rc : first;
}
SLEY_FIBER(hash_all, struct sley_main_args)
SLEY_MAIN(hash_all)
