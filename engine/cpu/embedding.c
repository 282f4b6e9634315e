/*
 * Rows of a table by token, and the way back: the formulas are in engine/ops/embedding.c.
 *
 * Where a table makes the logits too, two gradients are added, and that of the rows is 0 but for the lane's tokens.  So
 * the other one is made in the sum's place, and the rows are added to it there: memory has neither a table of zeros nor
 * a pass over all of it.
 */
#include "engine/cpu/bf16.h"
#include "engine/cpu/rows.h"

enum { GRAIN = 1 << 16 }; /* elements; fewer are done before a thread has started */

typedef struct embedding_state {
    cpu_ref tokens, table, x; /* x: y, or dy; table: dtable in the gradient */
    cpu_rows rows;              /* of x */
    size_t N, L, V, C;
    float scale;
    bool joins;                 /* the gradient is added to what is in its place */
    lk_dtype dtype;
    int threads;
    char layer[128];
} embedding_state;

typedef struct embedding_run {
    const embedding_state *s;
    const int32_t *tokens; /* those of the rows of x, one behind the other */
    size_t n;              /* of them */
    float *table;
    void *x;
} embedding_run;

CPU_INLINE void copy_rows(const embedding_run *r, size_t begin, size_t end, lk_dtype dtype)
{
    const size_t C = r->s->C;
    const float scale = r->s->scale;

    for (size_t i = begin; i < end; i++) {
        const float *restrict row = r->table + (size_t)r->tokens[i] * C;

        for (size_t c = 0; c < C; c++) cpu_store(r->x, i * C + c, scale * row[c], dtype);
    }
}

static void copy_f32(void *arg, size_t begin, size_t end) { copy_rows(arg, begin, end, LK_DTYPE_F32); }
static void copy_bf16(void *arg, size_t begin, size_t end) { copy_rows(arg, begin, end, LK_DTYPE_BF16); }

/* Rows [begin, end) of the table's gradient, from all tokens in order. */
CPU_INLINE void add_rows(const embedding_run *r, size_t begin, size_t end, lk_dtype dtype)
{
    const embedding_state *s = r->s;
    const size_t C = s->C;

    if (!s->joins) memset(r->table + begin * C, 0, (end - begin) * C * sizeof *r->table);
    for (size_t i = 0; i < r->n; i++) {
        const size_t token = (size_t)r->tokens[i];
        float *restrict row = r->table + token * C;

        if (token < begin || token >= end) continue;
        for (size_t c = 0; c < C; c++) row[c] += s->scale * cpu_load(r->x, i * C + c, dtype);
    }
}

static void add_f32(void *arg, size_t begin, size_t end) { add_rows(arg, begin, end, LK_DTYPE_F32); }
static void add_bf16(void *arg, size_t begin, size_t end) { add_rows(arg, begin, end, LK_DTYPE_BF16); }

/* All tokens, also those whose row nobody reads. */
static lk_status check_tokens(const embedding_state *s, const int32_t *tokens)
{
    for (size_t i = 0; i < s->N * s->L; i++)
        if (tokens[i] < 0 || (size_t)tokens[i] >= s->V)
            return LK_FAIL(LK_ERR_DATA, "%s: token %d at position %zu of sample %zu in its lane; the vocabulary has "
                           "0 to %zu", s->layer, (int)tokens[i], i % s->L, i / s->L, s->V - 1);
    return LK_OK;
}

static size_t grain(const embedding_state *s) { return 1 + GRAIN / s->C; }

/* Tokens that have a row, into scratch. */
static size_t take_tokens(const embedding_state *s, const lk_launch_args *args, const int32_t *tokens, int32_t *to)
{
    size_t taken = 0;

    for (size_t n = 0; n < s->N; n++) {
        const size_t L = cpu_rows_in(&s->rows, args, n);

        memcpy(to + taken, tokens + n * s->L, L * sizeof *to);
        taken += L;
    }
    return taken;
}

