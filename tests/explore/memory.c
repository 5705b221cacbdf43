/* What memory does: values, store buffers, and which clocks travel with them. Accesses of setup and check go straight through. */
#include "engine.h"

#include <stdatomic.h>
#include <string.h>

enum { PLACES = 1024 };

/* An address that has been accessed atomically in this execution. */
struct place {
    uintptr_t addr;
    uint32_t changes;     /* of its value */
    int changed_by;       /* event */
    struct clock release; /* what who acquires from it observes */
};

static struct place places[PLACES];
static unsigned used[PLACES], used_count;
static unsigned direct_loads; /* in a row, of this execution's setup or check */

void memory_reset(void)
{
    for (unsigned i = 0; i < used_count; i++) {
        places[used[i]] = (struct place){0};
    }
    used_count = direct_loads = 0;
}

static struct place *place_of(uintptr_t addr)
{
    unsigned i = (unsigned)((addr >> 2) * 2654435761u) % PLACES;
    while (places[i].addr && places[i].addr != addr) {
        i = (i + 1) % PLACES;
    }
    if (!places[i].addr) {
        if (used_count > PLACES / 2) {
            explore_fail("more than %d places are accessed atomically", PLACES / 2);
        }
        places[i].addr = addr;
        used[used_count++] = i;
    }
    return &places[i];
}

uint32_t memory_changes(uintptr_t addr)
{
    return place_of(addr)->changes;
}

void clock_join(struct clock *into, const struct clock *from)
{
    for (unsigned i = 0; i < EXPLORE_THREADS; i++) {
        if (into->at[i] < from->at[i]) {
            into->at[i] = from->at[i];
        }
    }
}

/* ---- values ---------------------------------------------------------------------------------------------------- */

static uint64_t peek(uintptr_t addr, unsigned size)
{
    uint64_t value = 0;
    memcpy(&value, (const void *)addr, size); /* little-endian */
    return value;
}

static void poke(uintptr_t addr, unsigned size, uint64_t value)
{
    const uint64_t before = peek(addr, size);
    memcpy((void *)addr, &value, size);
    if (before != peek(addr, size)) {
        struct place *p = place_of(addr);
        p->changes++;
        p->changed_by = search_event();
    }
}

static uint64_t trimmed(uint64_t value, unsigned size)
{
    return size < 8 ? value & ((UINT64_C(1) << 8 * size) - 1) : value;
}

static uint64_t computed(enum explore_kind kind, uint64_t old, uint64_t operand)
{
    switch (kind) {
    case EXPLORE_ADD:
        return old + operand;
    case EXPLORE_SUB:
        return old - operand;
    case EXPLORE_OR:
        return old | operand;
    case EXPLORE_AND:
        return old & operand;
    case EXPLORE_XOR:
        return old ^ operand;
    default:
        return operand;
    }
}

/* ---- orders ---------------------------------------------------------------------------------------------------- */

static bool acquires(int order)
{
    return order == memory_order_acquire || order == memory_order_consume || order == memory_order_acq_rel ||
           order == memory_order_seq_cst;
}

static bool releases(int order)
{
    return order == memory_order_release || order == memory_order_acq_rel || order == memory_order_seq_cst;
}

static void observe(struct thread *t, const struct place *p, int order)
{
    clock_join(acquires(order) ? &t->clock : &t->acquired, &p->release);
}

static struct clock carried(const struct thread *t, int order)
{
    return releases(order) ? t->clock : t->released;
}

/* ---- steps ----------------------------------------------------------------------------------------------------- */

/** The newest store to @p addr in the thread's own buffer, or NULL. */
static const struct pending_store *buffered(const struct thread *t, uintptr_t addr)
{
    for (unsigned i = t->buffered; i > 0; i--) {
        if (t->buffer[i - 1].addr == addr) {
            return &t->buffer[i - 1];
        }
    }
    return NULL;
}

static void load(struct thread *t, struct access *a)
{
    const struct pending_store *own = buffered(t, a->addr);
    if (own) {
        a->result = own->value;
        return;
    }
    const struct place *p = place_of(a->addr);
    a->result = peek(a->addr, a->size);
    observe(t, p, a->order);
}

