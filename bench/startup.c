/* bench/startup: starts the runtime, runs one task, ends. Measured as a whole process. */
#include <sley/sley.h>

struct one {
    struct sley_frame frame;
};
static enum sley_step one_task(struct one *f)
{
    SLEY_RETURN(f, 0);
}
SLEY_FRAME(one_task, struct one)
SLEY_MAIN(one_task)
