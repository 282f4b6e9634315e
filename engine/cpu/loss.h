/*
 * What the two kinds of losses share: their state, and how blocks of terms become the slot or the sums.  Private to
 * engine/cpu/.
 *
 * Terms are summed in double, in blocks that are cut by the shape alone and added in order, so threads change nothing.
 */
#ifndef LK_CPU_LOSS_H
#define LK_CPU_LOSS_H

#include "engine/cpu/rows.h"

enum { CPU_LOSS_GRAIN = 1 << 15 /* elements below which a second thread is not worth its start */ };

/* What a block adds to the first LK_N_SUMS. */
typedef struct cpu_loss_sums {
    double of[LK_N_SUMS];
} cpu_loss_sums;

typedef struct cpu_loss {
    cpu_ref x, target, dx, to;   /* to: the slot or the sums */
    cpu_rows rows;               /* of x */
    size_t n_rows, n_outputs, n_blocks; /* the most rows that there may be, and their blocks */
    lk_loss_spec spec;
    float *weight;               /* (n_outputs), owned: of classes, or of events; NULL: 1 */
    float sum_w;                 /* of them */
    bool train;
    lk_dtype dtype;
    int threads;
    cpu_loss_sums *block;        /* (n_blocks); in scratch, set by cpu_loss_begin() */
} cpu_loss;

/* One run of it. */
typedef struct cpu_loss_job cpu_loss_job;
/* The sums of rows [begin, end); in training their dx is written. */
typedef cpu_loss_sums cpu_loss_rows_fn(const cpu_loss_job *job, size_t begin, size_t end);
struct cpu_loss_job {
    const cpu_loss *s;
    const void *x, *target; /* labels of the rows that are there */
    void *dx; /* NULL outside training */
    float inv_count;
    size_t n_rows;
    cpu_loss_rows_fn *sum_rows; /* of cpu_loss_run_rows() */
};

/* The kernel's state with its blocks where this run has scratch. */
const cpu_loss *cpu_loss_begin(void *state, const lk_launch_args *args);
cpu_loss_job cpu_loss_job_of(const cpu_loss *s, const lk_launch_args *args);
/* Adds the blocks up and writes the loss slot, or the first LK_N_SUMS sums. */
void cpu_loss_store(const cpu_loss *s, const lk_launch_args *args);
/* A run of a loss over rows of logits, in blocks of CPU_LOGIT_ROWS. */
lk_status cpu_loss_run_rows(void *state, const lk_launch_args *args, cpu_loss_rows_fn *sum_rows);
lk_status cpu_loss_bind(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, size_t n_blocks,
                        lk_status (*run)(void *state, const lk_launch_args *args), lk_kernel *out);

#endif
