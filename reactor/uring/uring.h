/* What the files of the io_uring reactor share; its tests, too, which ask for small rings and for kernels of old. */
#ifndef SLEY_REACTOR_URING_URING_H
#define SLEY_REACTOR_URING_URING_H

#include <sley/chunks_impl.h>
#include <sley/file_impl.h>
#include <sley/lend_impl.h>
#include <sley/reactor_uring.h>

#include "kernel.h"

/* What a kernel may lack. Each is looked for on its own, and done without on its own. */
enum sley__uring_feature {
    SLEY__URING_SUBMIT_ALL,    /* a request that fails does not keep back those behind it */
    SLEY__URING_COOP,          /* completions do not interrupt the thread; they wait for its next system call */
    SLEY__URING_SINGLE_ISSUER, /* the ring is one thread's: no lock */
    SLEY__URING_DEFER,         /* completions are worked off when the thread asks for them, all at once */
    SLEY__URING_NO_SQARRAY,    /* no second array to look into for each submission */
    SLEY__URING_RING_FD,       /* the ring is registered: entering it looks up no descriptor */
    SLEY__URING_CQE_SKIP,      /* a cancel that has found its op says nothing */
    SLEY__URING_POLL_MULTI,    /* the bell is armed once */
    SLEY__URING_POLL_FIRST,    /* a receive that would find nothing does not look */
    SLEY__URING_FIXED_BUFFERS, /* memory is registered: its pages are not pinned for each op */
    SLEY__URING_DIRECT,        /* connections and files in a table of the ring's */
    SLEY__URING_FD_INSTALL,    /* what is there can have a number for a moment */
    SLEY__URING_BUFFER_RING,   /* the kernel takes the buffer for a receive when it has something to put there */
    SLEY__URING_MSG_RING,      /* a wake is a completion that the waker posts; only for those that ask for messages */
    SLEY__URING_ACCEPT_MULTI,  /* an accept stays, and tells of each connection */
    SLEY__URING_RECV_MULTI,    /* a receive stays, and tells each time what has come */
    SLEY__URING_MIN_WAIT,      /* who waits can ask for several completions, and do with one after a moment */
    SLEY__URING_FEATURE_COUNT,
};

struct sley__uring_kind {
    const char *name;
    const char *since; /* of the kernel */
    uint32_t setup;    /* io_uring_params.flags that ask for it, or 0 */
    uint32_t reports;  /* io_uring_params.features that say it is there, or 0: it is when it works */
    uint8_t opcode;    /* IORING_OP_* that came with it, or 0 */
    uint32_t needs;    /* other features, as bits */
};

/** By enum sley__uring_feature. */
extern const struct sley__uring_kind sley__uring_kinds[SLEY__URING_FEATURE_COUNT];

struct sley__uring;

/** For tests. All zero: what the factory makes. */
struct sley__uring_opts {
    uint32_t entry_count;  /* of the submission queue, a power of two; 0: 256 */
    uint32_t result_count; /* of the completion queue, at least as many; 0: 16 times as many */
    uint32_t direct_count; /* places in its table of files; 0: RLIMIT_NOFILE */
    uint32_t without;      /* features that this kernel does not have, as bits; those that need them are not there either */
    bool messages;         /* wakes by MSG_RING, where it is there, in place of the bell: not the default, see docs/performance.md */
    /** In place of the system call. */
    int (*enter)(struct sley__uring *r, unsigned submit_count, unsigned least, unsigned flags, void *arg, size_t bytes);
};

enum sley__uring_number { SLEY__URING_UNKNOWN, SLEY__URING_FILE, SLEY__URING_OTHER };

/* What is known of a descriptor's number. */
struct sley__uring_slot {
    struct sley_io_op *armed;  /* the newest; each names one that is older. Without `closer` */
    struct sley_io_op *closer; /* the CLOSE that waits until nothing is armed */
    uint16_t standing;         /* SLEY__URING_STANDS and so on: see standing.c */
    uint8_t kind;              /* enum sley__uring_number: asked when an op wants to know */
    bool is_abandoned : 1;     /* a CLOSE without anybody who waits for it */
    bool is_dry : 1;           /* the last lent receive has left nothing behind */
    uint32_t ahead_count;      /* KEPT: how many lie there */
    int32_t ahead_last;        /* the newest of them: its number, or its buffer's place */
    int32_t link;              /* of a connection that lies at a listener: the next one; FAILED: the error; abandoned: the number */
};
#ifdef __LP64__
SLEY_STATIC_ASSERT(sizeof(struct sley__uring_slot) == 32, "every connection has one");
#endif

