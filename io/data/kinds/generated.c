/*
 * Generated data sets.  Sample i is a function of (seed, i) alone; validation is the samples after the training
 * ones, so it has the same weights and none of the same samples.
 *
 *     regression  y = sum_j w_j * x_j + noise * e      w_j = 100 * u on n_informative features, 0 on the others
 *     polynomial  y = sum_j w_j * x_j^degree + noise * e      w_j from the recipe
 *
 * with x and e standard normal and u uniform in [0, 1).  The informative features are a random choice that the seed
 * fixes.  Sums are taken in double over the x that are kept, which are fp32.
 * Source: make_regression of scikit-learn (sklearn/datasets/_samples_generator.py) without its effective_rank, bias
 * and several targets.
 */
#include <math.h>
#include <stdlib.h>

#include "io/data/data.h"
#include "io/data/permute.h"

/* Streams of LK_PURPOSE_DATA; STREAM_SPLIT in table.c is another. */
enum { STREAM_X = 1, STREAM_NOISE = 2, STREAM_WEIGHTS = 3, STREAM_INFORMATIVE = 4 };

#define WEIGHT_RANGE 100.0 /* make_regression's */

typedef struct generator {
    int64_t n_features, degree;
    const double *weight; /* (n_features) */
    double noise;
    uint64_t seed;
} generator;

static double power(double x, int64_t degree)
{
    double result = 1.0;

    for (int64_t d = 0; d < degree; d++) result *= x;
    return result;
}

/* Samples [first, first + t->n). */
static lk_status generate(const generator *g, int64_t first, lk_table *t)
{
    const lk_philox_key x_key = lk_philox_key_new(g->seed, LK_PURPOSE_DATA, STREAM_X);
    const lk_philox_key noise_key = lk_philox_key_new(g->seed, LK_PURPOSE_DATA, STREAM_NOISE);

    for (int64_t i = 0; i < t->n; i++) {
        const uint64_t sample = (uint64_t)(first + i);
        double y = g->noise * lk_normal(noise_key, sample);
        for (int64_t j = 0; j < g->n_features; j++) {
            const float x = (float)lk_normal(x_key, sample * (uint64_t)g->n_features + (uint64_t)j);
            lk_number_set(&t->x, (size_t)(i * g->n_features + j), (double)x);
            y += g->weight[j] * power((double)x, g->degree);
        }
        lk_number_set(&t->target, (size_t)i, y);
        if (!isfinite((float)y))
            return LK_FAIL(LK_ERR_USAGE,
                           "target of generated sample %llu is %g, which fp32 cannot hold; lower data.degree "
                           "(%lld), data.weights or data.noise",
                           (unsigned long long)sample, y, (long long)g->degree);
    }
    return LK_OK;
}

/* The common part: sizes, storage, columns. */
static lk_status make(const lk_data_spec *spec, const lk_source *source, const generator *g, lk_data_stats *stats,
                      lk_table *t)
{
    const bool train = source->part == LK_PART_TRAIN;
    size_t n_elem;

    t->path = "generated data";
    t->n = train ? spec->samples : spec->validation_samples;
    t->n_columns = (size_t)g->n_features;
    t->rows_per_sample = 1;
    t->n_targets = 1;
    if (__builtin_mul_overflow((size_t)t->n, t->n_columns, &n_elem))
        return LK_FAIL(LK_ERR_USAGE, "data.samples %lld of %lld features are too many", (long long)t->n,
                       (long long)g->n_features);
    LK_TRY(lk_numbers_new(n_elem, false, &t->x));
    LK_TRY(lk_numbers_new((size_t)t->n, true, &t->target));
    if (!stats->n_columns) LK_TRY(lk_stats_set_columns(stats, t->n_columns, NULL));
    if (!stats->target_name) LK_TRY(lk_stats_set_target(stats, "y", 1));
    if (stats->n_columns != t->n_columns)
        return LK_FAIL(LK_ERR_USAGE, "the recipe generates %zu features, training had %zu", t->n_columns,
                       stats->n_columns);
    return generate(g, train ? 0 : spec->samples, t);
}

static lk_status check(const lk_data_spec *spec, const lk_source *source, const char *word)
{
    if (source->labels)
        return LK_FAIL(LK_ERR_USAGE, "data.kind %s has numbers as targets; set loss.kind to mse or l1", word);
    if (spec->samples < 1)
        return LK_FAIL(LK_ERR_USAGE, "data.samples is %lld; it must be at least 1", (long long)spec->samples);
    if (!(spec->noise >= 0.0) || isinf(spec->noise))
        return LK_FAIL(LK_ERR_USAGE, "data.noise is %g; it must be 0 or more", spec->noise);
    return LK_OK;
}

lk_status lk_read_regression(const lk_data_spec *spec, const lk_source *source, lk_data_stats *stats, lk_table *out)
{
    const lk_philox_key key = lk_philox_key_new(spec->seed, LK_PURPOSE_DATA, STREAM_WEIGHTS);
    lk_permutation places;

    LK_TRY(check(spec, source, "regression"));
    if (spec->n_features < 1 || spec->n_informative < 1 || spec->n_informative > spec->n_features)
        return LK_FAIL(LK_ERR_USAGE,
                       "data.n_informative is %lld of data.n_features %lld; it must be 1 or more and not above it",
                       (long long)spec->n_informative, (long long)spec->n_features);
    double *weight = calloc((size_t)spec->n_features, sizeof *weight);
    LK_TRY_ALLOC(weight, (size_t)spec->n_features * sizeof *weight);
    lk_permutation_init(&places, spec->seed, LK_PURPOSE_DATA, STREAM_INFORMATIVE, spec->n_features);
    for (int64_t j = 0; j < spec->n_informative; j++) {
        int64_t place;
        lk_permutation_range(&places, j, 1, &place);
        weight[place] = WEIGHT_RANGE * (double)lk_uniform(key, (uint64_t)j);
    }
    const generator g = {spec->n_features, 1, weight, spec->noise, spec->seed};
    const lk_status status = make(spec, source, &g, stats, out);
    free(weight);
    return status;
}

lk_status lk_read_polynomial(const lk_data_spec *spec, const lk_source *source, lk_data_stats *stats, lk_table *out)
{
    const generator g = {spec->n_weights, spec->degree, spec->weights, spec->noise, spec->seed};

    LK_TRY(check(spec, source, "polynomial"));
    if (spec->n_weights < 1) return LK_FAIL(LK_ERR_USAGE, "data.weights is empty; it has one number a feature");
    if (spec->degree < 0)
        return LK_FAIL(LK_ERR_USAGE, "data.degree is %lld; it must be 0 or more", (long long)spec->degree);
    return make(spec, source, &g, stats, out);
}
