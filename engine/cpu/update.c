/*
 * The CPU's passes that write parameters and what follows them: the optimizer with clipping and EMA, the EMA by itself,
 * batch norm's running statistics.  Formulas are in optim/formulas.h.
 *
 * An update walks its range in blocks that stay in the first-level cache, and runs clip, rule and EMA as three short
 * loops over each block.  Memory so sees every array once, as with one fused loop, and there are some twenty loops to
 * compile instead of all their combinations.  Each loop is a formula with constant flags: no branch, all vector.
 *
 * Elements do not meet, so how a range is cut into calls, blocks or threads changes no bit.
 */
#include "engine/cpu/cpu.h"
#include "engine/optim/coefs.h"

enum {
    BLOCK = 1024,      /* elements: six arrays of 4 KiB fit a cache of 32 KiB */
    GRAIN = 64 * 1024, /* elements below which a second thread costs more than it saves */
};

/* ------------------------------------------------------------------- rules */

typedef struct coefs {
    lk_sgd_coefs sgd;
    lk_adam_coefs adam;
} coefs;

/* One rule over n elements, every array from the first of them; states as in lk_update, those not used are not read.
 * The arrays are parameters, not a struct, because gcc believes `restrict` only there. */
#define RULE_PARAMS                                                                                          \
    float *restrict p, const float *restrict g, float *restrict s0, float *restrict s1, float *restrict s2,  \
        size_t n, const coefs *c
typedef void rule_fn(RULE_PARAMS);

LK_FORMULA void sgd_loop(RULE_PARAMS, const lk_decay decay, const bool momentum, const bool first,
                         const bool nesterov)
{
    const lk_sgd_coefs sgd = c->sgd;
    float unused = 0.0f;

    (void)s1, (void)s2;
    for (size_t i = 0; i < n; i++)
        p[i] = lk_sgd(p[i], g[i], momentum ? &s0[i] : &unused, &sgd, decay, momentum, first, nesterov);
}

LK_FORMULA void adam_loop(RULE_PARAMS, const lk_decay decay, const bool amsgrad)
{
    const lk_adam_coefs adam = c->adam;
    float unused = 0.0f;

    for (size_t i = 0; i < n; i++)
        p[i] = lk_adam(p[i], g[i], &s0[i], &s1[i], amsgrad ? &s2[i] : &unused, &adam, decay, amsgrad);
}

/* X(name, momentum, first, nesterov) */
#define SGD_RULE_LIST(X)                                                            \
    X(plain, false, false, false)                                                   \
    X(first, true, true, false) X(momentum, true, false, false)                     \
    X(nesterov_first, true, true, true) X(nesterov, true, false, true)

#define SGD_RULE(name, momentum, first, nesterov)                                   \
    static void sgd_##name(RULE_PARAMS)                                             \
    {                                                                               \
        sgd_loop(p, g, s0, s1, s2, n, c, LK_DECAY_NONE, momentum, first, nesterov); \
    }                                                                               \
    static void sgd_##name##_decay(RULE_PARAMS)                                     \
    {                                                                               \
        sgd_loop(p, g, s0, s1, s2, n, c, LK_DECAY_COUPLED, momentum, first, nesterov); \
    }
SGD_RULE_LIST(SGD_RULE)

#define ADAM_RULE_LIST(X)                                                           \
    X(plain, LK_DECAY_NONE) X(coupled, LK_DECAY_COUPLED) X(decoupled, LK_DECAY_DECOUPLED)

#define ADAM_RULE(name, decay)                                                                          \
    static void adam_##name(RULE_PARAMS) { adam_loop(p, g, s0, s1, s2, n, c, decay, false); }           \
    static void adam_##name##_amsgrad(RULE_PARAMS) { adam_loop(p, g, s0, s1, s2, n, c, decay, true); }
ADAM_RULE_LIST(ADAM_RULE)

static rule_fn *sgd_rule(const lk_update *update)
{
    const lk_optimizer_spec *spec = update->spec;
    const bool has_decay = lk_decay_of(spec) != LK_DECAY_NONE;
    const bool has_momentum = update->momentum != 0.0, is_first = update->step == 1;

#define SGD_PICK(name, momentum, first, nesterov_)                                                        \
    if (has_momentum == momentum && (!momentum || (is_first == first && spec->nesterov == nesterov_)))    \
        return has_decay ? sgd_##name##_decay : sgd_##name;
    SGD_RULE_LIST(SGD_PICK)
#undef SGD_PICK
    return NULL;
}

