/* Steps and whole rounds of doors_model.h, and what has to be so when a reactor ends in the middle of one. */
#ifndef SLEY_TESTS_REACTOR_DOORS_ROUNDS_H
#define SLEY_TESTS_REACTOR_DOORS_ROUNDS_H

#include "doors_model.h"

/* ---- numbers, and memory --------------------------------------------------------------------------------------------------------- */

/** So many numbers are others': the next that is free lies high, or low. */
static inline void fill_numbers(uint64_t count)
{
    while (filler_count < count) {
        fillers[filler_count] = dup(nobody);
        CHECK_INT(fillers[filler_count++], >=, 0);
    }
    while (filler_count > count) {
        (void)close(fillers[--filler_count]);
    }
}

static inline void refuse_memory(void)
{
    harness_fail_at(1 + harness_rand_below(3));
    short_of_memory = true;
}

/* ---- steps ----------------------------------------------------------------------------------------------------------------------- */

static inline bool collect_all(void)
{
    bool any = false;
    for (int i = 0; i < LINKS; i++) {
        any |= !is_vacant(&links[i]) && collect(&links[i]);
    }
    for (int i = 0; i < DOORS; i++) {
        any |= collect_door(&doors[i]);
    }
    for (int i = 0; i < CALLS; i++) {
        any |= collect_call(&calls[i]);
    }
    for (int i = 0; i < OPENS; i++) {
        any |= collect_opening(&openings[i]);
    }
    return any;
}

static inline void look_at_doors(void)
{
    CHECK_INT(look(0), >=, 0);
    CHECK_RC(sley_yield(), 0); /* what other threads have done comes through the inbox */
    while (collect_all()) {
    }
}

static inline void door_step(struct door *d)
{
    const uint64_t what = harness_rand_below(100);
    struct guest *g = guest_at(d);
    if (what < 35) {
        knock(d);
    } else if (what < 65) {
        guest_comes(d);
    } else if (what < 75 && g) {
        guest_does(g);
    } else if (what < 87) {
        cancel_knock(d);
    } else if (what < 91) {
        start_to_poll_door(d);
    } else if (what < 98) {
        const int rc = sley_fd_move(&d->fd);
        CHECK(rc == 0 || rc == (d->closer ? -EBADF : -EBUSY) || (rc == -ENOMEM && short_of_memory));
    } else if (what < 99) {
        start_to_close_door(d);
    }
}

static inline void link_step(struct link *l)
{
    static void (*const starts[])(struct link *) = {start_reader, start_reader, start_writer, start_poller, now, move};
    const uint64_t what = harness_rand_below(100);
    if (is_vacant(l)) {
        return;
    }
    if (what < 40) {
        starts[harness_rand_below(sizeof starts / sizeof starts[0])](l);
    } else if (what < 60) {
        peer_sends(l, some_bytes());
    } else if (what < 70) {
        peer_takes(l, some_bytes());
    } else if (what < 80) {
        cancel_act(l->acts[harness_rand_below(3)]);
    } else if (what < 86) {
        give_back();
    } else if (what < 89) {
        peer_resets(l);
    } else if (what < 91 && l->peer >= 0) {
        CHECK(shutdown(l->peer, SHUT_WR) == 0 || l->is_reset || l->acts[CLOSER]);
        l->is_over = true;
    } else if (what < 97) {
        start_closer(l);
    }
}

static inline void door_or_link_step(void)
{
    const uint64_t what = harness_rand_below(100);
    steps_done++;
    if (what < 30) {
        door_step(&doors[harness_rand_below(DOORS)]);
    } else if (what < 60) {
        link_step(&links[harness_rand_below(LINKS)]);
    } else if (what < 65) {
        start_call();
    } else if (what < 68) {
        cancel_call(calls[harness_rand_below(CALLS)]);
    } else if (what < 71) {
        (void)look_at_street();
    } else if (what < 74) {
        start_opening();
    } else if (what < 76) {
        cancel_opening(openings[harness_rand_below(OPENS)]);
    } else if (what < 78) {
        fill_numbers(harness_rand_below(FILLERS));
    } else if (what < 80) {
        if (may_refuse) {
            refuse_memory();
        }
    } else {
        look_at_doors();
        return;
    }
    while (collect_all()) {
    }
}

/* ---- whole rounds ------------------------------------------------------------------------------------------------------------------ */

static inline void begin_doors(void)
{
    reactor()->lend.opts = (struct sley_lend_opts){
        .buffer_bytes = 64U << harness_rand_below(4),
        .buffer_count = 1 + (uint32_t)harness_rand_below(4), /* as many as may be kept: they run out */
    };
    renew = vacate;
    may_refuse = harness_rand_below(2);
    reset_count = mute_count = unseen_count = ended_count = 0;
    street = tcp_listener(&street_addr, 64);
    nobody = tcp_nobody(&nobody_addr);
    for (int i = 0; i < LINKS; i++) {
        vacate(&links[i]);
    }
    for (int i = 0; i < GUESTS; i++) {
        guests[i] = (struct guest){.as.peer = -1};
    }
    for (int i = 0; i < DOORS; i++) {
        open_door(&doors[i]);
    }
}

/** Memory is there again, and nobody else is in the way. */
static inline void end_disturbances(void)
{
    harness_fail_at(0);
    fill_numbers(0);
}

