/*
 * What the files of the schedules share.  Private to engine/optim/.
 *
 *   schedule.c            the public face: time, plateau, state
 *   check.c               ranges of the parameters
 *   closed.c              kinds that are a formula in their step
 *   cycle.c               warm restarts, cyclic, one-cycle: value and momentum
 *   composite.c           values of the tree: warmup, sequential, chained, and what depends on the value before
 *   tree.c                the tree itself, and its momentum
 *
 * PyTorch's schedulers are programs: each step takes the optimizer's current value to the next.  Here each kind
 * has up to two forms of the same thing.  `at` gives the value at step n of a schedule that began at `start`;
 * `next` is PyTorch's one step, from the value `current` that whoever else is in the chain has left.
 *
 * n counts scheduler steps from the beginning of this schedule, which in a sequential is not that of the run.
 */
#ifndef LK_OPTIM_SCHEDULES_H
#define LK_OPTIM_SCHEDULES_H

#include "engine/schedule/expression.h"
#include "engine/schedule/plateau.h"

/* ------------------------------------------------------------------ formulas */

/* At which the next milestone counts as passed: how many of them are <= n. */
unsigned lk_milestones_passed(const int64_t *milestones, unsigned n_milestones, double n);

/* Kinds that multiply: at(n) = start * factor(n), next(n) = current * step_factor(n). */
bool   lk_schedule_multiplies(lk_schedule_kind kind);
double lk_schedule_factor(const lk_schedule_spec *spec, int64_t n);
double lk_schedule_step_factor(const lk_schedule_spec *spec, int64_t n);

/* base: the value whose full swing the cosine makes after its first fall. */
double lk_cosine_at(const lk_schedule_spec *spec, int64_t n, double start, double base);
double lk_cosine_next(const lk_schedule_spec *spec, int64_t n, double current, double base);
double lk_swalr_at(const lk_schedule_spec *spec, int64_t n, double start);
double lk_swalr_next(const lk_schedule_spec *spec, int64_t n, double current);

/* Kinds that are a formula whatever the value before. */
double lk_inverse_sqrt_at(const lk_schedule_spec *spec, int64_t n, double base);
double lk_wsd_at(const lk_schedule_spec *spec, int64_t n, double base);
/* n may have a fraction. */
double lk_warm_restarts_at(const lk_schedule_spec *spec, double n, double base);
/* scale_fn: NULL for mode's.  momentum is set where it is cycled. */
lk_status lk_cyclic_at(const lk_schedule_spec *spec, lk_expression *scale_fn, int64_t n, double *value,
                       double *momentum);
void      lk_onecycle_at(const lk_schedule_spec *spec, int64_t n, double *value, double *momentum);

/* ---------------------------------------------------------------------- tree */

/* n: scheduler steps; step and epoch are the run's, for expressions. */
typedef struct lk_moment { double n; int64_t step, epoch; } lk_moment;

typedef struct lk_schedule_node lk_schedule_node;
struct lk_schedule_node {
    lk_schedule_spec spec;     /* texts and lists are not kept; milestones point to the copy below */
    bool outermost;
    double base;               /* PyTorch's initial_lr when this scheduler is made */
    lk_expression *expression; /* owned: expr or scale_fn */
    int64_t *milestones;       /* owned */
    lk_schedule_node *child;   /* owned: (n_children) */
    unsigned n_children;
    /* The last value of a recursion that has no closed form: the next one goes on from it.  Nothing depends on it
     * but time, for every recursion takes the same steps in the same order. */
    struct { int64_t n; double start, value; bool known; } memo;
};

lk_status lk_schedule_check(const char *path, const lk_schedule_spec *spec, bool outermost);

/* Makes the node of a spec that was checked and of all in it; *initial is PyTorch's group["initial_lr"], NaN
 * until the first scheduler is made, value is group["lr"].  parent is NULL for the outermost. */
lk_status lk_schedule_node_make(lk_schedule_node *node, const char *path, const lk_schedule_spec *spec,
                                const lk_schedule_node *parent, double value, double *initial);
void      lk_schedule_node_clear(lk_schedule_node *node);
lk_status lk_schedule_node_at(lk_schedule_node *node, const lk_moment *moment, double start, double *out);
bool      lk_schedule_node_has_momentum(const lk_schedule_node *node);
lk_status lk_schedule_node_momentum(lk_schedule_node *node, const lk_moment *moment, double *out);

enum { LK_SCHEDULE_PATH_BYTES = 256 };

#endif
