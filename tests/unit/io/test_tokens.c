/* Running text: token files as they are mapped, text by characters and bytes, windows over several files, the end that
 * validates, and the message of everything that cannot be read. */
#include <sys/resource.h>

#include "io/data/data.h"
#include "tests/support/data_files.h"

TestSuite(tokens, .fini = remove_test_files);

enum { HEADER = 256, MAGIC = 20240520, SEQUENCE = 4, MOST = 64 };

/* A file of tokens first, first + 1, ... with this header. */
static char *token_file(const char *name, int32_t magic, int32_t version, int32_t said, int n, int first)
{
    static int32_t file[HEADER + MOST];
    uint16_t *token = (uint16_t *)(file + HEADER);

    cr_assert_leq(n, 2 * MOST);
    memset(file, 0, sizeof file);
    memcpy(file, (int32_t[]){magic, version, said}, 3 * sizeof *file);
    for (int i = 0; i < n; i++) token[i] = (uint16_t)(first + i);
    return write_test_file(name, file, HEADER * sizeof *file + (size_t)n * sizeof *token);
}

static char *good_file(const char *name, int n, int first) { return token_file(name, MAGIC, 1, n, n, first); }

static lk_data_spec spec_of(char *train, lk_tokenizer tokenizer)
{
    lk_data_spec spec = plain_spec(LK_DATA_TOKENS);

    spec.train = train;
    spec.tokenizer = tokenizer;
    spec.sequence = SEQUENCE;
    spec.vocabulary = 1000;
    return spec;
}

static lk_dataset *open_both(const lk_data_spec *spec, lk_dataset **validation)
{
    lk_dataset *train;

    cr_assert_eq(lk_dataset_open(spec, LK_LOSS_CROSS_ENTROPY, NULL, &train, validation), LK_OK, "%s",
                 lk_error_message());
    return train;
}

/* Window i begins with `first`, each token 1 above the one before. */
static void expect_window(const lk_dataset *d, int64_t i, int32_t first)
{
    int32_t tokens[SEQUENCE], target[SEQUENCE];
    void *field[LK_MAX_FIELDS] = {tokens, target};

    cr_assert_eq(d->fetch(d, &(lk_draw){0}, &i, 1, SEQUENCE, field, NULL), LK_OK, "%s", lk_error_message());
    for (int t = 0; t < SEQUENCE; t++)
        cr_expect(tokens[t] == first + t && target[t] == first + t + 1, "window %ld, token %d: %d and %d, want %d",
                  (long)i, t, tokens[t], target[t], first + t);
}

Test(tokens, windows_of_several_files)
{
    char *files[] = {good_file("a.bin", 14, 100), good_file("b.bin", 9, 500)};
    lk_data_spec spec = spec_of(files[0], LK_TOKENIZER_NONE);
    lk_dataset *none;
    spec.train_files = (lk_words){files, 2};
    lk_dataset *d = open_both(&spec, &none);

    cr_assert_eq(lk_dataset_n(d), 3 + 2, "%ld windows", (long)lk_dataset_n(d)); /* the 14th is the last one's target */
    cr_expect_str_eq(d->sample.field[0].name, "tokens");
    cr_expect_str_eq(d->sample.field[1].name, "target");
    cr_expect(d->sample.field[1].target && d->sample.field[0].n_values == 1000);
    cr_expect_eq(lk_dataset_n_output(d), 1000);
    expect_window(d, 0, 100);
    expect_window(d, 2, 108);
    expect_window(d, 3, 500);
    expect_window(d, 4, 504);
    cr_expect_eq(lk_dataset_nbytes(d), 0, "%zu bytes of what is mapped", lk_dataset_nbytes(d));
    lk_dataset_free(&d);
}

