/* The search: depth first, each execution from the start along a path of choices (threads cannot be copied, but run again).
 *
 * Without a bound it is "source-DPOR" (Abdulla, Aronis, Jonsson, Sagonas, POPL 2014): after each step, wherever an earlier step
 * of another actor touched the same place (one of the two writing) and nothing between them orders the two, the other order is
 * noted at the node before the earlier step. Sleep sets keep out what would be an execution again that has been. So one of each
 * class of equivalent executions runs to its end. With a bound on preemptions, every order within it runs: the reductions assume
 * that each order may be exchanged for an equivalent one, which may have more preemptions.
 *
 * Actors are threads, and with store buffers the buffers too: their steps bring the oldest store to memory.
 */
#include "engine.h"

#include "harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef uint16_t actor_set;
#define SET(actor) ((actor_set)(1u << (actor)))

/* A choice: which actor takes the next step, or (data) which of `n` outcomes a step has. */
struct node {
    bool data;
    uint8_t chosen, n;
    actor_set enabled, todo, done, sleep;
    int8_t last; /* the thread that ran before */
    uint16_t preemptions;
};

/* A step that has been taken, and all that happened before it: for each actor how many of its steps. */
struct event {
    uint8_t actor;
    bool write;
    uintptr_t place;
    int node, before; /* the node that chose it; the event before it at this place, or -1 */
    uint16_t number;  /* of the actor's steps, from 1 */
    uint16_t clock[ACTORS];
};

struct last_at {
    uintptr_t place;
    int event;
};

struct run run = {.current = -1};

static struct node nodes[MAX_STEPS];
static unsigned depth, known; /* of the path; how much of it is given */
static struct event events[MAX_STEPS];
static int event_count;
static struct last_at last_at[1024];
static uint16_t clocks[ACTORS][ACTORS], numbers[ACTORS];
static jmp_buf out; /* from setup and check */
static _Alignas(64) char stacks[EXPLORE_THREADS][STACK_BYTES];
static struct {
    char *at;
    size_t bytes;
} locals[8];
static unsigned local_count;
static int local_owner = -1;

/* ---- threads ------------------------------------------------------------------------------------------------------ */

static void locals_swap(int to)
{
    for (unsigned i = 0, offset = 0; i < local_count; offset += (unsigned)locals[i++].bytes) {
        if (local_owner >= 0) {
            memcpy(run.threads[local_owner].locals + offset, locals[i].at, locals[i].bytes);
        }
        if (to >= 0) {
            memcpy(locals[i].at, run.threads[to].locals + offset, locals[i].bytes);
        } else {
            memset(locals[i].at, 0, locals[i].bytes);
        }
    }
    local_owner = to;
}

void explore_thread_local(void *at, size_t bytes)
{
    size_t total = bytes;
    for (unsigned i = 0; i < local_count; i++) {
        if (locals[i].at == (char *)at) {
            return;
        }
        total += locals[i].bytes;
    }
    if (local_count == sizeof locals / sizeof locals[0] || total > sizeof run.threads[0].locals) {
        explore_fail("too many thread-locals");
    }
    locals[local_count].at = at;
    locals[local_count++].bytes = bytes;
}

bool is_thread_local(uintptr_t addr)
{
    for (unsigned i = 0; i < local_count; i++) {
        if (addr - (uintptr_t)locals[i].at < locals[i].bytes) {
            return true;
        }
    }
    return false;
}

int explore_thread(void)
{
    return run.current;
}

static void body(void *arg)
{
    struct thread *t = arg;
    t->fn();
    t->state = THREAD_ENDED;
    sley__context_switch(&t->context, &run.engine);
}

/** Lets the thread go on until it stands before its next access, or has ended. */
static void resume(unsigned i)
{
    run.current = (int)i;
    if (local_owner != (int)i) {
        locals_swap((int)i);
    }
    sley__context_switch(&run.engine, &run.threads[i].context);
    run.current = -1;
}

