/*
 * Schedules that are a formula in their step.  Kinds, parameters and values are those of
 * torch/optim/lr_scheduler.py and torch/optim/swa_utils.py; PyTorch walks there step by step, and the products of
 * its steps telescope to these forms.
 *
 *   step            gamma^floor(n / step_size)
 *   multistep       gamma^(milestones <= n), each as often as it is listed
 *   constant        factor while n < total_iters, then 1
 *   linear          start_factor + (end_factor - start_factor) * min(n, total_iters) / total_iters
 *   exponential     gamma^n
 *   polynomial      (1 - min(n, total_iters) / total_iters)^power
 *   cosine          eta_min + (start - eta_min) * (1 + cos(pi * n / T_max)) / 2
 *   swalr           from start to swa_lr in anneal_epochs steps, by a line or half a cosine
 *   inverse_sqrt    base * min(k / w, sqrt(w / k)), k = n + 1, w = warmup_steps; with d_model = d the Transformer's
 *                   base * d^-1/2 * min(k^-1/2, k * w^-3/2)  (Vaswani et al., 2017, arXiv:1706.03762, section 5.3)
 *   wsd             base * k / w, then base, then from base to eta_min in decay_steps  (Hu et al., 2024,
 *                   arXiv:2404.06395; the tail 1 - sqrt: Haegele et al., 2024, arXiv:2405.18392)
 */
#include "engine/schedule/node.h"

#include <math.h>

unsigned lk_milestones_passed(const int64_t *milestones, unsigned n_milestones, double n)
{
    unsigned passed = 0;

    for (unsigned i = 0; i < n_milestones; i++) passed += (double)milestones[i] <= n;
    return passed;
}

/* ----------------------------------------------------------- multiplicative */

bool lk_schedule_multiplies(lk_schedule_kind kind)
{
    switch (kind) {
    case LK_SCHEDULE_NONE: case LK_SCHEDULE_STEP: case LK_SCHEDULE_MULTISTEP: case LK_SCHEDULE_CONSTANT:
    case LK_SCHEDULE_LINEAR: case LK_SCHEDULE_EXPONENTIAL: case LK_SCHEDULE_POLYNOMIAL:
        return true;
    default:
        return false;
    }
}

/* The share of total_iters that is done at step n. */
static double done(const lk_schedule_spec *spec, int64_t n)
{
    return (double)(n < spec->total_iters ? n : spec->total_iters) / (double)spec->total_iters;
}

double lk_schedule_factor(const lk_schedule_spec *spec, int64_t n)
{
    switch (spec->kind) {
    case LK_SCHEDULE_STEP: return pow(spec->gamma, (double)(n / spec->step_size));
    case LK_SCHEDULE_MULTISTEP:
        return pow(spec->gamma, lk_milestones_passed(spec->milestones, spec->n_milestones, (double)n));
    case LK_SCHEDULE_CONSTANT: return n < spec->total_iters ? spec->factor : 1.0;
    case LK_SCHEDULE_LINEAR: return spec->start_factor + (spec->end_factor - spec->start_factor) * done(spec, n);
    case LK_SCHEDULE_EXPONENTIAL: return pow(spec->gamma, (double)n);
    case LK_SCHEDULE_POLYNOMIAL: return pow(1.0 - done(spec, n), spec->power);
    default: return 1.0;
    }
}

static double linear_step(const lk_schedule_spec *spec, int64_t n)
{
    const double slope = spec->end_factor - spec->start_factor;
    const double before = (double)spec->total_iters * spec->start_factor + (double)(n - 1) * slope;

    return n > spec->total_iters ? 1.0 : 1.0 + slope / before;
}

static double multistep_step(const lk_schedule_spec *spec, int64_t n)
{
    const unsigned before = lk_milestones_passed(spec->milestones, spec->n_milestones, (double)(n - 1));

    return pow(spec->gamma, lk_milestones_passed(spec->milestones, spec->n_milestones, (double)n) - before);
}

double lk_schedule_step_factor(const lk_schedule_spec *spec, int64_t n)
{
    switch (spec->kind) {
    case LK_SCHEDULE_STEP: return n % spec->step_size == 0 ? spec->gamma : 1.0;
    case LK_SCHEDULE_MULTISTEP: return multistep_step(spec, n);
    case LK_SCHEDULE_CONSTANT: return n == spec->total_iters ? 1.0 / spec->factor : 1.0;
    case LK_SCHEDULE_LINEAR: return linear_step(spec, n);
    case LK_SCHEDULE_EXPONENTIAL: return spec->gamma;
    case LK_SCHEDULE_POLYNOMIAL:
        return n > spec->total_iters ? 1.0 : pow((1.0 - done(spec, n)) / (1.0 - done(spec, n - 1)), spec->power);
    default: return 1.0;
    }
}

