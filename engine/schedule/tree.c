/*
 * The tree of schedules that a spec describes: making it, and the momentum that cyclic and one-cycle in it move.
 *
 * PyTorch's schedulers are made one after the other, the inner before the outer, and share the optimizer's group.
 * The first to be made notes the value it finds as the initial one; cyclic has set base_lr before that, and
 * one-cycle writes max_lr / div_factor in its place at any time.  Each scheduler goes by the note it finds, and a
 * sequential begins from it.
 *
 * Several one-cycles in one tree share their max_lr through the group in PyTorch; here each has its own.
 */
#include "engine/schedule/node.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* -------------------------------------------------------------------- make */

static lk_status make_expression(lk_schedule_node *node, const char *path)
{
    static const char *const by_epoch[] = {"epoch", "step"}, *const by_step[] = {"step", "epoch"};
    static const char *const by_x[] = {"x"};
    const lk_schedule_spec *spec = &node->spec;
    const bool is_cyclic = spec->kind == LK_SCHEDULE_CYCLIC;
    const bool sees_both = node->outermost && spec->kind == LK_SCHEDULE_LAMBDA;
    const char *const *names = spec->every == LK_EVERY_STEP ? by_step : by_epoch;
    const char *text = is_cyclic ? spec->scale_fn : spec->expr;
    char key[LK_SCHEDULE_PATH_BYTES];

    if (!text || !(is_cyclic || spec->kind == LK_SCHEDULE_LAMBDA || spec->kind == LK_SCHEDULE_MULTIPLICATIVE))
        return LK_OK;
    snprintf(key, sizeof key, "%s.%s", path, is_cyclic ? "scale_fn" : "expr");
    if (is_cyclic) return lk_expression_new(key, by_x, 1, text, &node->expression);
    if (!sees_both && lk_expression_mentions(text, names[1]))
        return LK_FAIL(LK_ERR_USAGE,
                       "%s: `%s` counts the run, and only an outermost lambda sees that; `%s` counts the steps of "
                       "this schedule\n    %s",
                       key, names[1], names[0], text);
    return lk_expression_new(key, names, sees_both ? 2 : 1, text, &node->expression);
}

static lk_status copy_milestones(lk_schedule_node *node)
{
    const size_t nbytes = node->spec.n_milestones * sizeof *node->milestones;

    if (nbytes == 0) return LK_OK;
    node->milestones = lk_alloc(nbytes);
    LK_TRY_ALLOC(node->milestones, nbytes);
    memcpy(node->milestones, node->spec.milestones, nbytes);
    node->spec.milestones = node->milestones;
    return LK_OK;
}

static lk_status make_children(lk_schedule_node *node, const char *path, double value, double *initial)
{
    const size_t nbytes = node->spec.n_schedulers * sizeof *node->child;

    if (nbytes == 0) return LK_OK;
    node->child = lk_alloc(nbytes);
    LK_TRY_ALLOC(node->child, nbytes);
    for (unsigned i = 0; i < node->spec.n_schedulers; i++) {
        char inner[LK_SCHEDULE_PATH_BYTES];

        snprintf(inner, sizeof inner, "%s.schedulers[%u]", path, i);
        node->n_children++; /* first: a child half made is to be cleared */
        LK_TRY(lk_schedule_node_make(&node->child[i], inner, &node->spec.schedulers[i], node, value, initial));
    }
    return LK_OK;
}

/* What making this scheduler leaves in group["initial_lr"]. */
static double note_initial(const lk_schedule_spec *spec, double value, double initial)
{
    if (spec->kind == LK_SCHEDULE_ONECYCLE) return spec->max_lr / spec->div_factor;
    if (!isnan(initial)) return initial;
    return spec->kind == LK_SCHEDULE_CYCLIC ? spec->base_lr : value;
}