/* in slot->standing */
enum {
    SLEY__URING_STANDS = 1,      /* a request stays in the kernel, or in the submission queue */
    SLEY__URING_DISMISSED = 2,   /* it has been asked to end */
    SLEY__URING_DISMISS_DUE = 4, /* that did not fit into the submission queue */
    SLEY__URING_ACCEPTS = 8,     /* what it brings, or has brought, are connections; else bytes */
    SLEY__URING_TO_TABLE = 16,   /* connections in the ring's table of files */
    SLEY__URING_KEPT = 32,       /* something lies there that nobody has asked for yet */
    SLEY__URING_FAILED = 64,     /* an error that nobody has been told yet; behind what lies there */
    SLEY__URING_LOOPS = 128,     /* has been asked before: the next time a request may stand */
    SLEY__URING_SHY = 256,       /* may not: it was asked for otherwise, or not soon enough */
    SLEY__URING_FELL = 512,      /* STANDS, in a ring that is gone: see heir.c */
    SLEY__URING_ROBBED = 1024,   /* of wakes for accepts, perhaps: by a ring that is gone */
    SLEY__URING_UNTOLD = 2048,   /* is noted: see untold.c */
    SLEY__URING_SOMETHING = SLEY__URING_STANDS | SLEY__URING_KEPT | SLEY__URING_FAILED,
};

/* Bytes in a buffer that nobody has asked for yet. */
struct sley__uring_piece {
    uint32_t from, bytes;
};

/* Buffers of the pool that the kernel may take: a ring in memory that both sides see. See stock.c. */
struct sley__uring_stock {
    struct io_uring_buf_ring *at; /* NULL: nothing has been lent yet */
    uint32_t entries;             /* of it, a power of two */
    uint32_t count;               /* buffers in it whose use has not been told */
    uint32_t wanted;              /* how many are to be there; grows when they run out */
    uint32_t most;                /* how far */
    uint16_t tail;
    uint32_t kept;                    /* taken from it for who has not asked yet */
    uint32_t piece_count;             /* as many as the pool has buffers */
    struct sley__uring_piece *pieces; /* by a buffer's place in the pool: of those that are kept */
};

/* Receives that are armed, and the kernel's only when it is their turn: a ring in which each op knows its number. See later.c. */
struct sley__uring_later {
    struct sley_io_op **at; /* NULL in it: that one was taken out */
    uint32_t size;          /* a power of two, or 0 */
    uint32_t head, tail;    /* numbers: of the oldest, of the next one */
    bool flows;             /* the look before has brought so much that the next ones wait for their turn */
};

/* Slots at which an end may have come that was not told: see untold.c. */
struct sley__uring_untold {
    struct sley__uring_slot **at;
    uint32_t size, count;
    uint32_t looks; /* since they were asked */
};

enum { SLEY__URING_SLOT_BITS = 7, SLEY__URING_SLOT_CHUNK = 1 << SLEY__URING_SLOT_BITS };

struct sley__uring {
    struct sley_reactor base;
    struct sley_alloc *alloc;
    struct sley__uring_opts opts;
    struct io_uring ring;
    uint32_t features; /* as bits: what is used */
    uint32_t thread;   /* whose ring it is; 0: nobody has driven it yet */
    int enter_fd;      /* the ring's descriptor, or its index when it is registered */
    unsigned enter_flags;
    uint32_t flying_count; /* ops that are the kernel's, or in the submission queue */
    bool blind;            /* the kernel does not say when it has completions to work off */
    bool ending;           /* what a hook starts now does not wait */
    uint8_t due;           /* SLEY__URING_AGAIN and so on: for the next look */
    bool bell_armed;
    SLEY_ATOMIC(bool) rung;            /* set by wake, cleared by its completion: one ring at a time is under way */
    int bell;                          /* an eventfd */
    SLEY_ATOMIC(int) door;             /* the ring's number, for messages to it; 0: they are not taken, or not now */
    SLEY_ATOMIC(uint32_t) waker_count; /* who may name it just now */
    bool shut;                         /* the door, for as long as another thread drives */
    SLEY_ATOMIC(int) tell;             /* an eventfd for foreign loops, written to by the kernel and by wake; or SLEY__URING_TELLS_* */
    uint64_t bell_count;               /* where it is read to, without POLL_MULTI */
    struct sley__chunks chunks[2];     /* of slots: by descriptor number, by place in the ring's table of files */
    struct sley__uring_slot loose;     /* of ops without a descriptor */
    uint64_t opcodes;                  /* bit n: the kernel knows it; 0: not asked yet */
    struct sley_fixed **fixed;         /* registered memory, by index; NULL: no table was ever needed */
    bool has_fixed;                    /* the ring has the table, too */
    uint32_t direct_size;              /* places in the ring's table of files; 0: it has none yet */
    uint32_t direct_count;             /* taken, or about to be */
    bool loan_late;                    /* a number that was asked for is yet to come, and is to be closed then */
    bool tells;                        /* the kernel writes to `tell` */
    uint32_t standing_count;           /* requests that stand */
    struct sley__uring_slot *unasked;  /* UNASKED: the listener; NULL: there are several */
    uint32_t unasked_looks;            /* from then on until who was told has had a turn */
    /* of one whose thread ends before it: see heir.c */
    struct sley__uring_thread *driver; /* whose ring it is; NULL: not known */
    int witness;                       /* readable when the ring has ended; -1: none was needed; -2: none is to be had */
    int awaited;                       /* the same of the ring before, for what is LOST; -1 */
    uint32_t lost_count;               /* ops that are LOST */
    bool has_files;                    /* there have been ops that use memory whoever enters the ring */
    bool deaf;                         /* results of the ring before were never seen */
    struct sley__uring_stock stock;
    struct sley__uring_later later;
    struct sley__uring_untold untold;
    uint32_t worker_tid; /* of the thread whose ring it is, where another may serve it; 0: nobody does */
    uint32_t seen;       /* completions of ops in the last look */
    uint32_t crowd;      /* in the busiest look lately: fades by an eighth in each */
};

