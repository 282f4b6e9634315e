/* Medians, and results as JSON. */
#include "launch/bench/bench.h"

#include <stdlib.h>

static int by_value(const void *left, const void *right)
{
    const double a = *(const double *)left, b = *(const double *)right;

    return (a > b) - (a < b);
}

double bench_median(double *values, size_t n)
{
    qsort(values, n, sizeof *values, by_value);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

size_t bench_iterations(const options *opt) { return opt->iterations ? (size_t)opt->iterations : BENCH_ITERATIONS; }

lk_status bench_write_json(const options *opt, bench_fill_fn *fill, const void *arg)
{
    lk_metadata *json = NULL;

    if (!opt->json) return LK_OK;
    LK_TRY(lk_metadata_new(&json));
    lk_status status = lk_metadata_set_text(json, "command", opt->command);
    if (status == LK_OK) status = lk_metadata_set_text(json, "version", LK_VERSION);
    if (status == LK_OK) status = fill(arg, json);
    if (status == LK_OK) status = lk_summary_write(opt->json, json);
    lk_metadata_free(&json);
    return status;
}
