/* What a step's gradients do to the weights, whoever holds the optimizer's states. */
#ifndef LK_JOB_UPDATE_H
#define LK_JOB_UPDATE_H

#include "launch/launch.h"

/* What the sum of a step's gradients is like; then new weights, statistics and EMA from it, if it is finite.
 * Collective where the optimizer is sharded. */
lk_status update_inspect(job *j, const float *sum, lk_grad_report *report);
lk_status update_weights(job *j, const float *sum, const lk_hyperparams *groups, const lk_grad_report *report);

#endif
