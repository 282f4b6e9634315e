/*
 * Values of trees of schedules: warmup, SequentialLR, ChainedScheduler and MultiplicativeLR, as PyTorch steps them
 * (torch/optim/lr_scheduler.py).
 *
 * A sequential hands over at its milestones: there the next schedule begins with its own step 0, from the initial
 * value; swalr and multiplicative, which know none, begin from the value that is there.
 *
 * A chained lets each of its schedules take one step from the value that the one before has left.  Where all
 * multiply, the value is the product of their factors.  Where one overwrites (lambda, cyclic, onecycle, ...), it
 * is that one's, then one step of each behind it.  Otherwise, as with a cosine in a chain, no closed form exists
 * and the recursion is run; so it is for multiplicative.
 *
 * Two things differ from PyTorch's on purpose.  A sequential or chained inside a sequential keeps its own time;
 * PyTorch's is one step ahead there (pytorch issue 196243), and as a later one fails.  And warmup PyTorch lacks;
 * it leads up to the first value of what follows:
 *
 *   linear          f = start_factor + (1 - start_factor) * n / total_iters
 *   exponential     f = start_factor^(1 - n / total_iters)
 */
#include "engine/schedule/node.h"

#include <math.h>

static lk_status next(lk_schedule_node *node, const lk_moment *moment, double current, double *out);

static int64_t whole(const lk_moment *moment) { return (int64_t)floor(moment->n); }

/* The moment as a schedule sees it that began at step `begin`. */
static lk_moment since(const lk_moment *moment, double begin)
{
    return (lk_moment){.n = moment->n - begin, .step = moment->step, .epoch = moment->epoch};
}

static lk_moment at_step(const lk_moment *moment, int64_t n)
{
    return (lk_moment){.n = (double)n, .step = moment->step, .epoch = moment->epoch};
}

/* ------------------------------------------------------------------- kinds */

/* Whether each step overwrites the value before. */
static bool overwrites(const lk_schedule_node *node)
{
    switch (node->spec.kind) {
    case LK_SCHEDULE_LAMBDA: case LK_SCHEDULE_WARM_RESTARTS: case LK_SCHEDULE_CYCLIC: case LK_SCHEDULE_ONECYCLE:
    case LK_SCHEDULE_INVERSE_SQRT: case LK_SCHEDULE_WSD:
        return true;
    case LK_SCHEDULE_SEQUENTIAL:
        for (unsigned i = 0; i < node->n_children; i++)
            if (!overwrites(&node->child[i])) return false;
        return true;
    case LK_SCHEDULE_CHAINED:
        for (unsigned i = 0; i < node->n_children; i++)
            if (overwrites(&node->child[i])) return true;
        return false;
    default:
        return false;
    }
}

/* In an expression of the outermost schedule the word that `every` names is the schedule's own count, and the
 * other one the run's; an inner expression has the first alone. */
static lk_status factor_of(lk_schedule_node *node, const lk_moment *moment, double *out)
{
    const double n = (double)whole(moment);
    const bool by_step = node->spec.every == LK_EVERY_STEP;
    const double values[] = {n, by_step ? (double)moment->epoch : (double)moment->step};

    return lk_expression_eval(node->expression, values, out);
}

static lk_status lambda_at(lk_schedule_node *node, const lk_moment *moment, double *out)
{
    double factor;

    LK_TRY(factor_of(node, moment, &factor));
    *out = node->base * factor;
    return LK_OK;
}

static lk_status multiplicative_next(lk_schedule_node *node, const lk_moment *moment, double current, double *out)
{
    double factor;

    LK_TRY(factor_of(node, moment, &factor));
    *out = current * factor;
    return LK_OK;
}

/* Steps from the memo, or from the beginning, to n. */
static lk_status recur(lk_schedule_node *node, const lk_moment *moment, double first,
                       lk_status (*step)(lk_schedule_node *, const lk_moment *, double, double *), double *out)
{
    const int64_t n = whole(moment);

    if (!node->memo.known || node->memo.start != first || node->memo.n > n) {
        node->memo.known = true;
        node->memo.n = 0;
        node->memo.start = node->memo.value = first;
    }
    while (node->memo.n < n) {
        const lk_moment then = at_step(moment, node->memo.n + 1);

        LK_TRY(step(node, &then, node->memo.value, &node->memo.value));
        node->memo.n++;
    }
    *out = node->memo.value;
    return LK_OK;
}

