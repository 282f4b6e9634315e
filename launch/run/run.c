/*
 * lockstep run: starts mpirun, and when a worker or a host is lost starts it again on the hosts that still answer,
 * from the newest good checkpoint, up to a number of times.  As every number of workers gives the same bits, so does
 * the run that was healed.
 *
 * Not started again: what would fail once more.  Those are a recipe, data or a checkpoint that are wrong and numbers
 * that are not finite (by exit status), and the very same failure twice with no new checkpoint between them.
 * --restarts counts all of a run, as torchrun's max-restarts; the time before a start doubles, and begins anew once
 * there was progress.
 */
#include "launch/run/ending.h"
#include "launch/run/launcher.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 4096, REASON_BYTES = ENDING_BYTES + 128 };

static const double default_restarts = 3, default_backoff = 5.0, most_backoff = 300.0, default_probe = 20.0;

typedef struct healer {
    const options *opt;
    launcher launcher;
    requests requests;
    lk_recipe *recipe;       /* owned: it says which folder is the run's */
    int64_t asked;           /* workers */
    int64_t restarts, done;  /* at most, and so far */
    double backoff, wait;    /* seconds: before the first restart, before the next */
    double probe;            /* seconds that a host gets to answer */
    int64_t saved;           /* step of the newest checkpoint, -1: none */
    ending before;           /* of the try before; status 0: there is none to compare with */
} healer;

/* ---------------------------------------------------------------------------- options */

static lk_status read_numbers(const options *opt, healer *h)
{
    double workers = 0.0, restarts = default_restarts;

    h->backoff = default_backoff;
    h->probe = default_probe;
    LK_TRY(option_number("--workers", opt->workers, true, 1.0, &workers));
    LK_TRY(option_number("--restarts", opt->restarts, true, 0.0, &restarts));
    LK_TRY(option_number("--backoff", opt->backoff, false, 0.0, &h->backoff));
    LK_TRY(option_number("--probe", opt->probe, false, 0.0, &h->probe));
    h->asked = (int64_t)workers;
    h->restarts = (int64_t)restarts;
    h->wait = h->backoff;
    return LK_OK;
}

static lk_status count_workers(healer *h)
{
    if (h->asked == 0) h->asked = hosts_slots(&h->launcher.hosts, true);
    if (h->asked > 0) return LK_OK;
    return LK_FAIL(LK_ERR_USAGE, "lockstep run: say how many workers with -n N, or name hosts with --hostfile FILE");
}

static lk_status check_words(const options *opt)
{
    if (opt->n_positional != 1)
        return LK_FAIL(LK_ERR_USAGE, "lockstep run takes one recipe, and mpirun's options behind `--`");
    if (strcmp(opt->positional[0], "-") == 0)
        return LK_FAIL(LK_ERR_USAGE, "lockstep run reads the recipe at each start, so it cannot be standard input");
    return LK_OK;
}

static lk_status open_all(const options *opt, healer *h)
{
    LK_TRY(check_words(opt));
    LK_TRY(read_numbers(opt, h));
    /* Here already: a recipe that is wrong needs no workers to say so. */
    LK_TRY(lk_recipe_read(opt->positional[0], opt->overrides, (size_t)opt->n_overrides, &h->recipe));
    LK_TRY(launcher_open(opt, h->asked, &h->launcher));
    LK_TRY(count_workers(h));
    return requests_open(&h->requests);
}

/* ------------------------------------------------------------------------------ a try */

static void add_training(const options *opt, const launcher *l, words *argv)
{
    words_add(argv, l->self);
    words_add(argv, "train");
    words_add(argv, opt->positional[0]);
    for (int i = 0; i < opt->n_overrides; i++) words_add(argv, opt->overrides[i]);
    words_add(argv, "--resume");
    if (opt->change) words_add(argv, "--change");
    if (opt->trace) words_add(argv, "--trace");
    if (opt->engine) words_print(argv, "--engine=%s", opt->engine);
}

static lk_status start(healer *h, ending *end)
{
    words argv = {0};

    *end = (ending){0};
    launcher_begin(&h->launcher, hosts_workers(&h->launcher.hosts, h->asked), &argv);
    add_training(h->opt, &h->launcher, &argv);
    const process_spec spec = {.argv = argv.word, .line = ending_hear, .arg = end,
                               .last_words = "; ending the job"};
    lk_status status = words_check(&argv);
    if (status == LK_OK) status = process_run(&h->requests, &spec, &end->status);
    words_free(&argv);
    return status;
}

/* ------------------------------------------------------------------------ what is told */

