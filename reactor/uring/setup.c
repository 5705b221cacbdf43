/* How a ring is made: what the kernel has of what could be used, the memory that both share, and why there is none. */
#include "checker.h"
#include "uring.h"

#include <errno.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

/* Entries are flushed when they run out, so that they need only be many enough that a call is lost among them. Completions that
 * do not fit are kept by the kernel, at the price of an allocation each: there is room for a burst. 16 KiB and 64 KiB. */
enum { ENTRY_COUNT = 256, RESULTS_PER_ENTRY = 16 };

#define BIT(feature) (1u << SLEY__URING_##feature)

const struct sley__uring_kind sley__uring_kinds[SLEY__URING_FEATURE_COUNT] = {
    [SLEY__URING_SUBMIT_ALL] = {"submit_all", "5.18", .setup = IORING_SETUP_SUBMIT_ALL},
    [SLEY__URING_COOP] = {"coop_taskrun", "5.19", .setup = IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG},
    [SLEY__URING_SINGLE_ISSUER] = {"single_issuer", "6.0", .setup = IORING_SETUP_SINGLE_ISSUER, .needs = BIT(DEFER)},
    [SLEY__URING_DEFER] = {"defer_taskrun", "6.1", .setup = IORING_SETUP_DEFER_TASKRUN, .needs = BIT(SINGLE_ISSUER)},
    [SLEY__URING_NO_SQARRAY] = {"no_sqarray", "6.6", .setup = IORING_SETUP_NO_SQARRAY},
    [SLEY__URING_RING_FD] = {"ring_fd", "5.18", .setup = 0},
    [SLEY__URING_CQE_SKIP] = {"cqe_skip", "5.17", .reports = IORING_FEAT_CQE_SKIP},
    [SLEY__URING_POLL_MULTI] = {"poll_multi", "5.13", .setup = 0},
    [SLEY__URING_POLL_FIRST] = {"poll_first", "5.19", .opcode = IORING_OP_SOCKET},
    [SLEY__URING_FIXED_BUFFERS] = {"fixed_buffers", "5.19", .opcode = IORING_OP_SOCKET},
    [SLEY__URING_DIRECT] = {"direct", "5.19", .opcode = IORING_OP_SOCKET},
    [SLEY__URING_FD_INSTALL] = {"fd_install", "6.8", .opcode = SLEY__URING_OP_FIXED_FD_INSTALL, .needs = BIT(DIRECT)},
    [SLEY__URING_BUFFER_RING] = {"buffer_ring", "5.19", .opcode = IORING_OP_SOCKET},
    [SLEY__URING_MSG_RING] = {"msg_ring", "6.13", .opcode = IORING_OP_MSG_RING},
    [SLEY__URING_ACCEPT_MULTI] = {"accept_multi", "5.19", .opcode = IORING_OP_SOCKET},
    [SLEY__URING_RECV_MULTI] = {"recv_multi", "6.0", .opcode = IORING_OP_SEND_ZC, .needs = BIT(BUFFER_RING)},
    [SLEY__URING_MIN_WAIT] = {"min_wait", "6.12", .reports = IORING_FEAT_MIN_TIMEOUT},
};

static void say(const struct sley_reactor_opts *o, const char *text)
{
    if (o && o->ret_error && o->error_bytes) {
        (void)snprintf(o->ret_error, o->error_bytes, "%s", text);
    }
}

/* ---- features ------------------------------------------------------------------------------------------------------ */

/** Without those that need others which are not there. */
static uint32_t supported(uint32_t features)
{
    for (uint32_t i = 0; i < SLEY__URING_FEATURE_COUNT; i++) {
        if (sley__uring_kinds[i].needs & ~features) {
            features &= ~(1u << i);
        }
    }
    return features;
}

static uint32_t setup_flags(uint32_t features)
{
    uint32_t flags = IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
    for (uint32_t i = 0; i < SLEY__URING_FEATURE_COUNT; i++) {
        flags |= features & (1u << i) ? sley__uring_kinds[i].setup : 0;
    }
    return flags;
}

