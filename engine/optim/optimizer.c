/*
 * SGD, Adam and AdamW over what a set trains: the states, clipping by the report (inspect.c), one fused pass with the
 * EMA.
 * PyTorch's names, ranges and rules; the arithmetic is in formulas.h, the loops in the backend.
 *
 * An update goes piece by piece: a piece is a stretch of neighbouring tensors of one group that have done equally many
 * updates, because rates and bias corrections are the same for all of it.  Everything trained in one group is one
 * piece; a layer that joined later makes one more.  Steps are kept as differences to the optimizer's own count of
 * updates, so counting costs nothing.
 *
 * Arenas pad each tensor to a multiple of 16 elements.  The padding holds zeros and an update keeps them zero, so one
 * pass over a whole piece is right, unless eps is 0: there Adam divides 0 by 0, so a piece is one tensor without its
 * padding.
 */
#include "engine/optim/ema.h"
#include "engine/optim/impl.h"
#include "engine/model/trainable.h"

#include <assert.h>
#include <math.h>
#include <string.h>

/* torch.nn.utils.clip_grad_norm_ adds it to the norm it divides by. */
static const double CLIP_EPS = 1e-6;

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

/* One gradient is clipped for all groups, and one array keeps a state of all. */
lk_status lk_optimizer_check(const lk_optimizer_spec *specs, int n_groups)
{
    const lk_optimizer_spec *first = &specs[0];

    for (int g = 0; g < n_groups; g++) {
        const lk_optimizer_spec *s = &specs[g];

        LK_TRY(check_spec(s));
        if (s->kind != first->kind || (s->kind != LK_SGD && s->amsgrad != first->amsgrad))
            return LK_FAIL(LK_ERR_USAGE, "optimizer.kind, optimizer.amsgrad: group %d has others than group 0; all "
                           "groups share them", g);
        if (s->clip_norm != first->clip_norm || s->clip_value != first->clip_value)
            return LK_FAIL(LK_ERR_USAGE, "optimizer.clip_norm, optimizer.clip_value: group %d has %g and %g, group 0 "
                           "%g and %g; gradients are clipped over all groups together", g, s->clip_norm,
                           s->clip_value, first->clip_norm, first->clip_value);
    }
    return LK_OK;
}

/* Momentum keeps a buffer where any group has some. */
static int count_states(const lk_optimizer_spec *specs, int n_groups)
{
    if (specs[0].kind != LK_SGD) return specs[0].amsgrad ? 3 : 2;
    for (int g = 0; g < n_groups; g++)
        if (specs[g].momentum != 0.0) return 1;
    return 0;
}

/* ------------------------------------------------------------------ pieces */

static bool continues(const lk_piece *last, const lk_piece *next)
{
    return last->group == next->group && last->joined == next->joined && last->param + last->n_elem == next->param &&
           last->grad + last->n_elem == next->grad;
}

/* Adds a piece, to the last one where it continues that. */
static void add_piece(lk_optimizer *optimizer, const lk_piece *next, bool alone)
{
    lk_piece *last = optimizer->n_pieces ? &optimizer->pieces[optimizer->n_pieces - 1] : NULL;

    if (last && !alone && continues(last, next)) last->n_elem += next->n_elem;
    else optimizer->pieces[optimizer->n_pieces++] = *next;
}

/* What of a stretch of one tensor is held here. */
static void add_held(lk_optimizer *optimizer, const lk_piece *all, bool alone)
{
    const size_t end = all->grad + all->n_elem;
    size_t state = 0;

    for (size_t k = 0; k < optimizer->n_own && optimizer->own[k].begin < end; k++) {
        const lk_range *own = &optimizer->own[k];
        const size_t from = own->begin > all->grad ? own->begin : all->grad, to = own->end < end ? own->end : end;

        if (from < to)
            add_piece(optimizer, &(lk_piece){.param = all->param + (from - all->grad), .grad = from,
                                             .state = state + (from - own->begin), .n_elem = to - from,
                                             .group = all->group, .joined = all->joined}, alone);
        state += own->end - own->begin;
    }
}

/* Tensors with their padding join where they may. */
static void make_pieces(lk_optimizer *optimizer)
{
    const lk_trainable *trainable = optimizer->trainable;
    const lk_model *model = lk_trainable_model(trainable);

    optimizer->n_pieces = 0;
    optimizer->pieces_stale = false;
    for (size_t t = 0; t < lk_model_n_tensors(model); t++) {
        if (!lk_trainable_has(trainable, t)) continue;
        const lk_tensor_info *info = lk_model_tensor(model, t);
        const int group = lk_trainable_group(trainable, t);
        const bool alone = optimizer->common.kind != LK_SGD && optimizer->specs[group].eps == 0.0;
        const lk_piece all = {.param = info->offset, .grad = lk_trainable_offset(trainable, t),
                              .n_elem = alone ? info->n_elem : lk_round_up(info->n_elem), .group = group,
                              .joined = optimizer->joined[t]};

        add_held(optimizer, &all, alone);
    }
}

