/* Blocks of rows and their sums, for batch and layer norm. */
#include "engine/cpu/norm.h"

#include "engine/ops/norm.h"

static void find_tensors(cpu_norm_state *s, const lk_graph *graph, const lk_node *node)
{
    const lk_norm_tensors t = lk_norm_tensors_of(node);

#define FIND(name) s->name = cpu_ref_of(graph, t.name);
    LK_NORM_TENSOR_LIST(FIND)
#undef FIND
}

/* --------------------------------------------------------------- with a ReLU */

static bool is_relu(const lk_node *node, lk_op_id op)
{
    return node->op == op && node->attrs.activation.kind == LK_ACT_RELU;
}

/* The node's result is read once, by the ReLU behind it. */
static bool relu_follows(const lk_graph *graph, const lk_node *node)
{
    const lk_tensor *y = &graph->tensors[node->out[0]];

    return is_relu(node + 1, LK_OP_ACTIVATION) && node[1].in[0] == node->out[0] && y->n_uses == 1 &&
           y->arena == LK_ARENA_ACT;
}

/* The norm's result is read once, by the addition behind it. */
static bool add_follows(const lk_graph *graph, const lk_node *norm)
{
    const lk_tensor *y = &graph->tensors[norm->out[0]];

    return norm[1].op == LK_OP_ADD && (norm[1].in[0] == norm->out[0] || norm[1].in[1] == norm->out[0]) &&
           y->n_uses == 1 && y->arena == LK_ARENA_ACT;
}

/* The ReLU's gradient may have other readers: the kernel writes it then. */
static bool norm_follows(const lk_node *relu)
{
    return is_relu(relu, LK_OP_ACTIVATION_GRAD) && relu[1].op == LK_OP_BATCH_NORM_GRAD &&
           relu[1].in[0] == relu->out[0] && relu[1].out[0] != LK_NO_TENSOR;
}

int cpu_norm_group(const lk_graph *graph, int first)
{
    const lk_node *node = &graph->nodes[first];
    const int n_left = graph->n_nodes - first;
    const bool is_norm = node->op == LK_OP_BATCH_NORM || node->op == LK_OP_BATCH_NORM_EVAL;

    if (is_norm && n_left > 2 && add_follows(graph, node) && relu_follows(graph, node + 1)) return 3;
    if (is_norm && n_left > 1 && relu_follows(graph, node)) return 2;
    return n_left > 1 && norm_follows(node) ? 2 : 1;
}

/* The group's outside in the places of the norm's: its y is the ReLU's, its dy is that of the ReLU.  What is added is
 * the other one that the addition reads. */
static void join_relu(cpu_norm_state *s, const lk_graph *graph, const lk_node *first)
{
    if (first->op == LK_OP_ACTIVATION_GRAD) {
        s->dy = cpu_ref_of(graph, first->in[0]);
        s->relu_y = cpu_ref_of(graph, first->in[1]);
        if (!graph->tensors[first->out[0]].swallowed) s->relu_dx = cpu_ref_of(graph, first->out[0]);
    } else {
        const lk_node *last = first + first->n_fused - 1, *add = first + 1;

        s->y = s->relu_y = cpu_ref_of(graph, last->out[0]);
        if (last > add) s->addend = cpu_ref_of(graph, add->in[add->in[0] == first->out[0]]);
    }
}

/* ------------------------------------------------------------------- binding */

static size_t count_blocks(const cpu_norm_state *s, size_t n_rows)
{
    return n_rows > s->block_rows ? (n_rows + s->block_rows - 1) / s->block_rows : 1;
}

/* For x (..., C), or dy of the same shape and type. */
static void find_sizes(cpu_norm_state *s, const lk_graph *graph, int of)
{
    const lk_tensor *x = &graph->tensors[of];
    const size_t n_channels = (size_t)x->shape[x->ndim - 1];
    const size_t rows_as_one = n_channels < CPU_NORM_WIDTH ? CPU_NORM_WIDTH / n_channels : 1;
    const size_t rows = CPU_NORM_BLOCK_ELEMS / n_channels / rows_as_one * rows_as_one;

    s->n_channels = n_channels;
    s->n_rows = x->n_elem / n_channels;
    s->width = rows_as_one * n_channels;
    s->block_rows = rows > CPU_NORM_BLOCK_ROWS ? rows : CPU_NORM_BLOCK_ROWS;
    s->n_blocks = count_blocks(s, s->n_rows);
    s->rows = cpu_rows_of(graph, of);
    s->dtype = x->dtype;
}

lk_status cpu_norm_bind(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node,
                        lk_status (*run)(void *state, const lk_launch_args *args), lk_kernel *out)
{
    const lk_node *norm = node->op == LK_OP_ACTIVATION_GRAD ? node + 1 : node;
    cpu_norm_state s = {.eps = norm->attrs.norm.eps, .threads = ctx->threads};

    find_tensors(&s, graph, norm);
    find_sizes(&s, graph, node->in[0]);
    if (node->n_fused > 1) join_relu(&s, graph, node);
    LK_TRY(cpu_kernel_keep(out, run, &s, sizeof s));
    out->scratch_nbytes =
        2 * s.n_channels * sizeof(double) + (s.n_blocks * 2 * s.n_channels + 4 * s.width) * sizeof(float);
    return LK_OK;
}

const cpu_norm_state *cpu_norm_begin(void *state, const lk_launch_args *args)
{
    cpu_norm_state *s = state;

    s->n_rows = cpu_rows_count(&s->rows, args);
    s->n_blocks = count_blocks(s, s->n_rows);
    s->total = args->base[LK_ARENA_SCRATCH];
    s->partial = (float *)(s->total + 2 * s->n_channels);
    s->factor = s->partial + s->n_blocks * 2 * s->n_channels;
    return s;
}

void cpu_norm_add_blocks(const cpu_norm_state *s)
{
    const size_t n = 2 * s->n_channels;
    double *restrict total = s->total;

    for (size_t c = 0; c < n; c++) total[c] = (double)s->partial[c];
    for (size_t block = 1; block < s->n_blocks; block++) {
        const float *restrict partial = cpu_norm_partial(s, block);
        for (size_t c = 0; c < n; c++) total[c] += (double)partial[c];
    }
}

void cpu_norm_store_grads(const cpu_norm_state *s, float *dg, float *db)
{
    const size_t n_channels = s->n_channels;

    for (size_t c = 0; db && c < n_channels; c++) db[c] = (float)s->total[c];
    for (size_t c = 0; dg && c < n_channels; c++) dg[c] = (float)s->total[n_channels + c];
}
