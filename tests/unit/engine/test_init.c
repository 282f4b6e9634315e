/* Every initialiser has the moments and bounds that torch.nn.init gives it, and depends on seed and name alone. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/nn/nn.h"

enum { IN = 300, OUT = 200, SEED = 42 };

static lk_model_spec spec_of(const char *init)
{
    return (lk_model_spec){.kind = LK_MODEL_MLP, .mlp = {3, {IN, OUT, 1}}, .norm = LK_NORM_BATCH,
                           .init = init};
}

/* Release the model and the array. */
static float *first_values(lk_model_spec spec, uint64_t seed, lk_model **model)
{
    cr_assert_eq(lk_model_new(&spec, model), LK_OK, "%s", lk_error_message());
    float *params = lk_alloc(lk_model_n_elem(*model) * sizeof *params);
    lk_model_init(*model, seed, params);
    return params;
}

typedef struct moments { double mean, std, least, most; } moments;

static moments moments_of(const float *w, size_t n)
{
    moments m = {.least = INFINITY, .most = -INFINITY};
    double sum = 0.0, squares = 0.0;

    for (size_t i = 0; i < n; i++) {
        sum += (double)w[i];
        squares += (double)w[i] * (double)w[i];
        m.least = fmin(m.least, (double)w[i]);
        m.most = fmax(m.most, (double)w[i]);
    }
    m.mean = sum / (double)n;
    m.std = sqrt(fmax(squares / (double)n - m.mean * m.mean, 0.0));
    return m;
}

/* want.least and want.most are bounds.  60000 values: the mean's error is std / 245, the deviation's at most that of a
 * normal, std / 346; both times five. */
static void expect_moments(const char *init, moments want)
{
    lk_model *model;
    float *params = first_values(spec_of(init), SEED, &model);
    const moments got = moments_of(params + lk_model_tensor(model, 0)->offset, (size_t)IN * OUT);

    cr_expect_float_eq(got.mean, want.mean, 5.0 * want.std / 245.0 + 1e-7, "%s mean: got %g, want %g", init,
                       got.mean, want.mean);
    cr_expect_float_eq(got.std, want.std, 5.0 * want.std / 346.0 + 1e-7, "%s std: got %g, want %g", init,
                       got.std, want.std);
    cr_expect(got.least >= want.least - 1e-7 && got.most <= want.most + 1e-7, "%s: [%g, %g] not within [%g, %g]",
              init, got.least, got.most, want.least, want.most);
    lk_free(&params);
    lk_model_free(&model);
}

static moments uniform(double low, double high)
{
    return (moments){.mean = (low + high) / 2.0, .std = (high - low) / sqrt(12.0), .least = low, .most = high};
}

static moments normal(double std) { return (moments){.std = std, .least = -6.0 * std, .most = 6.0 * std}; }

Test(init, weights_have_the_moments_that_torch_nn_init_gives_them)
{
    const double xavier = sqrt(6.0 / (IN + OUT)), kaiming = sqrt(6.0 / IN), plain = sqrt(1.0 / IN);

    expect_moments("default", uniform(-plain, plain));
    expect_moments("xavier_uniform", uniform(-xavier, xavier));
    expect_moments("xavier_normal", normal(sqrt(2.0 / (IN + OUT))));
    expect_moments("kaiming_uniform", uniform(-kaiming, kaiming));
    expect_moments("kaiming_normal", normal(sqrt(2.0 / IN)));
    expect_moments("normal", normal(1.0));
    expect_moments("uniform", uniform(0.0, 1.0));
    expect_moments("zeros", (moments){0});
    expect_moments("ones", (moments){.mean = 1.0, .least = 1.0, .most = 1.0});
    /* A normal cut at +-2: variance 1 - 4 phi(2) / (2 Phi(2) - 1), with phi and Phi its density and integral. */
    expect_moments("trunc_normal", (moments){.std = 0.87962566, .least = -2.0, .most = 2.0});
}

