/* Byte pairs of one's own: what is learned, sentences by them and back, what statistics keep, and the message of lists
 * that do not fit. */
#include "io/data/data.h"
#include "tests/support/data_files.h"

TestSuite(byte_pairs, .fini = remove_test_files);

enum { BYTES = 256, BOS = LK_SPECIAL_BOS, EOS = LK_SPECIAL_EOS, FEW = BYTES + 20 };

/* ----------------------------------------------------------------------- learn */

static void expect_learned(const char *const *pieces, int64_t n_tokens, const char *want)
{
    lk_counted counted = {0};
    char *got;

    for (; *pieces; pieces++) cr_assert_eq(lk_counted_add(&counted, *pieces, strlen(*pieces)), LK_OK);
    cr_assert_eq(lk_bpe_learn(&counted, n_tokens, &got), LK_OK, "%s", lk_error_message());
    cr_expect_str_eq(got, want, "\n got: %s\nwant: %s", got, want);
    free(got);
    lk_counted_clear(&counted);
}
#define LEARNED(n, want, ...) expect_learned((const char *[]){__VA_ARGS__, NULL}, BYTES + (n), "#version: 0.2\n" want)

Test(byte_pairs, the_most_frequent_pair_is_next)
{
    LEARNED(3, "b c\na bc\nd e\n", "abc", "abc", "xbc", "de", "de");
    LEARNED(1, "b c\n", "abc", "abc", "xbc", "de", "de");
    LEARNED(0, "", "abc", "abc");
}

Test(byte_pairs, of_equal_ones_that_of_the_smaller_tokens)
{
    LEARNED(1, "a b\n", "bc", "bc", "ab", "ab");
    LEARNED(1, "a b\n", "ac", "ac", "ab", "ab");
    LEARNED(2, "a b\nc d\n", "abcd", "abcd"); /* b c is no pair any more */
}

Test(byte_pairs, what_stands_there_once_is_no_pair) { LEARNED(9, "a b\n", "ab", "ab", "cd", "cab"); }

Test(byte_pairs, equal_bytes_join_from_the_left)
{
    LEARNED(9, "a a\naa aa\n", "aaaa", "aaaaa"); /* then aaaa a stands there once */
    LEARNED(9, "a a\naa a\naa aaa\n", "aaaaa", "aaaaa"); /* aa aa and aa a stand there equally often */
}

Test(byte_pairs, bytes_that_do_not_print_are_spelled)
{
    LEARNED(9, "\u00c3 \u00a9\n\u0120 \u00c3\u00a9\n", " \u00e9", " \u00e9");
}

/* A merge looks at the pieces that it changes, not at all of them. */
Test(byte_pairs, many_pieces_are_learned_at_once)
{
    enum { PIECES = 50000, MERGES = 1000 };
    lk_counted counted = {0};
    uint32_t state = 1;
    char *merges;
    int64_t lines = 0;

    for (int p = 0; p < PIECES; p++) {
        char text[12];
        for (int i = 0; i < 12; i++) text[i] = (char)('a' + ((state = state * 1664525 + 1013904223) >> 24) % 26);
        cr_assert_eq(lk_counted_add(&counted, text, sizeof text), LK_OK);
    }
    cr_assert_eq(lk_bpe_learn(&counted, BYTES + MERGES, &merges), LK_OK, "%s", lk_error_message());
    for (const char *c = merges; *c; c++) lines += *c == '\n';
    cr_expect_eq(lines, MERGES + 1, "%ld lines", (long)lines);
    free(merges);
    lk_counted_clear(&counted);
}

/* ---------------------------------------------------------------------- numbers */

static const char text[] = "The café's low lower lowest.\tLe café, plus bas !\nlow low lower\tbas bas plus bas\n"
                           "Lowest of all?\tle plus bas de tous ?\n";

static lk_data_spec spec_of(const char *name, const char *pairs, int64_t vocabulary)
{
    lk_data_spec spec = plain_spec(LK_DATA_PAIRS);

    spec.train = write_test_text(name, pairs);
    spec.lowercase = true;
    spec.tokenizer = LK_TOKENIZER_BPE;
    spec.vocabulary = vocabulary;
    return spec;
}

static lk_dataset *open_train(const lk_data_spec *spec, const char *stats)
{
    lk_dataset *train, *none;

    cr_assert_eq(lk_dataset_open(spec, LK_LOSS_CROSS_ENTROPY, stats, &train, &none), LK_OK, "%s", lk_error_message());
    return train;
}

