/*
 * Dropout and its gradient, sample by sample.  Which word decides an element is laid down in engine/base/formulas.h.
 * A group that a sample does not fill draws words that nobody reads.
 */
#include "engine/cpu/dropout.h"
#include "engine/cpu/rows.h"

enum { GRAIN = 1 << 15 }; /* elements below which a second thread costs more than it saves */

typedef struct dropout_state {
    cpu_ref x, y, mask;
    cpu_rows rows;
    size_t n_samples, sample_elems;
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
    const uint32_t *begin; /* the first row of each sample; NULL: they are all as long */
    const int64_t *sample;
    int64_t step;
    lk_philox_key key;
    uint32_t threshold;
    float scale;
} job;

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

/* The first element of sample n, or behind the last of them all. */
static inline size_t begin_of(const job *j, size_t n)
{
    return j->begin ? j->begin[n] * j->s->rows.width : n * j->s->sample_elems;
}

/* What there is of sample n: two groups at once, while there are two. */
CPU_INLINE void drop_sample(const job *j, size_t n, lk_dtype dtype)
{
    const size_t first = begin_of(j, n), n_elem = begin_of(j, n + 1) - first;
    uint32_t words[CPU_DROPOUT_WORDS];

    for (size_t i = 0; i < n_elem; i += CPU_DROPOUT_WORDS) {
        const size_t group = i / LK_DROPOUT_GROUP, left = n_elem - i;
        const cpu_dropout_group a = cpu_dropout_group_of(j->step, j->sample[n], group),
                                b = cpu_dropout_group_of(j->step, j->sample[n], group + 1);

        cpu_dropout_draw_group(j->key, j->step, &a, words);
        if (left > LK_DROPOUT_GROUP) cpu_dropout_draw_group(j->key, j->step, &b, words + LK_DROPOUT_GROUP);
        if (left >= CPU_DROPOUT_WORDS) choose(j, first + i, CPU_DROPOUT_WORDS, words, dtype); /* a length known here */
        else choose(j, first + i, left, words, dtype);
    }
}

static void drop_part(void *arg, size_t begin, size_t end)
{
    const job *j = arg;

    for (size_t n = begin; n < end; n++)
        if (j->s->dtype == LK_DTYPE_BF16) drop_sample(j, n, LK_DTYPE_BF16);
        else drop_sample(j, n, LK_DTYPE_F32);
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

    if (s->rows.ends.present) {
        cpu_rows_begin(&s->rows, args, args->base[LK_ARENA_SCRATCH]);
        j.begin = args->base[LK_ARENA_SCRATCH];
    }
    cpu_split(s->threads, s->n_samples, 1 + GRAIN / s->sample_elems, drop_part, &j);
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

    cpu_split(s->threads, cpu_rows_elems(&s->rows, args), GRAIN, scale_part, &j);
    return LK_OK;
}

static dropout_state state_of(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, int mask)
{
    const lk_tensor *x = cpu_in(graph, node, 0);
    return (dropout_state){
        .x = cpu_ref_of(graph, node->in[0]),
        .y = cpu_ref_of(graph, node->out[0]),
        .mask = cpu_ref_of(graph, mask),
        .rows = cpu_rows_of(graph, node->in[0]),
        .n_samples = (size_t)x->shape[0],
        .sample_elems = x->n_elem / (size_t)x->shape[0],
        .p = node->attrs.dropout.p,
        .layer = node->attrs.dropout.layer,
        .dtype = x->dtype,
        .threads = ctx->threads,
    };
}

lk_status cpu_bind_dropout(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    const dropout_state s = state_of(ctx, graph, node, node->out[1]);

    LK_TRY(cpu_kernel_keep(out, run_dropout, &s, sizeof s));
    if (s.rows.ends.present) out->scratch_nbytes = (s.n_samples + 1) * sizeof(uint32_t);
    return LK_OK;
}

lk_status cpu_bind_dropout_grad(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    const dropout_state s = state_of(ctx, graph, node, node->in[1]);

    return cpu_kernel_keep(out, run_dropout_grad, &s, sizeof s);
}
