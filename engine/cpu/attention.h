/*
 * What attention, its gradient and its map share on CPU.  Private to engine/cpu/.
 *
 * One head of one sample at a time, in blocks of 64 queries by 64 keys that are gathered into buffers in fp32 and stay
 * in the second cache; products are small_gemm's.  Blocks begin at multiples of 64, whatever the lane's length, and no
 * head of a sample meets another: the bits of a row depend on its own sample's keys alone, and are the same when
 * positions are decoded one by one.
 *
 * Heads of samples are dealt out to chunks, one a thread, each with buffers of its own.
 */
#ifndef LK_CPU_ATTENTION_H
#define LK_CPU_ATTENTION_H

#include "engine/cpu/rows.h"

enum { CPU_ATTENTION_BLOCK = 64 };

/* A kernel's state: the places of the node's tensors (those that it has) and its sizes. */
typedef struct cpu_attention {
    cpu_ref q, k, v, lengths, y, log_sum, dy, dq, dk, dv, map;
    cpu_rows queries, keys;        /* of q and its like, of k and v and theirs */
    size_t N, Lq, Lk, C, heads, D; /* D channels a head */
    size_t n_chunks, chunk_floats;
    bool causal, cached;
    double p;
    uint32_t layer;
    lk_dtype dtype;
    int threads;
} cpu_attention;

/* One run of it. */
typedef struct cpu_attention_run {
    const cpu_attention *s;
    const void *q, *k, *v, *dy;
    void *y, *dq, *dk, *dv;
    float *log_sum, *map;
    const int32_t *lengths;
    float *chunks;
    const uint32_t *first_query, *first_key; /* rows of each sample; NULL: all are as long */
    size_t first; /* position of the first query among the keys */
    const int64_t *sample;
    int64_t step;
    lk_philox_key key;
} cpu_attention_run;

/* One head of one sample, and the buffers of its chunk; B is CPU_ATTENTION_BLOCK. */
typedef struct cpu_attention_head {
    size_t sample, head;
    size_t first_query, n_queries; /* rows of the sample */
    size_t first_key, n_rows;   /* of keys */
    size_t n_keys;              /* of them that it has */
    float *q, *dy;              /* (B, D) of a block of queries; q is divided by sqrt(D) */
    float *k, *v;               /* (B, D) of a block of keys */
    float *k_turned, *v_turned; /* (D, B) */
    float *p, *dp, *factor;     /* (B, B); factor: what dropout multiplies P by */
    float *out, *sum, *sum_dk;  /* (B, D) */
    float *row;                 /* (3, B): a number a query, three times */
    float *sum_dq;              /* (Lq, D) */
} cpu_attention_head;

/* A block of queries, or of keys: [begin, begin + n). */
typedef struct cpu_attention_block { size_t begin, n; } cpu_attention_block;

/* The block from `begin` on of so many in all. */
static inline cpu_attention_block cpu_attention_block_at(size_t begin, size_t end)
{
    return (cpu_attention_block){begin, end - begin < CPU_ATTENTION_BLOCK ? end - begin : CPU_ATTENTION_BLOCK};
}

/* Makes run the kernel of a state whose tensors are filled in; it takes the sizes from q and k. */
lk_status cpu_attention_bind(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, int q, int k,
                             cpu_attention *state, lk_status (*run)(void *state, const lk_launch_args *args),
                             lk_kernel *out);
/* Does body(run, head) for every head of every sample, on the kernel's threads. */
void cpu_attention_each(const cpu_attention *s, const lk_launch_args *args,
                        void (*body)(const cpu_attention_run *run, const cpu_attention_head *h));

/* Keys that any query of the block sees: [0, n). */
size_t cpu_attention_reach(const cpu_attention_run *run, const cpu_attention_head *h, cpu_attention_block queries);
/* How many of a block of keys query i sees: its first ones. */
size_t cpu_attention_seen(const cpu_attention_run *run, const cpu_attention_head *h, size_t i,
                          cpu_attention_block keys);

/* The first of the head's channels in a row of x (rows, C). */
static inline size_t cpu_attention_place(const cpu_attention *s, const cpu_attention_head *h, size_t row)
{
    return row * s->C + h->head * s->D;
}

/* Does all queries of a head, or their gradient, where keys are few and a loop is compiled for its channels; else
 * returns false.  attention_short.c */
bool cpu_attention_short(const cpu_attention_run *run, const cpu_attention_head *h);
bool cpu_attention_short_grad(const cpu_attention_run *run, const cpu_attention_head *h);

/* to (n, D) = scale * the head's channels of x at these positions of the sample whose first row is `first`. */
void cpu_attention_gather(const cpu_attention_run *run, const cpu_attention_head *h, const void *x, size_t first,
                          cpu_attention_block at, float scale, float *to);
/* The way back. */
void cpu_attention_scatter(const cpu_attention_run *run, const cpu_attention_head *h, void *x, size_t first,
                           cpu_attention_block at, const float *from, float scale);
/* turned (D, B) = x (n, D) transposed; columns behind n up to a whole vector are 0. */
void cpu_attention_turn(const cpu_attention *s, const float *x, size_t n, float *turned);
/* Columns of a block of n keys that are worked on: one or two groups of dropout, and of partial sums. */
static inline size_t cpu_attention_width(size_t n_keys)
{
    return n_keys > CPU_ATTENTION_BLOCK / 2 ? CPU_ATTENTION_BLOCK : CPU_ATTENTION_BLOCK / 2;
}

/* p (B, B) = a (n_queries, D) turned (D, B). */
void cpu_attention_product(const cpu_attention *s, const float *a, const float *turned, size_t n_queries, size_t n_keys,
                           float *p);
/* h->factor for a block. */
void cpu_attention_draw(const cpu_attention_run *run, const cpu_attention_head *h, cpu_attention_block queries,
                        cpu_attention_block keys);
/* to = from * h->factor; the arrays may be the same. */
void cpu_attention_drop(const cpu_attention_head *h, size_t n_queries, size_t n_keys, const float *from, float *to);

#endif
