/*
 * Sentences and their numbers.
 *
 * By words each has a number of its own, or <unk>.  By byte pairs a sentence is encoded with a blank in front of it, so
 * that its first word has the tokens that it has elsewhere; decoding takes that blank off.  Token t is number
 * LK_N_SPECIALS + t.  Nothing is unknown then, and what is decoded is what was encoded.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/text/text.h"

enum { REPLACEMENT = 0xFFFD };

void lk_coding_clear(lk_coding *c)
{
    free(c->token);
    free(c->text);
    *c = (lk_coding){0};
}

lk_status lk_coding_words(const lk_bpe *bpe, lk_vocabulary **out)
{
    const lk_vocabulary *spelled = lk_bpe_spelled(bpe);
    const lk_counted none = {0};

    LK_TRY(lk_vocabulary_choose(&none, 1, out));
    for (int64_t t = 0; t < lk_vocabulary_n(spelled); t++) {
        const char *text = lk_vocabulary_text(spelled, t);
        const int64_t number = lk_vocabulary_add(out, text);

        if (number == LK_N_SPECIALS + t) continue;
        lk_vocabulary_free(out);
        if (number < 0) return LK_FAIL(LK_ERR_SYSTEM, "out of memory: words of sentences");
        return LK_FAIL(LK_ERR_DATA, "token %lld of the merges is spelled %s, as a special word of sentences is",
                       (long long)t, text);
    }
    return LK_OK;
}

/* --------------------------------------------------------------------- encode */

static void encode_words(const lk_coding *c, const char *at, const char *end, int32_t *out, int64_t *n)
{
    const char *word;
    size_t nbytes;

    for (lk_words_next(&at, end, &word, &nbytes); word; lk_words_next(&at, end, &word, &nbytes))
        out[(*n)++] = lk_vocabulary_number(c->words, word, nbytes);
}

static lk_status make_room(lk_coding *c, size_t nbytes)
{
    if (nbytes <= c->room) return LK_OK;
    char *text = realloc(c->text, 2 * nbytes);
    LK_TRY_ALLOC(text, 2 * nbytes, "a sentence");
    c->text = text;
    uint16_t *token = realloc(c->token, 2 * nbytes * sizeof *token);
    LK_TRY_ALLOC(token, 2 * nbytes * sizeof *token, "a sentence");
    c->token = token;
    c->room = 2 * nbytes;
    return LK_OK;
}

static lk_status encode_pairs(lk_coding *c, const char *sentence, size_t nbytes, int32_t *out, int64_t *n)
{
    LK_TRY(make_room(c, nbytes + 1));
    c->text[0] = ' ';
    memcpy(c->text + 1, sentence, nbytes);
    LK_TRY(lk_bpe_encode(c->bpe, c->text, nbytes + 1, c->token, n));
    for (int64_t i = 0; i < *n; i++) out[i] = LK_N_SPECIALS + c->token[i];
    return LK_OK;
}

lk_status lk_coding_encode(lk_coding *c, const char *sentence, size_t nbytes, int32_t *out, int64_t *n)
{
    *n = 0;
    if (c->bpe) LK_TRY(encode_pairs(c, sentence, nbytes, out, n));
    else encode_words(c, sentence, sentence + nbytes, out, n);
    out[(*n)++] = LK_SPECIAL_EOS;
    return LK_OK;
}

/* --------------------------------------------------------------------- decode */

static lk_status close_text(FILE *stream)
{
    return stream && fclose(stream) == 0 ? LK_OK : LK_FAIL(LK_ERR_SYSTEM, "out of memory: a sentence");
}

/* What the numbers spell, each word with a blank in front. */
static lk_status spell(const lk_coding *c, const int32_t *number, int64_t n, char **bytes, size_t *nbytes)
{
    FILE *stream = open_memstream(bytes, nbytes);

    for (int64_t i = 0; stream && i < n && number[i] != LK_SPECIAL_EOS; i++) {
        if (number[i] == LK_SPECIAL_PAD || number[i] == LK_SPECIAL_BOS) continue;
        if (c->bpe && number[i] >= LK_N_SPECIALS) lk_bpe_put(c->bpe, number[i] - LK_N_SPECIALS, stream);
        else fprintf(stream, " %s", lk_vocabulary_text(c->words, number[i]));
    }
    return close_text(stream);
}

/* Every byte that belongs to no character becomes one that says so. */
static lk_status write_characters(const char *at, const char *end, char **text)
{
    size_t nbytes;
    FILE *stream = open_memstream(text, &nbytes);

    while (stream && at < end) {
        char bytes[LK_UTF8_BYTES];
        uint32_t character;

        if (!lk_utf8_take(&at, end, &character)) character = REPLACEMENT, at++;
        fwrite(bytes, 1, (size_t)(lk_utf8_put(bytes, character) - bytes), stream);
    }
    return close_text(stream);
}

lk_status lk_coding_decode(const lk_coding *c, const int32_t *number, int64_t n, char **text)
{
    char *bytes = NULL;
    size_t nbytes = 0;

    *text = NULL;
    lk_status status = spell(c, number, n, &bytes, &nbytes);
    if (status == LK_OK) status = write_characters(bytes + (nbytes > 0 && *bytes == ' '), bytes + nbytes, text);
    free(bytes);
    return status;
}
