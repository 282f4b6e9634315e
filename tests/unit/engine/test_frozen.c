/*
 * Freezing, read from plans: what is frozen has no backward node, keeps no activation for a backward pass, and has no
 * place in the gradient arena; and what still trains has the same gradients, bit for bit.
 */
#include "tests/support/network.h"

#include "engine/nn/build.h"
#include "engine/nn/nn.h"
#include "engine/graph/plan.h"
#include "engine/model/trainable.h"

enum { LANE = 24, MOST_TENSORS = 32 };

/* The set in which tensors that match `pattern` are frozen. */
static lk_trainable *set_of(const lk_model *model, const char *pattern, bool norm_eval)
{
    bool trains[MOST_TENSORS];
    lk_trainable *trainable;

    for (size_t i = 0; i < lk_model_n_tensors(model); i++)
        trains[i] = !lk_glob(pattern, lk_model_tensor(model, i)->name);
    const lk_trainable_spec spec = {.trains = trains, .n_groups = 1, .frozen_eval = norm_eval};
    cr_assert_eq(lk_trainable_new(model, &spec, &trainable), LK_OK, "%s", lk_error_message());
    return trainable;
}

/* -------------------------------------------------------------------- plans */

typedef struct planned {
    lk_model *model;
    lk_trainable *trainable;
    lk_plan *plan;
    void *ctx;
} planned;

static planned plan_of(lk_model_spec spec, const char *pattern, bool norm_eval)
{
    planned p;

    cr_assert_eq(lk_model_new(&spec, &p.model), LK_OK, "%s", lk_error_message());
    p.trainable = set_of(p.model, pattern, norm_eval);
    cr_assert_eq(lk_cpu_backend.open(&(lk_engine_options){.threads = 1}, &p.ctx), LK_OK);
    cr_assert_eq(lk_plan_new(&lk_cpu_backend, p.ctx, p.trainable, &(lk_plan_key){.mode = LK_TRAIN, .n = LANE},
                             LK_FP32, NULL, &p.plan), LK_OK, "%s",
                 lk_error_message());
    return p;
}

static void drop(planned *p)
{
    lk_plan_free(&p->plan);
    lk_cpu_backend.close(p->ctx);
    lk_trainable_free(&p->trainable);
    lk_model_free(&p->model);
}

static int loss_node(const lk_graph *graph)
{
    for (int i = 0; i < graph->n_nodes; i++)
        if (strcmp(graph->nodes[i].path, "loss") == 0) return i;
    cr_assert_fail("the plan has no loss");
    return -1;
}

/* Backward nodes of layers whose path matches. */
static int count_backward(const lk_graph *graph, const char *path)
{
    int n = 0;

    for (int i = loss_node(graph) + 1; i < graph->n_nodes; i++) n += lk_glob(path, graph->nodes[i].path);
    return n;
}

/* Activations that layers with this path make and a backward node reads. */
static int count_kept(const lk_graph *graph, const char *path)
{
    const int loss = loss_node(graph);
    int n = 0;

    for (int i = loss + 1; i < graph->n_nodes; i++)
        for (int k = 0; k < graph->nodes[i].n_in; k++) {
            const int t = graph->nodes[i].in[k], producer = t == LK_NO_TENSOR ? -1 : graph->tensors[t].producer;
            n += producer >= 0 && producer < loss && lk_glob(path, graph->nodes[producer].path);
        }
    return n;
}

static int count_ops(const lk_graph *graph, lk_op_id op)
{
    int n = 0;

    for (int i = 0; i < graph->n_nodes; i++) n += graph->nodes[i].op == op;
    return n;
}

/* mlp: 0 linear, 1 norm, 2 activation, 3 dropout, 4 linear, 5 norm, 6, 7, 8 linear.  The last frozen layer's output is
 * what the first trained one reads; it alone stays. */
