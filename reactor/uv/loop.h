/* What the files of the libuv reactor share: descriptors watched by uv_poll_t, and the two ways to have a loop. */
#ifndef SLEY_REACTOR_UV_LOOP_H
#define SLEY_REACTOR_UV_LOOP_H

#include <sley/reactor_port_impl.h>
#include <sley/reactor_uv.h>

#include <uv.h>

struct sley__uv;

/** A descriptor that something has waited on: until its number is closed, or adopted anew. */
struct sley__uv_watch {
    uv_poll_t poll; /* its `data` is the slot */
    struct sley__uv *owner;
    struct sley__uv_watch *next; /* of the free ones; attached: of those with a report that is not handled yet */
    struct sley__uv_watch *next_drop;
    int number;
    uint32_t place; /* in the chunks, from 1 on: what slot->token says; 0 there: none */
    int events;     /* what uv has been asked for */
    int status;     /* attached: the report */
    int reported;   /* attached: its events; UV_DISCONNECT stands for an error */
    bool dropping;  /* in the list of drops */
};

enum {
    SLEY__UV_CHUNK_BITS = 5, /* watches of a chunk: 7 KiB */
    SLEY__UV_CHUNK = 1 << SLEY__UV_CHUNK_BITS,
};

/** Base of both ways. Chunks never move: libuv keeps addresses of what is in them. */
struct sley__uv {
    struct sley__poll core;
    uv_loop_t *loop;
    uv_poll_cb on_poll;
    struct sley__chunks chunks; /* of watches, by place */
    uint32_t watch_count;       /* places given out so far */
    struct sley__uv_watch *free;
    struct sley__uv_watch *drops; /* watched without need: until the next uv_run, by when there often is need again */
    uint32_t open_count;          /* handles whose close callback has not run */
    bool shows_more; /* a change of what is watched is to be told to who drives from outside: libuv registers it in uv_run alone */
    bool changed;    /* there has been one since uv_run */
    uv_async_t bell;
    uv_timer_t timer; /* the end of a wait; attached: the wheel's next deadline, too */
};

SLEY_INLINE struct sley__uv *sley__uv_of(struct sley__poll *r)
{
    return sley_container_of(r, struct sley__uv, core);
}

/* watch.c */
int sley__uv_adopt(struct sley_reactor *self, struct sley_fd *fd);
void sley__uv_submit(struct sley_reactor *self, struct sley_io_op *op);
int sley__uv_watch(struct sley__poll *r, struct sley__slot *slot, int number, uint32_t interest);
/** Before uv looks at what is watched: stops what is watched without need. */
void sley__uv_flush(struct sley__uv *u);
/** What uv has said of a watch, told to the core. */
void sley__uv_report(struct sley__uv_watch *w, int status, int events);
/** Makes the bell, which @p on_bell hears, and the timer. Returns: 0; a negative errno: nothing is left. */
int sley__uv_open(struct sley__uv *u, uv_loop_t *loop, uv_async_cb on_bell);
/** A handle of the reactor's begins to close: it is counted until it has. */
void sley__uv_close(struct sley__uv *u, uv_handle_t *handle);
/** Closes the bell, the timer and every watch. */
void sley__uv_close_all(struct sley__uv *u);
/** Gives back the watches' memory; none is open. */
void sley__uv_release(struct sley__uv *u);
/** Port's ring. */
void sley__uv_ring(struct sley__poll *r);

/* own.c */
extern const struct sley__port sley__uv_port_own;

/* attached.c */
extern const struct sley__port sley__uv_port_attached;
/** Makes the handles in @p loop. Returns: 0; a negative errno: nothing is left in it. */
int sley__uv_attach(struct sley__uv *u, uv_loop_t *loop);

#endif
