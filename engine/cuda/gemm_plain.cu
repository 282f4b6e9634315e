/*
 * A matrix product as its formula reads: a thread makes one element of D and adds over k in order, in double.
 *
 * For products that the library has no algorithm for, and for those with a dimension of 1.  The latter are bound by
 * memory, so nothing is lost; and PyTorch keeps them away from cuBLASLt, whose heuristic refused a matrix of one row
 * or column (the comment on it in aten/src/ATen/native/cuda/Blas.cpp).
 */
#include "engine/cuda/element.h"
#include "engine/cuda/gemm.h"

/* Where op(A)[i,l] and op(B)[l,j] lie: a[i * a_i + l * a_l], b[l * b_l + j * b_j]. */
typedef struct plain_call {
    const void *a, *b, *bias; /* bias: NULL or (m) */
    void *d;
    size_t m, n_elem, k, a_i, a_l, b_l, b_j;
    bool in_bf16, out_bf16;
} plain_call;

static __global__ void plain(plain_call c)
{
    for (size_t e = element_first(); e < c.n_elem; e += element_step()) {
        const size_t i = e % c.m, j = e / c.m;
        double sum = c.bias ? (double)element_load(c.bias, i, c.out_bf16) : 0.0;

        for (size_t l = 0; l < c.k; l++)
            sum += (double)element_load(c.a, i * c.a_i + l * c.a_l, c.in_bf16) *
                   (double)element_load(c.b, l * c.b_l + j * c.b_j, c.in_bf16);
        element_store(c.d, e, (float)sum, c.out_bf16);
    }
}

lk_status cuda_gemm_plain(const cuda_ctx *ctx, const cuda_gemm_spec *spec, const void *a, const void *b,
                          const void *bias, void *d)
{
    plain_call c = {};

    assert(spec->vector != CUDA_GEMM_SUMS && spec->beta == 0.0f);
    c.a = a, c.b = b, c.bias = bias, c.d = d;
    c.m = spec->m, c.n_elem = spec->m * spec->n, c.k = spec->k;
    c.a_i = spec->trans_a ? spec->k : 1, c.a_l = spec->trans_a ? 1 : spec->m;
    c.b_l = spec->trans_b ? spec->n : 1, c.b_j = spec->trans_b ? 1 : spec->k;
    c.in_bf16 = spec->in_bf16, c.out_bf16 = spec->out_bf16;
    LK_LAUNCH_FLAT(plain, element_blocks(ctx, c.n_elem), ELEMENT_BLOCK, ctx->stream, c);
    return LK_OK;
}