/** Asks for each feature alone, with what it needs. Returns: those of @p features that are there. */
static uint32_t probe(uint32_t features)
{
    uint32_t there = features;
    for (uint32_t i = 0; i < SLEY__URING_FEATURE_COUNT; i++) {
        const struct sley__uring_kind *kind = &sley__uring_kinds[i];
        struct io_uring_params p = {.flags = setup_flags(kind->needs | 1u << i), .cq_entries = 2};
        const int number = kind->setup && (features & (1u << i)) ? sley__uring_syscall_setup(1, &p) : -1;
        if (number >= 0) {
            (void)close(number);
        } else if (kind->setup) {
            there &= ~(1u << i);
        }
    }
    return supported(there);
}

/** As liburing does it, which would write an array of places that is not there with NO_SQARRAY. */
static int map(struct io_uring *ring, const struct io_uring_params *p)
{
    const struct io_sqring_offsets *s = &p->sq_off;
    const struct io_cqring_offsets *c = &p->cq_off;
    const size_t results_end = c->cqes + p->cq_entries * sizeof(struct io_uring_cqe);
    const size_t array_end = p->flags & IORING_SETUP_NO_SQARRAY ? 0 : s->array + p->sq_entries * sizeof(unsigned);
    const size_t bytes = results_end > array_end ? results_end : array_end;
    const size_t sqe_bytes = p->sq_entries * sizeof(struct io_uring_sqe);
    const int protection = PROT_READ | PROT_WRITE, how = MAP_SHARED | MAP_POPULATE;
    char *at = mmap(NULL, bytes, protection, how, ring->ring_fd, (off_t)IORING_OFF_SQ_RING);
    if (at == MAP_FAILED) {
        return -errno;
    }
    struct io_uring_sqe *sqes = mmap(NULL, sqe_bytes, protection, how, ring->ring_fd, (off_t)IORING_OFF_SQES);
    if (sqes == MAP_FAILED) {
        const int rc = -errno;
        (void)munmap(at, bytes);
        return rc;
    }
    ring->sq = (struct io_uring_sq){
        .khead = (void *)(at + s->head),
        .ktail = (void *)(at + s->tail),
        .kflags = (void *)(at + s->flags),
        .array = array_end ? (void *)(at + s->array) : NULL,
        .sqes = sqes,
        .ring_ptr = at,
        .ring_sz = bytes,
        .ring_mask = p->sq_entries - 1,
        .ring_entries = p->sq_entries,
    };
    ring->cq = (struct io_uring_cq){
        .khead = (void *)(at + c->head),
        .ktail = (void *)(at + c->tail),
        .cqes = (void *)(at + c->cqes),
        .ring_mask = p->cq_entries - 1,
        .ring_entries = p->cq_entries,
    };
    for (unsigned i = 0; ring->sq.array && i < p->sq_entries; i++) {
        ring->sq.array[i] = i; /* once and for all: entries are used in order */
    }
    return 0;
}

void sley__uring_unmap(struct io_uring *ring)
{
    (void)munmap(ring->sq.sqes, ring->sq.ring_entries * sizeof *ring->sq.sqes);
    (void)munmap(ring->sq.ring_ptr, ring->sq.ring_sz);
    (void)close(ring->ring_fd);
}

static int make(struct sley__uring *r, uint32_t entries, uint32_t results, uint32_t *ret_reports)
{
    struct io_uring_params p = {.flags = setup_flags(r->features), .cq_entries = results};
    const int number = sley__uring_syscall_setup(entries, &p);
    *ret_reports = p.features;
    if (number < 0) {
        return number;
    }
    r->ring = (struct io_uring){.ring_fd = number, .flags = p.flags, .features = p.features};
    if (~p.features & (IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_FAST_POLL | IORING_FEAT_EXT_ARG)) {
        (void)close(number);
        return -ENOTSUP;
    }
    const int rc = map(&r->ring, &p);
    if (rc < 0) {
        (void)close(number);
    }
    return rc;
}

