/* cuBLASLt's descriptors as the stand-in keeps them. */
#ifndef STANDIN_CUBLASLT_OBJECTS_H
#define STANDIN_CUBLASLT_OBJECTS_H

#include <cublasLt.h>

#include <cstdint>

namespace standin {

/* These lie in the opaque structures that callers may also keep on their stack. */
struct layout {
    uint32_t type;
    int32_t order;
    uint64_t rows, cols;
    int64_t ld;
    int32_t batch;
    uint32_t batch_mode;
    int64_t stride;
};

struct description {
    int32_t compute, scale, pointer_mode, trans_a, trans_b, trans_c, fill, bias_type, aux_type;
    uint32_t epilogue;
    void *bias, *aux;
    int64_t bias_stride, aux_ld, aux_stride;
};

struct preference {
    uint64_t workspace;
    uint32_t search, reduction, align_a, align_b, align_c, align_d;
};

static_assert(sizeof(layout) <= sizeof(cublasLtMatrixLayoutOpaque_t), "layout");
static_assert(sizeof(description) <= sizeof(cublasLtMatmulDescOpaque_t), "description");
static_assert(sizeof(preference) <= sizeof(cublasLtMatmulPreferenceOpaque_t), "preference");

static inline layout *of(cublasLtMatrixLayout_t opaque) { return (layout *)opaque; }
static inline description *of(cublasLtMatmulDesc_t opaque) { return (description *)opaque; }
static inline preference *of(cublasLtMatmulPreference_t opaque) { return (preference *)opaque; }

} // namespace standin

#endif
