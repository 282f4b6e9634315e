/*
 * torchvision's networks from the same weights: outputs, losses, and what three steps of SGD change in every tensor,
 * running statistics among them.
 *
 * vision.json (make_vision.py) holds what PyTorch computes in double.  Weights, images and vectors of signs are
 * computed on both sides (tests/support/formula.h).  A change is compared by its length and its products with the
 * latter.
 */
#include "tests/support/formula.h"
#include "tests/support/golden.h"
#include "tests/support/network.h"

/* Outputs are of about the size of 1: sums of some thousand terms in fp32, through up to 50 layers.  A ResNet-50 as
 * wide as torchvision's rounds more than that: against PyTorch in double its outputs are off by 2.9e-5 in the mean
 * square and 5.7e-5 at most, PyTorch's own in fp32 by 3.0e-5 and 7.1e-5 (random weights, statistics of 16 images; 4
 * images of 64 x 64). */
#define OUTPUT_TOLERANCE 2e-5
#define LOSS_TOLERANCE 1e-4 /* of the third step as of the first */
/* Of a tensor's change: a difference of weights after three steps, of which each sees the last one's rounding. */
#define CHANGE_TOLERANCE 1e-2
/* Of the largest change of all: what is smaller is rounding (a bias in front of a batch norm has no gradient). */
#define NO_CHANGE 1e-5

/* ------------------------------------------------------------ computed alike */

/* As make_vision.py's first_values(). */
static void first_values(const lk_tensor_info *info, float *w)
{
    formula_fill(info, w);
    if (!formula_ends_with(info->name, "bn3.weight")) return;
    for (size_t i = 0; i < info->n_elem; i++) w[i] *= 0.125f;
}

static void fill(network *net)
{
    for (size_t t = 0; t < lk_model_n_tensors(net->model); t++) {
        const lk_tensor_info *info = lk_model_tensor(net->model, t);
        first_values(info, net->params + info->offset);
    }
    for (size_t i = 0; i < (size_t)net->n * n_input(net); i++) net->x[i] = 2.0f * formula_unit("x", i);
    for (int64_t n = 0; n < net->n; n++) net->label[n] = (int32_t)(n % (int64_t)lk_model_n_row(net->model));
}

/* -------------------------------------------------------------- comparisons */

/* The kind of a word, and the rest of a case's spec. */
static lk_model_spec read_spec(const json_t *values, int64_t classes)
{
#define NETWORK_WORD(id, text, family) #text,
    static const char *const words[] = {LK_NETWORK_LIST(NETWORK_WORD)};
    const json_t *spec = json_object_get(values, "spec"), *width = json_object_get(spec, "width");
    const char *kind = json_string_value(json_object_get(spec, "kind"));
    lk_model_spec out = {.vision.classes = classes, .loss = {.kind = LK_LOSS_CROSS_ENTROPY, .ignore_index = -100}};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(words[i], kind) == 0) out.kind = (lk_model_kind)i;
    out.vision.width = width ? json_number_value(width) : 1.0;
    out.backbone.stem = json_object_get(spec, "stem") ? LK_STEM_CIFAR : LK_STEM_IMAGENET;
    for (size_t d = 0; d < 3; d++)
        out.vision.image[d] = json_integer_value(json_array_get(json_object_get(values, "image"), d));
    return out;
}

static void expect_outputs(const char *name, const network *net, const json_t *want)
{
    const size_t n = json_array_size(want);

    cr_assert_eq(n, (size_t)net->n * lk_model_n_output(net->model));
    for (size_t i = 0; i < n; i++) {
        const double value = json_number_value(json_array_get(want, i)), got = (double)net->output[i];

        cr_expect(fabs(got - value) <= OUTPUT_TOLERANCE * fmax(1.0, fabs(value)),
                  "%s: output %zu: got %.9g, PyTorch %.9g", name, i, got, value);
    }
}

