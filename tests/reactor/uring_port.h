/* The io_uring reactor for tests: with fewer features, and only where the kernel has it. */
#ifndef SLEY_TESTS_REACTOR_URING_PORT_H
#define SLEY_TESTS_REACTOR_URING_PORT_H

#include "reactor/uring/uring.h"

extern const struct sley_reactor_factory uring_tested;
/** The features whose names are in @p names, as bits. */
uint32_t uring_without(const char *names);
/** Why there is no io_uring here; NULL: there is. */
const char *uring_missing(void);

#endif