/* in r->tell */
enum {
    SLEY__URING_TELLS_NOBODY = -1, /* none has asked */
    SLEY__URING_TELLS_ITSELF = -2, /* one has the ring's own descriptor, which is all that it needs */
};

/* in r->due */
enum {
    SLEY__URING_AGAIN = 1,   /* some op, or slot, has SLEY__URING_DUE, CANCEL_DUE or DISMISS_DUE */
    SLEY__URING_UNASKED = 2, /* what stands at a listener has brought a connection: is the next one asked for? */
    SLEY__URING_LEFT = 4,    /* the ring was another's, which has ended: some slot FELL, or some op is LOST */
    SLEY__URING_TOLD = 8,    /* some have ended before the wait of this look: it is none */
};

enum { SLEY__URING_SHARE = 64 }; /* completions handled in one look: see the same number of the epoll port */
enum { SLEY__URING_SOON = 4 };   /* how far ahead of their turn ops are fetched */

/* in op->stage */
enum {
    SLEY__URING_POLLING = 1,     /* the kernel has said -EAGAIN: waits for readiness, then is done again */
    SLEY__URING_LOST = 2,        /* in the kernel's hands, in a ring that is gone */
    SLEY__URING_CANCELLED = 4,   /* has been asked to end */
    SLEY__URING_DUE = 8,         /* did not fit into the submission queue */
    SLEY__URING_CANCEL_DUE = 16, /* the request to end it did not */
    SLEY__URING_PLACE = 32,      /* a place in the ring's table of files is kept for what it brings */
    SLEY__URING_BEHIND = 64,     /* it waits for the slot's request that stands, and is not in the kernel itself */
    SLEY__URING_INSTALLS = 128, /* an accept: the direct connection out_number is its own, and is being given a number of the process */
};

/* of a POLL, in op->out_number. The kernel says unasked that the peer has shut its side down, again and again to who asks again: a poll
 * that has been told this alone stays there until what it was asked for comes, or another peer's end. Such polls and MULTI are of the same
 * version (5.13): no feature to look for. */
enum {
    SLEY__URING_POLL_ONCE,
    SLEY__URING_POLL_STAYS,
    SLEY__URING_POLL_CAME, /* something has: it is asked to end, and then once more for what is so */
};

enum { SLEY__URING_CAPS = 0 }; /* of its table. Its ops' stage is its own: SLEY__IO_ENDED is one of those that workers share */
SLEY_STATIC_ASSERT(!(SLEY__URING_CAPS & SLEY_REACTOR_CAP_SHARED) || !(SLEY__URING_INSTALLS & SLEY__IO_ENDED), "bits of op->stage");

/* user_data of what is no op: ops are aligned. By the last bits a slot's request that stands, or one to end something of a slot's */
enum { SLEY__URING_ENDING = 6, SLEY__URING_STANDING = 7, SLEY__URING_TAGS = 7 };
enum { SLEY__URING_NOTHING = 1, SLEY__URING_BELL, SLEY__URING_LOAN, SLEY__URING_MESSAGE, SLEY__URING_WITNESS };
enum { SLEY__URING_MARK_LAST = SLEY__URING_WITNESS };

SLEY_INLINE bool sley__uring_has(const struct sley__uring *r, enum sley__uring_feature f)
{
    return r->features & (1u << f);
}

