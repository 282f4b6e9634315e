/*
 * Activations and their gradients: one loop for each formula and type, chosen when the kernel is bound.
 *
 * The formulas are in engine/base/formulas.h; each is a select or a polynomial, so every loop here is a vector loop.
 */
#include "engine/cpu/bf16.h"
#include "engine/cpu/rows.h"
#include "engine/base/formulas.h"

enum { GRAIN = 1 << 15 }; /* elements below which a second thread costs more than it saves */

/* y[i] = f(x[i]), i in [begin, end) */
typedef void forward_loop(void *restrict y, const void *restrict x, size_t begin, size_t end);
/* dx[i] = f'(dy[i], kept[i]); kept is x or y */
typedef void backward_loop(void *restrict dx, const void *restrict dy, const void *restrict kept, size_t begin,
                           size_t end);

#define LOOPS(name)                                                                                          \
    CPU_INLINE void name##_loop(void *restrict y, const void *restrict x, size_t begin, size_t end, lk_dtype dtype) \
    {                                                                                                        \
        for (size_t i = begin; i < end; i++) cpu_store(y, i, lk_##name(cpu_load(x, i, dtype)), dtype);       \
    }                                                                                                        \
    static void name##_f32(void *restrict y, const void *restrict x, size_t begin, size_t end)               \
    {                                                                                                        \
        name##_loop(y, x, begin, end, LK_DTYPE_F32);                                                         \
    }                                                                                                        \
    static void name##_bf16(void *restrict y, const void *restrict x, size_t begin, size_t end)              \
    {                                                                                                        \
        name##_loop(y, x, begin, end, LK_DTYPE_BF16);                                                        \
    }                                                                                                        \
    CPU_INLINE void name##_grad_loop(void *restrict dx, const void *restrict dy, const void *restrict kept,  \
                                     size_t begin, size_t end, lk_dtype dtype)                               \
    {                                                                                                        \
        for (size_t i = begin; i < end; i++)                                                                 \
            cpu_store(dx, i, lk_##name##_grad(cpu_load(dy, i, dtype), cpu_load(kept, i, dtype)), dtype);     \
    }                                                                                                        \
    static void name##_grad_f32(void *restrict dx, const void *restrict dy, const void *restrict kept,       \
                                size_t begin, size_t end)                                                    \
    {                                                                                                        \
        name##_grad_loop(dx, dy, kept, begin, end, LK_DTYPE_F32);                                            \
    }                                                                                                        \
    static void name##_grad_bf16(void *restrict dx, const void *restrict dy, const void *restrict kept,      \
                                 size_t begin, size_t end)                                                   \
    {                                                                                                        \
        name##_grad_loop(dx, dy, kept, begin, end, LK_DTYPE_BF16);                                           \
    }

#define FORMULA_LOOPS(name, word, formula, from) LOOPS(formula)
LK_ACTIVATION_FORMULAS(FORMULA_LOOPS)

typedef struct loops {
    forward_loop *forward[2]; /* fp32, bf16 */
    backward_loop *backward[2];
} loops;

#define ENTRY(name, word, formula, from) \
    [name] = {{formula##_f32, formula##_bf16}, {formula##_grad_f32, formula##_grad_bf16}},
static const loops table[] = {LK_ACTIVATION_FORMULAS(ENTRY)};

/* Either direction; the other's members stay empty. */
typedef struct activation_state {
    forward_loop *forward;
    backward_loop *backward;
    cpu_ref to, from, kept;
    cpu_rows rows;
    int threads;
} activation_state;

typedef struct job {
    const activation_state *s;
    void *to;
    const void *from, *kept;
} job;

static void forward_part(void *arg, size_t begin, size_t end)
{
    const job *j = arg;

    j->s->forward(j->to, j->from, begin, end);
}

static lk_status run_forward(void *state, const lk_launch_args *args)
{
    const activation_state *s = state;
    job j = {.s = s, .to = cpu_at(args, s->to), .from = cpu_at(args, s->from)};

    cpu_split(s->threads, cpu_rows_elems(&s->rows, args), GRAIN, forward_part, &j);
    return LK_OK;
}

static void backward_part(void *arg, size_t begin, size_t end)
{
    const job *j = arg;

    j->s->backward(j->to, j->from, j->kept, begin, end);
}

static lk_status run_backward(void *state, const lk_launch_args *args)
{
    const activation_state *s = state;
    job j = {.s = s, .to = cpu_at(args, s->to), .from = cpu_at(args, s->from), .kept = cpu_at(args, s->kept)};

    cpu_split(s->threads, cpu_rows_elems(&s->rows, args), GRAIN, backward_part, &j);
    return LK_OK;
}

lk_status cpu_bind_activation(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    const lk_tensor *x = cpu_in(graph, node, 0);
    const activation_state s = {
        .forward = table[node->attrs.activation.kind].forward[x->dtype == LK_DTYPE_BF16],
        .to = cpu_ref_of(graph, node->out[0]),
        .from = cpu_ref_of(graph, node->in[0]),
        .rows = cpu_rows_of(graph, node->in[0]),
        .threads = ctx->threads,
    };

    return cpu_kernel_keep(out, run_forward, &s, sizeof s);
}

lk_status cpu_bind_activation_grad(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    const lk_tensor *dy = cpu_in(graph, node, 0);
    const activation_state s = {
        .backward = table[node->attrs.activation.kind].backward[dy->dtype == LK_DTYPE_BF16],
        .to = cpu_ref_of(graph, node->out[0]),
        .from = cpu_ref_of(graph, node->in[0]),
        .kept = cpu_ref_of(graph, node->in[1]),
        .rows = cpu_rows_of(graph, node->in[0]),
        .threads = ctx->threads,
    };

    return cpu_kernel_keep(out, run_backward, &s, sizeof s);
}
