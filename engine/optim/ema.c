/*
 * The exponential moving average of a model's weights, by the rules of ema-pytorch (EMA.update and
 * get_current_decay in lucidrains/ema-pytorch, 0.8.3).
 *
 * Calls of update are counted from 0.  The first call, and until update_after_step every update_every-th, copies all
 * tensors; after that every update_every-th averages, with a decay that warms up:
 *
 *     epoch = step - update_after_step
 *     decay = clamp(1 - (1 + epoch / inv_gamma)^-power, min_value, beta)
 *     ema   = ema + (1 - decay) * (param - ema)
 *
 * Batch norm's running statistics are averaged like weights.  In an averaging call, names matched by `ignore` keep
 * the value of the last copy and names matched by `copy` are copied.  beta = 1 freezes the average after the copies.
 *
 * ema-pytorch computes the decay in float; here it is a double until the pass over the arena, which uses a float.
 */
#include "engine/optim/ema.h"

#include <math.h>
#include <string.h>

struct lk_ema {
    lk_ema_spec spec;
    const lk_backend *backend; /* borrowed, as its state */
    void *ctx;
    size_t n_elem;
    float *params;             /* owned, in the backend's memory */
    int64_t step;
    bool started;
    bool started_before;       /* the call counted last */
    lk_ema_range *runs;           /* owned; of an averaging call */
    size_t n_runs;
    lk_ema_range whole_copy, whole_off;
};

/* -------------------------------------------------------------------- spec */

static lk_status check(const char *key, double value, bool ok, const char *range)
{
    return ok ? LK_OK : LK_FAIL(LK_ERR_USAGE, "ema.%s: %g is out of range, want %s", key, value, range);
}

static lk_status check_spec(const lk_ema_spec *spec)
{
    LK_TRY(check("beta", spec->beta, spec->beta >= 0.0 && spec->beta <= 1.0, "0 to 1"));
    LK_TRY(check("update_after_step", (double)spec->update_after_step, spec->update_after_step >= 0, "0 or more"));
    LK_TRY(check("update_every", (double)spec->update_every, spec->update_every >= 1, "1 or more"));
    LK_TRY(check("inv_gamma", spec->inv_gamma, spec->inv_gamma > 0.0 && isfinite(spec->inv_gamma), "more than 0"));
    LK_TRY(check("power", spec->power, spec->power >= 0.0 && isfinite(spec->power), "0 or more"));
    LK_TRY(check("min_value", spec->min_value, spec->min_value >= 0.0 && spec->min_value <= 1.0, "0 to 1"));
    return LK_OK;
}

static bool matches_any(const char *const *patterns, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (lk_glob(patterns[i], name)) return true;
    return false;
}

/* The model's names are listed only to suggest one, so this may allocate. */
static lk_status fail_no_match(const lk_model *model, const char *key, const char *pattern)
{
    const size_t n = lk_model_n_tensors(model);
    const char **names = lk_alloc(n * sizeof *names);

    LK_TRY_ALLOC(names, n * sizeof *names);
    for (size_t i = 0; i < n; i++) names[i] = lk_model_tensor(model, i)->name;
    const char *near = lk_nearest(pattern, names, n);
    lk_free(&names);
    return LK_FAIL(LK_ERR_USAGE, "ema.%s: \"%s\" matches no tensor%s%s%s", key, pattern,
                   near ? "; did you mean \"" : ", names look like \"", near ? near : lk_model_tensor(model, 0)->name,
                   near ? "\"?" : "\"");
}

static lk_status check_patterns(const lk_model *model, const char *key, const char *const *patterns, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bool found = false;
        for (size_t t = 0; t < lk_model_n_tensors(model) && !found; t++)
            found = lk_glob(patterns[i], lk_model_tensor(model, t)->name);
        if (!found) LK_TRY(fail_no_match(model, key, patterns[i]));
    }
    return LK_OK;
}

/* ema-pytorch asks for ignored names first. */
static lk_ema_mode mode_of(const lk_ema_spec *spec, const char *name)
{
    if (matches_any(spec->ignore, spec->n_ignore, name)) return LK_EMA_OFF;
    if (matches_any(spec->copy, spec->n_copy, name)) return LK_EMA_COPY;
    return LK_EMA_BLEND;
}

/* Tensors lie in the arena in order from 0, so alike neighbours (and the padding behind them) join into one run. */
static void make_runs(lk_ema *ema, const lk_model *model)
{
    lk_ema_range *run = NULL;

    for (size_t t = 0; t < lk_model_n_tensors(model); t++) {
        const lk_tensor_info *info = lk_model_tensor(model, t);
        const lk_ema_mode mode = mode_of(&ema->spec, info->name);

        if (run && run->mode == mode) continue;
        if (run) run->end = info->offset;
        run = &ema->runs[ema->n_runs++];
        *run = (lk_ema_range){.begin = info->offset, .end = ema->n_elem, .mode = mode};
    }
}

