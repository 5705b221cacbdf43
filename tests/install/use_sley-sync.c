/* A user of sley-sync alone: a thread talks to itself over a typed channel and a oneshot. */
#include <sley/mpsc.h>
#include <sley/notify.h>
#include <sley/oneshot.h>

#include <stdio.h>

SLEY_MPSC_TYPE(numbers, int, 4)
SLEY_ONESHOT_TYPE(answer, int)

int main(void)
{
    static struct numbers numbers;
    struct answer answer;
    struct sley_notify changed = {0};
    int sum = 0;
    if (numbers_init(&numbers) != 0 || answer_init(&answer) != 0) {
        return 1;
    }
    for (int i = 1; i <= 3; i++) {
        if (numbers_send(&numbers, &i) != 0) {
            return 1;
        }
    }
    numbers_close(&numbers);
    for (int n; numbers_recv(&numbers, &n) == 1;) {
        sum += n;
    }
    sley_notify_set(&changed);
    if (answer_send(&answer, &sum) != 0 || answer_recv(&answer, &sum) != 1 || sley_notify_wait(&changed) != 0) {
        return 1;
    }
    numbers_fini(&numbers, NULL);
    answer_fini(&answer, NULL);
    sley_notify_fini(&changed);
    if (sum != 6) {
        return 1;
    }
    puts("works");
    return 0;
}
