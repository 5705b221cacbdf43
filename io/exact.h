/* read_exact and write_all of streams without SLEY_STREAM_CAP_ALL. */
#ifndef SLEY_IO_EXACT_H
#define SLEY_IO_EXACT_H

#include <sley/stream_impl.h>

/** Moves all of @p len bytes, piece by piece; op->code says which way, op->ret_done and op->kind are set. */
void sley__stream_exact_start(struct sley_io_op *op, struct sley_stream *s, void *buf, size_t len);

#endif
