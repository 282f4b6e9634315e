/*
 * Pieces of a text, over whose edges no byte pair reaches: GPT-2's pattern, letters with the blank in front of them,
 * digits, signs, blanks.  \s is spelled out: what Unicode calls White_Space, where PCRE2's has U+180E too.
 * Source: Radford et al., 2019, github.com/openai/gpt-2, src/encoder.py.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>

#include "io/text/text.h"

#define SPACE "\\x09-\\x0d\\x20\\x85\\xa0\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"
static const char pattern[] = "'(?:s|t|re|ve|m|ll|d)| ?\\p{L}+| ?\\p{N}+| ?[^" SPACE "\\p{L}\\p{N}]+|[" SPACE
                              "]+(?![^" SPACE "])|[" SPACE "]+";

struct lk_pieces {
    pcre2_code *code;
    pcre2_match_data *match;
};

static lk_status compile(lk_pieces *p)
{
    int error;
    PCRE2_SIZE place;

    p->code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF, &error, &place, NULL);
    if (!p->code) return LK_FAIL(LK_ERR_SYSTEM, "PCRE2 does not take the pattern of pieces at %zu", (size_t)place);
    pcre2_jit_compile(p->code, PCRE2_JIT_COMPLETE); /* where there is none, matching is only slower */
    p->match = pcre2_match_data_create_from_pattern(p->code, NULL);
    LK_TRY_ALLOC(p->match, sizeof(void *), "matches");
    return LK_OK;
}

lk_status lk_pieces_open(lk_pieces **out)
{
    *out = calloc(1, sizeof **out);
    LK_TRY_ALLOC(*out, sizeof **out);
    const lk_status status = compile(*out);
    if (status != LK_OK) lk_pieces_free(out);
    return status;
}

void lk_pieces_free(lk_pieces **pieces)
{
    if (!*pieces) return;
    pcre2_match_data_free((*pieces)->match);
    pcre2_code_free((*pieces)->code);
    lk_free(pieces);
}

lk_status lk_pieces_next(lk_pieces *p, const char *text, size_t nbytes, size_t begin, size_t *end)
{
    const int found = pcre2_match(p->code, (PCRE2_SPTR)text, nbytes, begin, PCRE2_NO_UTF_CHECK, p->match, NULL);

    if (found < 1) return LK_FAIL(LK_ERR_SYSTEM, "PCRE2: error %d at byte %zu of a text", found, begin);
    *end = pcre2_get_ovector_pointer(p->match)[1];
    return LK_OK;
}
