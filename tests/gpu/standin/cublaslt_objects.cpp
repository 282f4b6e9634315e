/*
 * cuBLASLt's descriptors on the host: made, set, read, released.  Attributes that no float product needs (scales of fp8,
 * emulation, vectors of alpha) are not there, and said so.
 */
#include "tests/gpu/standin/cublaslt_objects.h"

#include <new>

#include "tests/gpu/standin/libraries.h"

using standin::complain;
using standin::description;
using standin::layout;
using standin::of;
using standin::preference;

enum { BEST_ALIGNMENT = 256 };

struct field {
    void *at;
    size_t nbytes;
};
template <typename T> static field as_field(T &member) { return {&member, sizeof member}; }

static field field_of(layout *l, int attribute)
{
    switch (attribute) {
    case CUBLASLT_MATRIX_LAYOUT_TYPE: return as_field(l->type);
    case CUBLASLT_MATRIX_LAYOUT_ORDER: return as_field(l->order);
    case CUBLASLT_MATRIX_LAYOUT_ROWS: return as_field(l->rows);
    case CUBLASLT_MATRIX_LAYOUT_COLS: return as_field(l->cols);
    case CUBLASLT_MATRIX_LAYOUT_LD: return as_field(l->ld);
    case CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT: return as_field(l->batch);
    case CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET: return as_field(l->stride);
    case CUBLASLT_MATRIX_LAYOUT_BATCH_MODE: return as_field(l->batch_mode);
    }
    return {NULL, 0};
}

static field field_of(description *d, int attribute)
{
    switch (attribute) {
    case CUBLASLT_MATMUL_DESC_COMPUTE_TYPE: return as_field(d->compute);
    case CUBLASLT_MATMUL_DESC_SCALE_TYPE: return as_field(d->scale);
    case CUBLASLT_MATMUL_DESC_POINTER_MODE: return as_field(d->pointer_mode);
    case CUBLASLT_MATMUL_DESC_TRANSA: return as_field(d->trans_a);
    case CUBLASLT_MATMUL_DESC_TRANSB: return as_field(d->trans_b);
    case CUBLASLT_MATMUL_DESC_TRANSC: return as_field(d->trans_c);
    case CUBLASLT_MATMUL_DESC_FILL_MODE: return as_field(d->fill);
    case CUBLASLT_MATMUL_DESC_EPILOGUE: return as_field(d->epilogue);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER: return as_field(d->bias);
    case CUBLASLT_MATMUL_DESC_BIAS_BATCH_STRIDE: return as_field(d->bias_stride);
    case CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE: return as_field(d->bias_type);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER: return as_field(d->aux);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD: return as_field(d->aux_ld);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_BATCH_STRIDE: return as_field(d->aux_stride);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_DATA_TYPE: return as_field(d->aux_type);
    }
    return {NULL, 0};
}

static field field_of(preference *p, int attribute)
{
    switch (attribute) {
    case CUBLASLT_MATMUL_PREF_SEARCH_MODE: return as_field(p->search);
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES: return as_field(p->workspace);
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK: return as_field(p->reduction);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES: return as_field(p->align_a);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES: return as_field(p->align_b);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES: return as_field(p->align_c);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES: return as_field(p->align_d);
    }
    return {NULL, 0};
}

template <typename T> static cublasStatus_t set(T *object, int attribute, const void *value, size_t nbytes)
{
    const field f = object ? field_of(object, attribute) : field{NULL, 0};

    if (object && !f.at) complain("cublasLt: attribute %d is not there", attribute);
    if (!f.at || !value || nbytes != f.nbytes) return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(f.at, value, nbytes);
    return CUBLAS_STATUS_SUCCESS;
}

template <typename T> static cublasStatus_t get(T *object, int attribute, void *value, size_t nbytes, size_t *written)
{
    const field f = object ? field_of(object, attribute) : field{NULL, 0};

    if (!f.at || (nbytes == 0 ? !written : !value || nbytes != f.nbytes)) return CUBLAS_STATUS_INVALID_VALUE;
    if (nbytes > 0) memcpy(value, f.at, nbytes);
    if (written) *written = f.nbytes;
    return CUBLAS_STATUS_SUCCESS;
}

