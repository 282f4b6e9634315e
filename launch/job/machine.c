/*
 * What the workers compute on and with (MACHINE_LIST): compared among them, kept in checkpoints, and compared again by
 * whoever resumes.  The same bits are promised on the same card, processor, libraries and build alone.  A job whose
 * workers differ in these is refused: a lane would have other bits on another worker, and nothing would say so.
 * dist.reduction: mpi and nccl give the promise up, and then it is a warning; so is a resume, which somebody has moved
 * on purpose.
 */
#include "launch/job/state.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES = 1024, NAMED_RANKS = 8 };

/* The lists, as rows that can be walked; the promise's come first. */
static const struct fact { const char *name; size_t offset; bool promise; } facts[] = {
#define FACT(field, type, need, path) {#field, offsetof(machine, field), true},
    MACHINE_PROMISE_LIST(FACT)
#undef FACT
#define FACT(field, type, need, path) {#field, offsetof(machine, field), false},
    MACHINE_OTHER_LIST(FACT)
#undef FACT
};
enum { N_FACTS = sizeof facts / sizeof *facts };

static const char *fact_of(const machine *m, const struct fact *fact) { return (const char *)m + fact->offset; }

static void find_machine(const job *j, machine *out)
{
    lk_platform platform;

    memset(out, 0, sizeof *out); /* it is compared by its strings, and sent whole */
    lk_engine_platform(j->engine, &platform);
    snprintf(out->engine, sizeof out->engine, "%s", lk_engine_name(j->engine));
    snprintf(out->device, sizeof out->device, "%s", platform.device);
    snprintf(out->libraries, sizeof out->libraries, "%s", platform.libraries);
    snprintf(out->driver, sizeof out->driver, "%s", platform.driver);
    lk_build_describe(out->build, sizeof out->build);
    if (lk_engine_collectives(j->engine)) lk_nccl_describe(out->nccl, sizeof out->nccl);
}

/* ----------------------------------------------------------- among workers */

/* "device of rank 1 (b), rank 3 (d) is `X`, of rank 0 (a) `Y`", for the first worker that differs and all who are like
 * it; false: all have the same. */
static bool find_difference(const job *j, const machine *all, const struct fact *fact, char text[TEXT_BYTES])
{
    const char *first = fact_of(&all[0], fact), *other = NULL;
    int n = 0;
    lk_text out = lk_text_in(text, TEXT_BYTES);

    lk_text_add(&out, "%s of ", fact->name);
    for (int r = 1; r < lk_world_size(j->world); r++) {
        const char *its = fact_of(&all[r], fact);

        if (strcmp(its, first) == 0 || (other && strcmp(its, other) != 0)) continue;
        other = its;
        if (n++ < NAMED_RANKS) lk_text_add(&out, "%srank %d (%s)", n > 1 ? ", " : "", r, lk_world_host(j->world, r));
    }
    if (n > NAMED_RANKS) lk_text_add(&out, " and %d more", n - NAMED_RANKS);
    lk_text_add(&out, " is `%s`, of rank 0 (%s) `%s`", other ? other : "", lk_world_host(j->world, 0), first);
    return other != NULL;
}

static lk_status compare(const job *j, const machine *all)
{
    char text[TEXT_BYTES];

    for (size_t f = 0; f < N_FACTS; f++) {
        if (!find_difference(j, all, &facts[f], text)) continue;
        if (facts[f].promise && j->recipe->dist.reduction == LK_REDUCE_TREE)
            return LK_FAIL(LK_ERR_USAGE, "the workers are not alike, and bits would depend on who computes which lane: "
                           "%s; start it on machines that are alike (lockstep doctor under mpirun compares them), or "
                           "train without that promise with dist.reduction: mpi or nccl", text);
        fprintf(stderr, "lockstep: warning: the workers are not alike: %s\n", text);
    }
    return LK_OK;
}

lk_status job_compare_machines(job *j)
{
    const size_t n = (size_t)lk_world_size(j->world);
    machine *all = NULL;

    find_machine(j, &j->machine);
    if (n == 1) return LK_OK;
    if (j->leader) all = calloc(n, sizeof *all);
    lk_status status = job_agree(j, all || !j->leader ? LK_OK
                                                      : LK_FAIL(LK_ERR_SYSTEM, "out of memory: %zu machines", n));
    if (status == LK_OK) status = lk_world_gather(j->world, &j->machine, sizeof j->machine, all);
    if (status == LK_OK) status = job_agree(j, all ? compare(j, all) : LK_OK);
    free(all);
    return status;
}

/* -------------------------------------------------------------- since then */

void job_say_moved(const job *j, const run_state *saved)
{
    const char *const was[] = {
#define SAVED(field, type, need, path) saved->field,
        MACHINE_PROMISE_LIST(SAVED)
#undef SAVED
    };
    char text[TEXT_BYTES];
    lk_text out = lk_text_in(text, sizeof text);

    for (size_t f = 0; f < sizeof was / sizeof *was; f++) {
        const char *now = fact_of(&j->machine, &facts[f]);

        if (was[f] && strcmp(was[f], now) != 0)
            lk_text_add(&out, "%s%s %s -> %s", out.used ? "; " : "", facts[f].name, was[f], now);
    }
    if (j->leader && out.used)
        fprintf(stderr, "lockstep: warning: resuming on another machine, so the bits will not be those of a run that "
                "never stopped: %s\n", text);
}
