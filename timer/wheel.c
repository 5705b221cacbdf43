/* The wheel itself; its shape and invariants, by number, are in <sley/wheel.h>. */
#include <errno.h>
#include <sley/wheel.h>

enum {
    DEFAULT_SLOTS_PER_LEVEL = 64,
    DIGIT_SHIFT = 10, /* of digit_reciprocal */
    WORD_BITS = 64,
};

#define DEFAULT_TICK_NS SLEY_MS
#define MIN_TICK_NS SLEY_US
#define SPAN_NS (UINT64_C(2) * 366 * 24 * 3600 * SLEY_S)
/* The tick of SLEY_NEVER: above the 55 bits of any real tick, and so in the overflow whatever the levels are, since
 * digit 63 / digit_bits is beyond the most levels that parse_opts() admits. */
#define TICK_NEVER (UINT64_C(1) << 63)

/* ---- arithmetic ---- */

#ifdef __SIZEOF_INT128__
__extension__ typedef unsigned __int128 wide;

SLEY_INLINE uint64_t mul_high(uint64_t a, uint64_t b)
{
    return (uint64_t)(((wide)a * b) >> 64);
}
#else
SLEY_INLINE uint64_t mul_high(uint64_t a, uint64_t b)
{
    uint64_t a_lo = (uint32_t)a, a_hi = a >> 32, b_lo = (uint32_t)b, b_hi = b >> 32;
    uint64_t mid = a_hi * b_lo + ((a_lo * b_lo) >> 32); /* at most (2^32-1)^2 + 2^32-1 < 2^64 */
    uint64_t low = a_lo * b_hi + (uint32_t)mid;         /* the same bound */
    return a_hi * b_hi + (mid >> 32) + (low >> 32);
}
#endif

/* Division by d = tick_ns, exact for every 64-bit n. Let N = 2^64 and m = reciprocal = floor((N - 1) / d).
 * floor((N - 1) / d) = ceil(N / d) - 1 lies in [N/d - 1, N/d). Hence n*m/N <= n/d, and n*m/N >= n/d - n/N > n/d - 1.
 * So e = floor(n*m/N) is q = floor(n/d) or q - 1, and r = n - e*d is n mod d or that plus d, below 2d: where r stands
 * against d tells the two apart. Nothing overflows: e*d <= n, and d < 2^63 makes r < N. */
SLEY_INLINE uint64_t tick_floor(const struct sley_wheel *w, uint64_t ns)
{
    uint64_t e = mul_high(ns, w->reciprocal);
    return e + (ns - e * w->tick_ns >= w->tick_ns);
}

/* Rounded up: with r = n mod d, one more unless that is 0; with r = n mod d + d, two more unless r is d. */
SLEY_INLINE uint64_t tick_ceil(const struct sley_wheel *w, uint64_t ns)
{
    uint64_t e = mul_high(ns, w->reciprocal);
    uint64_t r = ns - e * w->tick_ns;
    return e + (r > 0) + (r > w->tick_ns);
}

SLEY_INLINE uint64_t deadline_tick(const struct sley_wheel *w, uint64_t deadline_ns)
{
    return SLEY_LIKELY(deadline_ns != SLEY_NEVER) ? tick_ceil(w, deadline_ns) : TICK_NEVER;
}

SLEY_INLINE uint32_t digit_mask(const struct sley_wheel *w)
{
    return (1u << w->digit_bits) - 1;
}

SLEY_INLINE uint32_t overflow_slot(const struct sley_wheel *w)
{
    return w->slot_count - 1;
}

/* The highest digit in which a tick ahead differs from the current one. */
SLEY_INLINE uint32_t level_of(const struct sley_wheel *w, uint64_t tick)
{
    /* bit / digit_bits by a multiplication: the reciprocal, rounded up, is too large by less than
     * 1/1024, so the product by less than 63/1024, and a quotient that is not whole lacks at least
     * 1/6 to the next integer. */
    uint32_t bit = 63 - (uint32_t)__builtin_clzll(w->tick ^ tick);
    return (bit * w->digit_reciprocal) >> DIGIT_SHIFT;
}

