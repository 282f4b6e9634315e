/* Pairs of sentences: what becomes a word, which numbers words get, the fields of a sample, which sentences validate,
 * and the message of everything that cannot be read. */
#include "io/data/data.h"
#include "tests/support/data_files.h"

TestSuite(pairs, .fini = remove_test_files);

enum { PAD = LK_SPECIAL_PAD, BOS = LK_SPECIAL_BOS, EOS = LK_SPECIAL_EOS, UNK = LK_SPECIAL_UNK, IGNORED = -100 };

static lk_data_spec spec_of(const char *name, const char *text)
{
    lk_data_spec spec = plain_spec(LK_DATA_PAIRS);

    spec.train = write_test_text(name, text);
    spec.lowercase = true;
    spec.min_freq = 1;
    return spec;
}

static lk_dataset *open_both(const lk_data_spec *spec, const char *stats, lk_dataset **validation)
{
    lk_dataset *train;

    cr_assert_eq(lk_dataset_open(spec, LK_LOSS_CROSS_ENTROPY, stats, &train, validation), LK_OK, "%s",
                 lk_error_message());
    return train;
}

static lk_dataset *open_train(const lk_data_spec *spec)
{
    lk_dataset *none;

    return open_both(spec, NULL, &none);
}

/* ----------------------------------------------------------------------- words */

static void expect_words(bool lowercase, const char *text, const char *want)
{
    lk_word_rules rules;
    char got[256];

    cr_assert_eq(lk_word_rules_open(lowercase, &rules), LK_OK, "%s", lk_error_message());
    cr_assert_eq(lk_utf8_check(text, strlen(text)), strlen(text));
    cr_assert_lt(LK_WORDS_GROWTH * strlen(text), sizeof got);
    got[lk_words_apart(&rules, text, strlen(text), got)] = '\0';
    cr_expect_str_eq(got, want, "%s: got `%s`, want `%s`", text, got, want);
    lk_word_rules_close(&rules);
}

Test(pairs, punctuation_stands_apart)
{
    expect_words(true, "Go.", "go .");
    expect_words(true, "Wait... What?!", "wait . . . what ? !");
    expect_words(true, "It's 3.5, isn't it?", "it's 3 .5 , isn't it ?");
    expect_words(true, ".5 !", ".5 !");
    expect_words(true, "\"Hi!\" (he: said;)", "\"hi !\" (he: said;)");
}

Test(pairs, blanks_of_all_kinds_are_one)
{
    expect_words(true, "Cours\u202f!", "cours !");
    expect_words(true, "\u00a0a\u2009b \u202f c\u00a0", "a b c");
    expect_words(true, "un\u200bbroken\u200b", "unbroken");
    expect_words(true, "\u202f \u00a0", "");
}

Test(pairs, letters_become_small_where_that_is_asked_for)
{
    expect_words(true, "ÉÀÇ ŒUVRE ΑΘΗΝΑ ЖУК", "éàç œuvre αθηνα жук");
    expect_words(false, "ÉÀÇ Œuvre.", "ÉÀÇ Œuvre .");
    expect_words(true, "Ⱥ 東京 🙂", "ⱥ 東京 🙂"); /* two bytes become three */
}

Test(pairs, utf8_is_what_unicode_says)
{
    static const struct { const char *text; size_t good; } cases[] = {
        {"ascii \u00e9 \u20ac \U0001F642", 17}, {"a\x80", 1}, {"a\xc3", 1}, {"\xc0\xaf", 0}, {"\xe0\x80\xaf", 0},
        {"\xed\xa0\x80", 0}, {"\xed\x9f\xbf", 3}, {"\xf4\x8f\xbf\xbf", 4}, {"\xf4\x90\x80\x80", 0}, {"\xff", 0},
        {"ab\xe2\x82", 2}};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const size_t got = lk_utf8_check(cases[i].text, strlen(cases[i].text));
        cr_expect_eq(got, cases[i].good, "case %zu: %zu good bytes, want %zu", i, got, cases[i].good);
    }
}

/* ---------------------------------------------------------------------- fields */

static void expect_numbers(const lk_dataset *data, const char *name, int64_t sample, const int32_t *want, int64_t n)
{
    const int f = lk_sample_find(&data->sample, name);

    cr_assert(f >= 0, "no field %s", name);
    const lk_table_field *field = &data->fields[f];
    const int32_t *got = lk_table_field_at(field, sample);
    cr_assert_eq(lk_table_field_length(field, sample), n, "%s of %ld: %ld long, want %ld", name, (long)sample,
                 (long)lk_table_field_length(field, sample), (long)n);
    for (int64_t i = 0; i < n; i++)
        cr_expect_eq(got[i], want[i], "%s of %ld: number %ld is %d, want %d", name, (long)sample, (long)i, got[i],
                     want[i]);
}
#define EXPECT(data, name, sample, ...)                       \
    expect_numbers(data, name, sample, (int32_t[]){__VA_ARGS__}, \
                   sizeof((int32_t[]){__VA_ARGS__}) / sizeof(int32_t))

