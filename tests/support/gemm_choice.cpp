/* For test_gemm_log: asks engine/cuda/gemm.cu for two products, and runs what it gives. */
#include "engine/cuda/gemm.h"

#include <stdio.h>

/* y = w x with sums of x's columns, w (m, k) read transposed, x (k, n); bf16 to fp32. */
static cuda_gemm_spec spec_of(uint64_t m, uint64_t n, uint64_t k)
{
    cuda_gemm_spec spec = {};

    spec.in_bf16 = true, spec.trans_a = true, spec.vector = CUDA_GEMM_SUMS;
    spec.m = m, spec.n = n, spec.k = k;
    spec.align_a = spec.align_vector = 64, spec.align_b = 32, spec.align_d = 16;
    return spec;
}

static bool product(cuda_ctx *ctx, uint64_t m, uint64_t n, uint64_t k)
{
    const cuda_gemm_spec spec = spec_of(m, n, k);
    cuda_gemm *gemm = NULL;

    if (cuda_gemm_new(ctx, &spec, &gemm) != LK_OK) return false;
    if (!gemm) printf("no product\n");
    const bool good = !gemm || cuda_gemm_run(gemm, NULL, NULL, NULL, NULL) == LK_OK;
    if (gemm) cuda_gemm_free(&gemm);
    return good;
}

int main()
{
    cuda_ctx ctx = {};
    const bool good = cuda_gemm_open(&ctx) == LK_OK && product(&ctx, 48, 16, 80) && product(&ctx, 1, 16, 80);

    if (!good) fprintf(stderr, "%s\n", lk_error_message());
    return good ? 0 : 1;
}
