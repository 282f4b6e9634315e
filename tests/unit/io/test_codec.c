/* Text and tokens as data of kind `tokens` have them: there and back, what begins and ends a text, what is none. */
#include "tests/support/data_files.h"

#define OK(call) cr_assert_eq(call, LK_OK, "%s", lk_error_message())

TestSuite(codec, .fini = remove_test_files);

static const char merges[] = "#version: 0.2\na b\nab ab\n";
/* As a checkpoint keeps it of a text of the characters \n, a, b and é. */
static const char of_chars[] = "{\"kind\": \"tokens\", \"file_columns\": 0, \"image\": [0, 0, 0], \"classes\": 0, "
                               "\"columns\": [], \"words\": [[\"\\n\", \"a\", \"b\", \"\\u00e9\"]]}";

static lk_codec *open_codec(lk_tokenizer tokenizer)
{
    const bool named = tokenizer == LK_TOKENIZER_GPT2 || tokenizer == LK_TOKENIZER_NONE;
    char *list = named ? write_test_file("merges.bpe", merges, strlen(merges)) : NULL;
    const lk_data_spec spec = {.kind = LK_DATA_TOKENS, .tokenizer = tokenizer, .merges = list};
    lk_codec *codec;

    OK(lk_codec_open(&spec, tokenizer == LK_TOKENIZER_CHARS ? of_chars : NULL, &codec));
    return codec;
}

/* The text's tokens, and the text again that they are. */
static void expect_there_and_back(const lk_codec *codec, const char *text, int64_t n_want, const int32_t *want)
{
    int32_t *tokens;
    int64_t n;
    char *back;
    size_t nbytes;
    FILE *stream = open_memstream(&back, &nbytes);

    cr_assert(stream);
    OK(lk_codec_encode(codec, "text", text, strlen(text), &tokens, &n));
    cr_assert_eq(n, n_want, "%s: %lld tokens, want %lld", text, (long long)n, (long long)n_want);
    for (int64_t i = 0; i < n; i++) {
        cr_expect_eq(tokens[i], want[i], "%s: token %d is %d, want %d", text, (int)i, tokens[i], want[i]);
        lk_codec_put(codec, tokens[i], stream);
    }
    fclose(stream);
    cr_expect_str_eq(back, text);
    free(back);
    free(tokens);
}

static void expect_ends(const lk_codec *codec, int64_t n, int32_t begin, int32_t end)
{
    int32_t token;

    OK(lk_codec_begin(codec, &token));
    cr_expect_eq(lk_codec_n(codec), n, "%lld tokens, want %lld", (long long)lk_codec_n(codec), (long long)n);
    cr_expect_eq(lk_codec_sample(codec)->field[0].n_values, n);
    cr_expect_eq(token, begin, "a text begins with %d, want %d", token, begin);
    cr_expect_eq(lk_codec_end(codec), end, "a text ends with %d, want %d", lk_codec_end(codec), end);
}

Test(codec, byte_pairs)
{
    lk_codec *codec = open_codec(LK_TOKENIZER_GPT2);

    expect_there_and_back(codec, "ababab\n", 3, (int32_t[]){257, 256, 198});
    expect_there_and_back(codec, "\xc3\xa9", 2, (int32_t[]){127, 102}); /* bytes C3 and A9 */
    expect_ends(codec, 259, 258, 258);
    lk_codec_put(codec, 258, stderr); /* nothing */
    lk_codec_free(&codec);
}

/* Files of tokens are read by a list that is named. */
Test(codec, tokens_of_files)
{
    const lk_data_spec silent = {.kind = LK_DATA_TOKENS, .tokenizer = LK_TOKENIZER_NONE};
    lk_codec *codec = open_codec(LK_TOKENIZER_NONE);

    expect_there_and_back(codec, "abab", 1, (int32_t[]){257});
    lk_codec_free(&codec);
    cr_expect_eq(lk_codec_open(&silent, NULL, &codec), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), "data.merges: is missing"), "%s", lk_error_message());
    cr_expect_null(codec);
}

Test(codec, characters)
{
    const lk_data_spec spec = {.kind = LK_DATA_TOKENS, .tokenizer = LK_TOKENIZER_CHARS};
    lk_codec *codec = open_codec(LK_TOKENIZER_CHARS);
    int32_t *tokens;
    int64_t n;

    expect_there_and_back(codec, "b\xc3\xa9\na", 4, (int32_t[]){2, 3, 0, 1});
    expect_ends(codec, 4, 0, -1);
    cr_expect_eq(lk_codec_encode(codec, "--prompt", "abc", 3, &tokens, &n), LK_ERR_DATA);
    cr_expect(strstr(lk_error_message(), "--prompt:1: the character c (U+0063) is outside the vocabulary"), "%s",
              lk_error_message());
    lk_codec_free(&codec);
    cr_expect(lk_codec_is_fitted(&spec));
    cr_expect_eq(lk_codec_open(&spec, NULL, &codec), LK_ERR_USAGE);
    cr_expect_null(codec);
}

Test(codec, bytes)
{
    lk_codec *codec = open_codec(LK_TOKENIZER_BYTES);

    expect_there_and_back(codec, "a\xff", 2, (int32_t[]){'a', 255}); /* any */
    expect_ends(codec, 256, '\n', -1);
    lk_codec_free(&codec);
}

Test(codec, what_is_no_text_is_told_by_its_byte)
{
    lk_codec *codec = open_codec(LK_TOKENIZER_GPT2);
    int32_t *tokens;
    int64_t n;

    cr_expect_eq(lk_codec_encode(codec, "--prompt", "a\xff", 2, &tokens, &n), LK_ERR_DATA);
    cr_expect(strstr(lk_error_message(), "--prompt: byte 2, 0xff, is not UTF-8"), "%s", lk_error_message());
    cr_expect_null(tokens);
    lk_codec_free(&codec);
}

Test(codec, other_data_are_no_text)
{
    const lk_data_spec pairs = {.kind = LK_DATA_PAIRS};
    lk_codec *codec;

    cr_expect_not(lk_codec_is_fitted(&pairs));
    cr_expect_eq(lk_codec_open(&pairs, NULL, &codec), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), "data.kind"), "%s", lk_error_message());
}
