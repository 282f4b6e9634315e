/* Generated data as CSV, so that other programs train on the same: read back by data.kind csv they are the same
 * bits. */
#include <float.h>

#include "io/data/data.h"

#define GENERATOR(id, word, read) [id] = read,
static lk_read_fn *const generators[] = {LK_DATA_GENERATORS_LIST(GENERATOR)};

/* In doubles' digits: statistics are computed in doubles, and nine digits of a float are another double than it. */
static void write_numbers(FILE *file, const lk_numbers *numbers, size_t first, size_t n, const char *last)
{
    for (size_t j = 0; j < n; j++)
        fprintf(file, "%.*g%s", DBL_DECIMAL_DIG, lk_number(numbers, first + j), j + 1 < n ? "," : last);
}

static void write_table(FILE *file, const lk_data_stats *stats, const lk_table *table)
{
    for (size_t j = 0; j < table->n_columns; j++) fprintf(file, "%s,", stats->column[j].name);
    fprintf(file, "%s\n", stats->target_name);
    for (int64_t i = 0; i < table->n; i++) {
        write_numbers(file, &table->x, (size_t)i * table->n_columns, table->n_columns, ",");
        write_numbers(file, &table->target, (size_t)i, 1, "\n");
    }
}

lk_status lk_data_export(const lk_data_spec *spec, lk_part part, FILE *file)
{
    const size_t n_kinds = sizeof generators / sizeof *generators;
    const lk_source source = {.part = part, .want_target = true};
    lk_data_stats *stats = NULL;
    lk_table table = {0};

    if ((size_t)spec->kind >= n_kinds || !generators[spec->kind])
        return LK_FAIL(LK_ERR_USAGE, "data.kind: only generated data are written out, these are files already");
    if (part == LK_PART_VALIDATION && spec->validation_samples == 0)
        return LK_FAIL(LK_ERR_USAGE, "data.validation_samples is 0: there is no validation part");
    LK_TRY(lk_stats_new(spec->kind, &stats));
    const lk_status status = generators[spec->kind](spec, &source, stats, &table);
    if (status == LK_OK) write_table(file, stats, &table);
    lk_table_clear(&table);
    lk_stats_free(&stats);
    return status;
}
