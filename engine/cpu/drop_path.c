/* Drop path: samples are kept, scaled, or made 0; also its gradient, which is the same on dy. */
#include "engine/base/formulas.h"
#include "engine/base/philox.h"
#include "engine/cpu/bf16.h"
#include "engine/cpu/cpu.h"

enum { GRAIN = 1 << 16 }; /* elements; fewer are done before a thread has started */

typedef struct drop_path_state {
    cpu_ref x, y;
    size_t n, row_elems; /* samples; elements of one */
    double p;
    uint32_t layer;
    lk_dtype dtype;
    int threads;
} drop_path_state;

typedef struct job {
    const drop_path_state *s;
    const void *x;
    void *y;
    const int64_t *sample;
    int64_t step;
    lk_philox_key key;
} job;

static bool keeps(const job *j, size_t n)
{
    const int64_t sample = j->sample[n];
    const uint32_t counter[4] = {lk_dropout_block(0), (uint32_t)sample, (uint32_t)j->step,
                                 lk_dropout_high(j->step, sample)};
    uint32_t words[4];

    lk_philox(j->key, counter, words);
    return lk_dropout_keep(words[lk_dropout_word(0)], lk_dropout_threshold(j->s->p));
}

CPU_INLINE void scale_row(void *restrict y, const void *restrict x, size_t begin, size_t end, float scale,
                          lk_dtype dtype)
{
    for (size_t i = begin; i < end; i++) cpu_store(y, i, cpu_load(x, i, dtype) * scale, dtype);
}

static void drop_samples(void *arg, size_t begin, size_t end)
{
    const job *j = arg;
    const drop_path_state *s = j->s;
    const size_t size = lk_dtype_size(s->dtype);
    const float scale = (float)(1.0 / (1.0 - s->p));

    for (size_t n = begin; n < end; n++) {
        const size_t first = n * s->row_elems, last = first + s->row_elems;

        if (!keeps(j, n)) memset((char *)j->y + first * size, 0, s->row_elems * size);
        else if (s->dtype == LK_DTYPE_BF16) scale_row(j->y, j->x, first, last, scale, LK_DTYPE_BF16);
        else scale_row(j->y, j->x, first, last, scale, LK_DTYPE_F32);
    }
}

static lk_status run_drop_path(void *state, const lk_launch_args *args)
{
    const drop_path_state *s = state;
    job j = {.s = s, .x = cpu_at(args, s->x), .y = cpu_at(args, s->y), .sample = args->sample, .step = args->step,
             .key = lk_philox_key_new(args->seed, LK_PURPOSE_DROPOUT, s->layer)};

    cpu_split(s->threads, s->n, 1 + GRAIN / s->row_elems, drop_samples, &j);
    return LK_OK;
}

lk_status cpu_bind_drop_path(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    const lk_tensor *x = cpu_in(graph, node, 0);
    const drop_path_state s = {
        .x = cpu_ref_of(graph, node->in[0]), .y = cpu_ref_of(graph, node->out[0]),
        .n = (size_t)x->shape[0], .row_elems = x->n_elem / (size_t)x->shape[0],
        .p = node->attrs.dropout.p, .layer = node->attrs.dropout.layer,
        .dtype = x->dtype, .threads = ctx->threads,
    };

    return cpu_kernel_keep(out, run_drop_path, &s, sizeof s);
}
