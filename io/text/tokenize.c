/* Texts as one file of tokens: each behind an <|endoftext|>, as llm.c's own files have their documents. */
#include <stdlib.h>
#include <string.h>

#include "io/file/data_file.h"
#include "io/io.h"
#include "io/text/text.h"

static lk_status add_text(lk_bpe *bpe, const char *path, const char *text, size_t nbytes, lk_tokens *tokens)
{
    int64_t n;
    uint16_t *grown = realloc(tokens->owned, ((size_t)tokens->n + nbytes + 1) * sizeof *grown);

    LK_TRY_ALLOC(grown, ((size_t)tokens->n + nbytes + 1) * sizeof *grown, "tokens");
    tokens->at = tokens->owned = grown;
    LK_TRY(lk_text_check(path, text, nbytes));
    grown[tokens->n++] = (uint16_t)(lk_bpe_n(bpe) - 1);
    LK_TRY(lk_bpe_encode(bpe, text, nbytes, grown + tokens->n, &n));
    tokens->n += n;
    return LK_OK;
}

static lk_status add_file(lk_bpe *bpe, const char *path, lk_tokens *tokens, int64_t *n_bytes)
{
    char *text;
    size_t nbytes;

    LK_TRY(lk_data_file_read(path, &text, &nbytes));
    const lk_status status = add_text(bpe, path, text, nbytes, tokens);
    free(text);
    *n_bytes += (int64_t)nbytes;
    return status;
}

lk_status lk_tokenize(const char *merges, const char *const *texts, size_t n_texts, const char *out,
                      lk_tokenized *result)
{
    lk_tokens tokens = {0};
    lk_bpe *bpe;

    *result = (lk_tokenized){0};
    LK_TRY(lk_bpe_open(merges, &bpe));
    lk_status status = LK_OK;
    for (size_t i = 0; i < n_texts && status == LK_OK; i++) status = add_file(bpe, texts[i], &tokens, &result->n_bytes);
    if (status == LK_OK) status = lk_token_file_write(out, &tokens);
    result->n_tokens = tokens.n;
    lk_tokens_free(&tokens);
    lk_bpe_free(&bpe);
    return status;
}
