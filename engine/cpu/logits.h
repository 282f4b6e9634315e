/* Rows of logits: what the two cross-entropies share.  Private to engine/cpu/. */
#ifndef LK_CPU_LOGITS_H
#define LK_CPU_LOGITS_H

#include "engine/cpu/bf16.h"
#include "engine/cpu/loss.h"
#include "engine/cpu/partials.h"

#include <math.h>

enum { CPU_LOGIT_ROWS = 64 /* by one block of sums */, CPU_TOP = 5 };

/* CPU_PARTIALS logits from c on, less `shift`; past the end of the row -infinity, whose exponential is 0. */
CPU_INLINE void cpu_load_logits(float z[CPU_PARTIALS], const void *restrict x, size_t first, size_t c, size_t V,
                                float shift, lk_dtype dtype)
{
    if (c + CPU_PARTIALS <= V)
        for (size_t k = 0; k < CPU_PARTIALS; k++) z[k] = cpu_load(x, first + c + k, dtype) - shift;
    else
        for (size_t k = 0; k < CPU_PARTIALS; k++)
            z[k] = c + k < V ? cpu_load(x, first + c + k, dtype) - shift : -INFINITY;
}

/* The largest logit; a NaN is passed over here and shows in the sum of exponentials. */
CPU_INLINE float cpu_max_logit(const void *restrict x, size_t first, size_t V, lk_dtype dtype)
{
    float most[CPU_PARTIALS], z[CPU_PARTIALS];

    cpu_load_logits(most, x, first, 0, V, 0.0f, dtype);
    for (size_t c = CPU_PARTIALS; c < V; c += CPU_PARTIALS) {
        cpu_load_logits(z, x, first, c, V, 0.0f, dtype);
        for (size_t k = 0; k < CPU_PARTIALS; k++) most[k] = CPU_LARGER(most[k], z[k]);
    }
    return cpu_max_partials(most);
}

/* How many logits come before the label's: the larger ones, and equal ones of lower classes.  A NaN is no hit. */
CPU_INLINE size_t cpu_rank_of(const void *restrict x, size_t first, size_t label, size_t V, lk_dtype dtype)
{
    const float own = cpu_load(x, first + label, dtype);
    size_t rank = own == own ? 0 : V;

    for (size_t c = 0; c < label; c++) rank += cpu_load(x, first + c, dtype) >= own;
    for (size_t c = label + 1; c < V; c++) rank += cpu_load(x, first + c, dtype) > own;
    return rank;
}

/* Blocks of a node's rows. */
static inline size_t cpu_logit_blocks(const lk_graph *graph, const lk_node *node)
{
    const lk_tensor *x = cpu_in(graph, node, 0);
    const size_t n_rows = x->n_elem / (size_t)x->shape[x->ndim - 1];

    return (n_rows + CPU_LOGIT_ROWS - 1) / CPU_LOGIT_ROWS;
}

/* Where targets are probabilities: soft_cross_entropy.c. */
lk_status cpu_bind_soft_cross_entropy(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out);

#endif
