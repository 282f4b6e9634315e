/*
 * The compiler's order: build (and differentiate), prune, rewrite, allocate, bind every node or group of a placed graph
 * to a kernel; and runs of the kernels in order.  A run is a walk over one array: all choices were made when the plan
 * was.
 */
#include "engine/graph/plan.h"
#include "engine/layer_now.h"
#include "engine/nn/build.h"

#include <stdlib.h>

static lk_status check_ops(const lk_graph *graph, const lk_backend *backend)
{
    for (int i = 0; i < graph->n_nodes; i++) {
        const lk_node *node = &graph->nodes[i];

        if (backend->has(node->op)) continue;
        return LK_FAIL(LK_ERR_USAGE, "%s: the %s engine has no %s; use another engine.kind", node->path, backend->name,
                       lk_op_get(node->op)->name);
    }
    return LK_OK;
}

/* A group's kernel is its first node's; the others' are empty. */
static lk_status bind_nodes(lk_plan *plan, const lk_backend *backend, void *ctx)
{
    const lk_graph *graph = &plan->graph;
    int n;

    plan->kernels = calloc((size_t)graph->n_nodes + 1, sizeof *plan->kernels);
    LK_TRY_ALLOC(plan->kernels, ((size_t)graph->n_nodes + 1) * sizeof *plan->kernels);
    for (int i = 0; i < graph->n_nodes; i += n) {
        LK_TRY(backend->bind(ctx, graph, &graph->nodes[i], &plan->kernels[i]));
        n = lk_graph_group(graph, i);
        lk_alive();
        plan->n_kernels = i + n;
        if (plan->kernels[i].scratch_nbytes > plan->scratch_bytes)
            plan->scratch_bytes = plan->kernels[i].scratch_nbytes;
    }
    return LK_OK;
}

static lk_status build(lk_graph *graph, const lk_backend *backend, const lk_trainable *trainable)
{
    graph->trainable = trainable;
    graph->keeps_masks = backend->keeps_masks;
    LK_TRY(lk_model_build(graph->model, graph));
    graph->trainable = NULL;
    graph->cache = NULL;
    LK_TRY(lk_graph_prune(graph));
    return check_ops(graph, backend);
}

static void begin(lk_graph *graph, const lk_trainable *trainable, const lk_plan_key *key, lk_precision precision)
{
    lk_graph_init(graph, lk_trainable_model(trainable), key->mode, precision, key->n);
    graph->length = key->length;
    graph->wants_output = key->output;
    graph->wants_taps = key->taps;
    graph->side = key->side;
}

lk_status lk_plan_check(const lk_backend *backend, const lk_trainable *trainable, const lk_plan_key *key,
                        lk_precision precision)
{
    lk_graph graph = {0};

    begin(&graph, trainable, key, precision);
    const lk_status status = build(&graph, backend, trainable);
    lk_graph_clear(&graph);
    return status;
}

static unsigned fields_read(const lk_graph *graph)
{
    unsigned reads = 0;

    for (int t = 0; t < graph->n_tensors; t++)
        for (int f = 0; f < LK_MAX_FIELDS; f++)
            if (graph->tensors[t].arena == lk_arena_of_field(f) && graph->tensors[t].n_uses > 0) reads |= 1u << f;
    return reads;
}

static lk_status see_side(const lk_backend *backend, const lk_trainable *trainable, const lk_plan_key *key,
                          lk_precision precision, lk_frontier *frontier, unsigned *reads)
{
    lk_graph graph = {0};

    begin(&graph, trainable, key, precision);
    const lk_status status = build(&graph, backend, trainable);
    *frontier = graph.frontier;
    *reads = fields_read(&graph);
    lk_graph_clear(&graph);
    return status;
}

lk_status lk_plan_frontier(const lk_backend *backend, const lk_trainable *trainable, lk_mode mode,
                           lk_precision precision, lk_frontier *out)
{
    enum { FEW_SAMPLES = 2 }; /* batch norm cannot train on one */
    lk_plan_key key = {.mode = mode, .n = FEW_SAMPLES, .side = LK_SIDE_FROZEN};
    unsigned frozen, trained;

    LK_TRY(see_side(backend, trainable, &key, precision, out, &frozen));
    key.side = LK_SIDE_TRAINED;
    LK_TRY(see_side(backend, trainable, &key, precision, out, &trained));
    out->frozen_reads = frozen;
    out->trained_reads = trained;
    return LK_OK;
}