/** NULL: the number has never been adopted. */
SLEY_INLINE struct sley__uring_slot *sley__uring_find(const struct sley__uring *r, int number)
{
    const uint32_t direct = (uint32_t)number / SLEY_FD_DIRECT_FIRST, place = (uint32_t)number % SLEY_FD_DIRECT_FIRST;
    struct sley__uring_slot *slots = sley__chunks_find(&r->chunks[direct], place >> SLEY__URING_SLOT_BITS);
    return slots ? &slots[(uint32_t)number & (SLEY__URING_SLOT_CHUNK - 1)] : NULL;
}

/** A file op remembers what points to it: the kernel completes the oldest of many first. */
SLEY_INLINE void sley__uring_named_by(struct sley_io_op *op, struct sley_io_op **at)
{
    if (op && op->code > SLEY_IO_CLOSE) {
        sley_file_of(op)->at.native[1] = at;
    }
}

SLEY_INLINE void sley__uring_push(struct sley__uring_slot *slot, struct sley_io_op *op)
{
    op->next = slot->armed;
    slot->armed = op;
    sley__uring_named_by(op->next, &op->next);
    sley__uring_named_by(op, &slot->armed);
}

/** The same for one that is a file op. */
SLEY_INLINE void sley__uring_push_file(struct sley__uring_slot *slot, struct sley_file_op *op)
{
    struct sley_io_op *older = slot->armed;
    op->io.next = older;
    op->at.native[1] = &slot->armed;
    slot->armed = &op->io;
    sley__uring_named_by(older, &op->io.next);
}

/** The same, backwards. */
SLEY_INLINE void sley__uring_remove_file(struct sley_file_op *op)
{
    struct sley_io_op **at = op->at.native[1];
    *at = op->io.next;
    sley__uring_named_by(op->io.next, at);
}

/** Of many polls that wait at once, the kernel completes the newest first. */
SLEY_INLINE void sley__uring_remove(struct sley__uring_slot *slot, struct sley_io_op *op)
{
    struct sley_io_op **at = op->code > SLEY_IO_CLOSE ? sley_file_of(op)->at.native[1] : &slot->armed;
    while (*at != op) {
        at = &(*at)->next;
    }
    *at = op->next;
    sley__uring_named_by(op->next, at);
}

/** Of one that is at home here: remembered since its adoption; a direct one has never been adopted. */
SLEY_INLINE struct sley__uring_slot *sley__uring_slot_at(const struct sley__uring *r, const struct sley_fd *fd)
{
    return SLEY_LIKELY(fd->slot != NULL) ? (struct sley__uring_slot *)(void *)fd->slot : sley__uring_find(r, fd->number);
}

SLEY_INLINE struct sley__uring_slot *sley__uring_slot_of(struct sley__uring *r, const struct sley_io_op *op)
{
    return op->fd ? sley__uring_slot_at(r, op->fd) : &r->loose;
}

/** The user_data of its request that stands. */
SLEY_INLINE uint64_t sley__uring_standing_tag(const struct sley__uring_slot *slot)
{
    return (uint64_t)(uintptr_t)slot | SLEY__URING_STANDING;
}

/** Whose tag is this? */
SLEY_INLINE struct sley__uring_slot *sley__uring_slot_by(uint64_t user_data)
{
    return (struct sley__uring_slot *)(uintptr_t)(user_data & ~(uint64_t)SLEY__URING_TAGS);
}

/** What is @p user_data, of a submission or a completion? 0: an op, or one of those up to MARK_LAST, whose last bits mean nothing. */
SLEY_INLINE unsigned sley__uring_tag_of(uint64_t user_data)
{
    return user_data > SLEY__URING_MARK_LAST ? (unsigned)(user_data & SLEY__URING_TAGS) : 0;
}

/** What has been put into the submission queue and the kernel has not taken. */
SLEY_INLINE unsigned sley__uring_unsubmitted(const struct sley__uring *r)
{
    return r->ring.sq.sqe_tail - IO_URING_READ_ONCE(*r->ring.sq.khead);
}

/** Completions that can be taken without asking. */
SLEY_INLINE unsigned sley__uring_results(const struct sley__uring *r)
{
    return io_uring_smp_load_acquire(r->ring.cq.ktail) - *r->ring.cq.khead;
}

/* setup.c: how it is made */

/** As a factory's create. */
int sley__uring_create(const struct sley_reactor_opts *o, const struct sley__uring_opts *opts, struct sley_reactor **ret_reactor);
/** Makes the ring, with what the kernel has of what opts allow. @p o may be NULL; else says why not. Returns: 0; negative errno. */
int sley__uring_open(struct sley__uring *r, const struct sley_reactor_opts *o);
/** Gives back what open has made. */
void sley__uring_unmap(struct io_uring *ring);
/** As a table's: names the features that are missing. */
int sley__uring_describe(struct sley_reactor *self, char *ret_text, size_t bytes);

/* ring.c: the ring in use */

