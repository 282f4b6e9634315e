/*
 * lockstep verify: the promise, put to the proof on this machine.
 *
 * The recipe's first steps are trained on several numbers of workers, and once with a worker that is killed, resumed
 * on another number.  Each run leaves digests of what it computed (train --digests).  The run on the fewest workers
 * is what the others are held to: every gradient of every lane, all weights after every step, the last checkpoint
 * with the states of the optimizer, the metrics.
 */
#include "launch/verify/verify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DEFAULT_STEPS = 20, FEWEST_STEPS = 3, SAVES = 4 };

/* ---------------------------------------------------------------------------- options */

static int upwards(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return x < y ? -1 : x > y;
}

static lk_status read_count(verification *v, const char *word)
{
    double count = 0.0;

    if (v->n_counts == VERIFY_MOST_COUNTS)
        return LK_FAIL(LK_ERR_USAGE, "--workers: at most %d numbers", VERIFY_MOST_COUNTS);
    LK_TRY(option_number("--workers", word, true, 1.0, &count));
    v->count[v->n_counts++] = (int64_t)count;
    return LK_OK;
}

/* "1,2,4", upwards. */
static lk_status read_counts(verification *v, const char *list)
{
    char *copy = strdup(list), *rest = copy;
    lk_status status = copy ? LK_OK : LK_FAIL(LK_ERR_SYSTEM, "out of memory: --workers");

    for (const char *word; status == LK_OK && (word = strsep(&rest, ","));) status = read_count(v, word);
    free(copy);
    qsort(v->count, v->n_counts, sizeof *v->count, upwards);
    return status;
}

/* Without --workers those of 1, 2, 4 that the recipe's lanes allow; without lanes in the recipe, as many as the most
 * workers. */
static lk_status settle_lanes(verification *v)
{
    v->lanes = v->recipe->train.lanes;
    if (!v->opt->workers && v->lanes)
        while (v->n_counts > 1 && v->count[v->n_counts - 1] > v->lanes) v->n_counts--;
    const int64_t most = v->count[v->n_counts - 1];
    if (!v->lanes) v->lanes = most;
    if (most <= v->lanes) return LK_OK;
    return LK_FAIL(LK_ERR_USAGE, "--workers: %" PRId64 " workers, but train.lanes is %" PRId64 ": a worker needs a "
                   "lane", most, v->lanes);
}

/* Beside the run's own folder, for all hosts see that. */
static lk_status make_folder(verification *v)
{
    const char *slash = strrchr(v->recipe->run.dir, '/');
    const int n = slash ? (int)(slash - v->recipe->run.dir) : 1;

    snprintf(v->dir, sizeof v->dir, "%.*s", n, slash ? v->recipe->run.dir : ".");
    LK_TRY(lk_make_dirs(v->dir));
    snprintf(v->dir, sizeof v->dir, "%.*s/verify-%s-XXXXXX", n, slash ? v->recipe->run.dir : ".", v->recipe->run.name);
    if (mkdtemp(v->dir)) return LK_OK;
    const int why = errno;
    *v->dir = '\0';
    return LK_FAIL(LK_ERR_SYSTEM, "cannot make a folder beside %s: %s", v->recipe->run.dir, strerror(why));
}

static lk_status open_all(const options *opt, verification *v)
{
    if (opt->n_positional != 1 || strcmp(opt->positional[0], "-") == 0)
        return LK_FAIL(LK_ERR_USAGE, "lockstep verify takes one recipe, a file, and mpirun's options behind `--`");
    v->steps = opt->steps ? opt->steps : DEFAULT_STEPS;
    if (v->steps < FEWEST_STEPS)
        return LK_FAIL(LK_ERR_USAGE, "--steps: at least %d, for a worker is killed behind a checkpoint", FEWEST_STEPS);
    LK_TRY(lk_recipe_read(opt->positional[0], opt->overrides, (size_t)opt->n_overrides, &v->recipe));
    LK_TRY(read_counts(v, opt->workers ? opt->workers : "1,2,4"));
    LK_TRY(settle_lanes(v));
    LK_TRY(launcher_open(opt, v->count[v->n_counts - 1], &v->launcher));
    LK_TRY(make_folder(v));
    return requests_open(&v->requests);
}

