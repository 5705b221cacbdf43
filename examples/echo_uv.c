/* Refers to the libuv reactor, so that the linker keeps its library: then the runtime knows --reactor uv. Built where libuv is. */
#include <sley/reactor_uv.h>

extern const struct sley_reactor_factory *const echo_reactor_uv;
const struct sley_reactor_factory *const echo_reactor_uv = &sley_reactor_uv;