/* The first tick of an occupied slot. Shifts stay below 64: level_count * digit_bits is at most 60. */
static uint64_t slot_begin(const struct sley_wheel *w, uint32_t slot)
{
    if (slot == overflow_slot(w)) {
        uint32_t span_bits = (uint32_t)w->level_count * w->digit_bits;
        return w->overflow_tick >> span_bits << span_bits;
    }
    uint32_t shift = (slot >> w->digit_bits) * w->digit_bits;
    uint64_t digit = slot & digit_mask(w);
    uint32_t above = shift + w->digit_bits;
    return (w->tick >> above << above) | (digit << shift);
}

/* ---- lists and bits ---- */

SLEY_INLINE void list_init(struct sley_wheel_link *list)
{
    list->next = list;
    list->prev = list;
}

SLEY_INLINE void list_append(struct sley_wheel_link *list, struct sley_wheel_link *link)
{
    struct sley_wheel_link *last = list->prev;
    link->next = list;
    link->prev = last;
    last->next = link;
    list->prev = link;
}

/* Appends all of @from, which is not empty, to @to; @from is left as it is. */
SLEY_INLINE void list_join(struct sley_wheel_link *to, const struct sley_wheel_link *from)
{
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
}

/* Brings a list into the cache. It is a chain of misses, each waiting for the one before, so it is
 * walked from both ends at the same time, which halves the wait; where all is there already it costs
 * some 2 ns a timer. With cascade()'s second walk: 1M timers, 128 bytes apart, expire in 205 ns each
 * instead of 285, 100,000 in 50 instead of 100. */
static void list_fetch(const struct sley_wheel_link *list)
{
    const struct sley_wheel_link *front = list->next;
    const struct sley_wheel_link *back = list->prev;
    while (front != back && front->next != back) {
        front = front->next;
        back = back->prev;
        __builtin_prefetch(front, 1); /* without an effect in it the loop might be dropped */
    }
}

SLEY_INLINE uint64_t slot_bit(uint32_t slot)
{
    return UINT64_C(1) << (slot % WORD_BITS);
}

/* The occupied slot that begins first (invariant 4); slot_count when there is none. */
static uint32_t first_slot(const struct sley_wheel *w)
{
    for (uint32_t i = 0; i < SLEY__WHEEL_WORDS; i++) {
        if (w->occupied[i] != 0) {
            return i * WORD_BITS + (uint32_t)__builtin_ctzll(w->occupied[i]);
        }
    }
    return w->slot_count;
}

SLEY_INLINE void slot_append(struct sley_wheel *w, uint32_t slot, struct sley_wheel_link *link)
{
    struct sley_wheel_link *list = &w->slots[slot].list;
    uint64_t *word = &w->occupied[slot / WORD_BITS];
    if ((*word & slot_bit(slot)) == 0) {
        *word |= slot_bit(slot); /* it was empty, and the links in it mean nothing */
        list_init(list);
    }
    list_append(list, link);
}

/* Rare, so kept out of the way of the others. */
static SLEY_NOINLINE void overflow_append(struct sley_wheel *w, struct sley_wheel_link *link, uint64_t tick)
{
    uint32_t slot = overflow_slot(w);
    bool occupied = (w->occupied[slot / WORD_BITS] & slot_bit(slot)) != 0;
    if (!occupied || tick < w->overflow_tick) {
        w->overflow_tick = tick;
    }
    slot_append(w, slot, link);
}

/* Links a timer into the slot of a tick that lies ahead (invariant 2). */
SLEY_INLINE void link_ahead(struct sley_wheel *w, struct sley_wheel_link *link, uint64_t tick)
{
    uint32_t level = level_of(w, tick);
    if (SLEY_UNLIKELY(level >= w->level_count)) {
        overflow_append(w, link, tick);
        return;
    }
    uint32_t digit = (uint32_t)(tick >> (level * w->digit_bits)) & digit_mask(w);
    slot_append(w, (level << w->digit_bits) | digit, link);
}

/* ---- options ---- */

