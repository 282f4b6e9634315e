/*
 * The optimizer's pass over an arena: clip, weight decay, rule, EMA and the bf16 copy of the parameters, every array
 * read and written once.  And the passes beside it: the EMA alone, batch norm's running statistics.  Formulas are in
 * optim/formulas.h.
 *
 * The rule is chosen when the kernel is launched (one kernel for each, no branch in it); the EMA's mode and whether
 * there is a bf16 copy are the same for all threads.  A thread takes four neighbours at once, where the arrays lie on
 * 16 bytes.  An update that waits for the report of its gradients leaves everything as it was when they are not finite.
 */
#include "engine/cuda/element.h"

#include "engine/optim/coefs.h"

#include <string.h>

struct cuda_update_args {
    lk_sgd_coefs sgd;
    lk_adam_coefs adam;
    float grad_scale, limit; /* limit: of clip_value; infinity clips nothing */
    float ema_weight;
};

size_t cuda_update_args_bytes(void) { return sizeof(cuda_update_args); }

void cuda_update_args_of(const lk_update *update, void *out)
{
    const double clip_value = update->spec->clip_value;
    cuda_update_args args;

    memset(&args, 0, sizeof args);
    if (update->spec->kind == LK_SGD) args.sgd = lk_sgd_coefs_of(update);
    else args.adam = lk_adam_coefs_of(update);
    args.grad_scale = update->grad_scale;
    args.limit = clip_value > 0.0 ? (float)clip_value : INFINITY;
    args.ema_weight = 1.0f - update->ema_decay;
    memcpy(out, &args, sizeof args);
}

/* What all rules work on; each pointer at the run's first element. */
typedef struct update_arrays {
    float *p, *s0, *s1, *s2, *ema;
    const float *g;
    __nv_bfloat16 *shadow;
    size_t n_elem, n_fours; /* n_fours * 4 elements are moved four at a time */
    int ema_mode;
} update_arrays;

/* ------------------------------------------------------------------- rules */

template <lk_decay DECAY, bool MOMENTUM, bool FIRST, bool NESTEROV> struct sgd_rule {
    enum { N_STATES = MOMENTUM ? 1 : 0 };
    static __device__ inline float apply(float p, float g, float *s0, float *, float *, const cuda_update_args *a)
    {
        return lk_sgd(p, g, s0, &a->sgd, DECAY, MOMENTUM, FIRST, NESTEROV);
    }
};

template <lk_decay DECAY, bool AMSGRAD> struct adam_rule {
    enum { N_STATES = AMSGRAD ? 3 : 2 };
    static __device__ inline float apply(float p, float g, float *s0, float *s1, float *s2, const cuda_update_args *a)
    {
        return lk_adam(p, g, s0, s1, s2, &a->adam, DECAY, AMSGRAD);
    }
};

static __device__ inline float ema_of(float ema, float p, int mode, float weight)
{
    return mode == LK_EMA_COPY ? p : lk_lerp(ema, p, weight);
}

template <class RULE>
static __device__ inline void update_one(const update_arrays *at, size_t i, const cuda_update_args *a, float scale)
{
    float s0 = RULE::N_STATES > 0 ? at->s0[i] : 0.0f, s1 = RULE::N_STATES > 1 ? at->s1[i] : 0.0f;
    float s2 = RULE::N_STATES > 2 ? at->s2[i] : 0.0f;
    const float p = RULE::apply(at->p[i], lk_clip(at->g[i], a->limit, scale), &s0, &s1, &s2, a);

    at->p[i] = p;
    if (RULE::N_STATES > 0) at->s0[i] = s0;
    if (RULE::N_STATES > 1) at->s1[i] = s1;
    if (RULE::N_STATES > 2) at->s2[i] = s2;
    if (at->ema_mode != LK_EMA_OFF) at->ema[i] = ema_of(at->ema[i], p, at->ema_mode, a->ema_weight);
    if (at->shadow) at->shadow[i] = __float2bfloat16_rn(p);
}

typedef struct floats4 { float v[4]; } floats4;

