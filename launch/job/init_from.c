/*
 * init_from: a new run starts from the weights of another run's checkpoint, or of a safetensors file.
 *
 * Every worker reads the same tensors by itself, as it would resume; the optimizer starts afresh and the EMA from what
 * was loaded.  Once the run has a checkpoint of its own, a resume takes everything from there.
 */
#include "launch/launch.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { REPORT_BYTES = 1536 };

/* The model's tensors, and what becomes of them and of the checkpoint's. */
typedef struct meeting {
    lk_ckpt_tensor *here;   /* owned */
    size_t n_here;
    lk_weight_match *match; /* owned */
} meeting;

static void part(meeting *m)
{
    lk_weight_match_free(&m->match);
    free_tensors(&m->here, m->n_here);
}

/* "recipe.yaml:12: init_from.rename: what went wrong" */
static lk_status fail_at(const lk_recipe *r, lk_status status, const char *key)
{
    return LK_FAIL(status, "%s: %s: %s", lk_recipe_where(r, r->has_init_from ? key : "run"),
                   r->has_init_from ? key : "init_from", lk_error_message());
}

/* base: host memory for the model's tensors, NULL when nothing will be read. */
static lk_status meet(const job *j, const lk_weights *weights, float *base, meeting *m)
{
    const lk_recipe *r = j->whole;

    LK_TRY(list_tensors(j->model, "model", NULL, base, &m->here, &m->n_here));
    const lk_status status = lk_weight_match_new(m->here, m->n_here, lk_weights_tensor(weights, 0),
                                                 lk_weights_n(weights), &r->init_from.rename, &m->match);
    return status == LK_ERR_USAGE ? fail_at(r, status, "init_from.rename") : status;
}

static lk_status check(const lk_recipe *r, const meeting *m)
{
    if (lk_weight_match_check(m->match, r->init_from.strict) == LK_OK) return LK_OK;
    return fail_at(r, LK_ERR_USAGE, "init_from.checkpoint");
}

/* ------------------------------------------------------------------ training */

/* "w.safetensors (XXH3 1a2b...), its EMA: 12 loaded, ...", for the journal. */
static lk_status report(job *j, const lk_weights *weights, const meeting *m)
{
    char text[REPORT_BYTES], hash[LK_HASH_BYTES];

    LK_TRY(lk_weights_hash(weights, hash));
    lk_weight_match_describe(m->match, text, sizeof text);
    if (asprintf(&j->init_report, "%s%s%s%s%s: %s", lk_weights_path(weights), *hash ? " (XXH3 " : "", hash,
                 *hash ? ")" : "", j->whole->init_from.ema ? ", its EMA" : "", text) >= 0)
        return LK_OK;
    j->init_report = NULL;
    return LK_FAIL(LK_ERR_SYSTEM, "out of memory: the report of init_from");
}

/* Tensors that do not meet keep their first values. */
static lk_status load(job *j, lk_weights *weights, const meeting *m, const float *host)
{
    LK_TRY(check(j->whole, m));
    LK_TRY(lk_weight_match_load(m->match, weights));
    if (j->leader) odd_say_of_model(j->model, host, lk_weights_path(weights));
    LK_TRY(job_host_write(j, j->params, host, lk_model_n_elem(j->model)));
    j->params_version = ++j->last_version;
    return j->leader ? report(j, weights, m) : LK_OK;
}

static lk_status start_from(job *j, lk_weights *weights)
{
    meeting m = {0};
    float *host;

    LK_TRY(job_host_read(j, j->params, lk_model_n_elem(j->model), &host));
    lk_status status = meet(j, weights, host, &m);
    if (status == LK_OK) status = load(j, weights, &m, host);
    part(&m);
    return status;
}

/* The same on all workers. */
static lk_status refuse(job *j, lk_status status, const char *key)
{
    j->agreed = true;
    return fail_at(j->whole, status, key);
}

/* A checkpoint's weights, or those of its EMA. */
static lk_status take_checkpoint(job *j, lk_checkpoint *checkpoint, lk_weights **out)
{
    const lk_recipe *r = j->whole;

    LK_TRY(job_agree(j, lk_weights_of(checkpoint, r->init_from.ema ? "ema/" : "model/", out)));
    if (lk_weights_n(*out) > 0) return LK_OK;
    const lk_status status = LK_FAIL(LK_ERR_USAGE, "%s has no EMA: its run had no section ema; ema: false takes the "
                                     "weights", lk_weights_path(*out));
    return refuse(j, status, "init_from.ema");
}

