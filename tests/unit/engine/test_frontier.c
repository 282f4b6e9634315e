/*
 * A model cut where training begins to matter: what crosses, that both sides together have the bits of the whole, that
 * a sample's features do not depend on the samples beside it, and what cannot be cut.
 */
#include "tests/support/network.h"

#include "engine/model/trainable.h"
#include "engine/nn/nn.h"

enum { LANE = 24, MOST_TENSORS = 32 };

/* stem -> x;  y = x + fc2(relu(fc1(x)));  head(y): frozen up to fc1, two tensors cross. */
static lk_status residual_build(lk_builder *b, const lk_model_spec *spec, const int *in, int *y)
{
    int x, branch;

    LK_TRY(lk_layer_linear(b, "stem", in[0], &(lk_linear){.n_out = 9}, &x));
    LK_TRY(lk_layer_linear(b, "fc1", x, &(lk_linear){.n_out = 20}, &branch));
    LK_TRY(lk_layer_activation(b, "act", LK_ACT_GELU, branch, &branch));
    LK_TRY(lk_layer_dropout(b, "drop", spec->dropout, branch, &branch));
    LK_TRY(lk_layer_linear(b, "fc2", branch, &(lk_linear){.n_out = 9}, &branch));
    LK_TRY(lk_layer_add(b, "add", x, branch, &x));
    return lk_layer_linear(b, "head", x, &(lk_linear){.n_out = 2}, y);
}

static void residual_sample(const lk_model_spec *spec, lk_sample *out)
{
    (void)spec;
    lk_sample_add(out, &(lk_field){.name = "x", .dtype = LK_DTYPE_F32, .ndim = 1, .shape = {5}});
}

static const lk_network residual_row = {.word = "residual", .sample = residual_sample, .build = residual_build};

static lk_model_spec residual_spec(double dropout)
{
    return (lk_model_spec){.network = &residual_row, .dropout = dropout};
}

/* The input itself meets what frozen layers make of it: it is read by both sides. */
static lk_status beside_build(lk_builder *b, const lk_model_spec *spec, const int *in, int *y)
{
    int x;

    (void)spec;
    LK_TRY(lk_layer_linear(b, "stem", in[0], &(lk_linear){.n_out = 5}, &x));
    LK_TRY(lk_layer_linear(b, "fc", x, &(lk_linear){.n_out = 5}, &x));
    LK_TRY(lk_layer_add(b, "add", in[0], x, &x));
    return lk_layer_linear(b, "head", x, &(lk_linear){.n_out = 2}, y);
}

static const lk_network beside_row = {.word = "beside", .sample = residual_sample, .build = beside_build};

static lk_status path_build(lk_builder *b, const lk_model_spec *spec, const int *in, int *y)
{
    int x;

    (void)spec;
    LK_TRY(lk_layer_linear(b, "stem", in[0], &(lk_linear){.n_out = 9}, &x));
    LK_TRY(lk_layer_drop_path(b, "path", 0.2, x, &x));
    LK_TRY(lk_layer_linear(b, "fc", x, &(lk_linear){.n_out = 9}, &x));
    return lk_layer_linear(b, "head", x, &(lk_linear){.n_out = 2}, y);
}

static const lk_network path_row = {.word = "path", .sample = residual_sample, .build = path_build};

/* Attention in windows of an image, whose own dropout is on with dropout > 0. */
static lk_status windows_build(lk_builder *b, const lk_model_spec *spec, const int *in, int *y)
{
    const lk_window_attention attention = {.heads = 2, .window = 4, .attention_dropout = spec->dropout,
                                           .table = lk_fill_normal(0.0, 0.02)};
    int x;

    LK_TRY(lk_layer_window_attention(b, "attn", in[0], &attention, &x));
    LK_TRY(lk_layer_linear(b, "fc", x, &(lk_linear){.n_out = 6}, &x));
    LK_TRY(lk_layer_pool2d(b, "pool", x, &(lk_pool2d){.kind = LK_POOL_AVG}, &x));
    LK_TRY(lk_layer_flatten(b, "flatten", x, &x));
    return lk_layer_linear(b, "head", x, &(lk_linear){.n_out = 2}, y);
}

