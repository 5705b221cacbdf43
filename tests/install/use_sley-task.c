/* A user of sley-task: an allocator, the plainest thing that needs the library. */
#include <sley/alloc.h>

#include <stdio.h>

int main(void)
{
    struct sley_alloc alloc;
    if (sley_alloc_libc_init(&alloc) != 0) {
        return 1;
    }
    void *block = alloc.ops->alloc(&alloc, 100, 8);
    if (block == NULL) {
        return 1;
    }
    alloc.ops->free(&alloc, block, 100);
    sley_alloc_fini(&alloc);
    puts("works");
    return 0;
}