lk_status lk_schedule_node_make(lk_schedule_node *node, const char *path, const lk_schedule_spec *spec,
                                const lk_schedule_node *parent, double value, double *initial)
{
    node->spec = *spec;
    if (parent) node->spec.every = parent->spec.every;
    node->outermost = !parent;
    LK_TRY(copy_milestones(node));
    LK_TRY(make_expression(node, path));
    LK_TRY(make_children(node, path, value, initial));
    *initial = note_initial(spec, value, *initial);
    node->base = *initial;
    node->spec.expr = node->spec.scale_fn = node->spec.metric = NULL;
    node->spec.schedulers = NULL;
    return LK_OK;
}

void lk_schedule_node_clear(lk_schedule_node *node)
{
    for (unsigned i = 0; i < node->n_children; i++) lk_schedule_node_clear(&node->child[i]);
    lk_free(&node->child);
    lk_free(&node->milestones);
    lk_expression_free(&node->expression);
}

/* ---------------------------------------------------------------- momentum */

bool lk_schedule_node_has_momentum(const lk_schedule_node *node)
{
    const bool is_cycle = node->spec.kind == LK_SCHEDULE_CYCLIC || node->spec.kind == LK_SCHEDULE_ONECYCLE;

    if (is_cycle) return node->spec.cycle_momentum;
    for (unsigned i = 0; i < node->n_children; i++)
        if (lk_schedule_node_has_momentum(&node->child[i])) return true;
    return false;
}

/* Momentum of child i at step n of its parent, or at its own last step if it ended before that. */
static lk_status momentum_of(lk_schedule_node *node, unsigned i, double begin, double end, const lk_moment *moment,
                             double *out)
{
    const double n = fmin(moment->n, end - 1.0) - begin;
    const lk_moment own = {.n = n > 0.0 ? n : 0.0, .step = moment->step, .epoch = moment->epoch};

    return lk_schedule_node_momentum(&node->child[i], &own, out);
}

/* The last schedule that moved it leaves it where it was.  Before any has, it has the value that making the last
 * of them gave it. */
static lk_status sequential_momentum(lk_schedule_node *node, const lk_moment *moment, double *out)
{
    const unsigned n_milestones = node->spec.n_milestones;
    const unsigned first = lk_milestones_passed(node->milestones, n_milestones, 0.0);
    unsigned i = lk_milestones_passed(node->milestones, n_milestones, moment->n) + 1;

    while (i-- > first) {
        const double begin = i > 0 ? (double)node->milestones[i - 1] : 0.0;
        const double end = i < n_milestones ? (double)node->milestones[i] : INFINITY;

        if (end > begin && lk_schedule_node_has_momentum(&node->child[i]))
            return momentum_of(node, i, begin, end, moment, out);
    }
    for (i = node->n_children; i-- > 0;)
        if (lk_schedule_node_has_momentum(&node->child[i])) return momentum_of(node, i, 0.0, 1.0, moment, out);
    return LK_OK;
}

static lk_status chained_momentum(lk_schedule_node *node, const lk_moment *moment, double *out)
{
    for (unsigned i = node->n_children; i-- > 0;)
        if (lk_schedule_node_has_momentum(&node->child[i])) return momentum_of(node, i, 0.0, INFINITY, moment, out);
    return LK_OK;
}

lk_status lk_schedule_node_momentum(lk_schedule_node *node, const lk_moment *moment, double *out)
{
    const double n = floor(moment->n) - (double)node->spec.warmup.total_iters;
    const lk_moment own = {.n = n > 0.0 ? n : 0.0, .step = moment->step, .epoch = moment->epoch};
    double value;

    *out = NAN;
    switch (node->spec.kind) {
    case LK_SCHEDULE_CYCLIC: return lk_cyclic_at(&node->spec, node->expression, (int64_t)own.n, &value, out);
    case LK_SCHEDULE_ONECYCLE: lk_onecycle_at(&node->spec, (int64_t)own.n, &value, out); return LK_OK;
    case LK_SCHEDULE_SEQUENTIAL: return sequential_momentum(node, &own, out);
    case LK_SCHEDULE_CHAINED: return chained_momentum(node, &own, out);
    default: return LK_OK;
    }
}
