/*
 * Formulas of single elements for the passes over arenas, written once for the C compiler and for nvcc: clipping,
 * SGD, Adam and AdamW, and the average of weights.  Backends supply the loops.
 *
 * They are PyTorch's single-tensor formulas (torch/optim/sgd.py, adam.py, adamw.py), operation by operation, with
 * coefficients prepared in double on the host (optim/coefs.h).  PyTorch fuses some products into sums, in vector
 * bodies but not in tails, so its own bits depend on how a tensor is cut; here every operation rounds by itself, and
 * results stay within a few units in the last place of PyTorch's.
 *
 * A `const bool` parameter is a constant where the formula is used, so the loop around it has no branch.
 */
#ifndef LK_OPTIM_FORMULAS_H
#define LK_OPTIM_FORMULAS_H

#include "engine/base/formulas.h"

#include <math.h>
#include <stdbool.h>

/* What multiplies what, in float as PyTorch hands it to its kernels. */
typedef struct lk_sgd_coefs {
    float weight_decay;
    float momentum, one_minus_dampening;
    float minus_lr;
} lk_sgd_coefs;

typedef struct lk_adam_coefs {
    float weight_decay;             /* coupled: joins the gradient */
    float keep;                     /* decoupled: 1 - lr * weight_decay, shrinks the parameter */
    float one_minus_beta1;
    float beta2, one_minus_beta2;
    float bias_correction2_sqrt;
    float eps;
    float minus_step_size;          /* -lr / bias_correction1 */
} lk_adam_coefs;

typedef enum lk_decay { LK_DECAY_NONE, LK_DECAY_COUPLED, LK_DECAY_DECOUPLED } lk_decay;

/* clip_grad_value_, then clip_grad_norm_'s coefficient.  NaN passes through both. */
LK_FORMULA float lk_clip(float g, float limit, float scale)
{
    g = g < -limit ? -limit : g;
    g = g > limit ? limit : g;
    return g * scale;
}

/* torch.lerp: from the end that is nearer, so that weight 1 gives b exactly. */
LK_FORMULA float lk_lerp(float a, float b, float weight)
{
    const bool near_a = fabsf(weight) < 0.5f;

    return (near_a ? a : b) + (near_a ? weight : weight - 1.0f) * (b - a);
}

/* Returns the new parameter; *buf is momentum_buffer, which starts as the first gradient, undampened. */
LK_FORMULA float lk_sgd(float p, float g, float *buf, const lk_sgd_coefs *c, const lk_decay decay,
                        const bool momentum, const bool first, const bool nesterov)
{
    if (decay == LK_DECAY_COUPLED) g = g + c->weight_decay * p;
    if (momentum) {
        *buf = first ? g : *buf * c->momentum + c->one_minus_dampening * g;
        g = nesterov ? g + c->momentum * *buf : *buf;
    }
    return p + c->minus_lr * g;
}

/* Returns the new parameter; *m is exp_avg, *v exp_avg_sq, *v_max max_exp_avg_sq (amsgrad; otherwise not touched). */
LK_FORMULA float lk_adam(float p, float g, float *m, float *v, float *v_max, const lk_adam_coefs *c,
                         const lk_decay decay, const bool amsgrad)
{
    if (decay == LK_DECAY_COUPLED) g = g + c->weight_decay * p;
    if (decay == LK_DECAY_DECOUPLED) p = p * c->keep;
    *m = lk_lerp(*m, g, c->one_minus_beta1);
    *v = *v * c->beta2 + c->one_minus_beta2 * g * g;

    float v_used = *v;
    if (amsgrad) {
        /* torch.maximum, which hands a NaN on. */
        v_used = *v_max > *v || *v_max != *v_max ? *v_max : *v;
        *v_max = v_used;
    }
    const float denom = sqrtf(v_used) / c->bias_correction2_sqrt + c->eps;
    return p + c->minus_step_size * *m / denom;
}

/* running: batch norm's running statistic; stat: the lanes' batch statistics, summed. */
LK_FORMULA float lk_running(float running, float stat, float momentum, float lanes)
{
    return running + momentum * (stat / lanes - running);
}

#endif
