/* Intent: each promise of <sley/wheel.h> by itself, at the boundaries where wheels go wrong. test_wheel_model.c mixes them. */
#include "harness.h"
#include "timer/wheel_check.h"

#include <errno.h>
#include <string.h>

enum { MAX_SLOTS = SLEY_WHEEL_SLOT_COUNT(10, 64) };
static const uint64_t year_ns = UINT64_C(365) * 24 * 3600 * SLEY_S;

static struct sley_wheel wheel;
static struct sley_wheel_slot slots[MAX_SLOTS];

static void start(uint64_t tick_ns, uint32_t slots_per_level, uint64_t now_ns)
{
    struct sley_wheel_opts o = {.tick_ns = tick_ns, .slots_per_level = slots_per_level};
    memset(slots, 0xa5, sizeof(slots)); /* must not matter */
    CHECK_RC(sley_wheel_init(&wheel, &o, slots, MAX_SLOTS, now_ns), 0);
}

static void check_sound(size_t armed)
{
    const char *wrong = sley__wheel_check(&wheel, armed);
    CHECK_STR(wrong != NULL ? wrong : "sound", "sound");
    CHECK(sley_wheel_empty(&wheel) == (armed == 0));
}

static struct sley_wheel_node *at(uint64_t now_ns)
{
    sley_wheel_advance(&wheel, now_ns);
    return sley_wheel_pop(&wheel);
}

/* ---- options ---- */

SLEY_TEST(init_bad_options_are_refused, "")
{
    static const struct sley_wheel_opts bad[] = {
        {.tick_ns = 1},          {.tick_ns = 999},         {.tick_ns = UINT64_MAX}, {.slots_per_level = 2},
        {.slots_per_level = 63}, {.slots_per_level = 128}, {.level_count = 11},     {.slots_per_level = 4, .level_count = 29},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK_RC(sley_wheel_init(&wheel, &bad[i], slots, MAX_SLOTS, 0), -EINVAL);
        CHECK_UINT(sley_wheel_slot_count(&bad[i]), ==, 0);
    }
    struct sley_wheel_opts three = {.level_count = 3};
    CHECK_RC(sley_wheel_init(NULL, NULL, slots, MAX_SLOTS, 0), -EINVAL);
    CHECK_RC(sley_wheel_init(&wheel, NULL, NULL, MAX_SLOTS, 0), -EINVAL);
    CHECK_RC(sley_wheel_init(&wheel, NULL, slots, 0, 0), -EINVAL);
    CHECK_RC(sley_wheel_init(&wheel, NULL, slots, 64, 0), -EINVAL);
    CHECK_RC(sley_wheel_init(&wheel, NULL, slots, 65, 0), 0);
    CHECK_RC(sley_wheel_init(&wheel, &three, slots, SLEY_WHEEL_SLOT_COUNT(3, 64) - 1, 0), -EINVAL);
    CHECK_RC(sley_wheel_init(&wheel, &three, slots, SLEY_WHEEL_SLOT_COUNT(3, 64), 0), 0);
}

SLEY_TEST(init_default_levels_span_two_years, "")
{
    CHECK_UINT(sley_wheel_slot_count(NULL), ==, SLEY_WHEEL_SLOT_COUNT_DEFAULT);
    for (uint64_t tick_ns = SLEY_US; tick_ns <= SLEY_S; tick_ns = tick_ns * 7 / 2) {
        for (uint32_t per_level = 4; per_level <= 64; per_level *= 2) {
            start(tick_ns, per_level, 0);
            struct sley_wheel_opts o = {.tick_ns = tick_ns, .slots_per_level = per_level};
            CHECK_UINT(sley_wheel_slot_count(&o), ==, SLEY_WHEEL_SLOT_COUNT(wheel.level_count, per_level));
            CHECK_UINT(sley__wheel_place(&wheel, 2 * year_ns / tick_ns), <, wheel.slot_count - 1);
        }
    }
    harness_note("sizeof: node %zu, slot %zu, wheel %zu", sizeof(struct sley_wheel_node), sizeof(struct sley_wheel_slot),
                 sizeof(struct sley_wheel));
}

/* ---- when timers fire ---- */

