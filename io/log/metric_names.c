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
#define TRAIN(id, name, ...) "train." name,
#define VALIDATION(id, name, ...) "validation." name,
#define EMA(id, name, ...) "ema.validation." name,
    [LK_PART_OF_STEPS] = {LK_METRIC_LIST(TRAIN)},
    [LK_PART_OF_WEIGHTS] = {LK_METRIC_LIST(VALIDATION)},
    [LK_PART_OF_EMA] = {LK_METRIC_LIST(EMA)},
};

/* The mean over the steps of an epoch is taken of the loss alone. */
static bool is_measured(lk_metric_part_id part, lk_metric_id metric, lk_loss_kind loss)
{
    return lk_metric_fits(lk_metric_get(metric), loss) && (part != LK_PART_OF_STEPS || metric == LK_METRIC_LOSS);
}

size_t lk_metric_names(lk_loss_kind loss, bool validation, bool ema, const char *list[LK_MOST_METRICS])
{
    size_t n = 0;

    for (int p = 0; p < LK_N_METRIC_PARTS; p++) {
        if ((lk_metric_parts[p].needs_validation && !validation) || (lk_metric_parts[p].needs_ema && !ema)) continue;
        for (int m = 0; m < LK_N_METRICS; m++)
            if (is_measured((lk_metric_part_id)p, (lk_metric_id)m, loss)) list[n++] = names[p][m];
    }
    return n;
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