/* ------------------------------------------------------------- life, state */

static lk_status take_own(lk_optimizer *optimizer, const lk_range *own, size_t n_own)
{
    optimizer->own = lk_alloc((n_own + 1) * sizeof *own);
    LK_TRY_ALLOC(optimizer->own, (n_own + 1) * sizeof *own);
    optimizer->n_own = n_own;
    for (size_t k = 0; k < n_own; k++) {
        assert(k == 0 || own[k].begin >= own[k - 1].end);
        optimizer->own[k] = own[k];
        optimizer->n_held += own[k].end - own[k].begin;
    }
    return LK_OK;
}

static lk_status alloc_arrays(lk_optimizer *optimizer)
{
    const size_t n_tensors = lk_model_n_tensors(lk_trainable_model(optimizer->trainable));
    const size_t pieces_nbytes = (n_tensors + optimizer->n_own) * sizeof *optimizer->pieces;
    const size_t squares_nbytes = lk_trainable_grid(optimizer->trainable)->n * sizeof *optimizer->squares;

    optimizer->joined = lk_alloc(n_tensors * sizeof *optimizer->joined);
    LK_TRY_ALLOC(optimizer->joined, n_tensors * sizeof *optimizer->joined);
    optimizer->pieces = lk_alloc(pieces_nbytes);
    LK_TRY_ALLOC(optimizer->pieces, pieces_nbytes);
    optimizer->squares = lk_alloc(squares_nbytes);
    LK_TRY_ALLOC(optimizer->squares, squares_nbytes);
    return LK_OK;
}

static lk_status fill(lk_optimizer *optimizer, const lk_optimizer_spec *specs, const lk_range *own, size_t n_own)
{
    const int n_groups = lk_trainable_n_groups(optimizer->trainable);

    optimizer->specs = lk_alloc((size_t)n_groups * sizeof *specs);
    LK_TRY_ALLOC(optimizer->specs, (size_t)n_groups * sizeof *specs);
    memcpy(optimizer->specs, specs, (size_t)n_groups * sizeof *specs);
    LK_TRY(take_own(optimizer, own, n_own));
    LK_TRY(alloc_arrays(optimizer));
    make_pieces(optimizer);
    for (int i = 0; i < optimizer->n_states && optimizer->n_held > 0; i++)
        LK_TRY(lk_engine_alloc(optimizer->engine, optimizer->n_held * sizeof(float), (void **)&optimizer->state[i]));
    return LK_OK;
}

lk_status lk_optimizer_new_part(lk_engine *engine, const lk_trainable *trainable, const lk_optimizer_spec *specs,
                                const lk_range *own, size_t n_own, lk_optimizer **out)
{
    *out = NULL;
    LK_TRY(lk_optimizer_check(specs, lk_trainable_n_groups(trainable)));
    lk_optimizer *optimizer = lk_alloc(sizeof *optimizer);
    LK_TRY_ALLOC(optimizer, sizeof *optimizer);
    optimizer->trainable = trainable;
    optimizer->common = specs[0];
    optimizer->engine = engine;
    optimizer->backend = lk_engine_backend(engine, &optimizer->ctx);
    optimizer->n_states = count_states(specs, lk_trainable_n_groups(trainable));
    const lk_status status = fill(optimizer, specs, own, n_own);
    if (status != LK_OK) lk_optimizer_free(&optimizer);
    LK_TRY(status);
    *out = optimizer;
    return LK_OK;
}

lk_status lk_optimizer_new(lk_engine *engine, const lk_trainable *trainable, const lk_optimizer_spec *specs,
                           lk_optimizer **out)
{
    return lk_optimizer_new_part(engine, trainable, specs, &(lk_range){0, lk_trainable_n_elem(trainable)}, 1, out);
}

void lk_optimizer_free(lk_optimizer **optimizer)
{
    if (!optimizer || !*optimizer) return;
    for (int i = (*optimizer)->n_states - 1; i >= 0; i--)
        if ((*optimizer)->state[i]) lk_engine_release((*optimizer)->engine, &(*optimizer)->state[i]);
    lk_free(&(*optimizer)->squares);
    lk_free(&(*optimizer)->pieces);
    lk_free(&(*optimizer)->joined);
    lk_free(&(*optimizer)->own);
    lk_free(&(*optimizer)->specs);
    lk_free(optimizer);
}

/* The pass that copies an EMA copies anything, on any backend. */
static lk_status copy(const lk_optimizer *optimizer, float *to, const float *from, size_t n_elem)
{
    return optimizer->backend->ema(optimizer->ctx, to, from, 0, n_elem, LK_EMA_COPY, 0.0f, false);
}

