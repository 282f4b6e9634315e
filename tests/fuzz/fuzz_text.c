/*
 * Any bytes are pairs of sentences, a file of tokens, a list of merges or a text, or a clean error that names the file;
 * and what byte pairs make of a text is that text again.
 *
 * The entry is libFuzzer's; build as tests/fuzz/fuzz_recipe.c says, then
 *
 *     build-fuzz/tests/fuzz_text -max_total_time=3600 CORPUS tests/fuzz/texts
 *
 * The first byte says what the rest is: 'p': pairs, by words; 'q': pairs, by byte pairs learned of them; 't': a file of
 * tokens; 'n': tokens, in front of which a header is put that fits them; 'm': merges, which then encode their own list;
 * else a text, of which merges are learned.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "io/data/data.h"

enum { PATH_BYTES = 64, HEADER_INTS = 256, MAGIC = 20240520, VOCABULARY = 1000, SEQUENCE = 3, LEARNED = 300 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t nbytes);

static void must(int holds, const char *what)
{
    if (holds) return;
    fprintf(stderr, "%s: %s\n", what, lk_error_message());
    abort();
}

static void must_name(const char *path)
{
    must(strncmp(lk_error_message(), path, strlen(path)) == 0, "an error that does not name the file");
}

/* ------------------------------------------------------------------ sentences */

static void say_again(lk_coding *coding, const lk_table_field *field, int64_t sample)
{
    const int32_t *number = lk_table_field_at(field, sample);
    const int64_t n = lk_table_field_length(field, sample);
    char *text;
    int64_t n_again = 0;

    must(lk_coding_decode(coding, number, n, &text) == LK_OK, "numbers that are no text");
    int32_t *again = malloc((strlen(text) + LK_CODING_MORE) * sizeof *again);
    must(again && lk_coding_encode(coding, text, strlen(text), again, &n_again) == LK_OK, "text that has no numbers");
    must(n_again == n && memcmp(again, number, (size_t)n * sizeof *again) == 0, "a sentence of other numbers");
    free(again);
    free(text);
}

static void read_pairs(char *path, lk_tokenizer tokenizer)
{
    const lk_data_spec spec = {.kind = LK_DATA_PAIRS, .train = path, .lowercase = true, .min_freq = 1,
                               .ignore_index = -100, .tokenizer = tokenizer, .vocabulary = LEARNED};
    lk_dataset *data, *none;

    if (lk_dataset_open(&spec, LK_LOSS_CROSS_ENTROPY, NULL, &data, &none) != LK_OK) {
        must_name(path);
        return;
    }
    lk_coding coding = {.words = data->stats->words[LK_LANGUAGE_SOURCE], .bpe = data->stats->bpe};
    for (int64_t i = 0; i < data->n; i++) say_again(&coding, &data->fields[0], i);
    lk_coding_clear(&coding);
    lk_dataset_free(&data);
}

/* --------------------------------------------------------------------- tokens */

static void read_tokens(char *path)
{
    const lk_data_spec spec = {.kind = LK_DATA_TOKENS, .train = path, .sequence = SEQUENCE, .vocabulary = VOCABULARY,
                               .ignore_index = -100};
    int32_t tokens[SEQUENCE], target[SEQUENCE];
    lk_dataset *data, *none;

    if (lk_dataset_open(&spec, LK_LOSS_CROSS_ENTROPY, NULL, &data, &none) != LK_OK) {
        must_name(path);
        return;
    }
    for (int64_t i = 0; i < data->n; i++)
        if (lk_windows_get(data->windows, i, tokens, target) != LK_OK) must_name(path);
    lk_dataset_free(&data);
}

/* ----------------------------------------------------------------- byte pairs */

/* Of a text in UTF-8. */
static void encode_and_decode(lk_bpe *bpe, const char *text, size_t nbytes)
{
    uint16_t *token = malloc(nbytes * sizeof *token + 1);
    char *again = NULL;
    size_t n_again = 0;
    int64_t n = 0;

    must(token && lk_bpe_encode(bpe, text, nbytes, token, &n) == LK_OK, "text that has no tokens");
    FILE *stream = open_memstream(&again, &n_again);
    must(stream != NULL, "a stream");
    for (int64_t i = 0; i < n; i++) lk_bpe_put(bpe, token[i], stream);
    must(fclose(stream) == 0 && n_again == nbytes && memcmp(again, text, nbytes) == 0, "tokens of another text");
    free(again);
    free(token);
}

static void read_merges(const char *path, const char *list, size_t nbytes)
{
    char *text, *again;
    lk_bpe *bpe, *same;

    if (lk_bpe_parse(path, list, nbytes, &bpe) != LK_OK) {
        must_name(path);
        return;
    }
    must(lk_bpe_write(bpe, &text) == LK_OK, "a list that cannot be written");
    must(lk_bpe_parse(path, text, strlen(text), &same) == LK_OK, "a list that is none once it is written");
    must(lk_bpe_write(same, &again) == LK_OK && strcmp(text, again) == 0, "a list that changes");
    encode_and_decode(bpe, text, strlen(text));
    lk_bpe_free(&same);
    lk_bpe_free(&bpe);
    free(again);
    free(text);
}

static void learn(const char *path, const char *text, size_t nbytes)
{
    lk_counted counted = {0};
    lk_pieces *pieces;
    lk_bpe *bpe;
    char *merges;

    if (lk_utf8_check(text, nbytes) < nbytes || memchr(text, '\0', nbytes)) return;
    must(lk_pieces_open(&pieces) == LK_OK, "pieces");
    must(lk_bpe_count(pieces, text, nbytes, &counted) == LK_OK, "text that has no pieces");
    must(lk_bpe_learn(&counted, LEARNED, &merges) == LK_OK, "text that teaches nothing");
    must(lk_bpe_parse(path, merges, strlen(merges), &bpe) == LK_OK, "learned merges that are none");
    encode_and_decode(bpe, text, nbytes);
    lk_bpe_free(&bpe);
    free(merges);
    lk_counted_clear(&counted);
    lk_pieces_free(&pieces);
}

static void put(int fd, const void *bytes, size_t nbytes)
{
    must(write(fd, bytes, nbytes) == (ssize_t)nbytes, "write");
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t nbytes)
{
    const char *rest = (const char *)bytes + 1;
    const int32_t header[HEADER_INTS] = {MAGIC, 1, nbytes > 0 ? (int32_t)((nbytes - 1) / sizeof(uint16_t)) : 0};
    char path[PATH_BYTES];

    if (nbytes == 0) return 0;
    const size_t n_rest = bytes[0] == 'n' ? (nbytes - 1) / sizeof(uint16_t) * sizeof(uint16_t) : nbytes - 1;
    const int fd = memfd_create("fuzz", 0);
    must(fd >= 0, "memfd_create");
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (bytes[0] == 'n') put(fd, header, sizeof header);
    put(fd, rest, n_rest);
    switch (bytes[0]) {
    case 'p': read_pairs(path, LK_TOKENIZER_WORDS); break;
    case 'q': read_pairs(path, LK_TOKENIZER_BPE); break;
    case 'n':
    case 't': read_tokens(path); break;
    case 'm': read_merges(path, rest, n_rest); break;
    default: learn(path, rest, n_rest);
    }
    close(fd);
    return 0;
}
