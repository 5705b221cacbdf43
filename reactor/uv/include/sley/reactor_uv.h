/* The libuv reactor: sley's readiness core over uv_poll_t, in a loop of its own or inside the application's. */
#ifndef SLEY_REACTOR_UV_H
#define SLEY_REACTOR_UV_H

#include <sley/attach.h>

SLEY_EXTERN_C_BEGIN

struct uv_loop_s;

/**
 * "uv": each reactor has a uv_loop_t of its own, which runs in its poll. For executors whose workers share no descriptors; one
 * worker of "stealing". A program that links sley-reactor-uv knows it by that name; where linkers drop libraries that nothing refers to, it
 * refers to this.
 */
SLEY_API extern const struct sley_reactor_factory sley_reactor_uv;

/**
 * The application's loop as the home of a runtime: `attach` of struct sley_runtime_opts. Tasks, uv handles and uv callbacks then
 * share the loop's thread, and the application calls uv_run in any mode; the loop turns the runtime by itself.
 *
 * - In tasks: all of libuv on @p loop, but uv_run. In uv callbacks: every sley call that does not wait (spawn, set, send, cancel).
 * - A task that has not ended keeps the loop alive; a runtime without tasks does not. A spawn from another thread does not prolong
 *   a loop that is about to end.
 * - A descriptor that sley has received from or sent to is closed by sley, or not used with a uv handle afterwards.
 * - sley_runtime_run, _stop and _fini (and an init that fails) turn the loop, with all that is in it, until they are done: not in its
 *   callbacks (-EDEADLK where that is known: in those of what is polled, and of some prepare and check handles).
 *   A uv_stop meanwhile ends one iteration, and not them. sley_runtime_turn and _fd are -ENOTSUP: the loop does it.
 * - After sley_runtime_fini nothing of sley is left in the loop: uv_loop_close is 0, as far as sley is concerned. Before it, handles that
 *   are not the application's are not to be closed (uv_walk finds them).
 *
 * Executors: those with a turn ("local", "shares"), on CLOCK_MONOTONIC. Several runtimes may be attached to one loop.
 * @p loop is initialised and outlives the runtime; NULL makes sley_runtime_init say -EINVAL. Thread: the loop's, as for init.
 */
SLEY_API struct sley_attach sley_reactor_uv_attach(struct uv_loop_s *loop);

SLEY_EXTERN_C_END
#endif
