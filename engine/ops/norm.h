/*
 * Which tensor of a norm's node is which: NODE(op, its inputs in order, its outputs in order), for the binders of every
 * engine, whose states have a place by each of these names.  Private to engine/.
 *
 * Where running statistics stand in for the lane's, mean and rstd are running_mean and running_var.  The gradient of a
 * bias alone is half of a norm's, and the CPU engine makes it so.
 */
#ifndef LK_NORM_H
#define LK_NORM_H

#define LK_NORM_NODE_LIST(NODE, IN, OUT)                                                                            \
    NODE(LK_OP_BATCH_NORM, IN(x) IN(g) IN(b), OUT(y) OUT(mean) OUT(rstd) OUT(stat_mean) OUT(stat_var))              \
    NODE(LK_OP_BATCH_NORM_GRAD, IN(dy) IN(x) IN(g) IN(mean) IN(rstd), OUT(dx) OUT(dg) OUT(db))                      \
    NODE(LK_OP_BATCH_NORM_EVAL, IN(x) IN(g) IN(b) IN(mean) IN(rstd), OUT(y))                                        \
    NODE(LK_OP_BATCH_NORM_EVAL_GRAD, IN(dy) IN(g) IN(rstd), OUT(dx))                                                \
    NODE(LK_OP_LAYER_NORM, IN(x) IN(g) IN(b), OUT(y) OUT(mean) OUT(rstd))                                           \
    NODE(LK_OP_LAYER_NORM_GRAD, IN(dy) IN(x) IN(g) IN(mean) IN(rstd), OUT(dx) OUT(dg) OUT(db))                      \
    NODE(LK_OP_BIAS_GRAD, IN(dy), OUT(db))

#endif
