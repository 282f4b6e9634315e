/* The languages of a run of pairs: sentences as numbers and numbers as words, by the statistics of training alone; and
 * the translations that a data set keeps. */
#include "io/data/data.h"
#include "tests/support/data_files.h"

TestSuite(languages, .fini = remove_test_files);

static const char pairs[] = "Go on!\tVa, va !\nHi.\tSalut.\nGo.\tVa !\nRun!\tCours\u202f!\nWho?\tQui ?\n";

static lk_data_spec spec_of(int64_t steps)
{
    lk_data_spec spec = plain_spec(LK_DATA_PAIRS);

    spec.train = write_test_text("languages.txt", pairs);
    spec.lowercase = true;
    spec.min_freq = 1;
    spec.steps = steps;
    return spec;
}

static lk_languages *open_languages(const lk_data_spec *spec)
{
    lk_dataset *train, *none;
    lk_languages *languages;

    cr_assert_eq(lk_dataset_open(spec, LK_LOSS_CROSS_ENTROPY, NULL, &train, &none), LK_OK, "%s", lk_error_message());
    cr_assert_eq(lk_languages_open(spec, lk_dataset_stats(train), &languages), LK_OK, "%s", lk_error_message());
    lk_dataset_free(&train);
    return languages;
}

/* What a sentence is numbered by, as words again, and how much of it was cut. */
static void expect_numbers(lk_languages *languages, const char *text, const char *want, int64_t want_cut)
{
    char got[256];
    lk_text out = lk_text_in(got, sizeof got);
    int32_t *numbers;
    int64_t n, n_cut;

    cr_assert_eq(lk_languages_number(languages, text, strlen(text), &numbers, &n, &n_cut), LK_OK, "%s",
                 lk_error_message());
    for (int64_t i = 0; i < n; i++) {
        char *word;

        cr_assert_eq(lk_languages_word(languages, LK_LANGUAGE_SOURCE, numbers[i], &word), LK_OK);
        lk_text_add(&out, "%s%s", i ? " " : "", word);
        free(word);
    }
    cr_expect_str_eq(got, want, "%s: got `%s`, want `%s`", text, got, want);
    cr_expect_eq(n_cut, want_cut, "%s: %lld cut, want %lld", text, (long long)n_cut, (long long)want_cut);
    free(numbers);
}

Test(languages, a_sentence_becomes_what_training_makes_of_it)
{
    const lk_data_spec spec = spec_of(5);
    lk_languages *languages = open_languages(&spec);

    expect_numbers(languages, "Go!", "go ! <eos>", 0);
    expect_numbers(languages, "  GO\u00a0on, Maria ", "go on <unk> <unk> <eos>", 0);
    expect_numbers(languages, "<eos> go", "<unk> go <eos>", 0);
    expect_numbers(languages, "Go on. Go on!", "go on . go on", 2);
    expect_numbers(languages, " ", "", 0);
    lk_languages_free(&languages);
}

Test(languages, numbers_become_words)
{
    const lk_data_spec spec = spec_of(0);
    lk_languages *languages = open_languages(&spec);
    const lk_sample *sample = lk_languages_sample(languages);
    int32_t words[3] = {LK_SPECIAL_UNK};
    char *text;

    for (int32_t w = 0; w < sample->field[1].n_values; w++) {
        cr_assert_eq(lk_languages_word(languages, LK_LANGUAGE_TARGET, w, &text), LK_OK);
        if (strcmp(text, "va") == 0) words[1] = words[2] = w;
        free(text);
    }
    cr_assert_eq(lk_languages_say(languages, words, 3, &text), LK_OK, "%s", lk_error_message());
    cr_expect_str_eq(text, "<unk> va va");
    free(text);
    cr_assert_eq(lk_languages_say(languages, NULL, 0, &text), LK_OK, "%s", lk_error_message());
    cr_expect_str_eq(text, "");
    free(text);
    cr_expect(sample->n_fields == 2 && strcmp(sample->field[0].name, "source") == 0 && sample->field[0].n_values == 12,
              "%d fields, %lld source words", sample->n_fields, (long long)sample->field[0].n_values);
    lk_languages_free(&languages);
}

Test(languages, what_is_no_sentence_is_refused)
{
    static const struct { const char *text; size_t nbytes; const char *says; } bad[] = {
        {"a\xff", 2, "byte 2 of the line, 0xff, is not UTF-8"},
        {"a\0b", 3, "byte 2 of the line is 0"},
        {"Go.\tVa !", 8, "byte 4 of the line is a tab"},
    };
    const lk_data_spec spec = spec_of(0);
    lk_languages *languages = open_languages(&spec);
    int64_t n, n_cut;
    int32_t *numbers;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_expect_eq(lk_languages_number(languages, bad[i].text, bad[i].nbytes, &numbers, &n, &n_cut), LK_ERR_DATA);
        cr_expect(strstr(lk_error_message(), bad[i].says), "got `%s`, want `%s`", lk_error_message(), bad[i].says);
    }
    lk_languages_free(&languages);
}