void thread_access(struct access *a)
{
    if (run.current < 0) { /* setup and check: nobody else is there */
        memory_direct(a);
        return;
    }
    struct thread *t = &run.threads[run.current];
    t->next = *a;
    if (run.s->tso && !run.s->barriers && a->kind == EXPLORE_STORE && !access_drains(a) && t->buffered < BUFFER) {
        memory_step((unsigned)run.current, false, &t->next); /* into its buffer, which nobody can tell from later */
        if (run.tracing) {
            report_step((unsigned)run.current, &t->next);
        }
    } else {
        sley__context_switch(&t->context, &run.engine);
    }
    *a = t->next;
}

void explore_fail(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    if (!run.failed) {
        (void)vsnprintf(run.what, sizeof run.what, fmt, args);
    }
    va_end(args);
    run.failed = true;
    if (run.current >= 0) {
        sley__context_switch(&run.threads[run.current].context, &run.engine);
    }
    longjmp(out, 1);
}

void search_abandon(void)
{
    longjmp(out, 1);
}

/* ---- the path ----------------------------------------------------------------------------------------------------- */

static struct node *next_node(bool *ret_known)
{
    if (depth == MAX_STEPS) {
        explore_fail("an execution has more than %d steps: it does not end", MAX_STEPS);
    }
    *ret_known = depth < known;
    return &nodes[depth++];
}

unsigned search_choose(unsigned n)
{
    bool given;
    struct node *node = next_node(&given);
    if (!given) {
        *node = (struct node){.data = true, .n = (uint8_t)n};
    }
    return node->chosen;
}

unsigned explore_choose(unsigned n)
{
    return run.current < 0 ? 0 : search_choose(n);
}

static actor_set all_enabled(void)
{
    actor_set set = 0;
    for (unsigned i = 0; i < run.thread_count; i++) {
        set |= thread_enabled(i) ? SET(i) : 0;
        set |= run.threads[i].buffered ? SET(i + EXPLORE_THREADS) : 0;
    }
    return set;
}

static bool ended(void)
{
    for (unsigned i = 0; i < run.thread_count; i++) {
        if (run.threads[i].state != THREAD_ENDED || run.threads[i].buffered) {
            return false;
        }
    }
    return true;
}

static unsigned first_of(actor_set set)
{
    return (unsigned)__builtin_ctz(set);
}

/** Would it be a preemption to let somebody other than `last` run? */
static bool can_go_on(const struct node *n)
{
    return n->last >= 0 && (n->enabled & SET(n->last)) && run.threads[n->last].next.kind != EXPLORE_PAUSE;
}

/** Which actors may be chosen at a new node. */
static actor_set allowed(const struct node *n)
{
    const unsigned bound = run.s->preemptions;
    if (bound && n->preemptions >= bound && can_go_on(n)) {
        return n->enabled & (actor_set)(SET(n->last) | ~(SET(EXPLORE_THREADS) - 1)); /* a flush preempts nobody */
    }
    return n->enabled;
}

/** Chooses who is next. Returns false when whatever comes has been run before. */
static bool choose_actor(int last, unsigned preemptions, actor_set sleep)
{
    bool given;
    struct node *n = next_node(&given);
    if (given) {
        return true;
    }
    *n = (struct node){.enabled = all_enabled(), .sleep = sleep, .last = (int8_t)last, .preemptions = (uint16_t)preemptions};
    const actor_set may = allowed(n);
    const actor_set candidates = may & (actor_set)~sleep;
    if (!candidates) {
        return false;
    }
    n->chosen = (uint8_t)(last >= 0 && (candidates & SET(last)) ? (unsigned)last : first_of(candidates));
    n->todo = run.s->preemptions ? may : SET(n->chosen);
    return true;
}

/** Goes to the next path. Returns false when there is none. */
static bool backtrack(void)
{
    while (depth > 0) {
        struct node *n = &nodes[depth - 1];
        if (n->data) {
            if (n->chosen + 1u < n->n) {
                n->chosen++;
                known = depth;
                return true;
            }
        } else {
            n->done |= SET(n->chosen);
            const actor_set left = n->todo & n->enabled & (actor_set) ~(n->done | n->sleep);
            if (left) {
                n->chosen = (uint8_t)first_of(left);
                known = depth;
                return true;
            }
        }
        depth--;
    }
    return false;
}

