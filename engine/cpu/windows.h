/*
 * What attention over windows and its gradient share on CPU.  Private to engine/cpu/.
 *
 * One head of one window at a time is gathered into buffers of a few dozen KiB, in fp32, and stays in the first caches;
 * its products are small_gemm's.  T tokens are rarely a multiple of a vector, so rows of S and P are `row` long, T
 * rounded up, and what is behind T has probability 0.
 *
 * Windows are cut into chunks by their number alone.  A chunk has buffers of its own and does its windows in order, so
 * the sums over windows, dB and the gradient of `pad`, do not depend on threads: fp32 within a chunk, then the chunks
 * in order and in double.
 */
#ifndef LK_CPU_WINDOWS_H
#define LK_CPU_WINDOWS_H

#include "engine/cpu/cpu.h"

enum { CPU_WINDOW_CHUNKS = 16, CPU_WINDOW_MOST_TOKENS = LK_LARGEST_WINDOW * LK_LARGEST_WINDOW };

/* A kernel's state: the places of the node's tensors (those that it has) and its sizes. */
typedef struct cpu_windows {
    cpu_ref qkv, table, pad, y, dy, dqkv, dtable, dpad;
    size_t H, W, C, heads, D; /* D channels a head */
    size_t M, T, row;
    size_t down, across;      /* windows of a sample */
    size_t shift[2];
    size_t n_windows, n_chunks;
    size_t chunk_floats;      /* of a chunk's buffers and sums */
    double p;
    uint32_t layer;
    lk_dtype dtype;
    int threads;
} cpu_windows;

/* One run of it. */
typedef struct cpu_windows_run {
    const cpu_windows *s;
    const void *qkv, *dy;
    void *y, *dqkv;
    float *dtable, *dpad;
    const float *pad;         /* NULL: no token is outside */
    float *bias;              /* (heads, T, row): B, and -infinity behind T */
    float *chunks;            /* of each chunk, its buffers and sums */
    const int64_t *sample;
    int64_t step;
    lk_philox_key key;
} cpu_windows_run;

/* Tokens of one window, and which see each other. */
typedef struct cpu_window {
    size_t sample, number;                  /* its number among its sample's */
    size_t token[CPU_WINDOW_MOST_TOKENS];   /* its row in qkv and y, or CPU_OUTSIDE */
    size_t n_inside;
    size_t inside[CPU_WINDOW_MOST_TOKENS];  /* which of the T are in the image; these have an output */
    size_t inside_token[CPU_WINDOW_MOST_TOKENS];
    uint8_t region[CPU_WINDOW_MOST_TOKENS]; /* of the image: 0 to 3 */
    float mask[4][CPU_WINDOW_MOST_TOKENS];  /* for a token of each region: 0 or -100 */
} cpu_window;
#define CPU_OUTSIDE SIZE_MAX

/* A chunk's buffers, for one head of one window. */
typedef struct cpu_window_head {
    float *q, *k, *v, *dy;      /* (T, D), of q and dy those inside; behind k's and v's T come zeros to `row` */
    float *turned;              /* (D, row): k or v transposed */
    float *p, *factor, *dp;     /* (T, row), of those inside: P; what dropout multiplies it by; dP, then dS */
    float *out;                 /* (T, D): what goes to y or dqkv */
    float *sum_db, *sum_dpad;   /* the chunk's sums: (heads, T, row), (3C) */
} cpu_window_head;

/* Makes run the kernel of a node, with the state of it that *out then owns; backward: with room for the sums. */
lk_status cpu_windows_bind(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, bool backward,
                           lk_status (*run)(void *state, const lk_launch_args *args), lk_kernel *out);
/* Finds the tensors of this run and makes B. */
cpu_windows_run cpu_windows_begin(const cpu_windows *s, const lk_launch_args *args);
/* body(run, begin, end) for chunks [begin, end), on the kernel's threads. */
void cpu_windows_split(cpu_windows_run *run, void (*body)(void *run, size_t begin, size_t end));

/* Row of the table for the query in row i and column k of a window and the key in row j and column 0; that of column l
 * is l rows before. */
static inline size_t cpu_windows_relative(const cpu_windows *s, size_t i, size_t k, size_t j)
{
    return (i + s->M - 1 - j) * (2 * s->M - 1) + k + s->M - 1;
}

/* The windows of a chunk. */
lk_range cpu_windows_range(const cpu_windows *s, size_t chunk);
/* Its buffers; and these with zeros behind k and v. */
cpu_window_head cpu_windows_buffers(const cpu_windows_run *run, size_t chunk);
cpu_window_head cpu_windows_begin_chunk(const cpu_windows_run *run, size_t chunk);
void cpu_window_find(const cpu_windows *s, size_t number, cpu_window *out);

/* to (n, D) = scale * x's D channels from `channel` on, of these tokens; x has x_row channels a token.  Tokens outside
 * have what pad has, rounded as the layer that makes qkv rounds it. */
void cpu_windows_gather(const cpu_windows *s, float *to, const void *x, size_t x_row, size_t channel,
                        const size_t *token, size_t n, const float *pad, float scale);
/* The way back; what is outside is left out. */
void cpu_windows_scatter(const cpu_windows *s, void *x, size_t x_row, size_t channel, const size_t *token, size_t n,
                         const float *from, float scale);

/* q, k, v and P of one head; with dropout also its factors. */
void cpu_windows_probabilities(const cpu_windows_run *run, const cpu_window *window, size_t head,
                               const cpu_window_head *at);
/* to = from * factor, element by element, in the rows inside; the arrays may be the same. */
void cpu_windows_drop(const cpu_windows *s, const cpu_window *window, float *to, const float *from,
                      const float *factor);

#endif
