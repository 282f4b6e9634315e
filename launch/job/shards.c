/*
 * Who holds and saves what: with dist.shard: optimizer each worker its shard of the optimizer's states, else all of
 * them; and which rows of what all hold are in whose file of a checkpoint.
 */
#include "launch/job/shards.h"

#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- the optimizer */

/* Ranges of this worker that are not empty; *own is (lk_shards_n). */
static lk_status list_own(const job *j, lk_range **own, size_t *n)
{
    *n = 0;
    *own = calloc(lk_shards_n(j->shards) + 1, sizeof **own);
    LK_TRY_ALLOC(*own, lk_shards_n(j->shards) * sizeof **own);
    for (size_t i = 0; i < lk_shards_n(j->shards); i++) {
        const lk_range range = lk_shards_range(j->shards, lk_world_rank(j->world), i);

        if (range.begin < range.end) (*own)[(*n)++] = range;
    }
    return LK_OK;
}

lk_status shards_make_optimizer(job *j, const lk_optimizer_spec *specs)
{
    const size_t bucket_bytes = (size_t)j->recipe->dist.bucket_bytes;
    lk_range *own;
    size_t n;

    if (j->recipe->dist.shard == LK_SHARD_NONE || lk_world_size(j->world) == 1)
        return lk_optimizer_new(j->engine, j->trainable, specs, &j->optimizer);
    LK_TRY(lk_shards_new(j->world, j->trainable, bucket_bytes, &j->shards));
    LK_TRY(list_own(j, &own, &n));
    const lk_status status = lk_optimizer_new_part(j->engine, j->trainable, specs, own, n, &j->optimizer);
    free(own);
    return status;
}

void updating_free(updating *u)
{
    lk_optimizer_free(&u->optimizer);
    lk_shards_free(&u->shards);
    lk_trainable_free(&u->trainable);
}

/* ------------------------------------------------------------ rows of a tensor */

typedef struct rows { int64_t begin, end; } rows;

/* What of a tensor, which begins at `offset` of an arena, a range of it covers: whole rows. */
static rows rows_in(const lk_tensor_info *info, size_t offset, lk_range range)
{
    const int64_t n_rows = info->ndim > 0 ? info->shape[0] : 1;
    const size_t row = n_rows > 0 ? info->n_elem / (size_t)n_rows : 0, end = offset + info->n_elem;
    const size_t from = range.begin > offset ? range.begin : offset, to = range.end < end ? range.end : end;

    if (from >= to || row == 0) return (rows){0, 0};
    return (rows){(int64_t)((from - offset) / row), (int64_t)((to - offset) / row)};
}

/* Of a worker's shard. */
static rows rows_of_shard(const lk_shards *shards, const lk_trainable *set, int rank, size_t tensor)
{
    const lk_tensor_info *info = lk_model_tensor(lk_trainable_model(set), tensor);
    rows found = {0, 0};

    for (size_t i = 0; i < lk_shards_n(shards) && found.begin == found.end; i++)
        found = rows_in(info, lk_trainable_offset(set, tensor), lk_shards_range(shards, rank, i));
    return found;
}

/* ------------------------------------------------------- from set to set */

static size_t row_elems(const lk_tensor_info *info)
{
    return info->n_elem / (info->ndim > 0 ? (size_t)info->shape[0] : 1);
}

/* State s of a tensor: all workers get all of it, and each keeps what it holds from now on. */
static lk_status carry_state(job *j, updating *from, int s, size_t tensor, float *whole)
{
    const lk_tensor_info *info = lk_model_tensor(j->model, tensor);
    const size_t row = row_elems(info);
    int64_t begin, end;

    for (int r = 0; r < lk_world_size(j->world); r++) {
        const rows theirs = rows_of_shard(from->shards, from->trainable, r, tensor);
        const size_t nbytes = (size_t)(theirs.end - theirs.begin) * row * sizeof *whole;
        float *place = whole + (size_t)theirs.begin * row;

        if (nbytes == 0) continue;
        if (r == lk_world_rank(j->world)) memcpy(place, lk_optimizer_state(from->optimizer, s, tensor), nbytes);
        LK_TRY(lk_world_broadcast_from(j->world, r, place, nbytes));
    }
    lk_optimizer_rows(j->optimizer, tensor, &begin, &end);
    if (begin < end)
        memcpy(lk_optimizer_state(j->optimizer, s, tensor), whole + (size_t)begin * row,
               (size_t)(end - begin) * row * sizeof *whole);
    return LK_OK;
}