/* What it would take without is measured beside it. */
static lk_status recompute(lk_graph *graph, const lk_recompute *what)
{
    int *block = malloc(((size_t)graph->n_nodes + 1) * sizeof *block);

    LK_TRY_ALLOC(block, ((size_t)graph->n_nodes + 1) * sizeof *block);
    lk_recompute_find_blocks(graph, what, block);
    lk_status status = lk_graph_allocate(graph);
    graph->act_bytes_kept = graph->act_bytes;
    if (status == LK_OK) status = lk_graph_recompute(graph, block);
    free(block);
    return status;
}

static lk_status place(lk_plan *plan, const lk_backend *backend, void *ctx, const lk_trainable *trainable)
{
    LK_TRY(build(&plan->graph, backend, trainable));
    if (backend->rewrite) LK_TRY(backend->rewrite(ctx, &plan->graph));
    if (plan->key.recompute && plan->key.recompute->n > 0 && plan->graph.mode == LK_TRAIN)
        LK_TRY(recompute(&plan->graph, plan->key.recompute));
    if (plan->key.accumulate) LK_TRY(lk_graph_accumulate(&plan->graph));
    return lk_graph_allocate(&plan->graph);
}

lk_status lk_plan_estimate(const lk_backend *backend, void *ctx, const lk_trainable *trainable,
                           const lk_plan_key *key, lk_precision precision, lk_plan_stats *out)
{
    lk_plan plan = {.key = *key};

    begin(&plan.graph, trainable, key, precision);
    const lk_status status = place(&plan, backend, ctx, trainable);
    if (status == LK_OK) lk_plan_get_stats(&plan, trainable, out);
    lk_graph_clear(&plan.graph);
    return status;
}

static lk_status make(lk_plan *plan, const lk_backend *backend, void *ctx, const lk_trainable *trainable)
{
    LK_TRY(place(plan, backend, ctx, trainable));
    if (plan->graph.mode == LK_TRAIN && plan->graph.side != LK_SIDE_FROZEN)
        LK_TRY(lk_plan_map_gradients(plan, trainable));
    plan->reads = fields_read(&plan->graph);
    return bind_nodes(plan, backend, ctx);
}

lk_status lk_plan_new(const lk_backend *backend, void *ctx, const lk_trainable *trainable, const lk_plan_key *key,
                      lk_precision precision, lk_cache_layout *cache, lk_plan **out)
{
    lk_plan *plan = calloc(1, sizeof *plan);

    *out = NULL;
    LK_TRY_ALLOC(plan, sizeof *plan);
    plan->key = *key;
    begin(&plan->graph, trainable, key, precision);
    plan->graph.cache = cache;
    const lk_status status = make(plan, backend, ctx, trainable);
    if (status != LK_OK) {
        lk_plan_free(&plan);
        return lk_trace(status, __FILE__, __LINE__);
    }
    plan->key.recompute = NULL;
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
    free(p->grads_ready);
    free(p->unwritten);
    lk_graph_clear(&p->graph);
    free(p);
    *plan = NULL;
}

/* Kernels [begin, end); a device only queues them. */
static lk_status run_kernels(const lk_plan *plan, const lk_backend *backend, void *ctx, const lk_launch_args *args,
                             int begin, int end)
{
    if (backend->device) return backend->device->run(ctx, plan->kernels + begin, (size_t)(end - begin), args);
    for (int i = begin; i < end; i++) {
        if (!plan->kernels[i].run) continue;
        lk_at_layer(plan->graph.nodes[i].path);
        LK_TRY(plan->kernels[i].run(plan->kernels[i].state, args));
    }
    lk_at_layer(NULL);
    return LK_OK;
}

lk_status lk_plan_run(const lk_plan *plan, const lk_backend *backend, void *ctx, const lk_launch_args *args,
                      lk_ready_fn *ready, void *ready_arg)
{
    const lk_grad_ready *next = plan->grads_ready, *end = next + plan->n_grads_ready;
    int done = 0;

    while (ready && next < end) {
        LK_TRY(run_kernels(plan, backend, ctx, args, done, next->after + 1));
        done = next->after + 1;
        for (; next < end && next->after < done; next++) ready(ready_arg, next->range.begin, next->range.end);
    }
    return run_kernels(plan, backend, ctx, args, done, plan->n_kernels);
}
