/*
 * What a run measures, by name: the one list that recipes are checked against and that runs fill.
 *
 * A name says whose weights (nothing: the trained ones, "ema."), on which part of the data, what.
 */
#include <string.h>

#include "io/io.h"

#define ON(prefix) prefix "loss", prefix "accuracy", prefix "mse", prefix "mae", prefix "r2"
static const char *const known[] = {"train.loss", ON("validation."), ON("ema.validation.")};

static const char *last_word(const char *name)
{
    const char *dot = strrchr(name, '.');

    return dot ? dot + 1 : name;
}

static bool fits_loss(const char *name, lk_loss_kind loss)
{
    const char *word = last_word(name);

    if (strcmp(word, "loss") == 0) return true;
    return (strcmp(word, "accuracy") == 0) == (loss == LK_LOSS_CROSS_ENTROPY);
}

size_t lk_metric_names(lk_loss_kind loss, bool validation, bool ema, const char *names[LK_MOST_METRICS])
{
    size_t n = 0;

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (!fits_loss(known[i], loss)) continue;
        if (lk_metric_needs_ema(known[i]) && !ema) continue;
        if (lk_metric_needs_validation(known[i]) && !validation) continue;
        names[n++] = known[i];
    }
    return n;
}

bool lk_metric_needs_ema(const char *name) { return strncmp(name, "ema.", strlen("ema.")) == 0; }
bool lk_metric_needs_validation(const char *name) { return strstr(name, "validation.") != NULL; }

bool lk_metric_larger_is_better(const char *name)
{
    const char *word = last_word(name);

    return strcmp(word, "accuracy") == 0 || strcmp(word, "r2") == 0;
}
