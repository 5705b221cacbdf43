/* For tests: checks the invariants that <sley/wheel.h> numbers, from the wheel's struct alone and with plain division, so
 * that it shares no arithmetic with wheel.c. Not a way to look into a wheel from other rooms. */
#ifndef SLEY_WHEEL_CHECK_H
#define SLEY_WHEEL_CHECK_H

#include <sley/wheel.h>

/* The tick at which a deadline expires; 2^63 for SLEY_NEVER, as in wheel.c. */
static inline uint64_t sley__wheel_tick(const struct sley_wheel *w, uint64_t deadline_ns)
{
    if (deadline_ns == SLEY_NEVER) {
        return UINT64_C(1) << 63;
    }
    return deadline_ns / w->tick_ns + (deadline_ns % w->tick_ns != 0);
}

/* The slot for a tick ahead of the current one: the highest base-S digit in which the two differ. */
static inline uint32_t sley__wheel_place(const struct sley_wheel *w, uint64_t tick)
{
    uint32_t per_level = 1u << w->digit_bits, level = 0, digit = 0;
    uint64_t a = w->tick, b = tick;
    for (uint32_t i = 0; a != b; i++) {
        level = i;
        digit = (uint32_t)(b % per_level);
        a /= per_level;
        b /= per_level;
    }
    return level < w->level_count ? level * per_level + digit : w->level_count * per_level;
}

/* Counts a list's links into @ret_count. False when next and prev disagree, or after @limit links (a loop). */
static inline bool sley__wheel_check_list(const struct sley_wheel_link *list, size_t limit, size_t *ret_count)
{
    size_t count = 0;
    for (const struct sley_wheel_link *l = list; count <= limit; l = l->next, count++) {
        if (l->next == NULL || l->next->prev != l) {
            return false;
        }
        if (l->next == list) {
            *ret_count = count;
            return true;
        }
    }
    return false;
}

/* NULL when the wheel is sound and holds @armed timers, else what is wrong. */
static inline const char *sley__wheel_check(const struct sley_wheel *w, size_t armed)
{
    size_t count, total = 0;
    const struct sley_wheel_link *passed[] = {&w->due, &w->late};
    for (size_t i = 0; i < 2; i++) {
        if (!sley__wheel_check_list(passed[i], armed, &count)) {
            return "the due or the late list is broken";
        }
        total += count;
        for (const struct sley_wheel_link *l = passed[i]->next; l != passed[i]; l = l->next) {
            const struct sley_wheel_node *node = (const struct sley_wheel_node *)(const void *)l;
            if (node->deadline_ns > w->now_ns) {
                return "a timer that has not expired is due or late";
            }
        }
    }
    for (uint32_t slot = 0; slot < SLEY__WHEEL_WORDS * 64; slot++) {
        if ((w->occupied[slot / 64] >> (slot % 64) & 1) == 0) {
            continue;
        }
        if (slot >= w->slot_count) {
            return "a bit is set for a slot that does not exist";
        }
        const struct sley_wheel_link *list = &w->slots[slot].list;
        if (!sley__wheel_check_list(list, armed, &count)) {
            return "a slot's list is broken (invariant 1)";
        }
        if (count == 0) {
            return "a bit is set for an empty slot (invariant 1)";
        }
        total += count;
        for (const struct sley_wheel_link *l = list->next; l != list; l = l->next) {
            uint64_t tick = sley__wheel_tick(w, ((const struct sley_wheel_node *)(const void *)l)->deadline_ns);
            if (tick <= w->tick || sley__wheel_place(w, tick) != slot) {
                return "a timer is in a slot that is not its own (invariants 2 and 4)";
            }
            if (slot == w->slot_count - 1 && tick < w->overflow_tick) {
                return "the overflow holds an earlier timer than it says (invariant 5)";
            }
        }
    }
    return total == armed ? NULL : "timers are missing, or there are too many (invariant 1)";
}

#endif