int lk_optimizer_n_common_states(const lk_optimizer *a, const lk_optimizer *b)
{
    if ((a->common.kind == LK_SGD) != (b->common.kind == LK_SGD)) return 0;
    return a->n_states < b->n_states ? a->n_states : b->n_states;
}

lk_status lk_optimizer_copy_state(lk_optimizer *to, lk_optimizer *from)
{
    const lk_model *model = lk_trainable_model(to->trainable);
    const int n_states = lk_optimizer_n_common_states(to, from);

    if (lk_trainable_model(from->trainable) != model)
        return LK_FAIL(LK_ERR_USAGE, "an optimizer's states can only go on with the same model");
    if (n_states == 0) return LK_OK;
    for (size_t t = 0; t < lk_model_n_tensors(model); t++) {
        if (!lk_trainable_has(to->trainable, t) || !lk_trainable_has(from->trainable, t)) continue;
        for (int i = 0; i < n_states; i++)
            LK_TRY(copy(to, lk_optimizer_state(to, i, t), lk_optimizer_state(from, i, t),
                        lk_model_tensor(model, t)->n_elem));
        lk_optimizer_set_step(to, t, lk_optimizer_step(from, t));
    }
    return LK_OK;
}

int lk_optimizer_n_states(const lk_optimizer *optimizer) { return optimizer->n_states; }

const char *lk_optimizer_state_name(const lk_optimizer *optimizer, int i)
{
    return optimizer->common.kind == LK_SGD ? sgd_states[i] : adam_states[i];
}

size_t lk_optimizer_n_held(const lk_optimizer *optimizer) { return optimizer->n_held; }

/* The own range that has rows of a tensor, which lies at `all`, and where its states begin; NULL: none has. */
static const lk_range *find_own(const lk_optimizer *optimizer, lk_range all, size_t *state)
{
    *state = 0;
    for (size_t k = 0; k < optimizer->n_own; k++) {
        const lk_range *own = &optimizer->own[k];

        if (own->begin < all.end && own->end > all.begin) return own;
        *state += own->end - own->begin;
    }
    return NULL;
}

/* Where a tensor's gradient lies. */
static lk_range place_of(const lk_optimizer *optimizer, size_t tensor)
{
    const size_t begin = lk_trainable_offset(optimizer->trainable, tensor);

    assert(lk_trainable_has(optimizer->trainable, tensor));
    return (lk_range){begin, begin + lk_model_tensor(lk_trainable_model(optimizer->trainable), tensor)->n_elem};
}

void lk_optimizer_rows(const lk_optimizer *optimizer, size_t tensor, int64_t *begin, int64_t *end)
{
    const lk_tensor_info *info = lk_model_tensor(lk_trainable_model(optimizer->trainable), tensor);
    const lk_range all = place_of(optimizer, tensor);
    const size_t row = info->n_elem / (info->ndim > 0 ? (size_t)info->shape[0] : 1);
    size_t state;
    const lk_range *own = find_own(optimizer, all, &state);

    *begin = own && own->begin > all.begin ? (int64_t)((own->begin - all.begin) / row) : 0;
    *end = own ? (int64_t)(((own->end < all.end ? own->end : all.end) - all.begin) / row) : 0;
}

float *lk_optimizer_state(lk_optimizer *optimizer, int i, size_t tensor)
{
    const lk_range all = place_of(optimizer, tensor);
    size_t state;
    const lk_range *own = find_own(optimizer, all, &state);

    if (!own) return NULL;
    return optimizer->state[i] + state + (own->begin < all.begin ? all.begin - own->begin : 0);
}

int64_t lk_optimizer_step(const lk_optimizer *optimizer, size_t tensor)
{
    return optimizer->updates - optimizer->joined[tensor];
}

void lk_optimizer_set_step(lk_optimizer *optimizer, size_t tensor, int64_t step)
{
    optimizer->joined[tensor] = optimizer->updates - step;
    optimizer->pieces_stale = true;
}

/* ------------------------------------------------------------------ update */

/* What one update works with. */
typedef struct update_call {
    float *params, *ema;
    const float *grads;
    const lk_hyperparams *hyperparams;
    lk_ema_turn turn;
    float grad_scale;
    bool pending;           /* the device knows grad_scale */
} update_call;

/* clip_grad_norm_'s coefficient; a norm that is not a number makes the gradients so too, as there. */
static float clip_scale(const lk_optimizer_spec *spec, double norm)
{
    const double scale = spec->clip_norm / (norm + CLIP_EPS);

    return scale > 1.0 ? 1.0f : (float)scale;
}

