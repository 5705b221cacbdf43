/* Numeric addresses: what is read, what is refused, and that both directions agree. */
#include <sley/addr.h>

#include <arpa/inet.h>
#include <string.h>

#include "harness.h"

static void check_round(const char *text, const char *expected)
{
    struct sley_addr a;
    char out[SLEY_ADDR_TEXT_BYTES];
    CHECK_RC(sley_addr_parse(&a, text), 0);
    CHECK_RC(sley_addr_format(&a, out, sizeof out), strlen(expected));
    CHECK_STR(out, expected);
}

SLEY_TEST(addr_text_and_back_is_the_same, "")
{
    check_round("127.0.0.1:7000", "127.0.0.1:7000");
    check_round("0.0.0.0:0", "0.0.0.0:0");
    check_round("255.255.255.255:65535", "255.255.255.255:65535");
    check_round("[::1]:7000", "[::1]:7000");
    check_round("[::]:0", "[::]:0");
    check_round("[0:0:0:0:0:0:0:1]:080", "[::1]:80");
    check_round("[::ffff:1.2.3.4]:1", "[::ffff:1.2.3.4]:1");
    check_round("[fe80::1%7]:9", "[fe80::1%7]:9");
    check_round("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535",
                "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535");
}

SLEY_TEST(addr_interface_name_becomes_its_index, "")
{
    check_round("[fe80::1%lo]:9", "[fe80::1%1]:9");
    struct sley_addr a;
    CHECK_RC(sley_addr_parse(&a, "[fe80::1%no-such-if0]:9"), -ENODEV);
}

SLEY_TEST(addr_anything_else_is_refused_and_nothing_written, "")
{
    static const char *const bad[] = {
        "",
        ":",
        ":80",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "127.0.0.1:-1",
        "127.0.0.1: 1",
        "127.0.0.1:+1",
        "127.0.0.1:1x",
        "127.0.0.1:1 ",
        " 127.0.0.1:1",
        "1.2.3:4",
        "1.2.3.4.5:6",
        "256.0.0.1:1",
        "localhost:80",
        "example.org:80",
        "::1:80",
        "[::1]",
        "[::1]80",
        "[::1]:",
        "[::1:80",
        "[]:80",
        "[127.0.0.1]:80",
        "[fe80::1%]:1",
        "[fe80::1%4294967296]:1",
        "[::1]:99999999999999999999",
        "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]:1",
        "1111111111111111111111111111:1",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct sley_addr a = {.len = 77};
        const int rc = sley_addr_parse(&a, bad[i]);
        if (rc != -EINVAL || a.len != 77) {
            FAIL("\"%s\" gave %d, length %u", bad[i], rc, a.len);
        }
    }
    struct sley_addr a;
    CHECK_RC(sley_addr_parse(&a, NULL), -EINVAL);
    CHECK_RC(sley_addr_parse(NULL, "127.0.0.1:1"), -EINVAL);
}

SLEY_TEST(addr_format_of_little_room_writes_nothing, "")
{
    struct sley_addr a;
    char out[16] = "unchanged";
    CHECK_RC(sley_addr_parse(&a, "127.0.0.1:7000"), 0);
    CHECK_RC(sley_addr_format(&a, out, 14), -ENOSPC);
    CHECK_STR(out, "unchanged");
    CHECK_RC(sley_addr_format(&a, out, 15), 14);
    CHECK_STR(out, "127.0.0.1:7000");
    const struct sley_addr none = {0};
    CHECK_RC(sley_addr_format(&none, out, sizeof out), -EINVAL);
    const struct sley_addr unix_domain = {.len = 2, .sock.any.sa_family = AF_UNIX};
    CHECK_RC(sley_addr_format(&unix_domain, out, sizeof out), -EINVAL);
}

SLEY_TEST(addr_port_is_in_host_order, "")
{
    struct sley_addr a = {0};
    CHECK_UINT(sley_addr_port(&a), ==, 0);
    CHECK_RC(sley_addr_parse(&a, "1.2.3.4:258"), 0);
    CHECK_UINT(sley_addr_port(&a), ==, 258);
    CHECK_UINT(a.sock.in4.sin_addr.s_addr, ==, htonl(0x01020304));
    CHECK_RC(sley_addr_parse(&a, "[::1]:513"), 0);
    CHECK_UINT(sley_addr_port(&a), ==, 513);
}

/** Random texts of the letters that addresses have: none crashes, and what is read is written and read again as the same. */
SLEY_TEST(addr_random_texts_agree_both_ways, "")
{
    static const char letters[] = "0123456789abcf.:[]%::..11";
    for (unsigned i = 0; i < 200000 / harness_slowness(); i++) {
        char text[40], out[SLEY_ADDR_TEXT_BYTES];
        const size_t len = harness_rand_below(sizeof text);
        for (size_t k = 0; k < len; k++) {
            text[k] = letters[harness_rand_below(sizeof letters - 1)];
        }
        text[len < sizeof text ? len : len - 1] = '\0';
        struct sley_addr a, b;
        if (sley_addr_parse(&a, text) < 0) {
            continue;
        }
        CHECK_INT(sley_addr_format(&a, out, sizeof out), >, 0);
        CHECK_RC(sley_addr_parse(&b, out), 0);
        CHECK_INT(memcmp(&a, &b, sizeof a), ==, 0);
    }
}
