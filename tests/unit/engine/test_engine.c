/* What a run promises: the arena overwritten whole, ranges told once and final, modes that agree, clear refusals. */
#include "tests/support/network.h"

enum { LANE = 24 };

static lk_model_spec rich_mlp(void) { return mlp_spec(LK_NORM_BATCH, LK_NORM_BEFORE, 0.3); }

/* --------------------------------------------------------------- gradients */

Test(engine, the_gradient_arena_is_overwritten_whole_with_the_same_bits)
{
    const lk_model_spec specs[] = {rich_mlp(), cnn_spec(LK_NORM_BATCH, LK_POOL_MAX)};

    for (size_t s = 0; s < 2; s++) {
        network net = network_new(specs[s], LK_FP32, LANE);
        const size_t nbytes = lk_trainable_n_grads(lk_engine_trainable(net.engine)) * sizeof(float);
        float *first = lk_alloc(nbytes);

        train_loss(&net);
        memcpy(first, net.grads, nbytes);
        memset(net.grads, 0xff, nbytes); /* NaN wherever nobody writes */
        train_loss(&net);
        cr_expect(memcmp(first, net.grads, nbytes) == 0, "spec %zu: the second run left other bits", s);
        lk_free(&first);
        network_free(&net);
    }
}

Test(engine, slots_hold_the_lane_and_the_callers_votes)
{
    network net = network_new(rich_mlp(), LK_FP32, LANE);
    const float votes[LK_N_VOTES] = {1, 2, 3, 4, 5, 6};
    lk_lane lane = lane_of(&net, LK_TRAIN);

    lane.votes = votes;
    run_lane(&net, lane);
    const float *slots = net.grads + lk_trainable_slot(lk_engine_trainable(net.engine), LK_SLOT_LOSS);
    cr_expect_eq(slots[LK_SLOT_MICRO_BATCHES], 1.0f, "got %g lanes, want 1", (double)slots[LK_SLOT_MICRO_BATCHES]);
    for (int i = 0; i < LK_N_VOTES; i++)
        cr_expect_eq(slots[LK_SLOT_VOTES + i], votes[i], "vote %d: got %g", i, (double)slots[LK_SLOT_VOTES + i]);
    lane.votes = NULL;
    run_lane(&net, lane);
    cr_expect_eq(slots[LK_SLOT_VOTES], 0.0f, "an old vote stayed: %g", (double)slots[LK_SLOT_VOTES]);
    network_free(&net);
}

typedef struct told {
    const float *grads;
    float *then;  /* values when they were told */
    int *times;
    size_t calls;
} told;

static void remember(void *arg, size_t begin, size_t end)
{
    told *t = arg;

    t->calls++;
    for (size_t i = begin; i < end; i++) {
        t->times[i]++;
        t->then[i] = t->grads[i];
    }
}

Test(engine, ready_ranges_cover_the_arena_once_and_hold_final_values)
{
    cpu_engine_only("on a device values are queued when they are told");
    const lk_model_spec specs[] = {rich_mlp(), cnn_spec(LK_NORM_NONE, LK_POOL_AVG)};

    for (size_t s = 0; s < 2; s++) {
        network net = network_new(specs[s], LK_FP32, LANE);
        const size_t n = lk_trainable_n_grads(lk_engine_trainable(net.engine));
        told t = {.grads = net.grads, .then = lk_alloc(n * sizeof(float)), .times = lk_alloc(n * sizeof(int))};
        lk_lane lane = lane_of(&net, LK_TRAIN);

        memset(net.grads, 0xff, n * sizeof(float));
        lane.ready = remember;
        lane.ready_arg = &t;
        run_lane(&net, lane);
        for (size_t i = 0; i < n; i++)
            cr_expect_eq(t.times[i], 1, "spec %zu: element %zu of %zu told %d times", s, i, n, t.times[i]);
        cr_expect(memcmp(t.then, net.grads, n * sizeof(float)) == 0, "spec %zu: a value changed after it was told", s);
        cr_expect_gt(t.calls, 3, "spec %zu: only %zu ranges, so nothing can overlap", s, t.calls);
        lk_free(&t.times), lk_free(&t.then);
        network_free(&net);
    }
}

