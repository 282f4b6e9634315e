/*
 * The rates of parameter groups.  Each group is a recipe of its own (io.h), so its optimizer and schedulers are read
 * as if it were the only one.
 *
 * A plateau goes on from a checkpoint where it was, at the rate it had come to; an optimizer.lr that was changed since
 * is the new rate.  All other schedules are functions of the stage's step and epoch.
 */
#include "launch/job/hyperparams.h"

#include <math.h>
#include <string.h>

_Static_assert((int)LK_MOST_GROUPS == (int)LK_MAX_GROUPS, "recipes take as many groups as an order carries");

enum { NOTE_BYTES = 128 };

static lk_status open_rate(const char *section, const lk_schedule_spec *spec, double base, lk_schedule **out)
{
    if (spec->kind == LK_SCHEDULE_NONE) return LK_OK;
    return lk_schedule_new(section, spec, base, out);
}

lk_status hyperparams_open(const lk_recipe *stage, hyperparams *out)
{
    memset(out, 0, sizeof *out);
    for (unsigned g = 0; g < stage->n_groups; g++) {
        const lk_recipe *r = stage->groups[g];
        group_rates *group = &out->group[out->n++];

        group->recipe = r;
        LK_TRY(lk_schedule_new("scheduler", &r->scheduler.spec, r->optimizer.lr, &group->lr));
        LK_TRY(open_rate("momentum_scheduler", &r->momentum_scheduler.spec, lk_recipe_momentum(r), &group->momentum));
        LK_TRY(open_rate("weight_decay_scheduler", &r->weight_decay_scheduler.spec, r->optimizer.weight_decay,
                         &group->weight_decay));
    }
    return LK_OK;
}

void hyperparams_close(hyperparams *r)
{
    for (int g = 0; g < r->n; g++) {
        lk_schedule_free(&r->group[g].weight_decay);
        lk_schedule_free(&r->group[g].momentum);
        lk_schedule_free(&r->group[g].lr);
    }
    r->n = 0;
}

lk_status hyperparams_at(const hyperparams *r, int64_t step, double epoch, lk_order *order)
{
    order->n_groups = r->n;
    for (int g = 0; g < r->n; g++) {
        const group_rates *group = &r->group[g];

        order->weight_decay[g] = NAN;
        LK_TRY(lk_schedule_at(group->lr, step, epoch, &order->lr[g], &order->momentum[g]));
        if (group->momentum) LK_TRY(lk_schedule_at(group->momentum, step, epoch, &order->momentum[g], NULL));
        if (group->weight_decay)
            LK_TRY(lk_schedule_at(group->weight_decay, step, epoch, &order->weight_decay[g], NULL));
    }
    return LK_OK;
}

/* The first momentum above 0 will do: the buffer's presence is what counts. */
lk_status hyperparams_optimizer(const lk_recipe *group, lk_optimizer_spec *out)
{
    lk_schedule *lr;
    double value, momentum;

    *out = group->optimizer;
    if (out->kind != LK_SGD) return LK_OK;
    LK_TRY(lk_schedule_new("scheduler", &group->scheduler.spec, out->lr, &lr));
    const lk_status status = lk_schedule_at(lr, 0, 0.0, &value, &momentum);
    lk_schedule_free(&lr);
    LK_TRY(status);
    if (!isnan(momentum)) out->momentum = momentum;
    return LK_OK;
}

/* Adds the names of a stage's groups that are not there yet. */
static lk_status learn_names(const lk_recipe *stage, const char *names[LK_MOST_GROUPS], int *n)
{
    for (unsigned g = 1; g < stage->n_groups; g++) {
        const char *name = stage->groups[g]->group;
        int k = 0;

        while (k < *n && strcmp(names[k], name) != 0) k++;
        if (k < *n) continue;
        if (k == LK_MOST_GROUPS - 1)
            return LK_FAIL(LK_ERR_USAGE, "%s: optimizer.groups: the stages have more than %d different groups",
                           lk_recipe_where(stage, "optimizer.groups"), k);
        names[(*n)++] = name;
    }
    return LK_OK;
}