void sley__uring_close(struct sley__uring *r);
/** Its thread stops to drive, and another may end the ring: which would live on for as long as its thread has it registered. */
void sley__uring_unregister(struct sley__uring *r);
/**
 * Submits what there is and waits for a completion for at most @p timeout_ns; 0: does not wait, and makes no system call if there
 * is nothing to submit and nothing to come. Returns: 0; a negative errno that does not pass: -EEXIST: the ring is another thread's.
 */
int sley__uring_enter(struct sley__uring *r, uint64_t timeout_ns);
/** Submits what there is, and has completions worked off. Returns: as sley__uring_enter. */
int sley__uring_submit_now(struct sley__uring *r);
/** A place in the submission queue, cleared, perhaps after emptying it; NULL: the kernel takes nothing at the moment. */
struct io_uring_sqe *sley__uring_place(struct sley__uring *r);
/** The same, not cleared, while there is room. NULL: there is none, and nothing has happened. */
SLEY_INLINE struct io_uring_sqe *sley__uring_room(struct sley__uring *r)
{
    struct io_uring_sq *sq = &r->ring.sq;
    const unsigned tail = sq->sqe_tail;
    /* acquire: the entry is the kernel's until it has moved the head past it */
    if (SLEY_UNLIKELY(tail - io_uring_smp_load_acquire(sq->khead) >= sq->ring_entries)) {
        return NULL;
    }
    sq->sqe_tail = tail + 1;
    r->base.more = true; /* a foreign loop is to come back: nothing else would submit it */
    return &sq->sqes[tail & sq->ring_mask];
}

/** What liburing's descriptions leave out from 2.6 on, as its io_uring_get_sqe, which is not asked here, has done it before. */
SLEY_INLINE void sley__uring_clear(struct io_uring_sqe *sqe)
{
    *sqe = (struct io_uring_sqe){0};
}

/** The last word of a description: whose it is; and a number that is none of the process's names a place in the ring's table of files. */
SLEY_INLINE void sley__uring_name(struct io_uring_sqe *sqe, struct sley_io_op *op)
{
    if (SLEY_UNLIKELY(sqe->fd >= SLEY_FD_DIRECT_FIRST)) {
        sqe->fd -= SLEY_FD_DIRECT_FIRST;
        sqe->flags |= IOSQE_FIXED_FILE;
    }
    io_uring_sqe_set_data(sqe, op);
}

/** May this thread submit, as things are? Else it has to take the ring over. */
bool sley__uring_is_mine(const struct sley__uring *r);
/** Nothing is in flight that a thread which takes over would lose. */
bool sley__uring_is_idle(const struct sley__uring *r);

/** Does the kernel know this IORING_OP_*? */
bool sley__uring_knows(struct sley__uring *r, uint32_t opcode);

/* heir.c */

/** Of this thread, for a ring that it drives; NULL: when it ends will not be known. Owns: a reference. */
struct sley__uring_thread *sley__uring_thread_ref(void);
/** Gives it back; NULL: nothing. */
void sley__uring_thread_unref(struct sley__uring_thread *t);
/** From now on there may be ops that the kernel goes on with by itself: their end is to show. Thread: the ring's. */
void sley__uring_call_witness(struct sley__uring *r);
/** The ring has ended, or is about to, with nothing in flight. */
void sley__uring_dismiss_witness(struct sley__uring *r);
/** Has its thread ended, so that another may have what is in flight? Not before that has seen what is in the queue of completions. */
bool sley__uring_is_left(const struct sley__uring *r);
/** Takes it over by @p take_over. No op ends by this; what has to is LEFT. Returns: as that. */
int sley__uring_inherit(struct sley__uring *r, int (*take_over)(struct sley__uring *r));
/** LEFT: ends what is lost, if the kernel has. */
void sley__uring_settle(struct sley__uring *r);

/* slot.c */

int sley__uring_make_slot(struct sley__uring *r, int number);
void sley__uring_free_slots(struct sley__uring *r);
/** At the end: which connections have lost something that was received ahead. */
void sley__uring_tell_lost(struct sley__uring *r);
/** Calls @p fn with every slot. */
void sley__uring_each_slot(struct sley__uring *r, void (*fn)(struct sley__uring *r, struct sley__uring_slot *slot));
/** Calls @p fn with every armed op; it may change the op, and nothing else. */
void sley__uring_each(struct sley__uring *r, void (*fn)(struct sley__uring *r, struct sley_io_op *op));

/* fixed.c: registered memory */

