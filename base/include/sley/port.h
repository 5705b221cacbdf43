/* The three functions that a machine without an operating system supplies. */
#ifndef SLEY_PORT_H
#define SLEY_PORT_H

#include <sley/base.h>

SLEY_EXTERN_C_BEGIN

/** Now, in ns, monotonic. Called from tasks, not from interrupts. */
uint64_t sley_port_now_ns(void);
/** Called from interrupts and tasks when work was posted: makes the current or next sley_port_wait return (Cortex-M: SEV). */
void sley_port_ring(void);
/**
 * Sleeps until @p until_ns (SLEY_NEVER: no limit), a ring or any interrupt; may return early. An interrupt between the caller's
 * last look and the sleep must not be slept over (Cortex-M: WFE, not WFI).
 */
void sley_port_wait(uint64_t until_ns);

SLEY_EXTERN_C_END
#endif
