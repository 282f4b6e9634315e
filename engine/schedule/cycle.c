/*
 * Schedules of cycles: CosineAnnealingWarmRestarts, CyclicLR, OneCycleLR (torch/optim/lr_scheduler.py).
 *
 * Sources: Loshchilov and Hutter, 2016, arXiv:1608.03983 (warm restarts); Smith, 2015, arXiv:1506.01186 (cyclic);
 * Smith and Topin, 2017, arXiv:1708.07120 (one-cycle).
 *
 * Two values differ from PyTorch's on purpose.  A restart at a fractional epoch: PyTorch finds the cycle by a
 * floating logarithm, which at the very restart may round to the cycle before; here the cycles are counted.  The
 * end of one-cycle: PyTorch takes one step past it, in which the value rises again, and fails in the next; here
 * the last value stays.
 */
#include "engine/schedule/node.h"

#include <math.h>

double lk_warm_restarts_at(const lk_schedule_spec *spec, double n, double base)
{
    double t = n, T_i = (double)spec->T_0;

    if (spec->T_mult == 1) t = fmod(n, T_i);
    for (; t >= T_i; T_i *= (double)spec->T_mult) t -= T_i;
    return spec->eta_min + (base - spec->eta_min) * (1.0 + cos(M_PI * t / T_i)) / 2.0;
}

/* ------------------------------------------------------------------- cyclic */

/* Height of cycle `cycle` (from 1) at step n, as a share of the first's. */
static lk_status scale_of(const lk_schedule_spec *spec, lk_expression *scale_fn, double cycle, int64_t n, double *out)
{
    const double x = spec->scale_mode == LK_SCALE_CYCLE ? cycle : (double)n;

    if (scale_fn) return lk_expression_eval(scale_fn, &x, out);
    switch (spec->mode) {
    case LK_CYCLE_TRIANGULAR2: *out = 1.0 / pow(2.0, cycle - 1.0); break;
    case LK_CYCLE_EXP_RANGE: *out = pow(spec->gamma, (double)n); break;
    default: *out = 1.0;
    }
    return LK_OK;
}

lk_status lk_cyclic_at(const lk_schedule_spec *spec, lk_expression *scale_fn, int64_t n, double *value,
                       double *momentum)
{
    /* Operation for operation PyTorch's: the rounding of x shows where base_lr is 0. */
    const double total = spec->step_size_up + spec->step_size_down, ratio = spec->step_size_up / total;
    const double cycle = floor(1.0 + (double)n / total), x = 1.0 + (double)n / total - cycle;
    const double height = x <= ratio ? x / ratio : (x - 1.0) / (ratio - 1.0);
    double scale;

    LK_TRY(scale_of(spec, scale_fn, cycle, n, &scale));
    *value = spec->base_lr + (spec->max_lr - spec->base_lr) * height * scale;
    if (spec->cycle_momentum)
        *momentum = spec->max_momentum - (spec->max_momentum - spec->base_momentum) * height * scale;
    return LK_OK;
}

/* ----------------------------------------------------------------- onecycle */

typedef struct phase {
    double end; /* its last step */
    double lr_from, lr_to, momentum_from, momentum_to;
} phase;

enum { MOST_PHASES = 3 };

static int64_t total_steps(const lk_schedule_spec *spec)
{
    return spec->total_steps ? spec->total_steps : spec->epochs * spec->steps_per_epoch;
}

/* Up; down again; in three phases the second goes back to where it began, and the third below. */
static int list_phases(const lk_schedule_spec *spec, phase phases[MOST_PHASES])
{
    const double total = (double)total_steps(spec), top = spec->max_lr;
    const double initial = top / spec->div_factor, least = initial / spec->final_div_factor;
    const double low = spec->base_momentum, high = spec->max_momentum;

    phases[0] = (phase){spec->pct_start * total - 1.0, initial, top, high, low};
    if (!spec->three_phase) {
        phases[1] = (phase){total - 1.0, top, least, low, high};
        return 2;
    }
    phases[1] = (phase){2.0 * spec->pct_start * total - 2.0, top, initial, low, high};
    phases[2] = (phase){total - 1.0, initial, least, high, high};
    return 3;
}

static double anneal(lk_anneal strategy, double from, double to, double t)
{
    if (strategy == LK_ANNEAL_LINEAR) return (to - from) * t + from;
    return to + (from - to) / 2.0 * (cos(M_PI * t) + 1.0);
}

void lk_onecycle_at(const lk_schedule_spec *spec, int64_t n, double *value, double *momentum)
{
    phase phases[MOST_PHASES];
    const int n_phases = list_phases(spec, phases);
    const int64_t last = total_steps(spec) - 1;
    const double at = (double)(n < last ? n : last);
    double begin = 0.0;
    int i = 0;

    for (; i + 1 < n_phases && at > phases[i].end; i++) begin = phases[i].end;
    const phase *p = &phases[i];
    const double t = p->end > begin ? (at - begin) / (p->end - begin) : 1.0;
    *value = anneal(spec->anneal_strategy, p->lr_from, p->lr_to, t);
    if (spec->cycle_momentum) *momentum = anneal(spec->anneal_strategy, p->momentum_from, p->momentum_to, t);
}
