/* Learning a list of merges from files: of running text, or of pairs of sentences as data sets of them are read. */
#include <stdlib.h>
#include <string.h>

#include "io/data/data.h"
#include "io/file/data_file.h"
#include "io/text/bpe.h"

static lk_status count_text(const char *path, const char *text, size_t nbytes, lk_counted *counted)
{
    lk_pieces *pieces;

    LK_TRY(lk_text_check(path, text, nbytes));
    if (memchr(text, '\0', nbytes))
        return LK_FAIL(LK_ERR_DATA, "%s: byte %zu is 0; byte pairs are learned from text", path, strlen(text));
    LK_TRY(lk_pieces_open(&pieces));
    const lk_status status = lk_bpe_count(pieces, text, nbytes, counted);
    lk_pieces_free(&pieces);
    return status;
}

static lk_status add_text(const char *path, lk_counted *counted, lk_tokenized *result)
{
    char *text;
    size_t nbytes;

    LK_TRY(lk_data_file_read(path, &text, &nbytes));
    const lk_status status = count_text(path, text, nbytes, counted);
    free(text);
    result->n_bytes += (int64_t)nbytes;
    return status;
}

static lk_status add_pairs(const char *path, lk_counted *counted, lk_tokenized *result)
{
    const lk_data_spec spec = {.kind = LK_DATA_PAIRS, .lowercase = true};
    const lk_source source = {.part = LK_PART_TRAIN, .file = path, .labels = true};
    lk_data_stats *stats;
    lk_table table = {0};

    LK_TRY(lk_stats_new(LK_DATA_PAIRS, &stats));
    lk_status status = lk_read_pairs(&spec, &source, stats, &table);
    if (status == LK_OK) status = lk_pairs_count_bpe(table.pairs, NULL, counted);
    for (int side = 0; side < LK_N_LANGUAGES && status == LK_OK; side++)
        result->n_bytes += (int64_t)table.pairs->side[side].nbytes;
    lk_table_clear(&table);
    lk_stats_free(&stats);
    return status;
}

static lk_status learn(const lk_counted *counted, int64_t n_tokens, const char *out, lk_tokenized *result)
{
    char *merges;

    LK_TRY(lk_bpe_learn(counted, n_tokens, &merges));
    result->n_tokens = LK_BPE_BYTES - 1; /* a header and a line a merge */
    for (const char *c = merges; *c; c++) result->n_tokens += *c == '\n';
    const lk_status status = lk_write_file_atomic(out, merges, strlen(merges));
    free(merges);
    return status;
}

lk_status lk_learn_merges(const char *const *texts, size_t n_texts, bool pairs, int64_t n_tokens, const char *out,
                          lk_tokenized *result)
{
    lk_counted counted = {0};
    lk_status status = LK_OK;

    *result = (lk_tokenized){0};
    for (size_t i = 0; i < n_texts && status == LK_OK; i++)
        status = pairs ? add_pairs(texts[i], &counted, result) : add_text(texts[i], &counted, result);
    if (status == LK_OK) status = learn(&counted, n_tokens, out, result);
    lk_counted_clear(&counted);
    return status;
}
