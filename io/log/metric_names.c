/*
 * What a run measures, by name: which weights on which part of the data ("ema.validation."), then a metric of the
 * engine's table ("accuracy").  Recipes are checked against these names, and runs fill them.
 */
#include <string.h>

#include "io/io.h"

const lk_metric_part lk_metric_parts[LK_N_METRIC_PARTS] = {
#define PART(id, prefix, ...) {prefix, __VA_ARGS__},
    LK_METRIC_PART_LIST(PART)
#undef PART
};

static const char *const names[LK_N_METRIC_PARTS][LK_N_METRICS] = {
#define STEPS(id, name, ...) "train." name,
#define TRAINING(id, name, ...) "train_eval." name,
#define VALIDATION(id, name, ...) "validation." name,
#define EMA(id, name, ...) "ema.validation." name,
    [LK_PART_OF_STEPS] = {LK_METRIC_LIST(STEPS)},
    [LK_PART_OF_TRAINING] = {LK_METRIC_LIST(TRAINING)},
    [LK_PART_OF_WEIGHTS] = {LK_METRIC_LIST(VALIDATION)},
    [LK_PART_OF_EMA] = {LK_METRIC_LIST(EMA)},
};

static bool has_part(const lk_measured *what, int p)
{
    const lk_metric_part *part = &lk_metric_parts[p];

    return what->validation >= part->needs_validation && what->ema >= part->needs_ema &&
           what->train >= part->needs_train;
}

/* The mean over the steps of an epoch is taken of the loss alone. */
static bool has_metric(const lk_measured *what, int p, int m)
{
    const lk_metric *metric = lk_metric_get((lk_metric_id)m);

    if (p == LK_PART_OF_STEPS && m != LK_METRIC_LOSS) return false;
    return lk_metric_fits(metric, what->loss) && (metric->usual || what->asked >> m & 1u);
}

size_t lk_metric_names(const lk_measured *what, const char *list[LK_MOST_METRICS])
{
    size_t n = 0;

    for (int p = 0; p < LK_N_METRIC_PARTS; p++)
        for (int m = 0; m < LK_N_METRICS; m++)
            if (has_part(what, p) && has_metric(what, p, m)) list[n++] = names[p][m];
    return n;
}

unsigned lk_metric_bit(const char *name)
{
    for (int m = 0; m < LK_N_METRICS; m++)
        if (strcmp(lk_metric_get((lk_metric_id)m)->name, name) == 0) return 1u << m;
    return 0;
}

lk_measured lk_recipe_measures(const lk_recipe *recipe, bool validation)
{
    lk_measured what = {.loss = recipe->model.loss.kind, .validation = validation, .ema = recipe->has_ema,
                        .train = recipe->metrics.train};

    for (unsigned i = 0; i < recipe->metrics.measure.n; i++)
        what.asked |= lk_metric_bit(recipe->metrics.measure.word[i]);
    return what;
}

int lk_metric_part_of(const char *name)
{
    for (int p = 0; p < LK_N_METRIC_PARTS; p++)
        if (strncmp(name, lk_metric_parts[p].prefix, strlen(lk_metric_parts[p].prefix)) == 0) return p;
    return -1;
}

const lk_metric *lk_metric_of(const char *name)
{
    const int part = lk_metric_part_of(name);

    return part < 0 ? NULL : lk_metric_find(name + strlen(lk_metric_parts[part].prefix));
}

bool lk_metric_larger_is_better(const char *name)
{
    const lk_metric *metric = lk_metric_of(name);

    return metric && metric->larger_is_better;
}
