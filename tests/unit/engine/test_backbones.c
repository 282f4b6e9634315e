/* ResNets and VGGs: torchvision's names, shapes, numbers of parameters and first values; what they refuse. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "engine/nn/nn.h"

enum { SEED = 5 };

static lk_model_spec spec_of(lk_model_kind kind, lk_stem stem)
{
    return (lk_model_spec){.kind = kind, .vision = {{3, 224, 224}, 1000, 1.0},
                           .backbone = {.stem = stem, .init_weights = true}, .dropout = 0.5,
                           .loss = {.kind = LK_LOSS_CROSS_ENTROPY, .ignore_index = -100}};
}

static lk_model *make(lk_model_spec spec)
{
    lk_model *model;

    cr_assert_eq(lk_model_new(&spec, &model), LK_OK, "%s", lk_error_message());
    return model;
}

static int64_t count_parameters(const lk_model *model)
{
    int64_t n = 0;

    for (size_t i = 0; i < lk_model_n_tensors(model); i++)
        if (lk_model_tensor(model, i)->role == LK_ROLE_PARAM) n += (int64_t)lk_model_tensor(model, i)->n_elem;
    return n;
}

/* sum(p.numel() for p in torchvision.models.NAME().parameters()) */
Test(backbones, have_as_many_parameters_as_torchvisions)
{
    static const struct { lk_model_kind kind; int64_t n; } published[] = {
        {LK_MODEL_RESNET18, 11689512},  {LK_MODEL_RESNET34, 21797672},  {LK_MODEL_RESNET50, 25557032},
        {LK_MODEL_RESNET101, 44549160}, {LK_MODEL_RESNET152, 60192808}, {LK_MODEL_VGG11, 132863336},
        {LK_MODEL_VGG13, 133047848},    {LK_MODEL_VGG16, 138357544},    {LK_MODEL_VGG19, 143667240},
        {LK_MODEL_VGG11_BN, 132868840}, {LK_MODEL_VGG13_BN, 133053736}, {LK_MODEL_VGG16_BN, 138365992},
        {LK_MODEL_VGG19_BN, 143678248},
    };

    for (size_t i = 0; i < sizeof published / sizeof *published; i++) {
        lk_model *model = make(spec_of(published[i].kind, LK_STEM_IMAGENET));
        const int64_t got = count_parameters(model);

        cr_expect_eq(got, published[i].n, "kind %d: got %lld parameters, torchvision has %lld", (int)published[i].kind,
                     (long long)got, (long long)published[i].n);
        lk_model_free(&model);
    }
}

static void expect_names(const lk_model *model, size_t first, size_t n, const char *const *want)
{
    for (size_t i = 0; i < n; i++)
        cr_expect_str_eq(lk_model_tensor(model, first + i)->name, want[i], "tensor %zu: got %s, want %s", first + i,
                         lk_model_tensor(model, first + i)->name, want[i]);
}

#define EXPECT_NAMES(model, first, ...)                                              \
    do {                                                                             \
        const char *const want[] = {__VA_ARGS__};                                    \
        expect_names((model), (first), sizeof want / sizeof *want, want);            \
    } while (0)

static size_t place(const lk_model *model, const char *name)
{
    const ptrdiff_t i = lk_model_find(model, name);

    cr_assert_geq(i, 0, "%s is not there", name);
    return (size_t)i;
}

/* torchvision's state_dict order, in which a block's downsample is behind its branch. */
Test(backbones, a_resnets_tensors_are_named_and_ordered_as_torchvisions)
{
    lk_model *basic = make(spec_of(LK_MODEL_RESNET18, LK_STEM_IMAGENET));
    lk_model *deep = make(spec_of(LK_MODEL_RESNET50, LK_STEM_IMAGENET));

    EXPECT_NAMES(basic, 0, "conv1.weight", "bn1.weight", "bn1.bias", "layer1.0.conv1.weight", "layer1.0.bn1.weight",
                 "layer1.0.bn1.bias", "layer1.0.conv2.weight", "layer1.0.bn2.weight", "layer1.0.bn2.bias",
                 "layer1.1.conv1.weight");
    EXPECT_NAMES(basic, place(basic, "layer2.0.bn2.weight"), "layer2.0.bn2.weight", "layer2.0.bn2.bias",
                 "layer2.0.downsample.0.weight", "layer2.0.downsample.1.weight", "layer2.0.downsample.1.bias",
                 "layer2.1.conv1.weight");
    EXPECT_NAMES(basic, place(basic, "layer4.1.bn2.bias"), "layer4.1.bn2.bias", "fc.weight", "fc.bias",
                 "bn1.running_mean", "bn1.running_var");
    EXPECT_NAMES(deep, place(deep, "layer1.0.conv3.weight"), "layer1.0.conv3.weight", "layer1.0.bn3.weight",
                 "layer1.0.bn3.bias", "layer1.0.downsample.0.weight", "layer1.0.downsample.1.weight",
                 "layer1.0.downsample.1.bias", "layer1.1.conv1.weight");
    cr_expect_eq(lk_model_find(basic, "layer1.0.downsample.0.weight"), -1);
    lk_model_free(&deep);
    lk_model_free(&basic);
}

