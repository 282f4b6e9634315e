/* Channels apart and together again, row by row; bf16 moves as its bits. */
#include "engine/cpu/rows.h"

#include <string.h>

enum { GRAIN = 1 << 16 }; /* bytes; fewer are moved before a thread has started */

typedef struct split_state {
    cpu_ref whole, part[LK_MAX_OUT]; /* an absent part is zeros */
    cpu_rows rows;                   /* of the whole and of its parts */
    size_t n_parts, nbytes;          /* nbytes: of a row of a part */
    bool joins;                      /* parts into the whole */
    int threads;
} split_state;

typedef struct job {
    const split_state *s;
    char *whole, *part[LK_MAX_OUT];
} job;

static void move_part(const job *j, size_t p, size_t row)
{
    const split_state *s = j->s;
    char *in_whole = j->whole + (row * s->n_parts + p) * s->nbytes, *part = j->part[p] + row * s->nbytes;

    if (s->joins) memcpy(in_whole, part, s->nbytes);
    else memcpy(part, in_whole, s->nbytes);
}

static void move_rows(void *arg, size_t begin, size_t end)
{
    const job *j = arg;
    const split_state *s = j->s;

    for (size_t row = begin; row < end; row++)
        for (size_t p = 0; p < s->n_parts; p++) {
            if (j->part[p]) move_part(j, p, row);
            else memset(j->whole + (row * s->n_parts + p) * s->nbytes, 0, s->nbytes);
        }
}

static lk_status run_split(void *state, const lk_launch_args *args)
{
    const split_state *s = state;
    job j = {.s = s, .whole = cpu_at(args, s->whole)};

    for (size_t p = 0; p < s->n_parts; p++) j.part[p] = cpu_at(args, s->part[p]);
    cpu_split(s->threads, cpu_rows_count(&s->rows, args), 1 + GRAIN / (s->n_parts * s->nbytes), move_rows, &j);
    return LK_OK;
}

static lk_status bind_either(const cpu_ctx *ctx, const lk_graph *graph, int whole, const int *parts, int n_parts,
                             bool joins, lk_kernel *out)
{
    const lk_tensor *t = &graph->tensors[whole];
    const size_t channels = (size_t)t->shape[t->ndim - 1];
    split_state s = {.whole = cpu_ref_of(graph, whole), .n_parts = (size_t)n_parts, .rows = cpu_rows_of(graph, whole),
                     .nbytes = t->nbytes / (t->n_elem / channels) / (size_t)n_parts, .joins = joins,
                     .threads = ctx->threads};

    for (int p = 0; p < n_parts; p++) s.part[p] = cpu_ref_of(graph, parts[p]);
    return cpu_kernel_keep(out, run_split, &s, sizeof s);
}

lk_status cpu_bind_split(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return bind_either(ctx, graph, node->in[0], node->out, node->n_out, false, out);
}

lk_status cpu_bind_split_grad(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return bind_either(ctx, graph, node->out[0], node->in, node->n_in, true, out);
}
