/* Placement shares memory and never between two living tensors; every part of the gradient arena is completed once. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "engine/nn/build.h"
#include "engine/ops/ops.h"
#include "engine/graph/plan.h"

static const struct network {
    const char *name;
    lk_model_spec spec;
} networks[] = {
    {"mlp", {.kind = LK_MODEL_MLP, .mlp = {5, {20, 64, 48, 32, 1}}, .dropout = 0.2}},
    {"mlp with batch norm", {.kind = LK_MODEL_MLP, .mlp = {4, {20, 64, 32, 3}}, .norm = LK_NORM_BATCH,
                             .dropout = 0.5, .loss = {.kind = LK_LOSS_CROSS_ENTROPY}}},
    {"mlp with layer norm after", {.kind = LK_MODEL_MLP, .mlp = {4, {20, 64, 32, 3}},
                                   .norm = LK_NORM_LAYER, .norm_place = LK_NORM_AFTER, .activation = LK_ACT_GELU}},
    {"cnn", {.kind = LK_MODEL_CNN, .vision.image = {1, 28, 28}, .cnn.n_channels = 2, .cnn.channels = {8, 16},
             .cnn.kernel = 3,
             .cnn.n_hidden = 1, .cnn.hidden = {32}, .vision.classes = 10, .loss = {.kind = LK_LOSS_CROSS_ENTROPY}}},
    {"cnn with batch norm", {.kind = LK_MODEL_CNN, .vision.image = {3, 16, 16}, .cnn.n_channels = 3,
                             .cnn.channels = {8, 16, 8},
                             .cnn.kernel = 3, .cnn.pool = LK_POOL_AVG, .vision.classes = 10, .norm = LK_NORM_BATCH,
                             .loss = {.kind = LK_LOSS_CROSS_ENTROPY}}},
};
enum { N_NETWORKS = sizeof networks / sizeof *networks, LANE = 16 };

static lk_trainable *trainable; /* of the plan: everything */

/* A placed graph in plan, without kernels; release with drop(). */
static lk_model *make(const lk_model_spec *spec, lk_mode mode, lk_precision precision, lk_plan *plan)
{
    lk_model *model;

    *plan = (lk_plan){0};
    cr_assert_eq(lk_model_new(spec, &model), LK_OK, "%s", lk_error_message());
    cr_assert_eq(lk_trainable_new(model, NULL, &trainable), LK_OK, "%s", lk_error_message());
    lk_graph_init(&plan->graph, model, mode, precision, LANE);
    plan->graph.trainable = trainable;
    cr_assert_eq(lk_model_build(model, &plan->graph), LK_OK, "%s", lk_error_message());
    cr_assert_eq(lk_graph_prune(&plan->graph), LK_OK, "%s", lk_error_message());
    cr_assert_eq(lk_graph_allocate(&plan->graph), LK_OK, "%s", lk_error_message());
    return model;
}

static void drop(lk_model **model, lk_plan *plan)
{
    free(plan->grads_ready);
    free(plan->unwritten);
    lk_graph_clear(&plan->graph);
    lk_trainable_free(&trainable);
    lk_model_free(model);
}

/* The last node that touches tensor t, -1 if none does. */
static int last_touch(const lk_graph *graph, int t)
{
    int last = graph->tensors[t].producer;

    for (int i = 0; i < graph->n_nodes; i++)
        for (int k = 0; k < graph->nodes[i].n_in; k++)
            if (graph->nodes[i].in[k] == t && i > last) last = i;
    return last;
}

static void expect_apart(const char *name, const lk_graph *graph)
{
    for (int a = 0; a < graph->n_tensors; a++) {
        const lk_tensor *ta = &graph->tensors[a];

        if (ta->arena != LK_ARENA_ACT || ta->producer < 0) continue;
        cr_expect_eq(ta->offset % 64, 0, "%s: %s at %zu", name, ta->name, ta->offset);
        cr_expect_leq(ta->offset + ta->nbytes, graph->act_bytes, "%s: %s ends behind the arena", name, ta->name);
        for (int b = a + 1; b < graph->n_tensors; b++) {
            const lk_tensor *tb = &graph->tensors[b];

            if (tb->arena != LK_ARENA_ACT || tb->producer < 0) continue;
            const bool alive = ta->producer <= last_touch(graph, b) && tb->producer <= last_touch(graph, a);
            const bool overlap = ta->offset < tb->offset + tb->nbytes && tb->offset < ta->offset + ta->nbytes;
            cr_expect_not(alive && overlap, "%s: %s at %zu and %s at %zu live at once in one place", name, ta->name,
                          ta->offset, tb->name, tb->offset);
        }
    }
}

