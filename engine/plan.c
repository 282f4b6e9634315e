/*
 * The compiler's last two stages: bind every node of a placed graph to a kernel, and run the kernels in order.  A run
 * is a walk over one array: all choices were made when the plan was made.
 */
#include "engine/plan.h"
#include "engine/nn/nn.h"

#include <stdlib.h>

static lk_status bind_nodes(lk_plan *plan, const lk_backend *backend, void *ctx)
{
    const lk_graph *graph = &plan->graph;

    plan->kernels = calloc((size_t)graph->n_nodes + 1, sizeof *plan->kernels);
    LK_TRY_ALLOC(plan->kernels, ((size_t)graph->n_nodes + 1) * sizeof *plan->kernels);
    for (int i = 0; i < graph->n_nodes; i++) {
        LK_TRY(backend->bind(ctx, graph, &graph->nodes[i], &plan->kernels[i]));
        plan->n_kernels = i + 1;
    }
    return LK_OK;
}

static lk_status make(lk_plan *plan, const lk_backend *backend, void *ctx, const lk_trained *trained)
{
    plan->graph.trained = trained;
    LK_TRY(lk_model_build(plan->graph.model, &plan->graph));
    plan->graph.trained = NULL;
    LK_TRY(lk_graph_place(&plan->graph));
    if (plan->graph.mode == LK_TRAIN) LK_TRY(lk_plan_map_gradients(plan, trained));
    return bind_nodes(plan, backend, ctx);
}

lk_status lk_plan_new(const lk_backend *backend, void *ctx, const lk_trained *trained, lk_mode mode,
                      lk_precision precision, int64_t n, lk_plan **out)
{
    lk_plan *plan = calloc(1, sizeof *plan);

    *out = NULL;
    LK_TRY_ALLOC(plan, sizeof *plan);
    lk_graph_init(&plan->graph, lk_trained_model(trained), mode, precision, n);
    const lk_status status = make(plan, backend, ctx, trained);
    if (status != LK_OK) {
        lk_plan_free(&plan);
        return lk_trace(status, __FILE__, __LINE__);
    }
    *out = plan;
    return LK_OK;
}

void lk_plan_free(lk_plan **plan)
{
    if (!plan || !*plan) return;
    lk_plan *p = *plan;

    for (int i = p->n_kernels - 1; i >= 0; i--)
        if (p->kernels[i].free) p->kernels[i].free(p->kernels[i].state);
    free(p->kernels);
    free(p->completions);
    free(p->unwritten);
    lk_graph_clear(&p->graph);
    free(p);
    *plan = NULL;
}

static lk_status run_and_tell(const lk_plan *plan, const lk_backend *backend, void *ctx, const lk_run *run,
                              lk_ready_fn *ready, void *ready_arg)
{
    const lk_completion *next = plan->completions, *end = next + plan->n_completions;

    for (int i = 0; i < plan->n_kernels; i++) {
        LK_TRY(plan->kernels[i].run(plan->kernels[i].state, run));
        if (next == end || next->after > i) continue;
        if (backend->wait) LK_TRY(backend->wait(ctx));
        for (; next < end && next->after <= i; next++) ready(ready_arg, next->range.begin, next->range.end);
    }
    return LK_OK;
}

lk_status lk_plan_run(const lk_plan *plan, const lk_backend *backend, void *ctx, const lk_run *run,
                      lk_ready_fn *ready, void *ready_arg)
{
    if (ready) {
        LK_TRY(run_and_tell(plan, backend, ctx, run, ready, ready_arg));
    } else {
        for (int i = 0; i < plan->n_kernels; i++) LK_TRY(plan->kernels[i].run(plan->kernels[i].state, run));
    }
    return backend->wait ? backend->wait(ctx) : LK_OK;
}
