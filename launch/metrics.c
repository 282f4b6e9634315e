/*
 * Names and values of what a run measures.  Losses are means over the loss terms; mse, mae and r2 over all outputs
 * (r2 = 1 - sum of squared errors / spread of the targets about their means); accuracy over the labels that count.
 */
#include "launch/launch.h"

#include <math.h>
#include <string.h>

static void add(metrics *set, const char *prefix, const char *name)
{
    snprintf(set->name[set->n], METRIC_NAME_BYTES, "%s%s", prefix, name);
    set->last[set->n] = set->best[set->n] = NAN;
    set->n++;
}

static void add_part(metrics *set, lk_loss_kind loss, const char *prefix)
{
    add(set, prefix, "loss");
    if (loss == LK_LOSS_CROSS_ENTROPY) {
        add(set, prefix, "accuracy");
        return;
    }
    add(set, prefix, "mse");
    add(set, prefix, "mae");
    add(set, prefix, "r2");
}

void metrics_init(metrics *set, lk_loss_kind loss, bool validation, bool ema)
{
    memset(set, 0, sizeof *set);
    add(set, "train.", "loss");
    if (validation) add_part(set, loss, "validation.");
    if (validation && ema) add_part(set, loss, "ema.validation.");
}

int metrics_find(const metrics *set, const char *name)
{
    for (int i = 0; i < set->n; i++)
        if (strcmp(set->name[i], name) == 0) return i;
    return -1;
}

/* Accuracy and r2 are better when larger. */
static bool larger_is_better(const char *name)
{
    const char *last = strrchr(name, '.');

    last = last ? last + 1 : name;
    return strcmp(last, "accuracy") == 0 || strcmp(last, "r2") == 0;
}

void metrics_put(metrics *set, const char *name, double value)
{
    const int i = metrics_find(set, name);

    if (i < 0) return;
    const double best = set->best[i];
    set->last[i] = value;
    if (isnan(best) || (larger_is_better(name) ? value > best : value < best)) set->best[i] = value;
}

void metrics_put2(metrics *set, const char *prefix, const char *name, double value)
{
    char whole[METRIC_NAME_BYTES];

    snprintf(whole, sizeof whole, "%s%s", prefix, name);
    metrics_put(set, whole, value);
}
