/* BLEU against sacreBLEU's and the textbook's (make_bleu.py), to 1e-6: what differs is rounding. */
#include <math.h>

#include "io/io.h"
#include "tests/support/golden.h"

#define CLOSE 1e-6

static const char *text_of(json_t *object, const char *key) { return json_string_value(json_object_get(object, key)); }
static double number_of(json_t *object, const char *key) { return json_number_value(json_object_get(object, key)); }

Test(bleu, of_a_corpus_is_sacrebleus)
{
    json_t *values = golden_load("bleu.json"), *corpora = json_object_get(values, "corpora");

    cr_assert_gt(json_array_size(corpora), 0);
    for (size_t c = 0; c < json_array_size(corpora); c++) {
        json_t *corpus = json_array_get(corpora, c), *translations = json_object_get(corpus, "translations");
        lk_bleu sums = {0};

        for (size_t i = 0; i < json_array_size(translations); i++)
            cr_assert_eq(lk_bleu_add(&sums, json_string_value(json_array_get(translations, i)),
                                     json_string_value(json_array_get(json_object_get(corpus, "references"), i))),
                         LK_OK, "%s", lk_error_message());
        const double got = lk_bleu_score(&sums), want = number_of(corpus, "score");
        cr_expect(fabs(got - want) <= CLOSE, "corpus %zu: %.9f, want %.9f", c, got, want);
    }
    json_decref(values);
}

Test(bleu, of_a_sentence_is_the_textbooks)
{
    json_t *values = golden_load("bleu.json"), *sentences = json_object_get(values, "sentences");

    cr_assert_gt(json_array_size(sentences), 0);
    for (size_t i = 0; i < json_array_size(sentences); i++) {
        json_t *s = json_array_get(sentences, i);
        double got = NAN;

        cr_assert_eq(lk_bleu_textbook(text_of(s, "translation"), text_of(s, "reference"), (int)number_of(s, "k"), &got),
                     LK_OK, "%s", lk_error_message());
        cr_expect(fabs(got - number_of(s, "score")) <= CLOSE, "sentence %zu: %.9f, want %.9f", i, got,
                  number_of(s, "score"));
    }
    json_decref(values);
}

Test(bleu, of_what_is_not_utf8_is_told)
{
    lk_bleu sums = {0};

    cr_expect_eq(lk_bleu_add(&sums, "ab\xff", "ab"), LK_ERR_DATA);
    cr_expect(strstr(lk_error_message(), "byte 3 of the translation is not UTF-8"), "%s", lk_error_message());
}
