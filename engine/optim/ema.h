/*
 * What an EMA does in one call of update, for optimizer.c, which does it in the pass that writes the parameters.
 * Private to engine/optim/.
 */
#ifndef LK_OPTIM_EMA_H
#define LK_OPTIM_EMA_H

#include "engine/backend.h"

/* Neighbouring tensors that are treated alike, [begin, end) of the parameter arena. */
typedef struct lk_ema_range {
    size_t begin, end;
    lk_ema_mode mode;
} lk_ema_range;

/* One call of update: what happens to each part of the arena.  The runs cover it in order; borrowed from the EMA. */
typedef struct lk_ema_turn {
    const lk_ema_range *runs;
    size_t n_runs;
    float decay; /* where a run's mode is LK_EMA_BLEND */
} lk_ema_turn;

/* The turn that comes next; the EMA does not change. */
lk_ema_turn lk_ema_next(const lk_ema *ema);
/* The turn was taken: counts the call. */
void lk_ema_advance(lk_ema *ema);
/* The turn counted last was not taken after all. */
void lk_ema_retreat(lk_ema *ema);
/* Does to [begin, end) what the turn says, by passes of the EMA's own; pending as in lk_update. */
lk_status lk_ema_take(lk_ema *ema, const lk_ema_turn *turn, const float *params, size_t begin, size_t end,
                      bool pending);

#endif