/* Two lanes' gradients add up to one lane's: inv_count is that of the batch and masks belong to samples.  The sums
 * are taken in another order, so the last bits differ: a few dozen roundings of terms of the gradient's size. */
Test(engine, lanes_add_up_to_the_batch)
{
    network net = network_new(mlp_spec(LK_NORM_NONE, LK_NORM_BEFORE, 0.4), LK_FP32, LANE);
    const size_t n = lk_trainable_n_grads(lk_engine_trainable(net.engine));
    float *whole = lk_alloc(n * sizeof *whole), *sum = lk_alloc(n * sizeof *sum);

    train_loss(&net);
    memcpy(whole, net.grads, n * sizeof *whole);
    for (int64_t begin = 0; begin < LANE; begin += LANE / 2) {
        lk_lane lane = lane_of(&net, LK_TRAIN);

        lane.n = LANE / 2;
        lane.field[0] = net.x + (size_t)begin * n_input(&net);
        lane.field[1] = net.target + (size_t)begin * lk_model_n_output(net.model);
        lane.sample += begin;
        run_lane(&net, lane);
        lk_add_f32(sum, net.grads, n);
    }
    for (size_t i = 0; i <= lk_trainable_slot(lk_engine_trainable(net.engine), LK_SLOT_LOSS); i++)
        cr_expect_float_eq(sum[i], whole[i], 1e-5, "element %zu: lanes give %g, the batch %g", i, (double)sum[i],
                           (double)whole[i]);
    lk_free(&sum), lk_free(&whole);
    network_free(&net);
}

Test(engine, another_step_or_sample_draws_another_mask)
{
    network net = network_new(mlp_spec(LK_NORM_NONE, LK_NORM_BEFORE, 0.5), LK_FP32, LANE);
    const double loss = train_loss(&net);
    lk_lane lane = lane_of(&net, LK_TRAIN);
    const float *slot = net.grads + lk_trainable_slot(lk_engine_trainable(net.engine), LK_SLOT_LOSS);

    lane.step++;
    run_lane(&net, lane);
    cr_expect_neq((double)*slot, loss, "step %ld has the masks of the step before", (long)lane.step);
    lane.step--;
    net.sample[0]++;
    run_lane(&net, lane);
    cr_expect_neq((double)*slot, loss, "another sample has the same mask");
    net.sample[0]--;
    run_lane(&net, lane);
    cr_expect_eq((double)*slot, loss, "the same step and samples give loss %.9g, then %.9g", loss, (double)*slot);
    network_free(&net);
}

/* ------------------------------------------------------------- other modes */

Test(engine, evaluation_and_prediction_agree)
{
    const lk_model_spec specs[] = {rich_mlp(), cnn_spec(LK_NORM_BATCH, LK_POOL_MAX)};

    for (size_t s = 0; s < 2; s++)
        for (int precision = LK_FP32; precision <= LK_BF16; precision++) {
            network net = network_new(specs[s], (lk_precision)precision, LANE);
            const size_t nbytes = LANE * lk_model_n_output(net.model) * sizeof(float);
            float *predicted = lk_alloc(nbytes);
            double sums[NETWORK_MOST_SUMS];

            run_lane(&net, lane_of(&net, LK_PREDICT));
            memcpy(predicted, net.output, nbytes);
            memset(net.output, 0xff, nbytes);
            run_lane(&net, lane_of(&net, LK_EVAL));
            cr_expect(memcmp(predicted, net.output, nbytes) == 0, "spec %zu: outputs differ", s);
            const size_t sums_nbytes = lk_model_n_sums(net.model) * sizeof *sums;
            memcpy(sums, net.sums, sums_nbytes);
            memset(net.sums, 0xff, sizeof net.sums);

            lk_lane silent = lane_of(&net, LK_EVAL);
            silent.output = NULL;
            run_lane(&net, silent);
            cr_expect(memcmp(sums, net.sums, sums_nbytes) == 0, "spec %zu: sums depend on the output being asked for",
                      s);
            lk_free(&predicted);
            network_free(&net);
        }
}

