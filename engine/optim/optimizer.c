/*
 * SGD, Adam and AdamW over flat arenas: parameters' ranges, the states, clipping by the report, one fused pass with
 * the EMA.  PyTorch's names, ranges and rules; the arithmetic is in formulas.h, the loops in the backend.
 *
 * Arenas pad each tensor to a multiple of 16 elements.  The padding holds zeros and an update keeps them zero, so one
 * pass over everything is right, unless eps is 0: there Adam divides 0 by 0, so it visits the tensors one by one.
 */
#include "engine/optim/ema.h"

#include <math.h>

enum { MAX_STATES = 3 };
/* torch.nn.utils.clip_grad_norm_ adds it to the norm it divides by. */
static const double CLIP_EPS = 1e-6;

typedef struct span {
    size_t begin, end;
} span;

struct lk_optimizer {
    lk_optimizer_spec spec;
    const lk_backend *backend; /* borrowed, as its state */
    void *ctx;
    size_t n_trained, loss_slot;
    int n_states;
    float *state[MAX_STATES];  /* owned, in the backend's memory; (n_trained) each */
    span *spans;               /* owned; what an update visits, in order */
    size_t n_spans;
    int64_t step;
};

static const char *const adam_states[] = {"exp_avg", "exp_avg_sq", "max_exp_avg_sq"};
static const char *const sgd_states[] = {"momentum_buffer"};

/* -------------------------------------------------------------------- spec */

static lk_status check(const char *key, double value, bool ok, const char *range)
{
    return ok ? LK_OK : LK_FAIL(LK_ERR_USAGE, "optimizer.%s: %g is out of range, want %s", key, value, range);
}

static lk_status check_not_negative(const char *key, double value)
{
    return check(key, value, value >= 0.0 && isfinite(value), "0 or more");
}

static lk_status check_sgd(const lk_optimizer_spec *spec)
{
    LK_TRY(check_not_negative("momentum", spec->momentum));
    LK_TRY(check("dampening", spec->dampening, isfinite(spec->dampening), "a finite number"));
    if (spec->nesterov && (spec->momentum <= 0.0 || spec->dampening != 0.0))
        return LK_FAIL(LK_ERR_USAGE, "optimizer.nesterov: needs momentum above 0 and dampening 0, got momentum "
                       "%g and dampening %g", spec->momentum, spec->dampening);
    return LK_OK;
}

static lk_status check_adam(const lk_optimizer_spec *spec)
{
    LK_TRY(check("beta1", spec->beta1, spec->beta1 >= 0.0 && spec->beta1 < 1.0, "0 to below 1"));
    LK_TRY(check("beta2", spec->beta2, spec->beta2 >= 0.0 && spec->beta2 < 1.0, "0 to below 1"));
    return check_not_negative("eps", spec->eps);
}

static lk_status check_spec(const lk_optimizer_spec *spec)
{
    LK_TRY(check_not_negative("lr", spec->lr));
    LK_TRY(check_not_negative("weight_decay", spec->weight_decay));
    LK_TRY(check_not_negative("clip_norm", spec->clip_norm));
    LK_TRY(check_not_negative("clip_value", spec->clip_value));
    return spec->kind == LK_SGD ? check_sgd(spec) : check_adam(spec);
}

static int count_states(const lk_optimizer_spec *spec)
{
    if (spec->kind == LK_SGD) return spec->momentum != 0.0 ? 1 : 0;
    return spec->amsgrad ? 3 : 2;
}

/* ------------------------------------------------------------- life, state */

static lk_status make_spans(lk_optimizer *optimizer, const lk_model *model)
{
    const bool by_tensor = optimizer->spec.kind != LK_SGD && optimizer->spec.eps == 0.0;
    const size_t most = by_tensor ? lk_model_n_tensors(model) : 1;

    optimizer->spans = lk_alloc(most * sizeof *optimizer->spans);
    LK_TRY_ALLOC(optimizer->spans, most * sizeof *optimizer->spans);
    if (!by_tensor) {
        optimizer->spans[optimizer->n_spans++] = (span){0, optimizer->n_trained};
        return LK_OK;
    }
    for (size_t t = 0; t < most; t++) {
        const lk_tensor_info *info = lk_model_tensor(model, t);
        if (info->role == LK_ROLE_PARAM)
            optimizer->spans[optimizer->n_spans++] = (span){info->offset, info->offset + info->n_elem};
    }
    return LK_OK;
}

static lk_status fill(lk_optimizer *optimizer, const lk_model *model)
{
    const size_t nbytes = optimizer->n_trained * sizeof(float);

    LK_TRY(make_spans(optimizer, model));
    for (int i = 0; i < optimizer->n_states; i++)
        LK_TRY(optimizer->backend->alloc(optimizer->ctx, nbytes, (void **)&optimizer->state[i]));
    return LK_OK;
}

lk_status lk_optimizer_new(lk_engine *engine, const lk_optimizer_spec *spec, lk_optimizer **out)
{
    const lk_model *model = lk_engine_model(engine);

    *out = NULL;
    LK_TRY(check_spec(spec));
    lk_optimizer *optimizer = lk_alloc(sizeof *optimizer);
    LK_TRY_ALLOC(optimizer, sizeof *optimizer);
    optimizer->spec = *spec;
    optimizer->backend = lk_engine_backend(engine, &optimizer->ctx);
    optimizer->n_trained = lk_model_n_trained(model);
    optimizer->loss_slot = lk_model_slot(model, LK_SLOT_LOSS);
    optimizer->n_states = count_states(spec);
    const lk_status status = fill(optimizer, model);
    if (status != LK_OK) lk_optimizer_free(&optimizer);
    LK_TRY(status);
    *out = optimizer;
    return LK_OK;
}

