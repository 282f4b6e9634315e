/*
 * Replicas must be identical: hashes of the weights are compared, and a worker that differs is named.
 *
 * While all is well this is one hash (XXH3, at the speed of memory) and one all-reduce of 16 bytes: the largest h and
 * the largest ~h are complements only when all h are equal.  Only when they differ are the hashes of all workers and
 * of all tensors collected.
 */
#include "dist/world/wait.h"

#include <assert.h>
#include <limits.h>
#include <stdio.h>

#include <xxhash.h>

enum { TEXT_BYTES = 1024, NAMED_RANKS = 8, PIECE_BYTES = 4 << 20 };

/* From a device, piece by piece; the hash of the pieces is the hash of the whole. */
static lk_status hash_pieces(lk_engine *engine, const char *from, size_t nbytes, void *piece, XXH3_state_t *hash)
{
    for (size_t done = 0; done < nbytes;) {
        const size_t n = nbytes - done < PIECE_BYTES ? nbytes - done : PIECE_BYTES;

        LK_TRY(lk_engine_read(engine, piece, from + done, n));
        XXH3_64bits_update(hash, piece, n);
        done += n;
    }
    return LK_OK;
}

static lk_status hash_device(lk_engine *engine, const float *from, size_t nbytes, uint64_t *out)
{
    void *piece = lk_alloc(PIECE_BYTES);
    XXH3_state_t *hash = XXH3_createState();
    lk_status status = piece && hash ? LK_OK : LK_FAIL(LK_ERR_SYSTEM, "out of memory: %d bytes to hash", PIECE_BYTES);

    if (status == LK_OK) {
        XXH3_64bits_reset(hash);
        status = hash_pieces(engine, (const char *)from, nbytes, piece, hash);
        *out = XXH3_64bits_digest(hash);
    }
    XXH3_freeState(hash);
    lk_free(&piece);
    return status;
}

/* Hash of parameters [begin, begin + n_elem).  In host memory they are read in place. */
static lk_status hash_range(lk_engine *engine, const float *params, size_t begin, size_t n_elem, uint64_t *out)
{
    const size_t nbytes = n_elem * sizeof *params;

    if (lk_engine_on_device(engine)) return hash_device(engine, params + begin, nbytes, out);
    *out = XXH3_64bits(params + begin, nbytes);
    return LK_OK;
}

/* ------------------------------------------------------- when they differ */

/* Hashes of one thing on all workers, and the one that more than half of them have. */
typedef struct poll {
    const uint64_t *hash; /* (size), at this stride */
    size_t stride;
    int size;
} poll;

static uint64_t hash_of(const poll *p, int rank) { return p->hash[(size_t)rank * p->stride]; }

static bool all_equal(const poll *p)
{
    for (int r = 1; r < p->size; r++)
        if (hash_of(p, r) != hash_of(p, 0)) return false;
    return true;
}

/* Boyer and Moore's vote finds the only hash that can have a majority; then it is counted. */
static bool find_majority(const poll *p, uint64_t *out)
{
    uint64_t candidate = 0;
    int lead = 0, votes = 0;

    for (int r = 0; r < p->size; r++) {
        if (lead == 0) candidate = hash_of(p, r);
        lead += hash_of(p, r) == candidate ? 1 : -1;
    }
    for (int r = 0; r < p->size; r++) votes += hash_of(p, r) == candidate;
    *out = candidate;
    return 2 * votes > p->size;
}

/* "rank 2 (host b), rank 5 (host c)": who differs from the majority, or everybody when there is none. */
static void name_ranks(const lk_world *world, const poll *p, const uint64_t *right, char text[TEXT_BYTES])
{
    lk_text list = lk_text_in(text, TEXT_BYTES);
    int named = 0, more = 0;

    for (int r = 0; r < p->size; r++) {
        if (right && hash_of(p, r) == *right) continue;
        if (named == NAMED_RANKS) {
            more++;
            continue;
        }
        lk_text_add(&list, "%srank %d (%s)", named ? ", " : "", r, world->hosts[r]);
        named++;
    }
    if (more) lk_text_add(&list, " and %d more", more);
}