Test(engine, evaluation_sums_are_those_of_the_output)
{
    network net = network_new(rich_mlp(), LK_FP32, LANE);
    const size_t n = LANE * lk_model_n_output(net.model);
    double squared = 0.0, absolute = 0.0;

    run_lane(&net, lane_of(&net, LK_EVAL));
    for (size_t i = 0; i < n; i++) {
        const double error = (double)net.output[i] - (double)net.target[i];

        squared += error * error;
        absolute += fabs(error);
    }
    /* Each term is an fp32 difference. */
    cr_expect_float_eq(net.sums[LK_SUM_SQUARED], squared, 1e-5 * squared, "got %g, want %g", net.sums[LK_SUM_SQUARED],
                       squared);
    cr_expect_float_eq(net.sums[LK_SUM_LOSS], squared, 1e-5 * squared, "got %g, want %g", net.sums[LK_SUM_LOSS],
                       squared);
    cr_expect_float_eq(net.sums[LK_SUM_ABS], absolute, 1e-5 * absolute, "got %g, want %g", net.sums[LK_SUM_ABS],
                       absolute);
    cr_expect_eq(net.sums[LK_SUM_COUNT], (double)n, "got %g, want %zu", net.sums[LK_SUM_COUNT], n);
    network_free(&net);
}

Test(engine, new_parameters_are_seen_in_every_mode_and_layout)
{
    const lk_model_spec specs[] = {rich_mlp(), cnn_spec(LK_NORM_NONE, LK_POOL_MAX)};

    for (size_t s = 0; s < 2; s++)
        for (int precision = LK_FP32; precision <= LK_BF16; precision++) {
            network net = network_new(specs[s], (lk_precision)precision, LANE);

            run_lane(&net, lane_of(&net, LK_PREDICT));
            memset(net.params, 0, lk_model_n_params(net.model) * sizeof(float));
            net.version++;
            run_lane(&net, lane_of(&net, LK_PREDICT));
            for (size_t i = 0; i < LANE * lk_model_n_output(net.model); i++)
                cr_expect_eq(net.output[i], 0.0f, "spec %zu: output %zu is %g with zero weights", s, i,
                             (double)net.output[i]);
            network_free(&net);
        }
}

/* The lane counts once, so running = 0.9 * running + 0.1 * statistic. */
Test(engine, running_statistics_follow_pytorchs_rule)
{
    network net = network_new(rich_mlp(), LK_FP32, LANE);
    const lk_tensor_info *mean = lk_model_tensor(net.model, (size_t)lk_model_find(net.model, "1.running_mean"));
    const lk_tensor_info *var = lk_model_tensor(net.model, (size_t)lk_model_find(net.model, "1.running_var"));

    train_loss(&net);
    network_update_stats(&net);
    for (size_t i = 0; i < mean->n_elem; i++) {
        const double want_mean = 0.1 * (double)net.grads[mean->offset + i];
        const double want_var = 0.9 + 0.1 * (double)net.grads[var->offset + i];

        /* Three roundings in fp32. */
        cr_expect_float_eq(net.params[mean->offset + i], want_mean, 1e-6, "mean %zu: got %g, want %g", i,
                           (double)net.params[mean->offset + i], want_mean);
        cr_expect_float_eq(net.params[var->offset + i], want_var, 1e-6, "variance %zu: got %g, want %g", i,
                           (double)net.params[var->offset + i], want_var);
        cr_expect_gt(net.grads[var->offset + i], 0.0f);
    }
    network_free(&net);
}