/* A sample's numbers as text again. */
static void expect_sentence(const lk_dataset *d, const char *field, int64_t sample, const char *want)
{
    const lk_table_field *f = &d->fields[lk_sample_find(&d->sample, field)];
    const lk_language side = field[0] == 's' ? LK_LANGUAGE_SOURCE : LK_LANGUAGE_TARGET;
    const lk_coding coding = {.words = d->stats->words[side], .bpe = d->stats->bpe};
    char *got;

    cr_assert_eq(lk_coding_decode(&coding, lk_table_field_at(f, sample), lk_table_field_length(f, sample), &got),
                 LK_OK);
    cr_expect_str_eq(got, want, "%s %ld: `%s`, want `%s`", field, (long)sample, got, want);
    free(got);
}

Test(byte_pairs, sentences_become_numbers_and_words_again)
{
    const lk_data_spec spec = spec_of("a.txt", text, FEW);
    lk_dataset *d = open_train(&spec, NULL);

    cr_expect_eq(lk_vocabulary_n(d->stats->words[0]), LK_N_SPECIALS + FEW);
    cr_expect_eq(d->sample.field[0].n_values, LK_N_SPECIALS + FEW);
    cr_expect_eq(lk_dataset_n_output(d), LK_N_SPECIALS + FEW);
    expect_sentence(d, "source", 0, "the café's low lower lowest .");
    expect_sentence(d, "target", 0, "le café , plus bas !");
    expect_sentence(d, "target_in", 2, "le plus bas de tous ?");
    const int32_t *source = lk_table_field_at(&d->fields[0], 1);
    const int64_t n = lk_table_field_length(&d->fields[0], 1);
    cr_expect(source[0] == source[1], "the first word and the second: %d and %d", source[0], source[1]);
    cr_expect(source[n - 1] == EOS && n < (int64_t)strlen("low low lower"), "%ld numbers", (long)n);
    cr_expect_eq(((const int32_t *)lk_table_field_at(&d->fields[2], 1))[0], BOS);
    lk_dataset_free(&d);
}

Test(byte_pairs, what_no_sentence_had_is_spelled_in_bytes)
{
    const lk_data_spec spec = spec_of("b.txt", text, FEW);
    lk_dataset *d = open_train(&spec, NULL), *other;
    const char *file = write_test_text("other.txt", "\U0001F642 zwölf <eos>\t東京\n");

    cr_assert_eq(lk_dataset_open_file(&spec, LK_LOSS_CROSS_ENTROPY, lk_dataset_stats(d), file, NULL, true, &other),
                 LK_OK, "%s", lk_error_message());
    expect_sentence(other, "source", 0, "\U0001F642 zwölf <eos>");
    expect_sentence(other, "target", 0, "東京");
    lk_dataset_free(&other);
    lk_dataset_free(&d);
}

/* Numbers of a network need not make sense. */
Test(byte_pairs, numbers_without_sense_are_text_too)
{
    const lk_data_spec spec = spec_of("c.txt", text, FEW);
    lk_dataset *d = open_train(&spec, NULL);
    const lk_coding coding = {.words = d->stats->words[1], .bpe = d->stats->bpe};
    const int32_t first_of_two = LK_N_SPECIALS + 127; /* of an é the first byte, 0xc3 */
    const int32_t numbers[] = {LK_SPECIAL_PAD, BOS, LK_N_SPECIALS + 64, LK_SPECIAL_UNK, first_of_two, EOS, 70};
    char *got;

    cr_assert_eq(lk_coding_decode(&coding, numbers, sizeof numbers / sizeof *numbers, &got), LK_OK);
    cr_expect_str_eq(got, "a <unk>\uFFFD", "`%s`", got);
    free(got);
    cr_assert_eq(lk_coding_decode(&coding, numbers, 0, &got), LK_OK);
    cr_expect_str_eq(got, "");
    free(got);
    lk_dataset_free(&d);
}

