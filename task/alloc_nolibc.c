/* A machine without malloc: memory comes from sley_alloc_pool_init. */
#include <sley/alloc.h>

int sley_alloc_libc_init(struct sley_alloc *a)
{
    (void)a;
    return -ENOTSUP;
}
