/*
 * Dropout and its gradient.  Which word decides an element is laid down in engine/base/formulas.h.
 *
 * Philox costs more than all else here, so it is drawn for two groups at once (cpu/dropout.h), and rows as short as one
 * group (32 elements) waste none of it.  Groups of all rows form one list; a group that a short row does not fill draws
 * words that nobody reads.
 */
#include "engine/cpu/cpu.h"
#include "engine/cpu/dropout.h"

enum { GRAIN_GROUPS = 1024, GRAIN_ELEMS = 1 << 15 };

typedef struct dropout_state {
    cpu_ref x, y, mask;
    size_t n_elem, row_elems, row_groups; /* of a sample */
    double p;
    uint32_t layer;
    lk_dtype dtype;
    int threads;
} dropout_state;

typedef struct job {
    const dropout_state *s;
    const void *x;
    void *y;
    uint8_t *mask;
    const int64_t *sample;
    int64_t step;
    lk_philox_key key;
    uint32_t threshold;
    float scale;
} job;

typedef struct group_at {
    size_t element; /* of the arrays, the group's first */
    size_t n_elem;  /* that the row fills */
    cpu_dropout_group of;
} group_at;

static inline group_at find_group(const job *j, size_t group)
{
    const dropout_state *s = j->s;
    const size_t row = group / s->row_groups, in_row = group % s->row_groups, first = in_row * LK_DROPOUT_GROUP;
    const size_t left = s->row_elems - first;

    return (group_at){
        .element = row * s->row_elems + first,
        .n_elem = left < LK_DROPOUT_GROUP ? left : LK_DROPOUT_GROUP,
        .of = cpu_dropout_group_of(j->step, j->sample[row], in_row),
    };
}

/* Elements [at, at + n), decided by words[0..n). */
CPU_INLINE void choose(const job *j, size_t at, size_t n, const uint32_t *restrict words, lk_dtype dtype)
{
    const void *restrict x = j->x;
    void *restrict y = j->y;
    uint8_t *restrict mask = j->mask;
    const uint32_t threshold = j->threshold;
    const float scale = j->scale;

    for (size_t i = 0; i < n; i++) {
        const uint8_t keep = lk_dropout_keep(words[i], threshold);
        const float scaled = cpu_load(x, at + i, dtype) * scale;

        mask[at + i] = keep;
        cpu_store(y, at + i, keep ? scaled : 0.0f, dtype);
    }
}

CPU_INLINE void drop_groups(const job *j, size_t begin, size_t end, lk_dtype dtype)
{
    uint32_t words[CPU_DROPOUT_WORDS];

    for (size_t group = begin; group < end; group += CPU_DROPOUT_GROUPS) {
        const bool both = group + 1 < end;
        const group_at a = find_group(j, group), b = find_group(j, both ? group + 1 : group);

        cpu_dropout_draw(j->key, j->step, &a.of, &b.of, words);
        if (both && a.n_elem + b.n_elem == CPU_DROPOUT_WORDS) { /* the usual case: a length known here */
            choose(j, a.element, CPU_DROPOUT_WORDS, words, dtype);
            continue;
        }
        choose(j, a.element, a.n_elem, words, dtype);
        if (both) choose(j, b.element, b.n_elem, words + LK_DROPOUT_GROUP, dtype);
    }
}

static void drop_part(void *arg, size_t begin, size_t end)
{
    const job *j = arg;

    if (j->s->dtype == LK_DTYPE_BF16)
        drop_groups(j, begin, end, LK_DTYPE_BF16);
    else
        drop_groups(j, begin, end, LK_DTYPE_F32);
}

static lk_status run_dropout(void *state, const lk_launch_args *args)
{
    const dropout_state *s = state;
    job j = {
        .s = s,
        .x = cpu_at(args, s->x),
        .y = cpu_at(args, s->y),
        .mask = cpu_at(args, s->mask),
        .sample = args->sample,
        .step = args->step,
        .key = lk_philox_key_new(args->seed, LK_PURPOSE_DROPOUT, s->layer),
        .threshold = lk_dropout_threshold(s->p),
        .scale = (float)(1.0 / (1.0 - s->p)),
    };

    cpu_split(s->threads, s->n_elem / s->row_elems * s->row_groups, GRAIN_GROUPS, drop_part, &j);
    return LK_OK;
}

CPU_INLINE void scale_kept(const job *j, size_t begin, size_t end, lk_dtype dtype)
{
    const void *restrict dy = j->x;
    const uint8_t *restrict mask = j->mask;
    void *restrict dx = j->y;
    const float scale = j->scale;

    for (size_t i = begin; i < end; i++) cpu_store(dx, i, mask[i] ? cpu_load(dy, i, dtype) * scale : 0.0f, dtype);
}

static void scale_part(void *arg, size_t begin, size_t end)
{
    const job *j = arg;

    if (j->s->dtype == LK_DTYPE_BF16)
        scale_kept(j, begin, end, LK_DTYPE_BF16);
    else
        scale_kept(j, begin, end, LK_DTYPE_F32);
}

static lk_status run_dropout_grad(void *state, const lk_launch_args *args)
{
    const dropout_state *s = state;
    job j = {.s = s, .x = cpu_at(args, s->x), .y = cpu_at(args, s->y), .mask = cpu_at(args, s->mask),
             .scale = (float)(1.0 / (1.0 - s->p))};

    cpu_split(s->threads, s->n_elem, GRAIN_ELEMS, scale_part, &j);
    return LK_OK;
}

static dropout_state state_of(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, int mask)
{
    const lk_tensor *x = cpu_in(graph, node, 0);
    const size_t row_elems = x->n_elem / (size_t)x->shape[0];

    return (dropout_state){
        .x = cpu_ref_of(graph, node->in[0]),
        .y = cpu_ref_of(graph, node->out[0]),
        .mask = cpu_ref_of(graph, mask),
        .n_elem = x->n_elem,
        .row_elems = row_elems,
        .row_groups = (row_elems + LK_DROPOUT_GROUP - 1) / LK_DROPOUT_GROUP,
        .p = node->attrs.dropout.p,
        .layer = node->attrs.dropout.layer,
        .dtype = x->dtype,
        .threads = ctx->threads,
    };
}

lk_status cpu_bind_dropout(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    const dropout_state s = state_of(ctx, graph, node, node->out[1]);

    return cpu_kernel_keep(out, run_dropout, &s, sizeof s);
}

lk_status cpu_bind_dropout_grad(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    const dropout_state s = state_of(ctx, graph, node, node->in[1]);

    return cpu_kernel_keep(out, run_dropout_grad, &s, sizeof s);
}