/* ---- what happened before what ------------------------------------------------------------------------------------- */

static void join(uint16_t *into, const uint16_t *from)
{
    for (unsigned i = 0; i < ACTORS; i++) {
        into[i] = into[i] < from[i] ? from[i] : into[i];
    }
}

static bool happened_before(const struct event *e, const uint16_t *clock)
{
    return clock[e->actor] >= e->number;
}

/** The last event at a place; a slot to write it to. */
static struct last_at *last_of(uintptr_t place)
{
    const unsigned n = sizeof last_at / sizeof last_at[0];
    unsigned i = (unsigned)((place >> 2) * 2654435761u) % n;
    while (last_at[i].place && last_at[i].place != place) {
        i = (i + 1) % n;
    }
    return &last_at[i];
}

/** Events @p e and (the last one) race: is somebody noted at the node before @p e who leads to the other order? */
static void note_race(int e)
{
    const struct event *first = &events[e], *second = &events[event_count - 1];
    struct node *node = &nodes[first->node];
    actor_set starts = 0, seen = 0; /* who may begin a sequence of what does not depend on `first`, up to `second` */
    for (int i = e + 1; i < event_count; i++) {
        const struct event *x = &events[i];
        if (x != second && happened_before(first, x->clock)) {
            continue;
        }
        bool is_first = !(seen & SET(x->actor));
        for (int j = e + 1; is_first && j < i; j++) {
            const struct event *y = &events[j];
            is_first = happened_before(first, y->clock) || !happened_before(y, x->clock);
        }
        starts |= is_first ? SET(x->actor) : 0;
        seen |= SET(x->actor);
    }
    if (node->todo & starts) {
        return;
    }
    const actor_set can = starts & node->enabled;
    node->todo |= !can ? node->enabled : (can & SET(second->actor)) ? SET(second->actor) : SET(first_of(can));
}

int search_event(void)
{
    return event_count - 1;
}

/** Orders the last event after what made it possible, then after what it depends on, noting those that could come behind it. */
static void order_event(uint16_t *clock)
{
    struct event *now = &events[event_count - 1];
    int races[64];
    unsigned n = 0;
    for (int i = now->before; i >= 0; i = events[i].before) {
        const struct event *e = &events[i];
        if (e->actor % EXPLORE_THREADS != now->actor % EXPLORE_THREADS && (e->write || now->write) && !happened_before(e, clock)) {
            if (n < sizeof races / sizeof races[0]) {
                races[n++] = i;
            } else {
                nodes[e->node].todo |= nodes[e->node].enabled;
            }
            join(clock, e->clock);
        }
    }
    clock[now->actor] = now->number;
    memcpy(now->clock, clock, sizeof now->clock);
    memcpy(clocks[now->actor], clock, sizeof now->clock);
    for (unsigned i = 0; i < n && !run.s->preemptions && now->node + 1 >= (int)known; i++) {
        note_race(races[i]);
    }
}

static void begin_event(unsigned actor, uint16_t *ret_clock)
{
    memcpy(ret_clock, clocks[actor], sizeof clocks[actor]);
    const struct thread *t = &run.threads[actor % EXPLORE_THREADS];
    int by = -1;
    if (actor >= EXPLORE_THREADS) {
        by = t->buffer[0].event;
    } else {
        by = memory_enabled_by(actor);
        if (access_drains(&t->next)) {
            join(ret_clock, clocks[actor + EXPLORE_THREADS]);
        }
    }
    if (by >= 0) {
        join(ret_clock, events[by].clock);
    }
    const struct effect effect = effect_next(actor);
    struct last_at *last = effect.place ? last_of(effect.place) : NULL;
    events[event_count++] = (struct event){.actor = (uint8_t)actor,
                                           .write = effect.write,
                                           .place = effect.place,
                                           .node = (int)depth - 1,
                                           .before = last && last->place ? last->event : -1,
                                           .number = ++numbers[actor]};
    if (last) {
        *last = (struct last_at){effect.place, event_count - 1};
    }
}

