/* Shared objects as the program sley-conformance may be given them: what is no reactor, or dies, or hangs, before a clause can be tried. */
#include <sley/reactor_impl.h>

#include <stdlib.h>
#include <unistd.h>

static int abort_at_once(const struct sley_reactor_opts *o, struct sley_reactor **ret_reactor)
{
    (void)o, (void)ret_reactor;
    abort();
}

static int hang(const struct sley_reactor_opts *o, struct sley_reactor **ret_reactor)
{
    (void)o, (void)ret_reactor;
    while (pause() < 0) {
    }
    return 0;
}

static int lacks_a_kernel(const struct sley_reactor_opts *o, struct sley_reactor **ret_reactor)
{
    (void)ret_reactor;
    if (o->ret_error && o->error_bytes > 8) {
        o->ret_error[0] = 'n';
        o->ret_error[1] = 'o';
        o->ret_error[2] = '\0';
    }
    return -ENOTSUP;
}

/** Says that it has made one. */
static int makes_nothing(const struct sley_reactor_opts *o, struct sley_reactor **ret_reactor)
{
    (void)o, (void)ret_reactor;
    return 0;
}

SLEY_API extern const char no_factory[64];
SLEY_API extern const struct sley_reactor_factory of_a_later_version, of_no_version, without_create, dies, hangs, lacks, makes_none,
    nameless;

const char no_factory[64] = "this is a text, and no factory of reactors";
const struct sley_reactor_factory of_a_later_version = {.version = SLEY_REACTOR_VERSION + 1, .name = "later", .create = abort_at_once};
const struct sley_reactor_factory of_no_version = {.name = "none", .create = abort_at_once};
const struct sley_reactor_factory without_create = {.version = SLEY_REACTOR_VERSION, .name = "without create"};
const struct sley_reactor_factory dies = {.version = SLEY_REACTOR_VERSION, .name = "dies", .create = abort_at_once};
const struct sley_reactor_factory hangs = {.version = SLEY_REACTOR_VERSION, .name = "hangs", .create = hang};
const struct sley_reactor_factory lacks = {.version = SLEY_REACTOR_VERSION, .name = "lacks", .create = lacks_a_kernel};
const struct sley_reactor_factory makes_none = {.version = SLEY_REACTOR_VERSION, .name = "makes none", .create = makes_nothing};
const struct sley_reactor_factory nameless = {.version = SLEY_REACTOR_VERSION, .create = makes_nothing};
