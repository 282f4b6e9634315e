/*
 * What a recipe says of what is measured: which metrics a run has, by the engine's tables of losses and metrics; what
 * plateau, early stopping and `best` look at, and in which direction, where it leaves that open.
 */
#include <stdio.h>
#include <string.h>

#include "io/recipe/parts.h"

static const char measure_path[] = "metrics.measure";

/* The schema has seen to it that it is one of the list. */
static lk_loss_kind loss_of(lk_yaml *yaml)
{
    lk_loss_kind loss = (lk_loss_kind)0;

    while (loss + 1 < LK_N_LOSSES && !lk_yaml_is(yaml, "loss.kind", lk_loss_get(loss)->word)) loss++;
    return loss;
}

static bool has_validation(lk_yaml *yaml)
{
    return lk_yaml_at(yaml, "data.validation") || lk_yaml_number_at(yaml, "data.validation_fraction") > 0 ||
           lk_yaml_number_at(yaml, "data.validation_samples") > 0;
}

static bool trains_metrics(lk_yaml *yaml) { return lk_yaml_is(yaml, "metrics.train", "true"); }

/* Node of entry i of metrics.measure, 0 behind the last. */
static int measure_at(lk_yaml *yaml, ptrdiff_t i)
{
    const int node = lk_yaml_at(yaml, measure_path);
    const yaml_node_t *list = node ? yaml_document_get_node(&yaml->document, node) : NULL;

    if (!list || i >= list->data.sequence.items.top - list->data.sequence.items.start) return 0;
    return list->data.sequence.items.start[i];
}

/* What a run of this recipe measures. */
static size_t list_metrics(lk_yaml *yaml, const char *metrics[LK_MOST_METRICS])
{
    lk_measured what = {.loss = loss_of(yaml), .validation = has_validation(yaml), .ema = lk_yaml_at(yaml, "ema"),
                        .train = trains_metrics(yaml)};

    for (ptrdiff_t i = 0; measure_at(yaml, i); i++)
        what.asked |= lk_metric_bit(lk_yaml_text(yaml, measure_at(yaml, i)));
    return lk_metric_names(&what, metrics);
}

/* ---------------------------------------------------------------- defaults */

/* The loss that says most: of the EMA on validation data, of the weights on it, of training. */
static const char *preferred_metric(lk_yaml *yaml)
{
    const bool validation = has_validation(yaml);

    if (validation && lk_yaml_at(yaml, "ema")) return "ema.validation.loss";
    return validation ? "validation.loss" : "train.loss";
}

static const char *mode_of(const char *metric) { return lk_metric_larger_is_better(metric) ? "max" : "min"; }

/* Only weights that are saved can be the best, so who evaluates by steps saves by them, too. */
static lk_status derive_checkpoint(lk_yaml *yaml)
{
    const bool by_step = lk_yaml_is(yaml, "train.evaluate_unit", "step") && !lk_yaml_at(yaml, "checkpoint.every") &&
                         !lk_yaml_at(yaml, "checkpoint.unit");
    const char *every = by_step ? lk_yaml_text_at(yaml, "train.evaluate_every") : "1";

    LK_TRY(lk_yaml_default_to(yaml, "checkpoint", "every", every));
    return lk_yaml_default_to(yaml, "checkpoint", "unit", by_step ? "step" : "epoch");
}

lk_status lk_recipe_derive_measures(lk_yaml *yaml)
{
    const char *preferred = preferred_metric(yaml);

    LK_TRY(derive_checkpoint(yaml));
    if (lk_yaml_is(yaml, "scheduler.kind", "reduce_on_plateau")) {
        LK_TRY(lk_yaml_default_to(yaml, "scheduler", "metric", preferred));
        LK_TRY(lk_yaml_default_to(yaml, "scheduler", "mode", mode_of(lk_yaml_text_at(yaml, "scheduler.metric"))));
    }
    LK_TRY(lk_yaml_default_to(yaml, "train.early_stop", "metric", preferred));
    const char *stop = lk_yaml_text_at(yaml, "train.early_stop.metric");
    if (stop) LK_TRY(lk_yaml_default_to(yaml, "train.early_stop", "mode", mode_of(stop)));
    LK_TRY(lk_yaml_default_to(yaml, "train", "best_metric", stop ? stop : preferred));
    return lk_yaml_default_to(yaml, "train", "best_mode", mode_of(lk_yaml_text_at(yaml, "train.best_metric")));
}

