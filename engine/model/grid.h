/* Making the grids of model.h.  Private to engine/. */
#ifndef LK_GRID_H
#define LK_GRID_H

#include "engine/model/model.h"

/* Of a set's gradients, or (trainable NULL) of the parameter arena; *out is zero before.  Release it also when it
 * fails. */
lk_status lk_grid_cut(const lk_model *model, const lk_trainable *trainable, lk_grid *out);
void      lk_grid_clear(lk_grid *grid);

#endif