static unsigned long long locked_kib(void)
{
    struct rlimit limit = {0};
    (void)getrlimit(RLIMIT_MEMLOCK, &limit);
    return (unsigned long long)limit.rlim_cur / 1024;
}

/** In memory that the user may lock. */
static int make_smaller(struct sley__uring *r, const struct sley_reactor_opts *o, uint32_t *ret_reports)
{
    uint32_t entries = r->opts.entry_count, results = r->opts.result_count;
    int rc = make(r, entries, results, ret_reports);
    while (rc == -ENOMEM && entries > 1) {
        entries /= 2;
        results = results / 2 > entries ? results / 2 : entries;
        rc = make(r, entries, results, ret_reports);
    }
    if (rc == -ENOMEM && o && o->ret_error && o->error_bytes) {
        (void)snprintf(o->ret_error, o->error_bytes, "no memory for a ring, not for the smallest: RLIMIT_MEMLOCK is %llu KiB",
                       locked_kib());
    }
    return rc;
}

static int failed(const struct sley_reactor_opts *o, int rc)
{
    switch (rc) {
    case -ENOSYS:
        say(o, "the kernel has no io_uring, or a filter hides it");
        return -ENOTSUP;
    case -EINVAL:
    case -ENOTSUP:
        say(o, "io_uring of Linux 5.11 is needed");
        return -ENOTSUP;
    case -EPERM:
    case -EACCES:
        say(o, "io_uring is forbidden here: see the sysctl kernel.io_uring_disabled, or a filter of system calls");
        return -EPERM;
    case -EMFILE:
    case -ENFILE:
        say(o, "no descriptor is free for a ring");
        return rc;
    default:
        return rc;
    }
}

int sley__uring_open(struct sley__uring *r, const struct sley_reactor_opts *o)
{
    uint32_t reports = 0;
    r->features = supported(((1u << SLEY__URING_FEATURE_COUNT) - 1) & ~r->opts.without);
    int rc = make_smaller(r, o, &reports);
    if (rc == -EINVAL) {
        r->features = probe(r->features);
        rc = make_smaller(r, o, &reports);
    }
    if (rc < 0) {
        return failed(o, rc);
    }
    for (uint32_t i = 0; i < SLEY__URING_FEATURE_COUNT; i++) {
        const uint8_t opcode = sley__uring_kinds[i].opcode;
        if (sley__uring_kinds[i].reports & ~reports || (opcode && !sley__uring_knows(r, opcode))) {
            r->features &= ~(1u << i);
        }
    }
    if (!r->opts.messages || (sley__uring_has(r, SLEY__URING_MSG_RING) && !sley__uring_message_works(r))) {
        r->features &= ~BIT(MSG_RING);
    }
    r->features = supported(r->features);
    r->blind = sley__uring_has(r, SLEY__URING_DEFER) && !sley__uring_has(r, SLEY__URING_COOP);
    r->bell_armed = false;
    r->thread = 0;
    return 0;
}

static void probe_opcodes(struct sley__uring *r)
{
    enum { MOST = 64 };
    uint64_t words[(sizeof(struct io_uring_probe) + MOST * sizeof(struct io_uring_probe_op)) / sizeof(uint64_t)] = {0};
    struct io_uring_probe *probe = (void *)words;
    r->opcodes = 1; /* NOP is always there */
    const int rc = sley__uring_syscall_register(r->ring.ring_fd, IORING_REGISTER_PROBE, probe, MOST);
    for (unsigned i = 0; rc >= 0 && i < probe->ops_len && i < MOST; i++) {
        r->opcodes |= (uint64_t)((probe->ops[i].flags & IO_URING_OP_SUPPORTED) != 0) << i;
    }
}

bool sley__uring_knows(struct sley__uring *r, uint32_t opcode)
{
    if (SLEY_UNLIKELY(r->opcodes == 0)) {
        probe_opcodes(r);
    }
    return r->opcodes >> opcode & 1;
}

