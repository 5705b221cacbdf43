/* Unix sockets' addresses, and FIFOs by their path. The sockets' ops are <sley/reactor.h>'s; reading and writing FIFOs: <sley/file.h>. */
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
 * The address at @p path, or with the name behind "@" in the system's name space that has no paths (Linux). Returns: 0; -EINVAL: empty;
 * -ENAMETOOLONG: it does not fit, and is not shortened. `*ret_addr` untouched on failure. Thread: any. Never waits.
 */
SLEY_API int sley_unix_addr_init(struct sley_unix_addr *ret_addr, const char *path);

/**
 * Opens one end of a FIFO: @p mode is O_RDONLY or O_WRONLY. It is non-blocking and close-on-exec, so that reads and writes of it wait as
 * others do. Returns: 0; -EINVAL: no FIFO, or no such mode; -ENXIO: to write, and nobody has it open to read; -ENOENT and what else
 * open(2) says. Owns: the file on success. Thread: any. Never waits for the other end; for the disk that has the path, perhaps.
 */
SLEY_API int sley_fifo_open(struct sley_file *ret_file, const char *path, int mode);

/** The same of an open pipe or FIFO of any origin, which must have been opened in that mode, or in both. Owns: the number on success. */
SLEY_API int sley_fifo_from_fd(struct sley_file *ret_file, int number, int mode);

SLEY_EXTERN_C_END
#endif