static inline void end_street(void)
{
    while (look_at_street()) {
    }
    (void)close(street);
    (void)close(nobody);
    while (held_count > 0) {
        give_back();
    }
    short_of_memory = false;
    renew = NULL;
}

/** Every guest who is still there is let in, or has been sent away unseen. */
static inline void let_in(struct door *d)
{
    for (int i = 0; i < GUESTS; i++) {
        struct guest *g = &guests[i];
        while (g->door == d) {
            if (has_ended(g->as.peer)) {
                ended_count++;
                guest_leaves(g);
            } else {
                knock(d);
                look_at_doors();
            }
        }
    }
}

static inline void settle_door(struct door *d)
{
    while (d->closer) {
        look_at_doors();
    }
    let_in(d);
    for (int i = 0; i < KNOCKS; i++) {
        while (d->knocks[i]) {
            if (!d->knocks[i]->asked) {
                d->knocks[i]->asked = true;
                sley_wait_cancel(&d->knocks[i]->op.wait);
            }
            look_at_doors();
        }
    }
    start_to_close_door(d);
    while (!sley_wait_done(&d->closer->wait) || (d->poll && !sley_wait_done(&d->poll->wait))) {
        CHECK_INT(look(0), >=, 0);
    }
    free(d->poll);
    door_closed(d);
    memset(d, 0, sizeof *d);
}

static inline void end_doors(void)
{
    end_disturbances();
    for (int i = 0; i < DOORS; i++) {
        settle_door(&doors[i]);
    }
    CHECK(ended_count <= unseen_count || short_of_memory); /* without memory for it a connection is closed again */
    for (int i = 0; i < CALLS; i++) {
        while (calls[i]) {
            look_at_doors();
        }
    }
    for (int i = 0; i < OPENS; i++) {
        while (openings[i]) {
            look_at_doors();
        }
    }
    for (int i = 0; i < LINKS; i++) {
        if (!is_vacant(&links[i])) {
            settle(&links[i]);
        }
        CHECK_RC(sley_fd_close(&links[i].fd), 0);
        if (links[i].peer >= 0) {
            (void)close(links[i].peer);
        }
    }
    end_street();
    CHECK_UINT(reactor()->armed_count, ==, 0);
}

static inline void run_doors(void)
{
    begin_doors();
    for (unsigned n = 0; n < 400; n++) {
        door_or_link_step();
    }
    end_doors();
}

/** What is in flight stays so. */
static inline void leave_doors(void)
{
    begin_doors();
    for (uint64_t left = harness_rand_below(300); left > 0; left--) {
        door_or_link_step();
    }
    end_disturbances();
}

/* ---- the reactor has ended: every op has, too ---------------------------------------------------------------------------------------- */

static inline void close_made(const struct sley_io_op *op)
{
    struct sley_fd fd;
    sley_fd_init_from(&fd, op);
    CHECK_RC(sley_fd_close(&fd), 0);
}

static inline void check_door_left(struct door *d)
{
    for (int i = 0; i < KNOCKS; i++) {
        struct knock *k = d->knocks[i];
        if (k) {
            CHECK(sley_wait_done(&k->op.wait));
            k->asked = true;
            if (k->op.wait.result == 0) {
                close_made(&k->op);
            } else {
                check_accept_failed(k);
            }
            free(k);
        }
    }
    CHECK(!d->poll || sley_wait_done(&d->poll->wait));
    free(d->poll);
    if (d->closer) {
        CHECK(sley_wait_done(&d->closer->wait));
        CHECK_RC(d->closer->wait.result, 0);
        free(d->closer);
    }
    CHECK_RC(sley_fd_close(&d->fd), 0);
    memset(d, 0, sizeof *d);
}

static inline void check_call_left(struct call *c)
{
    if (c) {
        const int32_t n = c->op.wait.result;
        CHECK(sley_wait_done(&c->op.wait));
        CHECK(n == -ECANCELED || (n == -ECONNREFUSED && c->in_vain) || (n == 0 && !c->in_vain) || (n == -ENOMEM && short_of_memory));
        CHECK_RC(sley_fd_close(&c->fd), 0);
        if (c->peer >= 0) {
            (void)close(c->peer);
        }
        free(c);
    }
}

static inline void check_opening_left(struct opening *o)
{
    if (o) {
        CHECK(sley_wait_done(&o->op.io.wait));
        if (o->op.io.wait.result == 0) {
            close_made(&o->op.io);
        } else {
            o->asked = true;
            check_opening_failed(o);
        }
        free(o);
    }
}

static inline void check_doors_left(void)
{
    for (int i = 0; i < DOORS; i++) {
        check_door_left(&doors[i]);
    }
    for (int i = 0; i < CALLS; i++) {
        check_call_left(calls[i]);
        calls[i] = NULL;
    }
    for (int i = 0; i < OPENS; i++) {
        check_opening_left(openings[i]);
        openings[i] = NULL;
    }
    check_left();
    for (int i = 0; i < GUESTS; i++) {
        if (guests[i].door) { /* nobody has kept its connection */
            wait_in(guests[i].as.peer);
            CHECK(has_ended(guests[i].as.peer));
            guest_leaves(&guests[i]);
        }
    }
    end_street();
}

#endif