/* --------------------------------------------------------------------------- comparing */

static const char *path_of(const verification *v, const verdict *r, const char *name, char path[VERIFY_PATH_BYTES])
{
    snprintf(path, VERIFY_PATH_BYTES, "%s/%s%s", v->dir, r->name, name);
    return path;
}

static lk_status read_digest(const verification *v, verdict *r)
{
    char path[VERIFY_PATH_BYTES];
    lk_checkpoint *ckpt = NULL;

    LK_TRY(open_checkpoint(path_of(v, r, "", path), &ckpt));
    const lk_status status = lk_checkpoint_digest(ckpt, "", r->digest);
    lk_checkpoint_free(&ckpt);
    return status;
}

static lk_status same_metrics(const verification *v, const verdict *r, bool *same)
{
    char path[VERIFY_PATH_BYTES], *want = NULL, *is = NULL;

    lk_status status = lk_read_file(path_of(v, v->verdict, "/metrics.csv", path), &want, NULL);
    if (status == LK_OK) status = lk_read_file(path_of(v, r, "/metrics.csv", path), &is, NULL);
    *same = status == LK_OK && strcmp(want, is) == 0;
    free(want);
    free(is);
    return status;
}

static void differ(verdict *r, const char *what)
{
    if (r->differs) return;
    r->differs = true;
    snprintf(r->first.what, sizeof r->first.what, "%s", what);
}

/* A run that ended well. */
static lk_status compare(verification *v, verdict *r)
{
    record mine;
    bool same = true;

    lk_status status = record_read(path_of(v, r, "", (char[VERIFY_PATH_BYTES]){0}), &mine);
    if (status == LK_OK) {
        record_compare(&v->want, &mine, &r->first);
        r->differs = r->first.step != 0;
        r->steps = record_steps(&mine);
    }
    record_free(&mine);
    LK_TRY(status);
    LK_TRY(read_digest(v, r));
    LK_TRY(same_metrics(v, r, &same));
    if (strcmp(r->digest, v->verdict->digest) != 0) differ(r, "states of the optimizer, in the last checkpoint");
    if (!same) differ(r, "metrics.csv");
    return LK_OK;
}

/* -------------------------------------------------------------------------------- runs */

/* A run that ended badly may have digests that say why: workers that differ end it by themselves. */
static lk_status look_at_failure(verification *v, verdict *r, int status)
{
    const lk_status why = try_failed(v, r->name, status);
    record mine;
    char message[RECORD_WHAT_BYTES];

    if (why != LK_ERR_NUMBERS) return why;
    snprintf(message, sizeof message, "%s", lk_error_message());
    if (record_read(path_of(v, r, "", (char[VERIFY_PATH_BYTES]){0}), &mine) == LK_OK) {
        record_compare(v->n_verdicts > 1 ? &v->want : &mine, &mine, &r->first);
        r->steps = record_steps(&mine);
    }
    record_free(&mine);
    r->differs = true;
    if (!r->first.step) differ(r, message);
    return LK_OK;
}

static verdict *new_verdict(verification *v, int64_t n_workers)
{
    verdict *r = &v->verdict[v->n_verdicts++];

    *r = (verdict){.workers = n_workers};
    return r;
}

static lk_status run_unbroken(verification *v, int64_t n_workers)
{
    verdict *r = new_verdict(v, n_workers);
    int status = 0;

    snprintf(r->name, sizeof r->name, "on-%" PRId64, n_workers);
    LK_TRY(try_training(v, r->name, n_workers, NULL, &status));
    if (status != LK_OK) {
        LK_TRY(look_at_failure(v, r, status));
    } else {
        if (r == v->verdict) LK_TRY(record_read(path_of(v, r, "", (char[VERIFY_PATH_BYTES]){0}), &v->want));
        LK_TRY(compare(v, r));
    }
    page_verdict(v, r);
    return LK_OK;
}

static lk_status newest_step(const verification *v, const verdict *r, int64_t *out)
{
    char path[VERIFY_PATH_BYTES];
    lk_ckpt_entry *entries = NULL;
    size_t n = 0;

    LK_TRY(lk_checkpoint_list(path_of(v, r, "/checkpoints", path), &entries, &n));
    *out = n > 0 ? entries[n - 1].step : 0;
    free(entries);
    return n > 0 ? LK_OK : LK_FAIL(LK_ERR_CHECKPOINT, "%s: a worker was killed, and there is no checkpoint", r->name);
}