/* b three times, then a and c once each, in the order in which they come; d is <unk> in what has its own numbers. */
static const char three[] = "a b\tX x y\tsomebody's\nb\tx\r\nb c\tz\n";

Test(pairs, words_are_numbered_by_how_often_they_are)
{
    const char *source[] = {"<pad>", "<bos>", "<eos>", "<unk>", "b", "a", "c"};
    const lk_data_spec spec = spec_of("three.txt", three);
    lk_dataset *data = open_train(&spec);

    cr_assert_eq(lk_vocabulary_n(data->stats->words[0]), 7);
    for (int w = 0; w < 7; w++) cr_expect_str_eq(lk_vocabulary_text(data->stats->words[0], w), source[w]);
    cr_expect_eq(data->sample.field[0].n_values, 7);
    cr_expect_eq(lk_dataset_n_output(data), 7);
    EXPECT(data, "source", 0, 5, 4, EOS);
    EXPECT(data, "source", 1, 4, EOS);
    EXPECT(data, "source_len", 0, 3);
    EXPECT(data, "source_len", 1, 2);
    EXPECT(data, "target_in", 0, BOS, 4, 4, 5);
    EXPECT(data, "target", 0, 4, 4, 5, EOS);
    EXPECT(data, "target", 2, 6, EOS);
    cr_expect_eq(data->fields[0].pad, PAD);
    cr_expect_eq(data->fields[2].pad, PAD);
    cr_expect_eq(data->fields[3].pad, IGNORED);
    cr_expect(data->sample.field[3].target && !data->sample.field[2].target);
    lk_dataset_free(&data);
}

Test(pairs, rare_words_and_what_is_spelled_as_a_special_one_are_unknown)
{
    lk_data_spec spec = spec_of("special.txt", "a a <eos> <eos>\tx\nb <pad>\tx\n");
    spec.min_freq = 2;
    lk_dataset *data = open_train(&spec);

    EXPECT(data, "source", 0, 4, 4, UNK, UNK, EOS);
    EXPECT(data, "source", 1, UNK, UNK, EOS);
    cr_expect_eq(lk_vocabulary_n(data->stats->words[0]), 5);
    lk_dataset_free(&data);
}

Test(pairs, steps_cut_and_make_all_lanes_alike)
{
    lk_data_spec spec = spec_of("cut.txt", three);
    spec.steps = 2;
    lk_dataset *data = open_train(&spec);

    cr_expect_eq(data->length, 2);
    EXPECT(data, "source", 0, 5, 4);
    EXPECT(data, "source_len", 0, 2);
    EXPECT(data, "target_in", 0, BOS, 4);
    EXPECT(data, "target", 0, 4, 4);
    EXPECT(data, "target", 1, 4, EOS);
    lk_dataset_free(&data);
}

Test(pairs, of_each_training_file_the_first_examples)
{
    char *files[] = {write_test_text("first.txt", three), write_test_text("second.txt", "d d d\tw\ne\tv\n")};
    lk_data_spec spec = plain_spec(LK_DATA_PAIRS);
    spec.train = files[0];
    spec.train_files = (lk_words){files, 2};
    spec.validation = files[0];
    spec.min_freq = spec.examples = 1;
    lk_dataset *validation, *train = open_both(&spec, NULL, &validation);

    cr_expect_eq(lk_dataset_n(train), 2);
    EXPECT(train, "source", 1, 4, 4, 4, EOS); /* d */
    cr_expect_eq(lk_dataset_n(validation), 3, "%ld", (long)lk_dataset_n(validation));
    EXPECT(validation, "source", 2, 6, UNK, EOS); /* c is none of training's words */
    lk_dataset_free(&validation);
    lk_dataset_free(&train);
}

/* As a resumed run and predict read them. */
Test(pairs, other_files_get_the_numbers_of_training)
{
    const lk_data_spec spec = spec_of("trained.txt", three);
    lk_dataset *data = open_train(&spec), *other;
    const char *file = write_test_text("other.txt", "c d a\tz z new\n");

    cr_assert_eq(lk_dataset_open_file(&spec, LK_LOSS_CROSS_ENTROPY, lk_dataset_stats(data), file, NULL, false, &other),
                 LK_OK, "%s", lk_error_message());
    EXPECT(other, "source", 0, 6, UNK, 5, EOS);
    EXPECT(other, "target_in", 0, BOS, 6, 6, UNK);
    cr_expect_eq(lk_sample_find(&other->sample, "target"), -1);
    cr_expect_eq(other->sample.field[0].n_values, 7);
    cr_expect_str_eq(lk_dataset_stats(other), lk_dataset_stats(data));
    lk_dataset_free(&other);
    lk_dataset_free(&data);
}

