/* Whole networks: gradients are the loss's slopes, losses fall under gradient descent, bf16 stays near fp32. */
#include "tests/support/network.h"

enum { LANE = 24 };

/* ---------------------------------------------------------------- gradients */

/* Lengths of the finite difference, in each parameter; the short one for networks with kinks, or so deep that slopes
 * change within the other. */
#define SMOOTH_STEP 2e-3
#define SHORT_STEP 2e-4

/* The forward pass in fp32 leaves an error of a few 1e-7 in a loss of about 1, and the third derivative (or a kink
 * that was crossed) adds a small share of the slope. */
static double slope_tolerance(double step, double slope) { return 4e-7 / step + 5e-3 * fabs(slope); }

/* The slope of the loss along +-1 signs of one tensor's elements, by central differences. */
static double measured_slope(network *net, const lk_tensor_info *info, const float *sign, double step)
{
    float *w = net->params + info->offset;
    float *kept = lk_alloc(info->n_elem * sizeof *kept);
    double loss[2];

    memcpy(kept, w, info->n_elem * sizeof *kept);
    for (int side = 0; side < 2; side++) {
        const float h = (float)(side ? step : -step);

        for (size_t i = 0; i < info->n_elem; i++) w[i] = kept[i] + h * sign[i];
        net->version++;
        loss[side] = train_loss(net);
    }
    memcpy(w, kept, info->n_elem * sizeof *kept);
    net->version++;
    lk_free(&kept);
    return (loss[1] - loss[0]) / (2.0 * step);
}