void lk_optimizer_free(lk_optimizer **optimizer)
{
    if (!optimizer || !*optimizer) return;
    for (int i = (*optimizer)->n_states - 1; i >= 0; i--)
        if ((*optimizer)->state[i]) (*optimizer)->backend->release((*optimizer)->ctx, (*optimizer)->state[i]);
    lk_free(&(*optimizer)->spans);
    lk_free(optimizer);
}

int lk_optimizer_n_states(const lk_optimizer *optimizer) { return optimizer->n_states; }

const char *lk_optimizer_state_name(const lk_optimizer *optimizer, int i)
{
    return optimizer->spec.kind == LK_SGD ? sgd_states[i] : adam_states[i];
}

float *lk_optimizer_state(lk_optimizer *optimizer, int i) { return optimizer->state[i]; }
int64_t lk_optimizer_step(const lk_optimizer *optimizer) { return optimizer->step; }
void lk_optimizer_set_step(lk_optimizer *optimizer, int64_t step) { optimizer->step = step; }

/* ----------------------------------------------------------------- inspect */

lk_status lk_optimizer_inspect(lk_optimizer *optimizer, const float *grads, bool check_all, lk_grad_report *out)
{
    const lk_backend *backend = optimizer->backend;
    float loss;

    LK_TRY(backend->read(optimizer->ctx, &loss, grads + optimizer->loss_slot, sizeof loss));
    *out = (lk_grad_report){.norm = NAN, .finite = true};
    if (check_all || optimizer->spec.clip_norm > 0.0)
        LK_TRY(backend->grad_norm(optimizer->ctx, grads, optimizer->n_trained, (float)optimizer->spec.clip_value,
                                  &out->norm, &out->finite));
    out->finite = out->finite && isfinite(loss);
    return LK_OK;
}

/* ------------------------------------------------------------------ update */

/* clip_grad_norm_'s coefficient; a norm that is not a number makes the gradients so too, as there. */
static float clip_scale(const lk_optimizer_spec *spec, double norm)
{
    const double scale = spec->clip_norm / (norm + CLIP_EPS);

    return scale > 1.0 ? 1.0f : (float)scale;
}

/* What a schedule of momentum drives: PyTorch cycles Adam's beta1 in its place. */
static double own_momentum(const lk_optimizer_spec *spec)
{
    return spec->kind == LK_SGD ? spec->momentum : spec->beta1;
}

/* One span, run by run of the EMA's turn; a single pass when all tensors are treated alike. */
static lk_status update_span(const lk_optimizer *optimizer, lk_update update, float *ema, const lk_ema_turn *turn,
                             span s)
{
    for (size_t r = 0; r < turn->n_runs; r++) {
        const lk_ema_run *run = &turn->runs[r];

        update.begin = run->begin > s.begin ? run->begin : s.begin;
        update.end = run->end < s.end ? run->end : s.end;
        update.ema = run->mode == LK_EMA_OFF ? NULL : ema;
        update.ema_mode = run->mode;
        if (update.begin < update.end) LK_TRY(optimizer->backend->update(optimizer->ctx, &update));
    }
    return LK_OK;
}

lk_status lk_optimizer_update(lk_optimizer *optimizer, float *params, const float *grads, double lr,
                              double momentum, const lk_grad_report *report, lk_ema *ema)
{
    const lk_optimizer_spec *spec = &optimizer->spec;
    const lk_ema_run alone = {.end = optimizer->n_trained, .mode = LK_EMA_OFF};
    const lk_ema_turn turn = ema ? lk_ema_next(ema) : (lk_ema_turn){.runs = &alone, .n_runs = 1};
    lk_update update = {.spec = spec, .params = params, .grads = grads, .step = optimizer->step + 1, .lr = lr,
                        .momentum = isnan(momentum) ? own_momentum(spec) : momentum, .grad_scale = 1.0f, .ema_decay = turn.decay};

    if (spec->kind == LK_SGD && update.momentum != 0.0 && optimizer->n_states == 0)
        return LK_FAIL(LK_ERR_USAGE, "optimizer.momentum: an optimizer made with momentum 0 keeps no buffer for momentum %g",
                       update.momentum);
    if (spec->clip_norm > 0.0) {
        if (!report) return LK_FAIL(LK_ERR_USAGE, "optimizer.clip_norm: an update needs the report of its gradients");
        update.grad_scale = clip_scale(spec, report->norm);
    }
    for (int i = 0; i < optimizer->n_states; i++) update.state[i] = optimizer->state[i];
    for (size_t s = 0; s < optimizer->n_spans; s++)
        LK_TRY(update_span(optimizer, update, ema ? lk_ema_params(ema) : NULL, &turn, optimizer->spans[s]));
    optimizer->step++;
    if (!ema) return LK_OK;
    LK_TRY(lk_ema_take(ema, &turn, params, optimizer->n_trained, SIZE_MAX));
    lk_ema_advance(ema);
    return LK_OK;
}
