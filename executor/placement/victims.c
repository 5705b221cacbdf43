/* In which order a thief looks at the other workers: a function of the plan, the thief and a number. */
#include <sley/placement_impl.h>

static uint32_t near(const struct sley_plan *p, uint32_t a, uint32_t b)
{
    uint32_t level = SLEY_NEAR_CORE;
    while (level < SLEY_NEAR_MACHINE && (!p->seats || p->seats[a].near[level] != p->seats[b].near[level])) {
        level++;
    }
    return level;
}

static bool is_next(const struct sley_victims *v, uint32_t index)
{
    return index != v->thief && near(v->plan, v->thief, index) == v->near;
}

struct sley_victims sley_victims_of(const struct sley_plan *p, uint32_t thief, uint32_t dice)
{
    /* counts that go up by one, and thieves that have the same, are to be as good as random: murmur3's last step */
    dice ^= thief * UINT32_C(0x9e3779b9);
    dice = (dice ^ dice >> 16) * UINT32_C(0x85ebca6b);
    dice = (dice ^ dice >> 13) * UINT32_C(0xc2b2ae35);
    dice ^= dice >> 16;
    /* the level before the first one: the next call goes on to it */
    return (struct sley_victims){.plan = p, .thief = thief, .dice = dice, .near = (p->seats ? SLEY_NEAR_CORE : SLEY_NEAR_MACHINE) - 1u};
}

/** Goes on to those who are less near. Returns false when there are none. */
static bool next_class(struct sley_victims *v)
{
    if (v->near == SLEY_NEAR_MACHINE) {
        return false;
    }
    v->near++;
    for (uint32_t i = 0; i < v->plan->count; i++) {
        v->left += is_next(v, i);
    }
    if (v->left > 0) {
        v->at = 0;
        for (uint32_t before = v->dice % v->left; before > 0 || !is_next(v, v->at); v->at++) {
            before -= is_next(v, v->at);
        }
    }
    return true;
}

bool sley_victims_next(struct sley_victims *v, uint32_t *ret_index)
{
    while (v->left == 0) {
        if (!next_class(v)) {
            return false;
        }
    }
    while (!is_next(v, v->at)) {
        v->at = v->at + 1 < v->plan->count ? v->at + 1 : 0;
    }
    *ret_index = v->at;
    v->at = v->at + 1 < v->plan->count ? v->at + 1 : 0;
    v->left--;
    return true;
}
