/* The builder names what layers make, and a name is one tensor: tied weights train with the sum of their gradients. */
#include "engine/nn/nn.h"
#include "tests/support/network.h"

static lk_status no_check(const lk_model_spec *spec)
{
    (void)spec;
    return LK_OK;
}

static void two_inputs(const lk_model_spec *spec, lk_sample *out)
{
    (void)spec;
    lk_sample_add(out, &(lk_field){.name = "x", .dtype = LK_DTYPE_F32, .ndim = 1, .shape = {2}});
}

#define NETWORK(build_) {.word = "test", .check = no_check, .sample = two_inputs, .build = build_}

/* Either gives NULL, or the model. */
static lk_model *make(const lk_network *row)
{
    const lk_model_spec spec = {.network = row};
    lk_model *model;

    (void)lk_model_new(&spec, &model);
    return model;
}

static void expect_names(const lk_network *row, const char *const *want, size_t n)
{
    lk_model *model = make(row);

    cr_assert_not_null(model, "%s", lk_error_message());
    cr_expect_eq(lk_model_n_tensors(model), n, "got %zu tensors, want %zu", lk_model_n_tensors(model), n);
    for (size_t i = 0; i < n && i < lk_model_n_tensors(model); i++)
        cr_expect_str_eq(lk_model_tensor(model, i)->name, want[i], "got %s, want %s", lk_model_tensor(model, i)->name,
                         want[i]);
    lk_model_free(&model);
}

static void expect_refused(const lk_network *row, const char *const *words, size_t n)
{
    lk_model *model = make(row);

    cr_expect_null(model);
    for (size_t i = 0; i < n; i++)
        cr_expect(strstr(lk_error_message(), words[i]), "no `%s` in: %s", words[i], lk_error_message());
    lk_model_free(&model);
}

#define WORDS(...) (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)

/* ------------------------------------------------------------------- scopes */

/* The names of a ResNet's first blocks and of a Sequential inside a block. */
static lk_status build_scopes(lk_builder *b, const lk_model_spec *spec, const int *in, int *y)
{
    int x = in[0];

    (void)spec;
    LK_TRY(lk_layer_linear(b, "stem", x, &(lk_linear){.n_out = 2}, &x));
    LK_TRY(lk_enter(b, "layer%d", 1));
    for (int block = 0; block < 2; block++) {
        int side;

        LK_TRY(lk_enter(b, NULL));
        LK_TRY(lk_layer_linear(b, "conv1", x, &(lk_linear){.n_out = 2, .no_bias = true}, &side));
        LK_TRY(lk_enter(b, "downsample"));
        LK_TRY(lk_layer_linear(b, NULL, x, &(lk_linear){.n_out = 2, .no_bias = true}, &x));
        LK_TRY(lk_layer_norm(b, NULL, LK_NORM_LAYER, x, &x));
        lk_leave(b);
        LK_TRY(lk_layer_add(b, "add", x, side, &x));
        lk_leave(b);
    }
    lk_leave(b);
    return lk_layer_linear(b, "fc", x, &(lk_linear){.n_out = 2, .no_bias = true}, y);
}

Test(builder, scopes_make_the_names_of_pytorch)
{
    static const lk_network row = NETWORK(build_scopes);

    expect_names(&row, WORDS("stem.weight", "stem.bias", "layer1.0.conv1.weight", "layer1.0.downsample.0.weight",
                                 "layer1.0.downsample.1.weight", "layer1.0.downsample.1.bias",
                                 "layer1.1.conv1.weight", "layer1.1.downsample.0.weight",
                                 "layer1.1.downsample.1.weight", "layer1.1.downsample.1.bias", "fc.weight"));
}

/* ...(sizes chosen so that the path just fits, or is one byte too long) */
static size_t name_length;

static lk_status build_long(lk_builder *b, const lk_model_spec *spec, const int *in, int *y)
{
    char name[2 * LK_MAX_PATH] = "";

    (void)spec;
    memset(name, 'a', name_length);
    LK_TRY(lk_enter(b, "scope"));
    LK_TRY(lk_layer_linear(b, name, in[0], &(lk_linear){.n_out = 2}, y));
    lk_leave(b);
    return LK_OK;
}