Test(backbones, a_vggs_tensors_are_numbered_as_torchvisions)
{
    lk_model *plain = make(spec_of(LK_MODEL_VGG11, LK_STEM_IMAGENET));
    lk_model *normed = make(spec_of(LK_MODEL_VGG11_BN, LK_STEM_IMAGENET));

    EXPECT_NAMES(plain, 0, "features.0.weight", "features.0.bias", "features.3.weight", "features.3.bias",
                 "features.6.weight", "features.6.bias", "features.8.weight", "features.8.bias", "features.11.weight",
                 "features.11.bias", "features.13.weight", "features.13.bias", "features.16.weight", "features.16.bias",
                 "features.18.weight", "features.18.bias", "classifier.0.weight", "classifier.0.bias",
                 "classifier.3.weight", "classifier.3.bias", "classifier.6.weight", "classifier.6.bias");
    EXPECT_NAMES(normed, 0, "features.0.weight", "features.0.bias", "features.1.weight", "features.1.bias",
                 "features.4.weight", "features.4.bias", "features.5.weight");
    lk_model_free(&normed);
    lk_model_free(&plain);
}

static void expect_shape(const lk_model *model, const char *name, int ndim, const int64_t *want)
{
    const lk_tensor_info *info = lk_model_tensor(model, place(model, name));

    cr_assert_eq(info->ndim, ndim, "%s has %d dimensions", name, info->ndim);
    for (int d = 0; d < ndim; d++)
        cr_expect_eq(info->shape[d], want[d], "%s: dimension %d is %lld, want %lld", name, d, (long long)info->shape[d],
                     (long long)want[d]);
}
#define EXPECT_SHAPE(model, name, ...) \
    expect_shape((model), (name), sizeof(int64_t[]){__VA_ARGS__} / sizeof(int64_t), (int64_t[]){__VA_ARGS__})

Test(backbones, stem_and_width_change_the_shapes_they_name)
{
    lk_model_spec small = spec_of(LK_MODEL_RESNET50, LK_STEM_CIFAR), vgg = spec_of(LK_MODEL_VGG16, LK_STEM_CIFAR);

    small.vision.image[0] = 1, small.vision.image[1] = 5, small.vision.image[2] = 9, small.vision.width = 0.05;
    lk_model *resnet = make(small);
    EXPECT_SHAPE(resnet, "conv1.weight", 3, 1, 3, 3);             /* 64 * 0.05 = 3.2 */
    EXPECT_SHAPE(resnet, "layer2.0.conv2.weight", 6, 6, 3, 3);    /* 6.4 */
    EXPECT_SHAPE(resnet, "layer4.0.conv3.weight", 104, 26, 1, 1); /* 25.6, four times 26 */
    EXPECT_SHAPE(resnet, "fc.weight", 1000, 104);
    lk_model_free(&resnet);
    vgg.vision.width = 0.25;
    vgg.vision.image[1] = vgg.vision.image[2] = 32;
    lk_model *narrow = make(vgg);
    EXPECT_SHAPE(narrow, "features.0.weight", 16, 3, 3, 3);
    EXPECT_SHAPE(narrow, "classifier.0.weight", 128, 128);
    EXPECT_SHAPE(narrow, "classifier.6.weight", 1000, 128);
    lk_model_free(&narrow);
    vgg.vision.width = 1e-9;
    lk_model *thinnest = make(vgg);
    EXPECT_SHAPE(thinnest, "features.28.weight", 1, 1, 3, 3);
    lk_model_free(&thinnest);
}

/* A pixel is enough for a ResNet: its paddings make one of it, at every depth. */
Test(backbones, a_resnet_takes_images_of_any_side)
{
    static const int64_t sides[][3] = {{1, 1, 1}, {3, 2, 7}, {4, 33, 47}, {3, 500, 15}};

    for (size_t i = 0; i < sizeof sides / sizeof *sides; i++)
        for (int stem = LK_STEM_IMAGENET; stem <= LK_STEM_CIFAR; stem++) {
            lk_model_spec spec = spec_of(LK_MODEL_RESNET18, (lk_stem)stem);
            memcpy(spec.vision.image, sides[i], sizeof spec.vision.image);
            lk_model *model = make(spec);
            lk_model_free(&model);
        }
}

/* -------------------------------------------------------------- first values */

typedef struct filled {
    lk_model *model;
    float *params;
} filled;

static filled fill(lk_model_spec spec)
{
    filled f = {.model = make(spec)};

    f.params = lk_alloc(lk_model_n_elem(f.model) * sizeof *f.params);
    cr_assert(f.params);
    lk_model_init(f.model, SEED, f.params);
    return f;
}