static __device__ inline floats4 load4(const float *x, size_t k)
{
    const float4 all = ((const float4 *)x)[k];
    floats4 f;

    f.v[0] = all.x, f.v[1] = all.y, f.v[2] = all.z, f.v[3] = all.w;
    return f;
}

static __device__ inline void store4(float *x, size_t k, const floats4 *f)
{
    float4 all;

    all.x = f->v[0], all.y = f->v[1], all.z = f->v[2], all.w = f->v[3];
    ((float4 *)x)[k] = all;
}

static __device__ inline void store_shadow4(__nv_bfloat16 *shadow, size_t k, const floats4 *p)
{
    ((__nv_bfloat162 *)shadow)[2 * k] = __floats2bfloat162_rn(p->v[0], p->v[1]);
    ((__nv_bfloat162 *)shadow)[2 * k + 1] = __floats2bfloat162_rn(p->v[2], p->v[3]);
}

/* All loads are asked for before the first is used. */
template <class RULE>
static __device__ inline void update_four(const update_arrays *at, size_t k, const cuda_update_args *a, float scale)
{
    const floats4 g = load4(at->g, k);
    floats4 p = load4(at->p, k), s0 = p, s1 = p, s2 = p, ema = p;

    if (RULE::N_STATES > 0) s0 = load4(at->s0, k);
    if (RULE::N_STATES > 1) s1 = load4(at->s1, k);
    if (RULE::N_STATES > 2) s2 = load4(at->s2, k);
    if (at->ema_mode == LK_EMA_BLEND) ema = load4(at->ema, k);
#pragma unroll
    for (int i = 0; i < 4; i++) {
        p.v[i] = RULE::apply(p.v[i], lk_clip(g.v[i], a->limit, scale), &s0.v[i], &s1.v[i], &s2.v[i], a);
        ema.v[i] = ema_of(ema.v[i], p.v[i], at->ema_mode, a->ema_weight);
    }
    store4(at->p, k, &p);
    if (RULE::N_STATES > 0) store4(at->s0, k, &s0);
    if (RULE::N_STATES > 1) store4(at->s1, k, &s1);
    if (RULE::N_STATES > 2) store4(at->s2, k, &s2);
    if (at->ema_mode != LK_EMA_OFF) store4(at->ema, k, &ema);
    if (at->shadow) store_shadow4(at->shadow, k, &p);
}

template <class RULE>
static __global__ void __launch_bounds__(ELEMENT_BLOCK)
    update_arena(const __grid_constant__ update_arrays at, const cuda_update_args *args, const cuda_report *report)
{
    if (report && !report->finite) return;
    const cuda_update_args a = *args;
    const float scale = report ? report->grad_scale : a.grad_scale;

    for (size_t k = element_first(); k < at.n_fours; k += element_step()) update_four<RULE>(&at, k, &a, scale);
    for (size_t i = 4 * at.n_fours + element_first(); i < at.n_elem; i += element_step())
        update_one<RULE>(&at, i, &a, scale);
}

/* ------------------------------------------------------------------ launch */

static bool on_16(const void *at) { return (uintptr_t)at % 16 == 0; }

static update_arrays arrays_of(const lk_update *update, __nv_bfloat16 *shadow)
{
    update_arrays at;

    memset(&at, 0, sizeof at);
    at.p = update->params;
    at.g = update->grads;
    at.s0 = update->state[0];
    at.s1 = update->state[1];
    at.s2 = update->state[2];
    at.ema = update->ema;
    at.ema_mode = update->ema ? (int)update->ema_mode : (int)LK_EMA_OFF;
    at.shadow = shadow;
    at.n_elem = update->n_elem;
    if (on_16(at.p) && on_16(at.g) && on_16(at.s0) && on_16(at.s1) && on_16(at.s2) && on_16(at.ema) &&
        (uintptr_t)shadow % 8 == 0)
        at.n_fours = update->n_elem / 4;
    return at;
}

/* Enough threads that each has one or two turns; more blocks than fit wait for their turn. */
static unsigned update_blocks(const update_arrays *at)
{
    const size_t turns = at->n_fours ? at->n_fours : at->n_elem, most = (size_t)1 << 16;
    const size_t wanted = (turns + ELEMENT_BLOCK - 1) / ELEMENT_BLOCK;

    return (unsigned)(wanted < 1 ? 1 : wanted < most ? wanted : most);
}