SLEY_TEST(deadline_of_1ms_and_1ns_fires_at_the_second_tick, "TIMER-01")
{
    struct sley_wheel_node node = {0};
    start(SLEY_MS, 64, 0);
    sley_wheel_insert(&wheel, &node, SLEY_MS + 1);
    CHECK_UINT(sley_wheel_next(&wheel), ==, 2 * SLEY_MS);
    CHECK(at(SLEY_MS) == NULL);
    CHECK(at(SLEY_MS + 1) == NULL);
    CHECK(at(2 * SLEY_MS - 1) == NULL);
    CHECK_PTR(at(2 * SLEY_MS), ==, &node);
    sley_wheel_insert(&wheel, &node, 3 * SLEY_MS); /* on the tick: not one later */
    CHECK(at(3 * SLEY_MS - 1) == NULL);
    CHECK_PTR(at(3 * SLEY_MS), ==, &node);
}

SLEY_TEST(past_deadline_is_due_at_the_next_advance, "TIMER-02")
{
    struct sley_wheel_node nodes[3] = {0};
    start(SLEY_MS, 64, 1000 * SLEY_MS + 400);
    sley_wheel_insert(&wheel, &nodes[0], 1000 * SLEY_MS);
    sley_wheel_insert(&wheel, &nodes[1], 5);
    sley_wheel_insert(&wheel, &nodes[2], 0);
    check_sound(3);
    CHECK_UINT(sley_wheel_next(&wheel), ==, 0);
    CHECK(sley_wheel_pop(&wheel) == NULL);
    CHECK_PTR(at(1000 * SLEY_MS + 400), ==, &nodes[0]);
    CHECK_UINT(sley_wheel_next(&wheel), ==, 0);
    CHECK_PTR(sley_wheel_pop(&wheel), ==, &nodes[1]);
    CHECK_PTR(sley_wheel_pop(&wheel), ==, &nodes[2]);
    CHECK_UINT(sley_wheel_next(&wheel), ==, SLEY_NEVER);
    check_sound(0);
}

SLEY_TEST(deadlines_of_1024_ticks_fire_each_in_its_own, "TIMER-03")
{
    static struct sley_wheel_node nodes[1025];
    for (uint32_t per_level = 4; per_level <= 64; per_level *= 2) {
        start(SLEY_MS, per_level, 0);
        for (size_t i = 1; i <= 1024; i++) {
            size_t n = i * 389 % 1025; /* 389 and 1025 have no common factor: every number once, mixed */
            sley_wheel_insert(&wheel, &nodes[n], n * SLEY_MS);
        }
        for (size_t i = 1; i <= 1024; i++) {
            CHECK(at(i * SLEY_MS - 1) == NULL);
            CHECK_PTR(at(i * SLEY_MS), ==, &nodes[i]);
            CHECK(sley_wheel_pop(&wheel) == NULL);
            check_sound(1024 - i);
        }
    }
}

SLEY_TEST(advance_twice_to_the_same_time_does_no_harm, "TIMER-04")
{
    static const uint64_t stops[] = {62, 192, 192, 191, 0, 192};
    struct sley_wheel_node node = {0};
    start(SLEY_MS, 64, 0);
    sley_wheel_insert(&wheel, &node, 193 * SLEY_MS);
    for (size_t i = 0; i < sizeof(stops) / sizeof(stops[0]); i++) { /* a clock that goes back, too */
        CHECK(at(stops[i] * SLEY_MS) == NULL);
        check_sound(1);
    }
    CHECK_UINT(sley_wheel_next(&wheel), ==, 193 * SLEY_MS);
    CHECK_PTR(at(193 * SLEY_MS), ==, &node);
}

SLEY_TEST(place_at_every_power_of_64_is_as_tabled, "TIMER-05")
{
    struct sley_wheel_node node = {0};
    for (uint32_t level = 0; level < 6; level++) {
        for (uint64_t digit = 1; digit < 64; digit++) {
            uint64_t first = digit << (6 * level), last = first + (UINT64_C(1) << (6 * level)) - 1;
            uint64_t ticks[] = {first - 1, first, first + 1, last, last + 1};
            uint32_t want[] = {level * 64 + (uint32_t)digit - 1, level * 64 + (uint32_t)digit, level * 64 + (uint32_t)digit,
                               level * 64 + (uint32_t)digit, level * 64 + (uint32_t)digit + 1};
            if (digit == 1) { /* one below a power is the last slot of the level below */
                want[0] = level > 0 ? level * 64 - 1 : 0;
            }
            if (level == 0) {
                want[2] = digit == 63 ? 65 : want[2] + 1;
            }
            if (digit == 63) { /* one above the last slot is slot 1 of the level above, or the overflow */
                want[4] = level < 5 ? (level + 1) * 64 + 1 : 6 * 64;
            }
            for (size_t i = 0; i < 5; i++) {
                if (ticks[i] == 0) {
                    continue;
                }
                start(SLEY_MS, 64, 0);
                sley_wheel_insert(&wheel, &node, ticks[i] * SLEY_MS);
                CHECK_UINT(wheel.occupied[want[i] / 64], ==, UINT64_C(1) << (want[i] % 64));
                check_sound(1);
                sley_wheel_remove(&wheel, &node);
                check_sound(0);
            }
        }
    }
}

