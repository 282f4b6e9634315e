/*
 * init_from: a new run starts from the weights of another run's checkpoint.
 *
 * Every worker reads the same tensors by itself, as it would resume; the optimizer starts afresh and the EMA from what
 * was loaded.  Once the run has a checkpoint of its own, a resume takes everything from there.
 */
#include "launch/launch.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { REPORT_BYTES = 1536 };

/* The model's tensors and the checkpoint's, and what becomes of them. */
typedef struct meeting {
    lk_ckpt_tensor *here, *there; /* owned; there: paths are the checkpoint's */
    size_t n_here, n_there;
    lk_weight_match *match;       /* owned */
} meeting;

static void part(meeting *m)
{
    lk_weight_match_free(&m->match);
    free(m->there);
    free_tensors(&m->here, m->n_here);
}

/* "recipe.yaml:12: init_from.rename: what went wrong" */
static lk_status fail_at(const lk_recipe *r, lk_status status, const char *key)
{
    return LK_FAIL(status, "%s: %s: %s", lk_recipe_where(r, r->has_init_from ? key : "run"),
                   r->has_init_from ? key : "init_from", lk_error_message());
}

/* The checkpoint's weights, or those of its EMA. */
static lk_status list_there(const lk_checkpoint *ckpt, bool ema, meeting *m)
{
    const char *kind = ema ? "ema/" : "model/";
    const size_t all = lk_checkpoint_n_tensors(ckpt);

    m->there = calloc(all + 1, sizeof *m->there);
    LK_TRY_ALLOC(m->there, (all + 1) * sizeof *m->there);
    for (size_t i = 0; i < all; i++) {
        const lk_ckpt_tensor *tensor = lk_checkpoint_tensor(ckpt, i);

        if (strncmp(tensor->path, kind, strlen(kind)) == 0) m->there[m->n_there++] = *tensor;
    }
    if (ema && m->n_there == 0)
        return LK_FAIL(LK_ERR_USAGE, "%s has no EMA: its run had no section ema; ema: false takes the weights",
                       lk_checkpoint_path(ckpt));
    return LK_OK;
}

/* base: host memory for the model's tensors, NULL when nothing will be read. */
static lk_status meet(const job *j, const lk_checkpoint *ckpt, bool ema, float *base, meeting *m)
{
    const lk_recipe *r = j->whole;

    LK_TRY(list_tensors(j->model, "model", NULL, base, &m->here, &m->n_here));
    if (list_there(ckpt, ema, m) != LK_OK) return fail_at(r, LK_ERR_USAGE, "init_from.ema");
    const lk_status status =
        lk_weight_match_new(m->here, m->n_here, m->there, m->n_there, &r->init_from.rename, &m->match);
    return status == LK_ERR_USAGE ? fail_at(r, status, "init_from.rename") : status;
}

static lk_status check(const lk_recipe *r, const meeting *m)
{
    if (lk_weight_match_check(m->match, r->init_from.strict) == LK_OK) return LK_OK;
    return fail_at(r, LK_ERR_USAGE, "init_from.checkpoint");
}

/* ------------------------------------------------------------------ training */

/* Tensors that do not meet keep their first values. */
static lk_status load(job *j, lk_checkpoint *ckpt, const meeting *m, const float *host)
{
    char text[REPORT_BYTES];

    LK_TRY(check(j->whole, m));
    LK_TRY(lk_weight_match_load(m->match, ckpt));
    LK_TRY(job_host_write(j, j->params, host, lk_model_n_elem(j->model)));
    j->params_version = ++j->last_version;
    lk_weight_match_describe(m->match, text, sizeof text);
    if (asprintf(&j->init_report, "%s%s: %s", lk_checkpoint_path(ckpt), j->whole->init_from.ema ? ", its EMA" : "",
                 text) < 0) {
        j->init_report = NULL;
        return LK_FAIL(LK_ERR_SYSTEM, "out of memory: the report of init_from");
    }
    return LK_OK;
}

static lk_status start_from(job *j, lk_checkpoint *ckpt)
{
    meeting m = {0};
    float *host;

    LK_TRY(job_host_read(j, j->params, lk_model_n_elem(j->model), &host));
    lk_status status = meet(j, ckpt, j->whole->init_from.ema, host, &m);
    if (status == LK_OK) status = load(j, ckpt, &m, host);
    part(&m);
    return status;
}

static lk_status open_source(job *j, lk_checkpoint **out)
{
    const lk_recipe *r = j->whole;
    const lk_status status = job_open_checkpoint(j, r->init_from.checkpoint, out);

    if (status != LK_OK) return fail_at(r, status, "init_from.checkpoint");
    if (*out) return LK_OK;
    j->agreed = true;
    return LK_FAIL(LK_ERR_CHECKPOINT, "%s: init_from.checkpoint: the run %s has no checkpoint",
                   lk_recipe_where(r, "init_from.checkpoint"), r->init_from.checkpoint);
}

lk_status job_init_from(job *j)
{
    lk_checkpoint *source = NULL;

    if (!j->whole->has_init_from) return LK_OK;
    if (j->checkpoint) {
        j->init_report = strdup("ignored: the run goes on from its own checkpoint");
        return LK_OK; /* without the memory for it, the journal has a line less */
    }
    lk_status status = open_source(j, &source);
    if (status == LK_OK) status = job_agree(j, start_from(j, source));
    lk_checkpoint_free(&source);
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

    printf("%-36s %-36s %-18s %-7s %s\n", "here", "in the checkpoint", "shape", "", "why");
    for (size_t i = 0; i < t->n_rows; i++) {
        const lk_weight_match_row *row = &t->row[i];
        const lk_ckpt_tensor *of = row->here ? row->here : row->there;

        printf("%-36s %-36s %-18s %-7s %s\n", row->here ? lk_tensor_name(row->here) : "-",
               row->there ? lk_tensor_name(row->there) : "-", lk_print_shape(of->ndim, of->shape, shape),
               word[row->result], row->why);
    }
    printf("%zu loaded, %zu missing, %zu unexpected\n", t->n[LK_MATCH_LOADED], t->n[LK_MATCH_MISSING],
           t->n[LK_MATCH_UNEXPECTED]);
}

/* A recipe without init_from refuses nothing: its table only tells what would meet. */
static lk_status show_meeting(const job *j, const lk_checkpoint *ckpt, bool ema)
{
    meeting m = {0};
    lk_status status = meet(j, ckpt, ema, NULL, &m);

    if (status == LK_OK) {
        printf("%s%s, against %s\n\n", lk_checkpoint_path(ckpt), ema ? ", its EMA" : "", j->whole->path);
        print_rows(m.match);
        fflush(stdout);
        if (j->whole->has_init_from) status = check(j->whole, &m);
    }
    part(&m);
    return status;
}

lk_status show_against(const lk_checkpoint *ckpt, const options *opt)
{
    job j = {.leader = true};
    lk_status status = job_read_recipe_alone(&j, opt, opt->against);

    if (status == LK_OK) status = job_open_model(&j);
    if (status == LK_OK) status = show_meeting(&j, ckpt, opt->ema || j.whole->init_from.ema);
    job_close(&j);
    return status;
}
