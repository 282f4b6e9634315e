/*
 * The matrix products of engine/cuda/gemm.h on the host, in place of gemm.cu.
 *
 *     acc[i,j] = sum_l op(A)[i,l] op(B)[l,j]              l ascending, fp32, in pieces; factors to 10 bits under TF32
 *     D[i,j]   = acc[i,j] + beta D[i,j] + vector[i]       rounded once to the type of D
 *     SUMS     vector[j] = sum_l op(B)[l,j]
 *
 * Pointers must be aligned as the spec promised, and nothing may lie over D; the workspace is filled with NaN.  What
 * the library has for a shape is known to it alone: STANDIN_GEMM_REFUSE=vector says that it has no products with a
 * vector, =all that it has none.
 */
#include "engine/cuda/gemm.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <vector>

using standin::load;
using standin::overlap;
using standin::store;

struct cuda_gemm {
    cuda_ctx *ctx; /* borrowed */
    cuda_gemm_spec spec;
};

enum { VERSION = 130200 };
static const size_t ROWS_AT_ONCE = 512, COLS_AT_ONCE = 4, SUM_AT_ONCE = 1024;

lk_status cuda_gemm_open(cuda_ctx *) { return LK_OK; }
void cuda_gemm_close(cuda_ctx *) {}
size_t cuda_gemm_version(void) { return VERSION; }

static bool refused(const cuda_gemm_spec *spec)
{
    const char *wish = getenv("STANDIN_GEMM_REFUSE");

    return wish && (strcmp(wish, "all") == 0 || (strcmp(wish, "vector") == 0 && spec->vector != CUDA_GEMM_ALONE));
}

lk_status cuda_gemm_new(cuda_ctx *ctx, const cuda_gemm_spec *spec, cuda_gemm **out)
{
    *out = refused(spec) ? NULL : new cuda_gemm{ctx, *spec};
    return LK_OK;
}

void cuda_gemm_free(cuda_gemm **gemm)
{
    delete *gemm;
    *gemm = NULL;
}

uint64_t cuda_gemm_choice(const cuda_gemm *) { return lk_choose(0, VERSION); }

/* -------------------------------------------------------------- arithmetic */

/* op(M) (rows, cols), column after column: the innermost loop of multiply() runs along memory. */
static std::vector<float> gather(const void *M, bool bf16, bool transposed, size_t rows, size_t cols, bool tf32)
{
    std::vector<float> into(rows * cols);

    for (size_t j = 0; j < cols; j++)
        for (size_t i = 0; i < rows; i++) {
            const float value = load(M, transposed ? i * cols + j : j * rows + i, bf16);
            into[j * rows + i] = tf32 ? standin::to_tf32(value) : value;
        }
    return into;
}

/* acc += a b over l in [first, last) for a block of acc: (n, m); a: (k, m); b: (n, k). */
static void add_block(float *acc, const float *a, const float *b, size_t m, size_t k, size_t rows, size_t cols,
                      size_t first, size_t last)
{
    float sum[COLS_AT_ONCE][ROWS_AT_ONCE] = {};

    for (size_t l = first; l < last; l++)
        for (size_t j = 0; j < cols; j++) {
            const float factor = b[j * k + l], *column = a + l * m;
            for (size_t i = 0; i < rows; i++) sum[j][i] += column[i] * factor;
        }
    for (size_t j = 0; j < cols; j++)
        for (size_t i = 0; i < rows; i++) acc[j * m + i] += sum[j][i];
}

static void multiply(float *acc, const float *a, const float *b, size_t m, size_t n, size_t k)
{
    for (size_t j = 0; j < n; j += COLS_AT_ONCE)
        for (size_t i = 0; i < m; i += ROWS_AT_ONCE)
            for (size_t l = 0; l < k; l += SUM_AT_ONCE)
                add_block(acc + j * m + i, a + i, b + j * k, m, k, std::min(m - i, ROWS_AT_ONCE),
                          std::min(n - j, COLS_AT_ONCE), l, std::min(k, l + SUM_AT_ONCE));
}

static void run_product(const cuda_gemm_spec &s, const void *A, const void *B, void *vector, void *D)
{
    const std::vector<float> a = gather(A, s.in_bf16, s.trans_a, s.m, s.k, s.tf32);
    const std::vector<float> b = gather(B, s.in_bf16, s.trans_b, s.k, s.n, s.tf32);
    std::vector<float> acc(s.m * s.n);

    multiply(acc.data(), a.data(), b.data(), s.m, s.n, s.k);
    for (size_t e = 0; e < acc.size(); e++) {
        if (s.beta != 0.0f) acc[e] += s.beta * load(D, e, s.out_bf16);
        if (s.vector == CUDA_GEMM_BIAS) acc[e] += load(vector, e % s.m, s.out_bf16);
        store(D, e, acc[e], s.out_bf16);
    }
    for (size_t j = 0; s.vector == CUDA_GEMM_SUMS && j < s.n; j++) {
        float sum = 0.0f;
        for (size_t l = 0; l < s.k; l++) sum += b[j * s.k + l];
        store(vector, j, sum, s.out_bf16);
    }
}

/* --------------------------------------------------------------------- run */

static bool aligned(const void *pointer, uint32_t alignment) { return (uintptr_t)pointer % alignment == 0; }

static size_t nbytes_of(uint64_t n_elem, bool bf16) { return n_elem * (bf16 ? sizeof(__nv_bfloat16) : sizeof(float)); }

static const char *what_is_wrong(const cuda_gemm_spec &s, const void *a, const void *b, const void *vector,
                                 const void *d)
{
    const size_t d_nbytes = nbytes_of(s.m * s.n, s.out_bf16);

    if (!a || !b || !d || !vector != (s.vector == CUDA_GEMM_ALONE)) return "a pointer is missing, or one too many";
    if (!aligned(a, s.align_a)) return "A is aligned worse than was promised";
    if (!aligned(b, s.align_b)) return "B is aligned worse than was promised";
    if (!aligned(d, s.align_d)) return "D is aligned worse than was promised";
    if (vector && !aligned(vector, s.align_vector)) return "the vector is aligned worse than was promised";
    if (overlap(d, d_nbytes, a, nbytes_of(s.m * s.k, s.in_bf16))) return "D lies over A";
    if (overlap(d, d_nbytes, b, nbytes_of(s.k * s.n, s.in_bf16))) return "D lies over B";
    if (overlap(d, d_nbytes, vector, vector ? sizeof(__nv_bfloat16) : 0)) return "D lies over the vector";
    return NULL;
}

lk_status cuda_gemm_run(const cuda_gemm *gemm, const void *a, const void *b, void *vector, void *d)
{
    const cuda_gemm_spec s = gemm->spec;
    void *workspace = gemm->ctx->workspace;
    const char *wrong = what_is_wrong(s, a, b, vector, d);

    if (wrong) return LK_FAIL(LK_ERR_SYSTEM, "a product of the stand-in: %s", wrong);
    standin_enqueue(gemm->ctx->stream, [=] {
        standin::spoil(workspace, CUDA_WORKSPACE_BYTES);
        run_product(s, a, b, vector, d);
    });
    return LK_OK;
}
