/*
 * The one list of ops, forward and backward.  From it come the enum, the words, the table of rules (ops.c), their
 * declarations (rules.h) and the binders of every backend (cpu_bind_NAME, cuda_bind_NAME).
 *
 *     DIFF(ID, name, gradient, flops)    an op with a gradient: lk_gradient_GRADIENT appends its backward nodes
 *     LAST(ID, name, flops)              an op without: the backward ops, and the losses, where the backward pass
 *                                        begins
 *
 * flops: lk_flops_FLOPS counts one run's operations; each_output is one per element of the first output.
 * In the comments an input or output in brackets may be absent.
 */
#ifndef LK_OPS_LIST_H
#define LK_OPS_LIST_H

#define LK_OP_LIST(DIFF, LAST)                                                                               \
    DIFF(LINEAR, linear, linear, linear)       /* x (...,I), w (O,I), [b (O)] -> y (...,O); attr linear */   \
    LAST(LINEAR_GRAD_X, linear_grad_x, linear_grad_x) /* dy, w -> dx */                                      \
    LAST(LINEAR_GRAD_W, linear_grad_w, linear_grad_w) /* dy, x -> dw, [db] */                                \
    DIFF(CONV2D, conv2d, conv2d, conv2d)       /* x (N,H,W,I), w (O,I/groups,kh,kw), [b] -> y (N,H',W',O) */ \
    LAST(CONV2D_GRAD_X, conv2d_grad_x, conv2d_grad_x) /* dy, w -> dx */                                      \
    LAST(CONV2D_GRAD_W, conv2d_grad_w, conv2d_grad_w) /* dy, x -> dw, [db] */                                \
    LAST(BIAS_GRAD, bias_grad, bias_grad)      /* dy (..., O) -> db (O), where linear's or conv2d's w is frozen */ \
    DIFF(MAX_POOL2D, max_pool2d, pool2d, pool2d) /* x -> y, winner (u8: place of the maximum in its window) */ \
    LAST(MAX_POOL2D_GRAD, max_pool2d_grad, pool2d) /* dy, winner -> dx */                                    \
    DIFF(AVG_POOL2D, avg_pool2d, pool2d, pool2d) /* x -> y */                                                \
    LAST(AVG_POOL2D_GRAD, avg_pool2d_grad, pool2d) /* dy -> dx */                                            \
    /* x (N,H,W,C) -> y (N,P,Q,C) */                                                                         \
    DIFF(ADAPTIVE_AVG_POOL2D, adaptive_avg_pool2d, adaptive_avg_pool2d, adaptive_avg_pool2d)                 \
    LAST(ADAPTIVE_AVG_POOL2D_GRAD, adaptive_avg_pool2d_grad, adaptive_avg_pool2d) /* dy -> dx */             \
    DIFF(FLATTEN, flatten, flatten, each_output) /* x (N,H,W,C) -> y (N, C*H*W) in PyTorch's order */        \
    LAST(FLATTEN_GRAD, flatten_grad, each_output) /* dy -> dx */                                             \
    DIFF(ACTIVATION, activation, activation, each_output) /* x -> y; attr activation.kind */                 \
    LAST(ACTIVATION_GRAD, activation_grad, each_output) /* dy, y or x, as the list of model.h says -> dx */   \
    DIFF(DROPOUT, dropout, dropout, each_output) /* x -> y, [mask (u8: 1 kept)]; TRAIN only, p > 0 */        \
    LAST(DROPOUT_GRAD, dropout_grad, each_output) /* dy, [mask] -> dx */                                     \
    /* TRAIN: x, g, b -> y, mean, rstd, stat_mean, stat_var (C each; stats in GRADS) */                      \
    DIFF(BATCH_NORM, batch_norm, batch_norm, batch_norm)                                                     \
    LAST(BATCH_NORM_GRAD, batch_norm_grad, batch_norm_grad) /* dy, x, g, mean, rstd -> dx, dg, db */         \
    /* x, g, b, running_mean, running_var -> y */                                                            \
    DIFF(BATCH_NORM_EVAL, batch_norm_eval, batch_norm_eval, batch_norm_eval)                                 \
    /* dy, g, running_var -> dx; g and b are frozen */                                                       \
    LAST(BATCH_NORM_EVAL_GRAD, batch_norm_eval_grad, each_output)                                            \
    DIFF(LAYER_NORM, layer_norm, layer_norm, layer_norm) /* x (...,C), g, b -> y, mean (...), rstd */         \
    LAST(LAYER_NORM_GRAD, layer_norm_grad, layer_norm_grad) /* dy, x, g, mean, rstd -> dx, dg, db */         \
    /* qkv (N,H,W,3C), table, [pad (3C): q, k, v of a token outside the image] -> y (N,H,W,C); attr windows */ \
    DIFF(WINDOW_ATTENTION, window_attention, window_attention, window_attention)                             \
    /* dy, qkv, table, [pad] -> [dqkv], [dtable], [dpad] */                                                  \
    LAST(WINDOW_ATTENTION_GRAD, window_attention_grad, window_attention_grad)                                \
    DIFF(EMBEDDING, embedding, embedding, each_output) /* tokens (N,L), table (V,C) -> y (N,L,C) */           \
    LAST(EMBEDDING_GRAD, embedding_grad, embedding_grad) /* dy, tokens -> dtable */                          \
    DIFF(POSITIONS, positions, positions, each_output) /* x (N,L,C), [table (S,C)] -> y, sinusoids without table */ \
    LAST(POSITIONS_GRAD, positions_grad, positions_grad) /* dy -> dtable */                                  \
    /* q (N,Lq,C), k, v (N,Lk,C or entries of the cache), [lengths (N)] -> y (N,Lq,C), log_sum (N,heads,Lq) */ \
    DIFF(ATTENTION, attention, attention, attention)                                                         \
    /* dy, q, k, v, [lengths], y, log_sum -> [dq], [dk], [dv] */                                             \
    LAST(ATTENTION_GRAD, attention_grad, attention_grad)                                                     \
    LAST(ATTENTION_MAP, attention_map, each_output) /* q, k, [lengths], log_sum -> P (N,heads,Lq,Lk), fp32 */ \
    DIFF(SPLIT, split, split, split)           /* x (...,kC) -> k times y (...,C) */                         \
    LAST(SPLIT_GRAD, split_grad, each_output)  /* [dy] k times -> dx */                                      \
    DIFF(PATCH_MERGE, patch_merge, patch_merge, each_output) /* x (N,H,W,C) -> y (N,H/2,W/2,4C), halves up */ \
    LAST(PATCH_MERGE_GRAD, patch_merge_grad, each_output) /* dy -> dx */                                     \
    DIFF(DROP_PATH, drop_path, drop_path, each_output) /* x -> y; attr dropout; dy -> dx is the same op */    \
    DIFF(ADD, add, add, each_output)           /* a, b -> y */                                               \
    DIFF(VIEW, view, view, each_output)        /* x -> y with x's bytes: no work, and gone before nodes are bound */ \
    LAST(VIEW_GRAD, view_grad, each_output)    /* dy -> dx, 0 outside the view */                            \
    DIFF(CAST, cast, cast, each_output)        /* x -> y of another dtype; its gradient casts back */        \
    LAST(NORMALIZE, normalize, each_output)    /* x (u8 or i32) -> y (fp32) of the same shape; attr normalize */ \
    /* x (N,L,...) -> entry of the cache (N,capacity,...), from `position` on */                             \
    LAST(APPEND, append, append)                                                                             \
    DIFF(CUMSUM, cumsum, cumsum, each_output)  /* x (N,S,C) or an entry of the cache -> y (N,L,C) */         \
    LAST(CUMSUM_GRAD, cumsum_grad, each_output) /* dy -> dx */                                               \
    LAST(POINTWISE_LOSS, pointwise_loss, each_output) /* x, target -> dx and the loss slot (TRAIN) or sums (EVAL) */ \
    LAST(CROSS_ENTROPY, cross_entropy, cross_entropy) /* logits, label or probabilities -> the same */

/* The list for those who want every op alike: X(ID, name, ...). */
#define LK_EVERY_OP(X) LK_OP_LIST(X, X)

#endif
