/* The poll(2) port: an array of those descriptors that somebody waits for, and a pipe to ring. Level-triggered.
 *
 * A poll(2) looks at each descriptor it is given: 90 ns each, 330 when there are so many that the cache does not hold them,
 * and four times as much when it blocks (16,000: 15 ms). Up to HOT_ROOM descriptors each wait covers all. With more, the array
 * has two parts:
 *
 * - The hot ones, those of late activity, are looked at in each wait. It does not block on them: it naps, on the pipe alone,
 *   for NAP_NS at most, and then looks, which costs a third of blocking on them, in time and in work.
 * - The cold ones are looked at in rotation, LOOK_RATE of them for each millisecond that has passed, whatever else goes on.
 *   Each has its turn once in a rotation, those that join behind all that have not had theirs. So with n cold ones (with those
 *   that join meanwhile) one is looked at within n / LOOK_RATE ms and a wait: 62 ms of 16,000. Of one look LOOK_EVENTS are
 *   handled, for the hot shall not wait for more; the next begins where this ended, and there is no nap before it.
 *
 * When a whole rotation has found nothing, nor have the waits meanwhile, and there is time, a wait covers everything and
 * blocks: idle is silent.
 *
 * A cold one becomes hot at its third event, or where there is room at its first: so a flood of connections that come, say
 * one thing and go does not drive out those that stay. A hot one becomes cold when it has had no event for 1 to 1.25 s.
 * Nothing is lost when a wait ends early, or a look is cut short: poll(2) reports what is so, and does again.
 */
#include <sley/reactor_port_impl.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    HOT_ROOM = 1024,     /* so many are hot whatever they do: a poll of them costs less than 0.1 ms */
    HOT_MAX = 2048,      /* so many may be, of those that are active */
    LOOK_RATE = 256,     /* cold ones looked at in a millisecond: a tenth of it at most */
    LOOK_LEAST = 64,     /* fewer are not worth a system call: their time adds up */
    LOOK_CUT = 128,      /* after a look with more events than were handled: there are many at hand */
    LOOK_EVENTS = 32,    /* what is handled of a look: the hot shall not wait for more */
    HEAT_HOT = 3,        /* less is a cold one's: its events so far */
    HEAT_MAX = 7,        /* of a hot one after an event; one less in each period, down to HEAT_HOT */
    WHOLE_NS_EACH = 4000 /* to block on everything costs 1 us for each: not for less than four times as long */
};
static const uint64_t NAP_NS = 150 * SLEY_US;
static const uint64_t PERIOD_NS = 250 * SLEY_MS;

/* Where the parts of the array end. The last three are the cold ones: those that have had their turn in this rotation; those that
 * were polled just now and are being handled (none between waits); those whose turn is to come. */
enum part { HOT, DONE, POLLED, ALL, PARTS };

/**
 * entries[0] is the pipe; slot->token is the place of a watched descriptor, in which part it is follows from that.
 * slot->heat outlives the watching: who is not waited for between two messages stays what it was.
 */
struct port_poll {
    struct sley__poll core;
    struct pollfd *entries;
    uint32_t ends[PARTS], capacity;
    uint32_t quiet; /* cold ones looked at since anything happened; all of them: nothing is going on */
    bool cut;       /* the last look ended before its time: the next wait does not block */
    int ring_out;
    uint64_t look_ns;   /* up to when the looks are done */
    uint64_t period_ns; /* when the next period begins */
};

static struct port_poll *port_of(struct sley__poll *r)
{
    return sley_container_of(r, struct port_poll, core);
}

static int grow(struct port_poll *p)
{
    struct sley_alloc *a = p->core.alloc;
    const uint32_t capacity = p->capacity ? p->capacity * 2 : 32;
    struct pollfd *entries = sley_alloc_get(a, capacity * sizeof *entries, _Alignof(struct pollfd));
    if (!entries) {
        return -ENOMEM;
    }
    if (p->entries) {
        memcpy(entries, p->entries, p->ends[ALL] * sizeof *entries);
        sley_alloc_put(a, p->entries, p->capacity * sizeof *entries);
    }
    p->entries = entries;
    p->capacity = capacity;
    return 0;
}