Test(frozen, a_prefix_has_no_backward_work_and_keeps_nothing)
{
    const struct { const char *name; lk_model_spec spec; const char *frozen, *prefix, *edge; } cases[] = {
        {"mlp", mlp_spec(LK_NORM_BATCH, LK_NORM_BEFORE, 0.3), "[01].*", "[012]", "3"},
        {"mlp, layer norm", mlp_spec(LK_NORM_LAYER, LK_NORM_BEFORE, 0.0), "[01].*", "[01]", "2"},
        {"cnn", cnn_spec(LK_NORM_BATCH, LK_POOL_MAX), "features.[01].*", "features.[012]", "features.3"},
        {"cnn's features", cnn_spec(LK_NORM_BATCH, LK_POOL_AVG), "features.*", "features.*", "flatten"},
    };

    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++)
        for (int norm_eval = 0; norm_eval < 2; norm_eval++) {
            planned whole = plan_of(cases[c].spec, "nothing", true);
            planned part = plan_of(cases[c].spec, cases[c].frozen, norm_eval);
            const lk_graph *graph = &part.plan->graph;

            cr_expect_eq(count_backward(graph, cases[c].prefix), 0, "%s: %d backward nodes in the prefix",
                         cases[c].name, count_backward(graph, cases[c].prefix));
            cr_expect_gt(count_backward(&whole.plan->graph, cases[c].prefix), 1, "%s: the test sees nothing",
                         cases[c].name);
            cr_expect_eq(count_backward(graph, cases[c].edge), 0, "%s: %d backward nodes at the edge", cases[c].name,
                         count_backward(graph, cases[c].edge));
            cr_expect_eq(count_kept(graph, cases[c].prefix), 0, "%s: %d activations kept", cases[c].name,
                         count_kept(graph, cases[c].prefix));
            cr_expect_lt(graph->act_bytes, whole.plan->graph.act_bytes, "%s: %zu bytes of activations, %zu with all",
                         cases[c].name, graph->act_bytes, whole.plan->graph.act_bytes);
            drop(&part), drop(&whole);
        }
}

Test(frozen, gradient_arenas_hold_exactly_what_trains_and_collects)
{
    const struct { lk_model_spec spec; const char *frozen; bool norm_eval; } cases[] = {
        {mlp_spec(LK_NORM_BATCH, LK_NORM_BEFORE, 0.3), "[01].*", true},
        {mlp_spec(LK_NORM_BATCH, LK_NORM_BEFORE, 0.3), "[01].*", false},
        {mlp_spec(LK_NORM_BATCH, LK_NORM_BEFORE, 0.3), "[45].*", true},
        {mlp_spec(LK_NORM_NONE, LK_NORM_BEFORE, 0.0), "6.*", true},
        {cnn_spec(LK_NORM_BATCH, LK_POOL_MAX), "features.*", true},
        {cnn_spec(LK_NORM_BATCH, LK_POOL_MAX), "classifier.*", true},
        {cnn_spec(LK_NORM_NONE, LK_POOL_MAX), "*.weight", true},
    };

    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        planned p = plan_of(cases[c].spec, cases[c].frozen, cases[c].norm_eval);
        size_t want = lk_round_up(LK_N_SLOTS);
        lk_plan_stats stats;

        for (size_t i = 0; i < lk_model_n_tensors(p.model); i++) {
            const lk_tensor_info *info = lk_model_tensor(p.model, i);
            const bool is_frozen = lk_glob(cases[c].frozen, info->name);
            const bool counts = info->role == LK_ROLE_PARAM ? !is_frozen : !(is_frozen && cases[c].norm_eval);

            want += counts ? lk_round_up(info->n_elem) : 0;
        }
        lk_plan_get_stats(p.plan, p.trainable, &stats);
        cr_expect_eq(stats.grad_bytes, want * sizeof(float), "case %zu: %zu bytes, want %zu", c, stats.grad_bytes,
                     want * sizeof(float));
        drop(&p);
    }
}

