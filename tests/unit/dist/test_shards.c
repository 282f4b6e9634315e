/* Shards: those of all workers tile what trains, in whole chunks, and nobody has two runs of one tensor; all have about
 * as much. */
#include <criterion/criterion.h>

#include "dist/reduce/shards.h"

enum { MOST_TENSORS = 16, MOST_WORKERS = 9, MOST_RANGES = 4096 };

static const lk_model_spec mlp = {.kind = LK_MODEL_MLP, .mlp = {6, {300, 700, 700, 33, 2000, 10}}};

static const int five[] = {0, 2, 4, 1, 3}; /* ranks in places, where two hosts got them in turn */

static lk_model *model;

static void set_up(void) { cr_assert_eq(lk_model_new(&mlp, &model), LK_OK, "%s", lk_error_message()); }
static void tear_down(void) { lk_model_free(&model); }

static lk_trainable *set_without(const char *frozen)
{
    bool trains[MOST_TENSORS];
    lk_trainable *set;

    for (size_t i = 0; i < lk_model_n_tensors(model); i++) trains[i] = !lk_glob(frozen, lk_model_tensor(model,
        i)->name);
    cr_assert_eq(lk_trainable_new(model, &(lk_trainable_spec){.trains = trains, .n_groups = 1}, &set), LK_OK);
    return set;
}

static int by_begin(const void *a, const void *b)
{
    const lk_range *x = a, *y = b;

    return (x->begin > y->begin) - (x->begin < y->begin);
}

static int runs_of(const lk_range *range, size_t n, size_t begin, size_t end)
{
    int runs = 0;

    for (size_t i = 0; i < n; i++) runs += range[i].begin < end && range[i].end > begin;
    return runs;
}

/* A worker's ranges that are not empty, appended; checks them. */
static size_t take_ranges(const lk_shards *shards, const lk_trainable *set, int rank, lk_range *out)
{
    const lk_grid *grid = lk_trainable_grid(set);
    size_t n = 0, end = 0;

    for (size_t i = 0; i < lk_shards_n(shards); i++) {
        const lk_range range = lk_shards_range(shards, rank, i);

        cr_assert_leq(range.begin, range.end);
        if (range.begin == range.end) continue;
        cr_expect_geq(range.begin, end, "rank %d: range %zu begins before the last one ends", rank, i);
        cr_expect_eq(grid->cut[lk_grid_chunk_from(grid, range.begin)], range.begin);
        cr_expect_eq(grid->cut[lk_grid_chunk_from(grid, range.end)], range.end);
        end = range.end;
        out[n++] = range;
    }
    for (size_t t = 0; t < lk_model_n_tensors(model); t++) {
        if (!lk_trainable_has(set, t)) continue;
        const size_t at = lk_trainable_offset(set, t);
        cr_expect_leq(runs_of(out, n, at, at + lk_model_tensor(model, t)->n_elem), 1, "rank %d: several runs of %s",
            rank,
                      lk_model_tensor(model, t)->name);
    }
    return n;
}

static void expect_tiles(const lk_trainable *set, size_t bucket_bytes, int size)
{
    lk_range range[MOST_RANGES];
    size_t n = 0, place = 0;
    lk_shards *shards;

    cr_assert_eq(lk_shards_new_plain(set, bucket_bytes, size, size == 5 ? five : NULL, &shards), LK_OK, "%s",
                 lk_error_message());
    for (int rank = 0; rank < size; rank++) n += take_ranges(shards, set, rank, range + n);
    qsort(range, n, sizeof *range, by_begin);
    for (size_t i = 0; i < n; i++) {
        cr_expect_eq(range[i].begin, place, "%d workers: elements %zu.. are nobody's, or two workers'", size, place);
        place = range[i].end;
    }
    cr_expect_eq(place, lk_trainable_n_elem(set), "%d workers: all have %zu of %zu", size, place,
                 lk_trainable_n_elem(set));
    lk_shards_free(&shards);
    cr_expect_null(shards);
}

Test(shards, tile_what_trains, .init = set_up, .fini = tear_down)
{
    static const char *const frozen[] = {"none", "0.*", "[24].*", "*.weight"};
    static const size_t bucket_bytes[] = {1, 100000, 3000000, 1 << 28};

    for (size_t f = 0; f < sizeof frozen / sizeof *frozen; f++) {
        lk_trainable *set = set_without(frozen[f]);

        for (size_t b = 0; b < sizeof bucket_bytes / sizeof *bucket_bytes; b++)
            for (int size = 1; size <= MOST_WORKERS; size++) expect_tiles(set, bucket_bytes[b], size);
        lk_trainable_free(&set);
    }
}

/* One bucket of 44 chunks: nobody has more than a chunk beyond an even share. */
Test(shards, are_even, .init = set_up, .fini = tear_down)
{
    lk_trainable *set = set_without("none");
    const size_t all = lk_trainable_n_elem(set);
    lk_shards *shards;

    for (int size = 2; size <= MOST_WORKERS; size++) {
        cr_assert_eq(lk_shards_new_plain(set, 1 << 28, size, NULL, &shards), LK_OK);
        for (int rank = 0; rank < size; rank++) {
            size_t mine = 0;

            for (size_t i = 0; i < lk_shards_n(shards); i++)
                mine += lk_shards_range(shards, rank, i).end - lk_shards_range(shards, rank, i).begin;
            cr_expect_leq(mine, all / (size_t)size + 2 * 20000, "rank %d of %d has %zu of %zu", rank, size, mine, all);
        }
        lk_shards_free(&shards);
    }
    lk_trainable_free(&set);
}

/* As recursive halving at distances 1, 2, 4 goes: the lowest bit of a rank chooses the half. */
Test(shards, halving_leads_to_a_place_of_ones_own)
{
    static const int eight[] = {0, 4, 2, 6, 1, 5, 3, 7};

    for (int r = 0; r < 8; r++) cr_expect_eq(lk_shard_part(r, 8), eight[r], "rank %d: %d", r, lk_shard_part(r, 8));
    for (int r = 0; r < 6; r++) cr_expect_eq(lk_shard_part(r, 6), r);
}