static int port_open(struct sley__poll *r)
{
    struct port_poll *p = port_of(r);
    int ends[2];
    if (grow(p) < 0) {
        return -ENOMEM;
    }
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) {
        const int rc = -errno;
        sley_alloc_put(r->alloc, p->entries, p->capacity * sizeof *p->entries);
        return rc;
    }
    p->entries[0] = (struct pollfd){.fd = ends[0], .events = POLLIN};
    for (int part = HOT; part < PARTS; part++) {
        p->ends[part] = 1;
    }
    p->ring_out = ends[1];
    return 0;
}

static void port_close(struct sley__poll *r)
{
    struct port_poll *p = port_of(r);
    (void)close(p->entries[0].fd);
    (void)close(p->ring_out);
    sley_alloc_put(r->alloc, p->entries, p->capacity * sizeof *p->entries);
}

/* ---- the array's parts -------------------------------------------------------------------------------------------- */

static uint32_t cold_count(const struct port_poll *p)
{
    return p->ends[ALL] - p->ends[HOT];
}

static void entry_put(struct port_poll *p, uint32_t place, struct pollfd e)
{
    p->entries[place] = e;
    sley__poll_slot(&p->core, e.fd)->token = place;
}

/** The gap goes through all parts from its own on, filled with the last of each. */
static void entry_remove(struct port_poll *p, uint32_t place)
{
    for (int part = HOT; part < PARTS; part++) {
        if (place < p->ends[part]) {
            const uint32_t last = --p->ends[part];
            if (place != last) {
                entry_put(p, place, p->entries[last]);
            }
            place = last;
        }
    }
}

/** As the last of @p part: the first of each later part makes room and becomes its last. There is capacity. */
static void entry_insert(struct port_poll *p, enum part part, struct pollfd e)
{
    for (int later = ALL; later > (int)part; later--) {
        const uint32_t first = p->ends[later - 1], end = p->ends[later]++;
        if (first != end) {
            entry_put(p, end, p->entries[first]);
        }
    }
    entry_put(p, p->ends[part]++, e);
}

/** To the end of @p part. */
static void entry_move(struct port_poll *p, struct sley__slot *slot, enum part part, uint8_t heat)
{
    const struct pollfd e = p->entries[slot->token];
    entry_remove(p, slot->token);
    entry_insert(p, part, e);
    slot->heat = heat;
}

/** That is where it belongs, or where there is room. */
static bool is_hot(const struct port_poll *p, const struct sley__slot *slot)
{
    return p->ends[HOT] < (slot->heat >= HEAT_HOT ? HOT_MAX : HOT_ROOM);
}

static int port_watch(struct sley__poll *r, struct sley__slot *slot, int number, uint32_t interest)
{
    struct port_poll *p = port_of(r);
    if (interest == 0) {
        if (slot->watched) {
            entry_remove(p, slot->token);
        }
    } else {
        if (!slot->watched) {
            if (p->ends[ALL] == p->capacity && grow(p) < 0) {
                return -ENOMEM;
            }
            const bool hot = is_hot(p, slot);
            entry_insert(p, hot ? HOT : ALL, (struct pollfd){.fd = number});
            slot->heat = hot && slot->heat < HEAT_HOT ? HEAT_HOT : slot->heat;
        }
        p->entries[slot->token].events = (short)(interest & (SLEY_IO_IN | SLEY_IO_OUT));
    }
    slot->watched = (uint8_t)(interest ? interest | SLEY_IO_ERR : 0);
    return 0;
}

static uint64_t now_ns(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * SLEY_S + (uint64_t)ts.tv_nsec;
}

/** Once in a period the hot cool down. */
static void cool(struct port_poll *p)
{
    const uint64_t now = now_ns();
    if (now < p->period_ns) {
        return;
    }
    p->period_ns = now + PERIOD_NS;
    for (uint32_t i = p->ends[HOT]; i-- > 1;) { /* downwards: what fills the gap has been looked at */
        struct sley__slot *slot = sley__poll_slot(&p->core, p->entries[i].fd);
        if (slot->heat > HEAT_HOT) {
            slot->heat--;
        } else {
            entry_move(p, slot, DONE, 0);
        }
    }
}

