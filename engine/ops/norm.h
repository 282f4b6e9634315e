/*
 * Which tensor of a norm's node is which, for the binders of every engine.  Private to engine/.
 *
 * Where running statistics stand in for the lane's, mean and rstd are running_mean and running_var.  The gradient of a
 * bias alone is half of a norm's, and the CPU engine makes it so.
 */
#ifndef LK_NORM_H
#define LK_NORM_H

#include "engine/graph/graph.h"

/* NODE(op, its inputs in order, its outputs in order). */
#define LK_NORM_NODE_LIST(NODE, IN, OUT)                                                                            \
    NODE(LK_OP_BATCH_NORM, IN(x) IN(g) IN(b), OUT(y) OUT(mean) OUT(rstd) OUT(stat_mean) OUT(stat_var))              \
    NODE(LK_OP_BATCH_NORM_GRAD, IN(dy) IN(x) IN(g) IN(mean) IN(rstd), OUT(dx) OUT(dg) OUT(db))                      \
    NODE(LK_OP_BATCH_NORM_EVAL, IN(x) IN(g) IN(b) IN(mean) IN(rstd), OUT(y))                                        \
    NODE(LK_OP_BATCH_NORM_EVAL_GRAD, IN(dy) IN(g) IN(rstd), OUT(dx))                                                \
    NODE(LK_OP_LAYER_NORM, IN(x) IN(g) IN(b), OUT(y) OUT(mean) OUT(rstd))                                           \
    NODE(LK_OP_LAYER_NORM_GRAD, IN(dy) IN(x) IN(g) IN(mean) IN(rstd), OUT(dx) OUT(dg) OUT(db))                      \
    NODE(LK_OP_BIAS_GRAD, IN(dy), OUT(db))

/* All names that occur there. */
#define LK_NORM_TENSOR_LIST(X) X(x) X(g) X(b) X(y) X(dy) X(dx) X(dg) X(db) X(mean) X(rstd) X(stat_mean) X(stat_var)

/* Of one node; LK_NO_TENSOR: it has none of this name. */
typedef struct lk_norm_tensors {
#define LK_NORM_TENSOR(name) int name;
    LK_NORM_TENSOR_LIST(LK_NORM_TENSOR)
#undef LK_NORM_TENSOR
} lk_norm_tensors;

static inline lk_norm_tensors lk_norm_tensors_of(const lk_node *node)
{
    const int *in = node->in, *out = node->out;
    lk_norm_tensors t;

#define LK_NORM_ABSENT(name) t.name = LK_NO_TENSOR;
    LK_NORM_TENSOR_LIST(LK_NORM_ABSENT)
#undef LK_NORM_ABSENT
    switch ((int)node->op) {
#define LK_NORM_IN(name) t.name = *in++;
#define LK_NORM_OUT(name) t.name = *out++;
#define LK_NORM_NODE(op, inputs, outputs) case op: inputs outputs break;
        LK_NORM_NODE_LIST(LK_NORM_NODE, LK_NORM_IN, LK_NORM_OUT)
#undef LK_NORM_IN
#undef LK_NORM_OUT
#undef LK_NORM_NODE
    }
    return t;
}

#endif
