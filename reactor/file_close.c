/* Closing a descriptor on which file ops have gone the generic way (file_wait.c): all of them are asked to end, and when none is left the
 * reactor closes it. Closes that wait for this stand in line, oldest first; the reactor does one at a time for us. */
#include "file.h"

/** The reactor has closed what the oldest of those was for that may go on. */
static void closed(struct sley_reactor *r)
{
    struct sley_io_op **at = &r->files.closers, *op;
    while ((op = *at)->fd != r->files.close.fd) {
        at = &op->next;
    }
    *at = op->next;
    r->files.closing = false;
    sley_io_tell(r, op, sley__io_end(op, r->files.close.wait.result));
}

static void closed_hook(struct sley_wait_hook *hook, struct sley_wait *w)
{
    struct sley__files *f = sley_container_of((void *)hook, struct sley__files, hook);
    struct sley_reactor *r = sley_container_of(f, struct sley_reactor, files);
    (void)w;
    sley_reactor_enter(r);
    closed(r);
    sley__file_close_next(r);
    sley_reactor_leave(r);
}

void sley__file_close_next(struct sley_reactor *r)
{
    struct sley_io_op *op = r->files.closers;
    while (op && !r->files.closing) {
        struct sley_io_op *inner = &r->files.close, *next = op->next;
        if (!sley__file_used(r, op->fd)) {
            r->files.closing = true;
            *inner = (struct sley_io_op){.fd = op->fd, .code = SLEY_IO_CLOSE};
            sley_wait_begin_always(&inner->wait, op->wait.ops);
            if (r->shared) {
                sley_io_mark(inner, r);
            }
            r->ops->submit(r, inner);
            if (!sley_wait_done(&inner->wait)) {
                struct sley_wait_hook *hook = (void *)r->files.hook;
                hook->fn = closed_hook;
                sley_wait_hook(&inner->wait, hook);
                return;
            }
            closed(r);
            next = r->files.closers; /* whoever was told may have closed another one */
        }
        op = next;
    }
}

void sley__file_close_unheard(struct sley_reactor *r, struct sley_fd *fd)
{
    if (!fd || fd->number < 0 || !(sley__fd_state(fd) & SLEY_FD_CLOSING) || sley__file_used(r, fd)) {
        return;
    }
    const struct sley_io_op *op = r->files.closers;
    while (op && op->fd != fd) {
        op = op->next;
    }
    if (!op) {
        struct sley_io_op close = {.fd = fd, .code = SLEY_IO_CLOSE, .flags = SLEY_IO_UNHEARD};
        r->ops->submit(r, &close);
    }
}

static void wait_in_line(struct sley_reactor *r, struct sley_io_op *op)
{
    struct sley_io_op **last = &r->files.closers;
    while (*last) {
        last = &(*last)->next;
    }
    op->next = NULL;
    op->stage = 0;
    *last = op;
    sley_wait_arm(&op->wait);
}

void sley__file_close(struct sley_reactor *r, struct sley_io_op *op)
{
    const struct sley_fd *fd = op->fd; /* compared: it may be gone when the last op has been asked */
    const bool busy = r->files.closing;
    struct sley_file_op *f;
    if (!sley__file_used(r, fd)) {
        r->ops->submit(r, op);
        return;
    }
    if (op->flags & SLEY_IO_UNHEARD) {
        sley_io_finish(op, 0); /* the last of them closes it */
    } else {
        wait_in_line(r, op);
    }
    r->files.closing = true; /* not before all of them have been asked */
    while ((f = sley__file_unasked(r, fd)) != NULL) {
        sley__file_ask(r, f);
    }
    r->files.closing = busy;
    sley__file_close_next(r);
}
