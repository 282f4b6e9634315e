/*
 * Who updates what in a sharded run.
 *
 * Each bucket is cut, not the arena as a whole: so every bucket's sums go to all workers alike, and the traffic of a
 * moment is spread over all links.  A worker's shard is its parts of all buckets; all parts are runs of chunks of the
 * set's grid, and of a tensor, which lies in one bucket, a worker has one run of rows at most.
 */
#include "dist/reduce/shards.h"

#include "dist/reduce/p2p.h"

int lk_shard_part(int place, int size)
{
    int part = 0;

    if ((size & (size - 1)) != 0) return place;
    for (int d = 1; d < size; d *= 2) part = 2 * part + (place & d ? 1 : 0);
    return part;
}

const size_t *lk_shard_borders(const lk_shards *shards, size_t b)
{
    return shards->border + b * (size_t)(shards->size + 1);
}

static size_t max_of(size_t a, size_t b) { return a > b ? a : b; }

void lk_shards_longest(const lk_shards *shards, size_t *part, size_t *half)
{
    *part = *half = 0;
    for (size_t b = 0; b < shards->n; b++) {
        const size_t *border = lk_shard_borders(shards, b);
        const size_t middle = border[shards->size / 2];

        *half = max_of(*half, max_of(middle - border[0], border[shards->size] - middle));
        for (int p = 0; p < shards->size; p++) *part = max_of(*part, border[p + 1] - border[p]);
    }
}

lk_arena_cuts lk_cuts_of(const lk_trainable *trainable, bool sharded, size_t *cut)
{
    const lk_grid *grid = lk_trainable_grid(trainable);
    size_t n = 0;

    for (size_t i = 0; i < lk_model_n_tensors(lk_trainable_model(trainable)); i++) {
        if (!lk_trainable_has(trainable, i)) continue;
        const size_t place = lk_trainable_offset(trainable, i);
        if (grid->cut[lk_grid_chunk_from(grid, place)] == place) cut[n++] = place;
    }
    if (sharded) cut[n++] = lk_trainable_n_elem(trainable);
    return (lk_arena_cuts){.cut = cut, .n = n, .n_elem = lk_trainable_n_grads(trainable),
                           .alone = sharded ? lk_trainable_n_elem(trainable) : 0};
}

/* A bucket longer than a message was cut somewhere. */
static lk_status check(const lk_grid *grid, lk_range bucket)
{
    if (grid->cut[lk_grid_chunk_from(grid, bucket.begin)] == bucket.begin &&
        grid->cut[lk_grid_chunk_from(grid, bucket.end)] == bucket.end)
        return LK_OK;
    return LK_FAIL(LK_ERR_USAGE, "dist.shard: gradients that travel together must be fewer than %d; make "
                   "dist.bucket_bytes smaller, or, if a single tensor is larger, leave dist.shard out",
                   LK_P2P_MAX_ELEM);
}

static lk_status cut_buckets(const lk_trainable *trainable, const lk_buckets *buckets, lk_shards *shards)
{
    const lk_grid *grid = lk_trainable_grid(trainable);
    const size_t nbytes = buckets->n * (size_t)(shards->size + 1) * sizeof *shards->border;

    shards->n = buckets->n;
    shards->border = lk_alloc(nbytes);
    LK_TRY_ALLOC(shards->border, nbytes);
    for (size_t b = 0; b < buckets->n; b++) {
        const lk_range bucket = buckets->bucket[b];
        size_t *border = shards->border + b * (size_t)(shards->size + 1);

        if (bucket.begin >= lk_trainable_n_elem(trainable)) { /* nobody's, and all have it whole */
            for (int p = 0; p <= shards->size; p++) border[p] = bucket.begin;
            continue;
        }
        LK_TRY(check(grid, bucket));
        for (int p = 0; p <= shards->size; p++) border[p] = lk_grid_border(grid, bucket, p, shards->size);
    }
    return LK_OK;
}

static lk_status cut_set(const lk_trainable *trainable, size_t bucket_bytes, size_t *cut, lk_shards *shards)
{
    lk_buckets buckets;
    lk_status status = lk_buckets_cut(lk_cuts_of(trainable, true, cut), bucket_bytes, &buckets);

    if (status == LK_OK) status = cut_buckets(trainable, &buckets, shards);
    lk_buckets_clear(&buckets);
    return status;
}

/* Parts go to places, and these are asked for by ranks. */
static lk_status find_parts(lk_shards *shards, const int *rank_at)
{
    const size_t nbytes = (size_t)shards->size * sizeof *shards->part_of;

    shards->part_of = lk_alloc(nbytes);
    LK_TRY_ALLOC(shards->part_of, nbytes);
    for (int place = 0; place < shards->size; place++)
        shards->part_of[rank_at ? rank_at[place] : place] = lk_shard_part(place, shards->size);
    return LK_OK;
}

lk_status lk_shards_new(const lk_world *world, const lk_trainable *trainable, size_t bucket_bytes, lk_shards **out)
{
    return lk_shards_new_plain(trainable, bucket_bytes, world->size, world->rank_at, out);
}

lk_status lk_shards_new_plain(const lk_trainable *trainable, size_t bucket_bytes, int size, const int *rank_at,
                              lk_shards **out)
{
    const size_t n = lk_model_n_tensors(lk_trainable_model(trainable)) + 1;
    lk_shards *shards = lk_alloc(sizeof *shards);
    size_t *cut = lk_alloc(n * sizeof *cut);
    lk_status status = shards && cut ? LK_OK : LK_FAIL(LK_ERR_SYSTEM, "out of memory: shards of %zu tensors", n);

    *out = NULL;
    if (status == LK_OK) {
        shards->size = size;
        status = find_parts(shards, rank_at);
        if (status == LK_OK) status = cut_set(trainable, bucket_bytes, cut, shards);
    }
    lk_free(&cut);
    if (status == LK_OK) *out = shards;
    else lk_shards_free(&shards);
    return status;
}

void lk_shards_free(lk_shards **shards)
{
    if (!shards || !*shards) return;
    lk_free(&(*shards)->border);
    lk_free(&(*shards)->part_of);
    lk_free(shards);
}

size_t lk_shards_n(const lk_shards *shards) { return shards->n; }

lk_range lk_shards_range(const lk_shards *shards, int rank, size_t i)
{
    /* Buckets go from the arena's end to its front. */
    const size_t *border = lk_shard_borders(shards, shards->n - 1 - i);
    const int p = shards->part_of[rank];

    return (lk_range){border[p], border[p + 1]};
}
