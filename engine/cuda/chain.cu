/*
 * Chains: element-wise ops that follow one another, in one kernel.
 *
 * A thread takes four elements through all stages in registers and writes only what somebody else reads, so a chain
 * reads its inputs and writes its outputs once.  Which stages there are is a list in the kernel's parameters; all
 * threads take the same branch.  A stage whose output is bf16 rounds to it, so a chain and its ops one by one give the
 * same bits.
 *
 * The four elements are neighbours, moved as 16 (bf16: 8) bytes.  With dropout they are those that one Philox block
 * decides (engine/base/formulas.h): 8 apart, so that neighbouring threads still read neighbouring elements, and no
 * random word is drawn twice.
 */
#include "engine/cuda/chain.h"
#include "engine/cuda/element.h"

#include "engine/base/philox.h"

#include <string.h>

enum { CHAIN_MOST = 6, FOUR = 4 };

typedef struct call_stage {
    int op;
    bool operand_bf16, bf16;  /* bf16: of the value after this stage */
    const void *operand;
    void *out;                /* NULL: nobody else reads it */
    uint8_t *mask;            /* DROPOUT: NULL where none is kept */
    uint32_t k0, k1, threshold;
    float scale;
} call_stage;

typedef struct chain_call {
    const void *x;
    bool x_bf16;
    int n_stages;
    size_t n_elem;
    size_t row_elems, row_groups; /* of a sample; with dropout */
    const int64_t *sample;
    const lk_lane_args *lane;
    call_stage stage[CHAIN_MOST];
} chain_call;

/* Where the four elements of a thread are; those from n on are not there. */
typedef struct four {
    size_t at[FOUR];
    int n;
    bool together; /* four neighbours that may be moved at once */
    uint32_t block, sample, step, high;
} four;

static __device__ inline void load_four(float v[FOUR], const void *x, bool bf16, const four *f)
{
    if (f->together) {
        element_load_four(v, x, f->at[0], bf16);
    } else {
#pragma unroll
        for (int i = 0; i < FOUR; i++) v[i] = i < f->n ? element_load(x, f->at[i], bf16) : 0.0f;
    }
}

static __device__ inline void store_four(void *y, const float v[FOUR], bool bf16, const four *f)
{
    if (f->together) {
        element_store_four(y, f->at[0], v, bf16);
    } else {
#pragma unroll
        for (int i = 0; i < FOUR; i++)
            if (i < f->n) element_store(y, f->at[i], v[i], bf16);
    }
}

#define EACH(expression)                                                   \
    _Pragma("unroll") for (int i = 0; i < FOUR; i++) v[i] = (expression); \
    break

static __device__ inline void drop_four(float v[FOUR], const call_stage *s, const four *f)
{
    uint32_t words[FOUR];

    lk_philox_words(s->k0, s->k1, f->block, f->sample, f->step, f->high, words);
#pragma unroll
    for (int i = 0; i < FOUR; i++) {
        const uint8_t keep = lk_dropout_keep(words[i], s->threshold);

        if (s->mask && i < f->n) s->mask[f->at[i]] = keep;
        v[i] = keep ? v[i] * s->scale : 0.0f;
    }
}

static __device__ inline void do_stage(float v[FOUR], const call_stage *s, const four *f)
{
    float o[FOUR] = {0.0f, 0.0f, 0.0f, 0.0f};

    if (s->operand) load_four(o, s->operand, s->operand_bf16, f);
    switch (s->op) {
#define ACTIVATION(name, word, formula, from)       \
    case CHAIN_##formula: EACH(lk_##formula(v[i])); \
    case CHAIN_##formula##_GRAD: EACH(lk_##formula##_grad(v[i], o[i]));
        LK_ACTIVATION_FORMULAS(ACTIVATION)
#undef ACTIVATION
    case CHAIN_ADD: EACH(v[i] + o[i]);
    case CHAIN_DROPOUT: drop_four(v, s, f); break;
    default: break;
    }
    if (s->bf16) {
#pragma unroll
        for (int i = 0; i < FOUR; i++) v[i] = __bfloat162float(__float2bfloat16_rn(v[i]));
    }
}