enum { SLEY__URING_UNFIXED = UINT16_MAX }; /* as an index: it is not in the ring's table */
int sley__uring_fixed_add(struct sley_reactor *self, struct sley_fixed *f);
void sley__uring_fixed_remove(struct sley_reactor *self, struct sley_fixed *f);
/** The ring is a new one: what was registered is, too, or is memory like any other from now on. */
void sley__uring_fixed_again(struct sley__uring *r);
void sley__uring_fixed_free(struct sley__uring *r);
/** Is it in the table of this ring? NULL: no. */
SLEY_INLINE bool sley__uring_is_fixed(const struct sley__uring *r, const struct sley_fixed *f)
{
    return f && f->home == &r->base && f->index != SLEY__URING_UNFIXED && r->fixed && r->fixed[f->index] == f;
}

/* direct.c: the ring's table of files */

/** For an op that brings a descriptor, direct if it can be. Returns: 0, with SLEY__URING_PLACE if so; -ENFILE: the table is full. */
int32_t sley__uring_direct_reserve(struct sley__uring *r, struct sley_io_op *op);
/** Such an op has brought it. Returns: 0, and op->out_number is set; -ENOMEM: it is closed again. */
int32_t sley__uring_direct_taken(struct sley__uring *r, struct sley_io_op *op, int32_t place);
/** Something has come to a place that is counted, or about to be. Returns: its number; -ENOMEM: the place is empty again. */
int sley__uring_direct_came(struct sley__uring *r, int32_t place, uint8_t kind);
/** Closes; nothing is armed on it. Returns: whether @p op, a CLOSE, flies now; else it is over. @p op NULL: nobody waits. */
bool sley__uring_direct_close(struct sley__uring *r, struct sley_fd *fd, struct sley_io_op *op);
int sley__uring_lend_number(struct sley_reactor *self, const struct sley_fd *fd);

/* wait.c: what comes back */

int sley__uring_poll(struct sley_reactor *self, uint64_t timeout_ns);
/** For destroy: waits for something to come back. Returns: as sley__uring_enter; how much has. */
int sley__uring_drain(struct sley__uring *r);
/** The same without waiting; nothing is armed. What others have said to the ring meanwhile is said again. */
int sley__uring_drain_now(struct sley__uring *r);
void sley__uring_arm_bell(struct sley__uring *r);
int sley__uring_pollable_fd(struct sley_reactor *self);
SLEY_INLINE int sley__uring_tell(const struct sley__uring *r)
{
    /* relaxed: a number, which the owner alone sets; see sley__uring_pollable_fd */
    return atomic_load_explicit(&r->tell, memory_order_relaxed);
}
/** The ring is a new one: it tells, too, if the one before did. Returns: 0; a negative errno. */
int sley__uring_tell_again(struct sley__uring *r);
/** The kernel refuses what is in the submission queue: its ops end with @p rc; the rest is to be done again. Returns: how many ended. */
uint32_t sley__uring_refuse(struct sley__uring *r, int32_t rc);

/* served.c: while another thread looks in the place of the ring's own */

/** As a table's. */
int sley__uring_serve(struct sley_reactor *self);
/** Served: calls its thread, and gives it a moment to bring what @p take looks for. Returns: whether that has found it. */
bool sley__uring_call_for(struct sley__uring *r, bool (*take)(struct sley__uring *r, int32_t *ret_result), int32_t *ret_result);
/** The ring is this thread's, which answers calls from now on. */
void sley__uring_answer(struct sley__uring *r);
/** Its thread has ended, or never answered. */
void sley__uring_answer_no_more(struct sley__uring *r);

/* message.c: wakes by MSG_RING */

/** Of a ring that is not enabled yet: does the kernel take messages? */
bool sley__uring_message_works(const struct sley__uring *r);
/** Returns: whether it wakes the ring; else ring the bell. Thread: any, signal. */
bool sley__uring_message(struct sley__uring *r);
/** The ring is this thread's: messages to it are heard from now on. */
void sley__uring_open_door(struct sley__uring *r);
/** They would not be any more. What is on its way is turned into a ring of the bell. */
void sley__uring_shut_door(struct sley__uring *r);

/* file.c */

void sley__uring_submit_file(struct sley_reactor *self, struct sley_file_op *op);
void sley__uring_describe_file(struct sley__uring *r, struct io_uring_sqe *sqe, struct sley_io_op *io);
void sley__uring_file_completed(struct sley__uring *r, struct sley_io_op *io, int32_t res, uint32_t flags);
/** It ends without a completion; sley__uring_end follows. */
void sley__uring_file_refused(struct sley_io_op *io, int32_t rc);
/** Is it a send whose result is yet to come, so that the socket is what it waits for? */
bool sley__uring_file_is_unsent(struct sley_io_op *io);
/** The same of one that was LOST. Returns: its result. */
int32_t sley__uring_file_lost(struct sley_io_op *io);

/* later.c: receives in turn */