static lk_status open_source(job *j, lk_weights **out)
{
    const lk_recipe *r = j->whole;
    lk_checkpoint *checkpoint = NULL;
    const lk_status status = job_open_source(j, r->init_from.checkpoint, &checkpoint, out);

    if (status != LK_OK) return fail_at(r, status, "init_from.checkpoint");
    if (checkpoint) return take_checkpoint(j, checkpoint, out);
    if (*out && !r->init_from.ema) return LK_OK;
    if (*out)
        return refuse(j, LK_FAIL(LK_ERR_USAGE, "%s has one set of weights; ema: false takes them",
                                 lk_weights_path(*out)), "init_from.ema");
    return refuse(j, LK_FAIL(LK_ERR_CHECKPOINT, "the run %s has no checkpoint", r->init_from.checkpoint),
                  "init_from.checkpoint");
}

lk_status job_init_from(job *j)
{
    lk_weights *source = NULL;

    if (!j->whole->has_init_from) return LK_OK;
    if (j->checkpoint) {
        j->init_report = strdup("ignored: the run goes on from its own checkpoint");
        return LK_OK; /* without the memory for it, the journal has a line less */
    }
    lk_status status = open_source(j, &source);
    if (status == LK_OK) status = job_agree(j, start_from(j, source));
    lk_weights_free(&source);
    LK_TRY(status);
    if (j->leader) printf("init_from %s\n", j->init_report);
    return LK_OK;
}

/* ------------------------------------------------------------------- showing */

static void print_rows(const lk_weight_match *t)
{
    static const char *const word[] = {
#define FATE_WORD(name, text) text,
        LK_MATCH_RESULT_LIST(FATE_WORD)
#undef FATE_WORD
    };
    char shape[LK_SHAPE_BYTES];

    printf("%-36s %-36s %-18s %-11s %s\n", "here", "in the checkpoint", "shape", "", "why");
    for (size_t i = 0; i < t->n_rows; i++) {
        const lk_weight_match_row *row = &t->row[i];
        const lk_ckpt_tensor *of = row->here ? row->here : row->there;

        printf("%-36s %-36s %-18s %-11s %s\n", row->here ? lk_tensor_name(row->here) : "-",
               row->there ? lk_tensor_name(row->there) : "-", lk_print_shape(of->ndim, of->shape, shape),
               word[row->result], row->why);
    }
    printf("%zu loaded, %zu missing, %zu unexpected, %zu of another shape\n", t->n[LK_MATCH_LOADED],
           t->n[LK_MATCH_MISSING], t->n[LK_MATCH_UNEXPECTED], t->n[LK_MATCH_SHAPE]);
}

/* A recipe without init_from refuses nothing: its table only tells what would meet. */
static lk_status show_meeting(const job *j, const lk_weights *weights, bool ema)
{
    meeting m = {0};
    lk_status status = meet(j, weights, NULL, &m);

    if (status == LK_OK) {
        printf("%s%s, against %s\n\n", lk_weights_path(weights), ema ? ", its EMA" : "", j->whole->path);
        print_rows(m.match);
        fflush(stdout);
        if (j->whole->has_init_from) status = check(j->whole, &m);
    }
    part(&m);
    return status;
}

static lk_status open_shown(const job *j, const char *path, bool ema, lk_weights **out)
{
    const lk_status status = open_weights(path, ema ? "ema/" : "model/", out);

    if (status == LK_ERR_USAGE) return fail_at(j->whole, status, "init_from.ema");
    if (status != LK_OK || !ema || !is_weights_file(path)) return status;
    return LK_FAIL(LK_ERR_USAGE, "--ema: %s has one set of weights", path);
}

lk_status show_against(const char *path, const options *opt)
{
    job j = {.leader = true};
    lk_weights *weights = NULL;
    lk_status status = job_read_recipe_alone(&j, opt, opt->against);
    const bool ema = opt->ema || (status == LK_OK && j.whole->init_from.ema);

    if (status == LK_OK) status = open_shown(&j, path, ema, &weights);
    if (status == LK_OK) status = job_open_model(&j);
    if (status == LK_OK) status = show_meeting(&j, weights, ema);
    lk_weights_free(&weights);
    job_close(&j);
    return status;
}
