/*
 * UTF-8, strictly: every character has the one form that Unicode gives it (The Unicode Standard, table 3-7), so equal
 * texts are equal bytes.
 */
#include "io/text/text.h"

enum { FIRST_SURROGATE = 0xD800, LAST_SURROGATE = 0xDFFF, LAST_CHARACTER = 0x10FFFF, TAIL_BITS = 6, TAIL_MASK = 0x3F };

/* Bytes behind a first one, and the bits that it has of the character itself; -1: no character begins so. */
static int tail_of(unsigned char first, uint32_t *bits)
{
    if (first < 0x80) return *bits = first, 0;
    if (first < 0xC0) return -1;
    if (first < 0xE0) return *bits = first & 0x1F, 1;
    if (first < 0xF0) return *bits = first & 0x0F, 2;
    if (first < 0xF8) return *bits = first & 0x07, 3;
    return -1;
}

bool lk_utf8_take(const char **at, const char *end, uint32_t *character)
{
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000}; /* by bytes behind the first: less is overlong */
    const unsigned char *from = (const unsigned char *)*at;
    uint32_t c = 0;
    const int n = tail_of(*from, &c);

    if (n < 0 || end - *at <= n) return false;
    for (int i = 1; i <= n; i++) {
        if ((from[i] & ~TAIL_MASK) != 0x80) return false;
        c = c << TAIL_BITS | (from[i] & TAIL_MASK);
    }
    if (c < least[n] || c > LAST_CHARACTER || (c >= FIRST_SURROGATE && c <= LAST_SURROGATE)) return false;
    *at += n + 1;
    *character = c;
    return true;
}

char *lk_utf8_put(char *to, uint32_t c)
{
    const int n = c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const unsigned char first[] = {0, 0xC0, 0xE0, 0xF0};

    for (int i = n; i > 0; i--, c >>= TAIL_BITS) to[i] = (char)(0x80 | (c & TAIL_MASK));
    to[0] = (char)(first[n] | c);
    return to + n + 1;
}

size_t lk_utf8_check(const char *text, size_t nbytes)
{
    const char *at = text, *end = text + nbytes;
    uint32_t unused;

    while (at < end && lk_utf8_take(&at, end, &unused)) continue;
    return (size_t)(at - text);
}