/** Appends to a text; what does not fit is cut. Returns: its length. */
static size_t append(char *text, size_t bytes, size_t at, const char *before, const char *name)
{
    const int n = at + 1 < bytes ? snprintf(text + at, bytes - at, "%s%s", before, name) : 0;
    return n < 0 ? at : at + (size_t)n < bytes ? at + (size_t)n : bytes - 1;
}

int sley__uring_describe(struct sley_reactor *self, char *ret_text, size_t bytes)
{
    const struct sley__uring *r = sley_container_of(self, struct sley__uring, base);
    size_t at = 0;
    bool any = false;
    ret_text[0] = '\0';
    if (sley__uring_has(r, SLEY__URING_MSG_RING)) {
        at = append(ret_text, bytes, at, "", "woken by messages");
    }
    for (uint32_t i = 0; i < SLEY__URING_FEATURE_COUNT; i++) {
        const bool wanted = i != SLEY__URING_MSG_RING || r->opts.messages;
        if (wanted && !(r->features & (1u << i))) {
            at = append(ret_text, bytes, at, any ? ", " : at ? ", without " : "without ", sley__uring_kinds[i].name);
            any = true;
        }
    }
    if (r->ring.sq.ring_entries < r->opts.entry_count) { /* see make_smaller */
        char text[80];
        (void)snprintf(text, sizeof text, "of %u entries: RLIMIT_MEMLOCK is %llu KiB", r->ring.sq.ring_entries, locked_kib());
        at = append(ret_text, bytes, at, at ? ", " : "", text);
    }
    return (int)at;
}

/* ---- life -------------------------------------------------------------------------------------------------------------- */

#ifdef SLEY__ANNOTATE_VALGRIND
SLEY_ATOMIC(bool) sley__uring_seen;
#endif

int sley__uring_create(const struct sley_reactor_opts *o, const struct sley__uring_opts *opts, struct sley_reactor **ret_reactor)
{
    struct sley__uring *r = sley_reactor_alloc(o->alloc, sizeof *r);
    if (!r) {
        say(o, "no memory");
        return -ENOMEM;
    }
    sley__uring_look_for_checker();
    r->base.ops = &sley__uring_ops;
    r->alloc = o->alloc;
    r->opts = *opts;
    r->opts.without |= sley__uring_is_seen() ? BIT(DEFER) | BIT(COOP) : 0; /* who polls such a ring is not woken: see call_seen */
    r->opts.entry_count = opts->entry_count ? opts->entry_count : ENTRY_COUNT;
    r->opts.result_count = opts->result_count ? opts->result_count : r->opts.entry_count * RESULTS_PER_ENTRY;
    /* relaxed: nobody else knows it yet */
    atomic_store_explicit(&r->tell, SLEY__URING_TELLS_NOBODY, memory_order_relaxed);
    r->witness = r->awaited = -1;
    r->bell = eventfd(0, EFD_CLOEXEC); /* the ring waits on it, so that it must not be called non-blocking */
    int rc = r->bell < 0 ? failed(o, -errno) : sley__uring_open(r, o);
    if (rc < 0) {
        if (r->bell >= 0) {
            (void)close(r->bell);
        }
        sley_alloc_put(o->alloc, r, sizeof *r);
        return rc;
    }
    *ret_reactor = &r->base;
    return 0;
}

static int create(const struct sley_reactor_opts *o, struct sley_reactor **ret_reactor)
{
    static const struct sley__uring_opts usual;
    return sley__uring_create(o, &usual, ret_reactor);
}

const struct sley_reactor_factory sley_reactor_uring = {
    .version = SLEY_REACTOR_VERSION,
    .name = "uring",
    .create = create,
};

static int create_msg(const struct sley_reactor_opts *o, struct sley_reactor **ret_reactor)
{
    static const struct sley__uring_opts messages = {.messages = true};
    return sley__uring_create(o, &messages, ret_reactor);
}

const struct sley_reactor_factory sley_reactor_uring_msg = {
    .version = SLEY_REACTOR_VERSION,
    .name = "uring-msg",
    .create = create_msg,
};
