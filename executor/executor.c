/* What every executor shares: checking tables and choosing a reactor. */
#include <sley/executor.h>

int sley_executor_check(const struct sley_executor_ops *ops)
{
    const bool complete = ops && ops->version >= 1 && ops->start && ops->spawn && ops->run && ops->halt && ops->stop &&
                          ops->fini && ops->sched;
    return complete ? 0 : -EINVAL;
}

/** Appends to a caller's text, cut where it ends. */
static void put(const struct sley_executor_config *config, const char *s)
{
    size_t len = 0;
    if (!config->ret_error || config->error_bytes == 0) {
        return;
    }
    while (len < config->error_bytes && config->ret_error[len]) {
        len++;
    }
    while (*s && len + 1 < config->error_bytes) {
        config->ret_error[len++] = *s++;
    }
    config->ret_error[len < config->error_bytes ? len : config->error_bytes - 1] = '\0';
}

static void put_failure(const struct sley_executor_config *config, const char *name, int rc)
{
    char digits[12];
    size_t i = sizeof digits - 1;
    unsigned n = (unsigned)-rc;
    digits[i] = '\0';
    do {
        digits[--i] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    put(config, "reactor ");
    put(config, name);
    put(config, " did not start (errno ");
    put(config, digits + i);
    put(config, "). ");
}

static int make_reactor(const struct sley_executor_config *config, struct sley_alloc *alloc, bool shared,
                        struct sley_reactor **ret_reactor)
{
    int rc = 0;
    struct sley_reactor *r = NULL;
    const struct sley_reactor_factory *const *f = config->reactors;
    if (config->ret_error && config->error_bytes) {
        config->ret_error[0] = '\0';
    }
    for (; f && *f; f++) {
        const struct sley_reactor_opts opts = {.alloc = alloc};
        rc = (*f)->version >= 1 && (*f)->create ? (*f)->create(&opts, &r) : -EINVAL;
        if (rc == 0 && sley_reactor_check(r->ops) < 0) {
            rc = -EINVAL;
        }
        if (rc == 0 && shared && !(r->ops->caps & SLEY_REACTOR_CAP_SHARED)) {
            r->ops->destroy(r);
            rc = -ENOTSUP;
            put(config, "reactor ");
            put(config, (*f)->name);
            put(config, " cannot be shared by several workers. ");
            continue;
        }
        if (rc == 0) {
            if (config->ret_error && config->error_bytes) {
                config->ret_error[0] = '\0';
            }
            break;
        }
        put_failure(config, (*f)->name, rc);
    }
    if (r && rc == 0) {
        r->offload = config->offload;
    }
    if (rc == 0) {
        *ret_reactor = r;
    }
    return rc;
}

int sley_executor_make_reactor(const struct sley_executor_config *config, struct sley_alloc *alloc,
                               struct sley_reactor **ret_reactor)
{
    return make_reactor(config, alloc, false, ret_reactor);
}

int sley_executor_make_shared_reactor(const struct sley_executor_config *config, struct sley_alloc *alloc,
                                      struct sley_reactor **ret_reactor)
{
    return make_reactor(config, alloc, true, ret_reactor);
}