static void windows_sample(const lk_model_spec *spec, lk_sample *out)
{
    (void)spec;
    lk_sample_add(out, &(lk_field){.name = "x", .dtype = LK_DTYPE_F32, .ndim = 3, .shape = {8, 8, 4}});
}

static const lk_network windows_row = {.word = "windows", .sample = windows_sample, .build = windows_build};

static lk_trainable *set_of(const lk_model *model, const char *const frozen[], bool norm_eval)
{
    bool trains[MOST_TENSORS];
    lk_trainable *trainable;

    cr_assert_leq(lk_model_n_tensors(model), MOST_TENSORS);
    for (size_t i = 0; i < lk_model_n_tensors(model); i++) {
        trains[i] = true;
        for (int p = 0; frozen[p]; p++) trains[i] &= !lk_glob(frozen[p], lk_model_tensor(model, i)->name);
    }
    const lk_trainable_spec spec = {.trains = trains, .n_groups = 1, .frozen_eval = norm_eval};
    cr_assert_eq(lk_trainable_new(model, &spec, &trainable), LK_OK, "%s", lk_error_message());
    return trainable;
}

/* Models, what is frozen of them, and how many numbers of a sample cross. */
typedef struct kase {
    const char *name;
    lk_model_spec spec;
    const char *frozen[3];
    int n;
    size_t n_elem[2]; /* of each that crosses */
    bool reads_x;     /* the trained side reads the input itself */
} kase;

/* mlp: 0 linear 16, 1 norm, 2 activation, 3 dropout, 4 linear 12, 5 norm, 6, 7, 8 linear.  cnn: 8 x 8 images, twice a
 * convolution and a pooling, to 4 and 6 channels; the flattening behind the last belongs to the frozen side. */
static const struct kase *cases(size_t *n)
{
    static kase all[8];

    all[0] = (kase){"mlp", mlp_spec(LK_NORM_BATCH, LK_NORM_BEFORE, 0.0), {"[01].*"}, 1, {16}};
    all[1] = (kase){"mlp, dropout behind", mlp_spec(LK_NORM_LAYER, LK_NORM_BEFORE, 0.3), {"[01].*"}, 1, {16}};
    all[2] = (kase){"mlp but its last", mlp_spec(LK_NORM_BATCH, LK_NORM_AFTER, 0.0), {"[0-7].*"}, 1, {12}};
    all[3] = (kase){"cnn's features", cnn_spec(LK_NORM_BATCH, LK_POOL_MAX), {"features.*"}, 1, {24}};
    all[4] = (kase){"cnn's first", cnn_spec(LK_NORM_NONE, LK_POOL_AVG), {"features.0.*"}, 1, {64}};
    all[5] = (kase){"residual", residual_spec(0.0), {"stem.*", "fc1.*"}, 2, {20, 9}};
    all[6] = (kase){"beside", {.network = &beside_row}, {"stem.*"}, 1, {5}, true};
    all[7] = (kase){"windows", {.network = &windows_row, .dropout = 0.2}, {"attn.*", "fc.*"}, 1, {6}, false};
    *n = sizeof all / sizeof *all - (engine_under_test() == LK_ENGINE_CUDA); /* it has no attention in windows */
    return all;
}

static lk_frontier frontier_of(const network *net, const lk_trainable *set, lk_mode mode)
{
    lk_frontier frontier;

    cr_assert_eq(lk_engine_frontier(net->engine, set, mode, &frontier), LK_OK, "%s", lk_error_message());
    return frontier;
}

Test(frontier, what_crosses_is_the_last_that_stays_the_same)
{
    size_t n;
    const kase *all = cases(&n);

    for (size_t c = 0; c < n; c++)
        for (int mode = LK_TRAIN; mode <= LK_EVAL; mode++) {
            network net = network_new(all[c].spec, LK_FP32, LANE);
            lk_trainable *set = set_of(net.model, all[c].frozen, true);
            const lk_frontier frontier = frontier_of(&net, set, (lk_mode)mode);

            cr_expect_eq(frontier.n, all[c].n, "%s: %d tensors cross, want %d", all[c].name, frontier.n, all[c].n);
            for (int f = 0; f < frontier.n && f < all[c].n; f++)
                cr_expect_eq(frontier.feature[f].nbytes, all[c].n_elem[f] * sizeof(float), "%s: %s has %zu bytes",
                             all[c].name, frontier.feature[f].name, frontier.feature[f].nbytes);
            cr_expect_eq(frontier.frozen_reads, 1u, "%s: the frozen side reads fields %#x", all[c].name,
                         frontier.frozen_reads);
            cr_expect_eq(frontier.trained_reads, all[c].reads_x ? 3u : 2u, "%s: the trained side reads fields %#x",
                         all[c].name, frontier.trained_reads);
            const bool tiles = strncmp(all[c].name, "cnn", 3) != 0 || engine_under_test() == LK_ENGINE_CUDA;
            cr_expect_eq(frontier.tiles_samples, tiles, "%s: samples are taken together: %d, want %d", all[c].name,
                         frontier.tiles_samples, tiles);
            network_free(&net);
            lk_trainable_free(&set);
        }
}

