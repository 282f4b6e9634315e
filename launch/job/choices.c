/*
 * What libraries chose for this worker's plans, compared with the others': one that was answered otherwise (another
 * library, another card, memory that was short in that moment) makes other bits of the lanes that fall to it, and
 * nothing else would say so.  dist.reduction: mpi and nccl promise no bits, and nothing is compared.
 */
#include "launch/launch.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A list has a line for each program: what was made of it, in HEX digits, and its words. */
enum { HEX = 16 };

static void put_choice(void *list, const char *program, uint64_t made)
{
    fprintf(list, "%0*" PRIx64 "%s\n", HEX, made, program);
}

static lk_status list_choices(const job *j, char **out)
{
    size_t nbytes = 0;
    FILE *list = open_memstream(out, &nbytes);

    if (!list) return LK_FAIL(LK_ERR_SYSTEM, "out of memory: what was chosen for the plans");
    lk_engine_each_choice(j->engine, put_choice, list);
    return fclose(list) == 0 ? LK_OK : LK_FAIL(LK_ERR_SYSTEM, "out of memory: what was chosen for the plans");
}

typedef struct choice { const char *line; int n, rank; } choice;

static bool same_program(const choice *a, const choice *b)
{
    return a->n == b->n && memcmp(a->line + HEX, b->line + HEX, (size_t)(a->n - HEX)) == 0;
}

static lk_status refuse(const job *j, const choice *a, const choice *b)
{
    return LK_FAIL(
        LK_ERR_USAGE,
        "for `%.*s` the libraries of rank %d (%s) chose otherwise than those of rank %d (%s), so bits "
        "would depend on who computes which lane; lockstep doctor under mpirun shows where machines differ, and "
        "dist.reduction: mpi or nccl trains without that promise",
        a->n - HEX, a->line + HEX, a->rank, lk_world_host(j->world, a->rank), b->rank,
        lk_world_host(j->world, b->rank));
}

/* known: one line for each program so far, of the first worker that has it. */
static lk_status compare_line(const job *j, const choice *mine, choice **known, size_t *n)
{
    for (size_t i = 0; i < *n; i++) {
        const choice *first = &(*known)[i];

        if (!same_program(mine, first)) continue;
        return memcmp(mine->line, first->line, HEX) == 0 ? LK_OK : refuse(j, mine, first);
    }
    choice *more = realloc(*known, (*n + 1) * sizeof *more);

    LK_TRY_ALLOC(more, (*n + 1) * sizeof *more);
    *known = more;
    more[(*n)++] = *mine;
    return LK_OK;
}

static lk_status compare(const job *j, char *const *lists)
{
    choice *known = NULL;
    size_t n = 0;
    lk_status status = LK_OK;

    for (int r = 0; r < lk_world_size(j->world); r++)
        for (const char *line = lists[r]; *line && status == LK_OK; line += strcspn(line, "\n") + 1)
            status = compare_line(j, &(choice){line, (int)strcspn(line, "\n"), r}, &known, &n);
    free(known);
    return status;
}

lk_status job_compare_choices(job *j)
{
    char *mine = NULL, **lists = NULL;

    if (lk_world_size(j->world) == 1 || j->recipe->dist.reduction != LK_REDUCE_TREE) return LK_OK;
    lk_status status = job_agree(j, list_choices(j, &mine));
    if (status == LK_OK) status = lk_world_gather_text(j->world, mine, &lists);
    free(mine);
    LK_TRY(status);
    status = job_agree(j, lists ? compare(j, lists) : LK_OK);
    free(lists);
    return status;
}

static void say(void *arg, const char *line)
{
    (void)arg;
    fprintf(stderr, "lockstep: %s\n", line);
}

void job_say_slow(const job *j)
{
    if (j->leader) lk_engine_each_slow(j->engine, say, NULL);
}