static void store(struct thread *t, const struct access *a)
{
    const struct clock release = carried(t, a->order);
    if (run.s->tso && a->order != memory_order_seq_cst) {
        t->buffer[t->buffered++] = (struct pending_store){a->addr, a->size, trimmed(a->value, a->size), release, search_event()};
        return;
    }
    place_of(a->addr)->release = release;
    poke(a->addr, a->size, a->value);
}

static void flush(struct thread *t, struct access *a)
{
    const struct pending_store *oldest = &t->buffer[0];
    a->result = oldest->value;
    place_of(oldest->addr)->release = oldest->release;
    poke(oldest->addr, oldest->size, oldest->value);
    t->buffered--;
    memmove(&t->buffer[0], &t->buffer[1], t->buffered * sizeof t->buffer[0]);
}

/** Exchange, arithmetic and a CAS that succeeds: what the place released so far stays part of what it releases. */
static void modify(struct thread *t, struct access *a, uint64_t value)
{
    struct place *p = place_of(a->addr);
    const struct clock release = carried(t, a->order);
    a->result = peek(a->addr, a->size);
    observe(t, p, a->order);
    clock_join(&p->release, &release);
    poke(a->addr, a->size, value);
}

static void compare_exchange(struct thread *t, struct access *a)
{
    a->result = peek(a->addr, a->size);
    a->ok = a->result == trimmed(a->expected, a->size);
    const bool may = a->ok && a->weak && run.s->spurious && !t->spurious; /* not twice in a row: that could go on for ever */
    t->spurious = may && search_choose(2) == 1;
    a->ok = a->ok && !t->spurious;
    if (a->ok) {
        modify(t, a, a->value);
    } else {
        observe(t, place_of(a->addr), a->fail_order);
    }
}

/** What a loop has looked at, so that a pause knows when a further turn makes sense. */
static void remember(struct thread *t, const struct access *a)
{
    const uint32_t changes = memory_changes(a->addr);
    for (unsigned i = 0; i < t->seen_count && i < SEEN; i++) { /* one more is counted than there is room for: too many */
        if (t->seen[i].addr == a->addr) {
            if (a->kind != EXPLORE_LOAD) {
                t->seen[i].changes = changes; /* its own change is no news to it */
            }
            return;
        }
    }
    if (t->seen_count < SEEN) {
        t->seen[t->seen_count] = (struct seen){a->addr, changes};
    }
    t->seen_count += t->seen_count <= SEEN;
}

static void count_repeats(struct thread *t, const struct access *a)
{
    const bool same = a->kind == EXPLORE_LOAD && t->last.kind == EXPLORE_LOAD && t->last.addr == a->addr && t->last.line == a->line &&
                      t->last.func == a->func && t->last_changes == memory_changes(a->addr);
    t->repeats = same ? t->repeats + 1 : 0;
    t->last = *a;
    t->last_changes = memory_changes(a->addr);
}

static void thread_step(struct thread *t, struct access *a)
{
    switch (a->kind) {
    case EXPLORE_LOAD:
        load(t, a);
        break;
    case EXPLORE_STORE:
        store(t, a);
        break;
    case EXPLORE_CAS:
        compare_exchange(t, a);
        break;
    case EXPLORE_FENCE:
        clock_join(&t->clock, &t->acquired);
        t->released = t->clock;
        return;
    case EXPLORE_PAUSE:
        t->seen_count = 0;
        return;
    case EXPLORE_FUTEX_WAKE:
        system_wake(a);
        return;
    case EXPLORE_BARRIER:
    case EXPLORE_WOKEN:
        return;
    case EXPLORE_FUTEX_WAIT:
        a->result = peek(a->addr, a->size);
        t->asleep = a->result == a->expected;
        break;
    default:
        modify(t, a, computed(a->kind, peek(a->addr, a->size), a->value));
        break;
    }
    count_repeats(t, a);
    remember(t, a);
}

void memory_step(unsigned i, bool is_flush, struct access *a)
{
    struct thread *t = &run.threads[i];
    if (is_flush) {
        flush(t, a);
        remember(t, a);
    } else {
        thread_step(t, a);
        t->clock.at[i]++; /* what comes from here on is not part of what the step has released */
    }
}

