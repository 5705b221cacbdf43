/* The program sley-conformance as somebody uses it who gives it what is no reactor: what it says, and how it ends. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

struct said {
    int status;       /* of exit; -1: it died */
    char text[65536]; /* all of it: it would be ended by writing what nobody reads */
};

/** Runs it with @p args, behind a shell; both outputs. */
static struct said run(const char *args)
{
    struct said s = {.status = -1};
    char command[2048];
    size_t len = 0;
    (void)snprintf(command, sizeof command, "exec " SLEY_TEST_PROGRAM " %s 2>&1", args);
    FILE *from = popen(command, "r");
    CHECK(from != NULL);
    for (size_t n; len < sizeof s.text - 1 && (n = fread(s.text + len, 1, sizeof s.text - 1 - len, from)) > 0;) {
        len += n;
    }
    s.text[len] = '\0';
    const int status = pclose(from);
    s.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return s;
}

static void check_says(const char *args, int status, const char *words)
{
    const struct said s = run(args);
    if (s.status != status || !strstr(s.text, words)) {
        FAIL("%s: ended with %d, expected %d and \"%s\" in: %s", args, s.status, status, words, s.text);
    }
}

SLEY_TEST(what_is_no_reactor_is_refused_in_words, "")
{
    check_says("reactor nonesuch", 2, "there is no reactor \"nonesuch\"");
    check_says("reactor ./nonesuch.so", 2, "nonesuch.so");
    check_says("reactor /etc/passwd", 2, "/etc/passwd");
    check_says("reactor " SLEY_TEST_ODD, 2, "sley_conformance_reactor");
    check_says("reactor " SLEY_TEST_ODD ":nonesuch", 2, "nonesuch");
    check_says("reactor " SLEY_TEST_ODD ":no_factory", 2, "has the version");
    check_says("reactor " SLEY_TEST_ODD ":of_no_version", 2, "has the version 0;");
    check_says("reactor " SLEY_TEST_ODD ":of_a_later_version", 2, "has the version");
    check_says("reactor " SLEY_TEST_ODD ":without_create", 2, "has no create");
}

SLEY_TEST_SECONDS(reactor_that_cannot_be_made_breaks_its_clauses, "", 60)
{
    check_says("reactor " SLEY_TEST_ODD ":dies poll_of_zero_only_looks", 1, "the process died of signal 6");
    check_says("reactor " SLEY_TEST_ODD ":hangs poll_of_zero_only_looks", 1, "it slept, and nothing woke it any more");
    check_says("reactor " SLEY_TEST_ODD ":makes_none table_is_complete", 1, "not ok 1 - table_is_complete");
    check_says("reactor " SLEY_TEST_ODD ":nameless table_is_complete", 1, "a reactor without a name");
}

SLEY_TEST(reactor_that_the_kernel_lacks_is_skipped_with_its_reason, "")
{
    check_says("reactor " SLEY_TEST_ODD ":lacks", 0, "# SKIP no");
}

SLEY_TEST(clause_that_is_broken_is_told_with_its_sentence, "")
{
    check_says("reactor epoll poll_of_zero_only_looks", 0, "ok 1 - poll_of_zero_only_looks");
    check_says("--seed 7 reactor epoll poll_of_zero_only_looks", 0, "seed 0x7");
    check_says("reactor " SLEY_TEST_ODD ":dies poll_of_zero_only_looks", 1, "# poll(0) returns though nothing has happened");
    check_says("reactor epoll nonesuch", 2, "no such clause");
}

SLEY_TEST(options_that_are_none_are_refused_with_the_usage, "")
{
    check_says("", 2, "usage: sley-conformance");
    check_says("reactor", 2, "usage: sley-conformance");
    check_says("--seed", 2, "usage: sley-conformance");
    check_says("--nonesuch 1 reactor epoll", 2, "usage: sley-conformance");
    check_says("--help", 0, "usage: sley-conformance");
    check_says("--list", 0, "poll_of_zero_only_looks");
    check_says("executor nonesuch", 2, "there is no executor \"nonesuch\"");
    check_says("--reactor " SLEY_TEST_ODD ":of_a_later_version executor local", 2, "has the version");
    check_says("--reactor nonesuch executor local", 2, "there is no reactor \"nonesuch\"");
}
