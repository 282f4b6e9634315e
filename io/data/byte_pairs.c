/*
 * Byte pairs of sentences: one list of merges for both languages, from a file or learned from what trains.  The
 * statistics hold it, so that resumed runs and other files are read by it whatever has become of the file.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/data/data.h"

/* As sentences are encoded: with a blank in front. */
static lk_status count_sentence(lk_pieces *pieces, const char *text, size_t nbytes, lk_counted *counted)
{
    char *blank = malloc(nbytes + 1);

    LK_TRY_ALLOC(blank, nbytes + 1, "a sentence");
    blank[0] = ' ';
    memcpy(blank + 1, text, nbytes);
    const lk_status status = lk_bpe_count(pieces, blank, nbytes + 1, counted);
    free(blank);
    return status;
}

static lk_status count_pairs(lk_pieces *pieces, const lk_pairs *p, const bool *held_out, lk_counted *counted)
{
    for (int64_t i = 0; i < p->n; i++)
        for (int side = 0; side < LK_N_LANGUAGES && !(held_out && held_out[i]); side++) {
            const char *end, *text = lk_pairs_sentence(p, side, i, &end);
            LK_TRY(count_sentence(pieces, text, (size_t)(end - text), counted));
        }
    return LK_OK;
}

lk_status lk_pairs_count_bpe(const lk_pairs *pairs, const bool *held_out, lk_counted *counted)
{
    lk_pieces *pieces;

    LK_TRY(lk_pieces_open(&pieces));
    const lk_status status = count_pairs(pieces, pairs, held_out, counted);
    lk_pieces_free(&pieces);
    return status;
}

static lk_status learn(const lk_data_spec *spec, const lk_pairs *pairs, const bool *held_out, lk_bpe **out)
{
    lk_counted counted = {0};
    char *merges = NULL;

    lk_status status = lk_pairs_count_bpe(pairs, held_out, &counted);
    if (status == LK_OK) status = lk_bpe_learn(&counted, spec->vocabulary, &merges);
    if (status == LK_OK) status = lk_bpe_parse("what was learned", merges, strlen(merges), out);
    free(merges);
    lk_counted_clear(&counted);
    return status;
}

lk_status lk_stats_set_bpe(lk_data_stats *stats, lk_bpe *bpe)
{
    stats->bpe = bpe;
    for (int side = 0; side < LK_N_LANGUAGES; side++) LK_TRY(lk_coding_words(bpe, &stats->words[side]));
    return LK_OK;
}

lk_status lk_pairs_fit_bpe(lk_data_stats *stats, const lk_data_spec *spec, const lk_pairs *pairs, const bool *held_out)
{
    lk_bpe *bpe;

    LK_TRY(spec->merges ? lk_bpe_open(spec->merges, &bpe) : learn(spec, pairs, held_out, &bpe));
    const lk_status status = lk_stats_set_bpe(stats, bpe);
    return status == LK_ERR_DATA ? LK_FAIL(status, "%s: %s", spec->merges, lk_error_message()) : status;
}

/* ----------------------------------------------------------------------- check */

/* The first line in which two lists differ, and what each has there. */
static int64_t first_difference(const char **a, const char **b)
{
    int64_t line = 1;

    for (const char *x = *a, *y = *b; *x && *x == *y; x++, y++)
        if (*x == '\n') *a = x + 1, *b = y + 1, line++;
    return line;
}

static lk_status compare(const char *path, const char *trained, const char *given)
{
    if (strcmp(trained, given) == 0) return LK_OK;
    const int64_t line = first_difference(&trained, &given);
    return LK_FAIL(LK_ERR_DATA, "%s:%lld: this is not the list of merges that the run was trained with, which has "
                   "`%.*s` where this one has `%.*s`; restore it (the run's folder has it as vocab.bpe), or remove it: "
                   "the checkpoint holds its own", path, (long long)line, (int)strcspn(trained, "\n"), trained,
                   (int)strcspn(given, "\n"), given);
}

lk_status lk_pairs_check_bpe(const lk_data_stats *stats, const lk_data_spec *spec)
{
    char *trained = NULL, *given = NULL;
    lk_bpe *bpe;

    if (!stats->bpe || !spec->merges || access(spec->merges, F_OK) != 0) return LK_OK;
    LK_TRY(lk_bpe_open(spec->merges, &bpe));
    lk_status status = lk_bpe_write(stats->bpe, &trained);
    if (status == LK_OK) status = lk_bpe_write(bpe, &given);
    if (status == LK_OK) status = compare(spec->merges, trained, given);
    free(given);
    free(trained);
    lk_bpe_free(&bpe);
    return status;
}
