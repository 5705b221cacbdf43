/* A fourth reactor, over select(2): its factory, for executors that are put together by hand. */
#ifndef REACTOR_SELECT_H
#define REACTOR_SELECT_H

#include <sley/reactor_impl.h>

extern const struct sley_reactor_factory reactor_select;

#endif
