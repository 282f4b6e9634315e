/*
 * What an update's formulas multiply by, from the recipe's values: in double as Python computes them, then rounded
 * once to float as PyTorch hands scalars to its kernels.  Host only; every backend's `update` starts here.
 * Plain assignments, because .cu files include it.
 */
#ifndef LK_OPTIM_COEFS_H
#define LK_OPTIM_COEFS_H

#include "engine/backend.h"
#include "engine/optim/formulas.h"

static inline lk_decay lk_decay_of(const lk_optimizer_spec *spec)
{
    if (spec->weight_decay == 0.0) return LK_DECAY_NONE;
    return spec->kind == LK_ADAMW ? LK_DECAY_DECOUPLED : LK_DECAY_COUPLED;
}

static inline lk_sgd_coefs lk_sgd_coefs_of(const lk_update *update)
{
    const lk_optimizer_spec *spec = update->spec;
    lk_sgd_coefs c;

    c.weight_decay = (float)spec->weight_decay;
    c.momentum = (float)update->momentum;
    c.one_minus_dampening = (float)(1.0 - spec->dampening);
    c.minus_lr = (float)-update->lr;
    return c;
}

static inline lk_adam_coefs lk_adam_coefs_of(const lk_update *update)
{
    const lk_optimizer_spec *spec = update->spec;
    const double step = (double)update->step;
    const double bias_correction1 = 1.0 - pow(update->momentum, step);
    const double bias_correction2 = 1.0 - pow(spec->beta2, step);
    lk_adam_coefs c;

    c.weight_decay = (float)spec->weight_decay;
    c.keep = (float)(1.0 - update->lr * spec->weight_decay);
    c.one_minus_beta1 = (float)(1.0 - update->momentum);
    c.beta2 = (float)spec->beta2;
    c.one_minus_beta2 = (float)(1.0 - spec->beta2);
    c.bias_correction2_sqrt = (float)sqrt(bias_correction2);
    c.eps = (float)spec->eps;
    c.minus_step_size = (float)-(update->lr / bias_correction1);
    return c;
}

#endif
