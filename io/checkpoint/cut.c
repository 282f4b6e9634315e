/* Which rows of which tensor are in which part: what format 2 says row by row, and format 1 leaves to arithmetic. */
#include <stdlib.h>
#include <string.h>

#include "io/checkpoint/parts.h"

static lk_status alloc(size_t n, size_t n_tensors, lk_cut *out)
{
    *out = (lk_cut){.piece = calloc(n + 1, sizeof *out->piece),
                       .first = calloc(n_tensors + 1, sizeof *out->first), .n = n};
    if (out->piece && out->first) return LK_OK;
    lk_cut_free(out);
    return LK_FAIL(LK_ERR_SYSTEM, "out of memory: a table of %zu pieces of tensors", n);
}

void lk_cut_free(lk_cut *pieces)
{
    free(pieces->first);
    free(pieces->piece);
    *pieces = (lk_cut){0};
}

lk_status lk_cut_even(const lk_ckpt_tensor *tensors, size_t n, int parts, lk_cut *out)
{
    LK_TRY(alloc(n * (size_t)parts, n, out));
    out->n = 0;
    for (size_t i = 0; i < n; i++) {
        out->first[i] = out->n;
        for (int r = 0; r < parts && tensors[i].n_elem > 0; r++) {
            lk_ckpt_piece *piece = &out->piece[out->n];

            *piece = (lk_ckpt_piece){.tensor = (int64_t)i, .part = r};
            LK_TRY(lk_part_rows(lk_tensor_rows(&tensors[i]), r, parts, &piece->begin, &piece->end));
            out->n += piece->begin < piece->end;
        }
    }
    out->first[n] = out->n;
    return LK_OK;
}

/* Behind row `end` of tensor i, what may come next? */
static bool fits(const lk_ckpt_piece *piece, size_t i, int64_t end, int64_t n_rows, int parts)
{
    return piece->tensor == (int64_t)i && piece->begin == end && piece->end > end && piece->end <= n_rows &&
           piece->part >= 0 && piece->part < parts;
}

static lk_status index_tensor(const lk_ckpt_tensor *tensor, size_t i, int parts, lk_cut *pieces, size_t *next)
{
    const int64_t n_rows = tensor->n_elem > 0 ? lk_tensor_rows(tensor) : 0;
    int64_t end = 0;

    pieces->first[i] = *next;
    while (end < n_rows && *next < pieces->n && fits(&pieces->piece[*next], i, end, n_rows, parts))
        end = pieces->piece[(*next)++].end;
    if (end == n_rows) return LK_OK;
    return LK_FAIL(LK_ERR_CHECKPOINT, "rows %lld.. of %s are in no part, or in several", (long long)end, tensor->path);
}

lk_status lk_cut_take(const lk_ckpt_piece *from, size_t n_pieces, const lk_ckpt_tensor *tensors, size_t n, int parts,
                         lk_cut *out)
{
    size_t next = 0;
    lk_status status = alloc(n_pieces, n, out);

    if (status == LK_OK && n_pieces > 0) memcpy(out->piece, from, n_pieces * sizeof *from);
    for (size_t i = 0; i < n && status == LK_OK; i++) status = index_tensor(&tensors[i], i, parts, out, &next);
    if (status == LK_OK && next < n_pieces)
        status = LK_FAIL(LK_ERR_CHECKPOINT, "%zu pieces of tensors are more than the tensors have", n_pieces - next);
    if (status == LK_OK) out->first[n] = next;
    else lk_cut_free(out);
    return status;
}
