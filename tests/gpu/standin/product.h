/* The arithmetic behind cublaslt.cpp: one matrix product with its epilogue, all decisions made. */
#ifndef STANDIN_PRODUCT_H
#define STANDIN_PRODUCT_H

#include <cublasLt.h>

#include "tests/gpu/standin/libraries.h"

namespace standin {

/* The bit that DRELU_BGRAD and DGELU_BGRAD have beside DRELU and DGELU. */
enum { EPILOGUE_BGRAD = 16 };

/* Where element (row, column) of a matrix lies. */
struct matrix {
    bool bf16, row_major;
    uint64_t rows, cols;
    int64_t ld, batch_stride;

    size_t index(size_t row, size_t col) const { return row_major ? row * ld + col : col * ld + row; }
    size_t element() const { return bf16 ? sizeof(uint16_t) : sizeof(float); }
    /* Bytes from the first to the last element of all matrices of a batch. */
    size_t nbytes(size_t batch) const
    {
        return ((size_t)batch_stride * (batch - 1) + index(rows - 1, cols - 1) + 1) * element();
    }
};

/* D = epilogue(alpha op(A) op(B) + beta C), (m, n) = (m, k) (k, n). */
struct product {
    matrix A, B, C, D;
    uint64_t m, n, k;
    int64_t bias_stride, aux_ld, aux_stride;
    uint32_t epilogue;
    int32_t batch;
    bool trans_a, trans_b, tf32, scalars_on_device;
};

struct operands {
    const void *A, *B, *C;
    void *D, *bias, *aux;
    const float *alpha, *beta; /* on the device, if scalars_on_device */
    float host_alpha, host_beta;
};

void run_product(const product &p, const operands &at);

} // namespace standin

#endif
