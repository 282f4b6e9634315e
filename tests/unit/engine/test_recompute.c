/* Recomputation: the bits of a plan that keeps everything, statistics made once, less memory; patterns of layers. */
#include "tests/support/network.h"

enum { LANE = 6 };

static const char *const BLOCKS[] = {LK_RECOMPUTE_BLOCKS};

static size_t n_grads(const network *net) { return lk_trainable_n_grads(lk_engine_trainable(net->engine)); }

static lk_plan_stats stats_of(const network *net, bool accumulate)
{
    const lk_program program = {.mode = LK_TRAIN, .n = LANE, .accumulate = accumulate};
    lk_plan_stats stats;

    cr_assert_eq(lk_engine_plan_stats(net->engine, &program, &stats), LK_OK, "%s", lk_error_message());
    return stats;
}

/* Two micro-batches of the same samples, so that accumulating plans run too. */
static void train_twice(network *net)
{
    lk_lane lane = lane_of(net, LK_TRAIN);

    memset(net->grads, 0xff, n_grads(net) * sizeof *net->grads); /* NaN wherever nobody writes */
    run_lane(net, lane);
    lane.accumulate = true;
    run_lane(net, lane);
}

/* The same bits, and at most so many percent of the activations. */
static void expect_alike(lk_model_spec spec, lk_precision precision, const char *what, const char *const *pattern,
                         size_t percent)
{
    network net = network_new(spec, precision, LANE);
    float *kept = lk_alloc(n_grads(&net) * sizeof *kept);

    train_twice(&net);
    memcpy(kept, net.grads, n_grads(&net) * sizeof *kept);
    const lk_plan_stats before = stats_of(&net, true);
    lk_engine_set_recompute(net.engine, &(lk_recompute){pattern, 1});
    train_twice(&net);
    cr_expect(memcmp(kept, net.grads, n_grads(&net) * sizeof *kept) == 0, "%s: other bits than without", what);
    const lk_plan_stats after = stats_of(&net, true);
    cr_expect_gt(after.recomputed_flops, 0.0, "%s: nothing is computed again", what);
    cr_expect_leq(after.activation_bytes * 100, before.activation_bytes * percent,
                  "%s: %zu bytes of activations, without %zu", what, after.activation_bytes, before.activation_bytes);
    lk_free(&kept);
    network_free(&net);
}

Test(recompute, blocks_have_the_same_bits_in_less_memory)
{
    expect_alike(backbone_spec(LK_MODEL_RESNET18, 1.0 / 16, 16), LK_FP32, "resnet18", BLOCKS, 80);
    expect_alike(backbone_spec(LK_MODEL_RESNET50, 1.0 / 16, 16), LK_FP32, "resnet50", BLOCKS, 60);
    expect_alike(swin_spec(0.2, 0.1), LK_FP32, "a swin with dropout and drop paths", BLOCKS, 80);
}

Test(recompute, bf16_has_the_same_bits)
{
    expect_alike(backbone_spec(LK_MODEL_RESNET18, 1.0 / 16, 16), LK_BF16, "resnet18 in bf16", BLOCKS, 80);
}

/* The scope is one block, of which only the output stays; a ReLU is its batch norm's kernel on the CPU. */
Test(recompute, a_scope_may_be_named)
{
    static const char *const features[] = {"features"}, *const layers[] = {"layer[12]"};
    lk_model_spec spec = cnn_spec(LK_NORM_BATCH, LK_POOL_MAX);

    spec.activation = LK_ACT_RELU;
    expect_alike(spec, LK_FP32, "a cnn", features, 101); /* one scope: nothing is saved */
    spec = backbone_spec(LK_MODEL_RESNET18, 1.0 / 16, 16);
    spec.activation = LK_ACT_RELU;
    expect_alike(spec, LK_FP32, "stages of resnet18", layers, 90);
}

Test(recompute, what_matches_no_layer_is_refused)
{
    static const char *const none[] = {"layer9"};
    network resnet = network_new(backbone_spec(LK_MODEL_RESNET18, 1.0 / 16, 8), LK_FP32, LANE);
    network mlp = network_new(mlp_spec(LK_NORM_NONE, LK_NORM_BEFORE, 0.0), LK_FP32, LANE);

    cr_expect_eq(lk_recompute_check(resnet.model, &(lk_recompute){BLOCKS, 1}), LK_OK, "%s", lk_error_message());
    cr_expect_eq(lk_recompute_check(resnet.model, &(lk_recompute){none, 1}), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), "`layer9` matches no layer"), "%s", lk_error_message());
    cr_expect_eq(lk_recompute_check(mlp.model, &(lk_recompute){BLOCKS, 1}), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), "has no blocks"), "%s", lk_error_message());
    network_free(&mlp);
    network_free(&resnet);
}