/* The shape that the options come to; level_count is asked for, or wished for when they leave it open. */
static int parse_opts(const struct sley_wheel_opts *o, struct sley_wheel *ret_shape)
{
    static const struct sley_wheel_opts defaults;
    o = o != NULL ? o : &defaults;
    uint64_t tick_ns = o->tick_ns != 0 ? o->tick_ns : DEFAULT_TICK_NS;
    uint32_t per_level = o->slots_per_level != 0 ? o->slots_per_level : DEFAULT_SLOTS_PER_LEVEL;
    if (tick_ns < MIN_TICK_NS || tick_ns > UINT64_MAX / 2 || per_level < 4 || per_level > 64 || (per_level & (per_level - 1)) != 0) {
        return -EINVAL;
    }
    uint32_t digit_bits = (uint32_t)__builtin_ctz(per_level);
    uint64_t span_ticks = SPAN_NS / tick_ns;
    uint32_t span_bits = span_ticks != 0 ? 64 - (uint32_t)__builtin_clzll(span_ticks) : 1;
    uint32_t level_max = (SLEY__WHEEL_TICK_BITS + digit_bits - 1) / digit_bits;
    if (o->level_count > level_max) {
        return -EINVAL;
    }
    ret_shape->tick_ns = tick_ns;
    ret_shape->digit_bits = (uint8_t)digit_bits;
    ret_shape->level_count = (uint8_t)(o->level_count != 0 ? o->level_count : (span_bits + digit_bits - 1) / digit_bits);
    return 0;
}

size_t sley_wheel_slot_count(const struct sley_wheel_opts *o)
{
    struct sley_wheel shape;
    return parse_opts(o, &shape) == 0 ? SLEY_WHEEL_SLOT_COUNT(shape.level_count, 1u << shape.digit_bits) : 0;
}

int sley_wheel_init(struct sley_wheel *w, const struct sley_wheel_opts *o, struct sley_wheel_slot *slots, size_t slot_count,
                    uint64_t now_ns)
{
    struct sley_wheel n = {.now_ns = now_ns, .slots = slots};
    if (w == NULL || slots == NULL || slot_count == 0 || parse_opts(o, &n) != 0) {
        return -EINVAL;
    }
    const size_t levels_given = (slot_count - 1) >> n.digit_bits;
    if (levels_given < (o != NULL && o->level_count != 0 ? n.level_count : 1u)) {
        return -EINVAL;
    }
    n.level_count = levels_given < n.level_count ? (uint8_t)levels_given : n.level_count;
    n.reciprocal = UINT64_MAX / n.tick_ns;
    n.digit_reciprocal = (uint16_t)(((1u << DIGIT_SHIFT) + n.digit_bits - 1) / n.digit_bits);
    n.slot_count = (uint32_t)SLEY_WHEEL_SLOT_COUNT(n.level_count, 1u << n.digit_bits);
    n.tick = now_ns != SLEY_NEVER ? tick_floor(&n, now_ns) : TICK_NEVER;
    *w = n;
    list_init(&w->due);
    list_init(&w->late);
    return 0;
}

/* ---- timers ---- */

void sley_wheel_insert(struct sley_wheel *w, struct sley_wheel_node *node, uint64_t deadline_ns)
{
    node->deadline_ns = deadline_ns;
    if (SLEY_UNLIKELY(deadline_ns <= w->now_ns)) {
        list_append(&w->late, &node->link);
    } else { /* deadline > now >= tick * tick_ns, so that the deadline's tick, rounded up, is ahead */
        link_ahead(w, &node->link, deadline_tick(w, deadline_ns));
    }
}

void sley_wheel_remove(struct sley_wheel *w, struct sley_wheel_node *node)
{
    struct sley_wheel_link *next = node->link.next;
    struct sley_wheel_link *prev = node->link.prev;
    if (next == NULL) {
        return;
    }
    next->prev = prev;
    prev->next = next;
    node->link.next = NULL;
    node->link.prev = NULL;
    if (next == prev) {
        /* It was alone, so both are the list's head. A slot's bit goes out at once: sley_wheel_next() must not wake
         * anybody up for nothing. The heads of due and late lie outside of the slots and have no bit. */
        size_t slot = ((uintptr_t)next - (uintptr_t)w->slots) / sizeof(struct sley_wheel_slot);
        if (slot < w->slot_count) {
            w->occupied[slot / WORD_BITS] &= ~slot_bit((uint32_t)slot);
        }
    }
}

