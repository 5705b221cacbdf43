/* Hierarchical timer wheel over any clock: the caller says what time it is. No threads, no heap, no system calls.
 * For tasks that sleep see <sley/timer.h> in task/; this is the structure below it, usable on its own. */
#ifndef SLEY_WHEEL_H
#define SLEY_WHEEL_H

#include <sley/base.h>

SLEY_EXTERN_C_BEGIN

/* Shape. Time is cut into ticks of `tick_ns`, counted from the clock's zero. With S slots per level, the digits of a
 * tick number in base S say where a timer goes: its level is the highest digit in which its tick differs from the
 * current one, its slot is that digit. A slot is a circular list in the order of arming. Timers that differ above the
 * top level share one more slot, the overflow, which is the last one. One bitmap, lowest level first, says which slots
 * hold a timer. Two lists stand apart: `due`, expired and waiting for sley_wheel_pop, and `late`, armed with a deadline
 * that had passed already, which becomes due at the next sley_wheel_advance.
 *
 * Invariants, true between any two calls (timer/wheel_check.h tests each):
 *   1. bit i is set <=> slot i holds a timer; slots whose bit is clear are never read (so init does not touch them);
 *   2. for each timer in a slot: tick > current, and slot == place(current, tick);
 *   3. timers with the same tick are in the same list, in the order in which they were armed (from 2 and tail insertion);
 *   4. the lowest set bit is the slot that begins first, and nothing expires before it begins (a level holds no slot
 *      behind the current digit, since 2 says that its timers lie ahead in the same turn of that level);
 *   5. overflow_tick <= the tick of every timer in the overflow.
 *
 * Source: G. Varghese and A. Lauck, "Hashed and Hierarchical Timing Wheels" (1987), scheme 7, the hierarchical one;
 * placing by the highest differing digit is tokio's later form of it, bitmaps in place of stepping tick by tick are
 * tokio's and Linux's. Unlike Linux's (since 4.8) this wheel cascades, so far timers stay exact to a tick; unlike
 * tokio's its top level does not wrap, so that a lookup is one bit scan.
 *
 * Two threads must not be inside calls on one wheel at the same time: lock around all of them, or keep it to one. */

/** Two pointers of a list. */
struct sley_wheel_link {
    struct sley_wheel_link *next; /* private */
    struct sley_wheel_link *prev; /* private */
};

/**
 * One timer: intrusive, in the caller's object; zeroed means "not armed".
 * Must not move while armed, which it is until popped or removed. 24 bytes on 64-bit machines.
 */
struct sley_wheel_node {
    struct sley_wheel_link link; /* private */
    uint64_t deadline_ns;        /* set by sley_wheel_insert; readable at any time */
};

/** A slot: the caller declares an array of them, uninitialised, and leaves it alone while the wheel is in use. */
struct sley_wheel_slot {
    struct sley_wheel_link list; /* private */
};

/** Slots that @p levels levels of @p per_level slots need; the one more is the overflow. */
#define SLEY_WHEEL_SLOT_COUNT(levels, per_level) ((size_t)(levels) * (size_t)(per_level) + 1)
/** Slots for the default options: 6 levels of 64 span 2^36 ms, 2.18 years (6 KiB on 64-bit machines). */
#define SLEY_WHEEL_SLOT_COUNT_DEFAULT SLEY_WHEEL_SLOT_COUNT(6, 64)

/** How to build a wheel; zeroed means the defaults. */
struct sley_wheel_opts {
    uint64_t tick_ns;         /* resolution; 0 = 1 ms; at least 1 us, so that a tick number has at most 55 bits */
    uint32_t slots_per_level; /* a power of two from 4 to 64; 0 = 64 */
    uint32_t level_count;     /* 0 = as many as span more than two years, or as the slots given suffice for */
};

enum {
    SLEY__WHEEL_TICK_BITS = 55, /* UINT64_MAX / 1000 has 55 bits */
    SLEY__WHEEL_WORDS = 11,     /* the most slots: 10 levels of 64, which make 60 bits, and the overflow: 641 */
};

/** A wheel. Must not move while a timer is armed. */
struct sley_wheel {
    /* private */
    uint64_t now_ns; /* the latest time given */
    uint64_t tick;   /* current: every timer in a slot lies ahead of it */
    uint64_t tick_ns;
    uint64_t reciprocal;    /* UINT64_MAX / tick_ns, which is also the last tick that has a time */
    uint64_t overflow_tick; /* meaningful while the overflow's bit is set */
    struct sley_wheel_slot *slots;
    struct sley_wheel_link due;
    struct sley_wheel_link late;
    uint16_t digit_reciprocal; /* ceil(1024 / digit_bits) */
    uint8_t digit_bits;        /* log2 of the slots per level */
    uint8_t level_count;
    uint32_t slot_count; /* in use: levels * slots per level + the overflow */
    uint64_t occupied[SLEY__WHEEL_WORDS];
};

