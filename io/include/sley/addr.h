/* Numeric socket addresses and their text. Names are not looked up here. */
#ifndef SLEY_ADDR_H
#define SLEY_ADDR_H

#include <netinet/in.h>
#include <sys/socket.h>

#include <sley/base.h>

SLEY_EXTERN_C_BEGIN

/** An IPv4 or IPv6 address and port. A value: copy it freely. */
struct sley_addr {
    uint32_t len; /**< bytes of `any` in use, for the system's calls; 0: none */
    union {
        struct sockaddr any;
        struct sockaddr_in in4;
        struct sockaddr_in6 in6;
    } sock;
};
SLEY_STATIC_ASSERT(sizeof(struct sley_addr) == 32, "an address is a few words");

/** Enough for every text that sley_addr_format writes, its end included. */
enum { SLEY_ADDR_TEXT_BYTES = 72 };

/**
 * Reads "127.0.0.1:7000", "[::1]:7000", "[fe80::1%2]:7000" or "[fe80::1%eth0]:7000". The port, 0..65535, must be there.
 * Returns: 0; -EINVAL for anything else, names included; -ENODEV when there is no such interface. Thread: any. Never waits.
 */
SLEY_API int sley_addr_parse(struct sley_addr *ret_addr, const char *text);

/**
 * Writes the address as sley_addr_parse reads it. Returns: the length without the end; -EINVAL for another family; -ENOSPC when
 * it does not fit @p bytes (SLEY_ADDR_TEXT_BYTES always do). Thread: any.
 */
SLEY_API int sley_addr_format(const struct sley_addr *addr, char *ret_text, size_t bytes);

/** The port, or 0. Thread: any. */
SLEY_API uint16_t sley_addr_port(const struct sley_addr *addr);

SLEY_EXTERN_C_END
#endif
