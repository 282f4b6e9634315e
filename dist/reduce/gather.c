/*
 * What follows a sharded update: each worker's new parameters to all others.
 *
 * Parameters travel in the buckets of their gradients.  Where the trained tensors lie in the parameter arena as they do
 * in that of the gradients, but for a shift, they travel from and to where they lie; else through the gradient arena,
 * which is nobody's until the next lane begins.
 */
#include "dist/reduce/gather.h"

#include <string.h>

/* Whether all runs are as far from their gradients as the first. */
static bool is_shift(const lk_trainable *trainable, size_t *shift)
{
    *shift = lk_trainable_get_range(trainable, 0)->param; /* its gradients begin at 0 */
    for (size_t r = 0; r < lk_trainable_n_ranges(trainable); r++) {
        const lk_trainable_range *run = lk_trainable_get_range(trainable, r);
        if (run->param - run->grad != *shift) return false;
    }
    return true;
}

typedef enum direction { PACK, UNPACK } direction;

static void copy_runs(const lk_trainable *trainable, direction way, float *packed, float *params)
{
    for (size_t r = 0; r < lk_trainable_n_ranges(trainable); r++) {
        const lk_trainable_range *run = lk_trainable_get_range(trainable, r);
        float *at = packed + run->grad, *there = params + run->param;

        memcpy(way == PACK ? at : there, way == PACK ? there : at, run->n_elem * sizeof *at);
    }
}

lk_status lk_gather_params(lk_exchange *exchange, const lk_trainable *trainable, float *scratch, float *params)
{
    size_t shift;

    if (is_shift(trainable, &shift)) return lk_exchange_gather(exchange, params + shift);
    copy_runs(trainable, PACK, scratch, params);
    LK_TRY(lk_exchange_gather(exchange, scratch));
    copy_runs(trainable, UNPACK, scratch, params);
    return LK_OK;
}
