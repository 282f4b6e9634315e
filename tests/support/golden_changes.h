/*
 * How each tensor changed in a few steps, beside what PyTorch saw: along random directions, which are computed, not
 * stored (formula.h).
 */
#ifndef GOLDEN_CHANGES_H
#define GOLDEN_CHANGES_H

#include <stdio.h>

#include "tests/support/formula.h"
#include "tests/support/golden.h"

/* A step's rounding errors go into the next; seen in a random direction, an error of a change is as long as it is. */
#define GOLDEN_CHANGE_TOLERANCE 1e-2

/* seen[0]: the length of a tensor's change; behind it, the change in each direction. */
static inline void golden_expect_change(const char *name, const lk_tensor_info *info, const float *params,
                                        const float *first, const json_t *seen)
{
    const double length = json_number_value(json_array_get(seen, 0));

    for (size_t d = 0; d + 1 < json_array_size(seen); d++) {
        const double want = json_number_value(json_array_get(seen, d + 1));
        char direction[256];
        double got = 0.0;

        snprintf(direction, sizeof direction, "%s/%zu", info->name, d);
        for (size_t i = info->offset; i < info->offset + info->n_elem; i++)
            got += formula_sign(direction, i - info->offset) * ((double)params[i] - (double)first[i]);
        cr_expect_float_eq(got, want, GOLDEN_CHANGE_TOLERANCE * length, "%s: change of %s: got %.9g, PyTorch %.9g, its "
                           "length %.3g", name, direction, got, want, length);
    }
}

/* Of the case `name`: all tensors of the model, and no others; params and first are arenas. */
static inline void golden_expect_changes(const char *name, const lk_model *model, const json_t *changes,
                                         const float *params, const float *first)
{
    const char *tensor;
    json_t *seen;

    cr_expect_eq(lk_model_n_tensors(model), json_object_size(changes), "%s: %zu tensors, PyTorch %zu", name,
                 lk_model_n_tensors(model), json_object_size(changes));
    json_object_foreach((json_t *)changes, tensor, seen) {
        const ptrdiff_t i = lk_model_find(model, tensor);

        cr_assert_geq(i, 0, "%s: PyTorch's %s is not in the model", name, tensor);
        golden_expect_change(name, lk_model_tensor(model, (size_t)i), params, first, seen);
    }
}

#endif
