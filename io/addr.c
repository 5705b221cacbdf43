/* Numeric addresses: text in, text out. */
#include <sley/addr.h>

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

/** "7000" -> 7000. Digits alone: strtol would take blanks and signs. */
static int parse_number(const char *text, uint32_t limit, uint32_t *ret_number)
{
    uint32_t n = 0;
    if (*text == '\0') {
        return -EINVAL;
    }
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9') {
            return -EINVAL;
        }
        const uint32_t digit = (uint32_t)(*text - '0');
        if (n > (limit - digit) / 10) {
            return -EINVAL;
        }
        n = n * 10 + digit;
    }
    *ret_number = n;
    return 0;
}

/** Copies text[0..len) as a string. */
static int cut(char *ret, size_t bytes, const char *text, size_t len)
{
    if (len == 0 || len >= bytes) {
        return -EINVAL;
    }
    memcpy(ret, text, len);
    ret[len] = '\0';
    return 0;
}

static int parse_scope(const char *text, uint32_t *ret_scope)
{
    if (parse_number(text, UINT32_MAX, ret_scope) == 0) {
        return 0;
    }
    if (*text == '\0' || (*text >= '0' && *text <= '9')) {
        return -EINVAL;
    }
    *ret_scope = if_nametoindex(text);
    return *ret_scope == 0 ? -ENODEV : 0;
}

static int parse_in4(struct sley_addr *a, const char *text, const char *colon)
{
    char host[INET_ADDRSTRLEN];
    if (cut(host, sizeof host, text, (size_t)(colon - text)) < 0 || inet_pton(AF_INET, host, &a->sock.in4.sin_addr) != 1) {
        return -EINVAL;
    }
    a->sock.in4.sin_family = AF_INET;
    a->len = sizeof a->sock.in4;
    return 0;
}

static int parse_in6(struct sley_addr *a, const char *text, const char *end)
{
    char host[INET6_ADDRSTRLEN + 1 + IF_NAMESIZE];
    if (cut(host, sizeof host, text, (size_t)(end - text)) < 0) {
        return -EINVAL;
    }
    char *percent = strchr(host, '%');
    if (percent) {
        *percent = '\0';
    }
    if (inet_pton(AF_INET6, host, &a->sock.in6.sin6_addr) != 1) {
        return -EINVAL;
    }
    a->sock.in6.sin6_family = AF_INET6;
    a->len = sizeof a->sock.in6;
    return percent ? parse_scope(percent + 1, &a->sock.in6.sin6_scope_id) : 0;
}

int sley_addr_parse(struct sley_addr *ret_addr, const char *text)
{
    if (!ret_addr || !text) {
        return -EINVAL;
    }
    struct sley_addr a;
    memset(&a, 0, sizeof a);
    const bool in6 = text[0] == '[';
    const char *colon = in6 ? strchr(text, ']') : strchr(text, ':');
    if (!colon || (in6 && colon[1] != ':')) {
        return -EINVAL;
    }
    uint32_t port = 0;
    int rc = parse_number(colon + (in6 ? 2 : 1), UINT16_MAX, &port);
    if (rc == 0) {
        rc = in6 ? parse_in6(&a, text + 1, colon) : parse_in4(&a, text, colon);
    }
    if (rc < 0) {
        return rc;
    }
    if (in6) {
        a.sock.in6.sin6_port = htons((uint16_t)port);
    } else {
        a.sock.in4.sin_port = htons((uint16_t)port);
    }
    *ret_addr = a;
    return 0;
}

int sley_addr_format(const struct sley_addr *addr, char *ret_text, size_t bytes)
{
    char host[INET6_ADDRSTRLEN];
    char text[SLEY_ADDR_TEXT_BYTES];
    if (!addr || !ret_text || addr->len == 0) {
        return -EINVAL;
    }
    int n;
    if (addr->sock.any.sa_family == AF_INET) {
        (void)inet_ntop(AF_INET, &addr->sock.in4.sin_addr, host, sizeof host);
        n = snprintf(text, sizeof text, "%s:%u", host, sley_addr_port(addr));
    } else if (addr->sock.any.sa_family == AF_INET6) {
        (void)inet_ntop(AF_INET6, &addr->sock.in6.sin6_addr, host, sizeof host);
        const unsigned scope = addr->sock.in6.sin6_scope_id;
        n = scope ? snprintf(text, sizeof text, "[%s%%%u]:%u", host, scope, sley_addr_port(addr))
                  : snprintf(text, sizeof text, "[%s]:%u", host, sley_addr_port(addr));
    } else {
        return -EINVAL;
    }
    if ((size_t)n >= bytes) {
        return -ENOSPC;
    }
    memcpy(ret_text, text, (size_t)n + 1);
    return n;
}

uint16_t sley_addr_port(const struct sley_addr *addr)
{
    if (!addr || addr->len == 0) {
        return 0;
    }
    return ntohs(addr->sock.any.sa_family == AF_INET6 ? addr->sock.in6.sin6_port : addr->sock.in4.sin_port);
}
