/* lockstep doctor: what every worker's machine has, where they differ, and what is missing; --version: the program's
 * part of it. */
#include "launch/launch.h"

#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { REPORT_BYTES = 4096, LINE_BYTES = 256 };

typedef struct report { char text[REPORT_BYTES]; size_t used; } report;

static void add(report *r, const char *what, const char *format, ...) __attribute__((format(printf, 3, 4)));

static void add(report *r, const char *what, const char *format, ...)
{
    va_list args;
    char value[LINE_BYTES];

    va_start(args, format);
    vsnprintf(value, sizeof value, format, args);
    va_end(args);
    const int n = snprintf(r->text + r->used, sizeof r->text - r->used, "%-12s %s\n", what, value);
    if (n > 0 && r->used + (size_t)n < sizeof r->text) r->used += (size_t)n;
}

static void add_processor(report *r)
{
    char line[LINE_BYTES], model[LINE_BYTES] = "unknown";
    FILE *file = fopen("/proc/cpuinfo", "r");
    cpu_set_t set;

    while (file && fgets(line, sizeof line, file)) {
        const char *colon = strchr(line, ':');
        if (!colon || strncmp(line, "model name", strlen("model name")) != 0) continue;
        snprintf(model, sizeof model, "%s", colon + 2);
        model[strcspn(model, "\n")] = '\0';
        break;
    }
    if (file) fclose(file);
    const int usable = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 0;
    add(r, "processor", "%s, %d cores usable of %ld", model, usable, sysconf(_SC_NPROCESSORS_ONLN));
}

/* What decides the bits beside the recipe, and is the same wherever this program runs. */
static void add_build(const lk_world *world, report *r)
{
    char text[LINE_BYTES];

    lk_build_describe(text, sizeof text);
    add(r, "built from", "%s", text);
    lk_engine_describe(LK_ENGINE_CPU, text, sizeof text);
    add(r, "cpu engine", "%s", text);
    lk_world_describe(world, text, sizeof text);
    add(r, "mpi", "%s", text);
    lk_checkpoint_describe(text, sizeof text);
    add(r, "checkpoints", "%s", text);
}

static void add_machine(report *r)
{
    struct utsname system;
    char text[LINE_BYTES];
    const double gib = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGE_SIZE) / (1024.0 * 1024.0 * 1024.0);

    if (uname(&system) == 0) add(r, "system", "%s %s %s", system.sysname, system.release, system.machine);
    add_processor(r);
    add(r, "memory", "%.1f GiB", gib);
    lk_engine_describe(LK_ENGINE_CUDA, text, sizeof text);
    add(r, "cuda engine", "%s", text);
    lk_nccl_describe(text, sizeof text);
    add(r, "nccl", "%s", text);
}

void print_version(void)
{
    report r = {.used = 0};

    add_build(NULL, &r);
    printf("lockstep %s\n%s", LK_VERSION, r.text);
}

/* One report for all that agree: the ranks and hosts, then the text. */
static void print_group(const job *j, char *const *all, int first, int *n_groups)
{
    const int size = lk_world_size(j->world);

    for (int r = 0; r < first; r++)
        if (strcmp(all[r], all[first]) == 0) return;
    (*n_groups)++;
    printf("worker%s", size > 1 ? "s" : "");
    for (int r = first; r < size; r++)
        if (strcmp(all[r], all[first]) == 0) printf(" %d (%s)", r, lk_world_host(j->world, r));
    printf("\n%s\n", all[first]);
}

lk_status command_doctor(job *j, const options *opt)
{
    report mine = {.used = 0};
    char **all;
    int n_groups = 0;

    j->agreed = opt->n_positional > 0; /* all workers have the same words */
    if (opt->n_positional)
        return LK_FAIL(LK_ERR_USAGE, "lockstep doctor takes no argument, got `%s`", opt->positional[0]);
    add(&mine, "lockstep", "%s", LK_VERSION);
    add_build(j->world, &mine);
    add_machine(&mine);
    LK_TRY(lk_world_gather_text(j->world, mine.text, &all));
    if (!j->leader) return LK_OK;
    for (int r = 0; r < lk_world_size(j->world); r++) print_group(j, all, r, &n_groups);
    if (n_groups > 1)
        printf("the workers' machines differ in %d ways: the same bits are promised only where processor, engine and "
               "libraries are the same\n", n_groups);
    free(all);
    return LK_OK;
}
