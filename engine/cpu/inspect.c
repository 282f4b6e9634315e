/*
 * The inspection of a gradient: sums of squares as they are and after clip_value, chunk by chunk.
 *
 * Squares are added in double, where a float's square is exact, in an order that a chunk's length alone fixes: partial
 * sums side by side within a block, blocks in order.
 */
#include "engine/cpu/cpu.h"
#include "engine/optim/formulas.h"

enum {
    BLOCK = 1024,          /* elements that stay in the first-level cache */
    GRAIN = 4,             /* chunks below which a second thread costs more than it saves */
    PARTIALS = 32,         /* sums kept side by side, so that additions neither wait nor leave vector registers */
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

typedef struct squares_pass {
    const float *g;
    const size_t *cut;
    float clip_value;
    lk_squares *out;
} squares_pass;

/* Chunks [begin, end), block by block so that both sums of a clamped gradient read it from memory once. */
static void square_chunks(void *arg, size_t begin, size_t end)
{
    const squares_pass *pass = arg;

    for (size_t c = begin; c < end; c++) {
        const size_t stop = pass->cut[c + 1];
        double raw = 0.0, clamped = 0.0;

        for (size_t at = pass->cut[c]; at < stop; at += BLOCK) {
            const size_t n = stop - at < BLOCK ? stop - at : BLOCK;
            raw += squares(pass->g + at, n);
            if (pass->clip_value > 0.0f) clamped += squares_clamped(pass->g + at, n, pass->clip_value);
        }
        pass->out[c] = (lk_squares){raw, pass->clip_value > 0.0f ? clamped : raw};
    }
}

lk_status cpu_squares(void *ctx, const float *grads, const size_t *cut, size_t n, float clip_value, lk_squares *out)
{
    const cpu_ctx *cpu = ctx;
    squares_pass pass = {.g = grads, .cut = cut, .clip_value = clip_value, .out = out};

    cpu_split(cpu->threads, n, GRAIN, square_chunks, &pass);
    return LK_OK;
}