static rule_fn *adam_rule(const lk_optimizer_spec *spec)
{
    const lk_decay wanted = lk_decay_of(spec);

#define ADAM_PICK(name, decay) \
    if (wanted == decay) return spec->amsgrad ? adam_##name##_amsgrad : adam_##name;
    ADAM_RULE_LIST(ADAM_PICK)
#undef ADAM_PICK
    return NULL;
}

/* ------------------------------------------------------------------ update */

static void clip_loop(float *restrict out, const float *restrict g, size_t n, float limit, float scale)
{
    for (size_t i = 0; i < n; i++) out[i] = lk_clip(g[i], limit, scale);
}

static void ema_loop(float *restrict ema, const float *restrict p, size_t n, lk_ema_mode mode, float decay)
{
    const float weight = 1.0f - decay;

    if (mode == LK_EMA_COPY)
        for (size_t i = 0; i < n; i++) ema[i] = p[i];
    else if (mode == LK_EMA_BLEND)
        for (size_t i = 0; i < n; i++) ema[i] = lk_lerp(ema[i], p[i], weight);
}

typedef struct update_pass {
    const lk_update *u;
    rule_fn *rule;
    coefs c;
    bool clip;
    float limit;
} update_pass;

static void update_block(const update_pass *pass, size_t at, size_t n)
{
    const lk_update *u = pass->u;
    float clipped[BLOCK];
    float *state[3];

    for (int i = 0; i < 3; i++) state[i] = u->state[i] ? u->state[i] + at : NULL;
    if (pass->clip) clip_loop(clipped, u->grads + at, n, pass->limit, u->grad_scale);
    pass->rule(u->params + at, pass->clip ? clipped : u->grads + at, state[0], state[1], state[2], n, &pass->c);
    if (u->ema) ema_loop(u->ema + at, u->params + at, n, u->ema_mode, u->ema_decay);
}

static void update_range(void *arg, size_t begin, size_t end)
{
    const update_pass *pass = arg;

    for (size_t at = begin; at < end; at += BLOCK) update_block(pass, at, end - at < BLOCK ? end - at : BLOCK);
}

lk_status cpu_update(void *ctx, const lk_update *update)
{
    const cpu_ctx *cpu = ctx;
    const lk_optimizer_spec *spec = update->spec;
    const bool is_sgd = spec->kind == LK_SGD;
    update_pass pass = {
        .u = update,
        .rule = is_sgd ? sgd_rule(update) : adam_rule(spec),
        .clip = spec->clip_value > 0.0 || update->grad_scale != 1.0f,
        .limit = spec->clip_value > 0.0 ? (float)spec->clip_value : INFINITY,
    };

    assert(pass.rule);
    if (is_sgd) pass.c.sgd = lk_sgd_coefs_of(update);
    else        pass.c.adam = lk_adam_coefs_of(update);
    cpu_split(cpu->threads, update->n_elem, GRAIN, update_range, &pass);
    return LK_OK;
}

/* --------------------------------------------------- EMA, running statistics */

typedef struct ema_pass {
    float *ema;
    const float *params;
    lk_ema_mode mode;
    float decay;
} ema_pass;

static void ema_range(void *arg, size_t begin, size_t end)
{
    const ema_pass *pass = arg;

    ema_loop(pass->ema + begin, pass->params + begin, end - begin, pass->mode, pass->decay);
}

lk_status cpu_ema(void *ctx, float *ema, const float *params, size_t begin, size_t end, lk_ema_mode mode, float decay,
                  bool pending)
{
    const cpu_ctx *cpu = ctx;
    ema_pass pass = {.ema = ema + begin, .params = params + begin, .mode = mode, .decay = decay};

    (void)pending;
    cpu_split(cpu->threads, end - begin, GRAIN, ema_range, &pass);
    return LK_OK;
}

/* A few elements per channel: never worth a thread. */
lk_status cpu_running(void *ctx, float *running, const float *stat, size_t n_elem, float momentum, const float *lanes,
                      bool pending)
{
    (void)ctx, (void)pending;
    if (!(*lanes >= 1.0f))
        return LK_FAIL(LK_ERR_NUMBERS, "batch statistics of %g lanes cannot be averaged: the gradients were not summed "
                       "over lanes that ran", (double)*lanes);
    for (size_t i = 0; i < n_elem; i++) running[i] = lk_running(running[i], stat[i], momentum, *lanes);
    return LK_OK;
}