static __device__ inline void do_four(const chain_call *call, const four *f)
{
    float v[FOUR];

    load_four(v, call->x, call->x_bf16, f);
    for (int s = 0; s < call->n_stages; s++) {
        do_stage(v, &call->stage[s], f);
        if (call->stage[s].out) store_four(call->stage[s].out, v, call->stage[s].bf16, f);
    }
}

static __global__ void run_neighbours(const __grid_constant__ chain_call call)
{
    const size_t n_fours = (call.n_elem + FOUR - 1) / FOUR;

    for (size_t k = element_first(); k < n_fours; k += element_step()) {
        const size_t first = k * FOUR, left = call.n_elem - first;
        four f;

#pragma unroll
        for (int i = 0; i < FOUR; i++) f.at[i] = first + (size_t)i;
        f.n = left < FOUR ? (int)left : FOUR;
        f.together = f.n == FOUR;
        f.block = f.sample = f.step = f.high = 0;
        do_four(&call, &f);
    }
}

static __global__ void run_blocks(const __grid_constant__ chain_call call)
{
    const size_t blocks_a_row = call.row_groups * LK_DROPOUT_BLOCKS;
    const size_t n = call.n_elem / call.row_elems * blocks_a_row;
    const int64_t step = call.lane->step;

    for (size_t k = element_first(); k < n; k += element_step()) {
        const size_t row = k / blocks_a_row, block = k % blocks_a_row;
        const size_t in_row = block / LK_DROPOUT_BLOCKS * LK_DROPOUT_GROUP + block % LK_DROPOUT_BLOCKS;
        const int64_t sample = call.sample[row];
        four f;

        f.n = 0;
        f.together = false;
#pragma unroll
        for (int i = 0; i < FOUR; i++) {
            const size_t at = in_row + (size_t)i * LK_DROPOUT_BLOCKS;

            f.at[i] = row * call.row_elems + at;
            f.n += at < call.row_elems;
        }
        f.block = (uint32_t)block;
        f.sample = (uint32_t)sample;
        f.step = (uint32_t)step;
        f.high = lk_dropout_high(step, sample);
        do_four(&call, &f);
    }
}

/* -------------------------------------------------------------------- runs */

typedef struct place_stage {
    cuda_ref operand, out, mask;
    bool writes, operand_bf16, bf16;
    chain_op op;
    double p;
    uint32_t layer;
} place_stage;

typedef struct chain_state {
    cuda_ctx *ctx; /* borrowed */
    cuda_ref x;
    bool x_bf16, drops;
    size_t n_elem, row_elems;
    int n_stages;
    place_stage stage[CHAIN_MOST];
} chain_state;

static void fill_stage(const place_stage *from, const lk_launch_args *args, call_stage *s)
{
    s->op = from->op;
    s->operand = cuda_at(args, from->operand);
    s->operand_bf16 = from->operand_bf16;
    s->out = from->writes ? cuda_at(args, from->out) : NULL;
    s->bf16 = from->bf16;
    if (from->op != CHAIN_DROPOUT) return;
    const lk_philox_key key = lk_philox_key_new(args->seed, LK_PURPOSE_DROPOUT, from->layer);

    s->mask = (uint8_t *)cuda_at(args, from->mask);
    s->k0 = key.k[0];
    s->k1 = key.k[1];
    s->threshold = lk_dropout_threshold(from->p);
    s->scale = (float)(1.0 / (1.0 - from->p));
}

static lk_status run_chain(void *state, const lk_launch_args *args)
{
    const chain_state *s = (const chain_state *)state;
    chain_call call;

    memset(&call, 0, sizeof call);
    call.x = cuda_at(args, s->x);
    call.x_bf16 = s->x_bf16;
    call.n_stages = s->n_stages;
    call.n_elem = s->n_elem;
    call.row_elems = s->row_elems;
    call.row_groups = (s->row_elems + LK_DROPOUT_GROUP - 1) / LK_DROPOUT_GROUP;
    call.sample = args->sample;
    call.lane = args->lane;
    for (int i = 0; i < s->n_stages; i++) fill_stage(&s->stage[i], args, &call.stage[i]);
    if (s->drops) {
        const size_t n_threads = s->n_elem / s->row_elems * call.row_groups * LK_DROPOUT_BLOCKS;

        LK_LAUNCH_FLAT(run_blocks, element_blocks(s->ctx, n_threads), ELEMENT_BLOCK, s->ctx->stream, call);
    } else {
        LK_LAUNCH_FLAT(run_neighbours, element_blocks(s->ctx, s->n_elem / FOUR + 1), ELEMENT_BLOCK, s->ctx->stream,
                       call);
    }
    return LK_OK;
}