Test(plan, tensors_that_live_at_once_never_share_a_byte)
{
    for (size_t i = 0; i < N_NETWORKS; i++)
        for (int mode = LK_TRAIN; mode <= LK_PREDICT; mode++)
            for (int precision = LK_FP32; precision <= LK_BF16; precision++) {
                lk_plan plan;
                lk_model *model = make(&networks[i].spec, (lk_mode)mode, (lk_precision)precision, &plan);

                expect_apart(networks[i].name, &plan.graph);
                drop(&model, &plan);
            }
}

Test(plan, every_arena_is_smaller_than_unshared)
{
    for (size_t i = 0; i < N_NETWORKS; i++)
        for (int mode = LK_TRAIN; mode <= LK_PREDICT; mode++) {
            lk_plan plan;
            lk_model *model = make(&networks[i].spec, (lk_mode)mode, LK_FP32, &plan);

            cr_expect_lt(plan.graph.act_bytes, plan.graph.act_bytes_unshared, "%s: %zu bytes, unshared %zu",
                         networks[i].name, plan.graph.act_bytes, plan.graph.act_bytes_unshared);
            drop(&model, &plan);
        }
}

/* No order of places can need less than what lives at once at the worst node. */
static size_t peak_of_living_bytes(const lk_graph *graph)
{
    size_t peak = 0;

    for (int i = 0; i < graph->n_nodes; i++) {
        size_t living = 0;

        for (int t = 0; t < graph->n_tensors; t++) {
            const lk_tensor *tensor = &graph->tensors[t];

            if (tensor->arena == LK_ARENA_ACT && tensor->producer >= 0 && tensor->producer <= i &&
                last_touch(graph, t) >= i)
                living += (tensor->nbytes + 63) / 64 * 64;
        }
        if (living > peak) peak = living;
    }
    return peak;
}

/* Fragmentation may cost a little; so far it costs nothing on any of these. */
Test(plan, training_arenas_are_within_a_tenth_of_the_least_possible)
{
    for (size_t i = 0; i < N_NETWORKS; i++)
        for (int precision = LK_FP32; precision <= LK_BF16; precision++) {
            lk_plan plan;
            lk_model *model = make(&networks[i].spec, LK_TRAIN, (lk_precision)precision, &plan);
            const size_t peak = peak_of_living_bytes(&plan.graph);

            cr_expect_leq((double)plan.graph.act_bytes, 1.1 * (double)peak, "%s: %zu bytes, living at once %zu",
                          networks[i].name, plan.graph.act_bytes, peak);
            cr_expect_geq(plan.graph.act_bytes, peak, "%s: %zu bytes cannot hold the %zu living at once",
                          networks[i].name, plan.graph.act_bytes, peak);
            drop(&model, &plan);
        }
}

/* Liveness leaves no choice here: two activations of the widest layers, and no more, live at once. */
Test(plan, a_forward_chain_needs_two_activations)
{
    const lk_model_spec chain = {.kind = LK_MODEL_MLP, .mlp = {9, {64, 64, 64, 64, 64, 64, 64, 64, 64}}};
    lk_plan plan;
    lk_model *model = make(&chain, LK_PREDICT, LK_FP32, &plan);
    const size_t two = 2 * LANE * 64 * sizeof(float);

    cr_expect_eq(plan.graph.act_bytes, two, "got %zu bytes, want %zu", plan.graph.act_bytes, two);
    drop(&model, &plan);
}

Test(plan, nodes_read_only_what_was_produced_before)
{
    for (size_t i = 0; i < N_NETWORKS; i++) {
        lk_plan plan;
        lk_model *model = make(&networks[i].spec, LK_TRAIN, LK_BF16, &plan);
        const lk_graph *graph = &plan.graph;

        for (int n = 0; n < graph->n_nodes; n++)
            for (int k = 0; k < graph->nodes[n].n_in; k++) {
                if (graph->nodes[n].in[k] == LK_NO_TENSOR) continue;
                const lk_tensor *t = &graph->tensors[graph->nodes[n].in[k]];

                cr_expect_lt(t->producer, n, "%s: node %d reads %s, made by node %d", networks[i].name, n, t->name,
                             t->producer);
                cr_expect(t->producer >= 0 || t->arena != LK_ARENA_ACT, "%s: nobody makes %s", networks[i].name,
                          t->name);
            }
        drop(&model, &plan);
    }
}