/** Something is to be handled. */
static void warm(struct port_poll *p, struct sley__slot *slot)
{
    if (slot->token < p->ends[HOT]) {
        slot->heat = HEAT_MAX;
        return;
    }
    slot->heat = (uint8_t)(slot->heat + (slot->heat < HEAT_HOT));
    if (is_hot(p, slot)) {
        entry_move(p, slot, HOT, HEAT_MAX);
    }
}

/* ---- waiting ------------------------------------------------------------------------------------------------------ */

static void drain_ring(struct port_poll *p)
{
    char bytes[16];
    (void)!read(p->entries[0].fd, bytes, sizeof bytes); /* one at most is in it */
    sley__poll_woken(&p->core);
}

/** Returns: how many of @p count entries from @p first on have something to report; negative errno, but 0 in place of -EINTR. */
static int ask(struct port_poll *p, uint32_t first, uint32_t count, uint64_t timeout_ns)
{
    const struct timespec ts = {
        .tv_sec = (time_t)(timeout_ns / SLEY_S),
        .tv_nsec = (long)(timeout_ns % SLEY_S),
    };
    const int n = ppoll(p->entries + first, count, timeout_ns == SLEY_NEVER ? NULL : &ts, NULL);
    return n >= 0 ? n : errno == EINTR ? 0 : -errno;
}

static void handle(struct port_poll *p, uint32_t place)
{
    struct sley__poll *r = &p->core;
    const struct pollfd e = p->entries[place];
    struct sley__slot *slot = sley__poll_slot(r, e.fd);
    p->entries[place].revents = 0;
    warm(p, slot);
    if (SLEY_LIKELY(e.revents == POLLIN && slot->way == SLEY__WAY_TAKEN)) {
        sley__poll_taken(r, slot);
    } else {
        sley__poll_event(r, slot, e.fd, (uint32_t)e.revents);
    }
}

/** Handles what was reported of the pipe and the hot. Returns: how much of @p n is left. */
static int handle_hot(struct port_poll *p, int n)
{
    if (n > 0 && p->entries[0].revents) {
        p->entries[0].revents = 0;
        drain_ring(p);
        n--;
    }
    /* downwards: a removal fills the gap with an entry that has been looked at, or is new; both then report nothing */
    for (uint32_t i = p->ends[HOT]; n > 0 && i-- > 1;) {
        if (i < p->ends[HOT] && p->entries[i].revents) {
            n--;
            handle(p, i);
        }
    }
    return n;
}

/** Handles what was reported of the polled; those beyond the share have their turn still to come. Returns: how many. */
static int handle_polled(struct port_poll *p, int n)
{
    int seen = 0;
    while (n > 0 && seen < LOOK_EVENTS && p->ends[DONE] < p->ends[POLLED]) {
        const uint32_t place = p->ends[DONE]++; /* its turn is over before a hook can move it */
        if (p->entries[place].revents) {
            n--;
            seen++;
            handle(p, place);
        }
    }
    p->cut = n > 0 && p->ends[DONE] < p->ends[POLLED];
    if (!p->cut) {
        p->ends[DONE] = p->ends[POLLED];
    }
    while (p->ends[POLLED] > p->ends[DONE]) {
        p->entries[--p->ends[POLLED]].revents = 0;
    }
    return seen;
}

/** Looks at as many of the cold as the time since the last look allows. Returns: how many have had something; negative errno. */
static int look(struct port_poll *p)
{
    const uint64_t now = now_ns(), due = (now - p->look_ns) / SLEY_US * LOOK_RATE / 1000;
    const uint32_t cold = cold_count(p), wanted = due < cold ? (uint32_t)due : cold;
    if (wanted < LOOK_LEAST && wanted < cold && !p->cut) {
        return 0;
    }
    if (p->ends[DONE] == p->ends[ALL]) {
        p->ends[DONE] = p->ends[POLLED] = p->ends[HOT]; /* the next rotation */
    }
    const uint32_t left = p->ends[ALL] - p->ends[DONE], least = p->cut ? LOOK_CUT : wanted;
    const uint32_t count = least < left ? least : left;
    const int n = ask(p, p->ends[DONE], count, 0);
    if (n < 0) {
        return n;
    }
    p->look_ns = now;
    p->ends[POLLED] += count;
    p->quiet = n > 0 ? 0 : p->quiet + count;
    return handle_polled(p, n);
}