/* One checkpoint is surely there when the worker is killed: the next is begun only once it is. */
static lk_status break_run(verification *v, verdict *r, words *more)
{
    const int64_t steps = v->verdict->steps, every = steps / SAVES > 0 ? steps / SAVES : 1;
    int status = 0;

    r->killed_at = steps - every > 2 ? steps - every : 2;
    words_print(more, "checkpoint.every=%" PRId64, every);
    words killing = {0};
    words_add(&killing, more->word[0]);
    words_print(&killing, "--die-at=%" PRId64, r->killed_at);
    const lk_status result = try_training(v, r->name, r->workers, &killing, &status);
    words_free(&killing);
    LK_TRY(result);
    if (status == LK_OK) return LK_FAIL(LK_ERR_PEER, "%s: the run outlived the worker that was killed", r->name);
    return newest_step(v, r, &r->resumed_from);
}

static lk_status mend_run(verification *v, verdict *r, words *more)
{
    int status = 0;

    words_add(more, "--resume");
    LK_TRY(try_training(v, r->name, r->resumed_on, more, &status));
    return status == LK_OK ? compare(v, r) : look_at_failure(v, r, status);
}

/* The most workers, of which one is killed, and the next fewer. */
static lk_status run_broken(verification *v)
{
    const size_t last = v->n_counts - 1;
    verdict *r = new_verdict(v, v->count[last]);
    words more = {0};

    r->resumed_on = v->count[last > 0 ? last - 1 : 0];
    snprintf(r->name, sizeof r->name, "on-%" PRId64 "-killed-then-on-%" PRId64, r->workers, r->resumed_on);
    lk_status status = break_run(v, r, &more);
    if (status == LK_OK) status = mend_run(v, r, &more);
    words_free(&more);
    LK_TRY(status);
    page_verdict(v, r);
    return LK_OK;
}

static lk_status verify(verification *v)
{
    page_begin(v);
    for (size_t i = 0; i < v->n_counts; i++) {
        LK_TRY(run_unbroken(v, v->count[i]));
        if (v->want.n == 0) break; /* there is nothing to compare with */
    }
    if (v->want.n > 0) {
        if (v->verdict->steps < FEWEST_STEPS)
            return LK_FAIL(LK_ERR_USAGE, "the recipe ends after %" PRId64 " step%s: at least %d are needed, for a "
                           "worker is killed behind a checkpoint", v->verdict->steps, plural(v->verdict->steps),
                           FEWEST_STEPS);
        LK_TRY(run_broken(v));
    }
    page_end(v);
    return v->opt->json ? page_write_json(v, v->opt->json) : LK_OK;
}

static lk_status conclude(const verification *v)
{
    for (size_t i = 0; i < v->n_verdicts; i++) {
        const verdict *r = &v->verdict[i];

        if (!r->differs) continue;
        if (!r->first.step) return LK_FAIL(LK_ERR_NUMBERS, "the bits of %s differ: %s", r->name, r->first.what);
        return LK_FAIL(LK_ERR_NUMBERS, "the bits of %s differ from step %" PRId64 " on: %s", r->name, r->first.step,
                       r->first.what);
    }
    return LK_OK;
}

lk_status command_verify(job *j, const options *opt)
{
    verification v = {.opt = opt, .requests = {.fd = -1}};

    if (lk_world_size(j->world) > 1)
        return LK_FAIL(LK_ERR_USAGE, "lockstep verify starts mpirun itself: start it without");
    lk_status status = open_all(opt, &v);
    if (status == LK_OK) status = verify(&v);
    if (status == LK_OK) status = conclude(&v);
    requests_close(&v.requests);
    if (*v.dir && !opt->keep && lk_remove_tree(v.dir) != LK_OK)
        fprintf(stderr, "lockstep: warning: %s is still there\n", v.dir);
    record_free(&v.want);
    launcher_close(&v.launcher);
    lk_recipe_free(&v.recipe);
    return status;
}