/* ----------------------------------------------------------------- refusals */

Test(engine, batch_norm_refuses_to_train_on_one_sample)
{
    network net = network_new(rich_mlp(), LK_FP32, LANE);

    cr_expect_eq(lk_engine_compile(net.engine, &(lk_program){.mode = LK_TRAIN, .n = 1}), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), "1: batch norm"), "message: %s", lk_error_message());
    cr_expect_eq(lk_engine_compile(net.engine, &(lk_program){.mode = LK_TRAIN, .n = 2}), LK_OK, "%s",
                 lk_error_message());
    cr_expect_eq(lk_engine_compile(net.engine, &(lk_program){.mode = LK_EVAL, .n = 1}), LK_OK, "%s",
                 lk_error_message());
    cr_expect_eq(lk_engine_compile(net.engine, &(lk_program){.mode = LK_EVAL, .n = 0}), LK_ERR_USAGE);
    network_free(&net);
}

/* Of a set that is not in use; the lane sizes need not have been seen. */
Test(engine, a_plan_is_checked_without_being_made)
{
    network net = network_new(rich_mlp(), LK_FP32, 8);
    lk_trainable *set;
    lk_plan_stats before, after;

    cr_assert_eq(lk_trainable_new(net.model, NULL, &set), LK_OK);
    cr_assert_eq(lk_engine_plan_stats(net.engine, &(lk_program){.mode = LK_TRAIN, .n = 8}, &before), LK_OK);
    cr_expect_eq(lk_engine_check(net.engine, set, &(lk_program){.mode = LK_TRAIN, .n = 1 << 30}), LK_OK, "%s",
                 lk_error_message());
    cr_expect_eq(lk_engine_check(net.engine, set, &(lk_program){.mode = LK_TRAIN, .n = 1}), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), "1: batch norm"), "message: %s", lk_error_message());
    cr_assert_eq(lk_engine_plan_stats(net.engine, &(lk_program){.mode = LK_TRAIN, .n = 8}, &after), LK_OK);
    cr_expect_eq(after.activation_bytes, before.activation_bytes);
    lk_trainable_free(&set);
    network_free(&net);
}

Test(engine, an_engine_that_this_build_lacks_is_a_usage_error)
{
    cpu_engine_only("the module is there");
    lk_model_spec spec = rich_mlp();
    lk_engine_options options = {.kind = LK_ENGINE_CUDA, .threads = 1};
    lk_model *model;
    lk_engine *engine;

    cr_assert_eq(lk_model_new(&spec, &model), LK_OK);
    cr_expect_eq(lk_engine_new(&options, model, &engine), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), "cuda"), "message: %s", lk_error_message());
    cr_expect_null(engine);
    options = (lk_engine_options){.kind = LK_ENGINE_AUTO, .threads = 0};
    cr_expect_eq(lk_engine_new(&options, model, &engine), LK_ERR_USAGE);
    options.threads = 1;
    cr_assert_eq(lk_engine_new(&options, model, &engine), LK_OK);
    cr_expect_str_eq(lk_engine_name(engine), "cpu");
    lk_engine_free(&engine);
    lk_model_free(&model);
}

/* --------------------------------------------------------------- inspection */

static void count_line(void *arg, const char *line)
{
    size_t *n = arg;

    ++*n;
    cr_expect_null(strchr(line, '\n'), "a line holds a newline: %s", line);
}