/* --------------------------------------------------------------------- bits */

/* Features of the network's lane, in the order given; release with lk_free(). */
static char *features_of(network *net, const lk_frontier *frontier, lk_mode mode, const float *x)
{
    lk_lane lane = lane_of(net, mode);
    char *features = lk_alloc(lk_frontier_nbytes(frontier, net->n));

    lane.side = LK_SIDE_FROZEN;
    lane.features = features;
    lane.features_nbytes = lk_frontier_nbytes(frontier, net->n);
    lane.field[0] = x;
    lane.field[1] = NULL;
    lane.grads = NULL, lane.sums = NULL, lane.output = NULL, lane.sample = NULL;
    run_lane(net, lane);
    return features;
}

/* One lane of training and one of evaluation, whole or from features. */
typedef struct results {
    float *grads;  /* owned */
    size_t nbytes;
    double sums[NETWORK_MOST_SUMS];
} results;

static results run_both(network *net, const lk_trainable *set, bool in_two)
{
    results r = {.nbytes = lk_trainable_n_grads(set) * sizeof(float)};
    float *there;

    r.grads = lk_alloc(r.nbytes);
    memset(r.grads, 0xff, r.nbytes); /* NaN wherever nobody writes */
    cr_assert_eq(lk_engine_alloc(net->engine, r.nbytes, (void **)&there), LK_OK);
    cr_assert_eq(lk_engine_write(net->engine, there, r.grads, r.nbytes), LK_OK);
    for (int mode = LK_TRAIN; mode <= LK_EVAL; mode++) {
        lk_lane lane = lane_of(net, (lk_mode)mode);
        char *features = NULL;

        lane.grads = there;
        lane.output = NULL;
        if (in_two) {
            const lk_frontier frontier = frontier_of(net, set, (lk_mode)mode);

            features = features_of(net, &frontier, (lk_mode)mode, net->x);
            lane.side = LK_SIDE_TRAINED;
            lane.features = features;
            lane.features_nbytes = lk_frontier_nbytes(&frontier, net->n);
            if (!(frontier.trained_reads & 1u)) lane.field[0] = NULL;
        }
        run_lane(net, lane);
        lk_free(&features);
    }
    cr_assert_eq(lk_engine_read(net->engine, r.grads, there, r.nbytes), LK_OK);
    lk_engine_release(net->engine, &there);
    memcpy(r.sums, net->sums, lk_model_n_sums(net->model) * sizeof *r.sums);
    return r;
}

Test(frontier, both_sides_have_the_bits_of_the_whole)
{
    size_t n;
    const kase *all = cases(&n);

    for (size_t c = 0; c < n; c++)
        for (int precision = LK_FP32; precision <= LK_BF16; precision++) {
            network net = network_new(all[c].spec, (lk_precision)precision, LANE);
            lk_trainable *set = set_of(net.model, all[c].frozen, true);
            const size_t slot = lk_trainable_slot(set, LK_SLOT_LOSS);

            lk_engine_set_trainable(net.engine, set);
            results whole = run_both(&net, set, false), two = run_both(&net, set, true);
            cr_expect(memcmp(whole.grads, two.grads, whole.nbytes) == 0, "%s, precision %d: other gradients; loss "
                      "%.9g, want %.9g", all[c].name, precision, (double)two.grads[slot], (double)whole.grads[slot]);
            for (size_t k = 0; k < lk_model_n_sums(net.model); k++)
                cr_expect_eq(two.sums[k], whole.sums[k], "%s, precision %d: sum %zu is %.17g, want %.17g", all[c].name,
                             precision, k, two.sums[k], whole.sums[k]);
            lk_free(&whole.grads), lk_free(&two.grads);
            network_free(&net);
            lk_trainable_free(&set);
        }
}

