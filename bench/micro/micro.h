/* What the micro benchmarks share: one runtime, one style, a meter. Workloads are those of bench/peers, by the same names. */
#ifndef BENCH_MICRO_H
#define BENCH_MICRO_H

#include <stdint.h>

#include <sley/fiber.h>
#include <sley/frame.h>
#include <sley/runtime.h>

/** A started runtime and what was chosen on the command line. */
struct micro {
    struct sley_runtime rt;
    enum sley_task_style style;
    char assembly[64]; /* EXECUTOR+REACTOR+STYLE+WORKERS */
};

/** Makes one pass of @p n operations on the runtime. Returns: 0; a negative errno when anything came out wrong. */
typedef int (*micro_pass_fn)(struct micro *m, uint64_t n);

/** Runs a main task to its end: @p frame or @p fiber, as the style says; both take the same arguments. Returns its result. */
int micro_run(struct micro *m, const struct sley_task_type *frame, const struct sley_task_type *fiber, const void *args);

/** Wall and CPU time since it was started. */
struct micro_meter {
    double wall_ns, cpu_ns;
};
struct micro_meter micro_meter_start(void);
/** Prints the line of a benchmark: time since @p since, for @p n operations. */
void micro_meter_done(struct micro_meter since, const struct micro *m, const char *name, uint64_t n);

/** xorshift64*, seeded as the peers': the same delays for all. */
struct micro_random {
    uint64_t state;
};
/** 1 to 1000 ms, in ns. */
uint64_t micro_delay_ns(struct micro_random *r);

/** Joins tasks in turn and gives their handles back; a sub-frame, and the same for fibers. Result: 0, or the first error. */
struct micro_join {
    struct sley_frame frame;
    struct sley_task **tasks;
    uint32_t count, i;
    int64_t sum; /* of the results */
    int result;
    struct sley_task_join_op op;
};
enum sley_step micro_join_frame(struct micro_join *f);
int micro_join_fiber(struct sley_task **tasks, uint32_t count, int64_t *ret_sum);

/* spawn.c */
int micro_spawn_join(struct micro *m, uint64_t n);
int micro_chained_spawn(struct micro *m, uint64_t n);
int micro_skynet(struct micro *m, uint64_t n);
/* yield.c */
int micro_yield_1(struct micro *m, uint64_t n);
int micro_yield_1000(struct micro *m, uint64_t n);
/* switch.c */
int micro_fiber_switch(struct micro *m, uint64_t n);
/* channel.c */
int micro_ping_pong_chan(struct micro *m, uint64_t n);
int micro_mpsc_1p(struct micro *m, uint64_t n);
int micro_mpsc_4p(struct micro *m, uint64_t n);
int micro_cross_chan(struct micro *m, uint64_t n);
/* cross.c; these, and cross_chan, need two cores of `cores` */
int micro_cross_run_on(struct micro *m, uint64_t n);
int micro_cross_op(struct micro *m, uint64_t n);
/* oneshot.c */
int micro_ping_pong_oneshot(struct micro *m, uint64_t n);
/* timer.c */
int micro_timer_poll_drop(struct micro *m, uint64_t n);
int micro_timer_bulk(struct micro *m, uint64_t n);
int micro_timer_fire(struct micro *m, uint64_t n);
/* blocking.c */
int micro_blocking_seq(struct micro *m, uint64_t n);
int micro_blocking_100(struct micro *m, uint64_t n);
/* file.c */
int micro_file_cached(struct micro *m, uint64_t n);
int micro_file_direct(struct micro *m, uint64_t n);
/* memory.c */
int micro_mem_task(struct micro *m, uint64_t n);
int micro_mem_task_node(struct micro *m, uint64_t n);
int micro_mem_sleep(struct micro *m, uint64_t n);
int micro_mem_fiber(struct micro *m, uint64_t n);

#endif