static lk_status say_difference(const lk_world *world, const poll *p, const char *tensor, int64_t step)
{
    char who[TEXT_BYTES];
    uint64_t right;
    const bool decided = find_majority(p, &right);

    name_ranks(world, p, decided ? &right : NULL, who);
    if (decided)
        return LK_FAIL(LK_ERR_NUMBERS,
                       "step %lld: the weights of %s differ from those of the other workers, first in `%s`; look for "
                       "broken memory or other libraries there", (long long)step, who, tensor);
    return LK_FAIL(LK_ERR_NUMBERS,
                   "step %lld: the weights of %s differ, first in `%s`, and no majority says which are right; look for "
                   "broken memory or other libraries", (long long)step, who, tensor);
}

/* hashes: (size, n), n - 1 tensors in arena order and then the whole arena.  If all tensors agree, what differs lies
 * between them. */
static lk_status judge(const lk_world *world, const lk_model *model, const uint64_t *hashes, size_t n, int64_t step)
{
    for (size_t i = 0; i + 1 < n; i++) {
        const poll tensor = {hashes + i, n, world->size};
        if (!all_equal(&tensor)) return say_difference(world, &tensor, lk_model_tensor(model, i)->name, step);
    }
    const poll whole = {hashes + n - 1, n, world->size};
    return say_difference(world, &whole, "the padding between tensors", step);
}

static lk_status hash_tensors(lk_engine *engine, const lk_model *model, const float *params, uint64_t whole,
                              uint64_t *mine)
{
    const size_t n = lk_model_n_tensors(model);

    for (size_t i = 0; i < n; i++) {
        const lk_tensor_info *info = lk_model_tensor(model, i);
        LK_TRY(hash_range(engine, params, info->offset, info->n_elem, &mine[i]));
    }
    mine[n] = whole;
    return LK_OK;
}

static lk_status collect(lk_world *world, lk_engine *engine, const lk_model *model, const float *params, uint64_t whole,
                         uint64_t *mine, uint64_t *all)
{
    const size_t n = lk_model_n_tensors(model) + 1;
    const bool there = mine && all;

    assert(n * (size_t)world->size <= INT_MAX);
    LK_TRY(lk_world_agree(world, there ? hash_tensors(engine, model, params, whole, mine)
                                       : LK_FAIL(LK_ERR_SYSTEM, "out of memory: hashes of %zu tensors", n)));
    LK_MPI_WAIT(world, MPI_Allgather(mine, (int)n, MPI_UINT64_T, all, (int)n, MPI_UINT64_T, world->comm));
    return LK_OK;
}

static lk_status find_difference(lk_world *world, lk_engine *engine, const lk_model *model, const float *params,
                                 uint64_t whole, int64_t step)
{
    const size_t n = lk_model_n_tensors(model) + 1;
    uint64_t *mine = lk_alloc(n * sizeof *mine), *all = lk_alloc(n * (size_t)world->size * sizeof *all);

    lk_status status = collect(world, engine, model, params, whole, mine, all);
    if (status == LK_OK) status = judge(world, model, all, n, step);
    lk_free(&mine);
    lk_free(&all);
    return status;
}

lk_status lk_world_check_replicas(lk_world *world, lk_engine *engine, const lk_model *model, const float *params,
                                  int64_t step)
{
    uint64_t hash = 0;

    if (world->size == 1) return LK_OK;
    LK_TRY(lk_world_agree(world, hash_range(engine, params, 0, lk_model_n_elem(model), &hash)));

    const uint64_t mine[2] = {hash, ~hash};
    uint64_t most[2];
    LK_MPI_WAIT(world, MPI_Allreduce(mine, most, 2, MPI_UINT64_T, MPI_MAX, world->comm));
    if (most[0] == ~most[1]) return LK_OK;
    return find_difference(world, engine, model, params, hash, step);
}
