/*
 * Sentences become words as in the textbook's machine translation: small letters, and a blank before each of , . ! ?
 * that has none.  Only before them: "3.5" is "3" and ".5".
 *
 * Blanks are U+0020 and the spaces U+00A0, U+2009 and U+202F, which French sets before its punctuation; U+200B, a place
 * where a line may break, is dropped.  Several blanks count as one, and blanks at an end as none, so no word is empty;
 * the textbook, which cuts at each blank, has empty words there.  Letters become small one by one: a sigma at the end
 * of a word, and an I with a dot, which Python makes other or several characters of, too.
 * Source: Zhang, Lipton, Li and Smola, Dive into Deep Learning, preprocess_nmt and tokenize_nmt.
 */
#include <errno.h>
#include <string.h>
#include <wctype.h>

#include "io/text/text.h"

#define LETTERS "C.UTF-8" /* Unicode's, whatever the user's language is */

lk_status lk_word_rules_open(bool lowercase, lk_word_rules *out)
{
    *out = (lk_word_rules){.lowercase = lowercase};
    if (!lowercase) return LK_OK;
    out->locale = newlocale(LC_CTYPE_MASK, LETTERS, (locale_t)0);
    if (out->locale) return LK_OK;
    return LK_FAIL(LK_ERR_SYSTEM, "the C library has no locale " LETTERS ", which says what small letters are: %s; set "
                   "data.lowercase to false", strerror(errno));
}

void lk_word_rules_close(lk_word_rules *rules)
{
    if (rules->locale) freelocale(rules->locale);
    rules->locale = (locale_t)0;
}

static bool is_blank(uint32_t c) { return c == ' ' || c == 0xA0 || c == 0x2009 || c == 0x202F; }
static bool stands_apart(uint32_t c) { return c == ',' || c == '.' || c == '!' || c == '?'; }

size_t lk_words_apart(const lk_word_rules *rules, const char *text, size_t nbytes, char *out)
{
    const char *at = text, *end = text + nbytes;
    char *to = out;
    bool apart = false; /* what comes next begins a word */
    uint32_t c;

    while (at < end && lk_utf8_take(&at, end, &c)) {
        if (c == 0x200B) continue;
        if (is_blank(c)) {
            apart = true;
            continue;
        }
        if (to > out && (apart || stands_apart(c))) *to++ = ' ';
        to = lk_utf8_put(to, rules->lowercase ? (uint32_t)towlower_l((wint_t)c, rules->locale) : c);
        apart = false;
    }
    return (size_t)(to - out);
}

void lk_words_next(const char **at, const char *end, const char **word, size_t *nbytes)
{
    const char *blank = *at < end ? memchr(*at, ' ', (size_t)(end - *at)) : NULL;

    *word = *at < end ? *at : NULL;
    *nbytes = (size_t)((blank ? blank : end) - *at);
    *at = blank ? blank + 1 : end;
}
