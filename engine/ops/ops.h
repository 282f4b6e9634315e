/*
 * Builders of the ops: each checks shapes at once, names the layer when they do not fit, and appends one node.
 * Private to engine/.  Tensors are ids in the graph; results come last.  Errors: LK_ERR_USAGE.
 */
#ifndef LK_OPS_H
#define LK_OPS_H

#include "engine/graph/graph.h"

/* x (N, ..., I), w (O, I), b (O) or LK_NO_TENSOR -> y (N, ..., O); y's dtype is that of x. */
lk_status lk_op_linear(lk_graph *graph, const char *path, int x, int w, int b, int *y);
/* The same of w (I, O). */
lk_status lk_op_linear_in_out(lk_graph *graph, const char *path, int x, int w, int b, int *y);
/* x (N, H, W, I), w (O, I / groups, kh, kw), b (O) or LK_NO_TENSOR -> y (N, H', W', O). */
lk_status lk_op_conv2d(lk_graph *graph, const char *path, int x, int w, int b, const lk_conv_attrs *conv, int *y);
lk_status lk_op_pool2d(lk_graph *graph, const char *path, lk_pool kind, int x, int64_t kernel, int64_t stride,
                       int64_t padding, int *y);
/* x (N, H, W, C) -> y (N, P, Q, C). */
lk_status lk_op_adaptive_avg_pool2d(lk_graph *graph, const char *path, int x, int64_t P, int64_t Q, int *y);
/* (N, H, W, C) -> (N, C * H * W) in PyTorch's order. */
lk_status lk_op_flatten(lk_graph *graph, const char *path, int x, int *y);
lk_status lk_op_activation(lk_graph *graph, const char *path, lk_activation kind, int x, int *y);
/* The input itself outside training or when p is 0. */
lk_status lk_op_dropout(lk_graph *graph, const char *path, double p, uint32_t layer, int x, int *y);
/* Dropout of whole samples, torchvision's StochasticDepth of mode "row". */
lk_status lk_op_drop_path(lk_graph *graph, const char *path, double p, uint32_t layer, int x, int *y);
/* qkv (N, H, W, 3C), table ((2 size - 1)^2, heads) -> y (N, H, W, C).  pad (3C): what qkv has for a token of zeros,
 * read where windows reach beyond the image; LK_NO_TENSOR where they do not.  A shift is left out, by axis, where one
 * window covers the side. */
lk_status lk_op_window_attention(lk_graph *graph, const char *path, int qkv, int table, int pad,
                                 const lk_windows *windows, int *y);
/* tokens (N, L) int32, table (V, C) -> y (N, L, C) of dtype, rows of the table times scale. */
lk_status lk_op_embedding(lk_graph *graph, const char *path, int tokens, int table, float scale, lk_dtype dtype,
                          int *y);
/* Adds row i of a table (S, C) to position i of x (N, L, C); LK_NO_TENSOR: sinusoids.  In a program with a cache i
 * counts on from the lane's position. */
lk_status lk_op_positions(lk_graph *graph, const char *path, int x, int table, int *y);
/* q (N, Lq, C) over k and v (N, Lk, C), which may both be entries of the cache; lengths (N) int32: how many keys each
 * sample has, LK_NO_TENSOR: all.  log_sum is what lk_op_attention_map() reads. */
lk_status lk_op_attention(lk_graph *graph, const char *path, int q, int k, int v, int lengths,
                          const lk_attention *attention, int *y, int *log_sum);
/* The probabilities of that, without dropout: p (N, heads, Lq, Lk), fp32. */
lk_status lk_op_attention_map(lk_graph *graph, const char *path, int q, int k, int lengths, int log_sum,
                              const lk_attention *attention, int *p);
/* x (N, ..., n_parts C) -> y[n_parts] (N, ..., C), at most LK_MAX_OUT. */
lk_status lk_op_split(lk_graph *graph, const char *path, int x, int n_parts, int *y);
/* x (N, H, W, C) -> y (N, (H + 1) / 2, (W + 1) / 2, 4C). */
lk_status lk_op_patch_merge(lk_graph *graph, const char *path, int x, int *y);
/* What a batch norm reads and writes: tensors, x (..., C) and the rest (C), and its numbers. */
typedef struct lk_batch_norm {
    int x, g, b, running_mean, running_var;
    int stat_mean, stat_var;
    float eps, momentum;
} lk_batch_norm;
/* In training it normalises by the lane's statistics and writes the lane's mean and unbiased variance to stat_mean and
 * stat_var, tensors in LK_ARENA_GRADS; where these are LK_NO_TENSOR it normalises by the running statistics as outside
 * training, and g and b must not need gradients. */
lk_status lk_op_batch_norm(lk_graph *graph, const char *path, const lk_batch_norm *norm, int *y);
lk_status lk_op_layer_norm(lk_graph *graph, const char *path, int x, int g, int b, float eps, int *y);
lk_status lk_op_add(lk_graph *graph, const char *path, int a, int b, int *y);
/* ndim, shape: elements [offset, offset + product of shape) of x in order, with x's bytes; the first must begin on a
 * cache line of x (LK_PLACE_ALIGNMENT). */
lk_status lk_op_view(lk_graph *graph, const char *path, int x, int ndim, const int64_t *shape, size_t offset, int *y);
lk_status lk_op_cast(lk_graph *graph, const char *path, lk_dtype dtype, int x, int *y);
/* Whole numbers (u8, i32) to fp32 of the same shape; pixels NULL: as they are, else as they say, channels last. */
lk_status lk_op_normalize(lk_graph *graph, const char *path, const lk_pixels *pixels, int x, int *y);
/* ENCODE and DECODE: x (N, L, ...) becomes positions [position, position + L) of the cache's entry `path`;
 * y (N, capacity, ...) is the entry then. */
lk_status lk_op_append(lk_graph *graph, const char *path, int x, int *y);
/* y (N, L, C): y[n, i] = x[n, 0] + ... + x[n, first + i], added in this order; first is 0, or `position` where x is an
 * entry of the cache. */
lk_status lk_op_cumsum(lk_graph *graph, const char *path, int x, int64_t L, int *y);
/* x (N, ..., O) of any float type against the lane's target, shaped like x, or label, one a row.  TRAIN: writes the
 * loss slot (scaled by inv_count) and makes *dx, the gradient of x in x's type.  EVAL: writes lk_loss_n_sums() doubles
 * and *dx is LK_NO_TENSOR.  The weights of spec are borrowed for the graph's life.  slot, sums: tensors in
 * LK_ARENA_GRADS and LK_ARENA_SUMS; the one not used by the mode is LK_NO_TENSOR. */
lk_status lk_op_loss(lk_graph *graph, const char *path, const lk_loss_spec *spec, int x, int target, int slot, int sums,
                     int *dx);

#endif