/* Pieces of one size, odd ones too: each sample at another place, among others, and beside copies of itself. */
Test(frontier, features_depend_on_their_sample_alone)
{
    size_t n;
    const kase *all = cases(&n);
    const int64_t sizes[] = {1, 2, 5, 16, 33};

    for (size_t c = 0; c < n; c++)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
            for (int precision = LK_FP32; precision <= LK_BF16; precision++) {
                const int64_t P = sizes[s];
                network net = network_new(all[c].spec, (lk_precision)precision, P);
                lk_trainable *set = set_of(net.model, all[c].frozen, true);
                const lk_frontier frontier = frontier_of(&net, set, LK_TRAIN);
                const size_t n_in = n_input(&net), row_nbytes = lk_frontier_row_nbytes(&frontier);
                float *turned = lk_alloc((size_t)P * n_in * sizeof *turned);
                char *row = lk_alloc(2 * row_nbytes);

                lk_engine_set_trainable(net.engine, set);
                for (int64_t i = 0; i < P; i++) /* the second half of them is its middle sample, again and again */
                    memcpy(turned + (size_t)(P - 1 - i) * n_in, net.x + (size_t)(i < P / 2 ? P / 2 : i) * n_in,
                           n_in * sizeof *turned);
                char *straight = features_of(&net, &frontier, LK_TRAIN, net.x);
                char *other = features_of(&net, &frontier, LK_TRAIN, turned);
                for (int64_t i = P / 2; i < P; i++) {
                    lk_frontier_get(&frontier, P, i, straight, row);
                    lk_frontier_get(&frontier, P, P - 1 - i, other, row + row_nbytes);
                    cr_expect(memcmp(row, row + row_nbytes, row_nbytes) == 0, "%s, precision %d: sample %lld of %lld "
                              "has other features elsewhere", all[c].name, precision, (long long)i, (long long)P);
                }
                lk_free(&other), lk_free(&straight), lk_free(&row), lk_free(&turned);
                network_free(&net);
                lk_trainable_free(&set);
            }
}

/* ----------------------------------------------------------------- refusals */

Test(frontier, says_why_there_is_none)
{
    const struct { const char *name; lk_model_spec spec; const char *frozen[3]; bool norm_eval; const char *why; }
        bad[] = {
        {"nothing frozen in front", mlp_spec(LK_NORM_NONE, LK_NORM_BEFORE, 0.0), {"[46].*"}, true,
         "no frozen layer lies in front of the first one that trains"},
        {"dropout", mlp_spec(LK_NORM_NONE, LK_NORM_BEFORE, 0.3), {"[0-5].*"}, true,
         "layer 2: dropout draws anew in every step, and layer 3 behind it is frozen"},
        {"drop path", {.network = &path_row}, {"stem.*", "fc.*"}, true,
         "layer path: drop path draws anew in every step, and layer fc behind it is frozen"},
        {"attention", {.network = &windows_row, .dropout = 0.2}, {"attn.*", "fc.*"}, false,
         "layer attn: dropout of its probabilities draws anew in every step, and layer attn.proj behind it is frozen"},
        {"batch norm", cnn_spec(LK_NORM_BATCH, LK_POOL_MAX), {"features.*"}, false,
         "layer features.1: it normalises by the statistics of its lane (train.frozen_mode: train), and layer "
         "features.4 behind it is frozen"},
    };

    for (size_t c = 0; c < sizeof bad / sizeof *bad; c++) {
        network net = network_new(bad[c].spec, LK_FP32, LANE);
        lk_trainable *set = set_of(net.model, bad[c].frozen, bad[c].norm_eval);
        lk_frontier frontier;

        cr_expect_eq(lk_engine_frontier(net.engine, set, LK_TRAIN, &frontier), LK_ERR_USAGE, "%s", bad[c].name);
        cr_expect(strstr(lk_error_message(), bad[c].why), "%s: \"%s\", want \"%s\"", bad[c].name, lk_error_message(),
                  bad[c].why);
        network_free(&net);
        lk_trainable_free(&set);
    }
}
