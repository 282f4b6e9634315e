/*
 * Hostfiles and Slurm's list of nodes.  A line of a hostfile must say how many slots its host has: Open MPI would
 * count its cores, but of a host that is lost nobody can.
 */
#include "launch/run/hosts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/io.h"

static const char blanks[] = " \t\r\n";

static host *find(hosts *list, const char *name)
{
    for (size_t i = 0; i < list->n; i++)
        if (strcmp(list->host[i].name, name) == 0) return &list->host[i];
    return NULL;
}

static lk_status add(hosts *list, const char *name, int64_t slots)
{
    host *known = find(list, name);

    if (known) {
        known->slots += slots;
        return LK_OK;
    }
    host *grown = realloc(list->host, (list->n + 1) * sizeof *grown);
    LK_TRY_ALLOC(grown, (list->n + 1) * sizeof *grown);
    list->host = grown;
    grown[list->n] = (host){.name = strdup(name), .slots = slots};
    LK_TRY_ALLOC(grown[list->n].name, strlen(name) + 1);
    list->n++;
    return LK_OK;
}

/* A line without its comment.  What else Open MPI knows to say there (max_slots) is passed over. */
static lk_status read_line(hosts *list, char *line, const char *path, int number)
{
    static const char key[] = "slots=";
    char *rest = NULL;
    int64_t slots = 0;

    line[strcspn(line, "#")] = '\0';
    const char *name = strtok_r(line, blanks, &rest);
    if (!name) return LK_OK;
    for (const char *word; (word = strtok_r(NULL, blanks, &rest));)
        if (strncmp(word, key, sizeof key - 1) == 0) slots = strtoll(word + sizeof key - 1, NULL, 10);
    if (slots < 1)
        return LK_FAIL(LK_ERR_USAGE, "%s:%d: say how many workers %s may run, as `%s slots=4`", path, number, name,
                       name);
    return add(list, name, slots);
}

lk_status hosts_read(const char *path, hosts *out)
{
    char *text, *rest;
    int number = 0;
    lk_status status = LK_OK;

    *out = (hosts){0};
    if (lk_read_file(path, &text, NULL) != LK_OK) return LK_FAIL(LK_ERR_USAGE, "--hostfile: %s", lk_error_message());
    rest = text;
    for (char *line; status == LK_OK && (line = strsep(&rest, "\n"));) status = read_line(out, line, path, ++number);
    free(text);
    if (status == LK_OK && out->n == 0) status = LK_FAIL(LK_ERR_USAGE, "--hostfile: %s names no host", path);
    return status;
}

static lk_status read_nodes(FILE *from, hosts *out)
{
    enum { NAME_BYTES = 256 };
    char line[NAME_BYTES];

    while (fgets(line, sizeof line, from)) {
        line[strcspn(line, blanks)] = '\0';
        if (*line) LK_TRY(add(out, line, 0));
    }
    return LK_OK;
}

lk_status hosts_of_slurm(int64_t n_tasks, hosts *out)
{
    FILE *from = popen("scontrol show hostnames", "re");

    *out = (hosts){0};
    if (!from) return LK_FAIL(LK_ERR_SYSTEM, "cannot run scontrol, which names the nodes of the allocation");
    lk_status status = read_nodes(from, out);
    if (pclose(from) != 0 && status == LK_OK)
        status = LK_FAIL(LK_ERR_SYSTEM, "`scontrol show hostnames` does not name the nodes of the allocation");
    for (size_t i = 0; i < out->n; i++) out->host[i].slots = (n_tasks + (int64_t)out->n - 1) / (int64_t)out->n;
    return status;
}

void hosts_free(hosts *list)
{
    for (size_t i = 0; i < list->n; i++) free(list->host[i].name);
    free(list->host);
    *list = (hosts){0};
}

int64_t hosts_slots(const hosts *list, bool all)
{
    int64_t slots = 0;

    for (size_t i = 0; i < list->n; i++)
        if (all || !list->host[i].gone) slots += list->host[i].slots;
    return slots;
}

int64_t hosts_workers(const hosts *list, int64_t asked)
{
    if (list->n == 0) return asked;
    const int64_t all = hosts_slots(list, true), to_a_slot = (asked + all - 1) / all;
    const int64_t most = hosts_slots(list, false) * to_a_slot;
    return most < asked ? most : asked;
}