Test(init, biases_keep_the_layers_default_and_norms_are_neutral)
{
    lk_model *model;
    float *params = first_values(spec_of("ones"), SEED, &model);
    const moments bias = moments_of(params + lk_model_tensor(model, 1)->offset, OUT);
    const double bound = sqrt(1.0 / IN);
    static const struct { const char *name; float value; } neutral[] = {
        {"1.weight", 1.0f}, {"1.bias", 0.0f}, {"1.running_mean", 0.0f}, {"1.running_var", 1.0f}};

    cr_expect(bias.least >= -bound && bias.most <= bound && bias.std > bound / 3.0, "bias in [%g, %g], bound %g",
              bias.least, bias.most, bound);
    for (size_t i = 0; i < sizeof neutral / sizeof *neutral; i++) {
        const lk_tensor_info *info = lk_model_tensor(model, (size_t)lk_model_find(model, neutral[i].name));
        const moments m = moments_of(params + info->offset, info->n_elem);

        cr_expect(m.least == (double)neutral[i].value && m.most == m.least, "%s in [%g, %g], want %g", info->name,
                  m.least, m.most, (double)neutral[i].value);
    }
    lk_free(&params);
    lk_model_free(&model);
}

Test(init, a_convolutions_fans_count_its_kernel)
{
    lk_model_spec spec = {.kind = LK_MODEL_CNN, .vision.image = {16, 4, 4}, .cnn.n_channels = 1, .cnn.channels = {64},
                          .cnn.kernel = 5, .vision.classes = 2, .init = "kaiming_uniform"};
    lk_model *model;
    float *params = first_values(spec, SEED, &model);
    const moments m = moments_of(params, 64 * 16 * 25);
    const double bound = sqrt(6.0 / (16 * 25));

    /* 25600 draws come within a thousandth of their bound. */
    cr_expect_float_eq(m.most, bound, bound * 1e-3, "largest weight: got %g, want just below %g", m.most, bound);
    lk_free(&params);
    lk_model_free(&model);
}

/* ------------------------------------------------------- with arguments, by shape */

static double sum_of_products(const float *a, const float *b, size_t n, size_t stride)
{
    double sum = 0.0;

    for (size_t k = 0; k < n; k++) sum += (double)a[k * stride] * (double)b[k * stride];
    return sum;
}

/* OUT < IN: rows of length 1.5 at right angles.  1e-5: IN floats of relative error 6e-8 each, twice. */
Test(init, orthogonal_rows_are_at_right_angles)
{
    lk_model *model;
    float *w = first_values(spec_of("orthogonal(gain=1.5)"), SEED, &model);

    for (size_t i = 0; i < OUT; i += 17)
        for (size_t j = 0; j <= i; j++) {
            const double got = sum_of_products(w + i * IN, w + j * IN, IN, 1), want = i == j ? 2.25 : 0.0;

            cr_expect_float_eq(got, want, 1e-5, "row %zu times row %zu: got %g, want %g", i, j, got, want);
        }
    lk_free(&w);
    lk_model_free(&model);
}

/* More rows than columns: the columns are. */
Test(init, orthogonal_columns_are_where_they_are_fewer)
{
    const lk_model_spec spec = {.kind = LK_MODEL_MLP, .mlp = {2, {30, 70}}, .init = "orthogonal"};
    lk_model *model;
    float *w = first_values(spec, SEED, &model);

    for (size_t i = 0; i < 30; i++)
        for (size_t j = 0; j <= i; j++) {
            const double got = sum_of_products(w + i, w + j, 70, 30), want = i == j ? 1.0 : 0.0;

            cr_expect_float_eq(got, want, 1e-5, "column %zu times column %zu: got %g, want %g", i, j, got, want);
        }
    lk_free(&w);
    lk_model_free(&model);
}

