/* One training of a verification: its command line, and what its log says when it fails. */
#include "launch/verify/verify.h"

#include <stdlib.h>
#include <string.h>

#include "launch/run/ending.h"

/* What is asked of every run.  Checkpoints are counted in steps, and none is written but the last, unless `more`
 * says so. */
static void add_training(const verification *v, const char *name, words *argv)
{
    const options *opt = v->opt;

    words_add(argv, v->launcher.self);
    words_add(argv, "train");
    words_add(argv, opt->positional[0]);
    for (int i = 0; i < opt->n_overrides; i++) words_add(argv, opt->overrides[i]);
    words_print(argv, "run.dir=%s/%s", v->dir, name);
    words_print(argv, "train.lanes=%lld", (long long)v->lanes);
    words_print(argv, "train.steps=%lld", (long long)v->steps);
    words_add(argv, "checkpoint.unit=step");
    words_add(argv, "checkpoint.every=0");
    words_add(argv, "checkpoint.best=false");
    words_add(argv, "--digests");
    if (opt->engine) words_print(argv, "--engine=%s", opt->engine);
}

/* One worker is started alone: that this is no other arithmetic is part of the promise.  On one machine there may
 * be more workers than cores. */
static void begin(const verification *v, int64_t n_workers, words *argv)
{
    if (n_workers == 1 && v->launcher.hosts.n == 0) return;
    launcher_begin(&v->launcher, n_workers, argv);
    if (!v->launcher.slurm && v->launcher.hosts.n == 0) words_add(argv, "--oversubscribe");
}

lk_status try_training(verification *v, const char *name, int64_t n_workers, const words *more, int *status)
{
    char log[VERIFY_PATH_BYTES];
    words argv = {0};

    begin(v, n_workers, &argv);
    add_training(v, name, &argv);
    for (size_t i = 0; more && i < more->n; i++) words_add(&argv, more->word[i]);
    snprintf(log, sizeof log, "%s/%s.log", v->dir, name);
    const process_spec spec = {.argv = argv.word, .log = log};
    lk_status result = words_check(&argv);
    if (result == LK_OK) result = process_run(&v->requests, &spec, status);
    words_free(&argv);
    LK_TRY(result);
    return v->requests.stop ? LK_STOPPED : LK_OK;
}

lk_status try_failed(const verification *v, const char *name, int status)
{
    char log[VERIFY_PATH_BYTES], reason[ENDING_BYTES], *text = NULL;
    ending end = {.status = status};

    snprintf(log, sizeof log, "%s/%s.log", v->dir, name);
    LK_TRY(lk_read_file(log, &text, NULL));
    char *rest = text;
    for (const char *line; (line = strsep(&rest, "\n"));) ending_hear(&end, line);
    free(text);
    return LK_FAIL(ending_status(&end), "%s: %s", name, ending_describe(&end, reason));
}