/* One step of plain SGD, as torch.optim.SGD's without momentum. */
static double step(network *net, float rate)
{
    const double loss = train_loss(net);

    for (size_t i = 0; i < lk_model_n_params(net->model); i++) net->params[i] -= rate * net->grads[i];
    network_update_stats(net);
    net->version++;
    return loss;
}

static double product_with_signs(const float *change, size_t n, const char *name, size_t k)
{
    char text[256];
    double sum = 0.0;

    snprintf(text, sizeof text, "%s/%zu", name, k);
    for (size_t i = 0; i < n; i++) sum += formula_sign(text, i) * (double)change[i];
    return sum;
}

/* want: the length of the change, then its products. */
static void expect_change(const char *name, const network *net, const lk_tensor_info *info, const json_t *want,
                          double largest)
{
    const double length = json_number_value(json_array_get(want, 0));
    const double tolerance = fmax(CHANGE_TOLERANCE * length, NO_CHANGE * largest);
    float *change = lk_alloc(info->n_elem * sizeof *change);
    double squares = 0.0;

    cr_assert(change && json_array_size(want) > 1);
    first_values(info, change);
    for (size_t i = 0; i < info->n_elem; i++) {
        change[i] = net->params[info->offset + i] - change[i];
        squares += (double)change[i] * (double)change[i];
    }
    cr_expect(fabs(sqrt(squares) - length) <= tolerance, "%s: %s changes by %.9g, PyTorch's by %.9g", name, info->name,
              sqrt(squares), length);
    for (size_t k = 1; k < json_array_size(want); k++) {
        const double got = product_with_signs(change, info->n_elem, info->name, k - 1);
        const double value = json_number_value(json_array_get(want, k));
        cr_expect(fabs(got - value) <= tolerance, "%s: the change of %s, product %zu: got %.9g, PyTorch %.9g", name,
                  info->name, k, got, value);
    }
    lk_free(&change);
}

static void expect_changes(const char *name, const network *net, json_t *changes)
{
    const char *tensor;
    json_t *want;
    double largest = 0.0;

    cr_expect_eq(json_object_size(changes), lk_model_n_tensors(net->model), "%s: PyTorch has %zu tensors, we %zu", name,
                 json_object_size(changes), lk_model_n_tensors(net->model));
    json_object_foreach(changes, tensor, want) largest = fmax(largest, json_number_value(json_array_get(want, 0)));
    json_object_foreach(changes, tensor, want) {
        const ptrdiff_t i = lk_model_find(net->model, tensor);

        cr_assert_geq(i, 0, "%s: PyTorch's %s is not in the model", name, tensor);
        expect_change(name, net, lk_model_tensor(net->model, (size_t)i), want, largest);
    }
}

static void expect_case(const json_t *root, const json_t *values)
{
    const char *name = json_string_value(json_object_get(values, "name"));
    const json_t *losses = json_object_get(values, "losses");
    const lk_model_spec spec = read_spec(values, json_integer_value(json_object_get(root, "classes")));
    const float rate = (float)json_number_value(json_object_get(root, "rate"));
    network net = network_new(spec, LK_FP32, json_integer_value(json_object_get(root, "samples")));

    fill(&net);
    run_lane(&net, lane_of(&net, LK_PREDICT));
    expect_outputs(name, &net, json_object_get(values, "output"));
    for (size_t i = 0; i < json_array_size(losses); i++) {
        const double got = step(&net, rate), want = json_number_value(json_array_get(losses, i));
        cr_expect(fabs(got - want) <= LOSS_TOLERANCE * fmax(1.0, want), "%s: loss %zu: got %.9g, PyTorch %.9g", name, i,
                  got, want);
    }
    expect_changes(name, &net, json_object_get(values, "changes"));
    network_free(&net);
}

Test(vision, outputs_and_three_steps_are_those_of_torchvision)
{
    json_t *root = golden_load("vision.json");
    const json_t *cases = json_object_get(root, "cases");

    cr_assert_geq(json_array_size(cases), 5);
    for (size_t i = 0; i < json_array_size(cases); i++) expect_case(root, json_array_get(cases, i));
    json_decref(root);
}