SLEY_TEST(removed_by_the_handler_of_another_does_not_fire, "TIMER-06")
{
    struct sley_wheel_node a = {0}, b = {0};
    start(SLEY_MS, 64, 0);
    sley_wheel_insert(&wheel, &a, 64 * SLEY_MS);
    sley_wheel_insert(&wheel, &b, 64 * SLEY_MS);
    CHECK_PTR(at(80 * SLEY_MS), ==, &a);
    CHECK(sley_wheel_armed(&b) && !sley_wheel_armed(&a));
    sley_wheel_remove(&wheel, &b);
    CHECK(!sley_wheel_armed(&b));
    CHECK(sley_wheel_pop(&wheel) == NULL);
    check_sound(0);
    CHECK_UINT(sley_wheel_next(&wheel), ==, SLEY_NEVER);
}

SLEY_TEST(far_deadlines_are_armed_and_fire_in_order, "TIMER-07 TIMER-21")
{
    for (uint32_t per_level = 4; per_level <= 64; per_level *= 4) {
        for (uint64_t tick_ns = SLEY_US; tick_ns <= SLEY_S; tick_ns *= 1000) {
            struct sley_wheel_node n[6] = {0};
            start(tick_ns, per_level, 12345 * SLEY_S);
            sley_wheel_insert(&wheel, &n[5], SLEY_NEVER);
            sley_wheel_insert(&wheel, &n[4], SLEY_NEVER - 1);
            sley_wheel_insert(&wheel, &n[3], SLEY_NEVER - 1 - 2 * tick_ns);
            sley_wheel_insert(&wheel, &n[2], 12345 * SLEY_S + 5 * year_ns);
            sley_wheel_insert(&wheel, &n[1], 12345 * SLEY_S + 2 * year_ns);
            sley_wheel_insert(&wheel, &n[0], 12345 * SLEY_S + tick_ns);
            check_sound(6);
            for (size_t i = 0; i < 4; i++) {
                uint64_t tick = sley__wheel_tick(&wheel, n[i].deadline_ns);
                CHECK(at(tick * tick_ns - 1) == NULL);
                check_sound(6 - i);
                CHECK_PTR(at(tick * tick_ns), ==, &n[i]);
                CHECK(sley_wheel_pop(&wheel) == NULL);
            }
            CHECK_UINT(sley_wheel_next(&wheel), >, n[3].deadline_ns);
            CHECK_PTR(at(SLEY_NEVER), ==, &n[4]);
            CHECK_PTR(sley_wheel_pop(&wheel), ==, &n[5]);
            check_sound(0);
        }
    }
}

SLEY_TEST(never_alone_wakes_nobody, "TIMER-21")
{
    struct sley_wheel_node node = {0}, other = {0};
    start(SLEY_MS, 64, 7 * SLEY_S);
    sley_wheel_insert(&wheel, &node, SLEY_NEVER);
    CHECK_UINT(sley_wheel_next(&wheel), ==, SLEY_NEVER);
    sley_wheel_insert(&wheel, &other, 8 * SLEY_S);
    CHECK_UINT(sley_wheel_next(&wheel), <=, 8 * SLEY_S);
    CHECK_PTR(at(9 * SLEY_S), ==, &other);
    CHECK_UINT(sley_wheel_next(&wheel), ==, SLEY_NEVER);
    CHECK(!sley_wheel_empty(&wheel));
    CHECK(at(SLEY_NEVER - 1) == NULL);
    CHECK_PTR(at(SLEY_NEVER), ==, &node);
}

