/*
 * What the engine asks cuBLASLt's heuristic, and what it answers: to be preloaded (LD_PRELOAD) into a program that
 * opens the CUDA module.  A line of JSON for each question to the file that LOCKSTEP_GEMM_LOG names, numbers as in
 * cublasLt.h; of the answers the engine takes the first whose state is 0 and whose workspace fits
 * (engine/cuda/gemm.cu).
 *
 * cuBLASLt itself comes behind this library in the order of symbols, for it is linked to it.
 */
#include <cublasLt.h>
#include <dlfcn.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { MOST_ANSWERS = 64, LINE_BYTES = 16384 };

typedef struct line { char text[LINE_BYTES]; size_t used; } line;

#define ADD(l, ...) (l)->used += (size_t)snprintf((l)->text + (l)->used, sizeof (l)->text - (l)->used, __VA_ARGS__)

/* An attribute of `type`, 0 where this version of the library has none such. */
#define READER(name, object, enumeration, type, get)                                             \
    static int64_t name(object of, enumeration attribute)                                        \
    {                                                                                            \
        type value = 0;                                                                          \
        size_t written = 0;                                                                      \
        return get(of, attribute, &value, sizeof value, &written) == CUBLAS_STATUS_SUCCESS ? (int64_t)value : 0; \
    }
READER(of_op, cublasLtMatmulDesc_t, cublasLtMatmulDescAttributes_t, int32_t, cublasLtMatmulDescGetAttribute)
READER(type_of, cublasLtMatrixLayout_t, cublasLtMatrixLayoutAttribute_t, uint32_t, cublasLtMatrixLayoutGetAttribute)
READER(size_of, cublasLtMatrixLayout_t, cublasLtMatrixLayoutAttribute_t, uint64_t, cublasLtMatrixLayoutGetAttribute)
READER(of_preference, cublasLtMatmulPreference_t, cublasLtMatmulPreferenceAttributes_t, uint32_t,
       cublasLtMatmulPreferenceGetAttribute)
READER(of_algo, const cublasLtMatmulAlgo_t *, cublasLtMatmulAlgoConfigAttributes_t, uint32_t,
       cublasLtMatmulAlgoConfigGetAttribute)
READER(short_of_algo, const cublasLtMatmulAlgo_t *, cublasLtMatmulAlgoConfigAttributes_t, uint16_t,
       cublasLtMatmulAlgoConfigGetAttribute)

static void add_question(line *l, cublasLtMatmulDesc_t op, cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t d,
                         cublasLtMatmulPreference_t preference)
{
    const int64_t trans_a = of_op(op, CUBLASLT_MATMUL_DESC_TRANSA);

    ADD(l, "{\"m\": %" PRId64 ", \"n\": %" PRId64 ", \"k\": %" PRId64, size_of(d, CUBLASLT_MATRIX_LAYOUT_ROWS),
        size_of(d, CUBLASLT_MATRIX_LAYOUT_COLS),
        size_of(a, trans_a == CUBLAS_OP_N ? CUBLASLT_MATRIX_LAYOUT_COLS : CUBLASLT_MATRIX_LAYOUT_ROWS));
    ADD(l, ", \"trans\": [%" PRId64 ", %" PRId64 "], \"in\": %" PRId64 ", \"out\": %" PRId64, trans_a,
        of_op(op, CUBLASLT_MATMUL_DESC_TRANSB), type_of(a, CUBLASLT_MATRIX_LAYOUT_TYPE),
        type_of(d, CUBLASLT_MATRIX_LAYOUT_TYPE));
    ADD(l, ", \"compute\": %" PRId64 ", \"epilogue\": %" PRId64, of_op(op, CUBLASLT_MATMUL_DESC_COMPUTE_TYPE),
        of_op(op, CUBLASLT_MATMUL_DESC_EPILOGUE));
    ADD(l, ", \"align\": [%" PRId64 ", %" PRId64 ", %" PRId64 "]",
        of_preference(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES),
        of_preference(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES),
        of_preference(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES));
}

static void add_answer(line *l, const cublasLtMatmulHeuristicResult_t *answer)
{
    const cublasLtMatmulAlgo_t *algo = &answer->algo;

    ADD(l,
        "{\"state\": %d, \"workspace\": %zu, \"waves\": %.3f, \"algo\": %" PRId64 ", \"tile\": %" PRId64
        ", \"stages\": %" PRId64 ", \"split_k\": %" PRId64 ", \"reduction\": %" PRId64 ", \"swizzle\": %" PRId64
        ", \"custom\": %" PRId64 ", \"inner\": %" PRId64 ", \"cluster\": %" PRId64 "}",
        answer->state, answer->workspaceSize, (double)answer->wavesCount, of_algo(algo, CUBLASLT_ALGO_CONFIG_ID),
        of_algo(algo, CUBLASLT_ALGO_CONFIG_TILE_ID), of_algo(algo, CUBLASLT_ALGO_CONFIG_STAGES_ID),
        of_algo(algo, CUBLASLT_ALGO_CONFIG_SPLITK_NUM), of_algo(algo, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME),
        of_algo(algo, CUBLASLT_ALGO_CONFIG_CTA_SWIZZLING), of_algo(algo, CUBLASLT_ALGO_CONFIG_CUSTOM_OPTION),
        short_of_algo(algo, CUBLASLT_ALGO_CONFIG_INNER_SHAPE_ID),
        short_of_algo(algo, CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID));
}

static void write_line(const line *l)
{
    const char *path = getenv("LOCKSTEP_GEMM_LOG");
    FILE *file = path ? fopen(path, "a") : NULL;

    if (!file) {
        fprintf(stderr, "gemm_log: LOCKSTEP_GEMM_LOG must name a file that can be written\n");
        exit(1);
    }
    fprintf(file, "%s\n", l->text);
    fclose(file);
}

typedef cublasStatus_t heuristic(cublasLtHandle_t, cublasLtMatmulDesc_t, cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
                                 cublasLtMatrixLayout_t, cublasLtMatrixLayout_t, cublasLtMatmulPreference_t, int,
                                 cublasLtMatmulHeuristicResult_t[], int *);

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t op,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int wanted,
                                              cublasLtMatmulHeuristicResult_t results[], int *n)
{
    heuristic *real = (heuristic *)dlsym(RTLD_NEXT, "cublasLtMatmulAlgoGetHeuristic");
    const cublasStatus_t status = real(handle, op, a, b, c, d, preference, wanted, results, n);
    line l = {.used = 0};

    add_question(&l, op, a, d, preference);
    ADD(&l, ", \"status\": %d, \"answers\": [", status);
    for (int i = 0; status == CUBLAS_STATUS_SUCCESS && i < *n && i < MOST_ANSWERS; i++) {
        if (i > 0) ADD(&l, ", ");
        add_answer(&l, &results[i]);
    }
    ADD(&l, "]}");
    write_line(&l);
    return status;
}
