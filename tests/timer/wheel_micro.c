/* Intent: what the wheel's operations cost, and that nothing is lost at scale; a stress with arguments, not a test that
 * decides. `test-wheel-micro [TIMERS [STRIDE_BYTES [ROUNDS]]]`, CPU time per timer, the best of the rounds. */
#include <inttypes.h>
#include <sley/wheel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct sley_wheel wheel;
static struct sley_wheel_slot slots[SLEY_WHEEL_SLOT_COUNT_DEFAULT];
static char *memory;
static size_t stride;
static size_t timer_count;
static uint64_t *deadlines;

static struct sley_wheel_node *timer_at(size_t i)
{
    return (struct sley_wheel_node *)(void *)(memory + i * stride);
}

static double cpu_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static void fill(uint64_t from_ns, uint64_t range_ns)
{
    uint64_t x = UINT64_C(0x9e3779b97f4a7c15);
    for (size_t i = 0; i < timer_count; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        deadlines[i] = from_ns + x % range_ns;
    }
}

static void insert_all(void)
{
    for (size_t i = 0; i < timer_count; i++) {
        sley_wheel_insert(&wheel, timer_at(i), deadlines[i]);
    }
}

static void bulk(double *ret_insert, double *ret_remove)
{
    double t0 = cpu_ns();
    insert_all();
    double t1 = cpu_ns();
    for (size_t i = 0; i < timer_count; i++) {
        sley_wheel_remove(&wheel, timer_at(i));
    }
    double t2 = cpu_ns();
    *ret_insert = (t1 - t0) / (double)timer_count;
    *ret_remove = (t2 - t1) / (double)timer_count;
}

static double fire(uint64_t now_ns, size_t *ret_fired)
{
    insert_all();
    size_t fired = 0;
    double t0 = cpu_ns();
    for (uint64_t next; (next = sley_wheel_next(&wheel)) != SLEY_NEVER;) {
        now_ns = next != 0 ? next : now_ns;
        sley_wheel_advance(&wheel, now_ns);
        while (sley_wheel_pop(&wheel) != NULL) {
            fired++;
        }
    }
    *ret_fired = fired;
    return (cpu_ns() - t0) / (double)timer_count;
}

static double one_alone(void)
{
    double t0 = cpu_ns();
    for (size_t i = 0; i < timer_count; i++) {
        sley_wheel_insert(&wheel, timer_at(0), deadlines[i]);
        sley_wheel_remove(&wheel, timer_at(0));
    }
    return (cpu_ns() - t0) / (double)timer_count;
}

static double init_cost(void)
{
    enum { TIMES = 100000 };
    double t0 = cpu_ns();
    for (int i = 0; i < TIMES; i++) {
        if (sley_wheel_init(&wheel, NULL, slots, SLEY_WHEEL_SLOT_COUNT_DEFAULT, (uint64_t)i * SLEY_MS) != 0) {
            abort();
        }
    }
    return (cpu_ns() - t0) / TIMES;
}

static void keep_least(double *least, double value)
{
    *least = value < *least ? value : *least;
}

int main(int argc, char **argv)
{
    timer_count = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
    stride = argc > 2 ? strtoull(argv[2], NULL, 10) : 128;
    int rounds = argc > 3 ? atoi(argv[3]) : 5;
    if (timer_count == 0 || stride < sizeof(struct sley_wheel_node) || stride % 8 != 0 || rounds < 1) {
        fprintf(stderr, "usage: %s [TIMERS > 0 [STRIDE_BYTES >= 24, by 8 [ROUNDS > 0]]]\n", argv[0]);
        return 2;
    }
    memory = malloc(timer_count * stride);
    deadlines = malloc(timer_count * sizeof(*deadlines));
    if (memory == NULL || deadlines == NULL) {
        fprintf(stderr, "no memory for %zu timers\n", timer_count);
        return 1;
    }
    memset(memory, 0, timer_count * stride);
    double init = init_cost();
    double insert = 1e9, removal = 1e9, bulk_sum = 1e9, alone = 1e9, expiry = 1e9;
    for (int round = 0; round < rounds; round++) {
        uint64_t now_ns = 123456789 * SLEY_US + (uint64_t)round * SLEY_S;
        double a, b;
        size_t fired;
        if (sley_wheel_init(&wheel, NULL, slots, SLEY_WHEEL_SLOT_COUNT_DEFAULT, now_ns) != 0) {
            return 1;
        }
        fill(now_ns + 600 * SLEY_S, SLEY_S);
        bulk(&a, &b);
        keep_least(&insert, a);
        keep_least(&removal, b);
        keep_least(&bulk_sum, a + b);
        keep_least(&alone, one_alone());
        fill(now_ns + SLEY_MS, 999 * SLEY_MS);
        keep_least(&expiry, fire(now_ns, &fired));
        if (fired != timer_count || !sley_wheel_empty(&wheel)) {
            fprintf(stderr, "lost timers: %zu of %zu fired\n", fired, timer_count);
            return 1;
        }
    }
    printf("timers=%zu stride=%zu init=%.1f insert=%.2f remove=%.2f insert+remove=%.2f alone=%.2f "
           "expiry=%.1f ns\n",
           timer_count, stride, init, insert, removal, bulk_sum, alone, expiry);
    free(deadlines);
    free(memory);
    return 0;
}
