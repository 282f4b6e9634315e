/* What schedules give to each parameter group of a stage: learning rate, momentum, weight decay. */
#ifndef LK_HYPERPARAMS_H
#define LK_HYPERPARAMS_H

#include "launch/launch.h"

typedef struct group_rates {
    const lk_recipe *recipe;  /* the group's; borrowed */
    lk_schedule *lr;          /* owned, like the next two */
    lk_schedule *momentum, *weight_decay; /* NULL: constant */
} group_rates;

typedef struct hyperparams {
    int n;
    group_rates group[LK_MAX_GROUPS];
} hyperparams;

/* Schedules of a stage's groups, at their beginning; release with hyperparams_close() also when it fails. */
lk_status hyperparams_open(const lk_recipe *stage, hyperparams *out);
void      hyperparams_close(hyperparams *r);
/* Fills n_groups, lr, momentum and weight_decay (NaN: the optimizer's own) for this step and epoch of the stage. */
lk_status hyperparams_at(const hyperparams *r, int64_t step, double epoch, lk_order *order);
/* The optimizer's spec of a group.  A schedule that moves SGD's momentum sets it to its own first value, as PyTorch's
 * does when it is made: so the buffer is there from the start. */
lk_status hyperparams_optimizer(const lk_recipe *group, lk_optimizer_spec *out);
/* Names of the groups of any stage, in the order they appear, without the one of the rest; borrowed from the recipe.
 * Errors: LK_ERR_USAGE (more than there is room for). */
lk_status hyperparams_names(const lk_recipe *whole, const char *names[LK_MOST_GROUPS], int *n);
/* A group of the stage by its name, NULL for the one of the rest; -1: the stage has none of this name. */
int hyperparams_find(const hyperparams *r, const char *name);
/* "" for the group of the rest, ".NAME" for others: what follows `lr` in names of columns and metadata. */
const char *hyperparams_suffix(const hyperparams *r, int g, char text[METRIC_NAME_BYTES]);

/* Into and from a checkpoint's metadata: only plateaus remember anything. */
lk_status hyperparams_save(const hyperparams *r, lk_metadata *metadata);
lk_status hyperparams_restore(hyperparams *r, const lk_metadata *metadata);

#endif
