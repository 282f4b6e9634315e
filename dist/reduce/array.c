/* A reducer of a plain array, for those who measure: no engine, no model, and buckets of one size. */
#include "dist/reduce/reducer.h"

#include "dist/reduce/algorithm.h"

static size_t bucket_elem(size_t n_elem, size_t bucket_bytes)
{
    const size_t lines = bucket_bytes / sizeof(float) / LK_RANGE_ALIGN;
    const size_t each = (lines ? lines : 1) * LK_RANGE_ALIGN;

    return each < n_elem ? each : n_elem;
}

lk_status lk_reducer_new_array(lk_world *world, lk_reduction kind, int lanes, size_t n_elem, size_t bucket_bytes,
                               lk_reducer **out)
{
    const size_t each = bucket_elem(n_elem, bucket_bytes), n_cuts = (n_elem + each - 1) / each;
    size_t *cut = lk_alloc(n_cuts * sizeof *cut);

    *out = NULL;
    LK_TRY(lk_world_agree(world, cut ? LK_OK : LK_FAIL(LK_ERR_SYSTEM, "out of memory: %zu buckets", n_cuts)));
    for (size_t i = 0; i < n_cuts; i++) cut[i] = i * each;
    const lk_arena_cuts cuts = {.cut = cut, .n = n_cuts, .n_elem = n_elem};
    const lk_status status = lk_reducer_new_plain(world, NULL, kind, lanes, cuts, each * sizeof(float), NULL, out);
    lk_free(&cut);
    return status;
}