Test(languages, of_other_data_there_are_none)
{
    lk_data_spec csv = plain_spec(LK_DATA_CSV);
    lk_dataset *train, *none;
    lk_languages *languages;

    csv.train = write_test_text("table.csv", "a,y\n1,2\n3,4\n");
    csv.target = (char[]){"y"};
    cr_assert_eq(lk_dataset_open(&csv, LK_LOSS_MSE, NULL, &train, &none), LK_OK, "%s", lk_error_message());
    cr_expect_eq(lk_languages_open(&csv, lk_dataset_stats(train), &languages), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), "translated by a run of pairs"), "%s", lk_error_message());
    lk_dataset_free(&train);
}

/* A sentence of byte pairs comes back as it was, and a token of them is read as it is written, its blank aside. */
Test(languages, byte_pairs_are_read_as_they_are_written)
{
    lk_data_spec spec = spec_of(0);

    spec.tokenizer = LK_TOKENIZER_BPE;
    spec.vocabulary = 260;
    lk_languages *languages = open_languages(&spec);
    int32_t *numbers;
    int64_t n, n_cut;
    char *text;

    cr_assert_eq(lk_languages_number(languages, "Va !", 4, &numbers, &n, &n_cut), LK_OK, "%s", lk_error_message());
    cr_assert_eq(lk_languages_say(languages, numbers, n, &text), LK_OK, "%s", lk_error_message());
    cr_expect_str_eq(text, "va !", "got `%s`", text);
    free(text);
    cr_assert_eq(lk_languages_word(languages, LK_LANGUAGE_SOURCE, numbers[n - 1], &text), LK_OK);
    cr_expect_str_eq(text, "<eos>", "got `%s`", text);
    free(text);
    cr_assert_eq(lk_languages_word(languages, LK_LANGUAGE_SOURCE, numbers[0], &text), LK_OK);
    cr_expect(strncmp("va", text, strlen(text)) == 0, "`va !` begins with `%s`", text);
    free(text);
    free(numbers);
    lk_languages_free(&languages);
}

/* ---------------------------------------------------------------- translations */

static void expect_translation(const lk_dataset *dataset, int64_t i, const char *want)
{
    char *got;

    cr_assert_eq(lk_dataset_translation(dataset, i, &got), LK_OK, "%s", lk_error_message());
    cr_expect_str_eq(got, want, "sample %lld: got `%s`, want `%s`", (long long)i, got, want);
    free(got);
}

/* Whatever the vocabulary knows of them. */
Test(languages, a_data_set_keeps_translations_as_text)
{
    lk_data_spec spec = spec_of(2);
    lk_dataset *train, *none;

    spec.min_freq = 2;
    cr_assert_eq(lk_dataset_open(&spec, LK_LOSS_CROSS_ENTROPY, NULL, &train, &none), LK_OK, "%s", lk_error_message());
    expect_translation(train, 0, "va , va !");
    expect_translation(train, 3, "cours !");
    lk_dataset_free(&train);
}

/* All five are there, once, the ones and the others. */
Test(languages, each_part_keeps_its_own_translations)
{
    static const char *const all[] = {"va , va !", "salut .", "va !", "cours !", "qui ?"};
    enum { N = sizeof all / sizeof *all };
    lk_data_spec spec = spec_of(0);
    lk_dataset *parts[2];
    int64_t at[2] = {0, 0};

    spec.validation_fraction = 0.5;
    cr_assert_eq(lk_dataset_open(&spec, LK_LOSS_CROSS_ENTROPY, NULL, &parts[0], &parts[1]), LK_OK, "%s",
                 lk_error_message());
    cr_assert(parts[1], "nothing validates");
    cr_assert_eq(lk_dataset_n(parts[0]) + lk_dataset_n(parts[1]), N);
    for (int i = 0; i < N; i++) { /* both keep the file's order */
        char *first = NULL;
        int p = 0;

        if (at[0] < lk_dataset_n(parts[0])) cr_assert_eq(lk_dataset_translation(parts[0], at[0], &first), LK_OK);
        if (!first || strcmp(first, all[i]) != 0) p = 1;
        free(first);
        expect_translation(parts[p], at[p]++, all[i]);
    }
    for (int p = 0; p < 2; p++) lk_dataset_free(&parts[p]);
}
