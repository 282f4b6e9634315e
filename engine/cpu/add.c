/* y = a + b, element by element; in bf16 the sum is rounded once. */
#include "engine/cpu/bf16.h"
#include "engine/cpu/rows.h"

enum { GRAIN = 1 << 16 }; /* elements; fewer are done before a thread has started */

typedef struct add_state {
    cpu_ref a, b, y;
    cpu_rows rows;
    lk_dtype dtype;
    int threads;
} add_state;

typedef struct add_run {
    const void *a, *b;
    void *y;
} add_run;

/* Not restrict: a and b may be the same tensor. */
CPU_INLINE void add(const add_run *r, size_t begin, size_t end, lk_dtype dtype)
{
    const void *a = r->a, *b = r->b;
    void *y = r->y;

    for (size_t i = begin; i < end; i++) cpu_store(y, i, cpu_load(a, i, dtype) + cpu_load(b, i, dtype), dtype);
}

static void add_f32(void *arg, size_t begin, size_t end) { add(arg, begin, end, LK_DTYPE_F32); }
static void add_bf16(void *arg, size_t begin, size_t end) { add(arg, begin, end, LK_DTYPE_BF16); }

static lk_status run_add(void *state, const lk_launch_args *args)
{
    const add_state *s = state;
    add_run r = {cpu_at(args, s->a), cpu_at(args, s->b), cpu_at(args, s->y)};

    cpu_split(s->threads, cpu_rows_elems(&s->rows, args), GRAIN, s->dtype == LK_DTYPE_BF16 ? add_bf16 : add_f32, &r);
    return LK_OK;
}

lk_status cpu_bind_add(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    const add_state state = {
        .a = cpu_ref_of(graph, node->in[0]), .b = cpu_ref_of(graph, node->in[1]),
        .y = cpu_ref_of(graph, node->out[0]),
        .rows = cpu_rows_of(graph, node->out[0]), .dtype = cpu_out(graph, node, 0)->dtype,
        .threads = ctx->threads,
    };

    return cpu_kernel_keep(out, run_add, &state, sizeof state);
}
