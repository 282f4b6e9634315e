/*
 * cuBLASLt on the host: the rules for what goes together, and products queued on the stream.
 *
 * It takes fp32 and bf16 factors with fp32 sums, and refuses what the library's table of types leaves out: C in another
 * type than D, a bias in another type than D, TF32 of bf16.  cublasLtMatmulAlgoGetHeuristic answers with one algorithm that
 * belongs to that very product: used for another, or with pointers aligned worse than was promised (256 bytes where the
 * preference says nothing), or with less workspace, cublasLtMatmul refuses.  The workspace is filled with NaN.
 *
 * Whether the real library has a fused kernel for a shape is known to it alone.  So that callers' ways around are tested,
 * STANDIN_CUBLASLT_REFUSE lists epilogues that are not there, by number ("512,6") or "all" for all but DEFAULT.
 *
 * Not checked: order of sums, limits of real kernels (fused epilogues on row-major or oddly aligned matrices are refused
 * as far as documented), float16, integers, fp8, emulation, MatrixTransform.
 */
#include <cublasLt.h>

#include <cstdio>
#include <cstdlib>

#include "tests/gpu/standin/cublaslt_objects.h"
#include "tests/gpu/standin/libraries.h"
#include "tests/gpu/standin/product.h"

using standin::complain;
using standin::description;
using standin::layout;
using standin::of;
using standin::preference;

enum { BEST_ALIGNMENT = 256, WORKSPACE_ALIGNMENT = 16, MASK_LD = 128, GELU_LD = 8 };

/* --------------------------------------------------------- what goes together */

static bool is_float(uint32_t type) { return type == CUDA_R_32F || type == CUDA_R_16BF; }

static bool types_fit(const description &d, const layout &a, const layout &b, const layout &c, const layout &out)
{
    const bool plain = d.compute == CUBLAS_COMPUTE_32F || d.compute == CUBLAS_COMPUTE_32F_PEDANTIC;

    if (d.scale != CUDA_R_32F || !is_float(a.type) || a.type != b.type || c.type != out.type) return false;
    if (a.type == CUDA_R_32F) return out.type == CUDA_R_32F && (plain || d.compute == CUBLAS_COMPUTE_32F_FAST_TF32);
    return plain && is_float(out.type);
}

static bool lies_well(const layout &l)
{
    const uint64_t least = l.order == CUBLASLT_ORDER_ROW ? l.cols : l.rows;

    return l.rows > 0 && l.cols > 0 && l.ld >= 0 && (uint64_t)l.ld >= least && l.batch >= 1;
}

static bool shapes_fit(const description &d, const layout &a, const layout &b, const layout &c, const layout &out)
{
    const uint64_t m = d.trans_a ? a.cols : a.rows, k = d.trans_a ? a.rows : a.cols;
    const uint64_t l = d.trans_b ? b.cols : b.rows, n = d.trans_b ? b.rows : b.cols;

    return lies_well(a) && lies_well(b) && lies_well(c) && lies_well(out) && k == l && out.rows == m && out.cols == n &&
           c.rows == m && c.cols == n && b.batch == a.batch && c.batch == a.batch && out.batch == a.batch;
}

static bool known(uint32_t epilogue)
{
    static const uint32_t all[] = {
        CUBLASLT_EPILOGUE_DEFAULT, CUBLASLT_EPILOGUE_RELU, CUBLASLT_EPILOGUE_RELU_AUX, CUBLASLT_EPILOGUE_BIAS,
        CUBLASLT_EPILOGUE_RELU_BIAS, CUBLASLT_EPILOGUE_RELU_AUX_BIAS, CUBLASLT_EPILOGUE_DRELU,
        CUBLASLT_EPILOGUE_DRELU_BGRAD, CUBLASLT_EPILOGUE_GELU, CUBLASLT_EPILOGUE_GELU_AUX, CUBLASLT_EPILOGUE_GELU_BIAS,
        CUBLASLT_EPILOGUE_GELU_AUX_BIAS, CUBLASLT_EPILOGUE_DGELU, CUBLASLT_EPILOGUE_DGELU_BGRAD,
        CUBLASLT_EPILOGUE_BGRADA, CUBLASLT_EPILOGUE_BGRADB};

    for (const uint32_t one : all)
        if (epilogue == one) return true;
    return false;
}

/* STANDIN_CUBLASLT_REFUSE */
static bool refused_by_wish(uint32_t epilogue)
{
    const char *list = getenv("STANDIN_CUBLASLT_REFUSE");

    if (!list) return false;
    if (strcmp(list, "all") == 0) return epilogue != CUBLASLT_EPILOGUE_DEFAULT;
    for (char *end; *list; list = *end ? end + 1 : end) {
        if (strtoul(list, &end, 10) == epilogue) return true;
        if (end == list) break;
    }
    return false;
}