Test(tokens, the_end_validates)
{
    lk_data_spec spec = spec_of(good_file("c.bin", 41, 0), LK_TOKENIZER_NONE);
    lk_dataset *validation;
    spec.validation_fraction = 0.3;
    lk_dataset *d = open_both(&spec, &validation);

    cr_assert(lk_dataset_n(d) == 7 && lk_dataset_n(validation) == 3);
    expect_window(d, 6, 24);
    expect_window(validation, 0, 28);
    expect_window(validation, 2, 36);
    lk_dataset_free(&d);
    expect_window(validation, 1, 32); /* the file is mapped as long as one part is there */
    lk_dataset_free(&validation);
}

static lk_batch next(lk_loader *loader)
{
    lk_batch batch;

    cr_assert_eq(lk_loader_next(loader, &batch), LK_OK, "%s", lk_error_message());
    return batch;
}

/* Lane 1 of two is the same on a worker that has both and on one that has it alone, after a seek; its terms are its
 * tokens. */
Test(tokens, a_lane_is_a_function_of_epoch_batch_and_lane)
{
    const lk_data_spec spec = spec_of(good_file("d.bin", 49, 0), LK_TOKENIZER_NONE);
    lk_loader_spec both = {.batch = 5, .lanes = 2, .lane_end = 2, .shuffle = true, .seed = 3,
                           .loss = {.kind = LK_LOSS_CROSS_ENTROPY, .ignore_index = -100}};
    lk_loader_spec second = both;
    lk_dataset *none, *d = open_both(&spec, &none);
    lk_loader *a, *b;
    bool moved = false;

    second.lane_begin = 1;
    cr_assert_eq(lk_loader_new(d, &both, &a), LK_OK);
    cr_assert_eq(lk_loader_new(d, &second, &b), LK_OK);
    next(a);
    cr_assert_eq(lk_loader_seek(b, 0, 1), LK_OK);
    for (int k = 0; k < 4; k++) {
        const lk_batch x = next(a), y = next(b);
        cr_assert_eq(x.lane[1].n, y.lane[0].n);
        cr_expect_eq(x.n_terms, (double)(x.n * SEQUENCE), "%g terms", x.n_terms);
        for (int f = 0; f < 2; f++)
            cr_expect_arr_eq(x.lane[1].field[f], y.lane[0].field[f], (size_t)x.lane[1].n * SEQUENCE * sizeof(int32_t));
        for (int64_t i = 0; i < x.lane[1].n; i++) moved |= x.lane[1].sample[i] != x.index * 5 + x.n - x.lane[1].n + i;
    }
    cr_expect(moved, "all windows came in the file's order");
    lk_loader_free(&b);
    lk_loader_free(&a);
    lk_dataset_free(&d);
}

Test(tokens, without_shuffling_window_i_is_sample_i)
{
    char *files[] = {good_file("u.bin", 14, 100), good_file("v.bin", 9, 500)};
    const int32_t first[] = {100, 104, 108, 500, 504};
    lk_data_spec spec = spec_of(files[0], LK_TOKENIZER_NONE);
    const lk_loader_spec in_order = {.batch = 2, .lanes = 1, .lane_end = 1, .seed = 3,
                                     .loss = {.kind = LK_LOSS_CROSS_ENTROPY, .ignore_index = -100}};
    lk_loader *loader;
    lk_dataset *none;
    spec.train_files = (lk_words){files, 2};
    lk_dataset *d = open_both(&spec, &none);

    cr_assert_eq(lk_loader_new(d, &in_order, &loader), LK_OK);
    for (int64_t at = 0; at < 2 * 5;) {
        const lk_batch batch = next(loader);
        for (int64_t i = 0; i < batch.n; i++, at++) {
            const int32_t got = ((const int32_t *)batch.lane[0].field[0])[i * SEQUENCE];
            cr_expect_eq(got, first[at % 5], "sample %ld begins with %d, want %d", (long)at, got, first[at % 5]);
        }
    }
    lk_loader_free(&loader);
    lk_dataset_free(&d);
}

