/* What linear and conv2d share: which tensors each pass touches, and parameters in the type and layout that a library
 * wants. Private to engine/cuda/. */
#ifndef LK_CUDA_PRODUCT_H
#define LK_CUDA_PRODUCT_H

#include "engine/cuda/element.h"

/* Tensors, LK_NO_TENSOR where absent: x, w, b, y, or the gradients in their places. */
typedef struct product_tensors { int x, w, b, y; } product_tensors;
typedef struct product_refs { cuda_ref x, w, b, y; } product_refs;

product_tensors cuda_product_tensors(const lk_node *node, cuda_pass pass);
product_refs cuda_product_refs(const lk_graph *graph, product_tensors tensors);

/* Binds what sums dy into db beside a GRAD_W node; out->run stays NULL where the node has no db. */
lk_status cuda_bind_db(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out);
void cuda_kernel_free(lk_kernel *kernel);

/* -------------------------------------------------------------- parameters */

/* A parameter (O, I, taps...) as a product reads it: in fp32 or bf16, and (O, taps..., I).  Where that is how it lies
 * in the arena, or in the arena's bf16 shadow, it is read there; else there is a copy in the store. */
typedef struct cuda_weight {
    cuda_ctx *ctx;     /* borrowed */
    cuda_ref at;
    bool shadowed;
    cuda_packed *copy; /* one use of it is ours; NULL: read where it lies */
} cuda_weight;

lk_status cuda_weight_new(cuda_ctx *ctx, const lk_graph *graph, int tensor, lk_dtype dtype, cuda_weight *out);
/* What *weight's bytes are aligned to. */
uint32_t cuda_weight_alignment(const cuda_weight *weight);
/* NULL for an absent parameter. */
const void *cuda_weight_at(const cuda_weight *weight, const lk_launch_args *args);
void cuda_weight_free(cuda_weight *weight);
/* Queues dw (O, I, taps) from its packed form (O, taps, I), both fp32. */
lk_status cuda_weight_unpack(cuda_ctx *ctx, float *dw, const float *packed, int64_t O, int64_t I, int64_t taps);

/* Whether (O, I, taps) and (O, taps, I) are the same bytes. */
static inline bool cuda_weight_lies_packed(int64_t I, int64_t taps) { return I == 1 || taps == 1; }

/* Queues y[row] = b for every row: y (rows, cols), b (cols), both bf16 or both fp32. */
lk_status cuda_fill_rows(cuda_ctx *ctx, void *y, const void *b, size_t rows, size_t cols, bool bf16);

/* What every pointer into a tensor is aligned to, in bytes: arenas are to 64. */
static inline uint32_t cuda_alignment_of(size_t offset)
{
    enum { ARENA_ALIGNMENT = 64 };
    const size_t lowest_bit = offset & (~offset + 1);

    return lowest_bit == 0 || lowest_bit > ARENA_ALIGNMENT ? (uint32_t)ARENA_ALIGNMENT : (uint32_t)lowest_bit;
}

#endif