Test(init, sparse_columns_have_as_many_zeros_as_they_are_told)
{
    lk_model *model;
    float *w = first_values(spec_of("sparse(0.3, std=2)"), SEED, &model);
    const moments all = moments_of(w, (size_t)IN * OUT);
    int first_row_zeros = 0;

    for (size_t c = 0; c < IN; c++) {
        int zeros = 0;

        for (size_t r = 0; r < OUT; r++) zeros += w[r * IN + c] == 0.0f;
        cr_expect_eq(zeros, 60, "column %zu: %d zeros, want 60 of 200", c, zeros);
        first_row_zeros += w[c] == 0.0f;
    }
    /* Rows are chosen evenly: 90 of 300, standard deviation 8. */
    cr_expect(first_row_zeros > 50 && first_row_zeros < 130, "row 0: %d zeros, want about 90", first_row_zeros);
    cr_expect_float_eq(all.std, 2.0 * sqrt(0.7), 0.05, "std: got %g, want %g", all.std, 2.0 * sqrt(0.7));
    lk_free(&w);
    lk_model_free(&model);
}

Test(init, eye_is_the_identity_and_a_tensor_of_other_dimensions_refuses)
{
    const lk_model_spec conv = {.kind = LK_MODEL_CNN, .vision.image = {3, 4, 4}, .cnn.n_channels = 1,
                                .cnn.channels = {5},
                                .cnn.kernel = 3, .vision.classes = 2, .init = "dirac"};
    const lk_model_spec square = {.kind = LK_MODEL_MLP, .mlp = {2, {3, 2}}, .init = "eye"};
    static const float identity[] = {1, 0, 0, 0, 1, 0};
    lk_model *model;
    float *w = first_values(square, SEED, &model);

    for (size_t i = 0; i < 6; i++)
        cr_expect_eq(w[i], identity[i], "eye[%zu]: got %g, want %g", i, (double)w[i], (double)identity[i]);
    lk_free(&w);
    lk_model_free(&model);
    /* dirac fills convolutions alone, and a cnn ends in a linear layer. */
    cr_expect_eq(lk_model_new(&conv, &model), LK_ERR_USAGE);
    cr_expect(
        strstr(lk_error_message(), "classifier.0.weight: dirac fills tensors of 3 to 5 dimensions, and this one has 2"),
        "message: %s", lk_error_message());
}

Test(init, arguments_say_mean_deviation_bounds_fan_and_gain)
{
    const double out = sqrt(2.0 / OUT), tanh_in = 5.0 / 3.0 * sqrt(3.0 / IN), leaky = sqrt(2.0 / 1.25 / IN);
    moments shifted = normal(0.02);

    shifted.mean = 1.0;
    shifted.least = 0.88;
    shifted.most = 1.12;
    expect_moments("normal(1, 0.02)", shifted);
    expect_moments("normal(std=0.02)", normal(0.02));
    expect_moments("constant(0.25)", (moments){.mean = 0.25, .least = 0.25, .most = 0.25});
    expect_moments(" uniform( -0.5 , b = 0.25 ) ", uniform(-0.5, 0.25));
    expect_moments("xavier_uniform(gain=2)", uniform(-2.0 * sqrt(6.0 / (IN + OUT)), 2.0 * sqrt(6.0 / (IN + OUT))));
    expect_moments("xavier_normal(0.5)", normal(0.5 * sqrt(2.0 / (IN + OUT))));
    expect_moments("kaiming_normal(mode=fan_out, nonlinearity=relu)", normal(out));
    expect_moments("kaiming_uniform(0, fan_in, tanh)", uniform(-tanh_in, tanh_in));
    expect_moments("kaiming_normal(a=0.5)", normal(leaky));
    expect_moments("kaiming_normal(nonlinearity=selu)", normal(0.75 / sqrt(IN)));
    expect_moments("kaiming_normal(nonlinearity=linear)", normal(1.0 / sqrt(IN)));
    /* Swin's and BERT's: the bounds are values, a hundred deviations away. */
    expect_moments("trunc_normal(std=0.02)", normal(0.02));
    /* At one deviation: variance 1 - 2 phi(1) / (2 Phi(1) - 1). */
    expect_moments("trunc_normal(std=0.1, a=-0.1, b=0.1)", (moments){.std = 0.053956, .least = -0.1, .most = 0.1});
}

Test(init, biases_have_an_initialiser_of_their_own)
{
    lk_model_spec spec = spec_of("normal(std=0.02)");
    lk_model *model;

    spec.init_bias = "constant(0.5)";
    float *params = first_values(spec, SEED, &model);
    const moments bias = moments_of(params + lk_model_tensor(model, 1)->offset, OUT);

    cr_expect(bias.least == 0.5 && bias.most == 0.5, "biases in [%g, %g], want 0.5", bias.least, bias.most);
    lk_free(&params);
    lk_model_free(&model);
}