SLEY_TEST(jump_of_years_costs_no_steps, "TIMER-08")
{
    /* At 1 us ten years are 3e14 ticks: going through them, even at one a cycle, outlasts the time limit. */
    struct sley_wheel_node n[20] = {0};
    start(SLEY_US, 64, SLEY_S);
    for (size_t i = 0; i < 20; i++) { /* the latest first: two hours apart around one and around eleven years */
        uint64_t base = i < 10 ? 11 * year_ns : year_ns;
        sley_wheel_insert(&wheel, &n[i], base - i * 7200 * SLEY_S);
    }
    CHECK_PTR(at(SLEY_S + year_ns), ==, &n[19]);
    for (size_t i = 19; i-- > 10;) {
        CHECK_PTR(sley_wheel_pop(&wheel), ==, &n[i]);
    }
    CHECK(sley_wheel_pop(&wheel) == NULL);
    check_sound(10);
    sley_wheel_advance(&wheel, SLEY_S + 11 * year_ns);
    for (size_t i = 10; i-- > 0;) {
        CHECK_PTR(sley_wheel_pop(&wheel), ==, &n[i]);
    }
    CHECK(sley_wheel_pop(&wheel) == NULL);
    check_sound(0);
}

SLEY_TEST(reset_moves_both_ways, "TIMER-09")
{
    struct sley_wheel_node node = {0};
    start(SLEY_MS, 64, 0);
    sley_wheel_insert(&wheel, &node, SLEY_S);
    CHECK(at(SLEY_S / 2) == NULL);
    sley_wheel_reset(&wheel, &node, 2 * SLEY_S);
    CHECK_UINT(node.deadline_ns, ==, 2 * SLEY_S);
    CHECK(at(3 * SLEY_S / 2) == NULL);
    check_sound(1);
    CHECK_PTR(at(5 * SLEY_S / 2), ==, &node);
    sley_wheel_reset(&wheel, &node, 9 * SLEY_S); /* not armed: arms */
    sley_wheel_reset(&wheel, &node, 3 * SLEY_S);
    CHECK_PTR(at(3 * SLEY_S), ==, &node);
    sley_wheel_insert(&wheel, &node, 4 * SLEY_S);
    sley_wheel_advance(&wheel, 4 * SLEY_S);
    sley_wheel_reset(&wheel, &node, 5 * SLEY_S); /* due already, and taken back */
    CHECK(sley_wheel_pop(&wheel) == NULL);
    CHECK_PTR(at(5 * SLEY_S), ==, &node);
    check_sound(0);
}

SLEY_TEST(rearmed_after_firing_fires_again, "TIMER-10")
{
    struct sley_wheel_node node = {0};
    start(SLEY_MS, 64, 0);
    for (uint64_t i = 1; i <= 200; i++) {
        sley_wheel_insert(&wheel, &node, i * 37 * SLEY_MS);
        CHECK(at((i * 37 - 1) * SLEY_MS) == NULL);
        CHECK_PTR(at(i * 37 * SLEY_MS), ==, &node);
        CHECK(!sley_wheel_armed(&node));
        sley_wheel_remove(&wheel, &node); /* twice is nothing */
        sley_wheel_remove(&wheel, &node);
        CHECK(sley_wheel_pop(&wheel) == NULL);
    }
}

SLEY_TEST(equal_deadlines_fire_in_the_order_of_arming, "TIMER-13")
{
    /* All for one time, armed at different distances, so that they come down through different levels. */
    static struct sley_wheel_node nodes[400];
    for (uint32_t per_level = 4; per_level <= 64; per_level *= 4) {
        uint64_t deadline_ns = 300007 * SLEY_MS;
        start(SLEY_MS, per_level, 0);
        for (size_t i = 0; i < 400; i++) {
            sley_wheel_advance(&wheel, i * 752 * SLEY_MS);
            sley_wheel_insert(&wheel, &nodes[i], deadline_ns);
            check_sound(i + 1);
        }
        sley_wheel_reset(&wheel, &nodes[17], deadline_ns); /* arming anew: goes to the end */
        sley_wheel_advance(&wheel, deadline_ns);
        for (size_t i = 0; i < 400; i++) {
            if (i != 17) {
                CHECK_PTR(sley_wheel_pop(&wheel), ==, &nodes[i]);
            }
        }
        CHECK_PTR(sley_wheel_pop(&wheel), ==, &nodes[17]);
        CHECK(sley_wheel_pop(&wheel) == NULL);
    }
}

