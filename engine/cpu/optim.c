/*
 * The CPU's passes over flat arenas: the optimizer with clipping and EMA, the norm of the gradient, the EMA by
 * itself, batch norm's running statistics.  Formulas are in optim/formulas.h.
 *
 * An update walks its range in blocks that stay in the first-level cache, and runs clip, rule and EMA as three short
 * loops over each block.  Memory so sees every array once, as with one fused loop, and there are some twenty loops to
 * compile instead of all their combinations.  Each loop is a formula with constant flags: no branch, all vector.
 *
 * Elements do not meet except in the norm, so how a range is cut into calls, blocks or threads changes no bit.  The
 * norm adds squares in double, where a float's square is exact, in an order that depends on n_elem alone.
 */
#include "engine/cpu/cpu.h"
#include "engine/optim/coefs.h"

enum {
    BLOCK = 1024,          /* elements: six arrays of 4 KiB fit a cache of 32 KiB */
    GRAIN = 64 * 1024,     /* elements below which a second thread costs more than it saves */
    PARTIALS = 32,         /* sums kept side by side, so that additions neither wait nor leave vector registers */
    MAX_PIECES = 256,      /* of a gradient arena, each summed by one thread */
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

/* -------------------------------------------------------------------- norm */

/* Sum of the PARTIALS sums, neighbours first. */
static double sum_partials(const double *partial)
{
    double sum[PARTIALS];

    for (int i = 0; i < PARTIALS; i++) sum[i] = partial[i];
    for (int n = PARTIALS / 2; n > 0; n /= 2)
        for (int i = 0; i < n; i++) sum[i] = sum[2 * i] + sum[2 * i + 1];
    return sum[0];
}

/* Sum of the squares of n elements.  Squares of finite floats cannot overflow a double, so the sum is finite exactly
 * when every element is. */
LK_FORMULA double squares_loop(const float *restrict g, size_t n, float limit, const bool clamp)
{
    double partial[PARTIALS] = {0};
    size_t i = 0;

    for (; i + PARTIALS <= n; i += PARTIALS)
        for (size_t j = 0; j < PARTIALS; j++) {
            const double x = clamp ? lk_clip(g[i + j], limit, 1.0f) : g[i + j];
            partial[j] += x * x;
        }
    for (size_t j = 0; i + j < n; j++) {
        const double x = clamp ? lk_clip(g[i + j], limit, 1.0f) : g[i + j];
        partial[j] += x * x;
    }
    return sum_partials(partial);
}

static double squares(const float *g, size_t n) { return squares_loop(g, n, INFINITY, false); }
static double squares_clamped(const float *g, size_t n, float limit) { return squares_loop(g, n, limit, true); }

typedef struct norm_pass {
    const float *g;
    size_t n_elem, piece;           /* elements in all and in each piece but the last */
    float clip_value;
    double raw[MAX_PIECES], clamped[MAX_PIECES];
} norm_pass;

/* Pieces [begin, end), block by block so that both sums of a clamped gradient read it from memory once. */
static void norm_pieces(void *arg, size_t begin, size_t end)
{
    norm_pass *pass = arg;

    for (size_t k = begin; k < end; k++) {
        const size_t stop = (k + 1) * pass->piece < pass->n_elem ? (k + 1) * pass->piece : pass->n_elem;
        double raw = 0.0, clamped = 0.0;

        for (size_t at = k * pass->piece; at < stop; at += BLOCK) {
            const size_t n = stop - at < BLOCK ? stop - at : BLOCK;
            raw += squares(pass->g + at, n);
            if (pass->clip_value > 0.0f) clamped += squares_clamped(pass->g + at, n, pass->clip_value);
        }
        pass->raw[k] = raw;
        pass->clamped[k] = pass->clip_value > 0.0f ? clamped : raw;
    }
}

lk_status cpu_grad_norm(void *ctx, const float *grads, size_t n_elem, float clip_value, double *norm, bool *finite)
{
    const cpu_ctx *cpu = ctx;
    const size_t n_blocks = (n_elem + BLOCK - 1) / BLOCK;
    const size_t blocks_per_piece = (n_blocks + MAX_PIECES - 1) / MAX_PIECES;
    norm_pass pass = {.g = grads, .n_elem = n_elem, .clip_value = clip_value};
    double raw = 0.0, clamped = 0.0;

    pass.piece = (blocks_per_piece ? blocks_per_piece : 1) * BLOCK;
    const size_t n_pieces = (n_elem + pass.piece - 1) / pass.piece;
    cpu_split(cpu->threads, n_pieces, GRAIN / BLOCK, norm_pieces, &pass);
    for (size_t k = 0; k < n_pieces; k++) raw += pass.raw[k], clamped += pass.clamped[k];
    *norm = sqrt(clamped);
    *finite = isfinite(raw);
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

lk_status cpu_ema(void *ctx, float *ema, const float *params, size_t begin, size_t end, lk_ema_mode mode, float decay)
{
    const cpu_ctx *cpu = ctx;
    ema_pass pass = {.ema = ema + begin, .params = params + begin, .mode = mode, .decay = decay};

    cpu_split(cpu->threads, end - begin, GRAIN, ema_range, &pass);
    return LK_OK;
}

/* A few elements per channel: never worth a thread. */
lk_status cpu_running(void *ctx, float *running, const float *stat, size_t n_elem, float momentum, float lanes)
{
    (void)ctx;
    for (size_t i = 0; i < n_elem; i++) running[i] = lk_running(running[i], stat[i], momentum, lanes);
    return LK_OK;
}