static int64_t newest_checkpoint(const healer *h)
{
    char dir[PATH_BYTES];
    lk_ckpt_entry *entries = NULL;
    size_t n = 0;

    snprintf(dir, sizeof dir, "%s/checkpoints", h->recipe->run.dir);
    if (access(dir, R_OK) != 0 || lk_checkpoint_list(dir, &entries, &n) != LK_OK) return -1;
    const int64_t step = n > 0 ? entries[n - 1].step : -1;
    free(entries);
    return step;
}

/* On stderr and, where there is a run already, in its journal: nobody else writes there between two tries. */
static lk_status tell(const healer *h, const char *event, const char *text)
{
    char path[PATH_BYTES];
    lk_journal *journal = NULL;

    fprintf(stderr, "lockstep run: %s\n", text);
    snprintf(path, sizeof path, "%s/journal.jsonl", h->recipe->run.dir);
    if (access(path, F_OK) != 0) return LK_OK;
    LK_TRY(lk_journal_open(path, true, &journal));
    const lk_status status = lk_journal_write(journal, h->saved > 0 ? h->saved : 0, event, "%s", text);
    lk_journal_free(&journal);
    return status;
}

static lk_status give_up(const healer *h, const ending *end, const char *why)
{
    char reason[ENDING_BYTES], text[REASON_BYTES];

    snprintf(text, sizeof text, "given up, %s: %s", why, ending_describe(end, reason));
    LK_TRY(tell(h, "given_up", text));
    return LK_FAIL(ending_status(end), "%s", text);
}

static lk_status tell_restart(const healer *h, const ending *end)
{
    char reason[ENDING_BYTES], text[REASON_BYTES], from[32] = "the beginning";
    const int64_t n = hosts_workers(&h->launcher.hosts, h->asked);

    if (h->saved >= 0) snprintf(from, sizeof from, "step %" PRId64, h->saved);
    snprintf(text, sizeof text, "restart %" PRId64 " of %" PRId64 " on %" PRId64 " worker%s from %s, after: %s",
             h->done, h->restarts, n, plural(n), from, ending_describe(end, reason));
    return tell(h, "restart", text);
}

/* ----------------------------------------------------------------------------- healing */

/* What was waited for and has come is progress; the hosts are not the same any more, so nothing is compared either. */
static lk_status make_ready(healer *h, const ending *end)
{
    const int64_t saved = newest_checkpoint(h);
    bool changed = false;

    if (saved > h->saved) h->wait = h->backoff;
    h->saved = saved;
    if (requests_wait(&h->requests, h->wait)) return LK_STOPPED;
    h->wait = fmin(2.0 * h->wait, most_backoff);
    LK_TRY(launcher_ask_hosts(&h->launcher, &h->requests, h->probe, &changed));
    if (h->requests.stop) return LK_STOPPED;
    if (hosts_workers(&h->launcher.hosts, h->asked) == 0) return give_up(h, end, "no host answers");
    h->before = *end;
    if (changed) h->before.status = LK_OK;
    h->done++;
    return tell_restart(h, end);
}

/* After a request to stop, workers that were killed are what was asked for; a checkpoint that could not be written is
 * not. */
static lk_status judge_stopped(const ending *end)
{
    const lk_status status = ending_status(end);
    char reason[ENDING_BYTES];

    if (status == LK_STOPPED || status == LK_ERR_PEER) return LK_STOPPED;
    return LK_FAIL(status, "%s", ending_describe(end, reason));
}

/* LK_OK: another try is worth it. */
static lk_status judge(healer *h, const ending *end)
{
    if (h->requests.stop || end->status == LK_STOPPED) return judge_stopped(end);
    if (ending_comes_again(end)) return give_up(h, end, "for the same would come again");
    if (h->before.status != LK_OK && ending_is_repeated(&h->before, end) && newest_checkpoint(h) == h->saved)
        return give_up(h, end, "for the same came again, with no new checkpoint");
    if (h->done == h->restarts) return give_up(h, end, h->restarts > 0 ? "there is no restart left" : "not restarted");
    return make_ready(h, end);
}

static lk_status heal(healer *h)
{
    h->saved = newest_checkpoint(h);
    for (;;) {
        ending end;

        LK_TRY(start(h, &end));
        if (end.status == LK_OK) return LK_OK;
        LK_TRY(judge(h, &end));
    }
}

lk_status command_run(job *j, const options *opt)
{
    healer h = {.opt = opt, .requests = {.fd = -1}};

    if (lk_world_size(j->world) > 1)
        return LK_FAIL(LK_ERR_USAGE, "lockstep run starts mpirun itself: start it without");
    lk_status status = open_all(opt, &h);
    if (status == LK_OK) status = heal(&h);
    requests_close(&h.requests);
    launcher_close(&h.launcher);
    lk_recipe_free(&h.recipe);
    return status;
}
