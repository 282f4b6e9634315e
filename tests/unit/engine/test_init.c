/* Every initialiser has the moments and bounds that torch.nn.init gives it, and depends on seed and name alone. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/model/model.h"

enum { IN = 300, OUT = 200, SEED = 42 };

static lk_model_spec spec_of(lk_init init)
{
    return (lk_model_spec){.kind = LK_MODEL_MLP, .n_layers = 3, .layers = {IN, OUT, 1}, .norm = LK_NORM_BATCH,
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
static void expect_moments(lk_init init, moments want)
{
    lk_model *model;
    float *params = first_values(spec_of(init), SEED, &model);
    const moments got = moments_of(params + lk_model_tensor(model, 0)->offset, (size_t)IN * OUT);

    cr_expect_float_eq(got.mean, want.mean, 5.0 * want.std / 245.0 + 1e-7, "init %d mean: got %g, want %g", (int)init,
                       got.mean, want.mean);
    cr_expect_float_eq(got.std, want.std, 5.0 * want.std / 346.0 + 1e-7, "init %d std: got %g, want %g", (int)init,
                       got.std, want.std);
    cr_expect(got.least >= want.least - 1e-7 && got.most <= want.most + 1e-7, "init %d: [%g, %g] not within [%g, %g]",
              (int)init, got.least, got.most, want.least, want.most);
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

    expect_moments(LK_INIT_DEFAULT, uniform(-plain, plain));
    expect_moments(LK_INIT_XAVIER_UNIFORM, uniform(-xavier, xavier));
    expect_moments(LK_INIT_XAVIER_NORMAL, normal(sqrt(2.0 / (IN + OUT))));
    expect_moments(LK_INIT_KAIMING_UNIFORM, uniform(-kaiming, kaiming));
    expect_moments(LK_INIT_KAIMING_NORMAL, normal(sqrt(2.0 / IN)));
    expect_moments(LK_INIT_NORMAL, normal(1.0));
    expect_moments(LK_INIT_UNIFORM, uniform(0.0, 1.0));
    expect_moments(LK_INIT_ZEROS, (moments){0});
    expect_moments(LK_INIT_ONES, (moments){.mean = 1.0, .least = 1.0, .most = 1.0});
    /* A normal cut at +-2: variance 1 - 4 phi(2) / (2 Phi(2) - 1), with phi and Phi its density and integral. */
    expect_moments(LK_INIT_TRUNC_NORMAL, (moments){.std = 0.87962566, .least = -2.0, .most = 2.0});
}

Test(init, biases_keep_the_layers_default_and_norms_are_neutral)
{
    lk_model *model;
    float *params = first_values(spec_of(LK_INIT_ONES), SEED, &model);
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
    lk_model_spec spec = {.kind = LK_MODEL_CNN, .image = {16, 4, 4}, .n_channels = 1, .channels = {64}, .kernel = 5,
                          .classes = 2, .init = LK_INIT_KAIMING_UNIFORM};
    lk_model *model;
    float *params = first_values(spec, SEED, &model);
    const moments m = moments_of(params, 64 * 16 * 25);
    const double bound = sqrt(6.0 / (16 * 25));

    /* 25600 draws come within a thousandth of their bound. */
    cr_expect_float_eq(m.most, bound, bound * 1e-3, "largest weight: got %g, want just below %g", m.most, bound);
    lk_free(&params);
    lk_model_free(&model);
}

Test(init, values_depend_on_seed_and_name_alone)
{
    lk_model *a, *b, *c;
    lk_model_spec deeper = spec_of(LK_INIT_NORMAL);
    deeper.n_layers = 4;
    deeper.layers[2] = OUT;
    deeper.layers[3] = 1;
    float *pa = first_values(spec_of(LK_INIT_NORMAL), SEED, &a), *pb = first_values(deeper, SEED, &b);
    float *pc = first_values(spec_of(LK_INIT_NORMAL), SEED + 1, &c);
    const size_t n = (size_t)IN * OUT;

    cr_expect(memcmp(pa, pb, n * sizeof *pa) == 0, "another network changed 0.weight");
    cr_expect_neq(pa[0], pc[0], "another seed gave the same value %g", (double)pa[0]);
    cr_expect(memcmp(pb, pb + lk_model_tensor(b, (size_t)lk_model_find(b, "4.weight"))->offset, 64) != 0,
              "two tensors have the same values");
    lk_free(&pc), lk_free(&pb), lk_free(&pa);
    lk_model_free(&c), lk_model_free(&b), lk_model_free(&a);
}
