/*
 * The inspection of a gradient: its norm after clip_value, and whether all of it is finite.
 *
 * Squares are added in double, where a float's square is exact, in an order that n_elem alone fixes: partial sums side
 * by side within a block, blocks in order within a piece, pieces in order.
 */
#include "engine/cpu/cpu.h"
#include "engine/optim/formulas.h"

enum {
    BLOCK = 1024,          /* elements that stay in the first-level cache */
    GRAIN = 64,            /* pieces below which a second thread costs more than it saves */
    PARTIALS = 32,         /* sums kept side by side, so that additions neither wait nor leave vector registers */
    MAX_PIECES = 256,      /* of a gradient arena, each summed by one thread */
};

/* Sum of the PARTIALS sums, neighbours first. */
static double sum_partials(const double *partial)
{
    double sum[PARTIALS];

    for (int i = 0; i < PARTIALS; i++) sum[i] = partial[i];
    for (int n = PARTIALS / 2; n > 0; n /= 2)
        for (int i = 0; i < n; i++) sum[i] = sum[2 * i] + sum[2 * i + 1];
    return sum[0];
}

/* Sum of the squares of n elements.  Squares of finite floats cannot overflow a double, so the sum is finite exactly
 * when every element is. */
LK_FORMULA double squares_loop(const float *restrict g, size_t n, float limit, const bool clamp)
{
    double partial[PARTIALS] = {0};
    size_t i = 0;

    for (; i + PARTIALS <= n; i += PARTIALS)
        for (size_t j = 0; j < PARTIALS; j++) {
            const double x = clamp ? lk_clip(g[i + j], limit, 1.0f) : g[i + j];
            partial[j] += x * x;
        }
    for (size_t j = 0; i + j < n; j++) {
        const double x = clamp ? lk_clip(g[i + j], limit, 1.0f) : g[i + j];
        partial[j] += x * x;
    }
    return sum_partials(partial);
}

static double squares(const float *g, size_t n) { return squares_loop(g, n, INFINITY, false); }
static double squares_clamped(const float *g, size_t n, float limit) { return squares_loop(g, n, limit, true); }

typedef struct norm_pass {
    const float *g;
    size_t n_elem, piece;           /* elements in all and in each piece but the last */
    float clip_value;
    double raw[MAX_PIECES], clamped[MAX_PIECES];
} norm_pass;

/* Pieces [begin, end), block by block so that both sums of a clamped gradient read it from memory once. */
static void norm_pieces(void *arg, size_t begin, size_t end)
{
    norm_pass *pass = arg;

    for (size_t k = begin; k < end; k++) {
        const size_t stop = (k + 1) * pass->piece < pass->n_elem ? (k + 1) * pass->piece : pass->n_elem;
        double raw = 0.0, clamped = 0.0;

        for (size_t at = k * pass->piece; at < stop; at += BLOCK) {
            const size_t n = stop - at < BLOCK ? stop - at : BLOCK;
            raw += squares(pass->g + at, n);
            if (pass->clip_value > 0.0f) clamped += squares_clamped(pass->g + at, n, pass->clip_value);
        }
        pass->raw[k] = raw;
        pass->clamped[k] = pass->clip_value > 0.0f ? clamped : raw;
    }
}

lk_status cpu_grad_norm(void *ctx, const float *grads, size_t n_elem, float clip_value, double *norm, bool *finite)
{
    const cpu_ctx *cpu = ctx;
    const size_t n_blocks = (n_elem + BLOCK - 1) / BLOCK;
    const size_t blocks_per_piece = (n_blocks + MAX_PIECES - 1) / MAX_PIECES;
    norm_pass pass = {.g = grads, .n_elem = n_elem, .clip_value = clip_value};
    double raw = 0.0, clamped = 0.0;

    pass.piece = (blocks_per_piece ? blocks_per_piece : 1) * BLOCK;
    const size_t n_pieces = (n_elem + pass.piece - 1) / pass.piece;
    cpu_split(cpu->threads, n_pieces, GRAIN, norm_pieces, &pass);
    for (size_t k = 0; k < n_pieces; k++) raw += pass.raw[k], clamped += pass.clamped[k];
    *norm = sqrt(clamped);
    *finite = isfinite(raw);
    return LK_OK;
}
