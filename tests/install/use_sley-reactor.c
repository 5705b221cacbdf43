/* A user of sley-reactor alone: a plain thread that waits for a pipe without any runtime. */
#include <sley/reactor.h>

#include <stdio.h>
#include <unistd.h>

int main(void)
{
    int ends[2];
    struct sley_fd fd;
    if (pipe(ends) != 0 || write(ends[1], "x", 1) != 1) {
        return 1;
    }
    sley_fd_init(&fd, ends[0]);
    if (SLEY_UNTIL(sley_after_ns(SLEY_S), sley_fd_poll(&fd, SLEY_IO_IN)) != SLEY_IO_IN || sley_fd_close(&fd) != 0) {
        return 1;
    }
    (void)close(ends[1]);
    puts("works");
    return 0;
}
