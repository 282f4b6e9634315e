/*
 * Linear layer: small fp32 products by our own loops, all others on oneDNN.  The choice looks at the shape alone.
 *
 * The loops want the matrix on the right with contiguous rows.  In grad_x that is w as it lies, in grad_w it is x.
 * For the forward pass w is transposed once per change of the parameters, which costs about as much as fifteen
 * samples and half of the reorder that oneDNN would need.
 */
#include "engine/cpu/product.h"
#include "engine/cpu/small_gemm.h"
#include "engine/cpu/weights.h"

/*
 * Where oneDNN takes over, measured on one core of an AMD EPYC (Zen 5, AVX-512) with oneDNN 2.6.3, weights renewed in
 * each run as in training, microseconds for the three passes together (transposing and reordering included):
 *
 *     n, I, O          loops   oneDNN
 *      32,   20,  64     2.1     3.8
 *       8,   64,  32     1.0     3.3
 *      32,  128, 128    17.6    25.6
 *      32,  256, 256      70     100
 *     128,  256, 256     238     247
 *     128,  512, 512    1087     982
 *
 * So up to 128 * 256 * 256 multiply-adds; weights that do not stay in the second-level cache leave earlier, because
 * the loops read them once for every eight samples.
 */
enum { SMALL_MULTIPLY_ADDS = 1 << 23, SMALL_WEIGHTS = 1 << 18 };

/* A thread must have this much to do, some ten microseconds, before starting it pays. */
enum { MULTIPLY_ADDS_PER_THREAD = 1 << 20 };

typedef struct small_linear {
    product_refs at;
    size_t n, i, o;
    int threads;
    size_t grain;  /* rows of the result that one thread should at least make */
    cpu_weights *weights; /* borrowed */
    cpu_weight *w_t;      /* forward: (I, O), one use of it is ours; NULL in the other passes */
} small_linear;

/* What the threads share in one run. */
typedef struct small_run {
    const small_linear *s;
    float *x, *w, *b, *y;
} small_run;

static void forward_rows(void *arg, size_t begin, size_t end)
{
    const small_run *r = arg;
    const small_linear *s = r->s;

    small_gemm(r->y + begin * s->o, s->o, (small_matrix){r->x + begin * s->i, s->i, 1}, s->w_t->at, s->o, r->b,
               end - begin, s->o, s->i);
}

static void grad_x_rows(void *arg, size_t begin, size_t end)
{
    const small_run *r = arg;
    const small_linear *s = r->s;

    small_gemm(r->x + begin * s->i, s->i, (small_matrix){r->y + begin * s->o, s->o, 1}, r->w, s->i, NULL, end - begin,
               s->i, s->o);
}

/* Rows of dw are outputs: column o of dy times x. */
static void grad_w_rows(void *arg, size_t begin, size_t end)
{
    const small_run *r = arg;
    const small_linear *s = r->s;

    small_gemm(r->w + begin * s->i, s->i, (small_matrix){r->y + begin, 1, s->o}, r->x, s->i, NULL, end - begin, s->i,
               s->n);
    if (!r->b) return;
    for (size_t o = begin; o < end; o++) r->b[o] = 0.0f;
    for (size_t n = 0; n < s->n; n++)
        for (size_t o = begin; o < end; o++) r->b[o] += r->y[n * s->o + o];
}

static small_run start(const small_linear *s, const lk_launch_args *args)
{
    return (small_run){s, cpu_at(args, s->at.x), cpu_at(args, s->at.w), cpu_at(args, s->at.b), cpu_at(args, s->at.y)};
}

static lk_status run_forward(void *state, const lk_launch_args *args)
{
    const small_linear *s = state;
    small_run r = start(s, args);

    if (cpu_weight_is_stale(s->w_t, s->at.w, args->params_version)) {
        small_transpose(s->w_t->at, r.w, s->o, s->i);
        s->w_t->version = args->params_version;
    }
    cpu_split(s->threads, s->n, s->grain, forward_rows, &r);
    return LK_OK;
}

static lk_status run_grad_x(void *state, const lk_launch_args *args)
{
    small_run r = start(state, args);

    cpu_split(r.s->threads, r.s->n, r.s->grain, grad_x_rows, &r);
    return LK_OK;
}

static lk_status run_grad_w(void *state, const lk_launch_args *args)
{
    small_run r = start(state, args);

    cpu_split(r.s->threads, r.s->o, r.s->grain, grad_w_rows, &r);
    return LK_OK;
}

static void free_small(void *state)
{
    small_linear *s = state;

    if (s->w_t) cpu_weight_drop(s->weights, &s->w_t);
    lk_free(&s);
}

static lk_status bind_small(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, const cpu_dnnl_spec *spec,
                            cpu_pass pass, lk_kernel *out)
{
    lk_status (*const run[])(void *, const lk_launch_args *) = {run_forward, run_grad_x, run_grad_w};
    small_linear s = {
        .at = cpu_product_refs(graph, node, pass),
        .n = (size_t)spec->n, .i = (size_t)spec->i, .o = (size_t)spec->o,
        .threads = ctx->threads, .weights = ctx->weights,
    };

    s.grain = 1 + MULTIPLY_ADDS_PER_THREAD / (s.i * (pass == CPU_GRAD_W ? s.n : s.o));
    LK_TRY(cpu_kernel_keep(out, run[pass], &s, sizeof s));
    out->free = free_small;
    if (pass != CPU_FORWARD) return LK_OK;
    small_linear *kept = out->state;
    const lk_status status = cpu_weight_want(ctx->weights, s.at.w, s.i * s.o * sizeof(float), NULL, &kept->w_t);
    if (status != LK_OK) {
        free_small(kept);
        *out = (lk_kernel){0};
    }
    return status;
}

static lk_status bind_pass(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, const lk_tensor *x,
                           const lk_tensor *w, cpu_pass pass, lk_kernel *out)
{
    const cpu_dnnl_spec spec = {
        .dtype = x->dtype, .n = (int64_t)x->n_elem / w->shape[1], .i = w->shape[1], .o = w->shape[0]};
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
