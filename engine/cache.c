/*
 * Caches: memory of decoding that outlives a run.
 *
 * What is in one is found by building the network's two programs that use it, without binding them: the entries that
 * either names.  Plans are then compiled against that layout, so they are shared by all caches of the same rows and
 * capacity.
 */
#include "engine/engine_impl.h"
#include "engine/nn/build.h"

#include <stdlib.h>
#include <string.h>

static lk_status collect(lk_engine *engine, lk_mode mode, lk_cache_layout *layout)
{
    lk_graph graph;

    lk_graph_init(&graph, engine->model, mode, engine->precision, layout->rows);
    graph.length = lk_sample_has_length(lk_model_sample(engine->model)) ? 1 : 0;
    graph.cache = layout;
    const lk_status status = lk_model_build(engine->model, &graph);
    lk_graph_clear(&graph);
    return status;
}

static lk_status set_up(lk_cache *cache)
{
    lk_cache_layout *layout = &cache->layout;

    layout->collecting = true;
    LK_TRY(collect(cache->engine, LK_ENCODE, layout));
    LK_TRY(collect(cache->engine, LK_DECODE, layout));
    layout->collecting = false;
    if (layout->n == 0)
        return LK_FAIL(LK_ERR_USAGE, "this network keeps nothing from position to position: it cannot decode");
    return lk_engine_alloc(cache->engine, layout->nbytes, &cache->memory);
}

lk_status lk_cache_new(lk_engine *engine, int64_t rows, int64_t capacity, lk_cache **out)
{
    *out = NULL;
    if (rows < 1 || capacity < 1)
        return LK_FAIL(LK_ERR_USAGE, "a cache of %lld rows and %lld positions holds nothing", (long long)rows,
                       (long long)capacity);
    lk_cache *cache = calloc(1, sizeof *cache);
    LK_TRY_ALLOC(cache, sizeof *cache);
    *cache = (lk_cache){.engine = engine, .layout = {.rows = rows, .capacity = capacity}};
    const lk_status status = set_up(cache);
    if (status == LK_OK) *out = cache;
    else lk_cache_free(&cache);
    return status;
}

void lk_cache_free(lk_cache **cache)
{
    if (!cache || !*cache) return;
    lk_engine_release((*cache)->engine, &(*cache)->spare);
    lk_engine_release((*cache)->engine, &(*cache)->memory);
    lk_cache_layout_clear(&(*cache)->layout);
    free(*cache);
    *cache = NULL;
}

size_t lk_cache_nbytes(const lk_cache *cache) { return cache->layout.nbytes; }

/* Copies a row of every entry, from one memory to the other. */
static lk_status copy_row(lk_cache *cache, void *to, int64_t to_row, const void *from, int64_t from_row)
{
    for (int i = 0; i < cache->layout.n; i++) {
        const lk_cache_entry *entry = &cache->layout.entries[i];
        const size_t row_bytes = entry->nbytes / (size_t)cache->layout.rows;

        LK_TRY(lk_engine_copy(cache->engine, LK_QUEUE_COMPUTE, (char *)to + entry->offset + (size_t)to_row * row_bytes,
                              (const char *)from + entry->offset + (size_t)from_row * row_bytes, row_bytes));
    }
    return LK_OK;
}

/* Rows that change go by way of a second memory and back, so that the first stays where recorded work knows it. */
lk_status lk_cache_reorder(lk_cache *cache, const int64_t *from)
{
    const lk_cache_layout *layout = &cache->layout;

    for (int64_t r = 0; r < layout->rows; r++)
        if (from[r] < 0 || from[r] >= layout->rows)
            return LK_FAIL(LK_ERR_USAGE, "row %lld cannot go on as row %lld of %lld", (long long)r, (long long)from[r],
                           (long long)layout->rows);
    if (!cache->spare) LK_TRY(lk_engine_alloc(cache->engine, layout->nbytes, &cache->spare));
    for (int64_t r = 0; r < layout->rows; r++)
        if (from[r] != r) LK_TRY(copy_row(cache, cache->spare, r, cache->memory, from[r]));
    for (int64_t r = 0; r < layout->rows; r++)
        if (from[r] != r) LK_TRY(copy_row(cache, cache->memory, r, cache->spare, r));
    return LK_OK;
}
