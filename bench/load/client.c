/* One connection of the load: keeps `depth` messages on their way, checks what comes back, notes how long it took. */
#include "load.h"

#include <stdlib.h>
#include <string.h>

static size_t ring_bytes(const struct client *c)
{
    return (size_t)c->load->depth * c->load->payload_bytes;
}

/** Writes the next message into slot @p slot of the ring; messages of eight bytes and more differ from one another. */
static void compose(struct client *c, size_t slot)
{
    const size_t bytes = c->load->payload_bytes;
    unsigned char *m = c->ring + slot * bytes;
    const uint64_t mark = (c->sequence++ << 24) ^ c->number;
    for (size_t i = 0; i < bytes; i++) {
        m[i] = (unsigned char)(mark >> (i % 8 * 8));
    }
}

static int prepare(struct client *c)
{
    const size_t bytes = ring_bytes(c);
    c->ring = malloc(bytes * 2);
    c->sent_ns = malloc(c->load->depth * sizeof *c->sent_ns);
    if (!c->ring || !c->sent_ns) {
        return -ENOMEM;
    }
    c->got = c->ring + bytes;
    for (size_t i = 0; i < c->load->depth; i++) {
        compose(c, i);
    }
    c->from = 0;
    c->len = bytes;
    /* spread over the interval: they came at once, but are not to send at once */
    c->due_ns = sley_now_ns() + (uint64_t)((double)c->load->interval_ns * c->number / c->load->connection_count);
    return 0;
}

/** Stamps the messages that are about to be sent. */
static void stamp(struct client *c)
{
    const uint64_t now = sley_now_ns();
    const size_t bytes = c->load->payload_bytes;
    for (size_t i = c->from / bytes; i < (c->from + c->len) / bytes; i++) {
        c->sent_ns[i] = now;
    }
}

/** Checks @p n bytes that have come; each whole message is noted and replaced by the next one to send. */
static int check(struct client *c, size_t n)
{
    const size_t bytes = c->load->payload_bytes;
    if (memcmp(c->got, c->ring + c->at, n) != 0) {
        return -EBADMSG;
    }
    const size_t first = c->at / bytes;
    const size_t last = (c->at + n) / bytes; /* read never goes past the ring's end */
    const uint64_t now = last > first ? sley_now_ns() : 0;
    for (size_t i = first; i < last; i++) {
        if (c->load->measuring) {
            histogram_add(&c->load->latency_ns, now - c->sent_ns[i]);
            c->load->echo_count++;
        }
        compose(c, i);
    }
    c->from = first * bytes;
    c->len = (last - first) * bytes;
    c->at = c->at + n == ring_bytes(c) ? 0 : c->at + n;
    return 0;
}

static void give_up(struct client *c)
{
    if (c->n != -ECANCELED) {
        c->load->error_count++;
        c->load->first_error = c->load->first_error ? c->load->first_error : c->n == 0 ? -ENODATA : c->n;
    }
    free(c->ring);
    free(c->sent_ns);
}

/** After a message was due: when the next one is. What was missed meanwhile is not made up for: that would be a burst of one's own. */
static void make_due(struct client *c)
{
    const uint64_t interval = c->load->interval_ns, late = sley_now_ns() - c->due_ns;
    c->load->missed_count += c->load->measuring ? late / interval : 0;
    c->due_ns += (late / interval + 1) * interval;
}

static enum sley_step client(struct client *c)
{
    int rc;
    SLEY_BEGIN(c);
    c->n = prepare(c);
    while (c->n >= 0) {
        if (c->len > 0) {
            if (c->load->interval_ns > 0) {
                SLEY_CALL(c, c->n, sley_sleep_until, &c->timer, c->due_ns);
                if (c->n < 0) {
                    break;
                }
                make_due(c);
            }
            stamp(c);
            SLEY_CALL(c, c->n, sley_stream_write_all, &c->op, &c->tcp.stream, c->ring + c->from, c->len, NULL);
            if (c->n < 0) {
                break;
            }
        }
        SLEY_CALL(c, c->n, sley_stream_read, &c->op, &c->tcp.stream, c->got, ring_bytes(c) - c->at);
        if (c->n <= 0) {
            break;
        }
        c->n = check(c, (size_t)c->n);
    }
    give_up(c);
    SLEY_CALL(c, rc, sley_stream_close, &c->op, &c->tcp.stream);
    SLEY_RETURN(c, rc);
    SLEY_END(c);
}
SLEY_FRAME(client, struct client)

int client_spawn(struct sley_scope *scope, struct load *load, struct sley_tcp tcp, uint32_t number)
{
    return SLEY_SPAWN(scope, client, .tcp = tcp, .load = load, .number = number);
}