Test(frozen, a_middle_and_a_suffix_only_pass_gradients_through)
{
    const lk_model_spec mlp = mlp_spec(LK_NORM_BATCH, LK_NORM_BEFORE, 0.0);
    const lk_model_spec cnn = cnn_spec(LK_NORM_BATCH, LK_POOL_MAX);
    planned middle = plan_of(mlp, "[45].*", true), suffix = plan_of(mlp, "[458].*", true);
    planned head = plan_of(cnn, "classifier.*", true);

    cr_expect_eq(count_ops(&middle.plan->graph, LK_OP_LINEAR_GRAD_W), 2);
    cr_expect_eq(count_ops(&middle.plan->graph, LK_OP_LINEAR_GRAD_X), 2);
    cr_expect_eq(count_ops(&middle.plan->graph, LK_OP_BATCH_NORM_EVAL_GRAD), 1);
    cr_expect_eq(count_kept(&middle.plan->graph, "[4]"), 0, "a norm under running statistics needs no input");
    cr_expect_eq(count_ops(&suffix.plan->graph, LK_OP_LINEAR_GRAD_W), 1);
    cr_expect_eq(count_ops(&suffix.plan->graph, LK_OP_LINEAR_GRAD_X), 2);
    cr_expect_eq(count_ops(&head.plan->graph, LK_OP_LINEAR_GRAD_W), 0);
    cr_expect_eq(count_ops(&head.plan->graph, LK_OP_LINEAR_GRAD_X), 2);
    cr_expect_eq(count_ops(&head.plan->graph, LK_OP_CONV2D_GRAD_W), 2);
    drop(&middle), drop(&suffix), drop(&head);
}

Test(frozen, a_bias_alone_costs_a_sum_and_a_weight_alone_no_bias)
{
    planned biases = plan_of(cnn_spec(LK_NORM_NONE, LK_POOL_MAX), "*.weight", true);
    planned weights = plan_of(cnn_spec(LK_NORM_NONE, LK_POOL_MAX), "*.bias", true);
    const lk_graph *graph = &weights.plan->graph;

    cr_expect_eq(count_ops(&biases.plan->graph, LK_OP_BIAS_GRAD), 4);
    cr_expect_eq(count_ops(&biases.plan->graph, LK_OP_CONV2D_GRAD_W), 0);
    cr_expect_eq(count_ops(&biases.plan->graph, LK_OP_LINEAR_GRAD_W), 0);
    cr_expect_eq(count_ops(graph, LK_OP_BIAS_GRAD), 0);
    for (int i = 0; i < graph->n_nodes; i++)
        if (graph->nodes[i].op == LK_OP_CONV2D_GRAD_W || graph->nodes[i].op == LK_OP_LINEAR_GRAD_W)
            cr_expect_eq(graph->nodes[i].out[1], LK_NO_TENSOR, "%s makes a bias's gradient", graph->nodes[i].path);
    drop(&weights), drop(&biases);
}

/* Layers of the forward pass that draw random numbers. */
static int count_draws(const lk_graph *graph)
{
    int n = 0;

    for (int i = 0; i < loss_node(graph); i++) {
        const lk_node *node = &graph->nodes[i];

        n += node->op == LK_OP_DROPOUT || node->op == LK_OP_DROP_PATH ||
             (node->op == LK_OP_WINDOW_ATTENTION && node->attrs.windows.p > 0.0);
    }
    return n;
}

/* block.0 linear, block.drop.0 dropout in a module without parameters, block.1 linear, a drop path, then a dropout
 * beside `head`. */
static lk_status build_nested(lk_builder *b, const lk_model_spec *spec, const int *in, int *y)
{
    int x = in[0];

    LK_TRY(lk_enter(b, "block"));
    LK_TRY(lk_layer_linear(b, NULL, x, &(lk_linear){.n_out = 6}, &x));
    LK_TRY(lk_enter(b, "drop"));
    LK_TRY(lk_layer_dropout(b, NULL, spec->dropout, x, &x));
    lk_leave(b);
    LK_TRY(lk_layer_linear(b, NULL, x, &(lk_linear){.n_out = 6}, &x));
    LK_TRY(lk_layer_drop_path(b, "stochastic_depth", spec->dropout, x, &x));
    lk_leave(b);
    LK_TRY(lk_layer_dropout(b, "dropout", spec->dropout, x, &x));
    return lk_layer_linear(b, "head", x, &(lk_linear){.n_out = 2}, y);
}

static void nested_sample(const lk_model_spec *spec, lk_sample *out)
{
    lk_sample_add(out, &(lk_field){.name = "x", .dtype = LK_DTYPE_F32, .ndim = 1, .shape = {5}});
}

/* Attention with both its dropouts, then a head. */
static lk_status build_attention(lk_builder *b, const lk_model_spec *spec, const int *in, int *y)
{
    const lk_window_attention attention = {.heads = 2, .window = 2, .attention_dropout = spec->dropout,
                                           .dropout = spec->dropout};
    int x = in[0];

    LK_TRY(lk_layer_window_attention(b, "attn", x, &attention, &x));
    LK_TRY(lk_layer_flatten(b, "flatten", x, &x));
    return lk_layer_linear(b, "head", x, &(lk_linear){.n_out = 2}, y);
}

