/*
 * Text by characters: the different ones of a text, sorted by Unicode's numbers, are tokens 0, 1, 2, ...; or by bytes,
 * which are tokens as they are.
 */
#include <stdlib.h>
#include <string.h>

#include "io/text/text.h"

enum { N_CHARACTERS = 0x110000, NONE = -1 };

static int64_t line_of(const char *text, size_t place)
{
    int64_t line = 1;

    for (size_t i = 0; i < place; i++) line += text[i] == '\n';
    return line;
}

lk_status lk_text_check(const char *path, const char *text, size_t nbytes)
{
    const size_t good = lk_utf8_check(text, nbytes);

    if (good == nbytes) return LK_OK;
    return LK_FAIL(LK_ERR_DATA, "%s:%lld: byte 0x%02x is not UTF-8; convert the file (iconv -t UTF-8)", path,
                   (long long)line_of(text, good), (unsigned char)text[good]);
}

static lk_status make_room(int64_t n, lk_tokens *out)
{
    *out = (lk_tokens){.n = n, .owned = malloc((size_t)n * sizeof *out->owned + 1)};
    LK_TRY_ALLOC(out->owned, (size_t)n * sizeof *out->owned, "tokens");
    out->at = out->owned;
    return LK_OK;
}

lk_status lk_bytes_encode(const char *text, size_t nbytes, lk_tokens *out)
{
    LK_TRY(make_room((int64_t)nbytes, out));
    for (size_t i = 0; i < nbytes; i++) out->owned[i] = (unsigned char)text[i];
    return LK_OK;
}

/* ------------------------------------------------------------------ characters */

struct lk_characters { bool seen[N_CHARACTERS]; };

lk_status lk_characters_new(lk_characters **out)
{
    *out = calloc(1, sizeof **out);
    LK_TRY_ALLOC(*out, sizeof **out);
    return LK_OK;
}

void lk_characters_free(lk_characters **characters)
{
    free(*characters);
    *characters = NULL;
}

void lk_characters_add(lk_characters *characters, const char *text, size_t nbytes)
{
    uint32_t c;

    for (const char *at = text; at < text + nbytes && lk_utf8_take(&at, text + nbytes, &c);) characters->seen[c] = true;
}

lk_status lk_characters_sort(const lk_characters *characters, lk_vocabulary **out)
{
    bool good = true;

    *out = NULL;
    for (uint32_t c = 0; good && c < N_CHARACTERS; c++) {
        char text[LK_UTF8_BYTES];
        if (characters->seen[c])
            good = lk_vocabulary_add_bytes(out, text, (size_t)(lk_utf8_put(text, c) - text)) >= 0;
    }
    if (good) return LK_OK;
    lk_vocabulary_free(out);
    return LK_FAIL(LK_ERR_SYSTEM, "out of memory: the characters of a text");
}

/* ---------------------------------------------------------------------- encode */

/* Token of every character; NONE. */
static lk_status tabulate(const lk_vocabulary *characters, int32_t **out)
{
    *out = malloc(N_CHARACTERS * sizeof **out);
    LK_TRY_ALLOC(*out, N_CHARACTERS * sizeof **out);
    for (int c = 0; c < N_CHARACTERS; c++) (*out)[c] = NONE;
    for (int64_t w = 0; w < lk_vocabulary_n(characters); w++) {
        const char *at = lk_vocabulary_text(characters, w);
        uint32_t c;
        if (lk_utf8_take(&at, at + strlen(at), &c)) (*out)[c] = (int32_t)w;
    }
    return LK_OK;
}

static lk_status unknown(const char *path, const char *text, size_t place, uint32_t c)
{
    char spelled[LK_UTF8_BYTES + 1] = "";

    lk_utf8_put(spelled, c);
    return LK_FAIL(LK_ERR_DATA, "%s:%lld: the character %s (U+%04X) is outside the vocabulary: the training part has "
                   "none", path, (long long)line_of(text, place), c < ' ' ? "" : spelled, (unsigned)c);
}

static lk_status encode(const char *path, const int32_t *table, const char *text, size_t nbytes, lk_tokens *out)
{
    const char *at = text;

    LK_TRY(make_room((int64_t)nbytes, out)); /* no character is less than a byte */
    for (out->n = 0; at < text + nbytes;) {
        const size_t place = (size_t)(at - text);
        uint32_t c = 0;
        lk_utf8_take(&at, text + nbytes, &c);
        if (table[c] == NONE) return unknown(path, text, place, c);
        out->owned[out->n++] = (uint16_t)table[c];
    }
    return LK_OK;
}

lk_status lk_characters_encode(const lk_vocabulary *characters, const char *path, const char *text, size_t nbytes,
                               lk_tokens *out)
{
    int32_t *table;

    if (lk_vocabulary_n(characters) > UINT16_MAX + 1)
        return LK_FAIL(LK_ERR_DATA, "%s: %lld different characters; tokens count to %d: take data.tokenizer bytes",
                       path, (long long)lk_vocabulary_n(characters), UINT16_MAX);
    LK_TRY(tabulate(characters, &table));
    const lk_status status = encode(path, table, text, nbytes, out);
    free(table);
    return status;
}
