/* The program sley-conformance: which clauses does a reactor, or an executor, keep? By name, or from a shared object. TAP. */
#include "named.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char usage[] =
    "usage: sley-conformance [OPTION]... reactor NAME|FILE.so[:SYMBOL] [CLAUSE]...\n"
    "       sley-conformance [OPTION]... executor NAME|FILE.so[:SYMBOL] [CLAUSE]...\n"
    "Tries the clauses of the contract whose names match a CLAUSE (a pattern; all without one), and reports in TAP.\n"
    "NAME is one of those below; FILE.so (with a slash in it) exports a struct sley_reactor_factory by the name of\n"
    "sley_conformance_reactor, a struct sley_conformance_executor by that of sley_conformance_executor, or SYMBOL.\n"
    "  --list        print the clauses, each with what it demands\n"
    "  --seed N      repeat the random numbers of a run, which prints its own\n"
    "  --timeout MS  of a processor for each clause; 30000 without it\n"
    "  --jobs N      clauses at a time; as many as there are processors without it\n"
    "  --effort PCT  percent of the rounds that stress takes\n"
    "  --reactor NAME  what the executor has; epoll without it, none: nothing\n"
    "  --workers N   how many it has; as many as it thinks best without it\n"
    "Ends with 0 when all that apply are kept, 1 when one is broken, 2 when it could not try.\n";

static int explain(FILE *to, int status)
{
    (void)fputs(usage, to);
    (void)fputs("reactors:", to);
    for (const struct sley_reactor_factory *const *f = named_reactors; *f; f++) {
        (void)fprintf(to, " %s", (*f)->name);
    }
    (void)fputs("\nexecutors:", to);
    for (const struct sley_conformance_executor *x = named_executors; x->name; x++) {
        (void)fprintf(to, " %s", x->name);
    }
    (void)fputc('\n', to);
    return status;
}

static void list(const char *what, const struct sley_clause *c, size_t count)
{
    printf("# %s\n", what);
    for (size_t i = 0; i < count; i++) {
        printf("%s\n    %s\n", c[i].name, c[i].sentence);
    }
}

static int list_all(void)
{
    size_t count = 0;
    const struct sley_clause *c = sley_conformance_reactor_clauses(&count);
    list("reactor", c, count);
    c = sley_conformance_executor_clauses(&count);
    list("executor", c, count);
    return 0;
}

/** FILE.so[:SYMBOL] */
static const void *load(const char *text, const char *usual)
{
    char *path = strdup(text);
    char *colon = path ? strrchr(path, ':') : NULL;
    const char *symbol = usual;
    if (colon && !strchr(colon, '/')) {
        *colon = '\0';
        symbol = colon + 1;
    }
    void *object = path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
    const void *found = object ? dlsym(object, symbol) : NULL;
    if (!found) {
        const char *why = dlerror(); /* none of a symbol that is there, and 0 */
        (void)fprintf(stderr, "sley-conformance: %s\n", why ? why : "the symbol has no address");
    }
    free(path);
    return found;
}

static const struct sley_reactor_factory *find_reactor(const char *text)
{
    if (strchr(text, '/')) {
        return load(text, SLEY_CONFORMANCE_REACTOR_SYMBOL);
    }
    const struct sley_reactor_factory *const *f = named_reactors;
    while (*f && strcmp((*f)->name, text) != 0) {
        f++;
    }
    if (!*f) {
        (void)fprintf(stderr, "sley-conformance: there is no reactor \"%s\"; a file's name has a slash in it\n", text);
    }
    return *f;
}

static void print_line(void *arg, const char *line)
{
    (void)arg;
    (void)puts(line);
    (void)fflush(stdout); /* before the next clause has a process of its own */
}

static const struct sley_conformance_executor *find_executor(const char *text)
{
    if (strchr(text, '/')) {
        return load(text, SLEY_CONFORMANCE_EXECUTOR_SYMBOL);
    }
    const struct sley_conformance_executor *x = named_executors;
    while (x->name && strcmp(x->name, text) != 0) {
        x++;
    }
    if (!x->name) {
        (void)fprintf(stderr, "sley-conformance: there is no executor \"%s\"; a file's name has a slash in it\n", text);
    }
    return x->name ? x : NULL;
}

struct options {
    struct sley_conformance_opts run;
    const char *reactor; /* of an executor; NULL: epoll, or what it brings */
    uint32_t workers;
};

/** Does the factory say that this kernel lacks what it needs (-ENOTSUP)? Asked in a process of its own, which leaves nothing here. */
static bool is_missing(const struct sley_reactor_factory *f, char *ret_why, size_t bytes)
{
    enum { CREATE_S = 5 }; /* one that hangs is for the clauses to find out */
    int ends[2], status = 0;
    if (pipe(ends) < 0) {
        return false;
    }
    const pid_t pid = fork();
    if (pid == 0) {
        (void)alarm(CREATE_S);
        char why[160] = "";
        struct sley_alloc libc;
        struct sley_reactor *r = NULL;
        const struct sley_reactor_opts opts = {.alloc = &libc, .ret_error = why, .error_bytes = sizeof why};
        const bool missing = sley_alloc_libc_init(&libc) == 0 && f->create(&opts, &r) == -ENOTSUP;
        _exit(missing && write(ends[1], why, strlen(why)) >= 0);
    }
    (void)close(ends[1]);
    const ssize_t n = read(ends[0], ret_why, bytes - 1);
    (void)close(ends[0]);
    ret_why[n > 0 ? n : 0] = '\0';
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 1;
}

