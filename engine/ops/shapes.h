/* What shape rules share: shapes in words, and tensors that a node keeps for its gradient.  Private to engine/ops/. */
#ifndef LK_SHAPES_H
#define LK_SHAPES_H

#include "engine/graph/graph.h"

#include <stdio.h>
#include <string.h>

enum { LK_NAME_BYTES = 256 };

typedef struct lk_shape_text { char text[LK_SHAPE_BYTES]; } lk_shape_text;

/* "(32, 64)". */
static inline lk_shape_text lk_shape_of(const lk_tensor *t)
{
    lk_shape_text s;

    lk_print_shape(t->ndim, t->shape, s.text);
    return s;
}

static inline bool lk_is_float(lk_dtype dtype) { return dtype == LK_DTYPE_F32 || dtype == LK_DTYPE_BF16; }

static inline bool lk_is_vector(const lk_tensor *t, int64_t n_elem)
{
    return t->dtype == LK_DTYPE_F32 && t->ndim == 1 && t->shape[0] == n_elem;
}

static inline int64_t lk_last_dim(const lk_tensor *t) { return t->shape[t->ndim - 1]; }

/* Appends an activation called PATH.what. */
static inline lk_status lk_graph_saved(lk_graph *graph, const char *path, const char *what, lk_dtype dtype, int ndim,
                                       const int64_t *shape, int *out)
{
    char name[LK_NAME_BYTES];

    snprintf(name, sizeof name, "%s.%s", path, what);
    return lk_graph_act(graph, name, dtype, ndim, shape, out);
}

/* The gradient of a node's input i, for the input that needs one; else LK_NO_TENSOR. */
static inline lk_status lk_graph_grad_if_needed(lk_graph *graph, int tensor, int *out)
{
    *out = LK_NO_TENSOR;
    return graph->tensors[tensor].needs_grad ? lk_graph_grad(graph, tensor, out) : LK_OK;
}

#endif