static lk_status carry_all(job *j, updating *from, float *whole)
{
    const int n_states = lk_optimizer_n_common_states(j->optimizer, from->optimizer);

    for (size_t i = 0; i < lk_model_n_tensors(j->model) && n_states > 0; i++) {
        if (!lk_trainable_has(j->trainable, i) || !lk_trainable_has(from->trainable, i)) continue;
        for (int s = 0; s < n_states; s++) LK_TRY(carry_state(j, from, s, i, whole));
        lk_optimizer_set_step(j->optimizer, i, lk_optimizer_step(from->optimizer, i));
    }
    return LK_OK;
}

static lk_status carry_shards(job *j, updating *from)
{
    size_t most = 0;

    for (size_t i = 0; i < lk_model_n_tensors(j->model); i++)
        if (lk_model_tensor(j->model, i)->n_elem > most) most = lk_model_tensor(j->model, i)->n_elem;
    float *whole = malloc(most * sizeof *whole);
    lk_status status =
        job_agree(j, whole ? LK_OK : LK_FAIL(LK_ERR_SYSTEM, "out of memory: a state of %zu numbers", most));

    if (status == LK_OK) status = carry_all(j, from, whole);
    free(whole);
    return status;
}

lk_status shards_carry_states(job *j, updating *from)
{
    if (!from->optimizer || j->dry) return LK_OK;
    if (j->shards) return carry_shards(j, from);
    return job_agree(j, lk_optimizer_copy_state(j->optimizer, from->optimizer));
}

/* ---------------------------------------------------------------------- pieces */

/* Which rows part r of n saves of a tensor: of what all hold a run of the grid's chunks, of a shard what is in it. */
static rows rows_saved(const job *j, const lk_trainable *set, size_t tensor, int r, int n)
{
    const lk_tensor_info *info = lk_model_tensor(j->model, tensor);
    const lk_grid *grid = set ? lk_trainable_grid(set) : lk_model_grid(j->model);
    const lk_range all = {0, grid->cut[grid->n]};
    const lk_range part = {lk_grid_border(grid, all, r, n), lk_grid_border(grid, all, r + 1, n)};

    if (set && j->shards) return rows_of_shard(j->shards, set, r, tensor);
    return rows_in(info, set ? lk_trainable_offset(set, tensor) : info->offset, part);
}

static int by_rows(const void *a, const void *b)
{
    const lk_ckpt_piece *x = a, *y = b;

    return (x->begin > y->begin) - (x->begin < y->begin);
}

/* Adds the pieces of a tensor of the model, number `at` of those saved; of some only the number. */
static void add_pieces(const job *j, const lk_trainable *set, size_t tensor, int64_t at, lk_ckpt_piece *pieces,
                       size_t *n)
{
    const int size = lk_world_size(j->world);
    const size_t first = *n;

    for (int r = 0; r < size; r++) {
        const rows saved = rows_saved(j, set, tensor, r, size);

        if (saved.begin == saved.end) continue;
        if (pieces) pieces[*n] = (lk_ckpt_piece){.tensor = at, .part = r, .begin = saved.begin, .end = saved.end};
        (*n)++;
    }
    if (pieces) qsort(pieces + first, *n - first, sizeof *pieces, by_rows);
}

/* In the order of staging_shared(): the model, then each state. */
static size_t list_pieces(const job *j, lk_ckpt_piece *pieces)
{
    const size_t n_tensors = lk_model_n_tensors(j->model);
    int64_t at = 0;
    size_t n = 0;

    for (size_t i = 0; i < n_tensors; i++) add_pieces(j, NULL, i, at++, pieces, &n);
    for (int s = 0; s < lk_optimizer_n_states(j->optimizer); s++)
        for (size_t i = 0; i < n_tensors; i++)
            if (lk_trainable_has(j->trainable, i)) add_pieces(j, j->trainable, i, at++, pieces, &n);
    return n;
}

lk_status shards_cut_saves(const job *j, lk_saver *saver)
{
    const size_t n = list_pieces(j, NULL);
    lk_ckpt_piece *pieces = malloc((n + 1) * sizeof *pieces);

    LK_TRY_ALLOC(pieces, n * sizeof *pieces);
    list_pieces(j, pieces);
    const lk_status status = lk_saver_cut(saver, pieces, n);
    free(pieces);
    return status;
}

size_t shards_saved_elems(const job *j, const lk_trainable *set, size_t tensor)
{
    const rows saved = rows_saved(j, set, tensor, lk_world_rank(j->world), lk_world_size(j->world));

    if (saved.begin == saved.end) return 0;
    return (size_t)(saved.end - saved.begin) * row_elems(lk_model_tensor(j->model, tensor));
}
