/* The two languages of a run of pairs, by its vocabularies alone: what a sentence typed in becomes, and what numbers
 * say. */
#include <stdlib.h>
#include <string.h>

#include "io/data/data.h"

struct lk_languages {
    lk_data_stats *stats;  /* owned, as the next */
    lk_word_rules rules;
    lk_coding coding[LK_N_LANGUAGES]; /* of the statistics */
    int64_t steps;
    lk_sample sample;
};

static void describe(lk_languages *l)
{
    static const char *const names[] = {"source", "target_in"};
    lk_field field = {.dtype = LK_DTYPE_I32, .ndim = 1, .shape = {LK_LENGTH}};

    for (int side = 0; side < LK_N_LANGUAGES; side++) {
        field.n_values = lk_vocabulary_n(l->stats->words[side]);
        strcpy(field.name, names[side]);
        lk_sample_add(&l->sample, &field);
    }
}

static lk_status open_words(lk_languages *l, const lk_data_spec *spec, const char *stats_json)
{
    LK_TRY(lk_stats_read(stats_json, &l->stats));
    if (spec->kind != LK_DATA_PAIRS || l->stats->kind != LK_DATA_PAIRS || !l->stats->words[LK_LANGUAGE_TARGET])
        return LK_FAIL(LK_ERR_USAGE, "data.kind: sentences are translated by a run of pairs, which this is not");
    l->steps = spec->steps;
    for (int side = 0; side < LK_N_LANGUAGES; side++)
        l->coding[side] = (lk_coding){.words = l->stats->words[side], .bpe = l->stats->bpe};
    describe(l);
    return lk_word_rules_open(spec->lowercase, &l->rules);
}

lk_status lk_languages_open(const lk_data_spec *spec, const char *stats_json, lk_languages **out)
{
    *out = calloc(1, sizeof **out);
    LK_TRY_ALLOC(*out, sizeof **out);
    const lk_status status = open_words(*out, spec, stats_json);
    if (status != LK_OK) lk_languages_free(out);
    return status;
}

void lk_languages_free(lk_languages **languages)
{
    if (!*languages) return;
    for (int side = 0; side < LK_N_LANGUAGES; side++) lk_coding_clear(&(*languages)->coding[side]);
    lk_word_rules_close(&(*languages)->rules);
    lk_stats_free(&(*languages)->stats);
    lk_free(languages);
}

const lk_sample *lk_languages_sample(const lk_languages *languages) { return &languages->sample; }

lk_marks lk_languages_marks(void)
{
    return (lk_marks){.pad = LK_SPECIAL_PAD, .bos = LK_SPECIAL_BOS, .eos = LK_SPECIAL_EOS};
}

static lk_status check_characters(const char *text, size_t nbytes)
{
    const size_t good = lk_utf8_check(text, nbytes);
    const char *nul = memchr(text, '\0', nbytes), *tab = memchr(text, '\t', nbytes);

    if (good < nbytes)
        return LK_FAIL(LK_ERR_DATA, "byte %zu of the line, 0x%02x, is not UTF-8; convert the text (iconv -t UTF-8)",
                       good + 1, (unsigned char)text[good]);
    if (nul)
        return LK_FAIL(LK_ERR_DATA, "byte %zu of the line is 0; sentences are text in UTF-8", (size_t)(nul - text) + 1);
    if (tab)
        return LK_FAIL(LK_ERR_DATA, "byte %zu of the line is a tab; a line is one sentence (of a file of pairs: "
                       "cut -f1)", (size_t)(tab - text) + 1);
    return LK_OK;
}

static lk_status number(lk_languages *l, const char *text, size_t nbytes, int32_t **numbers, int64_t *n,
                        int64_t *n_cut)
{
    *numbers = malloc((nbytes + LK_CODING_MORE) * sizeof **numbers);
    LK_TRY_ALLOC(*numbers, (nbytes + LK_CODING_MORE) * sizeof **numbers, "a sentence");
    LK_TRY(lk_coding_encode(&l->coding[LK_LANGUAGE_SOURCE], text, nbytes, *numbers, n));
    *n_cut = l->steps && *n > l->steps ? *n - l->steps : 0;
    *n -= *n_cut;
    return LK_OK;
}

lk_status lk_languages_number(lk_languages *languages, const char *text, size_t nbytes, int32_t **numbers, int64_t *n,
                              int64_t *n_cut)
{
    *numbers = NULL;
    *n = *n_cut = 0;
    LK_TRY(check_characters(text, nbytes));
    char *words = malloc(LK_WORDS_GROWTH * nbytes + 1);
    LK_TRY_ALLOC(words, LK_WORDS_GROWTH * nbytes + 1, "a sentence");
    nbytes = lk_words_apart(&languages->rules, text, nbytes, words);
    const lk_status status = nbytes > 0 ? number(languages, words, nbytes, numbers, n, n_cut) : LK_OK;
    free(words);
    return status;
}

lk_status lk_languages_word(const lk_languages *languages, lk_language language, int32_t number, char **text)
{
    const lk_coding *coding = &languages->coding[language];

    if (coding->bpe && number >= LK_N_SPECIALS) return lk_coding_decode(coding, &number, 1, text);
    *text = strdup(lk_vocabulary_text(coding->words, number));
    LK_TRY_ALLOC(*text, strlen(lk_vocabulary_text(coding->words, number)) + 1);
    return LK_OK;
}

lk_status lk_languages_say(const lk_languages *languages, const int32_t *numbers, int64_t n, char **text)
{
    return lk_coding_decode(&languages->coding[LK_LANGUAGE_TARGET], numbers, n, text);
}
