/*
 * Sums in a fixed order: of a warp, of a block, of columns.  Private to engine/cuda/.
 *
 * A warp adds by a tree of exchanges, the same for all lanes (a + b and b + a round alike); a block adds its warps'
 * sums in order.  Columns of a (rows, C) array are summed in two stages: chunks of rows, then the chunks in order and
 * in double.  Chunks are cut by the shape alone.
 */
#ifndef LK_CUDA_REDUCE_CUH
#define LK_CUDA_REDUCE_CUH

#include "engine/cuda/element.h"

enum { WARP_LANES = 32, WHOLE_WARP = -1 };

template <class T> static __device__ inline T warp_sum(T v)
{
    for (int d = WARP_LANES / 2; d > 0; d /= 2) v += __shfl_xor_sync((unsigned)WHOLE_WARP, v, d);
    return v;
}

/* NaN is passed over. */
static __device__ inline float warp_max(float v)
{
    for (int d = WARP_LANES / 2; d > 0; d /= 2) v = fmaxf(v, __shfl_xor_sync((unsigned)WHOLE_WARP, v, d));
    return v;
}

/* On every thread of a block of THREADS, a multiple of 32. */
template <class T, int THREADS> static __device__ inline T block_sum(T v)
{
    __shared__ T of_warp[THREADS / WARP_LANES];
    T sum = 0;

    v = warp_sum(v);
    if (THREADS == WARP_LANES) return v;
    __syncthreads(); /* the sums before may still be read */
    if (threadIdx.x % WARP_LANES == 0) of_warp[threadIdx.x / WARP_LANES] = v;
    __syncthreads();
    for (int w = 0; w < THREADS / WARP_LANES; w++) sum += of_warp[w];
    return sum;
}

template <int THREADS> static __device__ inline float block_max(float v)
{
    __shared__ float of_warp[THREADS / WARP_LANES];

    v = warp_max(v);
    if (THREADS == WARP_LANES) return v;
    __syncthreads();
    if (threadIdx.x % WARP_LANES == 0) of_warp[threadIdx.x / WARP_LANES] = v;
    __syncthreads();
    v = of_warp[0];
    for (int w = 1; w < THREADS / WARP_LANES; w++) v = fmaxf(v, of_warp[w]);
    return v;
}

/* ----------------------------------------------------------------- columns */

enum {
    COLUMN_X = 32, COLUMN_Y = 8, COLUMN_THREADS = COLUMN_X * COLUMN_Y,
    COLUMN_LEAST_ROWS = 256,  /* of a chunk */
    COLUMN_MOST_CHUNKS = 512,
};

/* How (rows, C) is cut: chunks of `chunk` rows; a block takes one chunk of `width` columns, which leaves `deep` rows
 * that its 256 threads take at once. */
typedef struct column_cut {
    size_t rows, C, chunk, n_chunks;
    unsigned width, deep, across;
} column_cut;

static inline column_cut column_cut_of(size_t rows, size_t C)
{
    column_cut cut;
    const size_t even = (rows + COLUMN_MOST_CHUNKS - 1) / COLUMN_MOST_CHUNKS;

    cut.rows = rows;
    cut.C = C;
    cut.chunk = even > (size_t)COLUMN_LEAST_ROWS ? even : (size_t)COLUMN_LEAST_ROWS;
    cut.n_chunks = (rows + cut.chunk - 1) / cut.chunk;
    cut.width = (unsigned)(C < (size_t)COLUMN_X ? C : (size_t)COLUMN_X);
    cut.deep = COLUMN_THREADS / cut.width;
    cut.across = (unsigned)((C + cut.width - 1) / cut.width);
    return cut;
}

static inline dim3 column_grid(const column_cut *cut) { return dim3((unsigned)cut->n_chunks * cut->across); }

/* What a thread of a column kernel works on; inside is false where there is no such column. */
typedef struct column_at {
    size_t chunk, c, first, last; /* rows [first, last) in steps of cut.deep */
    unsigned column, lane;        /* its place in the block: of cut.width and cut.deep */
    bool inside;
} column_at;

static __device__ inline column_at column_of(const column_cut *cut)
{
    column_at at;
    const size_t end = (blockIdx.x / cut->across + 1) * cut->chunk;

    at.column = threadIdx.x % cut->width;
    at.lane = threadIdx.x / cut->width;
    at.chunk = blockIdx.x / cut->across;
    at.c = (size_t)(blockIdx.x % cut->across) * cut->width + at.column;
    at.first = at.chunk * cut->chunk + at.lane;
    at.last = end < cut->rows ? end : cut->rows;
    at.inside = at.lane < cut->deep && at.c < cut->C;
    return at;
}

/* The sum over a column's lanes, in order, on all of them. */
static __device__ inline float column_fold(const column_cut *cut, const column_at *at, float v)
{
    __shared__ float of_thread[COLUMN_THREADS];
    float sum = 0.0f;

    __syncthreads();
    of_thread[threadIdx.x] = v;
    __syncthreads();
    for (unsigned lane = 0; lane < cut->deep; lane++) sum += of_thread[lane * cut->width + at->column];
    return sum;
}

/* partial (n_chunks, N, C): term.at(row, c, v) gives the N numbers that are summed. */
template <int N, class TERM>
static __global__ void column_partials(const __grid_constant__ column_cut cut, const __grid_constant__ TERM term,
                                       float *partial)
{
    const column_at at = column_of(&cut);
    float sum[N];

    for (int k = 0; k < N; k++) sum[k] = 0.0f;
    if (at.inside)
        for (size_t row = at.first; row < at.last; row += cut.deep) {
            float v[N];

            term.at(row, at.c, v);
            for (int k = 0; k < N; k++) sum[k] += v[k];
        }
    for (int k = 0; k < N; k++) {
        const float folded = column_fold(&cut, &at, sum[k]);

        if (at.inside && at.lane == 0) partial[(at.chunk * N + (size_t)k) * cut.C + at.c] = folded;
    }
}

/* store.at(c, total) gets the N sums of column c. */
template <int N, class STORE>
static __global__ void column_totals(const __grid_constant__ column_cut cut, const float *partial,
                                     const __grid_constant__ STORE store)
{
    const size_t c = element_first();
    double total[N];

    if (c >= cut.C) return;
    for (int k = 0; k < N; k++) total[k] = 0.0;
    for (size_t chunk = 0; chunk < cut.n_chunks; chunk++)
        for (int k = 0; k < N; k++) total[k] += (double)partial[(chunk * N + (size_t)k) * cut.C + c];
    store.at(c, total);
}

static inline unsigned column_total_blocks(const column_cut *cut)
{
    return (unsigned)((cut->C + ELEMENT_BLOCK - 1) / ELEMENT_BLOCK);
}

#endif