void memory_direct(struct access *a)
{
    direct_loads = a->kind == EXPLORE_LOAD ? direct_loads + 1 : 0;
    if (direct_loads > 100000) {
        direct_loads = 0;
        explore_fail("setup or check waits for nobody in %s (%s:%d)", a->func, a->file, a->line);
    }
    const bool has_value = a->addr != 0;
    a->result = has_value ? peek(a->addr, a->size) : 0;
    a->ok = a->result == trimmed(a->expected, a->size);
    if (has_value && a->kind <= EXPLORE_STORE && a->kind != EXPLORE_LOAD && (a->kind != EXPLORE_CAS || a->ok)) {
        const uint64_t value = computed(a->kind, a->result, a->value);
        memcpy((void *)a->addr, &value, a->size);
    }
}

/* ---- what is possible ------------------------------------------------------------------------------------------ */

bool access_drains(const struct access *a)
{
    return run.s->tso && a->kind != EXPLORE_LOAD && a->kind != EXPLORE_PAUSE && a->kind != EXPLORE_WOKEN &&
           (a->kind != EXPLORE_STORE || a->order == memory_order_seq_cst);
}

/** Has anything changed of what the loop has looked at? */
static bool news(const struct thread *t)
{
    if (t->seen_count == 0 || t->seen_count > SEEN) {
        return true;
    }
    for (unsigned i = 0; i < t->seen_count; i++) {
        if (memory_changes(t->seen[i].addr) != t->seen[i].changes) {
            return true;
        }
    }
    return false;
}

bool thread_enabled(unsigned i)
{
    const struct thread *t = &run.threads[i];
    const struct access *a = &t->next;
    if (t->state != THREAD_AT_ACCESS || (access_drains(a) && t->buffered > 0)) {
        return false;
    }
    switch (a->kind) {
    case EXPLORE_PAUSE:
        return news(t);
    case EXPLORE_LOAD:
        return t->repeats < SPINS || t->last.addr != a->addr || t->last.line != a->line || t->last.func != a->func ||
               memory_changes(a->addr) != t->last_changes;
    case EXPLORE_STORE:
        return t->buffered < BUFFER;
    case EXPLORE_BARRIER:
        return t->barrier_at >= run.thread_count || run.threads[t->barrier_at].buffered == 0;
    case EXPLORE_WOKEN:
        return !t->asleep || a->can_end;
    default:
        return true;
    }
}

int memory_enabled_by(unsigned i)
{
    const struct thread *t = &run.threads[i];
    const struct access *a = &t->next;
    if (a->kind == EXPLORE_WOKEN) {
        return t->asleep ? -1 : t->woken_by;
    }
    if (a->kind == EXPLORE_LOAD && t->repeats >= SPINS && t->last.addr == a->addr) {
        const struct place *p = place_of(a->addr);
        return p->changes == t->last_changes + 1 ? p->changed_by : -1;
    }
    int by = -1;
    unsigned changes = 0;
    for (unsigned k = 0; a->kind == EXPLORE_PAUSE && t->seen_count <= SEEN && k < t->seen_count; k++) {
        const struct place *p = place_of(t->seen[k].addr);
        changes += p->changes - t->seen[k].changes;
        by = p->changes != t->seen[k].changes ? p->changed_by : by;
    }
    return changes == 1 ? by : -1;
}

struct effect effect_next(unsigned actor)
{
    if (actor >= EXPLORE_THREADS) {
        return (struct effect){run.threads[actor - EXPLORE_THREADS].buffer[0].addr, true};
    }
    const struct thread *t = &run.threads[actor];
    const struct access *a = &t->next;
    switch (a->kind) {
    case EXPLORE_LOAD:
        return (struct effect){a->addr, false};
    case EXPLORE_STORE:
        if (run.s->tso && a->order != memory_order_seq_cst) { /* only a barrier can tell when it entered the buffer */
            return (struct effect){run.s->barriers ? (uintptr_t)&t->buffer : 0, false};
        }
        return (struct effect){a->addr, true};
    case EXPLORE_BARRIER:
        return (struct effect){t->barrier_at < run.thread_count ? (uintptr_t)&run.threads[t->barrier_at].buffer : 0, true};
    case EXPLORE_FENCE:
    case EXPLORE_PAUSE:
        return (struct effect){0};
    default:
        return (struct effect){a->addr, true};
    }
}
