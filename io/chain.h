/* Ops that are made of others, one after the other: they go on by callback, so that no task is needed to drive them. Private to io/. */
#ifndef SLEY_IO_CHAIN_H
#define SLEY_IO_CHAIN_H

#include <sley/stream_impl.h>

/**
 * What was waited for last is done: starts what comes next. Returns: its node; or what sley__chain_end does, when the chain has
 * ended (and may be gone). Called by one thread at a time, where calls on the streams may be made.
 */
typedef struct sley_wait *(*sley__chain_step)(struct sley__chain *c);

/** First thing in a start: begins the node. @p ops has sley__chain_cancel. Returns false: it is done, touch nothing. */
bool sley__chain_begin(struct sley__chain *c, const struct sley_wait_ops *ops, sley__chain_step step);
/** Last thing in a start: waits for @p w, which was started first, and goes on from there. */
void sley__chain_run(struct sley__chain *c, struct sley_wait *w);
/** Ends the chain's node. Returns: NULL, for the step to return. */
struct sley_wait *sley__chain_end(struct sley__chain *c, int32_t result);
/** Is it to end early? What it waits for is asked by itself. */
bool sley__chain_asked(const struct sley__chain *c);
void sley__chain_cancel(struct sley_wait *w);

#endif
