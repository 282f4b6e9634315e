/* Between fp32 and bf16; and, from a type to itself, a copy (the gradient of a parameter that is only added). */
#include "engine/cpu/bf16.h"
#include "engine/cpu/rows.h"

enum { GRAIN = 1 << 16 }; /* elements; fewer are done before a thread has started */

typedef struct cast_state {
    cpu_ref x, y;
    cpu_rows rows;
    lk_dtype from, to;
    int threads;
} cast_state;

typedef struct cast_run {
    const cast_state *s;
    const void *x;
    void *y;
} cast_run;

CPU_INLINE void convert(void *restrict y, const void *restrict x, size_t begin, size_t end, lk_dtype to, lk_dtype from)
{
    for (size_t i = begin; i < end; i++) cpu_store(y, i, cpu_load(x, i, from), to);
}

static void cast_range(void *arg, size_t begin, size_t end)
{
    const cast_run *r = arg;
    const size_t size = lk_dtype_size(r->s->to);

    if (r->s->from == r->s->to)
        memcpy((char *)r->y + begin * size, (const char *)r->x + begin * size, (end - begin) * size);
    else if (r->s->to == LK_DTYPE_BF16)
        convert(r->y, r->x, begin, end, LK_DTYPE_BF16, LK_DTYPE_F32);
    else
        convert(r->y, r->x, begin, end, LK_DTYPE_F32, LK_DTYPE_BF16);
}

static lk_status run_cast(void *state, const lk_launch_args *args)
{
    const cast_state *s = state;
    cast_run r = {s, cpu_at(args, s->x), cpu_at(args, s->y)};

    cpu_split(s->threads, cpu_rows_elems(&s->rows, args), GRAIN, cast_range, &r);
    return LK_OK;
}

lk_status cpu_bind_cast(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    const cast_state state = {
        .x = cpu_ref_of(graph, node->in[0]), .y = cpu_ref_of(graph, node->out[0]),
        .rows = cpu_rows_of(graph, node->in[0]),
        .from = cpu_in(graph, node, 0)->dtype, .to = cpu_out(graph, node, 0)->dtype,
        .threads = ctx->threads,
    };

    return cpu_kernel_keep(out, run_cast, &state, sizeof state);
}