/* New memory for an opaque structure. */
template <typename T> static cublasStatus_t make(T **out)
{
    if (!out) return CUBLAS_STATUS_INVALID_VALUE;
    *out = new (std::nothrow) T();
    return *out ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_ALLOC_FAILED;
}

template <typename T> static cublasStatus_t unmake(T *object)
{
    delete object;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutInit_internal(cublasLtMatrixLayout_t opaque, size_t size, cudaDataType type,
                                                 uint64_t rows, uint64_t cols, int64_t ld)
{
    if (size < sizeof(layout)) return CUBLAS_STATUS_ALLOC_FAILED;
    *of(opaque) = {(uint32_t)type, CUBLASLT_ORDER_COL, rows, cols, ld, 1, 0, 0};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *out, cudaDataType type, uint64_t rows, uint64_t cols,
                                          int64_t ld)
{
    const cublasStatus_t status = make(out);
    return status ? status : cublasLtMatrixLayoutInit_internal(*out, sizeof **out, type, rows, cols, ld);
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t opaque) { return unmake(opaque); }

cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t opaque, cublasLtMatrixLayoutAttribute_t attribute,
                                                const void *value, size_t nbytes)
{
    return set(of(opaque), attribute, value, nbytes);
}

cublasStatus_t cublasLtMatrixLayoutGetAttribute(cublasLtMatrixLayout_t opaque, cublasLtMatrixLayoutAttribute_t attribute,
                                                void *value, size_t nbytes, size_t *written)
{
    return get(of(opaque), attribute, value, nbytes, written);
}

cublasStatus_t cublasLtMatmulDescInit_internal(cublasLtMatmulDesc_t opaque, size_t size, cublasComputeType_t compute,
                                               cudaDataType_t scale)
{
    if (size < sizeof(description)) return CUBLAS_STATUS_ALLOC_FAILED;
    description d = {};
    d.compute = compute, d.scale = scale;
    d.pointer_mode = CUBLASLT_POINTER_MODE_HOST, d.fill = CUBLAS_FILL_MODE_FULL;
    d.bias_type = d.aux_type = -1;
    d.epilogue = CUBLASLT_EPILOGUE_DEFAULT;
    *of(opaque) = d;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *out, cublasComputeType_t compute, cudaDataType_t scale)
{
    const cublasStatus_t status = make(out);
    return status ? status : cublasLtMatmulDescInit_internal(*out, sizeof **out, compute, scale);
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t opaque) { return unmake(opaque); }

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t opaque, cublasLtMatmulDescAttributes_t attribute,
                                              const void *value, size_t nbytes)
{
    return set(of(opaque), attribute, value, nbytes);
}

cublasStatus_t cublasLtMatmulDescGetAttribute(cublasLtMatmulDesc_t opaque, cublasLtMatmulDescAttributes_t attribute,
                                              void *value, size_t nbytes, size_t *written)
{
    return get(of(opaque), attribute, value, nbytes, written);
}

cublasStatus_t cublasLtMatmulPreferenceInit_internal(cublasLtMatmulPreference_t opaque, size_t size)
{
    if (size < sizeof(preference)) return CUBLAS_STATUS_ALLOC_FAILED;
    *of(opaque) = {0, CUBLASLT_SEARCH_BEST_FIT, CUBLASLT_REDUCTION_SCHEME_MASK, BEST_ALIGNMENT, BEST_ALIGNMENT,
                   BEST_ALIGNMENT, BEST_ALIGNMENT};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *out)
{
    const cublasStatus_t status = make(out);
    return status ? status : cublasLtMatmulPreferenceInit_internal(*out, sizeof **out);
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t opaque) { return unmake(opaque); }

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t opaque,
                                                    cublasLtMatmulPreferenceAttributes_t attribute, const void *value,
                                                    size_t nbytes)
{
    return set(of(opaque), attribute, value, nbytes);
}

cublasStatus_t cublasLtMatmulPreferenceGetAttribute(cublasLtMatmulPreference_t opaque,
                                                    cublasLtMatmulPreferenceAttributes_t attribute, void *value,
                                                    size_t nbytes, size_t *written)
{
    return get(of(opaque), attribute, value, nbytes, written);
}
