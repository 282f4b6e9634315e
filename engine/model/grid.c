/*
 * Cutting an arena into chunks of whole rows.
 *
 * A large tensor is cut by its rows, into chunks just long enough; what is left over stays with the last of them, and
 * so do the small tensors behind it (a bias, a norm's gain), as long as they are not a chunk by themselves.  So chunks
 * begin where large tensors begin, as buckets want it: the backward pass finishes whole tensors.  Chunks within a
 * tensor end at cache lines.
 */
#include "engine/model/grid.h"

#include <stdlib.h>

enum {
    LEAST_ELEM = 16 * 1024, /* 64 KiB: below it a message costs its latency */
    MOST_CHUNKS = 1 << 16,  /* about: tables of chunks stay small whatever the model */
};

typedef struct cutter {
    size_t least;  /* elements of a chunk */
    size_t *cut;   /* NULL: count only */
    size_t n;
    size_t begin;  /* of the open chunk */
    size_t smalls; /* elements at its end that are of small tensors */
} cutter;

static void cut_at(cutter *c, size_t place)
{
    if (c->cut) c->cut[c->n] = place;
    c->n++;
    c->begin = place;
    c->smalls = 0;
}

/* The fewest rows that are a chunk and end at a cache line. */
static size_t chunk_rows(size_t least, size_t row_elem)
{
    const size_t odd = row_elem & -row_elem; /* the largest power of two in it */
    const size_t line = odd < LK_ALIGN_ELEM ? LK_ALIGN_ELEM / odd : 1;
    const size_t enough = (least + row_elem - 1) / row_elem;

    return (enough + line - 1) / line * line;
}

static void take_small(cutter *c, size_t offset, size_t n_elem)
{
    if (c->smalls >= c->least) cut_at(c, offset);
    c->smalls += lk_round_up(n_elem);
}

static void take_large(cutter *c, size_t offset, size_t n_elem, size_t row_elem)
{
    const size_t piece = chunk_rows(c->least, row_elem) * row_elem, end = offset + n_elem;

    if (offset - c->begin >= c->least) cut_at(c, offset);
    for (size_t at = offset + piece; at + piece <= end; at += piece) cut_at(c, at);
    c->smalls = 0;
}

static void cut_up(cutter *c, const lk_grid_tensor *tensor, size_t n, size_t n_elem)
{
    c->least = n_elem / MOST_CHUNKS > LEAST_ELEM ? n_elem / MOST_CHUNKS : LEAST_ELEM;
    cut_at(c, 0);
    for (size_t i = 0; i < n; i++) {
        if (tensor[i].n_elem < c->least) take_small(c, tensor[i].offset, tensor[i].n_elem);
        else take_large(c, tensor[i].offset, tensor[i].n_elem, tensor[i].row_elem);
    }
    cut_at(c, n_elem);
}

lk_grid_tensor lk_grid_tensor_of(const lk_tensor_info *info, size_t offset)
{
    const size_t rows = info->ndim > 0 ? (size_t)info->shape[0] : 1;

    return (lk_grid_tensor){offset, info->n_elem, info->n_elem / rows};
}

lk_status lk_grid_cut(const lk_grid_tensor *tensor, size_t n, size_t n_elem, lk_grid *out)
{
    cutter c = {0};

    cut_up(&c, tensor, n, n_elem);
    out->n = c.n - 1;
    out->cut = malloc(c.n * sizeof *out->cut);
    LK_TRY_ALLOC(out->cut, c.n * sizeof *out->cut);
    c = (cutter){.cut = out->cut};
    cut_up(&c, tensor, n, n_elem);
    return LK_OK;
}

void lk_grid_clear(lk_grid *grid)
{
    free(grid->cut);
    *grid = (lk_grid){0};
}

size_t lk_grid_chunk_from(const lk_grid *grid, size_t place)
{
    size_t low = 0, high = grid->n;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (grid->cut[middle] < place) low = middle + 1;
        else high = middle;
    }
    return low;
}

size_t lk_grid_border(const lk_grid *grid, lk_range within, int s, int n)
{
    return grid->cut[lk_grid_chunk_from(grid, within.begin + (within.end - within.begin) * (size_t)s / (size_t)n)];
}
