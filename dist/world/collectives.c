/*
 * The plain collectives of the main thread: barrier, broadcast, gather, texts of any length.
 *
 * MPI counts in int, so long buffers go in pieces.  In a world of one all of them are copies or nothing.
 */
#include "dist/world/wait.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE_BYTES = 1 << 30 };

lk_status lk_world_barrier(lk_world *world)
{
    if (world->size == 1) return LK_OK;
    LK_MPI_WAIT(world, MPI_Barrier(world->comm));
    return LK_OK;
}

lk_status lk_world_broadcast_from(lk_world *world, int rank, void *buffer, size_t nbytes)
{
    if (world->size == 1) return LK_OK;
    for (size_t done = 0; done < nbytes; done += PIECE_BYTES) {
        const size_t left = nbytes - done;
        const int count = left < PIECE_BYTES ? (int)left : PIECE_BYTES;
        LK_MPI_WAIT(world, MPI_Bcast((char *)buffer + done, count, MPI_BYTE, rank, world->comm));
    }
    return LK_OK;
}

lk_status lk_world_broadcast(lk_world *world, void *buffer, size_t nbytes)
{
    return lk_world_broadcast_from(world, 0, buffer, nbytes);
}

/* x + 0 is x in any order, so the sum is exact. */
lk_status lk_world_merge(lk_world *world, double *values, size_t n)
{
    if (world->size == 1) return LK_OK;
    for (size_t done = 0; done < n; done += PIECE_BYTES / sizeof *values) {
        const size_t left = n - done, most = PIECE_BYTES / sizeof *values;
        const int count = (int)(left < most ? left : most);
        LK_MPI_WAIT(world, MPI_Allreduce(MPI_IN_PLACE, values + done, count, MPI_DOUBLE, MPI_SUM, world->comm));
    }
    return LK_OK;
}

lk_status lk_world_gather(lk_world *world, const void *mine, size_t nbytes, void *all)
{
    assert(nbytes <= INT_MAX); /* what is gathered is small: hashes, counts, rows of a table */
    if (world->size == 1) {
        memcpy(all, mine, nbytes);
        return LK_OK;
    }
    LK_MPI_WAIT(world, MPI_Gather(mine, (int)nbytes, MPI_BYTE, all, (int)nbytes, MPI_BYTE, 0, world->comm));
    return LK_OK;
}

/* The leader's part of gathering texts: lengths (NUL included) and places of all of them in one block, which begins
 * with the pointers that the caller gets. */
typedef struct texts {
    int *length, *place; /* (size) each, owned */
    char **block;        /* handed to the caller */
    char *text;          /* in the block */
} texts;

static lk_status place_texts(const lk_world *world, texts *t)
{
    const size_t n = (size_t)world->size;
    size_t total = 0;

    for (size_t r = 0; r < n; r++) {
        t->place[r] = (int)total;
        total += (size_t)t->length[r];
        if (total > INT_MAX)
            return LK_FAIL(LK_ERR_USAGE, "texts of %d workers are longer than %d bytes together", world->size, INT_MAX);
    }
    t->block = malloc(n * sizeof *t->block + total); /* free() releases it, so not lk_alloc */
    LK_TRY_ALLOC(t->block, n * sizeof *t->block + total);
    t->text = (char *)(t->block + n);
    for (size_t r = 0; r < n; r++) t->block[r] = t->text + t->place[r];
    return LK_OK;
}

static lk_status gather_lengths(lk_world *world, int mine, texts *t)
{
    lk_status status = LK_OK;

    if (world->rank == 0) {
        t->length = lk_alloc((size_t)world->size * sizeof *t->length);
        t->place = lk_alloc((size_t)world->size * sizeof *t->place);
        if (!t->length || !t->place) status = LK_FAIL(LK_ERR_SYSTEM, "out of memory: lengths of %d texts", world->size);
    }
    LK_TRY(lk_world_agree(world, status));
    LK_TRY(lk_world_gather(world, &mine, sizeof mine, t->length));
    return lk_world_agree(world, world->rank == 0 ? place_texts(world, t) : LK_OK);
}

static lk_status gather_texts(lk_world *world, const char *mine, texts *t)
{
    const size_t length = strlen(mine) + 1;

    LK_TRY(lk_world_agree(world, length <= INT_MAX ? LK_OK : LK_FAIL(LK_ERR_USAGE, "a text of %zu bytes", length)));
    LK_TRY(gather_lengths(world, (int)length, t));
    if (world->size == 1) {
        memcpy(t->text, mine, length);
        return LK_OK;
    }
    LK_MPI_WAIT(world, MPI_Gatherv(mine, (int)length, MPI_CHAR, t->text, t->length, t->place, MPI_CHAR, 0,
                                   world->comm));
    return LK_OK;
}

lk_status lk_world_gather_text(lk_world *world, const char *mine, char ***all)
{
    texts t = {0};
    const lk_status status = gather_texts(world, mine, &t);

    lk_free(&t.length);
    lk_free(&t.place);
    if (status != LK_OK) {
        free(t.block);
        t.block = NULL;
    }
    *all = t.block;
    return status;
}
