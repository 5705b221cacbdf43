/* What every executor shares: checking tables and choosing a reactor. */
#include <sley/executor.h>

int sley_executor_check(const struct sley_executor_ops *ops)
{
    const bool complete =
        ops && ops->version >= 1 && ops->start && ops->spawn && ops->run && ops->halt && ops->stop && ops->fini && ops->sched;
    return complete ? 0 : -EINVAL;
}

/** A caller's text, which may be nowhere. */
struct text {
    char *at;
    size_t bytes;
};

/** Appends, cut where the text ends. */
static void put(struct text t, const char *s)
{
    size_t len = 0;
    if (!t.at || t.bytes == 0) {
        return;
    }
    while (len < t.bytes && t.at[len]) {
        len++;
    }
    while (*s && len + 1 < t.bytes) {
        t.at[len++] = *s++;
    }
    t.at[len < t.bytes ? len : t.bytes - 1] = '\0';
}

static void clear(struct text t)
{
    if (t.at && t.bytes) {
        t.at[0] = '\0';
    }
}

/** @p why is empty, or a reason; with a blank in front it is the whole predicate. */
static void put_failure(struct text t, const char *name, int rc, const char *why)
{
    char digits[12];
    size_t i = sizeof digits - 1;
    unsigned n = (unsigned)-rc;
    digits[i] = '\0';
    do {
        digits[--i] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    put(t, "reactor ");
    put(t, name);
    if (why[0] == ' ') {
        put(t, why);
        put(t, ". ");
        return;
    }
    put(t, " did not start (errno ");
    put(t, digits + i);
    put(t, why[0] ? ": " : "");
    put(t, why);
    put(t, "). ");
}

/** Returns: 0; a negative errno and, perhaps, a sentence in @p why. */
static int make(const struct sley_reactor_factory *f, bool shared, const struct sley_reactor_opts *opts,
                struct sley_reactor **ret_reactor)
{
    struct text why = {opts->ret_error, opts->error_bytes};
    struct sley_reactor *r = NULL;
    clear(why);
    const int rc = f->version >= 1 && f->create ? f->create(opts, &r) : -EINVAL;
    if (rc < 0) {
        return rc;
    }
    if (sley_reactor_check(r->ops) < 0) {
        return -EINVAL;
    }
    if (shared && !(r->ops->caps & SLEY_REACTOR_CAP_SHARED)) {
        put(why, " cannot be shared by several workers");
        r->ops->destroy(r);
        return -ENOTSUP;
    }
    *ret_reactor = r;
    return 0;
}

static int make_reactor(const struct sley_executor_config *config, struct sley_alloc *alloc, bool shared,
                        struct sley_reactor **ret_reactor)
{
    int rc = 0;
    char why[160];
    struct sley_reactor *r = NULL;
    const struct text error = {config->ret_error, config->error_bytes};
    const struct text refused = {config->ret_refused, config->refused_bytes};
    const struct sley_reactor_opts opts = {.alloc = alloc, .loop = config->loop, .ret_error = why, .error_bytes = sizeof why};
    clear(error);
    clear(refused);
    for (const struct sley_reactor_factory *const *f = config->reactors; f && *f; f++) {
        rc = make(*f, shared, &opts, &r);
        if (rc == 0) {
            clear(error);
            break;
        }
        put_failure(error, (*f)->name, rc, why);
        put_failure(refused, (*f)->name, rc, why);
    }
    if (r && rc == 0) {
        r->offload = config->offload;
        r->lend.alloc = alloc;
        r->lend.opts = config->lend;
    }
    if (rc == 0) {
        *ret_reactor = r;
    }
    return rc;
}

int sley_executor_make_reactor(const struct sley_executor_config *config, struct sley_alloc *alloc, struct sley_reactor **ret_reactor)
{
    return make_reactor(config, alloc, false, ret_reactor);
}

int sley_executor_make_shared_reactor(const struct sley_executor_config *config, struct sley_alloc *alloc,
                                      struct sley_reactor **ret_reactor)
{
    const int rc = make_reactor(config, alloc, true, ret_reactor);
    return rc == -ENOTSUP && !config->loop ? make_reactor(config, alloc, false, ret_reactor) : rc;
}