/* -------------------------------------------------------------- sequential */

/* Which schedule is in force at n, and when it began. */
static unsigned active(const lk_schedule_node *node, double n, double *begin)
{
    const unsigned i = lk_milestones_passed(node->milestones, node->spec.n_milestones, n);

    *begin = i > 0 ? (double)node->milestones[i - 1] : 0.0;
    return i;
}

/* The value a schedule begins from that follows another, which has left `current`. */
static lk_status restart(lk_schedule_node *node, const lk_moment *moment, double current, double *start)
{
    const lk_moment zero = at_step(moment, 0);

    *start = node->base;
    if (node->spec.kind == LK_SCHEDULE_SWALR) *start = current;
    if (node->spec.kind == LK_SCHEDULE_MULTIPLICATIVE) return multiplicative_next(node, &zero, current, start);
    return LK_OK;
}

static lk_status sequential_at(lk_schedule_node *node, const lk_moment *moment, double start, double *out)
{
    double begin;
    lk_schedule_node *child = &node->child[active(node, moment->n, &begin)];
    const lk_moment own = since(moment, begin), before = at_step(moment, (int64_t)begin - 1);

    if (begin > 0.0) {
        double current = NAN;

        if (child->spec.kind == LK_SCHEDULE_SWALR || child->spec.kind == LK_SCHEDULE_MULTIPLICATIVE)
            LK_TRY(sequential_at(node, &before, start, &current));
        LK_TRY(restart(child, moment, current, &start));
    }
    return lk_schedule_node_at(child, &own, start, out);
}

static lk_status sequential_next(lk_schedule_node *node, const lk_moment *moment, double current, double *out)
{
    double begin;
    lk_schedule_node *child = &node->child[active(node, moment->n, &begin)];
    const lk_moment own = since(moment, begin);

    if (own.n > 0.0) return next(child, &own, current, out);
    LK_TRY(restart(child, moment, current, &current));
    return lk_schedule_node_at(child, &own, current, out);
}

/* ----------------------------------------------------------------- chained */

/* A sequential sets the value back to the initial one when it is made. */
static lk_status chained_start(lk_schedule_node *node, const lk_moment *moment, double start, double *out)
{
    const lk_moment zero = at_step(moment, 0);

    for (unsigned i = 0; i < node->n_children; i++) {
        lk_schedule_node *child = &node->child[i];

        if (child->spec.kind == LK_SCHEDULE_SEQUENTIAL) start = child->base;
        LK_TRY(lk_schedule_node_at(child, &zero, start, &start));
    }
    *out = start;
    return LK_OK;
}

static lk_status chained_next_from(lk_schedule_node *node, unsigned first, const lk_moment *moment, double current,
                                   double *out)
{
    for (unsigned i = first; i < node->n_children; i++) LK_TRY(next(&node->child[i], moment, current, &current));
    *out = current;
    return LK_OK;
}

static lk_status chained_next(lk_schedule_node *node, const lk_moment *moment, double current, double *out)
{
    return chained_next_from(node, 0, moment, current, out);
}

static bool all_multiply(const lk_schedule_node *node)
{
    for (unsigned i = 0; i < node->n_children; i++)
        if (!lk_schedule_multiplies(node->child[i].spec.kind)) return false;
    return true;
}

static lk_status product_at(lk_schedule_node *node, const lk_moment *moment, double start, double *out)
{
    for (unsigned i = 0; i < node->n_children; i++) LK_TRY(lk_schedule_node_at(&node->child[i], moment, start, &start));
    *out = start;
    return LK_OK;
}

static lk_status chained_at(lk_schedule_node *node, const lk_moment *moment, double start, double *out)
{
    unsigned behind = node->n_children; /* the last that overwrites is the one before */

    if (moment->n < 1.0) return chained_start(node, moment, start, out);
    if (node->n_children == 1) return lk_schedule_node_at(&node->child[0], moment, start, out);
    if (all_multiply(node)) return product_at(node, moment, start, out);
    while (behind > 0 && !overwrites(&node->child[behind - 1])) behind--;
    if (behind > 0) {
        const lk_moment step = at_step(moment, whole(moment));

        LK_TRY(lk_schedule_node_at(&node->child[behind - 1], moment, start, &start));
        return chained_next_from(node, behind, &step, start, out);
    }
    LK_TRY(chained_start(node, moment, start, &start));
    return recur(node, moment, start, chained_next, out);
}