Test(plan, dead_nodes_are_dropped)
{
    const int64_t shape[] = {LANE, 8};
    lk_graph graph;
    int x, kept, unused;

    lk_graph_init(&graph, NULL, LK_PREDICT, LK_FP32, LANE);
    cr_assert_eq(lk_graph_tensor(&graph, "x", LK_DTYPE_F32, 2, shape, LK_ARENA_FIELD, 0, &x), LK_OK);
    cr_assert_eq(lk_op_activation(&graph, "unused", LK_ACT_TANH, x, &unused), LK_OK);
    cr_assert_eq(lk_op_activation(&graph, "unused too", LK_ACT_TANH, unused, &unused), LK_OK);
    cr_assert_eq(lk_op_activation(&graph, "kept", LK_ACT_RELU, x, &kept), LK_OK);
    graph.tensors[kept].arena = LK_ARENA_OUTPUT;
    cr_assert_eq(lk_graph_prune(&graph), LK_OK);
    cr_assert_eq(lk_graph_allocate(&graph), LK_OK);

    cr_assert_eq(graph.n_nodes, 1, "got %d nodes, want 1", graph.n_nodes);
    cr_expect_str_eq(graph.nodes[0].path, "kept");
    cr_expect_eq(graph.tensors[kept].producer, 0);
    cr_expect_eq(graph.act_bytes, 0);
    lk_graph_clear(&graph);
}

Test(plan, no_gradient_of_the_input_is_computed)
{
    for (size_t i = 0; i < N_NETWORKS; i++) {
        lk_plan plan;
        lk_model *model = make(&networks[i].spec, LK_TRAIN, LK_BF16, &plan);
        int products = 0, input_gradients = 0;

        for (int n = 0; n < plan.graph.n_nodes; n++) {
            const lk_op_id op = plan.graph.nodes[n].op;

            products += op == LK_OP_LINEAR || op == LK_OP_CONV2D;
            input_gradients += op == LK_OP_LINEAR_GRAD_X || op == LK_OP_CONV2D_GRAD_X;
        }
        cr_expect_eq(input_gradients, products - 1, "%s: %d gradients of inputs for %d layers", networks[i].name,
                     input_gradients, products);
        drop(&model, &plan);
    }
}

/* Each element must be in one completion, and its writer, if it has one, not after it. */
static void expect_covered_once(const char *name, const lk_plan *plan)
{
    const size_t n = lk_trainable_n_grads(trainable);
    int *times = calloc(n, sizeof *times), *after = calloc(n, sizeof *after);

    for (int c = 0; c < plan->n_grads_ready; c++) {
        cr_expect(c == 0 || plan->grads_ready[c - 1].after <= plan->grads_ready[c].after, "%s: out of order", name);
        for (size_t e = plan->grads_ready[c].range.begin; e < plan->grads_ready[c].range.end; e++) {
            times[e]++;
            after[e] = plan->grads_ready[c].after;
        }
    }
    for (size_t e = 0; e < n; e++) cr_expect_eq(times[e], 1, "%s: element %zu completed %d times", name, e, times[e]);
    for (int t = 0; t < plan->graph.n_tensors; t++) {
        const lk_tensor *tensor = &plan->graph.tensors[t];

        if (tensor->arena == LK_ARENA_GRADS)
            cr_expect_leq(tensor->producer, after[tensor->offset / sizeof(float)],
                          "%s: %s is told before it is written", name, tensor->name);
    }
    free(after);
    free(times);
}

/* Together, what nodes write, what is zeroed and the slots are the whole arena. */
static void expect_written_once(const char *name, const lk_plan *plan)
{
    const size_t n = lk_trainable_slot(trainable, LK_SLOT_LOSS);
    int *times = calloc(n, sizeof *times);

    for (int t = 0; t < plan->graph.n_tensors; t++) {
        const lk_tensor *tensor = &plan->graph.tensors[t];

        if (tensor->arena != LK_ARENA_GRADS || tensor->offset >= n * sizeof(float)) continue;
        for (size_t e = 0; e < tensor->n_elem; e++) times[tensor->offset / sizeof(float) + e]++;
    }
    for (int r = 0; r < plan->n_unwritten; r++)
        for (size_t e = plan->unwritten[r].begin; e < plan->unwritten[r].end; e++) times[e]++;
    for (size_t e = 0; e < n; e++) cr_expect_eq(times[e], 1, "%s: element %zu written %d times", name, e, times[e]);
    free(times);
}

