/* Whole numbers to fp32.  Of pixels there are 256 a channel, so they are computed once, when the kernel is bound. */
#include "engine/base/formulas.h"
#include "engine/cpu/cpu.h"

enum { GRAIN = 1 << 16, LEVELS = 256 }; /* elements; fewer are done before a thread has started */

typedef struct normalize_state {
    cpu_ref x, y;
    size_t n_elem, C;
    bool bytes;
    int threads;
    float level[LK_MAX_CHANNELS][LEVELS];
} normalize_state;

typedef struct normalize_run {
    const normalize_state *s;
    const void *x;
    float *y;
} normalize_run;

/* Threads get whole pixels: [begin, end) counts groups of C. */
static void bytes_to_numbers(void *arg, size_t begin, size_t end)
{
    const normalize_run *r = arg;
    const size_t C = r->s->C;
    const uint8_t *restrict x = r->x;
    float *restrict y = r->y;

    for (size_t p = begin; p < end; p++)
        for (size_t c = 0; c < C; c++) y[p * C + c] = r->s->level[c][x[p * C + c]];
}

static void integers_to_numbers(void *arg, size_t begin, size_t end)
{
    const normalize_run *r = arg;
    const int32_t *restrict x = r->x;
    float *restrict y = r->y;

    for (size_t i = begin; i < end; i++) y[i] = (float)x[i];
}

static lk_status run_normalize(void *state, const lk_launch_args *args)
{
    const normalize_state *s = state;
    normalize_run r = {s, cpu_at(args, s->x), cpu_at(args, s->y)};

    cpu_split(s->threads, s->n_elem / s->C, GRAIN / s->C, s->bytes ? bytes_to_numbers : integers_to_numbers, &r);
    return LK_OK;
}

lk_status cpu_bind_normalize(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    const int n_channels = node->attrs.normalize.n_channels;
    normalize_state s = {
        .x = cpu_ref_of(graph, node->in[0]), .y = cpu_ref_of(graph, node->out[0]),
        .n_elem = cpu_in(graph, node, 0)->n_elem, .C = n_channels > 0 ? (size_t)n_channels : 1,
        .bytes = cpu_in(graph, node, 0)->dtype == LK_DTYPE_U8, .threads = ctx->threads,
    };

    for (size_t c = 0; c < s.C; c++)
        for (int v = 0; v < LEVELS; v++)
            s.level[c][v] = n_channels == 0 ? (float)v
                                            : lk_normalize_pixel((uint8_t)v, node->attrs.normalize.mean[c],
                                                                 node->attrs.normalize.std[c]);
    return cpu_kernel_keep(out, run_normalize, &s, sizeof s);
}
