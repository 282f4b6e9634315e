/*
 * The kind `tokens`: running text to learn the next token of.  Token files are mapped; text itself is read and made
 * into tokens here: GPT-2's, its characters, its bytes.
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

static lk_status encode_gpt2(const char *merges, const char *text, size_t nbytes, lk_tokens *out, int64_t *n_values)
{
    lk_bpe *bpe;

    LK_TRY(lk_bpe_open(merges, &bpe));
    *n_values = lk_bpe_n(bpe);
    out->at = out->owned = malloc(nbytes * sizeof *out->owned + 1);
    const lk_status status = out->owned ? lk_bpe_encode(bpe, text, nbytes, out->owned, &out->n)
                                        : LK_FAIL(LK_ERR_SYSTEM, "out of memory: tokens of %zu bytes", nbytes);
    lk_bpe_free(&bpe);
    return status;
}

static lk_status encode(const lk_data_spec *spec, const char *path, const lk_data_stats *stats, const char *text,
                        size_t nbytes, lk_tokens *out, int64_t *n_values)
{
    if (spec->tokenizer == LK_TOKENIZER_GPT2) return encode_gpt2(spec->merges, text, nbytes, out, n_values);
    if (spec->tokenizer == LK_TOKENIZER_BYTES) {
        *n_values = N_BYTES;
        return lk_bytes_encode(text, nbytes, out);
    }
    *n_values = lk_vocabulary_n(stats->words[0]);
    return lk_characters_encode(stats->words[0], path, text, nbytes, out);
}

/* Tokens of a file, which are below n_values. */
static lk_status read_tokens(const lk_data_spec *spec, const char *path, const lk_data_stats *stats, lk_tokens *out,
                             int64_t *n_values)
{
    char *text;
    size_t nbytes;

    *n_values = spec->vocabulary;
    if (spec->tokenizer == LK_TOKENIZER_NONE) return lk_token_file_map(path, out);
    LK_TRY(spec->tokenizer == LK_TOKENIZER_BYTES ? lk_data_file_read(path, &text, &nbytes)
                                                 : read_text(path, &text, &nbytes));
    const lk_status status = encode(spec, path, stats, text, nbytes, out, n_values);
    free(text);
    return status;
}

lk_status lk_read_tokens(const lk_data_spec *spec, const lk_source *source, lk_data_stats *stats, lk_table *out)
{
    lk_tokens tokens = {0};
    int64_t n_values;

    if (!source->labels)
        return LK_FAIL(LK_ERR_USAGE, "data.kind tokens has tokens as targets; set loss.kind to cross_entropy");
    if (!stats->target_name) LK_TRY(lk_stats_set_target(stats, "target", 0));
    if (spec->tokenizer == LK_TOKENIZER_CHARS && !stats->words[0]) LK_TRY(choose_characters(spec, stats));
    out->path = source->file;
    out->rows_per_sample = 1;
    out->want_target = source->want_target;
    lk_status status = read_tokens(spec, source->file, stats, &tokens, &n_values);
    if (status == LK_OK) status = lk_windows_new(spec->sequence, n_values, &out->windows);
    if (status == LK_OK) status = lk_windows_add(out->windows, source->file, &tokens);
    lk_tokens_free(&tokens);
    if (status == LK_OK) out->n = lk_windows_n(out->windows);
    return status;
}
