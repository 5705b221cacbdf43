/* Select over a read, a channel, an idle timer and cancellation, as a user would write it. */
#include <string.h>

#include <sley/stream_pair.h>

#include "rig.h"

enum verb { CMD_SAY, CMD_QUIT };
struct cmd {
    enum verb verb;
};
SLEY_MPSC_TYPE(cmds, struct cmd, 4)

static struct {
    size_t bytes;
    int commands;
} heard;

static int handle_bytes(const char *buf, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        CHECK_INT(buf[i], ==, 'x');
    }
    heard.bytes += len;
    return 0;
}

static int handle_cmd(const struct cmd *c)
{
    heard.commands++;
    return c->verb == CMD_QUIT ? -ESHUTDOWN : 0;
}

static int talk(struct sley_stream *s, struct cmds *from)
{
    char buf[512];
    struct cmd c;
    SLEY_OP(struct sley_io_op, rd);
    SLEY_OP(struct sley_mpsc_op, rx);
    SLEY_OP(struct sley_timer, idle);
    enum { RD, RX, IDLE };
    struct sley_wait *const w[] = {&rd.wait, &rx.wait, &idle.wait};
    sley_stream_read_start(&rd, s, buf, sizeof buf);
    cmds_recv_start(&rx, from, &c);
    sley_sleep_start(&idle, 30 * SLEY_S);
    for (;;) {
        int rc = sley_select(w, 3, SLEY_SELECT_FAIR | SLEY_SELECT_KEEP);
        switch (rc) {
        case RD:
            if (rd.wait.result <= 0) {
                return rd.wait.result;
            }
            if ((rc = handle_bytes(buf, (size_t)rd.wait.result)) < 0) {
                return rc;
            }
            sley_timer_reset(&idle, sley_after_ns(30 * SLEY_S));
            sley_stream_read_start(&rd, s, buf, sizeof buf);
            break;
        case RX:
            if (rx.wait.result != 1) {
                return rx.wait.result;
            }
            if ((rc = handle_cmd(&c)) < 0) {
                return rc;
            }
            cmds_recv_start(&rx, from, &c);
            break;
        case IDLE:
            return -ETIMEDOUT;
        default:
            return rc;
        }
    }
}

static struct sley_stream_pair pair;
static struct cmds cmds;

struct talker {
    struct sley_stream *stream;
    struct cmds *from;
};
static int talker(struct talker *a)
{
    const int rc = talk(a->stream, a->from);
    CHECK_RC(sley_stream_close(a->stream), 0); /* nothing is armed on it any more: each op was finished on the way out */
    return rc;
}
SLEY_FIBER(talker, struct talker)

/* What the other side does. */
struct script {
    int writes, commands;
    uint64_t pause_ns; /* after each */
    bool quit, hang_up, cancel;
};

static int other_side(struct script *a)
{
    unsigned char buffers[2 * 256];
    struct sley_task *task;
    int result = -1;
    CHECK_RC(sley_stream_pair_init(&pair, buffers, sizeof buffers / 2), 0);
    CHECK_RC(cmds_init(&cmds), 0);
    CHECK_RC(SLEY_SPAWN_TASK(&task, NULL, talker, .stream = &pair.a.stream, .from = &cmds), 0);
    for (int i = 0; i < a->writes || i < a->commands; i++) {
        if (i < a->writes) {
            CHECK_RC(sley_stream_write_all(&pair.b.stream, "xxxxxxxx", 8, NULL), 0);
        }
        if (i < a->commands) {
            CHECK_RC(cmds_send(&cmds, &(struct cmd){CMD_SAY}), 0);
        }
        CHECK_RC(sley_sleep(a->pause_ns), 0);
    }
    if (a->quit) {
        CHECK_RC(cmds_send(&cmds, &(struct cmd){CMD_QUIT}), 0);
    }
    if (a->hang_up) {
        CHECK_RC(sley_stream_shutdown(&pair.b.stream), 0);
    }
    if (a->cancel) {
        sley_task_cancel(task);
    }
    CHECK_RC(sley_task_join(task, &result), 0);
    sley_task_unref(task);
    CHECK_RC(sley_stream_close(&pair.b.stream), 0);
    CHECK_RC(sley_stream_pair_fini(&pair), 0);
    cmds_fini(&cmds, NULL);
    return result;
}
SLEY_FIBER(other_side, struct script)

SLEY_TEST(select_hears_stream_and_channel_until_told_to_quit, "")
{
    const struct script s = {.writes = 50, .commands = 40, .pause_ns = SLEY_S, .quit = true};
    CHECK_RC(rig_run("none", &other_side__type, &s, NULL), -ESHUTDOWN);
    CHECK_UINT(heard.bytes, ==, 50 * 8); /* 50 s in all: the idle timer moved each time */
    CHECK_INT(heard.commands, ==, 41);
}

SLEY_TEST(select_ends_with_the_stream, "")
{
    const struct script s = {.writes = 3, .pause_ns = SLEY_S, .hang_up = true};
    CHECK_RC(rig_run("none", &other_side__type, &s, NULL), 0);
    CHECK_UINT(heard.bytes, ==, 3 * 8);
}

SLEY_TEST(select_idle_for_30_seconds_times_out, "")
{
    uint64_t took;
    const struct script s = {.writes = 1, .commands = 100, .pause_ns = 100 * SLEY_MS};
    CHECK_RC(rig_run("none", &other_side__type, &s, &took), -ETIMEDOUT);
    CHECK_UINT(took, >=, 30 * SLEY_S); /* commands do not count as life */
    CHECK_UINT(took, <=, 30 * SLEY_S + 200 * SLEY_MS);
    CHECK_INT(heard.commands, ==, 100);
}

SLEY_TEST(select_cancelled_gives_everything_back, "")
{
    const struct script s = {.writes = 2, .commands = 2, .pause_ns = SLEY_S, .cancel = true};
    CHECK_RC(rig_run("none", &other_side__type, &s, NULL), -ECANCELED);
    CHECK_UINT(heard.bytes, ==, 2 * 8);
    CHECK_INT(heard.commands, ==, 2);
}