/* -------------------------------------------------------------------- bind */

lk_status chain_bind(cuda_ctx *ctx, const lk_graph *graph, const chain_stage *stages, int n, lk_kernel *out)
{
    const lk_tensor *x = &graph->tensors[stages[0].v];
    chain_state s;

    memset(&s, 0, sizeof s);
    s.ctx = ctx;
    s.x = cuda_ref_of(graph, stages[0].v);
    s.x_bf16 = x->dtype == LK_DTYPE_BF16;
    s.n_elem = x->n_elem;
    s.row_elems = x->n_elem / (size_t)(x->ndim > 0 && x->shape[0] > 0 ? x->shape[0] : 1);
    s.n_stages = n;
    for (int i = 0; i < n; i++) {
        const chain_stage *from = &stages[i];
        place_stage *to = &s.stage[i];

        to->op = from->op;
        to->operand = cuda_ref_of(graph, from->operand);
        to->operand_bf16 = from->operand != LK_NO_TENSOR && graph->tensors[from->operand].dtype == LK_DTYPE_BF16;
        to->out = cuda_ref_of(graph, from->out);
        to->writes = !graph->tensors[from->out].swallowed;
        to->mask = cuda_ref_of(graph, from->mask);
        to->bf16 = graph->tensors[from->out].dtype == LK_DTYPE_BF16;
        to->p = from->p;
        to->layer = from->layer;
        s.drops = s.drops || from->op == CHAIN_DROPOUT;
    }
    return cuda_kernel_keep(out, run_chain, &s, sizeof s);
}

/* ------------------------------------------------------------------ groups */

static bool stage_of(const lk_node *node, int from, chain_stage *out)
{
    switch (node->op) {
    case LK_OP_ACTIVATION: return chain_stage_activation(node, from, out);
    case LK_OP_ACTIVATION_GRAD: return chain_stage_activation_grad(node, from, out);
    case LK_OP_DROPOUT: return chain_stage_dropout(node, from, out);
    case LK_OP_DROPOUT_GRAD: return chain_stage_dropout_grad(node, from, out);
    case LK_OP_ADD: return chain_stage_add(node, from, out);
    case LK_OP_CAST: return chain_stage_cast(node, from, out);
    default: return false;
    }
}

/* An operand is read where it lies, so it must not be something that the chain makes itself. */
static bool reads_itself(const chain_stage *stages, int n)
{
    for (int i = 0; i < n; i++)
        for (int k = 0; k < n; k++)
            if (stages[k].operand != LK_NO_TENSOR && stages[k].operand == stages[i].out) return true;
    return false;
}

static int find_chain(const lk_graph *graph, int first, int most, chain_stage stages[CHAIN_MOST])
{
    int made = 0, from = LK_NO_TENSOR;

    while (made < most && first + made < graph->n_nodes) {
        if (!stage_of(&graph->nodes[first + made], from, &stages[made])) break;
        if (graph->tensors[stages[made].out].n_elem != graph->tensors[stages[0].v].n_elem) break;
        if (reads_itself(stages, made + 1)) break;
        from = stages[made].out;
        made++;
    }
    return made;
}

int cuda_chain_length(const lk_graph *graph, int first)
{
    chain_stage stages[CHAIN_MOST];

    return find_chain(graph, first, CHAIN_MOST, stages);
}

lk_status cuda_bind_chain(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    chain_stage stages[CHAIN_MOST];
    const int n = find_chain(graph, (int)(node - graph->nodes), node->n_fused, stages);

    assert(n == node->n_fused);
    return chain_bind(ctx, graph, stages, n, out);
}