static void attention_sample(const lk_model_spec *spec, lk_sample *out)
{
    lk_sample_add(out, &(lk_field){.name = "x", .dtype = LK_DTYPE_F32, .ndim = 3, .shape = {4, 4, 8}});
}

/* Dropout is off where nothing trains of the innermost module around it that has parameters, as .eval() on what is
 * frozen would have it; with .train() it goes on. */
Test(frozen, dropout_is_off_in_modules_that_are_wholly_frozen)
{
    const lk_network row = {.word = "nested", .sample = nested_sample, .build = build_nested};
    const lk_network attending = {.word = "attending", .sample = attention_sample, .build = build_attention};
    const lk_model_spec nested = {.network = &row, .dropout = 0.3}, attention = {.network = &attending, .dropout = 0.3};
    const lk_model_spec mlp = mlp_spec(LK_NORM_BATCH, LK_NORM_BEFORE, 0.3);
    lk_model_spec cnn = cnn_spec(LK_NORM_BATCH, LK_POOL_MAX);
    cnn.dropout = 0.3;
    const struct { const char *name; lk_model_spec spec; const char *frozen; bool eval; int left; } cases[] = {
        {"cnn's classifier", cnn, "classifier.*", true, 0}, {"the same in training", cnn, "classifier.*", false, 1},
        {"half of it", cnn, "classifier.0.*", true, 1},     {"cnn's features", cnn, "features.*", true, 1},
        {"beside the root's", mlp, "[0-7].*", true, 2},     {"a block", nested, "block.*", true, 1},
        {"half a block", nested, "block.0.*", true, 3},     {"another's head", nested, "head.*", true, 3},
        {"attention", attention, "attn.*", true, 0},        {"half of it", attention, "attn.q*", true, 2},
    };

    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        planned p = plan_of(cases[c].spec, cases[c].frozen, cases[c].eval);

        const int left = count_draws(&p.plan->graph);

        cr_expect_eq(left, cases[c].left, "%s: %d layers that draw, want %d", cases[c].name, left, cases[c].left);
        drop(&p);
    }
}

/* The dropouts that are left choose as they did when none was off. */
Test(frozen, what_is_off_leaves_the_other_masks_as_they_were)
{
    const lk_network row = {.word = "nested", .sample = nested_sample, .build = build_nested};
    planned all = plan_of((lk_model_spec){.network = &row, .dropout = 0.3}, "nothing", true);
    planned head = plan_of((lk_model_spec){.network = &row, .dropout = 0.3}, "block.*", true);
    uint32_t layer[2] = {0};
    const lk_graph *graphs[] = {&all.plan->graph, &head.plan->graph};

    for (int g = 0; g < 2; g++)
        for (int i = 0; i < graphs[g]->n_nodes; i++)
            if (graphs[g]->nodes[i].op == LK_OP_DROPOUT) layer[g] = graphs[g]->nodes[i].attrs.dropout.layer;
    cr_expect_eq(layer[0], 2u);
    cr_expect_eq(layer[1], layer[0], "number %u, want %u", layer[1], layer[0]);
    drop(&all), drop(&head);
}

/* --------------------------------------------------------------------- bits */

/* Runs the lane under a set; grads is (lk_trainable_n_grads), host memory. */
static float *grads_under(network *net, const lk_trainable *trainable)
{
    const size_t nbytes = lk_trainable_n_grads(trainable) * sizeof(float);
    float *grads = lk_alloc(nbytes), *there;
    lk_lane lane = lane_of(net, LK_TRAIN);

    memset(grads, 0xff, nbytes); /* NaN wherever nobody writes */
    cr_assert_eq(lk_engine_alloc(net->engine, nbytes, (void **)&there), LK_OK);
    cr_assert_eq(lk_engine_write(net->engine, there, grads, nbytes), LK_OK);
    lk_engine_set_trainable(net->engine, trainable);
    lane.grads = there;
    network_send(net);
    lane.params = net->there_params;
    ok_or_no_bf16(lk_engine_run(net->engine, &lane));
    cr_assert_eq(lk_engine_read(net->engine, grads, there, nbytes), LK_OK);
    lk_engine_release(net->engine, &there);
    return grads;
}

