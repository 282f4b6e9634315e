/* How many rows a run works on, counted from the lane's lengths or labels. */
#include "engine/cpu/rows.h"

#include <string.h>

cpu_rows cpu_rows_of(const lk_graph *graph, int tensor)
{
    const lk_tensor *t = &graph->tensors[tensor];
    const size_t width = t->ndim > 0 ? (size_t)t->shape[t->ndim - 1] : 1;

    if (t->ends.of == LK_NO_TENSOR) return (cpu_rows){.N = 1, .L = t->n_elem / width, .width = width};
    return (cpu_rows){.ends = cpu_ref_of(graph, t->ends.of), .labels = graph->tensors[t->ends.of].ndim == 2,
                      .ignore_index = t->ends.ignore_index, .N = (size_t)t->shape[0], .L = (size_t)t->shape[1],
                      .width = width};
}

static size_t end_of(const cpu_rows *rows, const int32_t *ends, size_t n)
{
    size_t end = rows->L;

    if (!rows->labels) return ends[n] < 0 ? 0 : (size_t)ends[n] < end ? (size_t)ends[n] : end;
    while (end > 0 && ends[n * rows->L + end - 1] == rows->ignore_index) end--;
    return end;
}

size_t cpu_rows_in(const cpu_rows *rows, const lk_launch_args *args, size_t n)
{
    return rows->ends.present ? end_of(rows, cpu_at(args, rows->ends), n) : rows->L;
}

size_t cpu_rows_count(const cpu_rows *rows, const lk_launch_args *args)
{
    const int32_t *ends = cpu_at(args, rows->ends);
    size_t count = 0;

    if (!ends) return rows->N * rows->L;
    for (size_t n = 0; n < rows->N; n++) count += end_of(rows, ends, n);
    return count;
}

void cpu_rows_begin(const cpu_rows *rows, const lk_launch_args *args, uint32_t *begin)
{
    begin[0] = 0;
    for (size_t n = 0; n < rows->N; n++) begin[n + 1] = begin[n] + (uint32_t)cpu_rows_in(rows, args, n);
}

void cpu_rows_clear_rest(const cpu_rows *rows, const lk_launch_args *args, void *x, lk_dtype dtype)
{
    const size_t there = cpu_rows_elems(rows, args), all = rows->N * rows->L * rows->width, size = lk_dtype_size(dtype);

    memset((char *)x + there * size, 0, (all - there) * size);
}
