/*
 * What batch norm, layer norm and the bias's gradient share on CPU: sums over rows in a fixed order.  Private to
 * engine/cpu/.
 *
 * The R rows of x (R, C) are cut into blocks by C alone.  A block's sums are fp32 over a few rows that stay in cache;
 * the blocks' sums are added in double, in order.  So the order does not depend on threads, no long fp32 sum loses
 * digits, and all loops run over C, the axis that is contiguous.
 */
#ifndef LK_CPU_NORM_H
#define LK_CPU_NORM_H

#include "engine/cpu/bf16.h"
#include "engine/cpu/rows.h"

enum {
    CPU_NORM_WIDTH = 128,        /* elements that a loop over channels should have; fits a stack */
    CPU_NORM_BLOCK_ELEMS = 8192, /* 32 KiB of fp32: a second pass over a block finds it in cache */
    CPU_NORM_BLOCK_ROWS = 16,    /* the least: a block's own sums (2 C) stay small against its rows */
    CPU_NORM_GRAIN = 4,          /* blocks below which a second thread costs more than it saves */
};

/* The places of a node's tensors (those that it has, by engine/ops/norm.h), its sizes, and scratch for sums. */
typedef struct cpu_norm_state {
    cpu_ref x, g, b, y, dy, dx, dg, db, mean, rstd, stat_mean, stat_var;
    cpu_ref relu_y, relu_dx, addend; /* of a batch norm's group with a ReLU, below; else absent */
    cpu_rows rows;
    size_t n_rows, n_channels, block_rows, n_blocks; /* n_rows and n_blocks are set by cpu_norm_begin(); before, the
                                                      * most */
    size_t width;   /* batch norm: C times the rows that are taken as one; more than C only up to CPU_NORM_WIDTH */
    float eps;
    lk_dtype dtype;
    int threads;
    double *total;  /* (2, C); these three in scratch, set by cpu_norm_begin() */
    float *partial; /* (n_blocks, 2, C) */
    float *factor;  /* (4, width): what a pass needs per channel, repeated */
} cpu_norm_state;

/* A group that one kernel does: a batch norm and the ReLU behind it, maybe with an addition between them, as where a
 * residual block ends; or a ReLU's gradient and the batch norm's in front of it.  What is between them need not be
 * written and read again.  How many nodes the group has that node `first` begins; 1: it begins none. */
int cpu_norm_group(const lk_graph *graph, int first);

/* Makes run the kernel of a node of LK_NORM_NODE_LIST, or of a group with one, with the state of it that *out then
 * owns. */
lk_status cpu_norm_bind(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node,
                        lk_status (*run)(void *state, const lk_launch_args *args), lk_kernel *out);

/* The kernel's state with its sums where this run has scratch. */
const cpu_norm_state *cpu_norm_begin(void *state, const lk_launch_args *args);

static inline size_t cpu_norm_block_begin(const cpu_norm_state *s, size_t block) { return block * s->block_rows; }
static inline size_t cpu_norm_block_end(const cpu_norm_state *s, size_t block)
{
    return block + 1 < s->n_blocks ? (block + 1) * s->block_rows : s->n_rows;
}
static inline float *cpu_norm_partial(const cpu_norm_state *s, size_t block)
{
    return s->partial + block * 2 * s->n_channels;
}

/* total (2, C) = the sum of all blocks' partial sums, in order. */
void cpu_norm_add_blocks(const cpu_norm_state *s);

/* db and dg (either may be NULL), the first and second row of total. */
void cpu_norm_store_grads(const cpu_norm_state *s, float *dg, float *db);

#endif
