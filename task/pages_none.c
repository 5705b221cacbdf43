/* Memory that is there, or comes by itself. */
#include "pages.h"

void sley__pages_wanted(void *ptr, size_t bytes)
{
    (void)ptr, (void)bytes;
}
