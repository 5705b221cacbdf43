/* Joining many tasks, in both styles. */
#include "micro.h"

enum sley_step micro_join_frame(struct micro_join *f)
{
    int rc;
    SLEY_BEGIN(f);
    for (f->i = 0, f->sum = 0; f->i < f->count; f->i++) {
        SLEY_CALL(f, rc, sley_task_join, &f->op, f->tasks[f->i], &f->result);
        if (rc < 0 || f->result < 0) {
            SLEY_RETURN(f, rc < 0 ? rc : f->result);
        }
        f->sum += f->result;
        sley_task_unref(f->tasks[f->i]);
    }
    SLEY_END(f);
}

int micro_join_fiber(struct sley_task **tasks, uint32_t count, int64_t *ret_sum)
{
    int64_t sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        int result;
        const int rc = sley_task_join(tasks[i], &result);
        if (rc < 0 || result < 0) {
            return rc < 0 ? rc : result;
        }
        sum += result;
        sley_task_unref(tasks[i]);
    }
    if (ret_sum) {
        *ret_sum = sum;
    }
    return 0;
}