static int64_t peak_kib(void)
{
    struct rusage usage;

    cr_assert_eq(getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_maxrss;
}

/* Half a thousand million tokens, of which a disk has the header alone: opening and hashing them, and windows at both
 * ends, touch a few pages. */
Test(tokens, a_file_is_mapped_not_read)
{
    enum { MANY = 1 << 29, MOST_KIB = 64 << 10 };
    char *path = token_file("w.bin", MAGIC, 1, MANY, 0, 0), hash[LK_HASH_BYTES];
    lk_data_spec spec = spec_of(path, LK_TOKENIZER_NONE);
    const int64_t before = peak_kib(), n = (MANY - 1) / 1024;
    int32_t tokens[1024];
    lk_dataset *none;

    spec.sequence = 1024;
    cr_assert_eq(truncate(path, (off_t)(HEADER * sizeof(int32_t) + MANY * sizeof(uint16_t))), 0, "%s", strerror(errno));
    lk_dataset *d = open_both(&spec, &none);
    cr_expect_eq(lk_dataset_n(d), n, "%ld windows, want %ld", (long)lk_dataset_n(d), (long)n);
    cr_assert_eq(lk_dataset_hash(d, hash), LK_OK, "%s", lk_error_message());
    cr_assert_eq(lk_windows_get(d->windows, 0, tokens, NULL), LK_OK);
    cr_assert_eq(lk_windows_get(d->windows, n - 1, tokens, NULL), LK_OK);
    cr_expect_lt(peak_kib() - before, MOST_KIB, "%ld KiB more in memory", (long)(peak_kib() - before));
    lk_dataset_free(&d);
}

static void expect_tokens(const lk_dataset *d, const int32_t want[SEQUENCE])
{
    int32_t tokens[SEQUENCE];

    cr_assert_eq(lk_windows_get(d->windows, 0, tokens, NULL), LK_OK, "%s", lk_error_message());
    for (int t = 0; t < SEQUENCE; t++) cr_expect_eq(tokens[t], want[t], "token %d: %d, want %d", t, tokens[t], want[t]);
}

/* Of the characters \n, a, b, é; as a resumed run and eval read other text. */
Test(tokens, text_by_characters)
{
    lk_data_spec spec = spec_of(write_test_text("e.txt", "b\u00e9a\nbb"), LK_TOKENIZER_CHARS);
    const char *more = write_test_text("f.txt", "aaa\nb\u00e9"), *other = write_test_text("g.txt", "ab\nab\nc.");
    lk_dataset *none, *d = open_both(&spec, &none), *read;

    expect_tokens(d, (int32_t[]){2, 3, 1, 0});
    cr_expect_eq(d->sample.field[0].n_values, 4);
    cr_assert_eq(lk_dataset_open_file(&spec, LK_LOSS_CROSS_ENTROPY, lk_dataset_stats(d), more, NULL, true, &read),
                 LK_OK, "%s", lk_error_message());
    expect_tokens(read, (int32_t[]){1, 1, 1, 0});
    cr_expect_eq(read->sample.field[0].n_values, 4);
    lk_dataset_free(&read);
    cr_expect_eq(lk_dataset_open_file(&spec, LK_LOSS_CROSS_ENTROPY, lk_dataset_stats(d), other, NULL, true, &read),
                 LK_ERR_DATA);
    cr_expect(strstr(lk_error_message(), "g.txt:3: the character c (U+0063) is outside the vocabulary"), "%s",
              lk_error_message());
    lk_dataset_free(&d);
}

Test(tokens, characters_are_those_of_all_training_files)
{
    char *files[] = {write_test_text("h.txt", "bbbbb"), write_test_text("i.txt", "aaaaab")};
    lk_data_spec spec = spec_of(files[0], LK_TOKENIZER_CHARS);
    lk_dataset *none;
    spec.train_files = (lk_words){files, 2};
    lk_dataset *d = open_both(&spec, &none);

    expect_tokens(d, (int32_t[]){1, 1, 1, 1});
    lk_dataset_free(&d);
}

Test(tokens, text_by_bytes)
{
    const lk_data_spec spec = spec_of(write_test_text("j.txt", "a\xff\u00e9z"), LK_TOKENIZER_BYTES);
    lk_dataset *none, *d = open_both(&spec, &none);

    expect_tokens(d, (int32_t[]){'a', 0xff, 0xc3, 0xa9});
    cr_expect_eq(d->sample.field[0].n_values, 256);
    lk_dataset_free(&d);
}

Test(tokens, what_is_written_is_read)
{
    uint16_t number[] = {1, 2, 65535, 0};
    lk_tokens tokens = {.at = number, .n = 4}, read;
    const char *path = test_path("k.bin");

    cr_assert_eq(lk_token_file_write(path, &tokens), LK_OK, "%s", lk_error_message());
    cr_assert_eq(lk_token_file_map(path, &read), LK_OK, "%s", lk_error_message());
    cr_assert_eq(read.n, 4);
    cr_expect_arr_eq(read.at, number, sizeof number);
    lk_tokens_free(&read);
}

/* -------------------------------------------------------------------- mistakes */

static void expect_message(const lk_data_spec *spec, lk_loss_kind loss, lk_status status, const char *want)
{
    lk_dataset *train, *none;

    cr_expect_eq(lk_dataset_open(spec, loss, NULL, &train, &none), status, "%s", want);
    cr_expect(strstr(lk_error_message(), want), "\n got: %s\nwant: %s", lk_error_message(), want);
}

static void expect_refused(char *file, lk_tokenizer tokenizer, const char *want)
{
    const lk_data_spec spec = spec_of(file, tokenizer);

    expect_message(&spec, LK_LOSS_CROSS_ENTROPY, LK_ERR_DATA, want);
}

Test(tokens, what_is_no_such_file_is_told)
{
    const lk_tokenizer none = LK_TOKENIZER_NONE;
    lk_data_spec spec = spec_of(good_file("l.bin", 9, 0), none);

    expect_message(&spec, LK_LOSS_MSE, LK_ERR_USAGE, "data.kind tokens has tokens as targets");
    expect_refused(token_file("m.bin", (int32_t)__builtin_bswap32(MAGIC), 1, 9, 9, 0), none,
                   "m.bin is a token file of another byte order");
    expect_refused(token_file("n.bin", 7, 1, 9, 9, 0), none, "n.bin is no token file: it begins with 7, not 20240520");
    expect_refused(token_file("o.bin", MAGIC, 7, 9, 9, 0), none, "o.bin is a token file of version 7");
    expect_refused(token_file("p.bin", MAGIC, 1, 10, 9, 0), none,
                   "p.bin holds 1042 bytes; its header says 10 tokens, which are 1044: it was cut");
    expect_refused(write_test_text("q.bin", "text"), none, "q.bin is no token file: it holds 4 bytes");
    expect_refused(good_file("r.bin", SEQUENCE, 0), none, "r.bin has 4 tokens; data.sequence 4 takes so many");
    expect_refused(write_test_text("s.txt", "one\ntwo\xe9\n"), LK_TOKENIZER_CHARS, "s.txt:2: byte 0xe9 is not UTF-8");
}

Test(tokens, outside_the_vocabulary_is_told)
{
    const lk_data_spec spec = spec_of(good_file("t.bin", 9, 993), LK_TOKENIZER_NONE);
    lk_dataset *none, *d = open_both(&spec, &none);
    int32_t tokens[SEQUENCE];

    cr_expect_eq(lk_windows_get(d->windows, 1, tokens, NULL), LK_ERR_DATA);
    cr_expect(strstr(lk_error_message(), "t.bin: token 7 is 1000, outside the vocabulary, which has 1000"), "%s",
              lk_error_message());
    lk_dataset_free(&d);
}
