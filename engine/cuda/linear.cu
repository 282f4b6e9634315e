/*
 * Linear layer on cuBLASLt.
 *
 * The library's matrices are column-major; a row-major matrix read so is its transpose, so with D, A, B as the library
 * sees them:
 *
 *     forward   y^T (O, N)  = w (O, I)    x^T (I, N)      w is transposed; the bias runs along rows of D: O
 *     grad_x    dx^T (I, N) = w^T (I, O)  dy^T (O, N)
 *     grad_w    dw^T (I, O) = x^T (I, N)  dy (N, O)       dy is transposed; db are sums of its columns: O
 *
 * A w that lies as (I, O) is not transposed in the forward pass, but in grad_x; its gradient is
 *
 *     grad_w    dw^T (O, I) = dy^T (O, N)  x (N, I)       x is transposed; db are no sums of its columns
 *
 * In bf16 x, y, dx, dy, w and the bias are bf16 (the library wants a bias in the type of D), sums are fp32, dw and db
 * are fp32.  Where the library has no fused bias, rows of bias are laid out first and the product is added to them: y
 * is rounded once either way.  Where there are no sums of columns, the kernel of bias_grad follows.  Where it has
 * nothing for a shape, and for those of which it is not sure to have something, the product is a plain one
 * (gemm_plain.cu).
 */
#include "engine/cuda/gemm.h"
#include "engine/cuda/product.h"

typedef struct linear {
    cuda_ctx *ctx;      /* borrowed */
    product_refs at;
    cuda_weight w, b;   /* b absent in grad_w, which makes db */
    int64_t N, I, O;
    bool in_out;        /* w is (I, O) */
    bool bf16;
    bool bias_first;    /* y begins as rows of bias */
    cuda_gemm_spec spec;
    cuda_gemm *gemm;    /* owned; NULL: a plain product of spec */
    lk_kernel db;       /* owned; run NULL: nothing to do, or the product does it */
} linear;

/* -------------------------------------------------------------------- runs */

static lk_status multiply(const linear *s, const void *a, const void *b, void *vector, void *d)
{
    if (s->gemm) return cuda_gemm_run(s->gemm, a, b, vector, d);
    return cuda_gemm_plain(s->ctx, &s->spec, a, b, vector, d);
}

static lk_status run_forward(void *state, const lk_launch_args *args)
{
    const linear *s = (const linear *)state;
    const void *w = cuda_weight_at(&s->w, args);
    void *b = (void *)cuda_weight_at(&s->b, args), *y = cuda_at(args, s->at.y);

    if (s->bias_first) LK_TRY(cuda_fill_rows(s->ctx, y, b, (size_t)s->N, (size_t)s->O, s->bf16));
    return multiply(s, w, cuda_at(args, s->at.x), s->bias_first ? NULL : b, y);
}

static lk_status run_grad_x(void *state, const lk_launch_args *args)
{
    const linear *s = (const linear *)state;
    const void *w = cuda_weight_at(&s->w, args);

    return multiply(s, w, cuda_at(args, s->at.y), NULL, cuda_at(args, s->at.x));
}

static lk_status run_grad_w(void *state, const lk_launch_args *args)
{
    const linear *s = (const linear *)state;
    void *fused_db = s->db.run ? NULL : cuda_at(args, s->at.b);

    const void *x = cuda_at(args, s->at.x), *dy = cuda_at(args, s->at.y);

    LK_TRY(multiply(s, s->in_out ? dy : x, s->in_out ? x : dy, fused_db, cuda_at(args, s->at.w)));
    if (s->db.run) LK_TRY(s->db.run(s->db.state, args));
    return LK_OK;
}

/* ------------------------------------------------------------------- binds */

static void free_linear(void *state)
{
    linear *s = (linear *)state;

    cuda_kernel_free(&s->db);
    cuda_gemm_free(&s->gemm);
    cuda_weight_free(&s->b);
    cuda_weight_free(&s->w);
    lk_free(&s);
}

/* The parts of a product that do not depend on the pass. */
static cuda_gemm_spec spec_of(const linear *s, const lk_graph *graph)
{
    cuda_gemm_spec spec = {};

    spec.tf32 = graph->precision == LK_TF32 && !s->bf16;
    spec.in_bf16 = spec.out_bf16 = s->bf16;
    return spec;
}

static bool is_vector(const cuda_gemm_spec *spec) { return spec->m == 1 || spec->n == 1 || spec->k == 1; }

/* The library's product of s->spec; s->gemm stays NULL where it has none, or is not to be asked. */
static lk_status ask(linear *s) { return is_vector(&s->spec) ? LK_OK : cuda_gemm_new(s->ctx, &s->spec, &s->gemm); }

static uint64_t choice_of(const linear *s)
{
    const uint64_t choice = lk_choose(lk_choose(0, s->bias_first), s->db.run != NULL);

    return lk_choose(choice, s->gemm ? cuda_gemm_choice(s->gemm) : 0);
}