/** One step of the chosen actor, up to where its thread stands before the next one. */
static void step(unsigned actor)
{
    const unsigned t = actor % EXPLORE_THREADS;
    const bool flush = actor >= EXPLORE_THREADS;
    uint16_t clock[ACTORS];
    const int index = event_count;
    begin_event(actor, clock);
    struct access flushed = {.kind = EXPLORE_FLUSH, .addr = run.threads[t].buffer[0].addr, .size = run.threads[t].buffer[0].size};
    struct access *a = flush ? &flushed : &run.threads[t].next;
    memory_step(t, flush, a);
    if (run.tracing) {
        report_step(actor, a);
    }
    events[index].write = events[index].write && (a->kind != EXPLORE_CAS || a->ok);
    order_event(clock);
    if (!flush) {
        resume(t);
    }
}

/** Those of @p sleep whose next step would still lead to what has been run. */
static actor_set still_asleep(actor_set sleep, const struct event *e)
{
    for (unsigned q = 0; q < ACTORS; q++) {
        if (sleep & SET(q)) {
            const struct effect effect = effect_next(q);
            if (effect.place && effect.place == e->place && (effect.write || e->write)) {
                sleep &= (actor_set)~SET(q);
            }
        }
    }
    return sleep;
}

/* ---- one execution -------------------------------------------------------------------------------------------------- */

static void reset(const struct explore_scenario *s)
{
    run.s = s;
    run.current = -1;
    run.failed = false;
    depth = 0;
    event_count = 0;
    memset(last_at, 0, sizeof last_at);
    memset(clocks, 0, sizeof clocks);
    memset(numbers, 0, sizeof numbers);
    locals_swap(-1);
    memory_reset();
    races_reset();
    system_reset();
    run.thread_count = 0;
    while (run.thread_count < EXPLORE_THREADS && s->threads[run.thread_count]) {
        run.thread_count++;
    }
}

static void start_threads(void)
{
    locals_swap(-1);
    for (unsigned i = 0; i < run.thread_count; i++) {
        struct thread *t = &run.threads[i];
        memset(t, 0, sizeof *t);
        t->fn = run.s->threads[i];
        t->state = THREAD_AT_ACCESS;
        t->last.kind = EXPLORE_FENCE;
        sley__context_init(&t->context, stacks[i], stacks[i] + STACK_BYTES, body, t);
    }
    for (unsigned i = 0; i < run.thread_count && !run.failed; i++) {
        run.threads[i].clock.at[i] = 1;
        resume(i);
    }
}

static void stop_threads(void)
{
    locals_swap(-1);
    for (unsigned i = 0; i < run.thread_count; i++) {
        sley__context_fini(&run.threads[i].context);
    }
}

/** Nobody can go on. */
static void report_stuck(void)
{
    char text[sizeof run.what] = "";
    for (unsigned i = 0; i < run.thread_count; i++) {
        const struct access *a = &run.threads[i].next;
        if (run.threads[i].state != THREAD_ENDED) {
            const size_t len = strlen(text);
            (void)snprintf(text + len, sizeof text - len, "; %c %s in %s (%s:%d)", 'a' + (int)i,
                           a->kind == EXPLORE_WOKEN ? "sleeps" : "spins", a->func, a->file, a->line);
        }
    }
    explore_fail("deadlock%s", text);
}

enum ending { ENDED, REDUNDANT, FAILED };

