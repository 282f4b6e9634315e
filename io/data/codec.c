/*
 * Text and tokens as data of kind `tokens` have them: GPT-2's byte pairs, characters, bytes.  Files of tokens do not
 * say what text they were: data.merges does.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/data/data.h"

enum { N_BYTES = 256 };

struct lk_codec {
    lk_tokenizer tokenizer;
    lk_bpe *bpe;           /* owned, as the next; of gpt2 */
    lk_data_stats *stats;  /* of chars */
    lk_sample sample;
};

bool lk_codec_is_fitted(const lk_data_spec *spec)
{
    return spec->kind == LK_DATA_TOKENS && spec->tokenizer == LK_TOKENIZER_CHARS;
}

static const lk_vocabulary *characters(const lk_codec *c) { return c->stats->words[0]; }

static lk_status open_characters(lk_codec *c, const char *stats_json)
{
    if (!stats_json) return LK_FAIL(LK_ERR_USAGE, "data.tokenizer chars: the training part's characters are not known");
    LK_TRY(lk_stats_read(stats_json, &c->stats));
    if (characters(c)) return LK_OK;
    return LK_FAIL(LK_ERR_USAGE, "data.tokenizer chars: the run was trained on other data, without characters");
}

/* A run's checkpoints do not hold the list, which is the same for all the world. */
static lk_status open_bpe(const char *merges, lk_bpe **out)
{
    if (access(merges, F_OK) == 0) return lk_bpe_open(merges, out);
    return LK_FAIL(LK_ERR_DATA, "data.merges: cannot open %s: %m; checkpoints of tokens keep no list of merges: name "
                   "the file that the run was trained with by data.merges=FILE", merges);
}

static lk_status open_parts(lk_codec *c, const lk_data_spec *spec, const char *stats_json)
{
    const bool named = spec->tokenizer == LK_TOKENIZER_NONE && spec->merges;

    if (spec->kind != LK_DATA_TOKENS)
        return LK_FAIL(LK_ERR_USAGE, "data.kind: text is gone on with by a network of data.kind tokens");
    c->tokenizer = named ? LK_TOKENIZER_GPT2 : spec->tokenizer;
    switch (c->tokenizer) {
    case LK_TOKENIZER_GPT2: return open_bpe(spec->merges, &c->bpe);
    case LK_TOKENIZER_CHARS: return open_characters(c, stats_json);
    case LK_TOKENIZER_BYTES: return LK_OK;
    default:
        return LK_FAIL(LK_ERR_USAGE, "data.merges: is missing: files of tokens do not say what text they were; GPT-2's "
                       "is written by data.merges=vocab.bpe");
    }
}

static int64_t count(const lk_codec *c)
{
    switch (c->tokenizer) {
    case LK_TOKENIZER_GPT2: return lk_bpe_n(c->bpe);
    case LK_TOKENIZER_CHARS: return lk_vocabulary_n(characters(c));
    default: return N_BYTES;
    }
}

lk_status lk_codec_open(const lk_data_spec *spec, const char *stats_json, lk_codec **out)
{
    *out = calloc(1, sizeof **out);
    LK_TRY_ALLOC(*out, sizeof **out);
    const lk_status status = open_parts(*out, spec, stats_json);
    if (status != LK_OK) {
        lk_codec_free(out);
        return status;
    }
    lk_sample_add(&(*out)->sample, &(lk_field){.name = "tokens", .dtype = LK_DTYPE_I32, .ndim = 1,
                                               .shape = {LK_LENGTH}, .n_values = count(*out)});
    return LK_OK;
}

void lk_codec_free(lk_codec **codec)
{
    if (!*codec) return;
    lk_bpe_free(&(*codec)->bpe);
    lk_stats_free(&(*codec)->stats);
    lk_free(codec);
}

const lk_sample *lk_codec_sample(const lk_codec *codec) { return &codec->sample; }

int64_t lk_codec_n(const lk_codec *codec) { return codec->sample.field[0].n_values; }

int32_t lk_codec_end(const lk_codec *codec)
{
    return codec->tokenizer == LK_TOKENIZER_GPT2 ? (int32_t)lk_codec_n(codec) - 1 : -1;
}

/* ------------------------------------------------------------------- encode */

static lk_status encode(const lk_codec *c, const char *where, const char *text, size_t nbytes, lk_tokens *out)
{
    const size_t good = c->tokenizer == LK_TOKENIZER_BYTES ? nbytes : lk_utf8_check(text, nbytes);

    if (good < nbytes)
        return LK_FAIL(LK_ERR_DATA, "%s: byte %zu, 0x%02x, is not UTF-8; convert the text (iconv -t UTF-8)", where,
                       good + 1, (unsigned char)text[good]);
    if (c->tokenizer == LK_TOKENIZER_BYTES) return lk_bytes_encode(text, nbytes, out);
    if (c->tokenizer == LK_TOKENIZER_CHARS) return lk_characters_encode(characters(c), where, text, nbytes, out);
    out->at = out->owned = malloc(nbytes * sizeof *out->owned + 1); /* no token is less than a byte */
    LK_TRY_ALLOC(out->owned, nbytes * sizeof *out->owned, "tokens");
    return lk_bpe_encode(c->bpe, text, nbytes, out->owned, &out->n);
}

lk_status lk_codec_encode(const lk_codec *codec, const char *where, const char *text, size_t nbytes, int32_t **tokens,
                          int64_t *n)
{
    lk_tokens made = {0};
    lk_status status = encode(codec, where, text, nbytes, &made);

    *n = made.n;
    *tokens = status == LK_OK ? malloc(((size_t)made.n + 1) * sizeof **tokens) : NULL;
    if (status == LK_OK && !*tokens) status = LK_FAIL(LK_ERR_SYSTEM, "out of memory: %lld tokens", (long long)made.n);
    for (int64_t i = 0; status == LK_OK && i < made.n; i++) (*tokens)[i] = made.at[i];
    lk_tokens_free(&made);
    return status;
}

lk_status lk_codec_begin(const lk_codec *codec, int32_t *token)
{
    int64_t first = '\n';

    if (codec->tokenizer == LK_TOKENIZER_GPT2) first = lk_codec_end(codec);
    if (codec->tokenizer == LK_TOKENIZER_CHARS) first = lk_vocabulary_find(characters(codec), "\n", 1);
    *token = (int32_t)first;
    if (first >= 0) return LK_OK;
    return LK_FAIL(LK_ERR_USAGE, "no text begins here without a --prompt: the training part has no end of a line");
}

/* ------------------------------------------------------------------- decode */

void lk_codec_put(const lk_codec *codec, int32_t token, FILE *stream)
{
    switch (codec->tokenizer) {
    case LK_TOKENIZER_GPT2: lk_bpe_put(codec->bpe, token, stream); break;
    case LK_TOKENIZER_CHARS: fputs(lk_vocabulary_text(characters(codec), token), stream); break;
    default: putc(token, stream);
    }
}
