/* Linux 5.14: one call in place of a fault per page; about a third of what the faults cost. */
#include "pages.h"

#include <stdint.h>
#include <sys/mman.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* Where they are larger, the call refuses and nothing is gained. */
enum { PAGE_BYTES = 4096 };

void sley__pages_wanted(void *ptr, size_t bytes)
{
    size_t before = (uintptr_t)ptr & (PAGE_BYTES - 1); /* the edges' pages, too: they hold bytes of ours */
    size_t all = (before + bytes + PAGE_BYTES - 1) & ~(size_t)(PAGE_BYTES - 1);
    /* An older kernel, or no memory left: the faults come as ever. */
    (void)madvise((char *)ptr - before, all, MADV_POPULATE_WRITE);
}
