/* Names and values of what a run measures: the last and the best of each.  Formulas are in the engine's table. */
#include "launch/launch.h"

#include <math.h>
#include <string.h>

void metrics_init(metrics *set, const lk_measured *what)
{
    set->n = (int)lk_metric_names(what, set->name);
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

void metrics_put_part(metrics *set, lk_metric_part_id part, const lk_sums *sums)
{
    for (int i = 0; i < set->n; i++)
        if (lk_metric_part_of(set->name[i]) == (int)part) {
            metrics_put(set, set->name[i], lk_metric_of(set->name[i])->value(sums));
            set->measured[i] = true;
        }
}

bool metrics_describe_lost(const metrics *set, char *text, size_t nbytes)
{
    lk_text out = lk_text_in(text, nbytes);

    for (int i = 0; i < set->n; i++) {
        const double value = set->last[i];

        if (!set->measured[i] || isfinite(value) || lk_metric_of(set->name[i]) != lk_metric_get(LK_METRIC_LOSS))
            continue;
        lk_text_add(&out, "%s%s is %g", out.used ? ", " : "", set->name[i], isnan(value) ? (double)NAN : value);
    }
    if (out.used) lk_text_add(&out, ": the weights or the data hold values that are not finite, or are too large");
    return out.used > 0;
}
