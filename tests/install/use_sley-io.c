/* A user of sley-io on a plain thread: an address, and a pair of streams in memory. */
#include <sley/addr.h>
#include <sley/stream_pair.h>

#include <stdio.h>
#include <string.h>

int main(void)
{
    static char buffers[64];
    struct sley_stream_pair p;
    struct sley_addr addr;
    char got[8] = "";
    size_t done = 0;
    if (sley_addr_parse(&addr, "[::1]:7000") != 0 || sley_addr_parse(&addr, "nonsense") != -EINVAL) {
        return 1;
    }
    if (sley_stream_pair_init(&p, buffers, sizeof buffers) != 0 || sley_stream_write_all(&p.a.stream, "hello", 5, NULL) != 0 ||
        sley_stream_read_exact(&p.b.stream, got, 5, &done) != 0 || done != 5 || strcmp(got, "hello") != 0) {
        return 1;
    }
    if (sley_stream_close(&p.a.stream) != 0 || sley_stream_close(&p.b.stream) != 0) {
        return 1;
    }
    puts("works");
    return 0;
}
