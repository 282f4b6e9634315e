/* For test_gemm_log: a heuristic of cuBLASLt that needs no device, preloaded before the library.  Its first answer is
 * not supported, its second wants more workspace than anybody has, its third is good; of one row it knows nothing.  A
 * product tells the tile that it is asked to use. */
#include <cublasLt.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { N_ANSWERS = 3 };

cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle)
{
    *handle = NULL;
    return CUBLAS_STATUS_SUCCESS;
}

static cublasLtMatmulHeuristicResult_t answer_of(uint32_t tile, size_t workspace, cublasStatus_t state)
{
    const uint32_t split_k = 4, reduction = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
    cublasLtMatmulHeuristicResult_t answer;

    memset(&answer, 0, sizeof answer);
    cublasLtMatmulAlgoConfigSetAttribute(&answer.algo, CUBLASLT_ALGO_CONFIG_TILE_ID, &tile, sizeof tile);
    cublasLtMatmulAlgoConfigSetAttribute(&answer.algo, CUBLASLT_ALGO_CONFIG_SPLITK_NUM, &split_k, sizeof split_k);
    cublasLtMatmulAlgoConfigSetAttribute(&answer.algo, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME, &reduction,
                                         sizeof reduction);
    answer.workspaceSize = workspace;
    answer.state = state;
    return answer;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t op,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int wanted,
                                              cublasLtMatmulHeuristicResult_t results[], int *n)
{
    uint64_t rows = 0;
    size_t written;

    (void)handle, (void)op, (void)a, (void)b, (void)c, (void)preference;
    cublasLtMatrixLayoutGetAttribute(d, CUBLASLT_MATRIX_LAYOUT_ROWS, &rows, sizeof rows, &written);
    *n = 0;
    if (rows == 1 || wanted < N_ANSWERS) return CUBLAS_STATUS_INVALID_VALUE;
    results[(*n)++] = answer_of(1, 0, CUBLAS_STATUS_NOT_SUPPORTED);
    results[(*n)++] = answer_of(2, SIZE_MAX / 2, CUBLAS_STATUS_SUCCESS);
    results[(*n)++] = answer_of(3, 4096, CUBLAS_STATUS_SUCCESS);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t op, const void *alpha, const void *A,
                              cublasLtMatrixLayout_t a, const void *B, cublasLtMatrixLayout_t b, const void *beta,
                              const void *C, cublasLtMatrixLayout_t c, void *D, cublasLtMatrixLayout_t d,
                              const cublasLtMatmulAlgo_t *algo, void *workspace, size_t nbytes, cudaStream_t stream)
{
    uint32_t tile = 0;
    size_t written;

    (void)handle, (void)op, (void)alpha, (void)A, (void)a, (void)B, (void)b, (void)beta, (void)C, (void)c, (void)D,
        (void)d;
    (void)workspace, (void)nbytes, (void)stream;
    cublasLtMatmulAlgoConfigGetAttribute(algo, CUBLASLT_ALGO_CONFIG_TILE_ID, &tile, sizeof tile, &written);
    printf("product with tile %u\n", tile);
    return CUBLAS_STATUS_SUCCESS;
}