static void run_threads(volatile enum ending *ret)
{
    int last = -1;
    unsigned preemptions = 0;
    actor_set sleep = 0;
    start_threads();
    while (!run.failed && !ended()) {
        if (!all_enabled()) {
            report_stuck();
        }
        if (!choose_actor(last, preemptions, sleep)) {
            *ret = REDUNDANT;
            return;
        }
        const struct node *n = &nodes[depth - 1];
        const unsigned actor = n->chosen;
        if (!(all_enabled() & SET(actor))) {
            explore_fail("this schedule is not possible: the scenario is not deterministic, or has changed");
        }
        const bool thread = actor < EXPLORE_THREADS;
        preemptions = n->preemptions + (thread && (int)actor != n->last && can_go_on(n) ? 1u : 0u);
        sleep = n->sleep | n->done;
        last = thread ? (int)actor : last;
        step(actor);
        sleep = run.s->preemptions ? 0 : still_asleep(sleep & (actor_set)~SET(actor), &events[event_count - 1]);
    }
}

static enum ending run_once(const struct explore_scenario *s)
{
    volatile enum ending ending = ENDED;
    reset(s);
    if (setjmp(out) == 0) {
        if (s->setup) {
            s->setup();
        }
        run_threads(&ending);
        run.current = -1;
        locals_swap(-1);
        if (ending == ENDED && !run.failed && s->check) {
            s->check();
        }
        if (ending == ENDED && !run.failed) {
            system_ended();
        }
    }
    run.current = -1;
    stop_threads();
    return run.failed ? FAILED : ending;
}

/* ---- all of them ---------------------------------------------------------------------------------------------------- */

static void write_schedule(char *to, size_t size)
{
    size_t n = 0;
    for (unsigned i = 0; i < depth && n + 1 < size; i++) {
        const int c = nodes[i].chosen;
        to[n++] = (char)(nodes[i].data ? '0' + c : c < EXPLORE_THREADS ? 'a' + c : 'A' + c - EXPLORE_THREADS);
    }
    to[n] = '\0';
}

/** Of the processor's time: how long a search takes does not depend on what else runs. */
static double seconds_now(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double scale(void)
{
    const char *text = getenv("SLEY_EXPLORE_SCALE");
    const double factor = text ? strtod(text, NULL) : 1;
    return (factor > 0 ? factor : 1) * harness_slowness();
}

void explore_run(const struct explore_scenario *s, struct explore_result *ret)
{
    const double begin = seconds_now(), limit = (s->max_seconds > 0 ? s->max_seconds : 40) * scale();
    const uint64_t max = s->max_executions ? s->max_executions : 20000000;
    memset(ret, 0, sizeof *ret);
    report_crashes();
    known = 0;
    for (;;) {
        const enum ending ending = run_once(s);
        ret->executions += ending == ENDED;
        ret->redundant += ending == REDUNDANT;
        ret->steps += (uint64_t)event_count;
        ret->longest = (unsigned)event_count > ret->longest ? (unsigned)event_count : ret->longest;
        if (ending == FAILED) {
            ret->found = true;
            (void)snprintf(ret->what, sizeof ret->what, "%s", run.what);
            write_schedule(ret->schedule, sizeof ret->schedule);
            break;
        }
        if (!backtrack()) {
            ret->exhausted = true;
            break;
        }
        if (ret->executions + ret->redundant >= max ||
            ((ret->executions + ret->redundant) % 256 == 0 && seconds_now() - begin > limit)) {
            break;
        }
    }
    ret->seconds = seconds_now() - begin;
}

void explore_replay(const struct explore_scenario *s, const char *schedule)
{
    known = 0;
    for (const char *c = schedule; *c && known < MAX_STEPS; c++) {
        struct node *n = &nodes[known++];
        *n = (struct node){.data = *c >= '0' && *c <= '9', .n = 10};
        n->chosen = (uint8_t)(n->data ? *c - '0' : *c >= 'a' ? *c - 'a' : *c - 'A' + EXPLORE_THREADS);
    }
    run.tracing = true;
    const enum ending ending = run_once(s);
    run.tracing = false;
    printf("%s%s\n", ending == FAILED ? "  => " : "  => no bug in this schedule", ending == FAILED ? run.what : "");
    (void)fflush(stdout);
}
