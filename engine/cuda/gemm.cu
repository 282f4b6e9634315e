/*
 * A matrix product on cuBLASLt.
 *
 * The algorithm is chosen once, by the library's heuristic: it looks at shape, types, alignment and device, never at
 * what else runs.  Of the ways to add up a sum that was split (split-K) only those are allowed whose order is fixed and
 * whose parts are fp32: NONE, and COMPUTE_TYPE, where parts go to the workspace in fp32 and a second step adds them.
 * INPLACE adds parts to the output as blocks arrive, and OUTPUT_TYPE rounds each part to the output's type.  The
 * workspace belongs to one stream, which cuBLAS asks for where results shall repeat to the bit
 * (https://docs.nvidia.com/cuda/cublas/#results-reproducibility).
 */
#include "engine/cuda/gemm.h"

#include <cublasLt.h>

struct cuda_gemm {
    cuda_ctx *ctx;                   /* borrowed */
    cublasLtMatmulDesc_t op;         /* owned, as the layouts */
    cublasLtMatrixLayout_t a, b, d;
    cublasLtMatmulAlgo_t algo;
    float beta;
};

enum { MOST_RESULTS = 8 };

#define LK_CUBLASLT(call)                                                                          \
    do {                                                                                           \
        const cublasStatus_t lk_lt_ = (call);                                                      \
        if (lk_lt_ != CUBLAS_STATUS_SUCCESS)                                                       \
            return LK_FAIL(LK_ERR_SYSTEM, "cuBLASLt: %s in %s", cublasLtGetStatusString(lk_lt_), #call); \
    } while (0)

#define SET_OP(gemm, attribute, value) \
    LK_CUBLASLT(cublasLtMatmulDescSetAttribute((gemm)->op, (attribute), &(value), sizeof(value)))
#define SET_PREFERENCE(preference, attribute, value) \
    LK_CUBLASLT(cublasLtMatmulPreferenceSetAttribute((preference), (attribute), &(value), sizeof(value)))

lk_status cuda_gemm_open(cuda_ctx *ctx)
{
    LK_CUBLASLT(cublasLtCreate(&ctx->lt));
    return LK_OK;
}

void cuda_gemm_close(cuda_ctx *ctx)
{
    if (ctx->lt) cublasLtDestroy(ctx->lt);
}

size_t cuda_gemm_version(void) { return cublasLtGetVersion(); }

/* -------------------------------------------------------------------- make */

static cudaDataType_t type_of(bool bf16) { return bf16 ? CUDA_R_16BF : CUDA_R_32F; }

/* Column-major (rows, cols) before op transposes it. */
static lk_status make_layout(cudaDataType_t type, bool transposed, uint64_t rows, uint64_t cols,
                             cublasLtMatrixLayout_t *out)
{
    if (transposed) LK_CUBLASLT(cublasLtMatrixLayoutCreate(out, type, cols, rows, (int64_t)cols));
    else LK_CUBLASLT(cublasLtMatrixLayoutCreate(out, type, rows, cols, (int64_t)rows));
    return LK_OK;
}

static lk_status make_descriptors(cuda_gemm *gemm, const cuda_gemm_spec *spec)
{
    const cublasOperation_t op_a = spec->trans_a ? CUBLAS_OP_T : CUBLAS_OP_N;
    const cublasOperation_t op_b = spec->trans_b ? CUBLAS_OP_T : CUBLAS_OP_N;
    const cublasComputeType_t compute = spec->tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
    const cublasLtEpilogue_t epilogues[] = {CUBLASLT_EPILOGUE_DEFAULT, CUBLASLT_EPILOGUE_BIAS,
                                            CUBLASLT_EPILOGUE_BGRADB};
    const cublasLtEpilogue_t epilogue = epilogues[spec->vector];
    const cudaDataType_t in = type_of(spec->in_bf16), out = type_of(spec->out_bf16);
    /* The heuristic reads of this pointer what it is aligned to, nothing else. */
    const void *const aligned_alike = (const void *)(uintptr_t)spec->align_vector;

    LK_CUBLASLT(cublasLtMatmulDescCreate(&gemm->op, compute, CUDA_R_32F));
    SET_OP(gemm, CUBLASLT_MATMUL_DESC_TRANSA, op_a);
    SET_OP(gemm, CUBLASLT_MATMUL_DESC_TRANSB, op_b);
    SET_OP(gemm, CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue);
    if (spec->vector != CUDA_GEMM_ALONE) {
        SET_OP(gemm, CUBLASLT_MATMUL_DESC_BIAS_POINTER, aligned_alike);
        SET_OP(gemm, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, out);
    }
    LK_TRY(make_layout(in, spec->trans_a, spec->m, spec->k, &gemm->a));
    LK_TRY(make_layout(in, spec->trans_b, spec->k, spec->n, &gemm->b));
    LK_TRY(make_layout(out, false, spec->m, spec->n, &gemm->d));
    return LK_OK;
}

static lk_status set_preference(cublasLtMatmulPreference_t preference, const cuda_gemm_spec *spec)
{
    const uint64_t workspace = CUDA_WORKSPACE_BYTES;
    const uint32_t reductions = CUBLASLT_REDUCTION_SCHEME_NONE | CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;

    SET_PREFERENCE(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, workspace);
    SET_PREFERENCE(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, reductions);
    SET_PREFERENCE(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, spec->align_a);
    SET_PREFERENCE(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, spec->align_b);
    SET_PREFERENCE(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, spec->align_d);
    SET_PREFERENCE(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, spec->align_d);
    return LK_OK;
}

/* The heuristic's first; *found false if it has none.  It says of an epilogue that it lacks either NOT_SUPPORTED or
 * INVALID_VALUE. */
static lk_status choose(cuda_gemm *gemm, cublasLtMatmulPreference_t preference, bool *found)
{
    cublasLtMatmulHeuristicResult_t results[MOST_RESULTS];
    int n = 0;
    const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(gemm->ctx->lt, gemm->op, gemm->a, gemm->b, gemm->d,
                                                                 gemm->d, preference, MOST_RESULTS, results, &n);

    *found = false;
    if (status == CUBLAS_STATUS_NOT_SUPPORTED || status == CUBLAS_STATUS_INVALID_VALUE) return LK_OK;
    LK_CUBLASLT(status);
    for (int i = 0; i < n && !*found; i++) {
        *found = results[i].state == CUBLAS_STATUS_SUCCESS && results[i].workspaceSize <= CUDA_WORKSPACE_BYTES;
        if (*found) gemm->algo = results[i].algo;
    }
    return LK_OK;
}

static lk_status make(cuda_gemm *gemm, const cuda_gemm_spec *spec, bool *found)
{
    cublasLtMatmulPreference_t preference = NULL;

    LK_TRY(make_descriptors(gemm, spec));
    LK_CUBLASLT(cublasLtMatmulPreferenceCreate(&preference));
    lk_status status = set_preference(preference, spec);
    if (status == LK_OK) status = choose(gemm, preference, found);
    cublasLtMatmulPreferenceDestroy(preference);
    LK_TRY(status);
    return LK_OK;
}

lk_status cuda_gemm_new(cuda_ctx *ctx, const cuda_gemm_spec *spec, cuda_gemm **out)
{
    cuda_gemm *gemm = (cuda_gemm *)lk_alloc(sizeof *gemm);
    bool found = false;

    *out = NULL;
    LK_TRY_ALLOC(gemm, sizeof *gemm);
    gemm->ctx = ctx;
    gemm->beta = spec->beta;
    const lk_status status = make(gemm, spec, &found);
    if (status != LK_OK || !found) {
        cuda_gemm_free(&gemm);
        LK_TRY(status);
    }
    *out = gemm;
    return LK_OK;
}

void cuda_gemm_free(cuda_gemm **gemm)
{
    if (!*gemm) return;
    if ((*gemm)->d) cublasLtMatrixLayoutDestroy((*gemm)->d);
    if ((*gemm)->b) cublasLtMatrixLayoutDestroy((*gemm)->b);
    if ((*gemm)->a) cublasLtMatrixLayoutDestroy((*gemm)->a);
    if ((*gemm)->op) cublasLtMatmulDescDestroy((*gemm)->op);
    lk_free(gemm);
}

lk_status cuda_gemm_run(const cuda_gemm *gemm, const void *a, const void *b, void *vector, void *d)
{
    const cuda_ctx *ctx = gemm->ctx;
    const float one = 1.0f;

    if (vector) SET_OP(gemm, CUBLASLT_MATMUL_DESC_BIAS_POINTER, vector);
    LK_CUBLASLT(cublasLtMatmul(ctx->lt, gemm->op, &one, a, gemm->a, b, gemm->b, &gemm->beta, d, gemm->d, d, gemm->d,
                               &gemm->algo, ctx->workspace, CUDA_WORKSPACE_BYTES, ctx->stream));
    return LK_OK;
}

/* An attribute that this version of the library does not know counts as absent on all workers. */
uint64_t cuda_gemm_choice(const cuda_gemm *gemm)
{
    static const cublasLtMatmulAlgoConfigAttributes_t attributes[] = {
        CUBLASLT_ALGO_CONFIG_ID, CUBLASLT_ALGO_CONFIG_TILE_ID, CUBLASLT_ALGO_CONFIG_SPLITK_NUM,
        CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME, CUBLASLT_ALGO_CONFIG_CTA_SWIZZLING, CUBLASLT_ALGO_CONFIG_CUSTOM_OPTION,
        CUBLASLT_ALGO_CONFIG_STAGES_ID, CUBLASLT_ALGO_CONFIG_INNER_SHAPE_ID, CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID,
    };
    uint64_t choice = 0;

    for (const cublasLtMatmulAlgoConfigAttributes_t attribute : attributes) {
        uint64_t value = 0;
        size_t nbytes = 0;

        if (cublasLtMatmulAlgoConfigGetAttribute(&gemm->algo, attribute, &value, sizeof value, &nbytes) !=
            CUBLAS_STATUS_SUCCESS)
            value = 0;
        choice = lk_choose(choice, value);
    }
    return choice;
}
