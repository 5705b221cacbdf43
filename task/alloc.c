/* What all allocators share: checking the table and letting go. */
#include "alloc_ops.h"

bool sley__alloc_valid(const struct sley_alloc *a)
{
    /* A newer version only appends slots, so a table from the future is as good as ours; 0 is one never filled in. */
    return a != NULL && a->ops != NULL && a->ops->version >= SLEY_ALLOC_VERSION && a->ops->alloc != NULL && a->ops->free != NULL;
}

void sley_alloc_fini(struct sley_alloc *a)
{
    if (a == NULL || a->ops == NULL) {
        return;
    }
    if (a->ops->fini != NULL) {
        a->ops->fini(a);
    }
    a->ops = NULL; /* a second fini finds nothing to do */
    a->heap = NULL;
}
