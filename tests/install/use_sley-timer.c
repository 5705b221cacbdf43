/* A user of sley-timer alone: one timer that fires. */
#include <sley/wheel.h>

#include <stdio.h>

int main(void)
{
    static struct sley_wheel_slot slots[SLEY_WHEEL_SLOT_COUNT_DEFAULT];
    struct sley_wheel wheel;
    struct sley_wheel_node node = {0};
    if (sley_wheel_init(&wheel, NULL, slots, SLEY_WHEEL_SLOT_COUNT_DEFAULT, 0) != 0) {
        return 1;
    }
    sley_wheel_insert(&wheel, &node, 5 * SLEY_MS);
    sley_wheel_advance(&wheel, 10 * SLEY_MS);
    if (sley_wheel_pop(&wheel) != &node) {
        return 1;
    }
    puts("works");
    return 0;
}
