/*
 * Linear layer: small fp32 products by our own loops, all others on oneDNN.  The choice looks at the shape alone.
 *
 * The loops want the matrix on the right with contiguous rows.  Of a w (O, I) that is w as it lies in grad_x, and x in
 * grad_w; for the forward pass w is transposed once per change of the parameters, which costs about as much as fifteen
 * samples and half of the reorder that oneDNN would need.  Of a w (I, O) it is the other way round: w as it lies in the
 * forward pass, dy in grad_w, and grad_x wants it transposed.
 */
#include "engine/cpu/product.h"
#include "engine/cpu/rows.h"
#include "engine/cpu/small_gemm.h"
#include "engine/cpu/vector.h"
#include "engine/cpu/weights.h"

/*
 * Where oneDNN takes over, measured on one core of a Sapphire Rapids (AVX-512) with oneDNN 2.6.3, weights renewed in
 * each run as in training, microseconds for the three passes together (transposing included):
 *
 *     n, I, O          loops   oneDNN
 *      32,   20,  64     3.7     5.2
 *       8,   64,  32     2.3     3.5
 *     640,   32,  32      25      26
 *      32,  128, 128      27      25
 *     128,  256, 256     325     305
 *     128,  512, 512    1452    1203
 *
 * So up to 128 * 256 * 256 multiply-adds: about equal there, and a row's bits do not depend on the batch, nor do rows
 * that nobody reads cost anything.  Weights that do not stay in the second-level cache leave earlier, because the loops
 * read them once for every eight samples.
 */
enum { SMALL_MULTIPLY_ADDS = 1 << 23, SMALL_WEIGHTS = 1 << 18 };

enum { DB_VECTORS = 4 }; /* of db in registers at once */

/* A thread must have this much to do, some ten microseconds, before starting it pays. */
enum { MULTIPLY_ADDS_PER_THREAD = 1 << 20 };

typedef struct small_linear {
    product_refs at;
    cpu_rows rows; /* of x, y and their gradients */
    size_t i, o;
    bool in_out;   /* w is (I, O) */
    int threads;
    size_t grain;  /* rows of the result that one thread should at least make */
    cpu_weights *weights; /* borrowed */
    cpu_weight *turned;   /* w transposed, one use of it is ours; NULL where w is read as it lies, or not at all */
} small_linear;

/* What the threads share in one run. */
typedef struct small_run {
    const small_linear *s;
    size_t n; /* rows */
    float *x, *w, *b, *y;
} small_run;

static void forward_rows(void *arg, size_t begin, size_t end)
{
    const small_run *r = arg;
    const small_linear *s = r->s;

    small_gemm(r->y + begin * s->o, s->o, (small_matrix){r->x + begin * s->i, s->i, 1}, r->w, s->o, r->b, end - begin,
               s->o, s->i);
}

static void grad_x_rows(void *arg, size_t begin, size_t end)
{
    const small_run *r = arg;
    const small_linear *s = r->s;

    small_gemm(r->x + begin * s->i, s->i, (small_matrix){r->y + begin * s->o, s->o, 1}, r->w, s->i, NULL, end - begin,
               s->i, s->o);
}

/* db of n outputs from `first` on, rows in order. */
CPU_INLINE void sum_outputs(const small_run *r, size_t first, const size_t n)
{
    const size_t vectors = (n + CPU_WIDE - 1) / CPU_WIDE;
    const cpu_vector one = cpu_vector_all(1.0f);
    cpu_vector sum[DB_VECTORS];

#define WIDTH(v) (n - (v) * CPU_WIDE < CPU_WIDE ? n - (v) * CPU_WIDE : CPU_WIDE)
    for (size_t v = 0; v < vectors; v++) sum[v] = cpu_vector_all(0.0f);
    for (size_t i = 0; i < r->n; i++)
        for (size_t v = 0; v < vectors; v++)
            sum[v] = cpu_vector_multiply_add(
                one, cpu_vector_load(r->y + i * r->s->o + first + v * CPU_WIDE, WIDTH(v)), sum[v]);
    for (size_t v = 0; v < vectors; v++) cpu_vector_store(r->b + first + v * CPU_WIDE, sum[v], WIDTH(v));
#undef WIDTH
}

/* db of outputs [begin, end): as many at once as stay in registers. */
static void sum_rows(const small_run *r, size_t begin, size_t end)
{
    enum { MOST = DB_VECTORS * CPU_WIDE };

    for (; end - begin >= MOST; begin += MOST) sum_outputs(r, begin, MOST);
    for (; end - begin >= CPU_WIDE; begin += CPU_WIDE) sum_outputs(r, begin, CPU_WIDE);
    if (begin < end) sum_outputs(r, begin, end - begin);
}

/* Rows of dw are outputs: column o of dy times x. */
static void grad_w_rows(void *arg, size_t begin, size_t end)
{
    const small_run *r = arg;
    const small_linear *s = r->s;

    small_gemm(r->w + begin * s->i, s->i, (small_matrix){r->y + begin, 1, s->o}, r->x, s->i, NULL, end - begin, s->i,
               r->n);
    if (r->b) sum_rows(r, begin, end);
}