static double product(const float *a, const float *b, size_t n)
{
    double sum = 0.0;

    for (size_t i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

static void expect_slopes(const char *name, lk_model_spec spec)
{
    const bool kinked = spec.kind == LK_MODEL_CNN && spec.cnn.pool == LK_POOL_MAX;
    const bool deep = spec.kind == LK_MODEL_SWIN_T || spec.kind == LK_MODEL_RESNET18;
    const double step = kinked || deep ? SHORT_STEP : SMOOTH_STEP;
    network net = network_new(spec, LK_FP32, LANE);
    const size_t n_trainable = lk_model_n_params(net.model);
    float *grads = lk_alloc(n_trainable * sizeof *grads), *sign = lk_alloc(n_trainable * sizeof *sign);
    const lk_philox_key key = lk_philox_key_new(8, LK_PURPOSE_DATA, 1);

    train_loss(&net);
    memcpy(grads, net.grads, n_trainable * sizeof *grads);
    for (size_t i = 0; i < n_trainable; i++) sign[i] = lk_uniform(key, i) < 0.5f ? -1.0f : 1.0f;
    for (size_t t = 0; t < lk_model_n_tensors(net.model); t++) {
        const lk_tensor_info *info = lk_model_tensor(net.model, t);

        if (info->role != LK_ROLE_PARAM) continue;
        const double want = measured_slope(&net, info, sign + info->offset, step);
        const double got = product(grads + info->offset, sign + info->offset, info->n_elem);
        cr_expect_float_eq(got, want, slope_tolerance(step, want), "%s: slope along %s: got %g, measured %g", name,
                           info->name, got, want);
    }
    lk_free(&sign), lk_free(&grads);
    network_free(&net);
}

Test(network, mlp_gradients_are_the_slopes_of_the_loss)
{
    expect_slopes("plain", mlp_spec(LK_NORM_NONE, LK_NORM_BEFORE, 0.0));
    expect_slopes("batch norm before, dropout", mlp_spec(LK_NORM_BATCH, LK_NORM_BEFORE, 0.3));
    expect_slopes("batch norm after, dropout", mlp_spec(LK_NORM_BATCH, LK_NORM_AFTER, 0.3));
    expect_slopes("layer norm before", mlp_spec(LK_NORM_LAYER, LK_NORM_BEFORE, 0.0));
}

Test(network, cnn_gradients_are_the_slopes_of_the_loss)
{
    expect_slopes("plain, average", cnn_spec(LK_NORM_NONE, LK_POOL_AVG));
    expect_slopes("batch norm, average", cnn_spec(LK_NORM_BATCH, LK_POOL_AVG));
    /* A maximum has kinks, and a longer step would cross some. */
    expect_slopes("plain, maximum", cnn_spec(LK_NORM_NONE, LK_POOL_MAX));
}

/* Hundreds of lanes of twelve blocks take the stand-in of a device minutes; test_golden_swin is run there. */
#define SWIN_ON_CPU "many lanes of a deep network"

Test(network, swin_gradients_are_the_slopes_of_the_loss)
{
    cpu_engine_only(SWIN_ON_CPU);
    expect_slopes("swin", swin_spec(0.0, 0.0));
    expect_slopes("swin with drop path and dropout", swin_spec(0.4, 0.2));
}

Test(network, resnet_gradients_are_the_slopes_of_the_loss)
{
    expect_slopes("basic blocks", backbone_spec(LK_MODEL_RESNET18, 0.05, 8));
}

/* A gradient that is wrong by one part in a hundred fails the tolerance above: the test can fail. */
Test(network, a_wrong_gradient_is_noticed)
{
    network net = network_new(mlp_spec(LK_NORM_NONE, LK_NORM_BEFORE, 0.0), LK_FP32, LANE);
    const lk_tensor_info *info = lk_model_tensor(net.model, 0);
    float sign[16 * 5];

    train_loss(&net);
    for (size_t i = 0; i < info->n_elem; i++) sign[i] = net.grads[i] < 0.0f ? -1.0f : 1.0f;
    const double got = product(net.grads, sign, info->n_elem), want = measured_slope(&net, info, sign, SMOOTH_STEP);
    cr_expect_float_eq(got, want, slope_tolerance(SMOOTH_STEP, want), "got %g, measured %g", got, want);
    cr_expect(fabs(1.01 * got - want) > slope_tolerance(SMOOTH_STEP, want),
              "slope %g is too small to see one part in a hundred", want);
    network_free(&net);
}

/* -------------------------------------------------------------------- bytes */

/* Fitted to images that come as bytes, of 8 x 8 pixels with 2 channels in 3 classes. */
static lk_model_spec of_bytes(lk_model_spec spec, lk_pixels pixels)
{
    lk_sample data = {0};

    lk_sample_add(&data,
                  &(lk_field){.name = "x", .dtype = LK_DTYPE_U8, .ndim = 3, .shape = {8, 8, 2}, .pixels = pixels});
    lk_sample_add(&data, &(lk_field){.name = "label", .dtype = LK_DTYPE_I32, .target = true, .n_values = 3});
    cr_assert_eq(lk_model_fit(&spec, &data), LK_OK, "%s", lk_error_message());
    return spec;
}

/* A network that reads bytes has the loss, gradients and outputs of one that reads the numbers that they stand for. */
static void expect_same_bits(const char *name, lk_model_spec spec, lk_pixels pixels, lk_precision precision)
{
    network floats = network_new(spec, precision, LANE), bytes = network_new(of_bytes(spec, pixels), precision, LANE);
    const size_t n = LANE * n_input(&bytes), n_grads = lk_trainable_n_grads(lk_engine_trainable(floats.engine));
    uint8_t *x = lk_alloc(n);

    cr_assert_eq(lk_model_sample(bytes.model)->field[0].dtype, LK_DTYPE_U8, "%s", name);
    for (size_t i = 0; i < n; i++) {
        const size_t c = pixels.n_channels ? i % (size_t)pixels.n_channels : 0;
        x[i] = (uint8_t)(i * 2654435761u >> 13);
        floats.x[i] = pixels.n_channels ? ((float)x[i] / 255.0f - pixels.mean[c]) / pixels.std[c] : (float)x[i];
    }
    for (int mode = LK_TRAIN; mode <= LK_PREDICT; mode++) {
        lk_lane lane = lane_of(&bytes, (lk_mode)mode);
        lane.field[0] = x;
        run_lane(&bytes, lane);
        run_lane(&floats, lane_of(&floats, (lk_mode)mode));
        if (mode == LK_TRAIN)
            cr_expect_eq(memcmp(bytes.grads, floats.grads, n_grads * sizeof(float)), 0, "%s: other gradients", name);
        else
            cr_expect_eq(memcmp(bytes.output, floats.output, LANE * 3 * sizeof(float)), 0, "%s: other outputs", name);
    }
    cr_expect_eq(bytes.sums[LK_SUM_LOSS], floats.sums[LK_SUM_LOSS], "%s: loss %g, as floats %g", name,
                 bytes.sums[LK_SUM_LOSS], floats.sums[LK_SUM_LOSS]);
    lk_free(&x);
    network_free(&bytes);
    network_free(&floats);
}

Test(network, bytes_of_images_train_the_bits_of_their_numbers)
{
    const lk_pixels themselves = {0}, alike = {1, {0.286f}, {0.353f}}, own = {2, {0.5f, 0.25f}, {0.5f, 2.0f}};
    const lk_precision precisions[] = {LK_FP32, LK_BF16};
    lk_model_spec mlp = mlp_spec(LK_NORM_BATCH, LK_NORM_BEFORE, 0.0);
    mlp.mlp.layers[0] = 128, mlp.mlp.layers[3] = 3, mlp.loss.kind = LK_LOSS_CROSS_ENTROPY;
    memcpy(mlp.vision.image, (int64_t[]){2, 8, 8}, sizeof mlp.vision.image);

    for (int p = 0; p < 2; p++) {
        expect_same_bits("cnn, channels alike", cnn_spec(LK_NORM_BATCH, LK_POOL_MAX), alike, precisions[p]);
        expect_same_bits("cnn, channels of their own", cnn_spec(LK_NORM_NONE, LK_POOL_AVG), own, precisions[p]);
        expect_same_bits("mlp, channels of their own", mlp, own, precisions[p]);
        expect_same_bits("mlp, bytes themselves", mlp, themselves, precisions[p]);
    }
}

/* ------------------------------------------------------------------ channels */

enum { IMAGE_H = 3, IMAGE_W = 2, COLOURS = 2, N_PIXELS = IMAGE_H * IMAGE_W };

/* An mlp of one layer that gives its inputs back, fitted to images of so many channels. */
static lk_model_spec mirror_spec(int64_t channels)
{
    const int64_t n_in = N_PIXELS * channels;
    lk_model_spec spec = {.kind = LK_MODEL_MLP, .mlp = {2, {n_in, n_in}}, .init = "eye", .init_bias = "zeros"};
    lk_sample data = {0};

    lk_sample_add(&data, &(lk_field){.name = "x", .dtype = LK_DTYPE_F32, .ndim = 3,
                                     .shape = {IMAGE_H, IMAGE_W, channels}});
    lk_sample_add(&data, &(lk_field){.name = "target", .dtype = LK_DTYPE_F32, .ndim = 1, .shape = {n_in},
                                     .target = true});
    cr_assert_eq(lk_model_fit(&spec, &data), LK_OK, "%s", lk_error_message());
    return spec;
}

static void expect_channels_first(int64_t channels, lk_mode mode)
{
    network net = network_new(mirror_spec(channels), LK_FP32, LANE);
    const size_t n_in = n_input(&net), C = (size_t)channels;

    cr_assert_eq(n_in, N_PIXELS * C);
    run_lane(&net, lane_of(&net, mode));
    for (size_t i = 0; i < LANE * n_in; i++) {
        const size_t sample = i / n_in, c = i % n_in / N_PIXELS, pixel = i % N_PIXELS;
        const float want = net.x[sample * n_in + pixel * C + c];

        cr_expect_eq(net.output[i], want, "%zu channels, output %zu: got %g, want %g", C, i, (double)net.output[i],
                     (double)want);
    }
    network_free(&net);
}

Test(network, an_mlp_reads_images_in_the_order_of_pytorch)
{
    for (int mode = LK_EVAL; mode <= LK_PREDICT; mode++) {
        expect_channels_first(COLOURS, (lk_mode)mode);
        expect_channels_first(1, (lk_mode)mode);
    }
    /* Of one channel it is the vector that it was. */
    const lk_model_spec grey = mirror_spec(1);
    lk_model *model;
    cr_assert_eq(lk_model_new(&grey, &model), LK_OK, "%s", lk_error_message());
    cr_expect_eq(lk_model_sample(model)->field[0].ndim, 1, "got %d", lk_model_sample(model)->field[0].ndim);
    lk_model_free(&model);
}

/* ----------------------------------------------------------------- learning */

/* One step of plain gradient descent on host memory. */
static double train_step(network *net, float lr)
{
    const double loss = train_loss(net);

    for (size_t i = 0; i < lk_model_n_params(net->model); i++) net->params[i] -= lr * net->grads[i];
    network_update_stats(net);
    net->version++;
    return loss;
}

static void expect_learns(const char *name, lk_model_spec spec, lk_precision precision, float lr)
{
    network net = network_new(spec, precision, LANE);
    const double first = train_loss(&net);
    double last = first;

    for (int step = 0; step < 60; step++) last = train_step(&net, lr);
    cr_expect(last < 0.6 * first, "%s in %s: the loss went from %g to %g", name, precision ? "bf16" : "fp32", first,
              last);
    network_free(&net);
}

Test(network, an_mlp_learns_in_both_precisions)
{
    for (int precision = LK_FP32; precision <= LK_BF16; precision++) {
        expect_learns("mlp", mlp_spec(LK_NORM_NONE, LK_NORM_BEFORE, 0.0), (lk_precision)precision, 0.2f);
        expect_learns("mlp with batch norm", mlp_spec(LK_NORM_BATCH, LK_NORM_BEFORE, 0.1), (lk_precision)precision,
                      0.2f);
    }
}

Test(network, a_resnet_and_a_vgg_learn)
{
    for (int precision = LK_FP32; precision <= LK_BF16; precision++)
        expect_learns("resnet50", backbone_spec(LK_MODEL_RESNET50, 0.03, 4), (lk_precision)precision, 0.02f);
    expect_learns("vgg11_bn", backbone_spec(LK_MODEL_VGG11_BN, 0.03, 32), LK_BF16, 0.1f);
}

Test(network, a_cnn_learns_in_both_precisions)
{
    for (int precision = LK_FP32; precision <= LK_BF16; precision++) {
        expect_learns("cnn", cnn_spec(LK_NORM_NONE, LK_POOL_MAX), (lk_precision)precision, 0.2f);
        expect_learns("cnn with batch norm", cnn_spec(LK_NORM_BATCH, LK_POOL_MAX), (lk_precision)precision, 0.2f);
    }
}

Test(network, a_swin_learns_in_both_precisions)
{
    cpu_engine_only(SWIN_ON_CPU);
    for (int precision = LK_FP32; precision <= LK_BF16; precision++)
        expect_learns("swin", swin_spec(0.1, 0.0), (lk_precision)precision, 0.05f);
}

/* ---------------------------------------------------------------- precision */

/* A bf16 number is within 2^-9 of its value; a handful of layers with a few dozen terms each stay within a few per
 * cent of the largest output. */
static void expect_near(const char *name, lk_model_spec spec)
{
    network exact = network_new(spec, LK_FP32, LANE), rounded = network_new(spec, LK_BF16, LANE);
    const size_t n = LANE * lk_model_n_output(exact.model);
    double largest = 0.0;

    run_lane(&exact, lane_of(&exact, LK_PREDICT));
    run_lane(&rounded, lane_of(&rounded, LK_PREDICT));
    for (size_t i = 0; i < n; i++) largest = fmax(largest, fabs((double)exact.output[i]));
    for (size_t i = 0; i < n; i++)
        cr_expect_float_eq(rounded.output[i], exact.output[i], 0.04 * largest,
                           "%s: output %zu is %g in bf16, %g in fp32", name, i, (double)rounded.output[i],
                           (double)exact.output[i]);
    cr_expect(memcmp(rounded.output, exact.output, n * sizeof(float)) != 0, "%s: bf16 changes no bit", name);
    network_free(&rounded);
    network_free(&exact);
}

Test(network, bf16_stays_near_fp32)
{
    expect_near("mlp", mlp_spec(LK_NORM_LAYER, LK_NORM_BEFORE, 0.0));
    expect_near("cnn", cnn_spec(LK_NORM_BATCH, LK_POOL_MAX));
    expect_near("swin", swin_spec(0.0, 0.0));
}

/* Gradients of a lane in bf16 point where those in fp32 point. */
Test(network, bf16_gradients_point_the_same_way)
{
    const lk_model_spec specs[] = {mlp_spec(LK_NORM_BATCH, LK_NORM_BEFORE, 0.2), cnn_spec(LK_NORM_BATCH, LK_POOL_MAX),
                                   swin_spec(0.2, 0.2)};

    for (size_t s = 0; s < sizeof specs / sizeof *specs; s++) {
        network a = network_new(specs[s], LK_FP32, LANE), b = network_new(specs[s], LK_BF16, LANE);
        const size_t n = lk_model_n_params(a.model);

        train_loss(&a);
        train_loss(&b);
        const double cosine = product(a.grads, b.grads, n) /
                              sqrt(product(a.grads, a.grads, n) * product(b.grads, b.grads, n));
        cr_expect_gt(cosine, 0.99, "spec %zu: cosine %g", s, cosine);
        network_free(&b);
        network_free(&a);
    }
}
