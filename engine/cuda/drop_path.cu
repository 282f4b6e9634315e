/*
 * Drop path: samples are kept, scaled, or made 0; also its gradient, which is the same on dy.
 *
 * A block has a piece of one sample, so that each of its threads draws the sample's word once.
 */
#include "engine/cuda/element.h"

#include "engine/base/formulas.h"
#include "engine/base/philox.h"

#include <string.h>

enum { PIECE = 16384 }; /* elements of a sample that a block takes: 64 a thread beside the word that it draws */

typedef struct drop_path_state {
    cuda_ctx *ctx; /* borrowed */
    cuda_ref x, y;
    size_t n, row_elems, pieces; /* samples; elements of one; blocks of one */
    double p;
    uint32_t layer;
    bool bf16;
} drop_path_state;

typedef struct drop_path_call {
    const void *x;
    void *y;
    size_t row_elems, pieces;
    const int64_t *sample;
    const lk_lane_args *lane;
    uint32_t k0, k1, threshold;
    float scale;
    bool bf16;
} drop_path_call;

static __device__ inline bool keeps(const drop_path_call *call, int64_t sample)
{
    const int64_t step = call->lane->step;
    uint32_t words[4];

    lk_philox_words(call->k0, call->k1, lk_dropout_block(0), (uint32_t)sample, (uint32_t)step,
                    lk_dropout_high(step, sample), words);
    return lk_dropout_keep(words[0], call->threshold); /* lk_dropout_word(0) is 0 */
}

static __global__ void drop_samples(const __grid_constant__ drop_path_call call)
{
    const size_t row = blockIdx.x / call.pieces, first = blockIdx.x % call.pieces * PIECE;
    const size_t last = first + PIECE < call.row_elems ? first + PIECE : call.row_elems, base = row * call.row_elems;
    const bool keep = keeps(&call, call.sample[row]);

    for (size_t i = first + threadIdx.x; i < last; i += blockDim.x) {
        const float x = element_load(call.x, base + i, call.bf16);
        element_store(call.y, base + i, keep ? x * call.scale : 0.0f, call.bf16);
    }
}

static lk_status run_drop_path(void *state, const lk_launch_args *args)
{
    const drop_path_state *s = (const drop_path_state *)state;
    const lk_philox_key key = lk_philox_key_new(args->seed, LK_PURPOSE_DROPOUT, s->layer);
    const drop_path_call call = {cuda_at(args, s->x), cuda_at(args, s->y), s->row_elems, s->pieces, args->sample,
                                 args->lane, key.k[0], key.k[1], lk_dropout_threshold(s->p),
                                 (float)(1.0 / (1.0 - s->p)), s->bf16};

    LK_LAUNCH_FLAT(drop_samples, (unsigned)(s->n * s->pieces), ELEMENT_BLOCK, s->ctx->stream, call);
    return LK_OK;
}

lk_status cuda_bind_drop_path(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    const lk_tensor *x = cuda_in(graph, node, 0);
    drop_path_state s;

    memset(&s, 0, sizeof s);
    s.ctx = ctx;
    s.x = cuda_ref_of(graph, node->in[0]);
    s.y = cuda_ref_of(graph, node->out[0]);
    s.n = (size_t)x->shape[0];
    s.row_elems = x->n_elem / s.n;
    s.pieces = (s.row_elems + PIECE - 1) / PIECE;
    s.p = node->attrs.dropout.p;
    s.layer = node->attrs.dropout.layer;
    s.bf16 = x->dtype == LK_DTYPE_BF16;
    return cuda_kernel_keep(out, run_drop_path, &s, sizeof s);
}