/** For an armed receive that has got nothing yet. Returns: whether its turn comes later; else it is to be submitted. */
bool sley__uring_put_off(struct sley__uring *r, struct sley_io_op *op);
/** It is to be submitted now, out of turn. */
void sley__uring_take_out(struct sley__uring *r, struct sley_io_op *op);
/** At the start of a look. Returns: whether any are left, so that nobody is to wait. */
bool sley__uring_hand_over(struct sley__uring *r);
void sley__uring_later_free(struct sley__uring *r);
/** Does this one wait for its turn? Its number is out_number, which nobody else uses in a receive. */
SLEY_INLINE bool sley__uring_is_later(const struct sley__uring *r, const struct sley_io_op *op)
{
    const struct sley__uring_later *l = &r->later;
    const uint32_t number = (uint32_t)op->out_number;
    return op->code == SLEY_IO_RECV && number - l->head < l->tail - l->head && l->at[number & (l->size - 1)] == op;
}
SLEY_INLINE bool sley__uring_has_later(const struct sley__uring *r)
{
    return r->later.head != r->later.tail;
}

/* lend.c */

void sley__uring_lend_submit(struct sley__uring *r, struct sley_io_op *op);
void sley__uring_lend_describe(const struct sley__uring_slot *slot, struct io_uring_sqe *sqe, struct sley_io_op *op);
void sley__uring_lend_completed(struct sley__uring *r, struct sley__uring_slot *slot, struct sley_io_op *op, int32_t res,
                                uint32_t flags);

/** Submits an armed one that has got nothing yet. */
void sley__uring_lend_anew(struct sley__uring *r, struct sley__uring_slot *slot, struct sley_io_op *op);

/* standing.c */

/** From now on something stands, and the armed @p op waits for it. Returns: the place that is to be described; NULL: there is none. */
struct io_uring_sqe *sley__uring_stand(struct sley__uring *r, struct sley__uring_slot *slot, struct sley_io_op *op);
void sley__uring_describe_standing(const struct sley__uring_slot *slot, struct io_uring_sqe *sqe);
/** Arms an op that waits for what stands. */
void sley__uring_wait_behind(struct sley__uring *r, struct sley__uring_slot *slot, struct sley_io_op *op);
/** Such an op is cancelled: it ends. Returns false: it is none. */
bool sley__uring_leave(struct sley__uring *r, struct sley_io_op *op);
/** Asks what stands, if something does, to end. */
void sley__uring_dismiss(struct sley__uring *r, struct sley__uring_slot *slot);
void sley__uring_dismiss_if_due(struct sley__uring *r, struct sley__uring_slot *slot);
/** The kernel has not found what was asked to end: if it stands still, it is asked again. */
void sley__uring_dismiss_if_missed(struct sley__uring *r, struct sley__uring_slot *slot);
/** A completion of what stands. */
void sley__uring_stood(struct sley__uring *r, struct sley__uring_slot *slot, int32_t res, uint32_t flags);
/** What stands at a listener has brought something: it is dismissed, unless somebody asks for the next one before the worker waits. */
void sley__uring_unasked(struct sley__uring *r, struct sley__uring_slot *slot);
/** Has that been so? */
void sley__uring_dismiss_unasked(struct sley__uring *r, bool waits);
/** Nobody is armed: ends what stands, now. Returns: 0: nothing does any more; -EEXIST: the kernel has not answered yet. */
int sley__uring_stand_down(struct sley__uring *r, struct sley__uring_slot *slot);
/** As a table's `rest`: nobody waits for anything, so that what stands, stands for nobody. */
int sley__uring_rest(struct sley_reactor *self);
/** Nobody will ask for what lies there. */
void sley__uring_drop_ahead(struct sley__uring *r, struct sley__uring_slot *slot);
/** A request to end what stands was refused: the ring is another thread's. Returns: whether a close that has waited for it is over. */
bool sley__uring_dismissal_refused(struct sley__uring *r, struct sley__uring_slot *slot);

/* accept.c */

void sley__uring_accept(struct sley__uring *r, struct sley_io_op *op);
/** Of an armed op that waits for nothing yet. */
void sley__uring_accept_anew(struct sley__uring *r, struct sley__uring_slot *slot, struct sley_io_op *op);
/** One that is not BEHIND has been answered. Returns: whether it is over by this. */
bool sley__uring_accept_completed(struct sley__uring *r, struct sley__uring_slot *slot, struct sley_io_op *op, int32_t res,
                                  uint32_t flags);
/** INSTALLS, and ends without: the connection is the next one's. */
void sley__uring_accept_put_back(struct sley__uring *r, struct sley__uring_slot *slot, const struct sley_io_op *op);
void sley__uring_accepted(struct sley__uring *r, struct sley__uring_slot *slot, int32_t res, uint32_t flags);
void sley__uring_drop_connections(struct sley__uring *r, struct sley__uring_slot *slot);
/** KEPT: direct ones that lie there have ended with their ring. */
void sley__uring_forget_direct(struct sley__uring *r, struct sley__uring_slot *slot);