template <class RULE>
static lk_status launch(cudaStream_t stream, const update_arrays *at, const cuda_update_args *args,
                        const cuda_report *report)
{
    LK_LAUNCH_FLAT((update_arena<RULE>), update_blocks(at), ELEMENT_BLOCK, stream, *at, args, report);
    return LK_OK;
}

template <lk_decay DECAY>
static lk_status launch_sgd(cudaStream_t stream, const lk_update *u, const update_arrays *at,
                            const cuda_update_args *args, const cuda_report *report)
{
    if (u->momentum == 0.0) return launch<sgd_rule<DECAY, false, false, false> >(stream, at, args, report);
    if (u->step == 1 && u->spec->nesterov) return launch<sgd_rule<DECAY, true, true, true> >(stream, at, args, report);
    if (u->step == 1) return launch<sgd_rule<DECAY, true, true, false> >(stream, at, args, report);
    if (u->spec->nesterov) return launch<sgd_rule<DECAY, true, false, true> >(stream, at, args, report);
    return launch<sgd_rule<DECAY, true, false, false> >(stream, at, args, report);
}

template <lk_decay DECAY>
static lk_status launch_adam(cudaStream_t stream, const lk_update *u, const update_arrays *at,
                             const cuda_update_args *args, const cuda_report *report)
{
    if (u->spec->amsgrad) return launch<adam_rule<DECAY, true> >(stream, at, args, report);
    return launch<adam_rule<DECAY, false> >(stream, at, args, report);
}

lk_status cuda_update(cudaStream_t stream, const lk_update *update, const cuda_update_args *args,
                      const cuda_report *report, __nv_bfloat16 *shadow)
{
    const update_arrays at = arrays_of(update, shadow);
    const lk_decay decay = lk_decay_of(update->spec);

    if (update->spec->kind == LK_SGD)
        return decay == LK_DECAY_NONE ? launch_sgd<LK_DECAY_NONE>(stream, update, &at, args, report)
                                      : launch_sgd<LK_DECAY_COUPLED>(stream, update, &at, args, report);
    switch (decay) {
    case LK_DECAY_NONE: return launch_adam<LK_DECAY_NONE>(stream, update, &at, args, report);
    case LK_DECAY_COUPLED: return launch_adam<LK_DECAY_COUPLED>(stream, update, &at, args, report);
    case LK_DECAY_DECOUPLED: break;
    }
    return launch_adam<LK_DECAY_DECOUPLED>(stream, update, &at, args, report);
}

/* --------------------------------------------------- EMA, running statistics */

static __global__ void ema_arena(float *ema, const float *params, size_t n_elem, int mode, const float *decay,
                                 const cuda_report *report)
{
    if (report && !report->finite) return;
    const float weight = 1.0f - *decay;

    for (size_t i = element_first(); i < n_elem; i += element_step()) ema[i] = ema_of(ema[i], params[i], mode, weight);
}

lk_status cuda_ema(cudaStream_t stream, float *ema, const float *params, size_t n_elem, lk_ema_mode mode,
                   const float *decay, const cuda_report *report)
{
    LK_LAUNCH_FLAT(ema_arena, arena_blocks(n_elem), ELEMENT_BLOCK, stream, ema, params, n_elem, (int)mode, decay,
                   report);
    return LK_OK;
}

static __global__ void running_stats(float *running, const float *stat, size_t n_elem, float momentum,
                                     const float *lanes, const cuda_report *report)
{
    if (report && !report->finite) return;
    for (size_t i = element_first(); i < n_elem; i += element_step())
        running[i] = lk_running(running[i], stat[i], momentum, *lanes);
}

lk_status cuda_running(cudaStream_t stream, float *running, const float *stat, size_t n_elem, float momentum,
                       const float *lanes, const cuda_report *report)
{
    LK_LAUNCH_FLAT(running_stats, arena_blocks(n_elem), ELEMENT_BLOCK, stream, running, stat, n_elem, momentum, lanes,
                   report);
    return LK_OK;
}
