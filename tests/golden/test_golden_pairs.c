/* Pairs of sentences against the textbook's code (make_pairs.py): the same vocabularies and the same numbers for the
 * beginning of Tatoeba's English and French, where that file is. */
#include "io/data/data.h"
#include "tests/support/data_files.h"
#include "tests/support/golden.h"

enum { HASH_BYTES = 17 };
static const uint64_t fnv_begin = 0xcbf29ce484222325u, fnv_prime = 0x100000001b3u;

static uint64_t fnv(uint64_t hash, const void *bytes, size_t nbytes)
{
    for (size_t i = 0; i < nbytes; i++) hash = (hash ^ ((const unsigned char *)bytes)[i]) * fnv_prime;
    return hash;
}

static void expect_hash(uint64_t hash, json_t *want, const char *what)
{
    char got[HASH_BYTES];

    snprintf(got, sizeof got, "%016llx", (unsigned long long)hash);
    cr_expect_str_eq(got, json_string_value(want), "%s: hash %s, want %s", what, got, json_string_value(want));
}

/* One of the words by their numbers, the special ones aside: the textbook has those in another order. */
static void check_words(const lk_vocabulary *words, json_t *values, size_t side)
{
    json_t *first = json_array_get(json_object_get(values, "first_words"), side);
    uint64_t hash = fnv_begin;

    cr_assert_eq(lk_vocabulary_n(words), json_integer_value(json_array_get(json_object_get(values, "n_words"), side)),
                 "%ld words", (long)lk_vocabulary_n(words));
    for (size_t w = 0; w < json_array_size(first); w++) {
        const char *want = json_string_value(json_array_get(first, w));
        const char *got = lk_vocabulary_text(words, LK_N_SPECIALS + (int64_t)w);
        cr_expect_str_eq(got, want, "word %zu: %s, want %s", w, got, want);
    }
    for (int64_t w = LK_N_SPECIALS; w < lk_vocabulary_n(words); w++) {
        const char *text = lk_vocabulary_text(words, w);
        if (w > LK_N_SPECIALS) hash = fnv(hash, "\n", 1);
        hash = fnv(hash, text, strlen(text));
    }
    expect_hash(hash, json_array_get(json_object_get(values, "words"), side), side ? "target" : "source");
}

/* A field of all samples as lanes get it, with the textbook's 0 where a target is filled up. */
static void check_field(const lk_dataset *data, const char *name, json_t *values)
{
    const int f = lk_sample_find(&data->sample, name);
    const size_t n_elem = lk_field_n_elem(&data->sample.field[f], data->length) * (size_t)data->n;
    int64_t *sample = calloc((size_t)data->n, sizeof *sample);
    int32_t *number = calloc(n_elem, sizeof *number);
    void *field[LK_MAX_FIELDS] = {0};
    lk_easel easel = {0};

    field[f] = number;
    for (int64_t i = 0; i < data->n; i++) sample[i] = i;
    cr_assert_eq(data->fetch(data, &(lk_draw){0}, sample, data->n, data->length, field, &easel), LK_OK);
    for (size_t i = 0; i < n_elem; i++)
        if (number[i] == data->fields[f].pad) number[i] = 0;
    expect_hash(fnv(fnv_begin, number, n_elem * sizeof *number),
                json_object_get(json_object_get(values, "fields"), name), name);
    free(number);
    free(sample);
}

Test(pairs, are_the_textbooks)
{
    lk_data_spec spec = plain_spec(LK_DATA_PAIRS);
    json_t *cases = golden_load("pairs.json");

    spec.train = (char *)real_data("fra-eng/fra.txt.xz");
    spec.lowercase = true;
    spec.min_freq = 2;
    for (size_t k = 0; k < json_array_size(cases); k++) {
        json_t *values = json_array_get(cases, k);
        lk_dataset *data, *none;

        spec.examples = json_integer_value(json_object_get(values, "examples"));
        spec.steps = json_integer_value(json_object_get(values, "steps"));
        cr_assert_eq(lk_dataset_open(&spec, LK_LOSS_CROSS_ENTROPY, NULL, &data, &none), LK_OK, "%s",
                     lk_error_message());
        cr_assert_eq(lk_dataset_n(data), json_integer_value(json_object_get(values, "pairs")));
        for (size_t side = 0; side < LK_N_LANGUAGES; side++) check_words(data->stats->words[side], values, side);
        check_field(data, "source", values);
        check_field(data, "source_len", values);
        check_field(data, "target_in", values);
        check_field(data, "target", values);
        lk_dataset_free(&data);
    }
    json_decref(cases);
}
