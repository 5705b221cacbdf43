/* Addresses of Unix sockets, and opening FIFOs. Ops on the sockets: <sley/reactor.h>; reading and writing a FIFO: <sley/file.h>. */
#ifndef SLEY_UNIX_H
#define SLEY_UNIX_H

#include <sys/socket.h>
#include <sys/un.h>

#include <sley/file.h>

SLEY_EXTERN_C_BEGIN

/** The address of a Unix socket: for bind(2), and for SLEY_IO_CONNECT. A value: copy it freely. */
struct sley_unix_addr {
    uint32_t len; /**< bytes of `sock` in use, for the system's calls */
    struct sockaddr_un sock;
};

/**
 * Makes the address of @p path; if that begins with "@", of the name behind it in Linux's abstract name space. Returns: 0; -EINVAL:
 * @p path is empty; -ENAMETOOLONG: it does not fit. `*ret_addr` is untouched on failure. Thread: any. Never waits.
 */
SLEY_API int sley_unix_addr_init(struct sley_unix_addr *ret_addr, const char *path);

/**
 * Opens one end of a FIFO: @p mode is O_RDONLY or O_WRONLY. The file is non-blocking and close-on-exec; sley_file_read and _write wait
 * for it as for a socket. Returns: 0; -EINVAL: not a FIFO, or another @p mode; -ENXIO: O_WRONLY while no process has it open for reading;
 * -ENOENT and other errors of open(2). Owns: the file on success. Thread: any. Never waits for the other end, but may for the disk that
 * holds the path.
 */
SLEY_API int sley_fifo_open(struct sley_file *ret_file, const char *path, int mode);

/** Takes over an open pipe or FIFO, which must have been opened in @p mode, or O_RDWR. Returns: as sley_fifo_open. Owns: the number on
 * success. Thread: any. */
SLEY_API int sley_fifo_from_fd(struct sley_file *ret_file, int number, int mode);

SLEY_EXTERN_C_END
#endif