Test(builder, a_name_longer_than_the_buffer_is_an_error_and_the_longest_is_kept_whole)
{
    static const lk_network row = NETWORK(build_long);
    const size_t longest = LK_MAX_PATH - 1 - strlen("scope.");

    name_length = longest;
    lk_model *model = make(&row);
    cr_assert_not_null(model, "%s", lk_error_message());
    cr_expect_eq(strlen(lk_model_tensor(model, 0)->name), LK_MAX_PATH - 1 + strlen(".weight"));
    lk_model_free(&model);
    name_length = longest + 1;
    expect_refused(&row, WORDS("scope.aaa", "longer than"));
}

static lk_status build_long_scope(lk_builder *b, const lk_model_spec *spec, const int *in, int *y)
{
    (void)spec;
    *y = in[0];
    return lk_enter(b, "%0*d", (int)name_length, 1);
}

static lk_status build_deep(lk_builder *b, const lk_model_spec *spec, const int *in, int *y)
{
    (void)spec;
    *y = in[0];
    for (;;) LK_TRY(lk_enter(b, "s"));
}

Test(builder, scopes_too_long_or_too_deep_are_errors)
{
    static const lk_network too_long = NETWORK(build_long_scope), deep = NETWORK(build_deep);

    name_length = LK_MAX_PATH;
    expect_refused(&too_long, WORDS("longer than"));
    expect_refused(&deep, WORDS("s.s.s", "deep"));
}

/* ------------------------------------------------------------------- images */

static void small_image(const lk_model_spec *spec, lk_sample *out)
{
    (void)spec;
    lk_sample_add(out, &(lk_field){.name = "x", .dtype = LK_DTYPE_F32, .ndim = 3, .shape = {32, 32, 3}});
}

static lk_status build_downsampled(lk_builder *b, int x, int *y)
{
    int side;

    LK_TRY(lk_layer_conv2d(b, "conv1", x,
                           &(lk_conv2d){.n_out = 6, .kernel = 3, .stride = 2, .padding = 1, .no_bias = true}, &side));
    LK_TRY(lk_layer_norm(b, "bn1", LK_NORM_BATCH, side, &side));
    LK_TRY(lk_enter(b, "downsample"));
    LK_TRY(lk_layer_conv2d(b, NULL, x, &(lk_conv2d){.n_out = 6, .kernel = 1, .stride = 2, .no_bias = true}, &x));
    LK_TRY(lk_layer_norm(b, NULL, LK_NORM_BATCH, x, &x));
    lk_leave(b);
    return lk_layer_add(b, "add", x, side, y);
}

/* The stem of a ResNet, one block that halves the image, and its head. */
static lk_status build_resnet(lk_builder *b, const lk_model_spec *spec, const int *in, int *y)
{
    int x;

    (void)spec;
    LK_TRY(lk_layer_conv2d(b, "conv1", in[0], &(lk_conv2d){.n_out = 4, .kernel = 7, .stride = 2, .padding = 3,
                                                           .no_bias = true}, &x));
    LK_TRY(lk_layer_pool2d(b, "maxpool", x, &(lk_pool2d){.kind = LK_POOL_MAX, .kernel = 3, .stride = 2, .padding = 1},
                           &x));
    LK_TRY(lk_enter(b, "layer1"));
    LK_TRY(lk_enter(b, NULL));
    LK_TRY(build_downsampled(b, x, &x));
    lk_leave(b);
    lk_leave(b);
    LK_TRY(lk_layer_pool2d(b, "avgpool", x, &(lk_pool2d){.kind = LK_POOL_AVG}, &x));
    LK_TRY(lk_layer_flatten(b, "flatten", x, &x));
    return lk_layer_linear(b, "fc", x, &(lk_linear){.n_out = 5}, y);
}

/* fc has 6 inputs only if the images have gone 32, 16, 8, 4, 1. */
Test(builder, strides_paddings_and_pools_make_a_resnets_shapes)
{
    static const lk_network row = {.word = "test", .sample = small_image, .build = build_resnet};
    const int64_t fc[] = {5, 6};

    expect_names(&row, WORDS("conv1.weight", "layer1.0.conv1.weight", "layer1.0.bn1.weight", "layer1.0.bn1.bias",
                             "layer1.0.downsample.0.weight", "layer1.0.downsample.1.weight",
                             "layer1.0.downsample.1.bias", "fc.weight", "fc.bias", "layer1.0.bn1.running_mean",
                             "layer1.0.bn1.running_var", "layer1.0.downsample.1.running_mean",
                             "layer1.0.downsample.1.running_var"));
    lk_model *model = make(&row);
    const lk_tensor_info *info = lk_model_tensor(model, (size_t)lk_model_find(model, "fc.weight"));

    cr_expect(memcmp(info->shape, fc, sizeof fc) == 0, "fc.weight is (%ld, %ld), want (5, 6)", (long)info->shape[0],
              (long)info->shape[1]);
    lk_model_free(&model);
}

