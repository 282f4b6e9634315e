/* reduce_on_plateau: torch.optim.lr_scheduler.ReduceLROnPlateau.  Private to engine/optim/. */
#ifndef LK_OPTIM_PLATEAU_H
#define LK_OPTIM_PLATEAU_H

#include "engine/schedule/schedule.h"

/* path: of the schedule, for messages.  Errors: LK_ERR_USAGE naming the key. */
lk_status lk_plateau_check(const char *path, const lk_schedule_spec *spec);
/* A best that any number beats. */
double lk_plateau_worst(const lk_schedule_spec *spec);
/* Feeds one metric; true if the learning rate fell. */
bool lk_plateau_observe(const lk_schedule_spec *spec, lk_schedule_state *state, double metric);

#endif
