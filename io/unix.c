/* Addresses of Unix sockets; FIFOs, which are files that are told from others here. */
#include <sley/unix.h>

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

int sley_unix_addr_init(struct sley_unix_addr *ret_addr, const char *path)
{
    struct sley_unix_addr a = {.sock.sun_family = AF_UNIX};
    const size_t len = path ? strlen(path) : 0;
    const bool is_name = len > 0 && path[0] == '@';
    if (len == 0) {
        return -EINVAL;
    }
    if (len + !is_name > sizeof a.sock.sun_path) { /* a path has its end with it; a name has none */
        return -ENAMETOOLONG;
    }
    memcpy(a.sock.sun_path, path, len);
    if (is_name) {
        a.sock.sun_path[0] = '\0';
    }
    a.len = (uint32_t)(offsetof(struct sockaddr_un, sun_path) + len + !is_name);
    *ret_addr = a;
    return 0;
}

static bool is_mode(int mode)
{
    return mode == O_RDONLY || mode == O_WRONLY;
}

/** Is it a FIFO whose flags allow for that? */
static int check(int number, int mode, int *ret_flags)
{
    struct stat st;
    const int flags = fcntl(number, F_GETFL);
    if (flags < 0 || fstat(number, &st) < 0) {
        return -errno;
    }
    *ret_flags = flags;
    const int has = flags & O_ACCMODE;
    return S_ISFIFO(st.st_mode) && (has == mode || has == O_RDWR) ? 0 : -EINVAL;
}

int sley_fifo_from_fd(struct sley_file *ret_file, int number, int mode)
{
    int flags = 0;
    const int rc = is_mode(mode) ? check(number, mode, &flags) : -EINVAL;
    if (rc < 0) {
        return rc;
    }
    if (fcntl(number, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(number, F_SETFD, FD_CLOEXEC) < 0) {
        return -errno;
    }
    return sley_file_from_fd(ret_file, number);
}

int sley_fifo_open(struct sley_file *ret_file, const char *path, int mode)
{
    if (!path || !is_mode(mode)) {
        return -EINVAL;
    }
    const int number = open(path, mode | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (number < 0) {
        return -errno;
    }
    const int rc = sley_fifo_from_fd(ret_file, number, mode);
    if (rc < 0) {
        (void)close(number);
    }
    return rc;
}
