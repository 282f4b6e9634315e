/*
 * BLEU: how many runs of words a translation shares with a reference.
 *
 *     p_n     runs of n words that the reference has too, each as often as it has it / all runs of n words
 *     BP      exp(min(0, 1 - words of the reference / words of the translation))
 *     BLEU-k  BP * prod_{n = 1..k} p_n^(1 / 2^n)         the textbook's, of a sentence
 *     BLEU    100 * BP * (prod_{n = 1..4} p_n)^(1 / 4)   of a corpus: its counts are summed before they are divided
 *
 * The corpus's is sacreBLEU's by default: words by its tokenizer 13a, and the i-th of the p_n that are 0, of those with
 * runs of n words at all, counts as 1 / (2^i * runs).  The textbook's takes words as they are, and no n beyond the
 * translation's words.
 * Source: Papineni et al., 2002; Post, 2018, github.com/mjpost/sacrebleu (metrics/bleu.py, tokenizer_13a.py); Zhang,
 * Lipton, Li and Smola, Dive into Deep Learning, bleu.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/io.h"
#include "io/text/text.h"

/* ------------------------------------------------------------------------ 13a */

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_stop(char c) { return c == '.' || c == ','; }

/* ASCII's signs but for ' , - and the full stop. */
static bool is_sign(char c)
{
    return (c >= ' ' && c <= '&') || (c >= '(' && c <= '+') || c == '/' || (c >= ':' && c <= '@') ||
           (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
}

/* The substitutions of 13a: each takes one character (alone) or two off the front of what is left, writes them and
 * returns how many it took; 0: they do not match.  Bytes stand for characters, for what is told apart is ASCII. */
typedef size_t substitute_fn(const char *at, const char *end, char **to);

static size_t part_sign(const char *at, const char *end, char **to)
{
    (void)end;
    if (!is_sign(*at)) return 0;
    *to += sprintf(*to, " %c ", *at);
    return 1;
}

static size_t part_stop_behind_no_digit(const char *at, const char *end, char **to)
{
    if (end - at < 2 || is_digit(at[0]) || !is_stop(at[1])) return 0;
    *to += sprintf(*to, "%c %c ", at[0], at[1]);
    return 2;
}

static size_t part_stop_before_no_digit(const char *at, const char *end, char **to)
{
    if (end - at < 2 || !is_stop(at[0]) || is_digit(at[1])) return 0;
    *to += sprintf(*to, " %c %c", at[0], at[1]);
    return 2;
}

static size_t part_dash(const char *at, const char *end, char **to)
{
    if (end - at < 2 || !is_digit(at[0]) || at[1] != '-') return 0;
    *to += sprintf(*to, "%c - ", at[0]);
    return 2;
}

static substitute_fn *const substitutions[] = {part_sign, part_stop_behind_no_digit, part_stop_before_no_digit,
                                               part_dash};
enum { N_SUBSTITUTIONS = sizeof substitutions / sizeof *substitutions, SIGN_GROWTH = 3, PAIR_GROWTH = 2 };

/* One pass, from the left, each match behind the one before. */
static size_t substitute(substitute_fn *fn, const char *from, size_t nbytes, char *out)
{
    const char *at = from, *end = from + nbytes;
    char *to = out;

    while (at < end) {
        const size_t taken = fn(at, end, &to);
        if (taken == 0) *to++ = *at;
        at += taken ? taken : 1;
    }
    return (size_t)(to - out);
}

/* What XML wrote for single characters, and what is left out; "&amp;" before the last two, as there. */
static const struct { const char *from, *to; } entities[] = {
    {"<skipped>", ""}, {"-\n", ""}, {"\n", " "}, {"&quot;", "\""}, {"&amp;", "&"}, {"&lt;", "<"}, {"&gt;", ">"}};

/* In place: nothing becomes longer. */
static size_t replace(char *text, size_t nbytes, const char *from, const char *with)
{
    const size_t n_from = strlen(from), n_with = strlen(with);
    size_t to = 0;

    for (size_t at = 0; at < nbytes;) {
        if (nbytes - at >= n_from && memcmp(text + at, from, n_from) == 0) {
            memcpy(text + to, with, n_with);
            to += n_with, at += n_from;
        } else {
            text[to++] = text[at++];
        }
    }
    return to;
}

/* Python's str.isspace() of what can stand in a line. */
static bool is_space(uint32_t c)
{
    return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

/* --------------------------------------------------------------------- numbers */

/* Two texts as numbers of their words. */
typedef struct sentences {
    lk_vocabulary *words;
    int64_t *number[2];    /* owned; as is all here */
    int64_t n[2];
    bool *used;            /* runs of the reference that have been matched */
} sentences;

/* Takes the next word off the front, between spaces; NULL: there is none. */
static const char *next_word(const char **at, const char *end, size_t *nbytes)
{
    const char *begin = NULL;
    uint32_t c;

    for (const char *here = *at; *at < end && lk_utf8_take(at, end, &c); here = *at) {
        if (!is_space(c) && !begin) begin = here;
        if (is_space(c) && begin) return *nbytes = (size_t)(here - begin), begin;
    }
    *nbytes = begin ? (size_t)(end - begin) : 0;
    return begin;
}

static lk_status number_words(sentences *s, int side, const char *text, size_t nbytes)
{
    const char *at = text, *word;
    size_t n;

    s->number[side] = calloc(nbytes + 1, sizeof *s->number[side]);
    LK_TRY_ALLOC(s->number[side], (nbytes + 1) * sizeof *s->number[side]);
    while ((word = next_word(&at, text + nbytes, &n))) {
        const int64_t number = lk_vocabulary_add_bytes(&s->words, word, n);
        if (number < 0) return LK_FAIL(LK_ERR_SYSTEM, "out of memory: words of a sentence");
        s->number[side][s->n[side]++] = number;
    }
    return LK_OK;
}

/* The same of the words that 13a makes. */
static lk_status number_words_13a(sentences *s, int side, const char *text)
{
    const size_t nbytes = strlen(text) + 2, growth = SIGN_GROWTH * PAIR_GROWTH * PAIR_GROWTH * PAIR_GROWTH;
    char *page[2] = {malloc(growth * nbytes + 1), malloc(growth * nbytes + 1)};
    lk_status status = page[0] && page[1] ? LK_OK : LK_FAIL(LK_ERR_SYSTEM, "out of memory: a sentence");

    if (status == LK_OK) {
        size_t n = (size_t)sprintf(page[0], " %s ", text);
        for (size_t e = 0; e < sizeof entities / sizeof *entities; e++)
            n = replace(page[0], n, entities[e].from, entities[e].to);
        for (int p = 0; p < N_SUBSTITUTIONS; p++) n = substitute(substitutions[p], page[p % 2], n, page[(p + 1) % 2]);
        status = number_words(s, side, page[N_SUBSTITUTIONS % 2], n);
    }
    free(page[0]);
    free(page[1]);
    return status;
}

static void clear(sentences *s)
{
    free(s->used);
    for (int side = 0; side < 2; side++) free(s->number[side]);
    lk_vocabulary_free(&s->words);
}

/* ---------------------------------------------------------------------- counts */

enum { TRANSLATION, REFERENCE };

static int64_t n_runs(const sentences *s, int side, int length)
{
    return s->n[side] >= length ? s->n[side] - length + 1 : 0;
}

/* Runs of this many words of the translation that the reference has, each of its runs once. */
static int64_t count_matches(sentences *s, int length)
{
    const int64_t n_there = n_runs(s, REFERENCE, length);
    int64_t matches = 0;

    memset(s->used, 0, (size_t)s->n[REFERENCE]);
    for (int64_t i = 0; i < n_runs(s, TRANSLATION, length); i++)
        for (int64_t k = 0; k < n_there; k++) {
            if (s->used[k] || memcmp(s->number[TRANSLATION] + i, s->number[REFERENCE] + k,
                                     (size_t)length * sizeof **s->number) != 0)
                continue;
            s->used[k] = true;
            matches++;
            break;
        }
    return matches;
}

static lk_status make_marks(sentences *s)
{
    s->used = calloc((size_t)s->n[REFERENCE] + 1, sizeof *s->used);
    LK_TRY_ALLOC(s->used, (size_t)s->n[REFERENCE] + 1);
    return LK_OK;
}

static lk_status check_text(const char *text, const char *what)
{
    const size_t nbytes = strlen(text), good = lk_utf8_check(text, nbytes);

    if (good == nbytes) return LK_OK;
    return LK_FAIL(LK_ERR_DATA, "BLEU: byte %zu of the %s is not UTF-8: %.80s", good + 1, what, text);
}

/* ---------------------------------------------------------------------- corpus */

static void add_counts(lk_bleu *sums, sentences *s)
{
    sums->n_words += s->n[TRANSLATION];
    sums->n_reference += s->n[REFERENCE];
    for (int length = 1; length <= LK_BLEU_ORDER; length++) {
        sums->runs[length - 1] += n_runs(s, TRANSLATION, length);
        sums->matches[length - 1] += count_matches(s, length);
    }
}

lk_status lk_bleu_add(lk_bleu *sums, const char *translation, const char *reference)
{
    sentences s = {0};

    LK_TRY(check_text(translation, "translation"));
    LK_TRY(check_text(reference, "reference"));
    lk_status status = number_words_13a(&s, TRANSLATION, translation);
    if (status == LK_OK) status = number_words_13a(&s, REFERENCE, reference);
    if (status == LK_OK) status = make_marks(&s);
    if (status == LK_OK) add_counts(sums, &s);
    clear(&s);
    return status;
}

static double brevity(int64_t n_words, int64_t n_reference)
{
    return n_words < n_reference ? exp(1.0 - (double)n_reference / (double)n_words) : 1.0;
}

double lk_bleu_score(const lk_bleu *sums)
{
    double log_product = 0.0, halves = 1.0;

    if (sums->matches[0] == 0) return 0.0; /* then none is longer either */
    for (int n = 0; n < LK_BLEU_ORDER; n++) {
        if (sums->runs[n] == 0) return 0.0;
        if (sums->matches[n] == 0) halves *= 2.0;
        const double matches = sums->matches[n] ? (double)sums->matches[n] : 1.0 / halves;
        log_product += log(matches / (double)sums->runs[n]);
    }
    return 100.0 * brevity(sums->n_words, sums->n_reference) * exp(log_product / LK_BLEU_ORDER);
}

/* -------------------------------------------------------------------- textbook */

static double score_textbook(sentences *s, int k)
{
    double score = brevity(s->n[TRANSLATION], s->n[REFERENCE]);

    for (int length = 1; length <= k && length <= s->n[TRANSLATION]; length++)
        score *= pow((double)count_matches(s, length) / (double)n_runs(s, TRANSLATION, length), pow(0.5, length));
    return s->n[TRANSLATION] ? score : 0.0;
}

lk_status lk_bleu_textbook(const char *translation, const char *reference, int k, double *out)
{
    sentences s = {0};

    LK_TRY(check_text(translation, "translation"));
    LK_TRY(check_text(reference, "reference"));
    lk_status status = number_words(&s, TRANSLATION, translation, strlen(translation));
    if (status == LK_OK) status = number_words(&s, REFERENCE, reference, strlen(reference));
    if (status == LK_OK) status = make_marks(&s);
    if (status == LK_OK) *out = score_textbook(&s, k);
    clear(&s);
    return status;
}
