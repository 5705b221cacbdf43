/* The executors that the program knows by name. */
#include "named.h"

#include <sley/cores.h>
#include <sley/local.h>
#include <sley/shares.h>
#include <sley/stealing.h>

#include <stdlib.h>

/* One at a time is enough for no clause: some have two on a thread. */
#define NAMED(kind, init)                                        \
    static struct sley_executor *kind##_create(void)             \
    {                                                            \
        struct sley_##kind *ex = calloc(1, sizeof *ex);          \
        if (!ex) {                                               \
            return NULL;                                         \
        }                                                        \
        init;                                                    \
        return &ex->base;                                        \
    }                                                            \
    static void kind##_destroy(struct sley_executor *base)       \
    {                                                            \
        free(sley_container_of(base, struct sley_##kind, base)); \
    }

NAMED(local, sley_local_init(ex))
NAMED(cores, sley_cores_init(ex, NULL))
NAMED(shares, (void)sley_shares_init(ex, NULL))
NAMED(stealing, sley_stealing_init(ex, NULL))

const struct sley_conformance_executor named_executors[] = {
    {.name = "local", .create = local_create, .destroy = local_destroy},
    {.name = "cores", .create = cores_create, .destroy = cores_destroy},
    {.name = "shares", .create = shares_create, .destroy = shares_destroy},
    {.name = "stealing", .create = stealing_create, .destroy = stealing_destroy},
    {.name = NULL},
};