static const struct { const char *text, *message; } wrong[] = {
    {"kaiming", "there is no initialiser `kaiming`"},
    {"normel", "there is no initialiser `normel`; did you mean `normal`?"},
    {"normal(sdt=1)", "normal has no argument `sdt`; its arguments: mean, std"},
    {"normal(0, 1, 2)", "normal has no argument `2`; its arguments: mean, std"},
    {"zeros(1)", "zeros has no argument `1`; its arguments: none"},
    {"normal(1, mean=2)", "normal is given mean twice"},
    {"normal(0, one)", "normal: std is `one`, not a number"},
    {"normal(0, )", "normal: std is ``, not a number"},
    {"normal(0, 1", "`normal(0, 1` has a bracket that is not closed"},
    {"normal(std=-1)", "normal: std is -1; it must be at least 0"},
    {"uniform(2)", "uniform: a is 2, above b, 1"},
    {"constant", "constant needs its val: constant(val=...)"},
    {"sparse(1.5)", "sparse: sparsity is 1.5; it must be between 0 and 1"},
    {"kaiming_normal(mode=fan_on)", "kaiming_normal has no mode `fan_on`; did you mean `fan_in`?"},
    {"trunc_normal(std=0.02, a=1, b=2)", "trunc_normal: between 1 and 2 lies hardly anything of N(0, 0.02^2)"},
};

Test(init, a_mistake_in_the_words_is_told_with_what_there_is)
{
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        lk_fill fill;
        const lk_status status = lk_fill_parse(wrong[i].text, &fill);

        cr_expect_eq(status, LK_ERR_USAGE, "%s: status %d", wrong[i].text, (int)status);
        cr_expect(strstr(lk_error_message(), wrong[i].message), "%s: got `%s`, want `%s`", wrong[i].text,
                  lk_error_message(), wrong[i].message);
    }
}

static void expect_reads_as(const char *text, lk_fill want)
{
    lk_fill got;

    cr_assert_eq(lk_fill_parse(text, &got), LK_OK, "%s", lk_error_message());
    cr_expect(got.init == want.init && got.val == want.val && got.mean == want.mean && got.std == want.std &&
              got.a == want.a && got.b == want.b && got.gain == want.gain && got.mode == want.mode &&
              got.nonlinearity == want.nonlinearity, "%s is not what its maker makes", text);
}

Test(init, makers_make_what_the_words_say)
{
    expect_reads_as("constant(2)", lk_fill_constant(2.0));
    expect_reads_as("uniform(-1, 3)", lk_fill_uniform(-1.0, 3.0));
    expect_reads_as("normal(1, 2)", lk_fill_normal(1.0, 2.0));
    expect_reads_as("trunc_normal(0, 1, -2, 2)", lk_fill_trunc_normal(0.0, 1.0, -2.0, 2.0));
    expect_reads_as("xavier_uniform(2)", lk_fill_xavier(LK_INIT_XAVIER_UNIFORM, 2.0));
    expect_reads_as("kaiming_normal(mode=fan_out, nonlinearity=relu)",
                    lk_fill_kaiming(LK_INIT_KAIMING_NORMAL, LK_FAN_OUT, LK_GAIN_RELU));
}

Test(init, a_bias_has_no_fans_to_scale_by)
{
    lk_model_spec spec = spec_of(NULL);
    lk_model *model;

    spec.init_bias = "xavier_normal";
    cr_expect_eq(lk_model_new(&spec, &model), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), "0.bias: xavier_normal fills tensors of 2 or more dimensions"), "message: %s",
              lk_error_message());
}

/* A network's own first values, GPT-2's for instance, until the recipe says others. */
static lk_status build_with_own(lk_builder *b, const lk_model_spec *spec, const int *in, int *y)
{
    const lk_fill scaled = lk_fill_normal(0.0, 0.02 / sqrt(2.0 * 12)), zeros = lk_fill_constant(0.0);

    (void)spec;
    return lk_layer_linear(b, "c_proj", in[0], &(lk_linear){.n_out = OUT, .weight = &scaled, .bias = &zeros}, y);
}

