/* Intent: the wheel against a model that any reader can check (an array, searched whole), random operations, every geometry;
 * and the two promises about numbers: division without dividing, and how often sley_wheel_next() wakes its caller. */
#include "harness.h"
#include "timer/wheel_check.h"

#include <string.h>

enum { TIMERS = 120, MAX_SLOTS = SLEY_WHEEL_SLOT_COUNT(28, 64) };

enum stage { IDLE, AHEAD, LATE, DUE };

struct model_timer {
    struct sley_wheel_node node; /* first: a popped node is its timer */
    enum stage stage;
    uint64_t tick;
    uint64_t order; /* of arming; once due, of coming due */
};

static struct sley_wheel wheel;
static struct sley_wheel_slot slots[MAX_SLOTS];
static struct model_timer timers[TIMERS];
static uint64_t now_ns;
static uint64_t order;
static size_t armed;

static const struct geometry {
    uint64_t tick_ns;
    uint32_t slots_per_level, level_count;
} geometries[] = {
    {0, 0, 0},        {SLEY_US, 64, 0}, {SLEY_US, 4, 0},       {SLEY_MS, 4, 0},        {SLEY_MS, 8, 0}, {1000003, 64, 0},
    {1000003, 4, 28}, {1023, 32, 11},   {4096, 16, 14},        {SLEY_MS, 4, 1},        {SLEY_MS, 4, 2}, {SLEY_US, 8, 3},
    {1000003, 64, 1}, {777777, 64, 2},  {1000 * SLEY_S, 8, 0}, {UINT64_MAX / 2, 4, 0},
};

static void begin(const struct geometry *g, uint64_t start_ns)
{
    struct sley_wheel_opts o = {g->tick_ns, g->slots_per_level, g->level_count};
    memset(slots, 0xa5, sizeof(slots));
    memset(timers, 0, sizeof(timers));
    CHECK_RC(sley_wheel_init(&wheel, &o, slots, MAX_SLOTS, start_ns), 0);
    now_ns = start_ns;
    armed = 0;
}