/** What a shared object exports by that name may be anything: its first word, and that it creates, is all that can be asked. */
static bool is_factory(const char *what, const struct sley_reactor_factory *f)
{
    const bool known = f->version >= 1 && f->version <= SLEY_REACTOR_VERSION;
    if (!known) {
        (void)fprintf(stderr, "sley-conformance: what %s exports has the version %u; a reactor's factory has 1 to %d\n", what,
                      (unsigned)f->version, SLEY_REACTOR_VERSION);
    } else if (!f->create) {
        (void)fprintf(stderr, "sley-conformance: what %s exports has no create\n", what);
    }
    return known && f->create;
}

static int run_reactor(const char *what, const struct options *o, struct sley_conformance_count *ret_count)
{
    const struct sley_reactor_factory *f = find_reactor(what);
    char why[160];
    if (f && !is_factory(what, f)) {
        return -ENOENT;
    }
    if (f && is_missing(f, why, sizeof why)) {
        *ret_count = (struct sley_conformance_count){.skipped = 1};
        printf("1..1\nok 1 - reactor_is_to_be_had # SKIP %s\n", why[0] ? why : "create says -ENOTSUP");
        return 0;
    }
    return f ? sley_conformance_run_reactor(f, &o->run, ret_count) : -ENOENT;
}

static int run_executor(const char *what, const struct options *o, struct sley_conformance_count *ret_count)
{
    static const struct sley_reactor_factory *chosen[2];
    const struct sley_conformance_executor *known = find_executor(what);
    if (!known) {
        return -ENOENT;
    }
    struct sley_conformance_executor x = *known;
    const char *reactor = o->reactor ? o->reactor : x.reactors || strchr(what, '/') ? "" : named_reactors[0]->name;
    if (strcmp(reactor, "none") == 0) {
        x.reactors = NULL;
        x.has_io = false;
    } else if (reactor[0]) {
        chosen[0] = find_reactor(reactor);
        if (!chosen[0] || !is_factory(reactor, chosen[0])) {
            return -ENOENT;
        }
        x.reactors = chosen;
        x.has_io = true;
    }
    x.worker_count = o->workers ? o->workers : x.worker_count;
    return sley_conformance_run_executor(&x, &o->run, ret_count);
}

static int run(const char *kind, const char *what, const struct options *o)
{
    struct sley_conformance_count count;
    const int rc = strcmp(kind, "reactor") == 0 ? run_reactor(what, o, &count) : run_executor(what, o, &count);
    if (rc < 0) {
        if (rc != -ENOENT) { /* which was said before */
            (void)fprintf(stderr, "sley-conformance: %s\n", rc == -EINVAL ? "no such clause; see --list" : strerror(-rc));
        }
        return 2;
    }
    printf("# %u kept, %u broken, %u do not apply\n", count.kept, count.broken, count.skipped);
    return rc > 0;
}

static bool set_option(struct options *o, const char *name, const char *value)
{
    if (strcmp(name, "--seed") == 0) {
        o->run.seed = strtoull(value, NULL, 0);
    } else if (strcmp(name, "--timeout") == 0) {
        o->run.timeout_ms = (uint32_t)strtoul(value, NULL, 10);
    } else if (strcmp(name, "--effort") == 0) {
        o->run.effort = (uint32_t)strtoul(value, NULL, 10);
    } else if (strcmp(name, "--jobs") == 0) {
        o->run.jobs = (uint32_t)strtoul(value, NULL, 10);
    } else if (strcmp(name, "--reactor") == 0) {
        o->reactor = value;
    } else if (strcmp(name, "--workers") == 0) {
        o->workers = (uint32_t)strtoul(value, NULL, 10);
    } else {
        return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    struct options o = {.run.line = print_line};
    int i = 1;
    while (i < argc && strncmp(argv[i], "--", 2) == 0) {
        if (strcmp(argv[i], "--list") == 0) {
            return list_all();
        }
        if (strcmp(argv[i], "--help") == 0) {
            return explain(stdout, 0);
        }
        if (i + 1 == argc || !set_option(&o, argv[i], argv[i + 1])) {
            return explain(stderr, 2);
        }
        i += 2;
    }
    if (argc - i < 2 || (strcmp(argv[i], "reactor") != 0 && strcmp(argv[i], "executor") != 0)) {
        return explain(stderr, 2);
    }
    o.run.only = argc - i > 2 ? (const char *const *)(argv + i + 2) : NULL;
    return run(argv[i], argv[i + 1], &o);
}