SLEY_STATIC_ASSERT(sizeof(struct sley_wheel_node) <= 24, "a timer's budget: it sits in every op that can have a deadline");
SLEY_STATIC_ASSERT(sizeof(struct sley_wheel_slot) <= 16, "a slot's budget: two pointers");
SLEY_STATIC_ASSERT(sizeof(struct sley_wheel) <= 192, "a wheel's budget: three cache lines");

/**
 * Says how many slots a wheel with these options wants.
 * @p o NULL means the defaults.
 * Returns: the count, 0 when the options are not valid.
 * Thread: any
 */
SLEY_API size_t sley_wheel_slot_count(const struct sley_wheel_opts *o);

/**
 * Makes an empty wheel that stands at @p now_ns.
 * @p o NULL means the defaults; copied.
 * @p slots,slot_count borrowed until the wheel is used no more. With level_count 0 fewer slots than
 * sley_wheel_slot_count() says give fewer levels: timers beyond their span are correct, but cost O(1) each time the
 * clock enters a span that one of them may be in.
 * Returns: 0; -EINVAL: an option out of range, no slots, or fewer than one level or the level_count asked for needs.
 * Thread: owner
 * Cost: the slots are not touched; well under a microsecond.
 */
SLEY_API int sley_wheel_init(struct sley_wheel *w, const struct sley_wheel_opts *o, struct sley_wheel_slot *slots, size_t slot_count,
                             uint64_t now_ns);

/**
 * Arms @p node, which is not armed, for @p deadline_ns.
 * A deadline at or before the latest time given to the wheel does not wait for a tick: the timer is due at the next
 * sley_wheel_advance, whatever time that says, behind those that were armed late before it. (So it can overtake one of
 * the same deadline that was armed in time and waits for the end of its tick.) SLEY_NEVER is allowed and wakes nobody.
 * Owns: the node is the wheel's until it is popped or removed.
 * Thread: owner
 * Cost: O(1), no division.
 */
SLEY_API void sley_wheel_insert(struct sley_wheel *w, struct sley_wheel_node *node, uint64_t deadline_ns);

/**
 * Disarms @p node; nothing when it is not armed. It does not fire, even if it was due already.
 * Owns: the memory is the caller's again on return.
 * Thread: owner
 * Cost: O(1); the deadline is not looked at.
 */
SLEY_API void sley_wheel_remove(struct sley_wheel *w, struct sley_wheel_node *node);

/**
 * Moves @p node, armed or not, to @p deadline_ns; counts as arming anew where order is concerned.
 * Thread: owner
 * Cost: O(1)
 */
SLEY_API void sley_wheel_reset(struct sley_wheel *w, struct sley_wheel_node *node, uint64_t deadline_ns);

/** True from arming until the timer is popped or removed. */
SLEY_INLINE bool sley_wheel_armed(const struct sley_wheel_node *node)
{
    return node->link.next != NULL;
}

/**
 * Begins a turn: moves the wheel to @p now_ns and makes due what has expired.
 * A timer expires at the first tick that is not before its deadline: never early, less than one tick late. Timers are
 * due in the order of ticks, within a tick in the order of arming; what is still due from before comes first, then what
 * was armed late. A time before the latest one given is taken for the latest. SLEY_NEVER is the end of time: everything armed becomes due
 * (a way to empty a wheel), and so does what is armed afterwards.
 * Thread: owner
 * Cost: a timer is touched once per level on its way down at most, and in the overflow once for each span that begins;
 * the length of the jump does not matter.
 */
SLEY_API void sley_wheel_advance(struct sley_wheel *w, uint64_t now_ns);

/**
 * Takes the next due timer.
 * What is armed between two advances never becomes due in the same turn, so this loop ends, and a zero timer that its
 * handler re-arms fires once per turn:
 *
 *     sley_wheel_advance(&w, now_ns);
 *     while ((node = sley_wheel_pop(&w)) != NULL) { ... }
 *
 * The loop may stop early; what is left stays due.
 * Returns: the timer, no longer armed, or NULL.
 * Owns: the timer is the caller's.
 * Thread: owner
 * Cost: O(1)
 */
SLEY_API struct sley_wheel_node *sley_wheel_pop(struct sley_wheel *w);

/**
 * Says until when the caller may sleep before the next sley_wheel_advance.
 * Exact (the time at which the earliest timer expires) when that timer is in the lowest level, that is, when its tick
 * and the current one differ in the last digit alone; else the time at which its slot begins. So a timer costs at most
 * one extra wake-up for each level above the lowest, and one more when it lay in the overflow; a timer removed from a
 * slot costs none, one removed from the overflow at most one.
 * Returns: 0 when a timer is due or late; SLEY_NEVER when none is armed (from the last removal on), or none that
 * expires before the end of time; else a time after the wheel's own.
 * Thread: owner
 * Cost: a scan of at most 11 words.
 */
SLEY_API uint64_t sley_wheel_next(const struct sley_wheel *w);

/** True when no timer is armed, due ones included. Thread: owner */
SLEY_API bool sley_wheel_empty(const struct sley_wheel *w);

SLEY_EXTERN_C_END
#endif
