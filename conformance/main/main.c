/* The program sley-conformance: which clauses does a reactor keep? Built in, by name, or from a shared object. Reports in TAP. */
#include <sley/conformance.h>
#include <sley/reactor_poll.h>

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: sley-conformance [OPTION]... reactor NAME|FILE.so[:SYMBOL] [CLAUSE]...\n"
    "Tries the clauses of the contract whose names match a CLAUSE (a pattern; all without one), and reports in TAP.\n"
    "NAME is one of those below; FILE.so (with a slash in it) exports a struct sley_reactor_factory by the name of\n"
    "sley_conformance_reactor, or SYMBOL.\n"
    "  --list        print the clauses, each with what it demands\n"
    "  --seed N      repeat the random numbers of a run, which prints its own\n"
    "  --timeout MS  for each clause; 30000 without it\n"
    "  --effort PCT  percent of the rounds that stress takes\n"
    "Ends with 0 when all that apply are kept, 1 when one is broken, 2 when it could not try.\n"
    "reactors:";

static const struct sley_reactor_factory *const reactors[] = {&sley_reactor_epoll, &sley_reactor_poll2, NULL};

static int explain(FILE *to, int status)
{
    (void)fputs(usage, to);
    for (const struct sley_reactor_factory *const *f = reactors; *f; f++) {
        (void)fprintf(to, " %s", (*f)->name);
    }
    (void)fputc('\n', to);
    return status;
}

static int list(void)
{
    size_t count = 0;
    const struct sley_clause *c = sley_conformance_reactor_clauses(&count);
    for (size_t i = 0; i < count; i++) {
        printf("%s\n    %s\n", c[i].name, c[i].sentence);
    }
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
        (void)fprintf(stderr, "sley-conformance: %s\n", dlerror());
    }
    free(path);
    return found;
}

static const struct sley_reactor_factory *find(const char *text)
{
    if (strchr(text, '/')) {
        return load(text, SLEY_CONFORMANCE_REACTOR_SYMBOL);
    }
    const struct sley_reactor_factory *const *f = reactors;
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

static int run(const char *what, const struct sley_conformance_opts *o)
{
    struct sley_conformance_count count;
    const struct sley_reactor_factory *f = find(what);
    if (!f) {
        return 2;
    }
    const int rc = sley_conformance_run_reactor(f, o, &count);
    if (rc < 0) {
        (void)fprintf(stderr, "sley-conformance: %s\n", rc == -EINVAL ? "no clause has such a name; see --list" : strerror(-rc));
        return 2;
    }
    printf("# %u kept, %u broken, %u do not apply\n", count.kept, count.broken, count.skipped);
    return rc > 0;
}

int main(int argc, char **argv)
{
    struct sley_conformance_opts o = {.line = print_line};
    int i = 1;
    for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
        if (strcmp(argv[i], "--list") == 0) {
            return list();
        }
        if (strcmp(argv[i], "--help") == 0) {
            return explain(stdout, 0);
        }
        if (i + 1 == argc) {
            return explain(stderr, 2);
        }
        const char *option = argv[i++];
        if (strcmp(option, "--seed") == 0) {
            o.seed = strtoull(argv[i], NULL, 0);
        } else if (strcmp(option, "--timeout") == 0) {
            o.timeout_ms = (uint32_t)strtoul(argv[i], NULL, 10);
        } else if (strcmp(option, "--effort") == 0) {
            o.effort = (uint32_t)strtoul(argv[i], NULL, 10);
        } else {
            return explain(stderr, 2);
        }
    }
    if (argc - i < 2 || strcmp(argv[i], "reactor") != 0) {
        return explain(stderr, 2);
    }
    o.only = argc - i > 2 ? (const char *const *)(argv + i + 2) : NULL;
    return run(argv[i + 1], &o);
}