Test(plan, every_part_of_the_gradient_arena_is_written_and_completed_once)
{
    for (size_t i = 0; i < N_NETWORKS; i++)
        for (int precision = LK_FP32; precision <= LK_BF16; precision++) {
            lk_plan plan;
            lk_model *model = make(&networks[i].spec, LK_TRAIN, (lk_precision)precision, &plan);

            cr_assert_eq(lk_plan_map_gradients(&plan, trainable), LK_OK);
            expect_covered_once(networks[i].name, &plan);
            expect_written_once(networks[i].name, &plan);
            drop(&model, &plan);
        }
}

/* So that the reduction of the last layers overlaps the backward pass of the first. */
Test(plan, statistics_and_last_layers_complete_before_first_layers)
{
    lk_plan plan;
    lk_model *model = make(&networks[1].spec, LK_TRAIN, LK_FP32, &plan);

    cr_assert_eq(lk_plan_map_gradients(&plan, trainable), LK_OK);
    cr_expect_eq(plan.grads_ready[0].range.begin, lk_trainable_n_elem(trainable));
    cr_expect_eq(plan.grads_ready[0].range.end, lk_trainable_n_grads(trainable));
    cr_expect_eq(plan.grads_ready[plan.n_grads_ready - 1].range.begin, 0, "the first layer is not last: %zu",
                 plan.grads_ready[plan.n_grads_ready - 1].range.begin);
    drop(&model, &plan);
}

static bool has_no_layer_norm(lk_op_id op) { return op != LK_OP_LAYER_NORM; }

Test(plan, an_op_that_the_engine_lacks_is_named_with_its_layer)
{
    const lk_model_spec *spec = &networks[2].spec;
    lk_backend lacking = lk_cpu_backend;
    lk_model *model;
    lk_trainable *everything;
    lk_plan *plan;

    lacking.name = "half-made";
    lacking.has = has_no_layer_norm;
    cr_assert_eq(lk_model_new(spec, &model), LK_OK, "%s", lk_error_message());
    cr_assert_eq(lk_trainable_new(model, NULL, &everything), LK_OK);
    const lk_plan_key key = {.mode = LK_TRAIN, .n = LANE};
    cr_expect_eq(lk_plan_new(&lacking, NULL, everything, &key, LK_FP32, NULL, &plan), LK_ERR_USAGE);
    cr_expect_null(plan);
    cr_expect(strstr(lk_error_message(), "the half-made engine has no layer_norm"), "message: %s", lk_error_message());
    cr_expect_neq(lk_error_message()[0], ':', "no layer is named: %s", lk_error_message());
    lk_trainable_free(&everything);
    lk_model_free(&model);
}

/* x -> a -> b -> c, of which b and c are one kernel: b has no memory, and c does not lie over a, which that kernel
 * reads. */
Test(plan, what_a_group_keeps_to_itself_has_no_memory)
{
    const int64_t shape[] = {LANE, 64};
    const size_t one = LANE * 64 * sizeof(float);
    lk_graph graph;
    int x, a, b, c, out;

    lk_graph_init(&graph, NULL, LK_PREDICT, LK_FP32, LANE);
    cr_assert_eq(lk_graph_tensor(&graph, "x", LK_DTYPE_F32, 2, shape, LK_ARENA_FIELD, 0, &x), LK_OK);
    cr_assert_eq(lk_op_activation(&graph, "a", LK_ACT_TANH, x, &a), LK_OK);
    cr_assert_eq(lk_op_activation(&graph, "b", LK_ACT_RELU, a, &b), LK_OK);
    cr_assert_eq(lk_op_activation(&graph, "c", LK_ACT_TANH, b, &c), LK_OK);
    cr_assert_eq(lk_op_activation(&graph, "out", LK_ACT_RELU, c, &out), LK_OK);
    graph.tensors[out].arena = LK_ARENA_OUTPUT;
    cr_assert_eq(lk_graph_prune(&graph), LK_OK);
    lk_graph_fuse(&graph, 1, 2);
    cr_assert_eq(lk_graph_allocate(&graph), LK_OK);

    cr_expect(graph.tensors[b].swallowed && !graph.tensors[a].swallowed && !graph.tensors[c].swallowed);
    cr_expect_eq(graph.act_bytes, 2 * one, "got %zu bytes, want %zu for a and c", graph.act_bytes, 2 * one);
    cr_expect_neq(graph.tensors[a].offset, graph.tensors[c].offset, "c lies over a");
    lk_graph_clear(&graph);
}
