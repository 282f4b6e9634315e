/*
 * Tokens as vectors, and where they stand: shape rules and gradient rules.
 *
 *     embedding    y[n,i,c] = scale * table[token[n,i], c]
 *                  dtable[t,c] = scale * sum of dy[n,i,c] where token[n,i] = t
 *     positions    y[n,i,c] = x[n,i,c] + P[first + i, c]
 *                  dx = dy,  dP[s,c] = sum over n of dy[n, s - first, c]
 *
 * P is a table that trains, or, without one, the sinusoids of Vaswani et al.:
 *
 *     P[s, 2k] = sin(s / 10000^(2k / C)),    P[s, 2k + 1] = cos(s / 10000^(2k / C))
 *
 * first is 0, or the lane's position in the cache where there is one.  Sums go in the order of samples and their
 * positions.  A token outside the table is refused while the lane runs: what data give is checked where it is read.
 *
 * Source: Vaswani et al., "Attention is all you need", 2017, arXiv:1706.03762, sections 3.4 and 3.5.
 */
#include "engine/ops/ops.h"
#include "engine/ops/positions.h"
#include "engine/ops/rules.h"
#include "engine/ops/shapes.h"

#include <math.h>

lk_status lk_op_embedding(lk_graph *graph, const char *path, int tokens, int table, float scale, lk_dtype dtype, int *y)
{
    const lk_tensor of = graph->tensors[tokens], rows = graph->tensors[table];
    const lk_attrs attrs = {.embedding.scale = scale};
    const int in[] = {tokens, table};

    if (of.dtype != LK_DTYPE_I32 || of.ndim != 2)
        return LK_FAIL(LK_ERR_USAGE, "%s: an embedding of %s %s; expected tokens, int32 (N, L)", path,
                       lk_dtype_name(of.dtype), lk_shape_of(&of).text);
    if (rows.dtype != LK_DTYPE_F32 || rows.ndim != 2)
        return LK_FAIL(LK_ERR_USAGE, "%s: the table of an embedding is %s %s; expected fp32 (V, C)", path,
                       lk_dtype_name(rows.dtype), lk_shape_of(&rows).text);
    LK_TRY(lk_graph_act(graph, path, dtype, 3, (int64_t[]){of.shape[0], of.shape[1], rows.shape[1]}, y));
    return lk_graph_node(graph, LK_OP_EMBEDDING, path, 2, in, 1, y, &attrs, NULL);
}

lk_status lk_gradient_embedding(lk_graph *graph, int id, const int *dout, int *din)
{
    const lk_node node = graph->nodes[id]; /* a copy: appending moves the array */
    const int in[] = {dout[0], node.in[0]};

    LK_TRY(lk_graph_grad(graph, node.in[1], &din[1]));
    return lk_graph_node(graph, LK_OP_EMBEDDING_GRAD, node.path, 2, in, 1, &din[1], &node.attrs, NULL);
}

double lk_flops_embedding_grad(const lk_graph *graph, const lk_node *node)
{
    return 2.0 * (double)graph->tensors[node->in[0]].n_elem;
}

/* Rows of P that this plan may reach: a lane goes on at any position of its cache. */
static int64_t reach(const lk_graph *graph, const lk_tensor *x)
{
    return graph->cache ? graph->cache->capacity : x->shape[1];
}

static lk_status check_positions(const lk_graph *graph, const char *path, const lk_tensor *x, const lk_tensor *table)
{
    if (!lk_is_float(x->dtype) || x->ndim != 3)
        return LK_FAIL(LK_ERR_USAGE, "%s: positions of %s %s; expected fp32 or bf16, (N, L, C)", path,
                       lk_dtype_name(x->dtype), lk_shape_of(x).text);
    if (!table) return LK_OK;
    if (table->dtype != LK_DTYPE_F32 || table->ndim != 2 || table->shape[1] != x->shape[2])
        return LK_FAIL(LK_ERR_USAGE, "%s: the table of positions is %s %s; expected fp32 (S, %lld)", path,
                       lk_dtype_name(table->dtype), lk_shape_of(table).text, (long long)x->shape[2]);
    if (reach(graph, x) > table->shape[0])
        return LK_FAIL_KEY(LK_ERR_USAGE, "data.sequence",
                           "%s: a sequence of %lld positions, but the network learns %lld", path,
                           (long long)reach(graph, x), (long long)table->shape[0]);
    return LK_OK;
}

lk_status lk_op_positions(lk_graph *graph, const char *path, int x, int table, int *y)
{
    const lk_tensor of = graph->tensors[x];
    const lk_attrs attrs = {.positions = {.rows = reach(graph, &of), .cached = graph->cache != NULL}};
    const int in[] = {x, table};

    LK_TRY(check_positions(graph, path, &of, table == LK_NO_TENSOR ? NULL : &graph->tensors[table]));
    LK_TRY(lk_graph_act(graph, path, of.dtype, 3, of.shape, y));
    return lk_graph_node(graph, LK_OP_POSITIONS, path, 2, in, 1, y, &attrs, NULL);
}

lk_status lk_gradient_positions(lk_graph *graph, int id, const int *dout, int *din)
{
    const lk_node node = graph->nodes[id]; /* a copy: appending moves the array */

    din[0] = dout[0];
    if (node.in[1] == LK_NO_TENSOR || !graph->tensors[node.in[1]].needs_grad) return LK_OK;
    LK_TRY(lk_graph_grad(graph, node.in[1], &din[1]));
    return lk_graph_node(graph, LK_OP_POSITIONS_GRAD, node.path, 1, dout, 1, &din[1], NULL, NULL);
}

void lk_fill_sinusoids(float *p, size_t rows, size_t C)
{
    for (size_t row = 0; row < rows; row++)
        for (size_t c = 0; c < C; c++) {
            const double angle = (double)row / pow(10000.0, (double)(c - c % 2) / (double)C);

            p[row * C + c] = (float)(c % 2 ? cos(angle) : sin(angle));
        }
}

double lk_flops_positions_grad(const lk_graph *graph, const lk_node *node)
{
    return (double)graph->tensors[node->in[0]].n_elem;
}
