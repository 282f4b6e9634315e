/*
 * Adaptive average pooling over (N, H, W, C), forward and backward; the formula is in engine/ops/adaptive_pool2d.c.
 *
 * Both gather, rows then columns, so threads may share the rows of the result.  Pixel h lies in the windows from
 * floor(h P / H) up to ceil((h + 1) P / H): the same rule with the sides exchanged.  So forward and backward are one
 * loop over "from" and "to"; only what a term is divided by, the window's area, stands on the other side.
 */
#include "engine/cpu/bf16.h"
#include "engine/cpu/cpu.h"

enum { CHUNK = 32, GRAIN = 1 << 14 }; /* channels at a time; elements of the result per thread */

typedef struct side_pair { int64_t from, to; } side_pair;

typedef struct pool_state {
    cpu_ref from, to;        /* x and y, or dy and dx */
    side_pair rows, cols;
    int64_t C, n_images;
    bool backward;
    lk_dtype dtype;
    int threads;
} pool_state;

typedef struct job {
    const pool_state *s;
    const void *from;
    void *to;
} job;

typedef struct range { int64_t begin, end; } range;

/* Places along a side of `from` that place i of `to` shares pixels with. */
static range partners(side_pair side, int64_t i)
{
    return (range){i * side.from / side.to, ((i + 1) * side.from + side.to - 1) / side.to};
}

static int64_t n_partners(side_pair side, int64_t i)
{
    const range r = partners(side, i);
    return r.end - r.begin;
}

/* Of the pooled pixel (row, col) of dy, as a number of pixels of dx. */
static float area_behind(const pool_state *s, int64_t row, int64_t col)
{
    const side_pair rows = {s->rows.to, s->rows.from}, cols = {s->cols.to, s->cols.from};

    return (float)(n_partners(rows, row) * n_partners(cols, col));
}

/* m channels from c on of place `to`, of image n. */
CPU_INLINE void gather(const job *j, int64_t n, size_t to, range rows, range cols, size_t c, size_t m, lk_dtype dtype)
{
    const pool_state *s = j->s;
    const float area = (float)((rows.end - rows.begin) * (cols.end - cols.begin));
    float sum[CHUNK] = {0};

    for (int64_t row = rows.begin; row < rows.end; row++) {
        for (int64_t col = cols.begin; col < cols.end; col++) {
            const size_t at = (size_t)(((n * s->rows.from + row) * s->cols.from + col) * s->C) + c;
            const float share = s->backward ? area_behind(s, row, col) : 1.0f;

            for (size_t i = 0; i < m; i++) sum[i] += cpu_load(j->from, at + i, dtype) / share;
        }
    }
    for (size_t i = 0; i < m; i++) cpu_store(j->to, to + c + i, s->backward ? sum[i] : sum[i] / area, dtype);
}

CPU_INLINE void gather_rows(const job *j, size_t begin, size_t end, lk_dtype dtype)
{
    const pool_state *s = j->s;
    const size_t C = (size_t)s->C, whole = C / CHUNK * CHUNK;

    for (int64_t row = (int64_t)begin; row < (int64_t)end; row++) {
        const int64_t n = row / s->rows.to;
        const range rows = partners(s->rows, row % s->rows.to);

        for (int64_t col = 0; col < s->cols.to; col++) {
            const range cols = partners(s->cols, col);
            const size_t to = (size_t)(row * s->cols.to + col) * C;

            for (size_t c = 0; c < whole; c += CHUNK) gather(j, n, to, rows, cols, c, CHUNK, dtype);
            if (whole < C) gather(j, n, to, rows, cols, whole, C - whole, dtype);
        }
    }
}

/* Rows [begin, end) of the result, counted over all images. */
static void rows_f32(void *arg, size_t begin, size_t end) { gather_rows(arg, begin, end, LK_DTYPE_F32); }
static void rows_bf16(void *arg, size_t begin, size_t end) { gather_rows(arg, begin, end, LK_DTYPE_BF16); }

static lk_status run(void *state, const lk_launch_args *args)
{
    const pool_state *s = state;
    job j = {s, cpu_at(args, s->from), cpu_at(args, s->to)};

    cpu_split(s->threads, (size_t)(s->n_images * s->rows.to), 1 + GRAIN / (size_t)(s->cols.to * s->C),
              s->dtype == LK_DTYPE_BF16 ? rows_bf16 : rows_f32, &j);
    return LK_OK;
}

static lk_status bind(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, bool backward, lk_kernel *out)
{
    const lk_tensor *from = cpu_in(graph, node, 0), *to = cpu_out(graph, node, 0);
    const pool_state s = {
        .from = cpu_ref_of(graph, node->in[0]), .to = cpu_ref_of(graph, node->out[0]),
        .rows = {from->shape[1], to->shape[1]}, .cols = {from->shape[2], to->shape[2]},
        .C = to->shape[3], .n_images = to->shape[0], .backward = backward, .dtype = to->dtype, .threads = ctx->threads,
    };

    return cpu_kernel_keep(out, run, &s, sizeof s);
}

lk_status cpu_bind_adaptive_avg_pool2d(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return bind(ctx, graph, node, false, out);
}

lk_status cpu_bind_adaptive_avg_pool2d_grad(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node,
                                            lk_kernel *out)
{
    return bind(ctx, graph, node, true, out);
}