void sley_wheel_reset(struct sley_wheel *w, struct sley_wheel_node *node, uint64_t deadline_ns)
{
    sley_wheel_remove(w, node);
    sley_wheel_insert(w, node, deadline_ns);
}

/* Empties a slot that has just begun into the levels below it, the due list, or (part of the overflow) itself. At this
 * moment the levels below are empty: their timers all lay before this slot. So order within a tick is kept. */
static void cascade(struct sley_wheel *w, uint32_t slot)
{
    struct sley_wheel_link *list = &w->slots[slot].list;
    struct sley_wheel_link *next;
    /* The second walk is list_fetch()'s, done on the way: the first one waits for memory anyway. Past
     * the middle it reads links that have been placed already, in cache and as valid as any. */
    const struct sley_wheel_link *scout = list;
    for (struct sley_wheel_link *link = list->next; link != list; link = next) {
        next = link->next;
        scout = scout->prev;
        __builtin_prefetch(scout);
        struct sley_wheel_node *node = sley_container_of(link, struct sley_wheel_node, link);
        uint64_t tick = deadline_tick(w, node->deadline_ns);
        if (tick == w->tick) {
            list_append(&w->due, link);
        } else {
            link_ahead(w, link, tick);
        }
    }
}

void sley_wheel_advance(struct sley_wheel *w, uint64_t now_ns)
{
    if (w->late.next != &w->late) {
        list_join(&w->due, &w->late);
        list_init(&w->late);
    }
    if (now_ns <= w->now_ns) {
        return;
    }
    w->now_ns = now_ns;
    uint64_t now = now_ns != SLEY_NEVER ? tick_floor(w, now_ns) : TICK_NEVER;
    for (;;) {
        uint32_t slot = first_slot(w);
        if (slot == w->slot_count) {
            break;
        }
        uint64_t begin = slot_begin(w, slot);
        if (begin > now) {
            break;
        }
        w->tick = begin;
        w->occupied[slot / WORD_BITS] &= ~slot_bit(slot);
        if (slot >> w->digit_bits == 0) {
            list_fetch(&w->slots[slot].list);
            list_join(&w->due, &w->slots[slot].list); /* one tick, so all of it */
        } else {
            cascade(w, slot);
        }
    }
    /* What is left begins later, and its digits above its level are still the current ones, which
     * have not changed without a slot beginning: invariant 2 holds. */
    w->tick = now;
}

struct sley_wheel_node *sley_wheel_pop(struct sley_wheel *w)
{
    struct sley_wheel_link *link = w->due.next;
    if (link == &w->due) {
        return NULL;
    }
    struct sley_wheel_link *next = link->next;
    w->due.next = next;
    next->prev = &w->due;
    link->next = NULL;
    link->prev = NULL;
    return sley_container_of(link, struct sley_wheel_node, link);
}

/* ---- looking ---- */

uint64_t sley_wheel_next(const struct sley_wheel *w)
{
    if (w->due.next != &w->due || w->late.next != &w->late) {
        return 0;
    }
    uint32_t slot = first_slot(w);
    if (slot == w->slot_count) {
        return SLEY_NEVER;
    }
    uint64_t begin = slot_begin(w, slot);
    return begin <= w->reciprocal ? begin * w->tick_ns : SLEY_NEVER;
}

bool sley_wheel_empty(const struct sley_wheel *w)
{
    uint64_t any = 0; /* executors ask before every look at the clock: no search */
    for (uint32_t i = 0; i < SLEY__WHEEL_WORDS; i++) {
        any |= w->occupied[i];
    }
    return any == 0 && w->due.next == &w->due && w->late.next == &w->late;
}
