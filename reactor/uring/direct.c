/* The ring's own table of files: who takes a place there, and gives it back. It is made when the first place is wanted. */
#include "uring.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

/* What the kernel allows for a table, beside RLIMIT_NOFILE. */
enum { DIRECT_MOST = 1 << 20 };

/** Returns: how many places there may be; one is left to the witness. */
static uint32_t places(const struct sley__uring *r)
{
    struct rlimit limit = {.rlim_cur = 1024};
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    const uint32_t most = limit.rlim_cur < DIRECT_MOST ? (uint32_t)limit.rlim_cur : DIRECT_MOST;
    return r->opts.direct_count ? r->opts.direct_count : most > 1 ? most - 1 : 1;
}

static int make_table(struct sley__uring *r)
{
    const bool last = sley__uring_has(r, SLEY__URING_DEFER); /* for the witness; kernels that know this know ranges */
    const uint32_t size = places(r);
    struct io_uring_rsrc_register table = {.nr = size + last, .flags = IORING_RSRC_REGISTER_SPARSE};
    struct io_uring_file_index_range range = {.len = size};
    if (r->witness >= 0) { /* in a table of its own */
        (void)sley__uring_syscall_register(r->ring.ring_fd, IORING_UNREGISTER_FILES, NULL, 0);
        sley__uring_dismiss_witness(r);
    }
    int rc = sley__uring_syscall_register(r->ring.ring_fd, IORING_REGISTER_FILES2, &table, sizeof table);
    if (rc >= 0 && last) {
        rc = sley__uring_syscall_register(r->ring.ring_fd, IORING_REGISTER_FILE_ALLOC_RANGE, &range, 0);
    }
    r->direct_size = rc < 0 ? 0 : size;
    r->base.fd_count += rc >= 0; /* for those that are named when it has ended, having closed all of them */
    if (r->has_files) {
        sley__uring_call_witness(r);
    }
    return rc;
}

int32_t sley__uring_direct_reserve(struct sley__uring *r, struct sley_io_op *op)
{
    if (!sley__uring_has(r, SLEY__URING_DIRECT) || (r->direct_size == 0 && r->base.box.served)) {
        return 0; /* the table is the ring's thread's to make */
    }
    if (r->direct_size == 0 && make_table(r) < 0) {
        r->features &= ~(1u << SLEY__URING_DIRECT); /* and what needs it is never asked */
        return 0;
    }
    if (r->direct_count == r->direct_size) {
        return -ENFILE; /* the kernel would accept the connection first, and then drop it */
    }
    r->direct_count++;
    op->stage |= SLEY__URING_PLACE;
    return 0;
}

/** Empties a place at once. */
static int empty(struct sley__uring *r, uint32_t place)
{
    int32_t none = -1;
    struct io_uring_rsrc_update up = {.offset = place, .data = (uint64_t)(uintptr_t)&none};
    return sley__uring_syscall_register(r->ring.ring_fd, IORING_REGISTER_FILES_UPDATE, &up, 1);
}

int sley__uring_direct_came(struct sley__uring *r, int32_t place, uint8_t kind)
{
    const int number = SLEY_FD_DIRECT_FIRST + place;
    const int rc = sley__uring_make_slot(r, number);
    if (rc < 0) {
        (void)empty(r, (uint32_t)place);
        return rc;
    }
    struct sley__uring_slot *slot = sley__uring_find(r, number);
    slot->is_dry = false;
    slot->standing = 0;
    slot->kind = kind;
    return number;
}

int32_t sley__uring_direct_taken(struct sley__uring *r, struct sley_io_op *op, int32_t place)
{
    const int number = sley__uring_direct_came(r, place, op->code == SLEY_IO_OPEN ? SLEY__URING_FILE : SLEY__URING_OTHER);
    if (number < 0) {
        return number; /* the place is given back as that of any op that failed */
    }
    op->stage &= (uint8_t) ~(uint32_t)SLEY__URING_PLACE;
    op->out_number = number;
    return 0;
}

bool sley__uring_direct_close(struct sley__uring *r, struct sley_fd *fd, struct sley_io_op *op)
{
    const uint32_t place = (uint32_t)(fd->number - SLEY_FD_DIRECT_FIRST);
    if (SLEY_UNLIKELY(r->direct_size == 0)) {
        fd->number = -1; /* it has ended with another thread's ring */
        return false;
    }
    struct io_uring_sqe *sqe = op || r->base.box.served ? sley__uring_place(r) : NULL;
    r->direct_count--; /* whoever takes a place from now on is submitted behind the close */
    if (sqe) {
        io_uring_prep_close_direct(sqe, place);
        io_uring_sqe_set_data(sqe, op);
        r->flying_count += op != NULL;
        if (op) {
            return true;
        }
        io_uring_sqe_set_data64(sqe, SLEY__URING_NOTHING);
        fd->number = -1;
        return false;
    }
    fd->number = -1;
    if (empty(r, place) < 0) {
        r->direct_count++; /* on a thread that is not the ring's: the place stays taken until the ring ends */
    }
    return false;
}

/** Takes the completion of the loan out of the queue, if it is there. */
static bool take_loan(struct sley__uring *r, int32_t *ret_number)
{
    const struct io_uring_cq *cq = &r->ring.cq;
    const unsigned head = *cq->khead, count = sley__uring_results(r);
    for (unsigned i = 0; i < count; i++) {
        struct io_uring_cqe *cqe = &cq->cqes[(head + i) & cq->ring_mask];
        if (cqe->user_data == SLEY__URING_LOAN) {
            cqe->user_data = SLEY__URING_NOTHING;
            *ret_number = cqe->res;
            return true;
        }
    }
    return false;
}

int sley__uring_lend_number(struct sley_reactor *self, const struct sley_fd *fd)
{
    struct sley__uring *r = sley_container_of(self, struct sley__uring, base);
    int32_t number = -EAGAIN;
    const bool has = sley__uring_has(r, SLEY__URING_FD_INSTALL);
    struct io_uring_sqe *sqe = has && !r->loan_late ? sley__uring_place(r) : NULL;
    if (!sqe) {
        return has ? -EAGAIN : -ENOTSUP;
    }
    io_uring_prep_rw(SLEY__URING_OP_FIXED_FD_INSTALL, sqe, fd->number - SLEY_FD_DIRECT_FIRST, NULL, 0, 0); /* close-on-exec */
    sqe->flags = IOSQE_FIXED_FILE;
    io_uring_sqe_set_data64(sqe, SLEY__URING_LOAN);
    const int rc = sley__uring_submit_now(r);
    r->loan_late = !take_loan(r, &number) && !(r->base.box.served && sley__uring_call_for(r, take_loan, &number));
    return !r->loan_late ? number : rc < 0 ? rc : -EAGAIN; /* one that comes later is closed then, and is nobody else's */
}
