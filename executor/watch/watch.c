/* The watchdog's life: made with the executor, its thread with the first activity, ended with the executor. */
#include "watch.h"

#include <sley/thread_impl.h>

#include <string.h>

int sley_watch_create(const struct sley_watch_opts *o, struct sley_watch **ret_watch)
{
    if (!o || o->stall_ns == 0 || (o->stuck && o->stuck_ns == 0)) {
        return -EINVAL;
    }
    struct sley_alloc libc = {0};
    const int rc = o->alloc ? 0 : sley_alloc_libc_init(&libc);
    if (rc < 0) {
        return rc;
    }
    struct sley_alloc *alloc = o->alloc ? o->alloc : &libc;
    struct sley_watch *w = sley_alloc_get(alloc, sizeof *w, _Alignof(struct sley_watch));
    if (!w) {
        return -ENOMEM;
    }
    memset(w, 0, sizeof *w);
    w->libc = libc;
    w->alloc = o->alloc ? o->alloc : &w->libc;
    w->opts = *o;
    w->opts.signo = o->signo ? o->signo : SIGURG;
    w->os = (struct sley__watch_os){sley__watch_cpu_ns, sley__watch_runnable, sley__shot_ask};
    const uint64_t stuck_ns = o->stuck ? o->stuck_ns : SLEY_NEVER;
    const uint64_t least_ns = o->stall_ns < stuck_ns ? o->stall_ns : stuck_ns;
    w->period_ns = least_ns / 2 > 0 ? least_ns / 2 : 1;
    (void)pthread_mutex_init(&w->lock, NULL);
    *ret_watch = w;
    return 0;
}

void sley_watch_destroy(struct sley_watch *w)
{
    if (!w) {
        return;
    }
    /* acquire: observes the thread's handle; pairs with start_thread */
    if (atomic_load_explicit(&w->running, memory_order_acquire)) {
        /* release: pairs with the watchdog's look at it */
        atomic_store_explicit(&w->ending, 1, memory_order_release);
        sley__watch_ring(&w->bell);
        (void)pthread_join(w->thread, NULL);
        sley__shot_uninstall(w->opts.signo);
    }
    (void)pthread_mutex_destroy(&w->lock);
    struct sley_alloc libc = w->libc;
    struct sley_alloc *alloc = w->alloc == &w->libc ? &libc : w->alloc;
    sley_alloc_put(alloc, w, sizeof *w);
}

uint64_t sley_watch_stall_ns(uint64_t asked)
{
    const uint64_t usual_ns = SLEY__STALL_MS_DEFAULT ? SLEY__STALL_MS_DEFAULT * SLEY_MS : SLEY_NEVER;
    return asked ? asked : usual_ns;
}

int sley_watch_add(struct sley_watch *w, struct sley_watched *e, struct sley_sched *s, uint32_t worker)
{
    struct sley__watch_entry *entry = sley_alloc_get(w->alloc, sizeof *entry, _Alignof(struct sley__watch_entry));
    if (!entry) {
        return -ENOMEM;
    }
    memset(entry, 0, sizeof *entry);
    entry->watch = w;
    entry->sched = s;
    entry->watched = e;
    entry->worker = worker;
    e->entry = entry;
    e->turn = 0;
    entry->state = SLEY__WATCH_SILENT;
    /* relaxed: nobody drives it yet; the lock below shows it to the watchdog */
    atomic_store_explicit(&e->state, SLEY__WATCH_SILENT, memory_order_relaxed);
    s->watched = entry;
    (void)pthread_mutex_lock(&w->lock);
    entry->next = w->entries;
    w->entries = entry;
    (void)pthread_mutex_unlock(&w->lock);
    return 0;
}

int sley_watch_one(const struct sley_executor_config *config, struct sley_alloc *alloc, struct sley_watched *e, struct sley_sched *s)
{
    const struct sley_watch_opts o = {
        .alloc = alloc, .stall_ns = sley_watch_stall_ns(config->stall_ns), .report = config->report, .report_arg = config->report_arg};
    struct sley_watch *w = NULL;
    int rc = o.report && o.stall_ns != SLEY_NEVER ? sley_watch_create(&o, &w) : 0;
    if (rc == 0 && w) {
        rc = sley_watch_add(w, e, s, 0);
        w->for_one = rc == 0;
    }
    if (rc < 0) {
        sley_watch_destroy(w);
    }
    return rc;
}

void sley_watch_remove(struct sley_watched *e)
{
    struct sley__watch_entry *entry = e->entry;
    if (!entry) {
        return;
    }
    struct sley_watch *w = entry->watch;
    (void)pthread_mutex_lock(&w->lock);
    struct sley__watch_entry **at = &w->entries;
    while (*at != entry) {
        at = &(*at)->next;
    }
    *at = entry->next;
    sley__watch_last(entry);
    (void)pthread_mutex_unlock(&w->lock);
    entry->sched->watched = NULL; /* a signal that comes later finds nothing to answer */
    e->entry = NULL;
    /* relaxed: the watchdog does not know it any more */
    atomic_store_explicit(&e->state, e->turn | SLEY__WATCH_PARKED, memory_order_relaxed);
    sley_alloc_put(w->alloc, entry, sizeof *entry);
    if (w->for_one) {
        sley_watch_destroy(w);
    }
}

static void *watchdog(void *arg)
{
    struct sley_watch *w = arg;
    sley__shot_prime();
    /* acquire: pairs with sley_watch_destroy */
    while (!atomic_load_explicit(&w->ending, memory_order_acquire)) {
        (void)pthread_mutex_lock(&w->lock);
        const uint64_t next_ns = sley__watch_look(w, sley__watch_now_ns());
        (void)pthread_mutex_unlock(&w->lock);
        sley__watch_wait(&w->bell, next_ns);
    }
    return NULL;
}

static void start_thread(struct sley_watch *w)
{
    int rc = sley__shot_install(w->opts.signo);
    if (rc == 0) {
        rc = sley_executor_start_thread(&w->thread, &(struct sley_thread_opts){watchdog, w, "sley-watch", UINT32_MAX, 0, false});
        if (rc < 0) {
            sley__shot_uninstall(w->opts.signo);
        }
    }
    if (rc == 0) {
        /* release: publishes the thread's handle to sley_watch_destroy */
        atomic_store_explicit(&w->running, 1, memory_order_release);
    } else if (w->opts.report) {
        w->opts.report(w->opts.report_arg, SLEY_REPORT_START, "the stall detector did not start: no thread, or no signal, for it");
    }
}

void sley__watch_rouse(struct sley__watch_entry *entry)
{
    struct sley_watch *w = entry->watch;
    /* relaxed: decides who makes it, no more */
    if (!w->by_hand && !atomic_load_explicit(&w->started, memory_order_relaxed) &&
        !atomic_exchange_explicit(&w->started, 1, memory_order_relaxed)) {
        start_thread(w);
    } else {
        sley__watch_ring(&w->bell);
    }
}

void sley__watch_thread(struct sley__watch_entry *entry)
{
    /* relaxed: the exchange in sley_watch_unpark publishes it */
    atomic_store_explicit(&entry->tid, sley__watch_tid(), memory_order_relaxed);
}
