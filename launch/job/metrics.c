/*
 * Names and values of what a run measures.  Losses are means over the loss terms; mse, mae and r2 over all outputs
 * (r2 = 1 - sum of squared errors / spread of the targets about their means); accuracy over the labels that count.
 */
#include "launch/launch.h"

#include <math.h>
#include <string.h>

void metrics_init(metrics *set, lk_loss_kind loss, bool validation, bool ema)
{
    set->n = (int)lk_metric_names(loss, validation, ema, set->name);
    for (int i = 0; i < set->n; i++) set->last[i] = set->best[i] = NAN;
}

int metrics_find(const metrics *set, const char *name)
{
    for (int i = 0; i < set->n; i++)
        if (strcmp(set->name[i], name) == 0) return i;
    return -1;
}

void metrics_put(metrics *set, const char *name, double value)
{
    const int i = metrics_find(set, name);

    if (i < 0) return;
    const double best = set->best[i];
    set->last[i] = value;
    if (isnan(best) || (lk_metric_larger_is_better(name) ? value > best : value < best)) set->best[i] = value;
}

void metrics_put2(metrics *set, const char *prefix, const char *name, double value)
{
    char whole[METRIC_NAME_BYTES];

    snprintf(whole, sizeof whole, "%s%s", prefix, name);
    metrics_put(set, whole, value);
}