static bool has_aux(uint32_t epilogue) { return epilogue & 128; }
static bool has_bias(uint32_t epilogue)
{
    return epilogue & (CUBLASLT_EPILOGUE_BIAS | standin::EPILOGUE_BGRAD | CUBLASLT_EPILOGUE_BGRADA |
                       CUBLASLT_EPILOGUE_BGRADB);
}
static bool is_gelu(uint32_t epilogue) { return epilogue & (CUBLASLT_EPILOGUE_GELU | 64); }

static cublasStatus_t epilogue_fits(const description &d, const layout &a, const layout &b, const layout &out)
{
    if (d.epilogue == CUBLASLT_EPILOGUE_DEFAULT) return CUBLAS_STATUS_SUCCESS;
    if (!known(d.epilogue)) return CUBLAS_STATUS_INVALID_VALUE;
    if (has_aux(d.epilogue)) {
        const int64_t unit = is_gelu(d.epilogue) ? GELU_LD : MASK_LD;
        if (d.aux_ld % unit || (uint64_t)d.aux_ld < out.rows || d.aux_stride % unit) return CUBLAS_STATUS_INVALID_VALUE;
        if (is_gelu(d.epilogue) && d.aux_type != -1 && (uint32_t)d.aux_type != out.type) return CUBLAS_STATUS_NOT_SUPPORTED;
    }
    if (has_bias(d.epilogue) && d.bias_type != -1 && (uint32_t)d.bias_type != out.type)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    const bool columns = a.order == CUBLASLT_ORDER_COL && b.order == CUBLASLT_ORDER_COL && out.order == CUBLASLT_ORDER_COL;
    return columns ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
}

static standin::matrix matrix_of(const layout &l)
{
    return {l.type == CUDA_R_16BF, l.order == CUBLASLT_ORDER_ROW, l.rows, l.cols, l.ld, l.stride};
}

static cublasStatus_t product_of(const description *d, const layout *a, const layout *b, const layout *c,
                                 const layout *out, standin::product *p)
{
    if (!d || !a || !b || !c || !out) return CUBLAS_STATUS_INVALID_VALUE;
    for (const layout *l : {a, b, c, out})
        if ((l->order != CUBLASLT_ORDER_COL && l->order != CUBLASLT_ORDER_ROW) || l->batch_mode != 0)
            return CUBLAS_STATUS_NOT_SUPPORTED;
    if (!shapes_fit(*d, *a, *b, *c, *out)) return CUBLAS_STATUS_INVALID_VALUE;
    if (!types_fit(*d, *a, *b, *c, *out) || d->trans_c != CUBLAS_OP_N || d->fill != CUBLAS_FILL_MODE_FULL ||
        (d->pointer_mode != CUBLASLT_POINTER_MODE_HOST && d->pointer_mode != CUBLASLT_POINTER_MODE_DEVICE))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    const cublasStatus_t status = epilogue_fits(*d, *a, *b, *out);
    if (status != CUBLAS_STATUS_SUCCESS) return status;

    p->A = matrix_of(*a), p->B = matrix_of(*b), p->C = matrix_of(*c), p->D = matrix_of(*out);
    p->m = out->rows, p->n = out->cols, p->k = d->trans_a ? a->rows : a->cols;
    p->bias_stride = d->bias_stride, p->aux_ld = d->aux_ld, p->aux_stride = d->aux_stride;
    p->epilogue = d->epilogue, p->batch = out->batch;
    p->trans_a = d->trans_a != CUBLAS_OP_N, p->trans_b = d->trans_b != CUBLAS_OP_N;
    p->tf32 = d->compute == CUBLAS_COMPUTE_32F_FAST_TF32;
    p->scalars_on_device = d->pointer_mode == CUBLASLT_POINTER_MODE_DEVICE;
    return CUBLAS_STATUS_SUCCESS;
}

/* -------------------------------------------------------------- heuristics */

enum { WORKSPACE_FROM_K = 64, MOST_WORKSPACE = 1 << 20 };
static const uint64_t algo_magic = 0x73616e6474696e00;

/* What an algorithm was chosen for. */
struct choice {
    uint64_t magic, fingerprint, workspace;
    uint32_t align_a, align_b, align_c, align_d, align_bias, align_aux;
};
static_assert(sizeof(choice) <= sizeof(cublasLtMatmulAlgo_t), "choice");