/* ------------------------------------------------------------ shared tensors */

/* y = W (W x): one layer used twice. */
static lk_status build_twice(lk_builder *b, const lk_model_spec *spec, const int *in, int *y)
{
    const lk_linear linear = {.n_out = 2, .no_bias = true};

    (void)spec;
    LK_TRY(lk_layer_linear(b, "fc", in[0], &linear, y));
    return lk_layer_linear(b, "fc", *y, &linear, y);
}

/* The same by two layers, the second of which has a bias of its own. */
static lk_status build_tied(lk_builder *b, const lk_model_spec *spec, const int *in, int *y)
{
    (void)spec;
    LK_TRY(lk_enter(b, "transformer"));
    LK_TRY(lk_layer_linear(b, "wte", in[0], &(lk_linear){.n_out = 2, .no_bias = true}, y));
    lk_leave(b);
    return lk_layer_linear(b, "lm_head", *y, &(lk_linear){.n_out = 2, .share = "transformer.wte"}, y);
}

static lk_status build_untied(lk_builder *b, const lk_model_spec *spec, const int *in, int *y)
{
    (void)spec;
    LK_TRY(lk_layer_linear(b, "wte", in[0], &(lk_linear){.n_out = 3, .no_bias = true}, y));
    return lk_layer_linear(b, "lm_head", *y, &(lk_linear){.n_out = 2, .share = "wte"}, y);
}

Test(builder, a_name_asked_for_twice_is_one_tensor)
{
    static const lk_network twice = NETWORK(build_twice), tied = NETWORK(build_tied);

    expect_names(&twice, WORDS("fc.weight"));
    expect_names(&tied, WORDS("transformer.wte.weight", "lm_head.bias"));
}

Test(builder, another_shape_is_an_error_that_names_both_layers)
{
    static const lk_network untied = NETWORK(build_untied);

    expect_refused(&untied, WORDS("lm_head: ", "wte.weight", "(2, 3)", "layer wte made it (3, 2)"));
}

/* W = (1 2; 3 4), x = (1, 2), so W x = (5, 11) and y = (27, 59); with the target (26, 61) dy = (1, -2) for a mean of
 * two. dW = dy (W x)^T + (W^T dy) x^T = (5 11; -10 -22) + (-5 -10; -6 -12); all exact in fp32. */
static void expect_summed_gradient(const lk_network *row)
{
    static const float w[] = {1, 2, 3, 4}, x[] = {1, 2}, target[] = {26, 61}, want[] = {0, 1, -16, -34};
    network net = network_new((lk_model_spec){.network = row}, LK_FP32, 1);

    memset(net.params, 0, lk_model_n_elem(net.model) * sizeof *net.params);
    memcpy(net.params, w, sizeof w);
    memcpy(net.x, x, sizeof x);
    memcpy(net.target, target, sizeof target);
    const double loss = train_loss(&net);

    cr_expect_eq(loss, 2.5, "loss: got %g, want 2.5", loss);
    for (size_t i = 0; i < 4; i++)
        cr_expect_eq(net.grads[i], want[i], "dW[%zu]: got %g, want %g", i, (double)net.grads[i], (double)want[i]);
    network_free(&net);
}

Test(builder, shared_tensors_add_their_gradients)
{
    static const lk_network twice = NETWORK(build_twice), tied = NETWORK(build_tied);

    expect_summed_gradient(&twice);
    expect_summed_gradient(&tied);
}

static lk_status build_norm_twice(lk_builder *b, const lk_model_spec *spec, const int *in, int *y)
{
    int x = in[0];

    (void)spec;
    LK_TRY(lk_layer_norm(b, "bn", LK_NORM_BATCH, x, &x));
    return lk_layer_norm(b, "bn", LK_NORM_BATCH, x, y);
}

Test(builder, a_batch_norm_used_twice_would_overwrite_its_statistics)
{
    static const lk_network row = NETWORK(build_norm_twice);

    expect_refused(&row, WORDS("bn: ", "statistics"));
}
