/*
 * A run of a plan with a look at the clock between its kernels.
 *
 * In host memory that is the clock of the machine, some 25 ns a look.  On a device the moments are events in the queue
 * of the kernels, so what is measured is the kernels and not the calls that queue them.
 */
#include "engine/graph/plan.h"

static lk_status run_on_host(const lk_plan *plan, const lk_launch_args *args, double *seconds)
{
    double before = lk_seconds();

    for (int i = 0; i < plan->n_kernels; i++) {
        if (plan->kernels[i].run) LK_TRY(plan->kernels[i].run(plan->kernels[i].state, args));
        const double now = lk_seconds();

        seconds[i] = now - before;
        before = now;
    }
    return LK_OK;
}

static lk_status run_on_device(const lk_plan *plan, const lk_device_calls *device, void *ctx,
                               const lk_launch_args *args, double *seconds)
{
    LK_TRY(device->mark(ctx, 0));
    for (int i = 0; i < plan->n_kernels; i++) {
        LK_TRY(device->run(ctx, plan->kernels + i, 1, args));
        LK_TRY(device->mark(ctx, (size_t)i + 1));
    }
    return device->elapsed(ctx, (size_t)plan->n_kernels + 1, seconds);
}

lk_status lk_plan_run_timed(const lk_plan *plan, const lk_backend *backend, void *ctx, const lk_launch_args *args,
                            double *seconds)
{
    return backend->device ? run_on_device(plan, backend->device, ctx, args, seconds)
                           : run_on_host(plan, args, seconds);
}

/* All nodes behind the last loss are of the backward pass: differentiation appends them, and none is of both. */
static int last_loss(const lk_graph *graph)
{
    int last = -1;

    for (int i = 0; i < graph->n_nodes; i++)
        if (graph->nodes[i].op == LK_OP_POINTWISE_LOSS || graph->nodes[i].op == LK_OP_CROSS_ENTROPY) last = i;
    return last;
}

void lk_plan_put_times(const lk_plan *plan, const double *seconds, lk_node_time_fn *put, void *arg)
{
    const lk_graph *graph = &plan->graph;
    const int loss = last_loss(graph);

    for (int first = 0, n; first < graph->n_nodes; first += n) {
        n = graph->nodes[first].n_fused > 1 ? graph->nodes[first].n_fused : 1;
        for (int i = first; i < first + n; i++)
            put(arg, &(lk_node_time){
                         .layer = graph->nodes[i].path, .op = lk_op_get(graph->nodes[i].op)->name,
                         .within = i > first ? graph->nodes[first].path : NULL, .backward = i > loss,
                         .seconds = seconds[i], .flops = lk_plan_node_flops(plan, i),
                         .bytes_moved = lk_plan_node_bytes(plan, i)});
    }
}