static uint32_t alignment_of(const void *pointer)
{
    const uintptr_t at = (uintptr_t)pointer | BEST_ALIGNMENT;

    return (uint32_t)(at & -at);
}

static bool aligned(const void *pointer, uint32_t alignment) { return (uintptr_t)pointer % alignment == 0; }

static void mix(uint64_t *hash, uint64_t value) { *hash = (*hash ^ value) * 0x100000001b3 + (*hash >> 29); }

static uint64_t fingerprint(const standin::product &p)
{
    uint64_t hash = 0xcbf29ce484222325;

    for (const standin::matrix *l : {&p.A, &p.B, &p.C, &p.D}) {
        mix(&hash, l->bf16 * 2 + l->row_major);
        mix(&hash, l->rows), mix(&hash, l->cols), mix(&hash, l->ld), mix(&hash, l->batch_stride);
    }
    mix(&hash, p.aux_ld), mix(&hash, p.epilogue), mix(&hash, p.batch);
    mix(&hash, p.trans_a + 2 * p.trans_b + 4 * p.tf32 + 8 * p.scalars_on_device);
    return hash;
}

/* Some, if the sum is long enough to be cut and as far as it may. */
static uint64_t workspace_of(const standin::product &p, uint64_t most)
{
    uint64_t nbytes = p.k < WORKSPACE_FROM_K ? 0 : (p.m * p.n * sizeof(float) + BEST_ALIGNMENT - 1) / BEST_ALIGNMENT *
                                                       BEST_ALIGNMENT;

    if (nbytes > MOST_WORKSPACE) nbytes = MOST_WORKSPACE;
    return nbytes <= most ? nbytes : 0;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t operation,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t out,
                                              cublasLtMatmulPreference_t wishes, int requested,
                                              cublasLtMatmulHeuristicResult_t results[], int *returned)
{
    standin::product p;

    if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
    if (requested < 1 || !results || !returned || !wishes) return CUBLAS_STATUS_INVALID_VALUE;
    *returned = 0;
    const cublasStatus_t status = product_of(of(operation), of(a), of(b), of(c), of(out), &p);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    const preference *w = of(wishes);
    const uint32_t size = (uint32_t)p.A.element();
    if (refused_by_wish(p.epilogue) || w->align_a % size || w->align_b % size || w->align_c % p.C.element() ||
        w->align_d % p.D.element())
        return CUBLAS_STATUS_NOT_SUPPORTED;

    const choice made = {algo_magic, fingerprint(p), workspace_of(p, w->workspace), w->align_a, w->align_b, w->align_c,
                         w->align_d, alignment_of(of(operation)->bias), alignment_of(of(operation)->aux)};
    cublasLtMatmulHeuristicResult_t *best = &results[0];
    memset(best, 0, sizeof *best);
    memcpy(&best->algo, &made, sizeof made);
    best->workspaceSize = made.workspace;
    best->state = CUBLAS_STATUS_SUCCESS;
    best->wavesCount = 1.0f;
    *returned = 1;
    return CUBLAS_STATUS_SUCCESS;
}

/* ------------------------------------------------------------------ matmul */

/* Whether the algorithm was chosen for this call. */
static bool chosen_for(const choice &made, const standin::product &p, const standin::operands &at, void *workspace,
                       size_t nbytes)
{
    const char *wrong = NULL;

    if (made.magic != algo_magic) wrong = "an algorithm that no heuristic gave";
    else if (made.fingerprint != fingerprint(p)) wrong = "an algorithm that was chosen for another product";
    else if (!aligned(at.A, made.align_a)) wrong = "A is aligned worse than the preference promised";
    else if (!aligned(at.B, made.align_b)) wrong = "B is aligned worse than the preference promised";
    else if (!aligned(at.C, made.align_c)) wrong = "C is aligned worse than the preference promised";
    else if (!aligned(at.D, made.align_d)) wrong = "D is aligned worse than the preference promised";
    else if (has_bias(p.epilogue) && !aligned(at.bias, made.align_bias))
        wrong = "the bias is aligned worse than the pointer that the heuristic saw";
    else if (has_aux(p.epilogue) && !aligned(at.aux, made.align_aux))
        wrong = "aux is aligned worse than the pointer that the heuristic saw";
    else if (made.workspace > nbytes || (made.workspace > 0 && (!workspace || !aligned(workspace, WORKSPACE_ALIGNMENT))))
        wrong = "the workspace is missing, misaligned or smaller than the algorithm's";
    if (wrong) complain("cublasLtMatmul: %s", wrong);
    return !wrong;
}

