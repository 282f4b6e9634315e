/*
 * The rows of an activation that a run works on.  Private to engine/cpu/.
 *
 * Of an activation (N, L, C) whose rows have ends (graph/graph.h) only those before them are there, one behind the
 * other, sample after sample; so a sentence costs what its own words cost, however long its neighbours are.  Of all
 * others every row is there.
 */
#ifndef LK_CPU_ROWS_H
#define LK_CPU_ROWS_H

#include "engine/cpu/cpu.h"

typedef struct cpu_rows {
    cpu_ref ends;          /* absent: all rows are there */
    bool labels;           /* ends are to be found in labels */
    int32_t ignore_index;
    size_t N, L;           /* without ends: one sample of all rows */
    size_t width;          /* elements of a row */
} cpu_rows;

cpu_rows cpu_rows_of(const lk_graph *graph, int tensor);

/* Rows of sample n. */
size_t cpu_rows_in(const cpu_rows *rows, const lk_launch_args *args, size_t n);
/* Of all samples. */
size_t cpu_rows_count(const cpu_rows *rows, const lk_launch_args *args);
static inline size_t cpu_rows_elems(const cpu_rows *rows, const lk_launch_args *args)
{
    return cpu_rows_count(rows, args) * rows->width;
}
/* begin[n]: the first of sample n, for n from 0 to N. */
void cpu_rows_begin(const cpu_rows *rows, const lk_launch_args *args, uint32_t *begin);
/* Fills the rows that are not there with zeros. */
void cpu_rows_clear_rest(const cpu_rows *rows, const lk_launch_args *args, void *x, lk_dtype dtype);

#endif
