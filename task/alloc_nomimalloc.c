/* Stands in for alloc_mimalloc.c where mimalloc is missing or switched off, so that callers need no #ifdef. */
#include <errno.h>

#include <sley/alloc.h>

int sley_alloc_mimalloc_init(struct sley_alloc *a)
{
    return a == NULL ? -EINVAL : -ENOTSUP;
}
