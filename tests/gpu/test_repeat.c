/*
 * The same step again has the same bits, whatever the memory it works in held before: activations, scratch and
 * gradients are filled with NaN between, and packed copies of the parameters are made anew.  A read of what nobody
 * wrote, or a sum whose order is the order of arrival, shows as another gradient.
 *
 * LOCKSTEP_TEST_REPEAT says how often (default: few, for the host); on a device the third time and all later are
 * replays of a graph, and with LOCKSTEP_CUDA_GRAPHS=0 none is.
 */
#include "engine/engine_impl.h"
#include "tests/support/network.h"

enum { FEW = 4, LANE = 33 };

static int n_repeats(void)
{
    const char *text = getenv("LOCKSTEP_TEST_REPEAT");
    const int n = text ? atoi(text) : FEW;

    cr_assert_geq(n, 2, "LOCKSTEP_TEST_REPEAT=%s: a step is repeated at least twice", text);
    return n;
}

/* Every byte 255: a NaN in fp32, fp64 and bf16. */
static void spoil(const network *net, void *there, size_t nbytes)
{
    void *nan = lk_alloc(nbytes + 1);

    memset(nan, 0xff, nbytes);
    cr_assert_eq(lk_engine_write(net->engine, there, nan, nbytes), LK_OK, "%s", lk_error_message());
    lk_free(&nan);
}

static size_t n_grads(const network *net) { return lk_trainable_n_grads(lk_engine_trainable(net->engine)); }

/* Over spoilt memory; gradients, batch statistics and loss are in net->grads. */
static void run_step(network *net, int64_t step)
{
    lk_lane lane = lane_of(net, LK_TRAIN);

    lane.step = step;
    lane.params_version = ++net->version;
    spoil(net, net->engine->act, net->engine->act_bytes);
    spoil(net, net->engine->scratch, net->engine->scratch_bytes);
    spoil(net, net->there_grads, n_grads(net) * sizeof(float));
    run_lane(net, lane);
}

/* The first element whose bits differ; n_grads() if none does. */
static size_t first_difference(const network *net, const float *want)
{
    size_t i = 0;

    while (i < n_grads(net) && memcmp(&net->grads[i], &want[i], sizeof *want) == 0) i++;
    return i;
}

/* A step's gradients, to be freed. */
static float *gradients_of(network *net, int64_t step)
{
    float *want = lk_alloc(n_grads(net) * sizeof *want);

    ok_or_no_bf16(lk_engine_compile(net->engine, &(lk_program){.mode = LK_TRAIN, .n = net->n}));
    run_step(net, step);
    memcpy(want, net->grads, n_grads(net) * sizeof *want);
    for (size_t i = 0; i < n_grads(net); i++)
        cr_assert(isfinite(want[i]), "element %zu of %zu is %g: something read what nobody wrote", i, n_grads(net),
                  (double)want[i]);
    return want;
}

static void repeat(lk_model_spec spec, lk_precision precision)
{
    const int64_t step = 7;
    network net = network_new(spec, precision, LANE);
    float *want = gradients_of(&net, step);

    for (int time = 2; time <= n_repeats(); time++) {
        run_step(&net, step);
        const size_t i = first_difference(&net, want);
        cr_assert_eq(i, n_grads(&net), "time %d: element %zu of %zu is %.9g, was %.9g", time, i, n_grads(&net),
                     i < n_grads(&net) ? (double)net.grads[i] : 0.0, i < n_grads(&net) ? (double)want[i] : 0.0);
    }
    lk_free(&want);
    network_free(&net);
}

/* Wide enough for a library to split sums. */
static lk_model_spec wide_mlp(lk_norm norm)
{
    lk_model_spec spec = mlp_spec(norm, LK_NORM_BEFORE, 0.3);

    spec.mlp.layers[1] = spec.mlp.layers[2] = 1024;
    return spec;
}

static lk_model_spec wide_cnn(void)
{
    lk_model_spec spec = cnn_spec(LK_NORM_BATCH, LK_POOL_MAX);

    spec.vision.image[1] = spec.vision.image[2] = 16;
    spec.cnn.channels[0] = spec.cnn.channels[1] = 64;
    spec.dropout = 0.25;
    return spec;
}

Test(repeat, an_mlp_in_fp32) { repeat(wide_mlp(LK_NORM_LAYER), LK_FP32); }
Test(repeat, an_mlp_in_bf16) { repeat(wide_mlp(LK_NORM_BATCH), LK_BF16); }
Test(repeat, a_cnn_in_fp32) { repeat(wide_cnn(), LK_FP32); }
Test(repeat, a_cnn_in_bf16) { repeat(wide_cnn(), LK_BF16); }

/* Else the tests above could not fail: another step drops other elements. */
Test(repeat, another_step_has_other_bits)
{
    network net = network_new(mlp_spec(LK_NORM_LAYER, LK_NORM_BEFORE, 0.3), LK_FP32, LANE);
    float *want = gradients_of(&net, 7);

    run_step(&net, 8);
    cr_expect_lt(first_difference(&net, want), n_grads(&net), "steps 7 and 8 have the same gradients");
    lk_free(&want);
    network_free(&net);
}