/** Waits for everything. */
static int wait_whole(struct port_poll *p, uint64_t timeout_ns)
{
    const int n = ask(p, 0, p->ends[ALL], timeout_ns);
    if (n <= 0) {
        return n;
    }
    p->ends[DONE] = p->ends[HOT];
    p->ends[POLLED] = p->ends[ALL];
    p->quiet = 0;
    p->look_ns = cold_count(p) > 0 ? now_ns() : 0;
    const bool rung = p->entries[0].revents != 0;
    const int left = handle_hot(p, n), hot = n - left - rung;
    return hot + handle_polled(p, left);
}

/** Waits for the hot, not for long, and looks at some of the cold. */
static int wait_slice(struct port_poll *p, uint64_t timeout_ns)
{
    if (!p->cut && timeout_ns > 0) {
        (void)ask(p, 0, 1, timeout_ns < NAP_NS ? timeout_ns : NAP_NS); /* what it says of the pipe, the next says again */
    }
    const int n = ask(p, 0, p->ends[HOT], 0);
    if (n < 0) {
        return n;
    }
    const bool rung = n > 0 && p->entries[0].revents != 0;
    const int hot = n - handle_hot(p, n) - rung;
    p->quiet = n > 0 ? 0 : p->quiet;
    const int cold = look(p);
    return cold >= 0 || hot == 0 ? hot + cold : hot;
}

static int port_wait(struct sley__poll *r, uint64_t timeout_ns)
{
    struct port_poll *p = port_of(r);
    r->base.more = false;
    if (p->ends[ALL] <= HOT_ROOM) {
        p->ends[HOT] = p->ends[DONE] = p->ends[POLLED] = p->ends[ALL];
    } else {
        cool(p);
    }
    const bool time = timeout_ns >= (uint64_t)p->ends[ALL] * WHOLE_NS_EACH;
    if (cold_count(p) == 0 || (time && !p->cut && p->quiet >= cold_count(p))) {
        return wait_whole(p, timeout_ns);
    }
    const int seen = wait_slice(p, timeout_ns);
    r->base.more = timeout_ns == 0 && p->quiet < cold_count(p); /* a foreign loop that does not wait looks everywhere first */
    return seen;
}

static void port_ring(struct sley__poll *r)
{
    const int saved = errno; /* of the code that a signal handler has interrupted */
    (void)!write(port_of(r)->ring_out, "", 1);
    errno = saved;
}

static int serve(struct sley_reactor *self)
{
    return sley__poll_poll(self, 0);
}

static const struct sley__port port_poll = {
    .ops =
        {
            .version = SLEY_REACTOR_VERSION,
            .caps = SLEY_REACTOR_CAP_READINESS,
            .name = "poll",
            .adopt = sley__poll_adopt,
            .submit = sley__poll_submit,
            .send_on = sley__poll_send_on,
            .cancel = sley__poll_cancel,
            .poll = sley__poll_poll,
            .wake = sley__poll_wake,
            .serve = serve,
            .destroy = sley__poll_destroy,
        },
    .bytes = sizeof(struct port_poll),
    .open = port_open,
    .close = port_close,
    .watch = port_watch,
    .wait = port_wait,
    .ring = port_ring,
};

static int create(const struct sley_reactor_opts *o, struct sley_reactor **ret_reactor)
{
    return sley__poll_create(&port_poll, o, ret_reactor);
}

const struct sley_reactor_factory sley_reactor_poll2 = {
    .version = SLEY_REACTOR_VERSION,
    .name = "poll",
    .create = create,
};