/* ------------------------------------------------------------------- cosine */

/* Up to here PyTorch's rounding is followed, which then differs from the closed form by some 4e-17 * T_max^2 at
 * most; for longer ones its recursion is visibly wrong. */
static const int64_t FOLLOWED_T_MAX = 10000;

/* 1 + cos(pi * n / T_max): twice the height. */
static double swing(const lk_schedule_spec *spec, int64_t n)
{
    return 1.0 + cos(M_PI * (double)n / (double)spec->T_max);
}

/* What PyTorch adds in the first step of a rise, as a share of the whole swing. */
static double first_rise(const lk_schedule_spec *spec) { return 1.0 - cos(M_PI / (double)spec->T_max); }

/* PyTorch leaves a minimum by adding 1 - cos(pi / T_max) where the formula has 1 + cos(pi * n / T_max).  The two
 * are equal but for rounding, which near a minimum is large beside them, and which its recursion keeps up to the
 * next minimum. */
double lk_cosine_at(const lk_schedule_spec *spec, int64_t n, double start, double base)
{
    const int64_t T_max = spec->T_max;
    double height = swing(spec, n) / 2.0;

    if (n <= T_max) return spec->eta_min + (start - spec->eta_min) * height;
    const int64_t rise = T_max + 1 + (n - T_max - 1) / (2 * T_max) * (2 * T_max); /* began with this step */
    if (T_max <= FOLLOWED_T_MAX) height *= first_rise(spec) / swing(spec, rise);
    return spec->eta_min + (base - spec->eta_min) * height;
}

double lk_cosine_next(const lk_schedule_spec *spec, int64_t n, double current, double base)
{
    if (n > 0 && (n - 1 - spec->T_max) % (2 * spec->T_max) == 0)
        return current + (base - spec->eta_min) * first_rise(spec) / 2.0;
    return swing(spec, n) / swing(spec, n - 1) * (current - spec->eta_min) + spec->eta_min;
}

/* -------------------------------------------------------------------- swalr */

/* The way from start to swa_lr that is done at step n. */
static double annealed(const lk_schedule_spec *spec, int64_t n)
{
    if (n >= spec->anneal_epochs) return 1.0;
    const double t = (double)n / (double)spec->anneal_epochs;

    return spec->anneal_strategy == LK_ANNEAL_LINEAR ? t : (1.0 - cos(M_PI * t)) / 2.0;
}

double lk_swalr_at(const lk_schedule_spec *spec, int64_t n, double start)
{
    const double alpha = annealed(spec, n);

    return spec->swa_lr * alpha + start * (1.0 - alpha);
}

double lk_swalr_next(const lk_schedule_spec *spec, int64_t n, double current)
{
    const double before = annealed(spec, n - 1);

    if (before == 1.0) return spec->swa_lr;
    return lk_swalr_at(spec, n, (current - before * spec->swa_lr) / (1.0 - before));
}

/* ------------------------------------------------------- inverse_sqrt, wsd */

double lk_inverse_sqrt_at(const lk_schedule_spec *spec, int64_t n, double base)
{
    const double k = (double)n + 1.0, w = (double)spec->warmup_steps;

    if (spec->d_model > 0) return base / sqrt((double)spec->d_model) * fmin(1.0 / sqrt(k), k / (w * sqrt(w)));
    return base * fmin(k / w, sqrt(w / k));
}

/* What is left of base - eta_min when the share t of the decay is done. */
static double left(lk_decay_type type, double t)
{
    switch (type) {
    case LK_DECAY_COSINE: return (1.0 + cos(M_PI * t)) / 2.0;
    case LK_DECAY_ONE_MINUS_SQRT: return 1.0 - sqrt(t);
    default: return 1.0 - t;
    }
}

double lk_wsd_at(const lk_schedule_spec *spec, int64_t n, double base)
{
    const int64_t decaying = n - spec->warmup_steps - spec->stable_steps;

    if (n < spec->warmup_steps) return base * ((double)n + 1.0) / (double)spec->warmup_steps;
    if (decaying < 0) return base;
    if (decaying >= spec->decay_steps) return spec->eta_min;
    return spec->eta_min +
           (base - spec->eta_min) * left(spec->decay_type, (double)decaying / (double)spec->decay_steps);
}