static lk_status no_check(const lk_model_spec *spec)
{
    (void)spec;
    return LK_OK;
}

static void sample(const lk_model_spec *spec, lk_sample *out)
{
    (void)spec;
    lk_sample_add(out, &(lk_field){.name = "x", .dtype = LK_DTYPE_F32, .ndim = 1, .shape = {IN}});
}

static lk_status build_dirac(lk_builder *b, const lk_model_spec *spec, const int *in, int *y)
{
    const lk_fill dirac = {.init = LK_INIT_DIRAC};
    int x;

    (void)spec;
    LK_TRY(lk_layer_conv2d(b, "conv", in[0],
                           &(lk_conv2d){.n_out = 3, .kernel = 3, .padding = 1, .no_bias = true, .weight = &dirac}, &x));
    return lk_layer_flatten(b, "flatten", x, y);
}

static void image(const lk_model_spec *spec, lk_sample *out)
{
    (void)spec;
    lk_sample_add(out, &(lk_field){.name = "x", .dtype = LK_DTYPE_F32, .ndim = 3, .shape = {4, 4, 2}});
}

/* (3, 2, 3, 3): a one in the middle of channel c's own kernel; the third output has no input of its number. */
Test(init, dirac_hands_each_channel_through)
{
    static const lk_network network = {.word = "test", .check = no_check, .sample = image, .build = build_dirac};
    lk_model *model;
    float *w = first_values((lk_model_spec){.network = &network}, SEED, &model);

    for (size_t i = 0; i < 3 * 2 * 9; i++) {
        const float want = i == 4 || i == 3 * 9 + 4 ? 1.0f : 0.0f;
        cr_expect_eq(w[i], want, "w[%zu]: got %g, want %g", i, (double)w[i], (double)want);
    }
    lk_free(&w);
    lk_model_free(&model);
}

Test(init, a_network_has_first_values_of_its_own_until_the_recipe_says_others)
{
    static const lk_network network = {.word = "test", .check = no_check, .sample = sample, .build = build_with_own};
    lk_model_spec spec = {.network = &network};

    for (int said = 0; said < 2; said++) {
        lk_model *model;

        spec.init = said ? "ones" : "default";
        float *params = first_values(spec, SEED, &model);
        const moments weight = moments_of(params, (size_t)IN * OUT);
        const moments bias = moments_of(params + lk_model_tensor(model, 1)->offset, OUT);
        const double want = said ? 0.0 : 0.02 / sqrt(24.0);

        cr_expect_float_eq(weight.std, want, want * 5.0 / 346.0, "said %d: got std %g, want %g", said, weight.std,
                           want);
        cr_expect(bias.least == 0.0 && bias.most == 0.0, "biases in [%g, %g], want 0", bias.least, bias.most);
        lk_free(&params);
        lk_model_free(&model);
    }
}

Test(init, values_depend_on_seed_and_name_alone)
{
    lk_model *a, *b, *c;
    lk_model_spec deeper = spec_of("normal");
    deeper.mlp.n_layers = 4;
    deeper.mlp.layers[2] = OUT;
    deeper.mlp.layers[3] = 1;
    float *pa = first_values(spec_of("normal"), SEED, &a), *pb = first_values(deeper, SEED, &b);
    float *pc = first_values(spec_of("normal"), SEED + 1, &c);
    const size_t n = (size_t)IN * OUT;

    cr_expect(memcmp(pa, pb, n * sizeof *pa) == 0, "another network changed 0.weight");
    cr_expect_neq(pa[0], pc[0], "another seed gave the same value %g", (double)pa[0]);
    cr_expect(memcmp(pb, pb + lk_model_tensor(b, (size_t)lk_model_find(b, "4.weight"))->offset, 64) != 0,
              "two tensors have the same values");
    lk_free(&pc), lk_free(&pb), lk_free(&pa);
    lk_model_free(&c), lk_model_free(&b), lk_model_free(&a);
}