static lk_status bind_forward(linear *s)
{
    s->spec.trans_a = !s->in_out;
    s->spec.m = (uint64_t)s->O, s->spec.n = (uint64_t)s->N, s->spec.k = (uint64_t)s->I;
    s->spec.align_a = cuda_weight_alignment(&s->w);
    s->spec.align_b = cuda_alignment_of(s->at.x.offset);
    s->spec.align_d = cuda_alignment_of(s->at.y.offset);
    if (!s->b.at.present) return ask(s);
    s->spec.vector = CUDA_GEMM_BIAS;
    s->spec.align_vector = cuda_weight_alignment(&s->b);
    LK_TRY(ask(s));
    if (s->gemm) return LK_OK;
    const cuda_gemm_spec plain = s->spec; /* which has the bias in it */

    s->spec.vector = CUDA_GEMM_ALONE;
    s->spec.beta = 1.0f;
    LK_TRY(ask(s));
    s->bias_first = s->gemm != NULL;
    if (!s->bias_first) s->spec = plain;
    return LK_OK;
}

static lk_status bind_grad_x(linear *s)
{
    s->spec.trans_a = s->in_out;
    s->spec.m = (uint64_t)s->I, s->spec.n = (uint64_t)s->N, s->spec.k = (uint64_t)s->O;
    s->spec.align_a = cuda_weight_alignment(&s->w);
    s->spec.align_b = cuda_alignment_of(s->at.y.offset);
    s->spec.align_d = cuda_alignment_of(s->at.x.offset);
    return ask(s);
}

static lk_status bind_grad_w(linear *s, const lk_graph *graph, const lk_node *node)
{
    const uint32_t align_x = cuda_alignment_of(s->at.x.offset), align_dy = cuda_alignment_of(s->at.y.offset);

    s->spec.out_bf16 = false;
    s->spec.trans_b = true;
    s->spec.m = (uint64_t)(s->in_out ? s->O : s->I), s->spec.n = (uint64_t)(s->in_out ? s->I : s->O);
    s->spec.k = (uint64_t)s->N;
    s->spec.align_a = s->in_out ? align_dy : align_x;
    s->spec.align_b = s->in_out ? align_x : align_dy;
    s->spec.align_d = cuda_alignment_of(s->at.w.offset);
    if (!s->at.b.present) return ask(s);
    if (!s->in_out) {
        s->spec.align_vector = cuda_alignment_of(s->at.b.offset);
        s->spec.vector = CUDA_GEMM_SUMS;
        LK_TRY(ask(s));
        if (s->gemm) return LK_OK;
        s->spec.vector = CUDA_GEMM_ALONE;
    }
    LK_TRY(cuda_bind_db(s->ctx, graph, node, &s->db));
    return ask(s);
}

static lk_status make(linear *s, const lk_graph *graph, const lk_node *node, cuda_pass pass)
{
    const product_tensors tensors = cuda_product_tensors(node, pass);
    const lk_tensor *x = &graph->tensors[tensors.x], *y = &graph->tensors[tensors.y];

    s->at = cuda_product_refs(graph, tensors);
    s->I = x->shape[x->ndim - 1], s->O = y->shape[y->ndim - 1];
    s->N = (int64_t)x->n_elem / s->I;
    s->in_out = node->attrs.linear.in_out;
    s->bf16 = x->dtype == LK_DTYPE_BF16;
    s->spec = spec_of(s, graph);
    assert(x->dtype == y->dtype && (int64_t)y->n_elem == s->N * s->O);
    if (pass != CUDA_GRAD_W) {
        LK_TRY(cuda_weight_new(s->ctx, graph, tensors.w, x->dtype, &s->w));
        LK_TRY(cuda_weight_new(s->ctx, graph, tensors.b, x->dtype, &s->b));
    }
    switch (pass) {
    case CUDA_FORWARD: return bind_forward(s);
    case CUDA_GRAD_X: return bind_grad_x(s);
    case CUDA_GRAD_W: return bind_grad_w(s, graph, node);
    }
    return LK_OK;
}

static lk_status bind_pass(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, cuda_pass pass, lk_kernel *out)
{
    static lk_status (*const run[])(void *, const lk_launch_args *) = {run_forward, run_grad_x, run_grad_w};
    linear empty = {};

    empty.ctx = ctx;
    LK_TRY(cuda_kernel_keep(out, run[pass], &empty, sizeof empty));
    out->free = free_linear;
    linear *s = (linear *)out->state;
    const lk_status status = make(s, graph, node, pass);
    if (status != LK_OK) {
        cuda_kernel_free(out);
        LK_TRY(status);
    }
    out->scratch_nbytes = s->db.scratch_nbytes;
    out->choice = choice_of(s);
    if (!s->gemm && !is_vector(&s->spec)) out->slow = "cuBLASLt has no algorithm for its product";
    return LK_OK;
}

lk_status cuda_bind_linear(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return bind_pass(ctx, graph, node, CUDA_FORWARD, out);
}

lk_status cuda_bind_linear_grad_x(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return bind_pass(ctx, graph, node, CUDA_GRAD_X, out);
}

lk_status cuda_bind_linear_grad_w(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return bind_pass(ctx, graph, node, CUDA_GRAD_W, out);
}