/* ------------------------------------------------------------------ checks */

static bool can_measure(lk_yaml *yaml, const lk_metric *metric)
{
    return lk_metric_fits(metric, loss_of(yaml)) &&
           (!metric->of_translations || lk_yaml_is(yaml, "data.kind", "pairs"));
}

/* Why a name that no run of this recipe measures is none; NULL: there is no such name. */
static const char *missing_for(lk_yaml *yaml, const char *name)
{
    const int part = lk_metric_part_of(name);
    const lk_metric *metric = lk_metric_of(name);

    if (part < 0) return NULL;
    if (lk_metric_parts[part].needs_ema && !lk_yaml_at(yaml, "ema")) return "the section ema";
    if (lk_metric_parts[part].needs_validation && !has_validation(yaml)) return "validation data";
    if (lk_metric_parts[part].needs_train && !trains_metrics(yaml)) return "metrics.train: true";
    const bool fits = metric && part != LK_PART_OF_STEPS && can_measure(yaml, metric);
    return fits && !metric->usual ? "to be named in metrics.measure" : NULL;
}

static lk_status check_metric(lk_yaml *yaml, const char *path)
{
    const char *metrics[LK_MOST_METRICS], *text = lk_yaml_text_at(yaml, path);
    const size_t n = list_metrics(yaml, metrics);
    char list[1024];

    if (!text) return LK_OK;
    for (size_t i = 0; i < n; i++)
        if (strcmp(metrics[i], text) == 0) return LK_OK;
    const char *missing = missing_for(yaml, text), *near = lk_nearest(text, metrics, n);
    if (missing) return lk_yaml_fail(yaml, lk_yaml_at(yaml, path), path, "`%s` needs %s", text, missing);
    return lk_yaml_fail(yaml, lk_yaml_at(yaml, path), path, "`%s` is not measured%s%s%s measured are %s", text,
                        near ? "; did you mean `" : "", near ? near : "", near ? "`?" : ";",
                        lk_print_list(metrics, n, list, sizeof list));
}

/* metrics.measure names metrics that the loss and the data have. */
static lk_status check_measure(lk_yaml *yaml)
{
    const char *known[LK_N_METRICS];
    size_t n = 0;
    char list[512];

    for (int m = 0; m < LK_N_METRICS; m++)
        if (can_measure(yaml, lk_metric_get((lk_metric_id)m))) known[n++] = lk_metric_get((lk_metric_id)m)->name;
    for (ptrdiff_t i = 0; measure_at(yaml, i); i++) {
        const char *text = lk_yaml_text(yaml, measure_at(yaml, i));
        const lk_metric *metric = lk_metric_find(text);

        if (metric && can_measure(yaml, metric)) continue;
        return lk_yaml_fail(yaml, measure_at(yaml, i), measure_path, "`%s` is no metric of loss %s%s, which has %s",
                            text, lk_loss_get(loss_of(yaml))->word, metric && metric->of_translations ?
                            " on data that are no pairs" : "", lk_print_list(known, n, list, sizeof list));
    }
    return LK_OK;
}

/* Whether something happens is 0 or 1; standardised it would be neither. */
static lk_status check_events(lk_yaml *yaml)
{
    static const char path[] = "data.standardize";
    const bool standardized = lk_yaml_is(yaml, path, "true") || lk_yaml_is(yaml, path, "target");
    const lk_loss *loss = lk_loss_get(loss_of(yaml));
    const bool chances = loss->reads == LK_READS_EVENTS || lk_yaml_is(yaml, "loss.probabilities", "true");

    if (!chances || !standardized) return LK_OK;
    return lk_yaml_fail(yaml, lk_yaml_at(yaml, path), path,
                        "loss %s needs targets from 0 to 1 as they are; set it to features", loss->word);
}

lk_status lk_recipe_check_measures(lk_yaml *yaml)
{
    LK_TRY(check_events(yaml));
    LK_TRY(check_measure(yaml));
    LK_TRY(check_metric(yaml, "scheduler.metric"));
    LK_TRY(check_metric(yaml, "train.early_stop.metric"));
    return check_metric(yaml, "train.best_metric");
}