static void empty(filled *f)
{
    lk_free(&f->params);
    lk_model_free(&f->model);
}

static double deviation(const filled *f, const char *name)
{
    const lk_tensor_info *info = lk_model_tensor(f->model, place(f->model, name));
    double sum = 0.0;

    for (size_t i = 0; i < info->n_elem; i++)
        sum += (double)f->params[info->offset + i] * (double)f->params[info->offset + i];
    return sqrt(sum / (double)info->n_elem);
}

/* Of n draws the deviation is known to about 1 in sqrt(2 n); these have 36,864 and more. */
static void expect_deviation(const filled *f, const char *name, double want)
{
    const double got = deviation(f, name);

    cr_expect_float_eq(got, want, 0.02 * want, "%s has the deviation %g, want %g", name, got, want);
}

static void expect_all(const filled *f, const char *name, float want)
{
    const lk_tensor_info *info = lk_model_tensor(f->model, place(f->model, name));

    for (size_t i = 0; i < info->n_elem; i++)
        cr_assert_eq(f->params[info->offset + i], want, "%s[%zu]: got %g, want %g", name, i,
                     (double)f->params[info->offset + i], (double)want);
}

Test(backbones, a_resnet_begins_with_torchvisions_values)
{
    lk_model_spec spec = spec_of(LK_MODEL_RESNET18, LK_STEM_CIFAR);
    filled f = fill(spec);

    expect_deviation(&f, "layer1.0.conv1.weight", sqrt(2.0 / (64 * 9)));
    expect_deviation(&f, "layer4.0.conv1.weight", sqrt(2.0 / (512 * 9))); /* by the outputs: 512, not 256 */
    expect_deviation(&f, "fc.weight", 1.0 / sqrt(3.0 * 512));             /* U(-a, a), a = 1 / sqrt(512) */
    expect_all(&f, "layer1.0.bn2.weight", 1.0f);
    expect_all(&f, "layer1.0.bn2.bias", 0.0f);
    empty(&f);
    spec.backbone.zero_init_residual = true;
    f = fill(spec);
    expect_all(&f, "layer1.0.bn2.weight", 0.0f);
    expect_all(&f, "layer1.0.bn1.weight", 1.0f);
    expect_all(&f, "layer2.0.downsample.1.weight", 1.0f);
    empty(&f);
    spec.kind = LK_MODEL_RESNET50;
    spec.vision.width = 0.25;
    f = fill(spec);
    expect_all(&f, "layer1.0.bn3.weight", 0.0f);
    expect_all(&f, "layer1.0.bn2.weight", 1.0f);
    empty(&f);
}

Test(backbones, a_vgg_begins_with_torchvisions_values_or_with_those_of_its_layers)
{
    lk_model_spec spec = spec_of(LK_MODEL_VGG11_BN, LK_STEM_CIFAR);
    filled f = fill(spec);

    expect_deviation(&f, "features.4.weight", sqrt(2.0 / (128 * 9)));
    expect_all(&f, "features.4.bias", 0.0f);
    expect_deviation(&f, "classifier.3.weight", 0.01);
    expect_all(&f, "classifier.3.bias", 0.0f);
    empty(&f);
    spec.backbone.init_weights = false;
    f = fill(spec);
    expect_deviation(&f, "features.4.weight", 1.0 / sqrt(3.0 * 64 * 9));
    expect_deviation(&f, "classifier.3.weight", 1.0 / sqrt(3.0 * 512));
    cr_expect_gt(deviation(&f, "features.4.bias"), 0.0);
    empty(&f);
    spec.init = "zeros";
    f = fill(spec);
    expect_all(&f, "features.4.weight", 0.0f);
    empty(&f);
}

/* ------------------------------------------------------------------ refusals */

static void expect_refused(lk_model_spec spec, const char *part)
{
    lk_model *model;

    cr_expect_eq(lk_model_new(&spec, &model), LK_ERR_USAGE, "want: %s", part);
    cr_expect(strstr(lk_error_message(), part), "message: %s, want: %s", lk_error_message(), part);
    lk_model_free(&model);
}

Test(backbones, a_spec_that_cannot_be_built_names_its_key)
{
    lk_model_spec spec = spec_of(LK_MODEL_VGG19_BN, LK_STEM_CIFAR);

    spec.vision.image[2] = 31;
    expect_refused(spec, "model.image: 224 x 31 pixels are too small for a vgg");
    spec = spec_of(LK_MODEL_RESNET18, LK_STEM_IMAGENET);
    spec.vision.width = 0.0;
    expect_refused(spec, "model.width is 0");
    spec.vision.width = 1e9;
    expect_refused(spec, "model.width is 1e+09");
    spec.vision.width = 1.0;
    spec.vision.classes = 0;
    expect_refused(spec, "model.classes is 0");
    spec.vision.classes = 10;
    spec.vision.image[0] = 0;
    expect_refused(spec, "model.image: channels is 0");
}