lk_status hyperparams_names(const lk_recipe *whole, const char *names[LK_MOST_GROUPS], int *n)
{
    *n = 0;
    for (unsigned s = 0; s < whole->n_stages; s++) LK_TRY(learn_names(whole->stages[s], names, n));
    return LK_OK;
}

int hyperparams_find(const hyperparams *r, const char *name)
{
    if (!name) return 0;
    for (int g = 1; g < r->n; g++)
        if (strcmp(r->group[g].recipe->group, name) == 0) return g;
    return -1;
}

const char *hyperparams_suffix(const hyperparams *r, int g, char text[METRIC_NAME_BYTES])
{
    text[0] = '\0';
    if (g > 0) snprintf(text, METRIC_NAME_BYTES, ".%s", r->group[g].recipe->group);
    return text;
}

/* -------------------------------------------------------------------- metadata */

static const char *note(char path[NOTE_BYTES], const hyperparams *r, int g, const char *key)
{
    char suffix[METRIC_NAME_BYTES];

    snprintf(path, NOTE_BYTES, "schedule%s/%s", hyperparams_suffix(r, g, suffix), key);
    return path;
}

static bool is_plateau(const group_rates *group) { return group->recipe->scheduler.spec.kind == LK_SCHEDULE_PLATEAU; }

lk_status hyperparams_save(const hyperparams *r, lk_metadata *metadata)
{
    char path[NOTE_BYTES];
    lk_schedule_state state;

    for (int g = 0; g < r->n; g++) {
        const group_rates *group = &r->group[g];

        if (!is_plateau(group)) continue;
        lk_schedule_get(group->lr, &state);
        LK_TRY(lk_metadata_set_text(metadata, note(path, r, g, "metric"), group->recipe->scheduler.spec.metric));
        LK_TRY(lk_metadata_set_real(metadata, note(path, r, g, "base_lr"), group->recipe->optimizer.lr));
        LK_TRY(lk_metadata_set_real(metadata, note(path, r, g, "lr"), state.lr));
        LK_TRY(lk_metadata_set_real(metadata, note(path, r, g, "best"), state.best));
        LK_TRY(lk_metadata_set_int(metadata, note(path, r, g, "num_bad"), state.num_bad));
        LK_TRY(lk_metadata_set_int(metadata, note(path, r, g, "cooldown_counter"), state.cooldown_counter));
    }
    return LK_OK;
}

static lk_status restore_group(hyperparams *r, int g, const lk_metadata *metadata)
{
    group_rates *group = &r->group[g];
    char path[NOTE_BYTES];
    const char *metric;
    double base_lr;
    lk_schedule_state state;

    if (!is_plateau(group) || !lk_metadata_has(metadata, note(path, r, g, "metric"))) return LK_OK;
    LK_TRY(lk_metadata_get_text(metadata, path, &metric));
    /* Its state means nothing for another metric. */
    if (strcmp(metric, group->recipe->scheduler.spec.metric) != 0) return LK_OK;
    LK_TRY(lk_metadata_get_real(metadata, note(path, r, g, "base_lr"), &base_lr));
    LK_TRY(lk_metadata_get_real(metadata, note(path, r, g, "lr"), &state.lr));
    LK_TRY(lk_metadata_get_real(metadata, note(path, r, g, "best"), &state.best));
    LK_TRY(lk_metadata_get_int(metadata, note(path, r, g, "num_bad"), &state.num_bad));
    LK_TRY(lk_metadata_get_int(metadata, note(path, r, g, "cooldown_counter"), &state.cooldown_counter));
    if (base_lr != group->recipe->optimizer.lr) state.lr = group->recipe->optimizer.lr;
    lk_schedule_set(group->lr, &state);
    return LK_OK;
}

lk_status hyperparams_restore(hyperparams *r, const lk_metadata *metadata)
{
    for (int g = 0; g < r->n; g++) LK_TRY(restore_group(r, g, metadata));
    return LK_OK;
}