static uint64_t saturating_add(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* Any order of magnitude is as likely as any other. */
static uint64_t any_size(unsigned max_bits)
{
    return harness_rand() >> (64 - 1 - harness_rand_below(max_bits));
}

static uint64_t any_deadline(void)
{
    switch (harness_rand_below(16)) {
    case 0:
        return now_ns - harness_rand_below(now_ns / 2 + 1);
    case 1:
        return now_ns;
    case 2:
        return SLEY_NEVER - harness_rand_below(3) * wheel.tick_ns / 2;
    case 3:
    case 4:
    case 5: /* the same as another's, so that order among equals matters */
        return timers[harness_rand_below(TIMERS)].node.deadline_ns;
    case 6: { /* around a tick of many zero digits, where all levels turn over at the same time */
        uint64_t ticks = (now_ns / wheel.tick_ns >> 12 << 12) + (1u << 12);
        uint64_t base = ticks <= UINT64_MAX / wheel.tick_ns ? ticks * wheel.tick_ns : UINT64_MAX - 1;
        return saturating_add(base, harness_rand_below(3)) - 1;
    }
    case 7:
        return saturating_add(now_ns, any_size(63));
    default:
        return saturating_add(now_ns, any_size(40));
    }
}

/* ---- the model's side of each operation ---- */

static void model_arm(struct model_timer *t)
{
    t->tick = sley__wheel_tick(&wheel, t->node.deadline_ns);
    t->stage = t->node.deadline_ns <= now_ns ? LATE : AHEAD;
    t->order = order++;
}

static struct model_timer *model_first(enum stage stage, uint64_t max_tick)
{
    struct model_timer *first = NULL;
    for (size_t i = 0; i < TIMERS; i++) {
        struct model_timer *t = &timers[i];
        if (t->stage != stage || (stage == AHEAD && t->tick > max_tick)) {
            continue;
        }
        bool earlier = first == NULL || t->order < first->order;
        if (stage == AHEAD && first != NULL && t->tick != first->tick) {
            earlier = t->tick < first->tick;
        }
        first = earlier ? t : first;
    }
    return first;
}

static void model_advance(void)
{
    uint64_t tick = now_ns == SLEY_NEVER ? UINT64_MAX : now_ns / wheel.tick_ns;
    struct model_timer *t;
    while ((t = model_first(LATE, 0)) != NULL || (t = model_first(AHEAD, tick)) != NULL) {
        t->stage = DUE;
        t->order = order++;
    }
}

static uint64_t begin_of_tick(uint64_t tick)
{
    return tick > UINT64_MAX / wheel.tick_ns ? SLEY_NEVER : tick * wheel.tick_ns;
}

static void check_next(void)
{
    uint64_t next_ns = sley_wheel_next(&wheel);
    struct model_timer *t = model_first(AHEAD, UINT64_MAX);
    if (model_first(DUE, 0) != NULL || model_first(LATE, 0) != NULL) {
        CHECK_UINT(next_ns, ==, 0);
    } else if (t == NULL) {
        CHECK_UINT(next_ns, ==, SLEY_NEVER);
    } else {
        CHECK_UINT(next_ns, <=, begin_of_tick(t->tick));
        CHECK_UINT(next_ns, >, now_ns);
        if (t->tick >> wheel.digit_bits == wheel.tick >> wheel.digit_bits) {
            CHECK_UINT(next_ns, ==, begin_of_tick(t->tick));
        }
    }
}

/* ---- one operation on both ---- */

static void pop_one(void)
{
    struct sley_wheel_node *node = sley_wheel_pop(&wheel);
    struct model_timer *want = model_first(DUE, 0);
    CHECK_PTR(node, ==, want);
    if (want != NULL) {
        CHECK(!sley_wheel_armed(node));
        CHECK_UINT(node->deadline_ns, <=, now_ns);
        want->stage = IDLE;
        armed--;
    }
}

static void change_one(void)
{
    struct model_timer *t = &timers[harness_rand_below(TIMERS)];
    CHECK(sley_wheel_armed(&t->node) == (t->stage != IDLE));
    uint64_t deadline_ns = any_deadline();
    switch (harness_rand_below(4)) {
    case 0: /* once in four, so that some hundred are armed */
        sley_wheel_remove(&wheel, &t->node);
        armed -= t->stage != IDLE;
        t->stage = IDLE;
        return;
    case 1:
        sley_wheel_reset(&wheel, &t->node, deadline_ns);
        armed += t->stage == IDLE;
        model_arm(t);
        return;
    default:
        if (t->stage == IDLE) {
            sley_wheel_insert(&wheel, &t->node, deadline_ns);
            armed++;
            model_arm(t);
        }
    }
}

static void advance_some(void)
{
    uint64_t next_ns = sley_wheel_next(&wheel);
    uint64_t to_ns;
    switch (harness_rand_below(8)) {
    case 0:
        to_ns = now_ns - harness_rand_below(now_ns / 4 + 1); /* back */
        break;
    case 1:
    case 2:
    case 3:
        to_ns = next_ns != SLEY_NEVER ? next_ns : now_ns;
        break;
    case 4:
        to_ns = saturating_add(now_ns, any_size(56));
        break;
    default:
        to_ns = saturating_add(now_ns, any_size(32));
    }
    to_ns = to_ns < UINT64_MAX / 2 ? to_ns : now_ns; /* leaves room for the end of time to be far */
    sley_wheel_advance(&wheel, to_ns);
    now_ns = to_ns > now_ns ? to_ns : now_ns;
    model_advance();
}

static void run(const struct geometry *g, unsigned steps)
{
    begin(g, any_size(60));
    for (unsigned i = 0; i < steps; i++) {
        switch (harness_rand_below(8)) {
        case 0:
            advance_some();
            break;
        case 1:
        case 2:
            pop_one();
            break;
        default:
            change_one();
        }
        check_next();
        CHECK(sley_wheel_empty(&wheel) == (armed == 0));
        const char *wrong = sley__wheel_check(&wheel, armed);
        CHECK_STR(wrong != NULL ? wrong : "sound", "sound");
    }
    now_ns = SLEY_NEVER;
    sley_wheel_advance(&wheel, now_ns);
    model_advance();
    while (armed > 0) {
        pop_one();
    }
    pop_one();
    CHECK(sley_wheel_empty(&wheel));
}

SLEY_TEST_SECONDS(random_operations_match_the_model, "TIMER-03 TIMER-07 TIMER-08 TIMER-13", 60)
{
    unsigned steps = 30000 / harness_slowness();
    for (size_t g = 0; g < sizeof(geometries) / sizeof(geometries[0]); g++) {
        run(&geometries[g], steps / 2);
        run(&geometries[g], steps / 2);
    }
}

/* ---- numbers ---- */

/* Is the tick at which the wheel lets a timer go the one that division gives? Found from outside: one ns before, and at it. */
static void check_division(uint64_t tick_ns, uint64_t deadline_ns)
{
    struct geometry g = {tick_ns, 4, 0};
    uint64_t ceil = deadline_ns / tick_ns + (deadline_ns % tick_ns != 0);
    if (ceil < 2 || ceil > (UINT64_MAX - 1) / tick_ns) {
        return; /* that tick has no time, or the end of time's */
    }
    begin(&g, (ceil - 2) * tick_ns + harness_rand_below(tick_ns));
    CHECK_UINT(wheel.tick, ==, ceil - 2);
    sley_wheel_insert(&wheel, &timers[0].node, deadline_ns);
    sley_wheel_advance(&wheel, ceil * tick_ns - 1);
    CHECK_UINT(wheel.tick, ==, ceil - 1);
    CHECK(sley_wheel_pop(&wheel) == NULL);
    sley_wheel_advance(&wheel, ceil * tick_ns);
    CHECK_UINT(wheel.tick, ==, ceil);
    CHECK_PTR(sley_wheel_pop(&wheel), ==, &timers[0]);
}

SLEY_TEST(division_without_dividing_is_exact, "TIMER-01")
{
    for (unsigned i = 0; i < 20000 / harness_slowness(); i++) {
        uint64_t tick_ns = 1000 + any_size(62);
        switch (harness_rand_below(4)) {
        case 0:
            tick_ns = SLEY_US;
            break;
        case 1:
            tick_ns = SLEY_MS + harness_rand_below(5);
            break;
        case 2:
            tick_ns = UINT64_C(1024) << harness_rand_below(50);
            break;
        default:
            break;
        }
        tick_ns = tick_ns < UINT64_MAX / 2 ? tick_ns : UINT64_MAX / 2;
        uint64_t multiple = any_size(63) / tick_ns * tick_ns;
        uint64_t top = UINT64_MAX / tick_ns * tick_ns;
        for (uint64_t off = 0; off < 3; off++) {
            check_division(tick_ns, multiple + off - 1);
            check_division(tick_ns, top + off - 1);
            check_division(tick_ns, top - off * tick_ns + 1);
        }
        check_division(tick_ns, any_size(63));
    }
}

/* Sleeps until sley_wheel_next() says, over and over, until the wheel is empty. Counts the wake-ups that popped nothing. */
static unsigned sleep_through(void)
{
    unsigned extra = 0;
    for (uint64_t next_ns; (next_ns = sley_wheel_next(&wheel)) != SLEY_NEVER;) {
        CHECK_UINT(next_ns, >, now_ns);
        now_ns = next_ns;
        sley_wheel_advance(&wheel, now_ns);
        struct sley_wheel_node *node = sley_wheel_pop(&wheel);
        extra += node == NULL;
        for (; node != NULL; node = sley_wheel_pop(&wheel)) {
            struct model_timer *t = (struct model_timer *)(void *)node;
            CHECK_UINT(now_ns, ==, begin_of_tick(t->tick));
            t->stage = IDLE;
        }
    }
    CHECK(sley_wheel_empty(&wheel));
    return extra;
}

SLEY_TEST(sleeping_until_next_is_on_time_with_one_extra_wake_a_level, "TIMER-01")
{
    for (unsigned i = 0; i < 3000 / harness_slowness(); i++) {
        const struct geometry *g = &geometries[harness_rand_below(sizeof(geometries) / sizeof(geometries[0]))];
        if (g->tick_ns > SLEY_S) { /* ticks so long that few fit before the end of time */
            continue;
        }
        for (unsigned count = 1; count <= 16; count *= 4) {
            begin(g, any_size(55));
            for (unsigned n = 0; n < count; n++) {
                uint64_t deadline_ns = now_ns + 1 + any_size(60);
                sley_wheel_insert(&wheel, &timers[n].node, deadline_ns);
                model_arm(&timers[n]);
            }
            /* one for each level above the lowest, and one for the overflow: as many as there are levels */
            CHECK_UINT(sleep_through(), <=, count * wheel.level_count);
            for (unsigned n = 0; n < count; n++) {
                CHECK(timers[n].stage == IDLE);
            }
        }
    }
}

SLEY_TEST(sleeping_until_next_survives_removals, "")
{
    for (unsigned i = 0; i < 3000 / harness_slowness(); i++) {
        begin(&geometries[harness_rand_below(9)], any_size(55));
        for (unsigned n = 0; n < 32; n++) {
            sley_wheel_insert(&wheel, &timers[n].node, now_ns + 1 + any_size(50));
            model_arm(&timers[n]);
        }
        for (unsigned n = 0; n < 32; n++) {
            if (n % 8 != 0) {
                sley_wheel_remove(&wheel, &timers[n].node);
            }
        }
        CHECK_UINT(sleep_through(), <=, 4 * wheel.level_count); /* those removed wake nobody up */
    }
}
