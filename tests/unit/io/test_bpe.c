/* Byte-pair encoding by a short list of merges: which joins come first, pieces, tokens of bytes, files of tokens, and
 * the message of lists that are none. */
#include "io/data/data.h"
#include "tests/support/data_files.h"

TestSuite(bpe, .fini = remove_test_files);

/* a is the 65th byte that prints, a blank the 33rd that does not. */
enum { MOST = 4096, A = 64, B, C, D, BLANK = 220, FIRST = 256 };

static const char merges[] = "#version: 0.2\nb c\na b\nab c\na a\nĠ a\n";
enum { BC = FIRST, AB, ABC, AA, BLANK_A, END };

static void expect_tokens(lk_bpe *bpe, const char *text, const int *want, int64_t n)
{
    uint16_t got[MOST];
    int64_t n_got;

    cr_assert_eq(lk_bpe_encode(bpe, text, strlen(text), got, &n_got), LK_OK, "%s", lk_error_message());
    cr_expect_eq(n_got, n, "%s: %ld tokens, want %ld", text, (long)n_got, (long)n);
    for (int64_t i = 0; i < n && i < n_got; i++)
        cr_expect_eq(got[i], want[i], "%s: token %ld is %d, want %d", text, (long)i, got[i], want[i]);
}
#define EXPECT(bpe, text, ...) \
    expect_tokens(bpe, text, (int[]){__VA_ARGS__}, sizeof((int[]){__VA_ARGS__}) / sizeof(int))

static lk_bpe *open_merges(const char *text)
{
    lk_bpe *bpe;

    cr_assert_eq(lk_bpe_open(write_test_text("merges.bpe", text), &bpe), LK_OK, "%s", lk_error_message());
    return bpe;
}

Test(bpe, the_first_merge_of_the_list_joins_first)
{
    lk_bpe *bpe = open_merges(merges);

    cr_expect_eq(lk_bpe_n(bpe), END + 1);
    EXPECT(bpe, "abc", A, BC); /* not ABC: b c stands before a b */
    EXPECT(bpe, "abd", AB, D);
    EXPECT(bpe, "aaa", AA, A); /* of equal ones the leftmost */
    EXPECT(bpe, "aaaa", AA, AA);
    EXPECT(bpe, "aab", A, AB);
    EXPECT(bpe, "a ab", A, BLANK, AB);
    EXPECT(bpe, "b a", B, BLANK_A);
    EXPECT(bpe, "a.a", A, 13, A); /* no join over the edge of a piece */
    EXPECT(bpe, "\xc3\xa9", 127, 102);
    lk_bpe_free(&bpe);
}

/* In which every join makes new neighbours: an a a hundred thousand long. */
Test(bpe, a_long_piece_takes_no_square_of_its_length)
{
    enum { LONG = 100000 };
    lk_bpe *bpe = open_merges("a a\naa aa\naaaa aaaa\n");
    char *text = malloc(LONG);
    uint16_t *tokens = calloc(LONG, sizeof *tokens);
    int64_t n;

    memset(text, 'a', LONG);
    cr_assert_eq(lk_bpe_encode(bpe, text, LONG, tokens, &n), LK_OK);
    cr_assert_eq(n, LONG / 8, "%ld tokens", (long)n);
    for (int64_t i = 0; i < n; i++) cr_assert_eq(tokens[i], FIRST + 2);
    free(tokens);
    free(text);
    lk_bpe_free(&bpe);
}

