/*
 * The kind `tokens`: running text to learn the next token of.  Token files are mapped; text itself is read and made
 * into tokens here, by its characters or its bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "io/data/data.h"
#include "io/file/data_file.h"

enum { N_BYTES = 256 };

static lk_status read_text(const char *path, char **text, size_t *nbytes)
{
    LK_TRY(lk_data_file_read(path, text, nbytes));
    const lk_status status = lk_text_check(path, *text, *nbytes);
    if (status != LK_OK) free(*text);
    return status;
}

static lk_status gather(const char *path, lk_characters *characters)
{
    char *text;
    size_t nbytes;

    LK_TRY(read_text(path, &text, &nbytes));
    lk_characters_add(characters, text, nbytes);
    free(text);
    return LK_OK;
}

/* The characters of all training files. */
static lk_status choose_characters(const lk_data_spec *spec, lk_data_stats *stats)
{
    lk_characters *characters;

    LK_TRY(lk_characters_new(&characters));
    lk_status status = spec->train_files.n ? LK_OK : gather(spec->train, characters);
    for (unsigned f = 0; f < spec->train_files.n && status == LK_OK; f++)
        status = gather(spec->train_files.word[f], characters);
    if (status == LK_OK) status = lk_characters_sort(characters, &stats->words[0]);
    lk_characters_free(&characters);
    return status;
}

static lk_status encode_text(const lk_data_spec *spec, const char *path, const lk_data_stats *stats, lk_tokens *out)
{
    char *text;
    size_t nbytes;

    LK_TRY(spec->tokenizer == LK_TOKENIZER_BYTES ? lk_data_file_read(path, &text, &nbytes)
                                                 : read_text(path, &text, &nbytes));
    const lk_status status = spec->tokenizer == LK_TOKENIZER_BYTES
                                 ? lk_bytes_encode(text, nbytes, out)
                                 : lk_characters_encode(stats->words[0], path, text, nbytes, out);
    free(text);
    return status;
}

static int64_t n_values(const lk_data_spec *spec, const lk_data_stats *stats)
{
    if (spec->tokenizer == LK_TOKENIZER_CHARS) return lk_vocabulary_n(stats->words[0]);
    return spec->tokenizer == LK_TOKENIZER_BYTES ? N_BYTES : spec->vocabulary;
}

lk_status lk_read_tokens(const lk_data_spec *spec, const lk_source *source, lk_data_stats *stats, lk_table *out)
{
    lk_tokens tokens = {0};

    if (!source->labels)
        return LK_FAIL(LK_ERR_USAGE, "data.kind tokens has tokens as targets; set loss.kind to cross_entropy");
    if (!stats->target_name) LK_TRY(lk_stats_set_target(stats, "target", 0));
    if (spec->tokenizer == LK_TOKENIZER_CHARS && !stats->words[0]) LK_TRY(choose_characters(spec, stats));
    out->path = source->file;
    out->rows_per_sample = 1;
    out->want_target = source->want_target;
    LK_TRY(lk_windows_new(spec->sequence, n_values(spec, stats), &out->windows));
    lk_status status = spec->tokenizer == LK_TOKENIZER_NONE ? lk_token_file_map(source->file, &tokens)
                                                            : encode_text(spec, source->file, stats, &tokens);
    if (status == LK_OK) status = lk_windows_add(out->windows, source->file, &tokens);
    lk_tokens_free(&tokens);
    out->n = lk_windows_n(out->windows);
    return status;
}
