/* Making the grids of model.h.  Private to engine/. */
#ifndef LK_GRID_H
#define LK_GRID_H

#include "engine/model/model.h"

enum { LK_ALIGN_ELEM = 16 }; /* every tensor begins at a multiple of it, in every arena: a cache line of floats */

static inline size_t lk_round_up(size_t n_elem)
{
    return (n_elem + LK_ALIGN_ELEM - 1) / LK_ALIGN_ELEM * LK_ALIGN_ELEM;
}

/* A tensor of an arena: where it lies, how long it and each of its rows are, in elements. */
typedef struct lk_grid_tensor { size_t offset, n_elem, row_elem; } lk_grid_tensor;

lk_grid_tensor lk_grid_tensor_of(const lk_tensor_info *info, size_t offset);
/* Of an arena of n_elem elements with n tensors, ascending; *out is zero before.  Release it also when it fails. */
lk_status lk_grid_cut(const lk_grid_tensor *tensor, size_t n, size_t n_elem, lk_grid *out);
void      lk_grid_clear(lk_grid *grid);

#endif