/* Rows of dw (I, O) are inputs: column i of x times dy; who makes the first makes db. */
static void grad_w_in_out_rows(void *arg, size_t begin, size_t end)
{
    const small_run *r = arg;
    const small_linear *s = r->s;

    small_gemm(r->w + begin * s->o, s->o, (small_matrix){r->x + begin, 1, s->i}, r->y, s->o, NULL, end - begin, s->o,
               r->n);
    if (r->b && begin == 0) sum_rows(r, 0, s->o);
}

/* w the way round that the pass reads it. */
static small_run start(const small_linear *s, const lk_launch_args *args)
{
    small_run r = {s, cpu_rows_count(&s->rows, args), cpu_at(args, s->at.x), cpu_at(args, s->at.w),
                   cpu_at(args, s->at.b), cpu_at(args, s->at.y)};

    if (!s->turned) return r;
    if (cpu_weight_is_stale(s->turned, s->at.w, args->params_version)) {
        small_transpose(s->turned->at, r.w, s->in_out ? s->i : s->o, s->in_out ? s->o : s->i);
        s->turned->version = args->params_version;
    }
    r.w = s->turned->at;
    return r;
}

static lk_status run_forward(void *state, const lk_launch_args *args)
{
    small_run r = start(state, args);

    cpu_split(r.s->threads, r.n, r.s->grain, forward_rows, &r);
    return LK_OK;
}

static lk_status run_grad_x(void *state, const lk_launch_args *args)
{
    small_run r = start(state, args);

    cpu_split(r.s->threads, r.n, r.s->grain, grad_x_rows, &r);
    return LK_OK;
}

static lk_status run_grad_w(void *state, const lk_launch_args *args)
{
    small_run r = start(state, args);

    if (r.s->in_out) cpu_split(r.s->threads, r.s->i, r.s->grain, grad_w_in_out_rows, &r);
    else cpu_split(r.s->threads, r.s->o, r.s->grain, grad_w_rows, &r);
    return LK_OK;
}

static void free_small(void *state)
{
    small_linear *s = state;

    if (s->turned) cpu_weight_drop(s->weights, &s->turned);
    lk_free(&s);
}

static lk_status bind_small(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, const cpu_dnnl_spec *spec,
                            cpu_pass pass, lk_kernel *out)
{
    lk_status (*const run[])(void *, const lk_launch_args *) = {run_forward, run_grad_x, run_grad_w};
    small_linear s = {
        .at = cpu_product_refs(graph, node, pass),
        .rows = cpu_rows_of(graph, node->in[0]), .i = (size_t)spec->i, .o = (size_t)spec->o, .in_out = spec->in_out,
        .threads = ctx->threads, .weights = ctx->weights,
    };
    const size_t of_row = pass != CPU_GRAD_W ? s.i * s.o : (size_t)spec->n * (s.in_out ? s.o : s.i);

    s.grain = 1 + MULTIPLY_ADDS_PER_THREAD / of_row;
    LK_TRY(cpu_kernel_keep(out, run[pass], &s, sizeof s));
    out->free = free_small;
    if (pass != (s.in_out ? CPU_GRAD_X : CPU_FORWARD)) return LK_OK;
    small_linear *kept = out->state;
    const lk_status status = cpu_weight_want(ctx->weights, s.at.w, s.i * s.o * sizeof(float), NULL, &kept->turned);
    if (status != LK_OK) {
        free_small(kept);
        *out = (lk_kernel){0};
    }
    return status;
}

static lk_status bind_pass(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, const lk_tensor *x,
                           const lk_tensor *w, cpu_pass pass, lk_kernel *out)
{
    const bool in_out = node->attrs.linear.in_out;
    const int64_t I = w->shape[in_out ? 0 : 1], O = w->shape[in_out ? 1 : 0];
    const cpu_dnnl_spec spec = {.dtype = x->dtype, .n = (int64_t)x->n_elem / I, .i = I, .o = O, .in_out = in_out};
    const bool small = spec.dtype == LK_DTYPE_F32 && w->n_elem <= SMALL_WEIGHTS &&
                       x->n_elem <= SMALL_MULTIPLY_ADDS / (size_t)spec.o;

    if (small) return bind_small(ctx, graph, node, &spec, pass, out);
    return cpu_bind_product(ctx, graph, node, spec, pass, out);
}

lk_status cpu_bind_linear(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return bind_pass(ctx, graph, node, cpu_in(graph, node, 0), cpu_in(graph, node, 1), CPU_FORWARD, out);
}

lk_status cpu_bind_linear_grad_x(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return bind_pass(ctx, graph, node, cpu_out(graph, node, 0), cpu_in(graph, node, 1), CPU_GRAD_X, out);
}

lk_status cpu_bind_linear_grad_w(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return bind_pass(ctx, graph, node, cpu_in(graph, node, 1), cpu_out(graph, node, 0), CPU_GRAD_W, out);
}