Test(engine, the_plan_prints_one_line_a_node_and_counts_its_work)
{
    network net = network_new(mlp_spec(LK_NORM_NONE, LK_NORM_BEFORE, 0.0), LK_FP32, LANE);
    lk_plan_stats stats;
    size_t lines = 0;

    cr_assert_eq(lk_engine_plan_stats(net.engine, &(lk_program){.mode = LK_PREDICT, .n = LANE}, &stats), LK_OK);
    cr_assert_eq(lk_engine_plan_print(net.engine, &(lk_program){.mode = LK_PREDICT, .n = LANE}, count_line, &lines),
                 LK_OK);
    cr_expect_eq(stats.n_nodes, 5, "got %zu nodes, want 5: three layers and two activations", stats.n_nodes);
    cr_expect_eq(lines, stats.n_nodes + 1, "got %zu lines for %zu nodes and a heading", lines, stats.n_nodes);
    /* Two operations a weight and sample, one an activation: 5-16-12-2 on 24 samples. */
    const double want = LANE * (2.0 * (5 * 16 + 16 * 12 + 12 * 2) + 16 + 12);
    cr_expect_eq(stats.flops, want, "got %g operations, want %g", stats.flops, want);
    cr_expect_eq(stats.param_bytes, lk_model_n_elem(net.model) * sizeof(float));
    cr_expect_lt(stats.activation_bytes, stats.activation_bytes_unshared);
    network_free(&net);
}

static lk_engine_memory memory_after(lk_engine *engine, lk_mode mode, int64_t n)
{
    lk_engine_memory memory;

    cr_assert_eq(lk_engine_compile(engine, &(lk_program){.mode = mode, .n = n}), LK_OK, "%s", lk_error_message());
    lk_engine_get_memory(engine, &memory);
    return memory;
}

/* Forward passes of one shape want the same copies: a second plan adds none of its own. */
Test(engine, plans_share_packed_weights_and_scratch)
{
    network net = network_new(cnn_spec(LK_NORM_BATCH, LK_POOL_MAX), LK_FP32, LANE);
    const lk_engine_memory one = memory_after(net.engine, LK_TRAIN, LANE);
    const lk_engine_memory two = memory_after(net.engine, LK_EVAL, LANE);

    if (lk_engine_on_device(net.engine)) cr_skip_test("what a device packs is its own");
    cr_expect_gt(one.packed, 0);
    cr_expect_eq(two.packed, one.packed, "evaluating packs %zu bytes, training %zu", two.packed, one.packed);
    cr_expect_eq(two.scratch, one.scratch, "evaluating needs %zu bytes of scratch, training %zu", two.scratch,
                 one.scratch);
    network_free(&net);
}

/* Some 275 billion parameters: a terabyte that no machine here has. */
Test(engine, a_dry_engine_plans_what_no_memory_could_hold)
{
    enum { WIDTH = 1 << 17, LAYERS = 17 };
    lk_model_spec spec = {.kind = LK_MODEL_MLP, .mlp.n_layers = LAYERS, .activation = LK_ACT_RELU};
    const lk_engine_options options = {.kind = LK_ENGINE_CPU, .threads = 1, .dry = true};
    lk_plan_stats stats;
    lk_engine *engine;
    lk_model *model;

    for (int i = 0; i < LAYERS; i++) spec.mlp.layers[i] = WIDTH;
    cr_assert_eq(lk_model_new(&spec, &model), LK_OK, "%s", lk_error_message());
    cr_assert_eq(lk_engine_new(&options, model, &engine), LK_OK, "%s", lk_error_message());
    cr_assert_eq(lk_engine_plan_stats(engine, &(lk_program){.mode = LK_TRAIN, .n = LANE}, &stats), LK_OK, "%s",
                 lk_error_message());
    const lk_engine_memory memory = memory_after(engine, LK_EVAL, LANE);

    cr_expect_gt((double)stats.param_bytes, 1e12, "got %g bytes of parameters", (double)stats.param_bytes);
    cr_expect_geq(memory.activations, stats.activation_bytes);
    cr_expect_gt(memory.scratch, 0);
    void *states;
    cr_expect_eq(lk_engine_alloc(engine, 2 * stats.param_bytes, &states), LK_OK, "%s", lk_error_message());
    lk_engine_release(engine, &states);
    lk_engine_free(&engine);
    lk_model_free(&model);
}