Test(bpe, texts_become_a_file_of_tokens)
{
    const char *texts[] = {write_test_text("one.txt", "abd"), write_test_text("two.txt", "aa\n")};
    const char *list = write_test_text("list.bpe", merges), *out = test_path("out.bin");
    const uint16_t want[] = {END, AB, D, END, AA, 198};
    lk_tokenized result;
    lk_tokens tokens;

    cr_assert_eq(lk_tokenize(list, texts, 2, out, &result), LK_OK, "%s", lk_error_message());
    cr_expect(result.n_tokens == 6 && result.n_bytes == 6, "%ld tokens of %ld bytes", (long)result.n_tokens,
              (long)result.n_bytes);
    cr_assert_eq(lk_token_file_map(out, &tokens), LK_OK, "%s", lk_error_message());
    cr_assert_eq(tokens.n, 6);
    cr_expect_arr_eq(tokens.at, want, sizeof want);
    lk_tokens_free(&tokens);
    texts[1] = write_test_text("three.txt", "good\nb\xff" "d\n");
    cr_expect_eq(lk_tokenize(list, texts, 2, out, &result), LK_ERR_DATA);
    cr_expect(strstr(lk_error_message(), "three.txt:2: byte 0xff is not UTF-8"), "%s", lk_error_message());
}

/* As samples, without a file of tokens between. */
Test(bpe, text_is_a_data_set)
{
    lk_data_spec spec = plain_spec(LK_DATA_TOKENS);
    lk_dataset *d, *none;
    int32_t tokens[2], target[2];

    spec.train = write_test_text("text.txt", "abdaab");
    spec.merges = write_test_text("data.bpe", merges);
    spec.tokenizer = LK_TOKENIZER_GPT2;
    spec.sequence = 2;
    cr_assert_eq(lk_dataset_open(&spec, LK_LOSS_CROSS_ENTROPY, NULL, &d, &none), LK_OK, "%s", lk_error_message());
    cr_expect_eq(d->sample.field[0].n_values, END + 1);
    cr_assert_eq(lk_windows_get(d->windows, 0, tokens, target), LK_OK);
    cr_expect(tokens[0] == AB && tokens[1] == D && target[1] == A, "%d %d, then %d", tokens[0], tokens[1], target[1]);
    lk_dataset_free(&d);
}

static void expect_refused(const char *text, const char *want)
{
    lk_bpe *bpe;

    cr_expect_eq(lk_bpe_open(write_test_text("bad.bpe", text), &bpe), LK_ERR_DATA);
    cr_expect(strstr(lk_error_message(), want), "\n got: %s\nwant: %s", lk_error_message(), want);
}

/* Pairs of bytes as they are spelled: n lines behind a header. */
static char *many_merges(int n)
{
    char *text, *one[256];
    size_t nbytes;
    FILE *stream = open_memstream(&text, &nbytes);
    lk_bpe *bpe = open_merges("");

    for (int t = 0; t < 256; t++) one[t] = strdup(lk_vocabulary_text(lk_bpe_spelled(bpe), t));
    fprintf(stream, "#version: 0.2\n");
    for (int i = 0; i < n; i++) fprintf(stream, "%s %s\n", one[i / 256], one[i % 256]);
    fclose(stream);
    for (int t = 0; t < 256; t++) free(one[t]);
    lk_bpe_free(&bpe);
    return text;
}

Test(bpe, tokens_are_two_bytes)
{
    enum { MOST_MERGES = 65535 - 256 };
    char *most = many_merges(MOST_MERGES), *more = many_merges(MOST_MERGES + 1);
    lk_bpe *bpe = open_merges(most);

    cr_expect_eq(lk_bpe_n(bpe), 65536, "%ld tokens", (long)lk_bpe_n(bpe));
    EXPECT(bpe, "\xc3\xbf", 256 + 127 * 256 + 123); /* of the bytes 0xc3 and 0xbf, the 128th and the 124th */
    lk_bpe_free(&bpe);
    expect_refused(more, "bad.bpe:65281: more than 65279 merges");
    free(more);
    free(most);
}

Test(bpe, what_is_no_list_of_merges_is_told)
{
    expect_refused("#version: 0.2\na b\nabc d\n", "bad.bpe:3: `abc d` is no merge");
    expect_refused("a b\nab\n", "bad.bpe:2: `ab` is no merge");
    expect_refused("a b\nb c\nab c\na bc\n", "bad.bpe:4: `a bc` is no merge");
}
