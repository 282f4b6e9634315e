/* A small network on the engine under test with one lane of made-up data: what tests of whole networks share. */
#ifndef LK_TEST_NETWORK_H
#define LK_TEST_NETWORK_H

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/backend_under_test.h"

enum { NETWORK_MOST_SUMS = LK_N_SUMS + LK_N_OUTPUT_SUMS * 16 };

typedef struct network {
    lk_model *model;
    lk_engine *engine;
    float *params, *grads; /* what tests see */
    float *there_params, *there_grads; /* the engine's memory; on the CPU the same */
    uint64_t version;
    int64_t n;
    float *x, *target, *output;
    int32_t *label;
    int64_t *sample;
    double sums[NETWORK_MOST_SUMS];
} network;

static inline lk_model_spec mlp_spec(lk_norm norm, lk_norm_place place, double dropout)
{
    return (lk_model_spec){.kind = LK_MODEL_MLP, .mlp = {4, {5, 16, 12, 2}}, .norm = norm,
                           .norm_place = place, .dropout = dropout, .activation = LK_ACT_TANH};
}

static inline lk_model_spec cnn_spec(lk_norm norm, lk_pool pool)
{
    return (lk_model_spec){.kind = LK_MODEL_CNN, .vision.image = {2, 8, 8}, .cnn.n_channels = 2, .cnn.channels = {4, 6},
                           .cnn.kernel = 3, .cnn.pool = pool, .cnn.n_hidden = 1, .cnn.hidden = {10},
                           .vision.classes = 3,
                           .norm = norm,
                           .activation = LK_ACT_GELU, .init = "kaiming_normal",
                           .loss = {.kind = LK_LOSS_CROSS_ENTROPY, .ignore_index = -100}};
}

/* Two channels, so that nothing is laid out for three; windows that shift and reach beyond 4 x 4 tokens. */
static inline lk_model_spec swin_spec(double stochastic_depth, double dropout)
{
    return (lk_model_spec){.kind = LK_MODEL_SWIN_T, .vision = {{2, 8, 8}, 3, 1.0 / 16}, .dropout = dropout,
                           .init = "xavier_normal",
                           .swin = {.patch = 2, .window = 3, .stochastic_depth = stochastic_depth,
                                    .attention_dropout = dropout},
                           .loss = {.kind = LK_LOSS_CROSS_ENTROPY, .ignore_index = -100}};
}

/* Narrow, and smooth, where the spec's activation is. */
static inline lk_model_spec backbone_spec(lk_model_kind kind, double width, int64_t side)
{
    return (lk_model_spec){.kind = kind, .vision = {{2, side, side}, 3, width}, .activation = LK_ACT_TANH,
                           .backbone.stem = LK_STEM_CIFAR,
                           .loss = {.kind = LK_LOSS_CROSS_ENTROPY, .ignore_index = -100}};
}

/* Elements of one sample's x. */
static size_t n_input(const network *net) { return lk_field_n_elem(&lk_model_sample(net->model)->field[0], 0); }

/* Targets are a fixed smooth function of the inputs, labels the largest of three sums of inputs: both can be learnt. */
static inline void fill_data(network *net)
{
    const size_t n_in = n_input(net), n_out = lk_model_n_output(net->model);
    const lk_philox_key key = lk_philox_key_new(11, LK_PURPOSE_DATA, 0);

    for (size_t i = 0; i < (size_t)net->n * n_in; i++) net->x[i] = (float)lk_normal(key, i);
    for (size_t s = 0; s < (size_t)net->n; s++) {
        const float *x = net->x + s * n_in;
        double sum[3] = {0};

        for (size_t i = 0; i < n_in; i++) sum[i % 3] += (double)x[i];
        for (size_t o = 0; o < n_out; o++) net->target[s * n_out + o] = (float)sin(sum[o % 3]);
        net->label[s] = sum[0] > sum[1] ? (sum[0] > sum[2] ? 0 : 2) : (sum[1] > sum[2] ? 1 : 2);
        net->sample[s] = (int64_t)(1000 + 7 * s);
    }
}

