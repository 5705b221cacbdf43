/* Pages in advance: memory that is about to be written to. What the slab would like of the kernel. */
#ifndef SLEY_TASK_PAGES_H
#define SLEY_TASK_PAGES_H

#include <stddef.h>

/** Makes the pages of @p bytes at @p ptr, all of them writable, resident at once, in place of a fault for each. Only a wish. */
void sley__pages_wanted(void *ptr, size_t bytes);

#endif
