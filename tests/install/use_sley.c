/* A user of all of sley: one task that connects to itself. */
#include <sley/sley.h>

static int talk(void *unused)
{
    struct sley_tcp_listener l;
    struct sley_tcp here, there;
    struct sley_addr addr;
    char text[64], got[4] = "";
    (void)unused;
    int rc = sley_tcp_listen(&l, "127.0.0.1:0", NULL);
    if (rc < 0) {
        return rc;
    }
    if ((rc = sley_tcp_listener_local(&l, &addr)) < 0 || (rc = sley_addr_format(&addr, text, sizeof text)) < 0 ||
        (rc = sley_tcp_connect(&here, text, NULL)) < 0) {
        return rc;
    }
    if ((rc = sley_tcp_accept(&l, &there)) == 0) {
        rc = sley_stream_write_all(&here.stream, "abc", 3, NULL);
        rc = rc < 0 ? rc : sley_stream_read_exact(&there.stream, got, 3, NULL);
        sley_stream_close(&there.stream);
    }
    sley_stream_close(&here.stream);
    sley_tcp_listener_close(&l);
    if (rc == 0 && strcmp(got, "abc") == 0) {
        puts("works");
    }
    return rc;
}
SLEY_FIBER(talk, void)
SLEY_MAIN(talk)
