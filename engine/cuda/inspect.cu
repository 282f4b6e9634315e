/*
 * The inspection of a step's gradients: their norm, whether all are finite, the coefficient of clip_grad_norm_, and the
 * slots, left on the device for the passes that follow.
 *
 * Squares are taken in double, where a float's square is exact, and summed in two stages in an order that n_elem fixes:
 * a block a piece, then one block over the pieces.
 */
#include "engine/cuda/reduce.cuh"

#include "engine/optim/formulas.h"

enum {
    INSPECT_BLOCK = 256,
    MOST_PIECES = CUDA_PARTIALS_BYTES / (2 * sizeof(double)),
    LEAST_PIECE = 4 * INSPECT_BLOCK,
};

/* torch.nn.utils.clip_grad_norm_ adds it to the norm it divides by. */
static const double clip_eps = 1e-6;

/* partial (n_pieces, 2): sums of squares as they are and after clip_value, which is infinity for none. */
static __global__ void add_squares(const float *grads, size_t n_elem, size_t piece, float limit, double *partial)
{
    const size_t first = blockIdx.x * piece, last = first + piece < n_elem ? first + piece : n_elem;
    double raw = 0.0, clamped = 0.0;

    for (size_t i = first + threadIdx.x; i < last; i += INSPECT_BLOCK) {
        const double g = (double)grads[i], c = (double)lk_clip(grads[i], limit, 1.0f);

        raw += g * g;
        clamped += c * c;
    }
    raw = block_sum<double, INSPECT_BLOCK>(raw);
    clamped = block_sum<double, INSPECT_BLOCK>(clamped);
    if (threadIdx.x != 0) return;
    partial[2 * blockIdx.x] = raw;
    partial[2 * blockIdx.x + 1] = clamped;
}

/* Not all: only the slots were looked at.  slots may be NULL. */
static __global__ void write_report(const double *partial, unsigned n_pieces, bool all, const float *slots,
                                    double clip_norm, cuda_report *report)
{
    double raw = 0.0, clamped = 0.0;

    for (unsigned k = threadIdx.x; k < n_pieces; k += INSPECT_BLOCK)
        raw += partial[2 * k], clamped += partial[2 * k + 1];
    raw = block_sum<double, INSPECT_BLOCK>(raw);
    clamped = block_sum<double, INSPECT_BLOCK>(clamped);
    if (threadIdx.x != 0) return;
    const double norm = all ? sqrt(clamped) : (double)NAN, scale = clip_norm / (norm + clip_eps);
    bool finite = isfinite(raw);

    for (int k = 0; k < LK_N_SLOTS; k++) report->slots[k] = slots ? slots[k] : 0.0f;
    if (slots) finite = finite && isfinite(slots[LK_SLOT_LOSS]);
    report->raw = raw;
    report->clamped = clamped;
    report->norm = norm;
    report->finite = finite;
    report->grad_scale = clip_norm > 0.0 && !(scale > 1.0) ? (float)scale : 1.0f;
}

lk_status cuda_inspect(cuda_ctx *ctx, const float *grads, size_t n_elem, const float *slots, bool all,
                       float clip_value, double clip_norm, cuda_report *report)
{
    const size_t even = (n_elem + MOST_PIECES - 1) / MOST_PIECES;
    const size_t piece = even > (size_t)LEAST_PIECE ? even : (size_t)LEAST_PIECE;
    const unsigned n_pieces = all ? (unsigned)((n_elem + piece - 1) / piece) : 0;
    const float limit = clip_value > 0.0f ? clip_value : INFINITY;

    if (n_pieces)
        LK_LAUNCH(add_squares, n_pieces, INSPECT_BLOCK, ctx->stream, grads, n_elem, piece, limit, ctx->partials);
    LK_LAUNCH(write_report, 1, INSPECT_BLOCK, ctx->stream, (const double *)ctx->partials, n_pieces, all, slots,
              clip_norm, report);
    return LK_OK;
}