/* The sum of a step, as the engine's memory. */
static float *sent(network *net, const float *grads, const lk_trainable *trainable)
{
    const size_t nbytes = lk_trainable_n_grads(trainable) * sizeof(float);
    float *there;

    cr_assert_eq(lk_engine_alloc(net->engine, nbytes, (void **)&there), LK_OK);
    cr_assert_eq(lk_engine_write(net->engine, there, grads, nbytes), LK_OK);
    return there;
}

static bool same_part(const float *a, size_t a_at, const float *b, size_t b_at, size_t n_elem)
{
    return memcmp(a + a_at, b + b_at, n_elem * sizeof *a) == 0;
}

/* With batch statistics as ever the forward pass is the same, and so are the kernels of all that trains, except where
 * only a bias does. */
Test(frozen, what_still_trains_has_the_same_bits)
{
    const struct { lk_model_spec spec; const char *frozen; } cases[] = {
        {mlp_spec(LK_NORM_BATCH, LK_NORM_BEFORE, 0.3), "[01].*"}, {mlp_spec(LK_NORM_BATCH, LK_NORM_AFTER, 0.3), "4.*"},
        {mlp_spec(LK_NORM_LAYER, LK_NORM_BEFORE, 0.3), "[15].*"}, {mlp_spec(LK_NORM_NONE, LK_NORM_BEFORE, 0.3), "6.*"},
        {cnn_spec(LK_NORM_BATCH, LK_POOL_MAX), "features.*"}, {cnn_spec(LK_NORM_BATCH, LK_POOL_AVG), "classifier.*"},
        {cnn_spec(LK_NORM_NONE, LK_POOL_MAX), "*.bias"},
    };

    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++)
        for (int precision = LK_FP32; precision <= LK_BF16; precision++) {
            network net = network_new(cases[c].spec, (lk_precision)precision, LANE);
            lk_trainable *part = set_of(net.model, cases[c].frozen, false);
            const lk_trainable *whole = lk_engine_trainable(net.engine);
            float *want = grads_under(&net, whole), *got = grads_under(&net, part);

            for (size_t i = 0; i < lk_model_n_tensors(net.model); i++) {
                const lk_tensor_info *info = lk_model_tensor(net.model, i);
                const size_t at = lk_trainable_offset(part, i);

                if (at == SIZE_MAX) continue;
                cr_expect(same_part(got, at, want, lk_trainable_offset(whole, i), lk_round_up(info->n_elem)),
                          "case %zu: %s has other bits: %g, want %g first", c, info->name, (double)got[at],
                          (double)want[lk_trainable_offset(whole, i)]);
            }
            cr_expect(same_part(got, lk_trainable_slot(part, (lk_slot)0), want, lk_trainable_slot(whole, (lk_slot)0),
                                LK_N_SLOTS), "case %zu: slots differ", c);
            lk_free(&got), lk_free(&want);
            network_free(&net);
            lk_trainable_free(&part);
        }
}

/* A set used again, after another, runs as before; so does evaluation in between. */
Test(frozen, sets_can_be_changed_back_and_forth)
{
    network net = network_new(mlp_spec(LK_NORM_BATCH, LK_NORM_BEFORE, 0.3), LK_FP32, LANE);
    lk_trainable *part = set_of(net.model, "[01].*", true);
    const lk_trainable *whole = lk_engine_trainable(net.engine);
    float *first = grads_under(&net, whole), *part_first = grads_under(&net, part);

    run_lane(&net, lane_of(&net, LK_EVAL));
    float *second = grads_under(&net, whole), *part_second = grads_under(&net, part);

    cr_expect(same_part(first, 0, second, 0, lk_trainable_n_grads(whole)), "everything: other bits the second time");
    cr_expect(same_part(part_first, 0, part_second, 0, lk_trainable_n_grads(part)),
              "a part: other bits the second time");
    lk_free(&first), lk_free(&second), lk_free(&part_first), lk_free(&part_second);
    network_free(&net);
    lk_trainable_free(&part);
}

static float first_of(const network *net, const char *name)
{
    return net->params[lk_model_tensor(net->model, (size_t)lk_model_find(net->model, name))->offset];
}

