/*
 * Tensors in a state_dict that no training changes.  They are left alone where weights are read.  Those of whole
 * numbers are made anew where weights are written, for load_state_dict(strict=True) asks for them.
 *
 *     NAME.num_batches_tracked      beside NAME.running_mean: updates so far
 *     NAME.relative_position_index  beside NAME.relative_position_bias_table of ((2 w - 1)^2, heads): which row of the
 *                                   table is the bias between positions i and j of a window of w x w,
 *
 *         index[i][j] = (yi - yj + w - 1) (2 w - 1) + (xi - xj + w - 1),    i = yi w + xi
 *
 * flat, as torchvision's Swin has it.
 *
 *     NAME.bias (1, 1, n, n), NAME.masked_bias ()  of GPT-2's attention: who sees whom, and what a score is that nobody
 *                                                  looks at; published files have them, newer ones do not
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/weights/parts.h"

static const char tracked[] = "num_batches_tracked", mean[] = "running_mean";
static const char mask[] = "bias", masked[] = "masked_bias";
static const char position[] = "relative_position_index", table[] = "relative_position_bias_table";

/* Bytes of the name in front of its last part, where that is `leaf`; -1: it is another. */
static int before_leaf(const char *name, const char *leaf)
{
    const char *dot = strrchr(name, '.'), *last = dot ? dot + 1 : name;

    return strcmp(last, leaf) == 0 ? (int)(last - name) : -1;
}

bool lk_buffer_is(const char *name) { return before_leaf(name, tracked) >= 0 || before_leaf(name, position) >= 0; }

bool lk_mask_is(const char *name, int ndim, const int64_t *shape)
{
    if (before_leaf(name, masked) >= 0) return ndim == 0;
    return before_leaf(name, mask) >= 0 && ndim == 4 && shape[0] == 1 && shape[1] == 1 && shape[2] == shape[3];
}

/* w of a table of (2 w - 1)^2 rows; 0: it is of no square window. */
static int64_t window_of(int ndim, const int64_t *shape)
{
    const int64_t side = ndim == 2 ? (int64_t)llround(sqrt((double)shape[0])) : 0;

    return side % 2 == 1 && side * side == shape[0] ? (side + 1) / 2 : 0;
}

lk_status lk_buffer_beside(const char *name, int ndim, const int64_t *shape, int64_t updates, lk_buffer *out)
{
    const int of_norm = before_leaf(name, mean), of_window = before_leaf(name, table);
    const int64_t window = of_window >= 0 ? window_of(ndim, shape) : 0;
    const char *leaf = of_norm >= 0 ? tracked : position;
    const int before = of_norm >= 0 ? of_norm : of_window;

    *out = (lk_buffer){.n_elem = 1, .value = updates};
    if (of_norm < 0 && window == 0) return LK_OK;
    if (of_norm < 0) {
        const int64_t n_elem = window * window * window * window;

        *out = (lk_buffer){.ndim = 1, .shape = {n_elem}, .n_elem = (size_t)n_elem, .value = window};
    }
    if (asprintf(&out->name, "%.*s%s", before, name, leaf) >= 0) return LK_OK;
    out->name = NULL;
    return LK_FAIL(LK_ERR_SYSTEM, "out of memory: the name of a buffer beside %s", name);
}

void lk_buffer_fill(const lk_buffer *buffer, int64_t *out)
{
    const int64_t w = buffer->value;

    if (buffer->ndim == 0) {
        *out = buffer->value;
        return;
    }
    for (int64_t i = 0; i < w * w; i++)
        for (int64_t j = 0; j < w * w; j++)
            *out++ = (i / w - j / w + w - 1) * (2 * w - 1) + (i % w - j % w + w - 1);
}