static embedding_run begin_run(const embedding_state *s, const lk_launch_args *args)
{
    embedding_run r = {s, cpu_at(args, s->tokens), s->N * s->L, cpu_at(args, s->table), cpu_at(args, s->x)};

    if (!s->rows.ends.present) return r;
    r.n = take_tokens(s, args, r.tokens, args->base[LK_ARENA_SCRATCH]);
    r.tokens = args->base[LK_ARENA_SCRATCH];
    return r;
}

static lk_status run_embedding(void *state, const lk_launch_args *args)
{
    const embedding_state *s = state;

    LK_TRY(check_tokens(s, cpu_at(args, s->tokens)));
    embedding_run r = begin_run(s, args);
    cpu_split(s->threads, r.n, grain(s), s->dtype == LK_DTYPE_BF16 ? copy_bf16 : copy_f32, &r);
    return LK_OK;
}

static lk_status run_embedding_grad(void *state, const lk_launch_args *args)
{
    const embedding_state *s = state;
    embedding_run r = begin_run(s, args);

    cpu_split(s->threads, s->V, grain(s), s->dtype == LK_DTYPE_BF16 ? add_bf16 : add_f32, &r);
    return LK_OK;
}

/* Tensors: tokens, table, x. */
static embedding_state state_of(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, const int *of)
{
    const lk_tensor *tokens = &graph->tensors[of[0]], *table = &graph->tensors[of[1]];
    embedding_state s = {
        .tokens = cpu_ref_of(graph, of[0]), .table = cpu_ref_of(graph, of[1]), .x = cpu_ref_of(graph, of[2]),
        .rows = cpu_rows_of(graph, of[2]), .N = (size_t)tokens->shape[0], .L = (size_t)tokens->shape[1],
        .V = (size_t)table->shape[0], .C = (size_t)table->shape[1],
        .scale = node->attrs.embedding.scale, .dtype = graph->tensors[of[2]].dtype, .threads = ctx->threads,
    };

    strncat(s.layer, node->path, sizeof s.layer - 1);
    return s;
}

static lk_status keep(const embedding_state *s, lk_status (*run)(void *state, const lk_launch_args *args),
                      lk_kernel *out)
{
    LK_TRY(cpu_kernel_keep(out, run, s, sizeof *s));
    if (s->rows.ends.present) out->scratch_nbytes = s->N * s->L * sizeof(int32_t);
    return LK_OK;
}

lk_status cpu_bind_embedding(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    const embedding_state s = state_of(ctx, graph, node, (int[]){node->in[0], node->in[1], node->out[0]});

    return keep(&s, run_embedding, out);
}

lk_status cpu_bind_embedding_grad(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    const bool joins = node->n_fused > 1;
    const int table = joins ? node[1].out[0] : node->out[0];
    embedding_state s = state_of(ctx, graph, node, (int[]){node->in[1], table, node->in[0]});

    s.joins = joins;
    return keep(&s, run_embedding_grad, out);
}

bool cpu_embedding_joins(lk_graph *graph, int first)
{
    const lk_node *node = &graph->nodes[first], *add = node + 1;

    if (node->op != LK_OP_EMBEDDING_GRAD || first + 1 >= graph->n_nodes || add->op != LK_OP_ADD) return false;
    const int rows = node->out[0], other = add->in[add->in[0] == rows];
    const lk_tensor *sum = &graph->tensors[add->out[0]];
    lk_tensor *there = &graph->tensors[other];

    if ((add->in[0] != rows && add->in[1] != rows) || other == rows || graph->tensors[rows].n_uses != 1) return false;
    if (sum->arena != LK_ARENA_GRADS || there->arena != LK_ARENA_ACT || there->root != LK_NO_TENSOR) return false;
    if (there->n_uses != 1 || there->dtype != sum->dtype) return false;
    there->arena = sum->arena;
    there->offset = sum->offset;
    return true;
}
