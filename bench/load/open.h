/* Opens the connections of a load. */
#ifndef BENCH_OPEN_H
#define BENCH_OPEN_H

#include "load.h"

/**
 * Opens load->connection_count connections to @p server (text of load->server) into @p conns, which is zeroed: what was opened
 * before a failure is in there. With very many, from several loopback addresses. In a fiber. Returns: 0; the first error.
 */
int open_all(const struct load *load, const char *server, struct sley_tcp *conns);

#endif