SLEY_TEST(zero_timer_that_rearms_fires_once_per_turn, "TIMER-14")
{
    struct sley_wheel_node zero = {0}, other = {0};
    unsigned fired = 0;
    start(SLEY_MS, 64, SLEY_S);
    sley_wheel_insert(&wheel, &zero, 0);
    sley_wheel_insert(&wheel, &other, SLEY_S + SLEY_MS);
    for (unsigned turn = 1; turn <= 10; turn++) {
        CHECK_UINT(sley_wheel_next(&wheel), ==, 0);
        sley_wheel_advance(&wheel, SLEY_S + turn * SLEY_MS / 4); /* four turns to a tick: time need not move */
        for (struct sley_wheel_node *n; (n = sley_wheel_pop(&wheel)) != NULL;) {
            if (n == &zero) {
                fired++;
                sley_wheel_insert(&wheel, &zero, SLEY_S + turn * SLEY_MS / 4);
            } else {
                CHECK_UINT(turn, ==, 4);
            }
        }
        CHECK_UINT(fired, ==, turn);
    }
    CHECK(!sley_wheel_armed(&other));
    sley_wheel_remove(&wheel, &zero);
    CHECK_UINT(sley_wheel_next(&wheel), ==, SLEY_NEVER);
}

SLEY_TEST(quarter_tick_advances_fire_at_the_fourth, "TIMER-20")
{
    struct sley_wheel_node node = {0};
    start(SLEY_MS, 64, 50 * SLEY_MS);
    sley_wheel_insert(&wheel, &node, 51 * SLEY_MS);
    for (uint64_t i = 1; i <= 3; i++) {
        CHECK(at(50 * SLEY_MS + i * SLEY_MS / 4) == NULL);
    }
    CHECK_PTR(at(51 * SLEY_MS), ==, &node);
}

SLEY_TEST(armed_for_now_between_ticks_waits_for_no_tick, "TIMER-02 TIMER-14")
{
    struct sley_wheel_node node = {0};
    start(SLEY_MS, 64, SLEY_S + 1);
    for (uint64_t ns = 1; ns < 100; ns++) {
        sley_wheel_insert(&wheel, &node, SLEY_S + ns);
        CHECK_UINT(sley_wheel_next(&wheel), ==, 0);
        CHECK_PTR(at(SLEY_S + ns + 1), ==, &node);
        CHECK(sley_wheel_pop(&wheel) == NULL);
    }
    sley_wheel_insert(&wheel, &node, SLEY_S + 101); /* 1 ns ahead does */
    CHECK(at(SLEY_S + 101) == NULL);
    CHECK_PTR(at(SLEY_S + SLEY_MS), ==, &node);
}

/* ---- the due list ---- */

SLEY_TEST(pop_stopped_early_goes_on_later, "")
{
    struct sley_wheel_node n[4] = {0};
    start(SLEY_MS, 64, 0);
    for (size_t i = 0; i < 3; i++) {
        sley_wheel_insert(&wheel, &n[i], (i + 1) * SLEY_MS);
    }
    CHECK_PTR(at(2 * SLEY_MS), ==, &n[0]);
    sley_wheel_insert(&wheel, &n[3], SLEY_MS);
    CHECK_UINT(sley_wheel_next(&wheel), ==, 0);
    CHECK_PTR(at(3 * SLEY_MS), ==, &n[1]); /* left over, then the late one, then what has expired since */
    CHECK_PTR(sley_wheel_pop(&wheel), ==, &n[3]);
    CHECK_PTR(sley_wheel_pop(&wheel), ==, &n[2]);
    check_sound(0);
}

SLEY_TEST(last_removal_leaves_nothing_to_wake_up_for, "")
{
    static struct sley_wheel_node nodes[300];
    start(SLEY_MS, 64, 99 * SLEY_S);
    for (uint64_t distance = 0; distance < 62; distance++) { /* every level, the overflow, the past */
        for (size_t i = 0; i < 300; i++) {
            sley_wheel_insert(&wheel, &nodes[i], 98 * SLEY_S + (UINT64_C(1) << distance) + (i << distance >> 8));
        }
        for (size_t i = 0; i < 300; i++) {
            CHECK_UINT(sley_wheel_next(&wheel), !=, SLEY_NEVER);
            sley_wheel_remove(&wheel, &nodes[i * 7 % 300]);
        }
        CHECK_UINT(sley_wheel_next(&wheel), ==, SLEY_NEVER);
        check_sound(0);
    }
}