/* ahead.c */

/** For a receive or a poll where SOMETHING is: returns true when it is over, or waits for what stands; false: it is to be submitted. */
bool sley__uring_ahead(struct sley__uring *r, struct sley__uring_slot *slot, struct sley_io_op *op);
/** As a table's. */
int32_t sley__uring_take_ahead(struct sley_reactor *self, struct sley_fd *fd, void *buf, size_t len);
/** Of an armed op that waits for nothing yet. */
void sley__uring_receive_anew(struct sley__uring *r, struct sley__uring_slot *slot, struct sley_io_op *op);
/** For an armed lent receive, with stock: may it be one that stands? Then it waits for that. */
bool sley__uring_receive_stands(struct sley__uring *r, struct sley__uring_slot *slot, struct sley_io_op *op);
void sley__uring_received(struct sley__uring *r, struct sley__uring_slot *slot, int32_t res, uint32_t flags);
void sley__uring_drop_bytes(struct sley__uring *r, struct sley__uring_slot *slot);

/* untold.c: ends that the kernel has not told */

enum { SLEY__URING_MOMENT_NS = 10 * SLEY_MS }; /* without anything new: then they are asked for */
/** Somebody waits behind what stands there, which has emptied the socket. */
void sley__uring_note_untold(struct sley__uring *r, struct sley__uring_slot *slot);
/** Asks all that are noted. */
void sley__uring_ask_untold(struct sley__uring *r);
/** Some are noted, and another look comes, which @p waits or not: has it been long? */
bool sley__uring_is_long_untold(struct sley__uring *r, bool waits);
void sley__uring_untold_free(struct sley__uring *r);

/* stock.c */

/** Has the kernel buffers to take? It gets some here, if it may have more. */
bool sley__uring_has_stock(struct sley__uring *r);
/** There is a stock: fills it up. */
void sley__uring_restock(struct sley__uring *r);
/** The same, but only when half of it is gone. */
SLEY_INLINE void sley__uring_restock_late(struct sley__uring *r)
{
    const struct sley__uring_stock *s = &r->stock;
    if (s->count + s->kept <= s->wanted / 2) {
        sley__uring_restock(r);
    }
}
/** A receive has found none there. */
void sley__uring_stock_ran_out(struct sley__uring *r);
/** The one that the kernel has taken, by a completion's flags (IORING_CQE_F_BUFFER): the caller's now, filled or not. */
struct sley_lent *sley__uring_take_from_stock(struct sley__uring *r, uint32_t flags);
void sley__uring_describe_choice(struct io_uring_sqe *sqe);
/** The ring is a new one, and is to know the stock. */
void sley__uring_stock_again(struct sley__uring *r);
void sley__uring_stock_free(struct sley__uring *r);

/* uring.c: what goes in */

extern const struct sley_reactor_ops sley__uring_ops;
/** Thread: any, signal. */
void sley__uring_ring_bell(struct sley__uring *r);
/** Puts an armed op into the submission queue: from its start, or what is left of it. */
void sley__uring_queue(struct sley__uring *r, struct sley__uring_slot *slot, struct sley_io_op *op);
/** Works off what did not fit, and what stands for nobody. @p waits: nothing else is ready. */
void sley__uring_queue_due(struct sley__uring *r, bool waits);
/** A request to end what has this tag, and is @p slot's. Returns false: there is no place for it. */
bool sley__uring_queue_end_of(struct sley__uring *r, const struct sley__uring_slot *slot, uint64_t tag);
/** Asks an armed op to end. */
void sley__uring_ask(struct sley__uring *r, struct sley_io_op *op);
/** Has the kernel been asked to end it? */
SLEY_INLINE bool sley__uring_is_asked(const struct sley_io_op *op)
{
    return (op->stage & SLEY__URING_CANCELLED) || (op->code == SLEY_IO_POLL && op->out_number == SLEY__URING_POLL_CAME);
}
/** The request to do so, again if need be. */
void sley__uring_queue_cancel(struct sley__uring *r, struct sley_io_op *op);

/* close.c: how ops and descriptors end */

/** An armed op ends; a close that has waited for it, too. */
void sley__uring_end(struct sley__uring *r, struct sley__uring_slot *slot, struct sley_io_op *op, int32_t result);
/** A CLOSE comes in. */
void sley__uring_submit_close(struct sley__uring *r, struct sley_io_op *op);
/** A close that waits goes on if nothing is armed, and nothing stands. */
void sley__uring_close_due(struct sley__uring *r, struct sley__uring_slot *slot);

#endif
