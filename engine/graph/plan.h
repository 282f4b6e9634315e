/*
 * A plan: one graph (a mode and a lane size), allocated and bound to a backend's kernels, ready to run.  Private to
 * engine/.
 */
#ifndef LK_PLAN_H
#define LK_PLAN_H

#include "engine/backend.h"

/* A range that is final once node `after` has run. */
typedef struct lk_grad_ready {
    int after;
    lk_range range;  /* of the gradient arena */
} lk_grad_ready;

/* What tells plans of an engine apart. */
typedef struct lk_plan_key {
    lk_mode mode;
    bool output, taps;
    int64_t n, length;
    int64_t capacity;             /* of the cache; 0: none */
    lk_side side;
    uint64_t set;                 /* TRAIN, or one side: what trains; else 0 */
    bool accumulate;              /* TRAIN: gradients are added to those in their arena */
    const lk_recompute *recompute; /* TRAIN: borrowed until the plan is made; NULL: nothing.  A set's plans have one */
} lk_plan_key;

typedef struct lk_plan {
    lk_plan_key key;
    lk_graph graph;
    unsigned reads;               /* bit f: some node reads field f */
    lk_kernel *kernels;           /* owned; one per node, in order */
    int n_kernels;
    lk_grad_ready *grads_ready;   /* owned; TRAIN: in order of nodes, together the whole gradient arena */
    int n_grads_ready;
    lk_range *unwritten;          /* owned; TRAIN: padding and gradients no node writes: zeroed in each run */
    int n_unwritten;
    size_t scratch_bytes;         /* the most that one of the kernels needs */
} lk_plan;

/* Builds, differentiates, places and binds.  backend, ctx and the model of `trained` are borrowed and must outlive the
 * plan; the set itself is read here only, and by training plans alone; cache (NULL without one) is read here only. */
lk_status lk_plan_new(const lk_backend *backend, void *ctx, const lk_trainable *trainable, const lk_plan_key *key,
                      lk_precision precision, lk_cache_layout *cache, lk_plan **out);
void lk_plan_free(lk_plan **plan);
/* Builds and differentiates alone: what is wrong with shapes and ops, without memory or kernels. */
lk_status lk_plan_check(const lk_backend *backend, const lk_trainable *trainable, const lk_plan_key *key,
                        lk_precision precision);

/* Builds and places without binding: what it would cost, but for scratch. */
lk_status lk_plan_estimate(const lk_backend *backend, void *ctx, const lk_trainable *trainable,
                           const lk_plan_key *key, lk_precision precision, lk_plan_stats *out);
/* Builds both sides of a lane of few samples, to see what crosses. */
lk_status lk_plan_frontier(const lk_backend *backend, const lk_trainable *trainable, lk_mode mode,
                           lk_precision precision, lk_frontier *out);

/* Fills grads_ready and unwritten of a placed training graph. */
lk_status lk_plan_map_gradients(lk_plan *plan, const lk_trainable *trainable);

/* Runs all kernels in order; ready may be NULL. */
lk_status lk_plan_run(const lk_plan *plan, const lk_backend *backend, void *ctx, const lk_launch_args *args,
                      lk_ready_fn *ready, void *ready_arg);

/* The same with a look at the clock between kernels: seconds (n_kernels) of each.  profile.c */
lk_status lk_plan_run_timed(const lk_plan *plan, const lk_backend *backend, void *ctx, const lk_launch_args *args,
                            double *seconds);
/* Tells of the nodes with these times. */
void lk_plan_put_times(const lk_plan *plan, const double *seconds, lk_node_time_fn *put, void *arg);

/* Floating-point operations of node i, and what it reads and writes of memory. */
double lk_plan_node_flops(const lk_plan *plan, int i);
double lk_plan_node_bytes(const lk_plan *plan, int i);
void lk_plan_get_stats(const lk_plan *plan, const lk_trainable *trainable, lk_plan_stats *out);
void lk_plan_print(const lk_plan *plan, void (*put)(void *arg, const char *line), void *arg);

#endif
