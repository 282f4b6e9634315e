/* What positions add, learned or sinusoids: the formulas are in engine/ops/embedding.c. */
#include "engine/cpu/bf16.h"
#include "engine/cpu/rows.h"
#include "engine/ops/positions.h"

typedef struct positions_state {
    cpu_ref x, table, y; /* the gradient: x is dy, table is dtable */
    cpu_rows of;           /* of x */
    size_t N, L, C, rows;
    bool cached;
    lk_dtype dtype;
    float sinusoid[]; /* (rows, C), where there is no table */
} positions_state;

/* Elements of sample n. */
static size_t elems_of(const positions_state *s, const lk_launch_args *args, size_t n)
{
    return (s->of.ends.present ? cpu_rows_in(&s->of, args, n) : s->L) * s->C;
}

/* table: from the lane's first position on. */
CPU_INLINE void add_positions(const positions_state *s, const lk_launch_args *args, const float *table, lk_dtype dtype)
{
    const void *x = cpu_at(args, s->x);
    void *y = cpu_at(args, s->y);

    for (size_t n = 0, at = 0, n_elem; n < s->N; n++, at += n_elem) {
        n_elem = elems_of(s, args, n);
        for (size_t i = 0; i < n_elem; i++) cpu_store(y, at + i, cpu_load(x, at + i, dtype) + table[i], dtype);
    }
}

static lk_status run_positions(void *state, const lk_launch_args *args)
{
    const positions_state *s = state;
    const size_t first = s->cached ? (size_t)args->position : 0;
    const float *table = (s->table.present ? (const float *)cpu_at(args, s->table) : s->sinusoid) + first * s->C;

    if (s->dtype == LK_DTYPE_BF16) add_positions(s, args, table, LK_DTYPE_BF16);
    else add_positions(s, args, table, LK_DTYPE_F32);
    return LK_OK;
}

/* Positions that no lane of this length has get 0. */
CPU_INLINE void sum_samples(const positions_state *s, const lk_launch_args *args, lk_dtype dtype)
{
    const void *dy = cpu_at(args, s->x);
    float *restrict dtable = cpu_at(args, s->table);

    memset(dtable, 0, s->rows * s->C * sizeof *dtable);
    for (size_t n = 0, at = 0, n_elem; n < s->N; n++, at += n_elem) {
        n_elem = elems_of(s, args, n);
        for (size_t i = 0; i < n_elem; i++) dtable[i] += cpu_load(dy, at + i, dtype);
    }
}

static lk_status run_positions_grad(void *state, const lk_launch_args *args)
{
    const positions_state *s = state;

    if (s->dtype == LK_DTYPE_BF16) sum_samples(s, args, LK_DTYPE_BF16);
    else sum_samples(s, args, LK_DTYPE_F32);
    return LK_OK;
}

static positions_state state_of(const lk_graph *graph, int x, int table, size_t rows)
{
    const lk_tensor *of = &graph->tensors[x];

    return (positions_state){
        .x = cpu_ref_of(graph, x), .table = cpu_ref_of(graph, table), .of = cpu_rows_of(graph, x),
        .N = (size_t)of->shape[0], .L = (size_t)of->shape[1], .C = (size_t)of->shape[2], .rows = rows,
        .dtype = of->dtype,
    };
}

static void free_positions(void *state) { lk_free(&state); }

lk_status cpu_bind_positions(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    positions_state s = state_of(graph, node->in[0], node->in[1], (size_t)node->attrs.positions.rows);
    const size_t nbytes = sizeof s + (s.table.present ? 0 : s.rows * s.C * sizeof *s.sinusoid);
    positions_state *kept = lk_alloc(nbytes);

    (void)ctx;
    LK_TRY_ALLOC(kept, nbytes, "sinusoids");
    s.y = cpu_ref_of(graph, node->out[0]);
    s.cached = node->attrs.positions.cached;
    *kept = s;
    if (!s.table.present) lk_fill_sinusoids(kept->sinusoid, s.rows, s.C);
    *out = (lk_kernel){.run = run_positions, .free = free_positions, .state = kept};
    return LK_OK;
}

lk_status cpu_bind_positions_grad(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    const size_t rows = (size_t)cpu_out(graph, node, 0)->shape[0];
    const positions_state s = state_of(graph, node->in[0], node->out[0], rows);

    (void)ctx;
    return cpu_kernel_keep(out, run_positions_grad, &s, sizeof s);
}
