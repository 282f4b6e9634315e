/* Cumulative sums over positions, in fp32; the gradient is the same from the end. */
#include "engine/cpu/cpu.h"
#include "engine/cpu/partials.h"

typedef struct cumsum_state {
    cpu_ref x, y;
    size_t N, S, L, C; /* positions of x and of y */
    lk_dtype dtype;
    bool cached;       /* x holds the cache's positions; y begins at the lane's */
    bool backwards;    /* the gradient */
} cumsum_state;

/* Columns [c, c + n) of one row; x (S, C), y (L, C). */
CPU_INLINE void sum_columns(const cumsum_state *s, const void *x, void *y, size_t first, size_t c, size_t n,
                            lk_dtype dtype)
{
    float sum[CPU_PARTIALS] = {0};

    for (size_t i = 0; i < first + s->L; i++) {
        const size_t at = s->backwards ? s->L - 1 - i : i;

        for (size_t k = 0; k < n; k++) sum[k] += cpu_load(x, at * s->C + c + k, dtype);
        if (i < first) continue;
        for (size_t k = 0; k < n; k++) cpu_store(y, (at - first) * s->C + c + k, sum[k], dtype);
    }
}

CPU_INLINE void sum_row(const cumsum_state *s, const void *x, void *y, size_t first, lk_dtype dtype)
{
    for (size_t c = 0; c < s->C; c += CPU_PARTIALS)
        sum_columns(s, x, y, first, c, s->C - c < CPU_PARTIALS ? s->C - c : CPU_PARTIALS, dtype);
}

static lk_status run_cumsum(void *state, const lk_launch_args *args)
{
    const cumsum_state *s = state;
    const size_t size = lk_dtype_size(s->dtype), first = s->cached ? (size_t)args->position : 0;

    for (size_t r = 0; r < s->N; r++) {
        const char *x = (const char *)cpu_at(args, s->x) + r * s->S * s->C * size;
        char *y = (char *)cpu_at(args, s->y) + r * s->L * s->C * size;

        if (s->dtype == LK_DTYPE_BF16) sum_row(s, x, y, first, LK_DTYPE_BF16);
        else sum_row(s, x, y, first, LK_DTYPE_F32);
    }
    return LK_OK;
}

static lk_status bind(const lk_graph *graph, const lk_node *node, bool backwards, lk_kernel *out)
{
    const lk_tensor *x = cpu_in(graph, node, 0), *y = cpu_out(graph, node, 0);
    const cumsum_state s = {
        .x = cpu_ref_of(graph, node->in[0]), .y = cpu_ref_of(graph, node->out[0]),
        .N = (size_t)x->shape[0], .S = (size_t)x->shape[1], .L = (size_t)y->shape[1], .C = (size_t)x->shape[2],
        .dtype = x->dtype, .cached = x->arena == LK_ARENA_CACHE, .backwards = backwards,
    };

    return cpu_kernel_keep(out, run_cumsum, &s, sizeof s);
}

lk_status cpu_bind_cumsum(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    (void)ctx;
    return bind(graph, node, false, out);
}

lk_status cpu_bind_cumsum_grad(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    (void)ctx;
    return bind(graph, node, true, out);
}