/* ----------------------------------------------------------------------- split */

enum { SENTENCES = 200, EACH = 3, LINE_BYTES = 64 };

/* Each sentence three times, in several spellings, far apart. */
static const char *many(const char *name)
{
    static char text[SENTENCES * EACH * LINE_BYTES];
    int at = 0;

    for (int k = 0; k < EACH; k++)
        for (int i = 0; i < SENTENCES; i++)
            at += sprintf(text + at, "%s no%d%s\t%s%d v%d\n", k == 1 ? "Say" : "say", i, k == 2 ? "." : " .",
                          "dis", i, k);
    return write_test_text(name, text);
}

static int32_t sentence_of(const lk_dataset *d, int64_t sample)
{
    return ((const int32_t *)lk_table_field_at(&d->fields[0], sample))[1];
}

Test(pairs, translations_of_one_sentence_are_all_on_one_side)
{
    lk_data_spec spec = plain_spec(LK_DATA_PAIRS);
    lk_dataset *train, *validation, *again, *other;
    bool trained[SENTENCES + 16] = {false};

    spec.train = (char *)many("many.txt");
    spec.lowercase = true;
    spec.min_freq = 1;
    spec.validation_fraction = 0.2;
    train = open_both(&spec, NULL, &validation);
    const int64_t n = lk_dataset_n(validation);
    cr_expect(n % EACH == 0 && n > EACH * SENTENCES / 10 && n < EACH * SENTENCES * 3 / 10, "%ld validate", (long)n);
    cr_expect_eq(n + lk_dataset_n(train), EACH * SENTENCES);
    for (int64_t i = 0; i < lk_dataset_n(train); i++) trained[sentence_of(train, i)] = true;
    for (int64_t i = 0; i < n; i++)
        cr_expect_eq(sentence_of(validation, i), UNK, "a word that validates alone is in the vocabulary");
    for (int w = LK_N_SPECIALS + 2; w < LK_N_SPECIALS + 2 + (int)(lk_dataset_n(train) / EACH); w++)
        cr_expect(trained[w], "word %d is in the vocabulary, and no training sentence has it", w);

    lk_dataset *first = open_both(&spec, NULL, &again);
    cr_expect_eq(lk_dataset_n(again), n);
    lk_dataset_free(&again);
    lk_dataset_free(&first);
    spec.seed++;
    first = open_both(&spec, NULL, &other);
    cr_expect_str_neq(lk_dataset_stats(first), lk_dataset_stats(train), "another seed, the same sentences");
    lk_dataset_free(&other);
    lk_dataset_free(&first);
    lk_dataset_free(&validation);
    lk_dataset_free(&train);
}

/* -------------------------------------------------------------------- mistakes */

static void expect_message(const char *name, const char *text, lk_loss_kind loss, lk_status status, const char *want)
{
    const lk_data_spec spec = spec_of(name, text);
    lk_dataset *train, *none;

    cr_expect_eq(lk_dataset_open(&spec, loss, NULL, &train, &none), status, "%s", want);
    cr_expect(strstr(lk_error_message(), want), "\n got: %s\nwant: %s", lk_error_message(), want);
}

Test(pairs, what_is_wrong_is_told_with_its_line)
{
    const lk_loss_kind ce = LK_LOSS_CROSS_ENTROPY;

    expect_message("a.txt", "a\tb\nno tab\n", ce, LK_ERR_DATA, "a.txt:2: the line has no tab");
    expect_message("b.txt", "a\tb\n\na\tb\n", ce, LK_ERR_DATA, "b.txt:2: the line has no tab");
    expect_message("c.txt", "a\tb\n\u202f\tb\n", ce, LK_ERR_DATA,
                   "c.txt:2: the sentence in front of the tab has no words");
    expect_message("d.txt", "a\t\tb\n", ce, LK_ERR_DATA, "d.txt:1: the translation behind the tab has no words");
    expect_message("e.txt", "a\tb\nab\xe9\tb\n", ce, LK_ERR_DATA, "e.txt:2: byte 3 of the line, 0xe9, is not UTF-8");
    expect_message("f.txt", "", ce, LK_ERR_DATA, "f.txt holds no pairs");
    expect_message("g.txt", "a\tb\n", LK_LOSS_MSE, LK_ERR_USAGE, "data.kind pairs has words as targets");
}

Test(pairs, a_part_without_pairs_is_told)
{
    lk_data_spec spec = spec_of("few.txt", three);
    lk_dataset *train, *none;

    spec.validation_fraction = 1e-9;
    cr_expect_eq(lk_dataset_open(&spec, LK_LOSS_CROSS_ENTROPY, NULL, &train, &none), LK_ERR_DATA);
    cr_expect(strstr(lk_error_message(), "of 3 pairs data.validation_fraction 1e-09 sets none aside"), "%s",
              lk_error_message());
}