/* --------------------------------------------------------------- life, state */

static lk_status fill(lk_ema *ema, const lk_model *model, const float *params)
{
    const size_t runs_nbytes = lk_model_n_tensors(model) * sizeof *ema->runs;

    ema->runs = lk_alloc(runs_nbytes);
    LK_TRY_ALLOC(ema->runs, runs_nbytes);
    make_runs(ema, model);
    LK_TRY(ema->backend->alloc(ema->ctx, ema->n_elem * sizeof(float), (void **)&ema->params));
    return ema->backend->ema(ema->ctx, ema->params, params, 0, ema->n_elem, LK_EMA_COPY, 0.0f, false);
}

lk_status lk_ema_new(lk_engine *engine, const lk_ema_spec *spec, const float *params, lk_ema **out)
{
    const lk_model *model = lk_engine_model(engine);

    *out = NULL;
    LK_TRY(check_spec(spec));
    LK_TRY(check_patterns(model, "copy", spec->copy, spec->n_copy));
    LK_TRY(check_patterns(model, "ignore", spec->ignore, spec->n_ignore));

    lk_ema *ema = lk_alloc(sizeof *ema);
    LK_TRY_ALLOC(ema, sizeof *ema);
    ema->spec = *spec;
    ema->backend = lk_engine_backend(engine, &ema->ctx);
    ema->n_elem = lk_model_n_elem(model);
    ema->whole_copy = (lk_ema_range){.end = ema->n_elem, .mode = LK_EMA_COPY};
    ema->whole_off = (lk_ema_range){.end = ema->n_elem, .mode = LK_EMA_OFF};
    const lk_status status = fill(ema, model, params);
    if (status != LK_OK) lk_ema_free(&ema);
    LK_TRY(status);
    *out = ema;
    return LK_OK;
}

void lk_ema_free(lk_ema **ema)
{
    if (!ema || !*ema) return;
    if ((*ema)->params) (*ema)->backend->release((*ema)->ctx, (*ema)->params);
    lk_free(&(*ema)->runs);
    lk_free(ema);
}

float *lk_ema_params(lk_ema *ema) { return ema->params; }
int64_t lk_ema_step(const lk_ema *ema) { return ema->step; }
bool lk_ema_started(const lk_ema *ema) { return ema->started; }

void lk_ema_set(lk_ema *ema, int64_t step, bool started)
{
    ema->step = step;
    ema->started = started;
}

/* ------------------------------------------------------------------ update */

double lk_ema_decay(const lk_ema_spec *spec, int64_t step)
{
    const int64_t epoch = step - spec->update_after_step;

    if (epoch <= 0) return 0.0;
    const double decay = 1.0 - pow(1.0 + (double)epoch / spec->inv_gamma, -spec->power);
    /* torch.clamp: beta wins where min_value is above it. */
    return fmin(fmax(decay, spec->min_value), spec->beta);
}

lk_ema_turn lk_ema_next(const lk_ema *ema)
{
    const lk_ema_spec *spec = &ema->spec;
    const bool due = !ema->started || ema->step % spec->update_every == 0;
    const bool copies = !ema->started || ema->step <= spec->update_after_step;

    if (due && copies) return (lk_ema_turn){.runs = &ema->whole_copy, .n_runs = 1};
    if (!due || spec->beta == 1.0) return (lk_ema_turn){.runs = &ema->whole_off, .n_runs = 1};
    return (lk_ema_turn){.runs = ema->runs, .n_runs = ema->n_runs, .decay = (float)lk_ema_decay(spec, ema->step)};
}

void lk_ema_advance(lk_ema *ema)
{
    ema->started_before = ema->started;
    ema->step++;
    ema->started = true;
}

void lk_ema_retreat(lk_ema *ema)
{
    ema->step--;
    ema->started = ema->started_before;
}

lk_status lk_ema_take(lk_ema *ema, const lk_ema_turn *turn, const float *params, size_t begin, size_t end, bool pending)
{
    for (size_t r = 0; r < turn->n_runs; r++) {
        const lk_ema_range *run = &turn->runs[r];
        const size_t from = run->begin > begin ? run->begin : begin, to = run->end < end ? run->end : end;

        if (from < to && run->mode != LK_EMA_OFF)
            LK_TRY(ema->backend->ema(ema->ctx, ema->params, params, from, to, run->mode, turn->decay, pending));
    }
    return LK_OK;
}

lk_status lk_ema_update(lk_ema *ema, const float *params)
{
    const lk_ema_turn turn = lk_ema_next(ema);

    LK_TRY(lk_ema_take(ema, &turn, params, 0, ema->n_elem, false));
    lk_ema_advance(ema);
    return LK_OK;
}
