/* Which worker holds which optimizer states, and saves which rows. */
#ifndef LK_JOB_SHARDS_H
#define LK_JOB_SHARDS_H

#include "launch/launch.h"

/* What updates a set: members of a job, taken out of it while the next stage's are made. */
typedef struct updating {
    lk_trainable *trainable;
    lk_shards *shards;
    lk_optimizer *optimizer;
} updating;
void updating_free(updating *u);

/* The optimizer of j->trainable: this worker's part of it, and j->shards, where the recipe shards it.  Local. */
lk_status shards_make_optimizer(job *j, const lk_optimizer_spec *specs);
/* States and steps of tensors that trained before and go on, wherever they were held.  Collective; agreed. */
lk_status shards_carry_states(job *j, updating *from);
/* Tells a saver which rows of which tensor are in whose file.  Local. */
lk_status shards_cut_saves(const job *j, lk_saver *saver);
/* Elements of a tensor's weights, or (with a set, j->trainable or one that j shards alike) of one of its states, that
 * this worker saves.  Local. */
size_t    shards_saved_elems(const job *j, const lk_trainable *set, size_t tensor);

#endif