/* The group's spec with the rates that schedules give, but for the momentum. */
static lk_optimizer_spec spec_now(const lk_optimizer_spec *spec, const lk_hyperparams *hyperparams)
{
    lk_optimizer_spec now = *spec;

    if (!isnan(hyperparams->lr)) now.lr = hyperparams->lr;
    if (!isnan(hyperparams->weight_decay)) now.weight_decay = hyperparams->weight_decay;
    return now;
}

/* PyTorch cycles Adam's beta1 where SGD has its momentum. */
static double momentum_now(const lk_optimizer_spec *spec, const lk_hyperparams *hyperparams)
{
    if (!isnan(hyperparams->momentum)) return hyperparams->momentum;
    return spec->kind == LK_SGD ? spec->momentum : spec->beta1;
}

/* One piece, run by run of the EMA's turn; a single pass when all tensors are treated alike. */
static lk_status update_piece(const lk_optimizer *optimizer, const update_call *call, const lk_piece *p)
{
    const lk_hyperparams *hyperparams = &call->hyperparams[p->group];
    const lk_optimizer_spec spec = spec_now(&optimizer->specs[p->group], hyperparams);
    const size_t p_end = p->param + p->n_elem;

    for (size_t r = 0; r < call->turn.n_runs; r++) {
        const lk_ema_range *run = &call->turn.runs[r];
        const size_t begin = run->begin > p->param ? run->begin : p->param, end = run->end < p_end ? run->end : p_end;

        if (begin >= end) continue;
        const size_t skipped = begin - p->param;
        lk_update update = {
            .spec = &spec, .params = call->params + begin, .grads = call->grads + p->grad + skipped,
            .n_elem = end - begin,
            .step = optimizer->updates + 1 - p->joined, .lr = spec.lr,
            .momentum = momentum_now(&spec, hyperparams), .grad_scale = call->grad_scale,
            .ema = run->mode == LK_EMA_OFF ? NULL : call->ema + begin, .ema_mode = run->mode,
            .ema_decay = call->turn.decay, .pending = call->pending,
        };

        for (int i = 0; i < optimizer->n_states; i++) update.state[i] = optimizer->state[i] + p->state + skipped;
        LK_TRY(optimizer->backend->update(optimizer->ctx, &update));
    }
    return LK_OK;
}

/* The EMA of what no run covers: frozen parameters and buffers. */
static lk_status average_rest(const lk_optimizer *optimizer, lk_ema *ema, const update_call *call)
{
    size_t begin = 0;

    for (size_t r = 0; r < lk_trainable_n_ranges(optimizer->trainable); r++) {
        const lk_trainable_range *run = lk_trainable_get_range(optimizer->trainable, r);

        LK_TRY(lk_ema_take(ema, &call->turn, call->params, begin, run->param, call->pending));
        begin = run->param + run->n_elem;
    }
    return lk_ema_take(ema, &call->turn, call->params, begin, SIZE_MAX, call->pending);
}

static lk_status check_rates(const lk_optimizer *optimizer, const lk_hyperparams *hyperparams)
{
    for (int g = 0; g < lk_trainable_n_groups(optimizer->trainable); g++) {
        if (optimizer->n_states > 0 || isnan(hyperparams[g].momentum) || hyperparams[g].momentum == 0.0) continue;
        return LK_FAIL(LK_ERR_USAGE, "optimizer.momentum is 0, so there is no buffer for a scheduled momentum of %g; "
                       "give the optimizer a momentum above 0", hyperparams[g].momentum);
    }
    return LK_OK;
}

lk_status lk_optimizer_update(lk_optimizer *optimizer, float *params, const float *grads,
                              const lk_hyperparams *hyperparams, const lk_grad_report *report, lk_ema *ema)
{
    const lk_ema_range off = {.end = SIZE_MAX, .mode = LK_EMA_OFF};
    update_call call = {.params = params, .grads = grads, .hyperparams = hyperparams, .grad_scale = 1.0f,
                        .ema = ema ? lk_ema_params(ema) : NULL,
                        .turn = ema ? lk_ema_next(ema) : (lk_ema_turn){.runs = &off, .n_runs = 1}};

    LK_TRY(check_rates(optimizer, hyperparams));
    if (optimizer->common.clip_norm > 0.0) {
        if (!report) return LK_FAIL(LK_ERR_USAGE, "optimizer.clip_norm: an update needs the report of its gradients");
        if (!report->pending) call.grad_scale = clip_scale(&optimizer->common, report->norm);
    }
    call.pending = report && report->pending;
    if (optimizer->pieces_stale) make_pieces(optimizer);
    for (size_t i = 0; i < optimizer->n_pieces; i++) LK_TRY(update_piece(optimizer, &call, &optimizer->pieces[i]));
    optimizer->updates++;
    if (!ema) return LK_OK;
    LK_TRY(average_rest(optimizer, ema, &call));
    lk_ema_advance(ema);
    return LK_OK;
}
