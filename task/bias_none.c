/* Systems without membarrier, and ThreadSanitizer, which does not know that it orders anything: no lock leans.
 * (On bare machines locks are no locks at all: sync/lock_bare.c.) */
#include "bias.h"

bool sley__bias_register(void)
{
    return false;
}
