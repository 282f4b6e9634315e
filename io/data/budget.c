/*
 * How much of a part lies in memory (data.memory).
 *
 * What fits is read whole.  What does not is read as it is wanted, in blocks of whole chunks of its file, and
 * shuffled inside windows of blocks: two windows and a block are held, so that the next window is there when one
 * ends (stream.c).  The size of a window is part of the order of samples, and so of the bits: it follows from
 * data.shuffle_buffer or data.memory and from the file, never from what a machine has.
 */
#include <stdlib.h>
#include <string.h>

#include "io/data/data.h"

enum {
    MIB = 1 << 20,
    LEAST_BLOCKS = 3,   /* one in use, one next, one to read into */
    ORDERED_BLOCKS = 8, /* where nothing is shuffled: enough for several threads to be at different ones */
    PARTS_OF_ALL = 4,   /* of which validation gets one */
};

lk_budget lk_budget_of(const lk_data_spec *spec, lk_part part, bool two_parts)
{
    const size_t all = (size_t)spec->memory * MIB, quarter = all / PARTS_OF_ALL;
    const bool ordered = part == LK_PART_VALIDATION;

    return (lk_budget){.nbytes = !two_parts ? all : ordered ? quarter : all - quarter,
                       .shuffle_buffer = spec->shuffle_buffer, .ordered = ordered};
}

static size_t sample_elems(const lk_table *table) { return table->n_columns * (size_t)table->rows_per_sample; }

lk_status lk_table_settle(lk_table *table, const lk_budget *budget)
{
    const size_t nbytes = (size_t)table->n * sample_elems(table) * lk_dtype_size(table->rows.dtype);

    if (!table->rows.from || (budget->nbytes > 0 && nbytes > budget->nbytes)) return LK_OK;
    LK_TRY(lk_rows_are_bytes(&table->rows)
               ? lk_rows_read_bytes(&table->rows, table->n, sample_elems(table), &table->pixels)
               : lk_rows_read_all(&table->rows, table->n, sample_elems(table), &table->x));
    lk_rows_close(&table->rows);
    return LK_OK;
}

/* A block as it is held: doubles have become floats. */
static size_t block_nbytes(const lk_table *table)
{
    const size_t size = lk_rows_are_bytes(&table->rows) ? sizeof(uint8_t) : sizeof(float);

    return (size_t)table->rows.block * sample_elems(table) * size;
}

/* Blocks that fit beside the one that is being read and turned. */
static int64_t room_for_blocks(const lk_table *table, const lk_budget *budget)
{
    const size_t block = block_nbytes(table);
    const size_t reading = table->rows.dtype == LK_DTYPE_F64 ? 2 * block * sizeof(double) / sizeof(float) : block;

    return budget->nbytes > reading ? (int64_t)((budget->nbytes - reading) / block) : 0;
}

static lk_status too_small(const lk_table *table, const lk_budget *budget, int64_t blocks)
{
    const double mib = (double)block_nbytes(table) / MIB;

    return LK_FAIL(LK_ERR_USAGE, "data.memory: %s is read in blocks of %.3g MiB (%lld samples), and %lld of them must "
                   "fit into the %.4g MiB for this part; give more%s", table->path, mib, (long long)table->rows.block,
                   (long long)blocks, (double)budget->nbytes / MIB,
                   budget->shuffle_buffer && !budget->ordered ? ", or a smaller data.shuffle_buffer" : "");
}

/* Blocks to hold, and how many of them are a window. */
static lk_status plan(const lk_table *table, const lk_budget *budget, int64_t *slots, int64_t *window)
{
    const int64_t room = room_for_blocks(table, budget);
    const int64_t asked = (budget->shuffle_buffer + table->rows.block - 1) / table->rows.block;

    if (room < LEAST_BLOCKS) return too_small(table, budget, LEAST_BLOCKS);
    *window = budget->ordered ? 1 : asked ? asked : (room - 1) / 2;
    *slots = budget->ordered ? ORDERED_BLOCKS : 2 * *window + 1;
    if (budget->ordered && *slots > room) *slots = room;
    return *slots > room ? too_small(table, budget, *slots) : LK_OK;
}

static lk_status scale_block(const void *arg, void *block, int64_t begin, int64_t n)
{
    const lk_dataset *d = arg;
    lk_numbers x = {block, d->read_from->rows.dtype == LK_DTYPE_F64};

    return lk_stats_scale(d->stats, d->read_from, &x, begin, n);
}

lk_status lk_dataset_read_rows(lk_dataset *d, lk_table *table, const lk_budget *budget)
{
    int64_t slots = 0;

    LK_TRY(plan(table, budget, &slots, &d->window));
    d->block = table->rows.block;
    d->read_from = calloc(1, sizeof *d->read_from);
    LK_TRY_ALLOC(d->read_from, sizeof *d->read_from);
    *d->read_from = (lk_table){.path = table->path, .files = table->files, .n_files = table->n_files, .n = table->n,
                               .rows_per_sample = table->rows_per_sample, .n_columns = table->n_columns,
                               .rows = {.dtype = table->rows.dtype}};
    table->files = NULL;
    table->n_files = 0;
    return lk_stream_new(&table->rows, table->n, d->n_input, slots, scale_block, d, &d->stream);
}