/* Statistics move only where they are collected. */
Test(frozen, a_norm_under_running_statistics_leaves_them_as_they_are)
{
    network net = network_new(mlp_spec(LK_NORM_BATCH, LK_NORM_BEFORE, 0.0), LK_FP32, LANE);
    lk_trainable *part = set_of(net.model, "[01].*", true);
    float *grads = grads_under(&net, part);
    const float frozen_mean = first_of(&net, "1.running_mean"), mean = first_of(&net, "5.running_mean");

    float *sum = sent(&net, grads, part);
    cr_assert_eq(lk_engine_update_stats(net.engine, net.there_params, sum, &(lk_grad_report){.finite = true}), LK_OK,
                 "%s", lk_error_message());
    lk_engine_release(net.engine, &sum);
    network_fetch(&net);
    cr_expect_eq(first_of(&net, "1.running_mean"), frozen_mean, "frozen, yet it moved from %g to %g",
                 (double)frozen_mean, (double)first_of(&net, "1.running_mean"));
    cr_expect_neq(first_of(&net, "5.running_mean"), mean, "trained, yet its statistics stay at %g", (double)mean);
    /* One sample is enough for a lane that takes no statistics of it. */
    lk_trainable *head = set_of(net.model, "[0145].*", true);
    lk_engine_set_trainable(net.engine, head);
    cr_expect_eq(lk_engine_compile(net.engine, &(lk_program){.mode = LK_TRAIN, .n = 1}), LK_OK, "%s",
                 lk_error_message());
    lk_free(&grads);
    network_free(&net);
    lk_trainable_free(&head);
    lk_trainable_free(&part);
}

/* ---------------------------------------------------------------------- EMA */

/* The EMA of everything, whatever trains: the fused passes and the passes over the rest are one lk_ema_update(). */
Test(frozen, the_ema_covers_what_is_frozen_too)
{
    const lk_ema_spec spec = {.beta = 0.9, .update_every = 1, .inv_gamma = 1.0, .power = 0.75};
    const lk_optimizer_spec adam = {.kind = LK_ADAM, .lr = 0.1, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8};
    const lk_hyperparams hyperparams = {0.1, NAN, NAN};

    for (int k = 0; k < 3; k++) {
        network net = network_new(mlp_spec(LK_NORM_BATCH, LK_NORM_BEFORE, 0.0), LK_FP32, LANE);
        lk_trainable *part = set_of(net.model, ((const char *[]){"[01].*", "4.weight", "*.bias"})[k], k % 2);
        const size_t n = lk_model_n_elem(net.model);
        lk_optimizer *optimizer;
        lk_ema *fused, *apart;

        cr_assert_eq(lk_optimizer_new(net.engine, part, &adam, &optimizer), LK_OK, "%s", lk_error_message());
        cr_assert_eq(lk_ema_new(net.engine, &spec, net.there_params, &fused), LK_OK);
        cr_assert_eq(lk_ema_new(net.engine, &spec, net.there_params, &apart), LK_OK);
        for (int step = 0; step < 4; step++) {
            float *grads = grads_under(&net, part), *sum = sent(&net, grads, part);

            net.params[0] += 1.0f; /* frozen or not, the average must see it, and a buffer */
            net.params[n - 20] += 1.0f;
            network_send(&net);
            cr_assert_eq(lk_optimizer_update(optimizer, net.there_params, sum, &hyperparams, NULL, fused), LK_OK);
            cr_assert_eq(lk_ema_update(apart, net.there_params), LK_OK);
            network_fetch(&net);
            net.version++;
            lk_engine_release(net.engine, &sum);
            lk_free(&grads);
        }
        float *got = lk_alloc(n * sizeof *got), *want = lk_alloc(n * sizeof *want);
        cr_assert_eq(lk_engine_read(net.engine, got, lk_ema_params(fused), n * sizeof *got), LK_OK);
        cr_assert_eq(lk_engine_read(net.engine, want, lk_ema_params(apart), n * sizeof *want), LK_OK);
        for (size_t i = 0; i < n; i++)
            cr_expect_eq(got[i], want[i], "case %d, element %zu: got %.9g, want %.9g", k, i, (double)got[i],
                         (double)want[i]);
        lk_free(&got), lk_free(&want);
        lk_ema_free(&apart), lk_ema_free(&fused);
        lk_optimizer_free(&optimizer);
        network_free(&net);
        lk_trainable_free(&part);
    }
}