static inline network network_new(lk_model_spec spec, lk_precision precision, int64_t n)
{
    network net = {.n = n, .version = 1};
    const lk_engine_options options = {.kind = engine_under_test(), .precision = precision, .threads = 1, .seed = 3};
    cr_assert_eq(lk_model_new(&spec, &net.model), LK_OK, "%s", lk_error_message());
    cr_assert_eq(lk_engine_new(&options, net.model, &net.engine), LK_OK, "%s", lk_error_message());
    const size_t n_params = lk_model_n_elem(net.model), n_out = (size_t)n * lk_model_n_output(net.model);
    cr_assert_eq(lk_engine_alloc(net.engine, n_params * sizeof(float), (void **)&net.there_params), LK_OK);
    const size_t grads_nbytes = lk_trainable_n_grads(lk_engine_trainable(net.engine)) * sizeof(float);
    cr_assert_eq(lk_engine_alloc(net.engine, grads_nbytes, (void **)&net.there_grads), LK_OK);
    const bool apart = lk_engine_on_device(net.engine);
    net.params = apart ? lk_alloc(n_params * sizeof(float)) : net.there_params;
    net.grads = apart ? lk_alloc(grads_nbytes) : net.there_grads;
    lk_model_init(net.model, 5, net.params);
    net.x = lk_alloc((size_t)n * n_input(&net) * sizeof(float));
    cr_assert_leq(lk_model_n_sums(net.model), NETWORK_MOST_SUMS);
    net.target = lk_alloc(n_out * sizeof(float));
    net.output = lk_alloc(n_out * sizeof(float));
    net.label = lk_alloc((size_t)n * sizeof(int32_t));
    net.sample = lk_alloc((size_t)n * sizeof(int64_t));
    fill_data(&net);
    return net;
}

static inline void network_free(network *net)
{
    lk_free(&net->sample), lk_free(&net->label), lk_free(&net->output), lk_free(&net->target), lk_free(&net->x);
    if (lk_engine_on_device(net->engine)) lk_free(&net->grads), lk_free(&net->params);
    lk_engine_release(net->engine, &net->there_grads);
    lk_engine_release(net->engine, &net->there_params);
    lk_engine_free(&net->engine);
    lk_model_free(&net->model);
}

static inline lk_lane lane_of(network *net, lk_mode mode)
{
    const bool labels = lk_loss_get(lk_model_get_spec(net->model)->loss.kind)->reads == LK_READS_CLASSES;
    const double terms = (double)net->n * (labels ? 1.0 : (double)lk_model_n_output(net->model));

    return (lk_lane){.mode = mode, .n = net->n, .field = {net->x, labels ? (void *)net->label : net->target},
                     .sample = net->sample, .step = 2, .inv_count = (float)(1.0 / terms), .params = net->params,
                     .params_version = net->version,
                     .grads = net->grads, .sums = net->sums, .output = net->output};
}

/* A processor that cannot do bf16 is told so; what is left of the test has nothing to test there. */
static inline void ok_or_no_bf16(lk_status status)
{
    if (status == LK_ERR_USAGE && strstr(lk_error_message(), "bf16")) cr_skip_test("%s", lk_error_message());
    cr_assert_eq(status, LK_OK, "%s (%s)", lk_error_message(), lk_error_trace());
}

/* On a device tests see copies of the arenas, which go there before a lane and come back after it. */
static inline void network_send(network *net)
{
    if (!lk_engine_on_device(net->engine)) return;
    cr_assert_eq(lk_engine_write(net->engine, net->there_params, net->params,
                                 lk_model_n_elem(net->model) * sizeof(float)), LK_OK, "%s", lk_error_message());
}

static inline void network_fetch(network *net)
{
    const size_t n_grads = lk_trainable_n_grads(lk_engine_trainable(net->engine));

    if (!lk_engine_on_device(net->engine)) return;
    cr_assert_eq(lk_engine_read(net->engine, net->params, net->there_params,
                                lk_model_n_elem(net->model) * sizeof(float)), LK_OK, "%s", lk_error_message());
    cr_assert_eq(lk_engine_read(net->engine, net->grads, net->there_grads, n_grads * sizeof(float)), LK_OK);
}

static inline void network_update_stats(network *net)
{
    const lk_grad_report report = {.finite = true};

    network_send(net);
    cr_assert_eq(lk_engine_update_stats(net->engine, net->there_params, net->there_grads, &report), LK_OK, "%s",
                 lk_error_message());
    network_fetch(net);
}

static inline void run_lane(network *net, lk_lane lane)
{
    network_send(net);
    if (lane.params == net->params) lane.params = net->there_params;
    if (lane.grads == net->grads) lane.grads = net->there_grads;
    ok_or_no_bf16(lk_engine_run(net->engine, &lane));
    network_fetch(net);
}

/* n numbers that lanes of other shapes made: equal on the CPU, where products of few rows and of many add in one order;
 * a device's library may choose another for each. */
static inline void expect_same_numbers(const lk_engine *engine, const float *got, const float *want, size_t n,
                                       const char *what, int row, int position)
{
    for (size_t i = 0; i < n; i++) {
        const double tolerance = lk_engine_on_device(engine) ? 1e-5 * fmax(1.0, fabs((double)want[i])) : 0.0;

        cr_expect_float_eq((double)got[i], (double)want[i], tolerance,
                           "%s, sample %d, position %d, number %zu: got %.9g, want %.9g", what, row, position, i,
                           (double)got[i], (double)want[i]);
    }
}

/* The loss in training mode; its gradient is left in net->grads. */
static inline double train_loss(network *net)
{
    run_lane(net, lane_of(net, LK_TRAIN));
    return (double)net->grads[lk_trainable_slot(lk_engine_trainable(net->engine), LK_SLOT_LOSS)];
}

#endif