/* As a run is resumed: by what the checkpoint holds, and where the list is there, only by the same one. */
Test(byte_pairs, statistics_keep_the_merges)
{
    lk_data_spec spec = spec_of("d.txt", text, FEW);
    lk_dataset *d = open_train(&spec, NULL), *again, *none;
    char hash[2][LK_HASH_BYTES], *merges;

    spec.vocabulary = BYTES; /* not asked any more */
    again = open_train(&spec, lk_dataset_stats(d));
    cr_assert_eq(lk_dataset_hash(d, hash[0]), LK_OK);
    cr_assert_eq(lk_dataset_hash(again, hash[1]), LK_OK);
    cr_expect_str_eq(hash[0], hash[1]);
    lk_dataset_free(&again);

    cr_assert_eq(lk_bpe_write(d->stats->bpe, &merges), LK_OK);
    spec.merges = write_test_text("same.bpe", merges);
    again = open_train(&spec, NULL);
    cr_expect_str_eq(lk_dataset_stats(again), lk_dataset_stats(d), "by the list that was learned");
    lk_dataset_free(&again);
    again = open_train(&spec, lk_dataset_stats(d));
    lk_dataset_free(&again);
    spec.merges = write_test_text("other.bpe", "#version: 0.2\nx y\n");
    cr_expect_eq(lk_dataset_open(&spec, LK_LOSS_CROSS_ENTROPY, lk_dataset_stats(d), &again, &none), LK_ERR_DATA);
    cr_expect(strstr(lk_error_message(), "other.bpe:2: this is not the list of merges that the run was trained with"),
              "%s", lk_error_message());
    cr_expect(strstr(lk_error_message(), "where this one has `x y`"), "%s", lk_error_message());
    unlink(spec.merges);
    again = open_train(&spec, lk_dataset_stats(d));
    lk_dataset_free(&again);
    free(merges);
    lk_dataset_free(&d);
}

Test(byte_pairs, a_token_like_a_special_word_is_told)
{
    lk_data_spec spec = spec_of("e.txt", text, 0);
    lk_dataset *d, *none;

    spec.merges = write_test_text("special.bpe", "< p\na d\n<p ad\n<pad >\n");
    cr_expect_eq(lk_dataset_open(&spec, LK_LOSS_CROSS_ENTROPY, NULL, &d, &none), LK_ERR_DATA);
    cr_expect(strstr(lk_error_message(), "special.bpe: token 259 of the merges is spelled <pad>"), "%s",
              lk_error_message());
}

/* ----------------------------------------------------------------------- files */

Test(byte_pairs, a_list_is_learned_from_files)
{
    const lk_data_spec spec = spec_of("f.txt", text, FEW);
    const char *texts[] = {spec.train};
    char *out = test_path("learned.bpe"), *merges;
    lk_dataset *d = open_train(&spec, NULL);
    lk_tokenized result;
    lk_bpe *bpe;

    cr_assert_eq(lk_learn_merges(texts, 1, true, FEW, out, &result), LK_OK, "%s", lk_error_message());
    cr_expect_eq(result.n_tokens, FEW, "%ld tokens", (long)result.n_tokens);
    cr_assert_eq(lk_bpe_open(out, &bpe), LK_OK, "%s", lk_error_message());
    cr_assert_eq(lk_bpe_write(bpe, &merges), LK_OK);
    char *kept;
    cr_assert_eq(lk_bpe_write(d->stats->bpe, &kept), LK_OK);
    cr_expect_str_eq(merges, kept, "what a data set learns of the same pairs:\n%s\nand by itself:\n%s", kept, merges);
    free(kept);
    free(merges);
    lk_bpe_free(&bpe);
    cr_assert_eq(lk_learn_merges(texts, 1, false, 60000, out, &result), LK_OK, "%s", lk_error_message());
    cr_expect(result.n_tokens > BYTES && result.n_tokens < 60000, "%ld tokens of so short a text",
              (long)result.n_tokens);
    cr_expect_eq(result.n_bytes, (int64_t)strlen(text));
    lk_dataset_free(&d);
}

static void expect_no_list(const char *name, const char *bytes, size_t nbytes, bool pairs, const char *want)
{
    const char *texts[] = {write_test_file(name, bytes, nbytes)};
    char *out = test_path("none.bpe");
    lk_tokenized result;

    cr_expect_eq(lk_learn_merges(texts, 1, pairs, FEW, out, &result), LK_ERR_DATA);
    cr_expect(strstr(lk_error_message(), want), "\n got: %s\nwant: %s", lk_error_message(), want);
    cr_expect_neq(access(out, F_OK), 0, "there is a list");
}

Test(byte_pairs, of_what_is_no_text_none_is_learned)
{
    expect_no_list("g.txt", "a\nb\xff", 4, false, "g.txt:2: byte 0xff is not UTF-8");
    expect_no_list("h.txt", "a\0b", 3, false, "h.txt: byte 1 is 0");
    expect_no_list("i.txt", "a\tb\nc\n", 6, true, "i.txt:2: the line has no tab");
}