/* ----------------------------------------------------------- without warmup */

static lk_status cycle_at(lk_schedule_node *node, int64_t n, double *out)
{
    double momentum;

    if (node->spec.kind == LK_SCHEDULE_CYCLIC) return lk_cyclic_at(&node->spec, node->expression, n, out, &momentum);
    lk_onecycle_at(&node->spec, n, out, &momentum);
    return LK_OK;
}

static lk_status main_at(lk_schedule_node *node, const lk_moment *moment, double start, double *out)
{
    const lk_schedule_spec *spec = &node->spec;
    const int64_t n = whole(moment);

    switch (spec->kind) {
    case LK_SCHEDULE_LAMBDA: return lambda_at(node, moment, out);
    case LK_SCHEDULE_MULTIPLICATIVE: return recur(node, moment, start, multiplicative_next, out);
    case LK_SCHEDULE_CYCLIC: case LK_SCHEDULE_ONECYCLE: return cycle_at(node, n, out);
    case LK_SCHEDULE_SEQUENTIAL: return sequential_at(node, moment, start, out);
    case LK_SCHEDULE_CHAINED: return chained_at(node, moment, start, out);
    case LK_SCHEDULE_COSINE: *out = lk_cosine_at(spec, n, start, node->base); break;
    case LK_SCHEDULE_SWALR: *out = lk_swalr_at(spec, n, start); break;
    case LK_SCHEDULE_INVERSE_SQRT: *out = lk_inverse_sqrt_at(spec, n, node->base); break;
    case LK_SCHEDULE_WSD: *out = lk_wsd_at(spec, n, node->base); break;
    case LK_SCHEDULE_WARM_RESTARTS:
        *out = lk_warm_restarts_at(spec, spec->fractional ? moment->n : (double)n, node->base);
        break;
    default: *out = start * lk_schedule_factor(spec, n);
    }
    return LK_OK;
}

static lk_status main_next(lk_schedule_node *node, const lk_moment *moment, double current, double *out)
{
    const lk_schedule_spec *spec = &node->spec;
    const int64_t n = whole(moment);

    switch (spec->kind) {
    case LK_SCHEDULE_MULTIPLICATIVE: return multiplicative_next(node, moment, current, out);
    case LK_SCHEDULE_SEQUENTIAL: return sequential_next(node, moment, current, out);
    case LK_SCHEDULE_CHAINED: return chained_next(node, moment, current, out);
    case LK_SCHEDULE_COSINE: *out = lk_cosine_next(spec, n, current, node->base); break;
    case LK_SCHEDULE_SWALR: *out = lk_swalr_next(spec, n, current); break;
    default: *out = current * lk_schedule_step_factor(spec, n);
    }
    return LK_OK;
}

/* ------------------------------------------------------------------ warmup */

/* Share of the first value at step n of the warmup; 1 behind it. */
static double warmth(const lk_schedule_spec *spec, double n)
{
    const double t = n / (double)spec->warmup.total_iters;

    if (n >= (double)spec->warmup.total_iters) return 1.0;
    if (spec->warmup.kind == LK_WARMUP_EXPONENTIAL) return pow(spec->warmup.start_factor, 1.0 - t);
    return spec->warmup.start_factor + (1.0 - spec->warmup.start_factor) * t;
}

lk_status lk_schedule_node_at(lk_schedule_node *node, const lk_moment *moment, double start, double *out)
{
    const double warm = (double)node->spec.warmup.total_iters;
    const lk_moment zero = at_step(moment, 0), own = since(moment, warm);

    if (moment->n >= warm) return main_at(node, &own, start, out);
    LK_TRY(main_at(node, &zero, start, out));
    *out *= warmth(&node->spec, node->spec.fractional ? moment->n : floor(moment->n));
    return LK_OK;
}

/* PyTorch's one step from n - 1 to n >= 1. */
static lk_status next(lk_schedule_node *node, const lk_moment *moment, double current, double *out)
{
    const lk_schedule_spec *spec = &node->spec;
    const double warm = (double)spec->warmup.total_iters;
    const lk_moment own = since(moment, warm);

    if (overwrites(node)) return lk_schedule_node_at(node, moment, NAN, out);
    if (moment->n > warm) return main_next(node, &own, current, out);
    *out = current * (warmth(spec, moment->n) / warmth(spec, moment->n - 1.0));
    return LK_OK;
}