/* Whether D may be written while the others are read. */
static bool lies_apart(const standin::product &p, const standin::operands &at, const void *workspace, size_t nbytes)
{
    const size_t batch = (size_t)p.batch, d_nbytes = p.D.nbytes(batch);
    const bool reads_c = p.scalars_on_device || at.host_beta != 0.0f;
    const char *wrong = NULL;

    if (standin::overlap(at.D, d_nbytes, at.A, p.A.nbytes(batch))) wrong = "D lies over A";
    else if (standin::overlap(at.D, d_nbytes, at.B, p.B.nbytes(batch))) wrong = "D lies over B";
    else if (reads_c && at.C != at.D && standin::overlap(at.D, d_nbytes, at.C, p.C.nbytes(batch)))
        wrong = "D lies over C, shifted";
    else if (reads_c && at.C == at.D && (p.C.ld != p.D.ld || p.C.row_major != p.D.row_major))
        wrong = "C is D in another layout";
    else if (standin::overlap(at.D, d_nbytes, workspace, nbytes)) wrong = "the workspace lies over D";
    else if (standin::overlap(at.A, p.A.nbytes(batch), workspace, nbytes)) wrong = "the workspace lies over A";
    else if (standin::overlap(at.B, p.B.nbytes(batch), workspace, nbytes)) wrong = "the workspace lies over B";
    if (wrong) complain("cublasLtMatmul: %s", wrong);
    return !wrong;
}

static bool all_there(const standin::product &p, const standin::operands &at)
{
    return at.A && at.B && at.D && at.alpha && at.beta && (!has_bias(p.epilogue) || at.bias) &&
           (!has_aux(p.epilogue) || at.aux) && (at.C || (!p.scalars_on_device && *at.beta == 0.0f));
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t operation, const void *alpha, const void *A,
                              cublasLtMatrixLayout_t a, const void *B, cublasLtMatrixLayout_t b, const void *beta,
                              const void *C, cublasLtMatrixLayout_t c, void *D, cublasLtMatrixLayout_t out,
                              const cublasLtMatmulAlgo_t *algo, void *workspace, size_t nbytes, cudaStream_t stream)
{
    standin::product p;

    if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
    const cublasStatus_t status = product_of(of(operation), of(a), of(b), of(c), of(out), &p);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    standin::operands at = {A, B, C, D, of(operation)->bias, of(operation)->aux, (const float *)alpha,
                            (const float *)beta, 0.0f, 0.0f};
    if (!all_there(p, at)) {
        complain("cublasLtMatmul: a pointer that epilogue %u needs is NULL", p.epilogue);
        return CUBLAS_STATUS_INVALID_VALUE;
    }
    if (!p.scalars_on_device) at.host_alpha = *at.alpha, at.host_beta = *at.beta;

    choice made = {};
    if (algo) memcpy(&made, algo, sizeof made);
    else if (refused_by_wish(p.epilogue)) return CUBLAS_STATUS_NOT_SUPPORTED;
    if (algo && !chosen_for(made, p, at, workspace, nbytes)) return CUBLAS_STATUS_INVALID_VALUE;
    if (!lies_apart(p, at, workspace, made.workspace)) return CUBLAS_STATUS_INVALID_VALUE;
    standin_enqueue(stream, [p, at, workspace, made] {
        standin::spoil(workspace, made.workspace);
        standin::run_product(p, at);
    });
    return CUBLAS_STATUS_SUCCESS;
}

/* ------------------------------------------------------------------ handle */

struct cublasLtContext {
    int unused;
};

cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle)
{
    if (!handle) return CUBLAS_STATUS_INVALID_VALUE;
    *handle = (cublasLtHandle_t) new cublasLtContext();
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle)
{
    delete (cublasLtContext *)handle;
    return CUBLAS_STATUS_SUCCESS;
}

size_t cublasLtGetVersion(void) { return CUBLAS_VERSION; }
size_t cublasLtGetCudartVersion(void) { return CUDART_VERSION; }

const char *cublasLtGetStatusName(cublasStatus_t status)
{
    switch (status) {
    case CUBLAS_STATUS_SUCCESS: return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED: return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_ALLOC_FAILED: return "CUBLAS_STATUS_ALLOC_FAILED";
    case CUBLAS_STATUS_INVALID_VALUE: return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_NOT_SUPPORTED: return "CUBLAS_STATUS_NOT_SUPPORTED";
    default: return "CUBLAS_STATUS_INTERNAL_ERROR";
    }
}

const char *cublasLtGetStatusString(cublasStatus_t status) { return cublasLtGetStatusName(status); }
