/*
 * A matrix product of a library.  The seam: gemm.cu has it from cuBLASLt, tests/gpu/standin from loops.  Private to
 * engine/cuda/.
 */
#ifndef LK_CUDA_GEMM_H
#define LK_CUDA_GEMM_H

#include "engine/cuda/cuda.h"

/* A vector beside the product, in the type of D. */
typedef enum cuda_gemm_vector {
    CUDA_GEMM_ALONE,
    CUDA_GEMM_BIAS,  /* (m), added to every column of D before D is rounded */
    CUDA_GEMM_SUMS,  /* (n), made: the sums of op(B)'s columns */
} cuda_gemm_vector;

/* D = op(A) op(B) + beta * D, D (m, n), all column-major without gaps; op transposes where told.  Sums are fp32. */
typedef struct cuda_gemm_spec {
    bool in_bf16, out_bf16;       /* A and B; D */
    bool tf32;                    /* fp32 factors may be rounded to TF32 */
    bool trans_a, trans_b;
    cuda_gemm_vector vector;
    uint64_t m, n, k;
    uint32_t align_a, align_b, align_d, align_vector; /* bytes */
    float beta;                   /* 0 or 1 */
} cuda_gemm_spec;

typedef struct cuda_gemm cuda_gemm;

/* ctx->lt.  The library's version, 130002 for 13.0.2. */
lk_status cuda_gemm_open(cuda_ctx *ctx);
void      cuda_gemm_close(cuda_ctx *ctx);
size_t    cuda_gemm_version(void);

/* *out is NULL and the status LK_OK where the library has nothing for it. */
lk_status cuda_gemm_new(cuda_ctx *ctx, const cuda_gemm_spec *spec, cuda_gemm **out);
void      cuda_gemm_free(cuda_gemm **gemm);
/* Queues it on ctx->stream.  vector: NULL where the spec has none. */
lk_status cuda_gemm_run(const cuda_gemm *gemm, const void *a, const void *b, void *vector, void *d);
/* Which algorithm it is, for lk_kernel.choice. */
uint64_t  cuda_gemm_choice(const cuda_gemm *gemm);

/* gemm_plain.cu.  Queues the product of a spec without sums and beta where the library has none.  bias: NULL or (m). */
lk_status cuda_gemm_plain(const cuda_ctx *ctx, const cuda_gemm_spec *spec, const void *a, const void *b,
                          const void *bias, void *d);

#endif
