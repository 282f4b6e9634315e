/*
 * safetensors files: what is read of them, what is written, and the message of everything that is none.
 *
 * tests/golden/types.safetensors and state.safetensors are the reference library's (make_safetensors.py).
 */
#include "tests/support/data_files.h"

#include <jansson.h>
#include <math.h>

#define OK(call) cr_assert_eq(call, LK_OK, "%s", lk_error_message())

TestSuite(safetensors, .fini = remove_test_files);

static char *golden(const char *name)
{
    char *path = test_file[n_test_files];

    snprintf(path, TEST_PATH_BYTES, "%s/tests/golden/%s", LK_SOURCE_DIR, name);
    return path;
}

static size_t find(const lk_weights *w, const char *path)
{
    for (size_t i = 0; i < lk_weights_n(w); i++)
        if (strcmp(lk_weights_tensor(w, i)->path, path) == 0) return i;
    cr_assert_fail("there is no %s", path);
    return 0;
}

/* One tensor's values, at most so many. */
static void expect_values(lk_weights *w, const char *path, size_t n, const float *want)
{
    const size_t i = find(w, path);
    float got[16];

    cr_assert_eq(lk_weights_tensor(w, i)->n_elem, n, "%s: %zu elements, want %zu", path,
                 lk_weights_tensor(w, i)->n_elem, n);
    OK(lk_weights_read(w, i, got));
    for (size_t e = 0; e < n; e++)
        cr_expect_eq(got[e], want[e], "%s[%zu]: got %.9g, want %.9g", path, e, (double)got[e], (double)want[e]);
}

/* ------------------------------------------------------------------- reading */

Test(safetensors, each_type_of_numbers_is_read_as_fp32)
{
    lk_weights *w;
    const char *text;

    OK(lk_weights_open(golden("types.safetensors"), &w));
    cr_expect_eq(lk_weights_n(w), 7u, "%zu tensors: whole numbers of other names are listed", lk_weights_n(w));
    expect_values(w, "model/single", 6, (float[]){0, 1, 2, 3, 4, 0x1p-149f});
    expect_values(w, "model/half", 4, (float[]){1.5f, -2.0f, 65504.0f, 0x1p-24f});
    expect_values(w, "model/brain", 3, (float[]){1.0f, -3.140625f, 0x1p-126f});
    expect_values(w, "model/double", 2, (float[]){0.1f, 1e30f});
    expect_values(w, "model/scalar", 1, (float[]){2.5f});
    expect_values(w, "model/empty", 0, NULL);
    cr_expect_eq(lk_weights_tensor(w, find(w, "model/scalar"))->ndim, 0);
    cr_expect_eq(lk_weights_tensor(w, find(w, "model/single"))->shape[1], 3);
    cr_expect_str_eq(lk_weights_type(w, find(w, "model/brain")), "BF16");
    OK(lk_metadata_get_text(lk_weights_metadata(w), "format", &text));
    cr_expect_str_eq(text, "pt");
    float unused[4];
    cr_expect_eq(lk_weights_read(w, find(w, "model/counts"), unused), LK_ERR_CHECKPOINT);
    cr_expect(strstr(lk_error_message(), "tensor counts: its type is I32; weights are read from F32, F16, BF16 and "
                     "F64"), "%s", lk_error_message());
    lk_weights_free(&w);
}

/* A file of a header and zeros behind it. */
static char *write_header(const char *name, const char *header, size_t data)
{
    const uint64_t length = strlen(header);
    char *bytes = calloc(1, sizeof length + length + data + 1);

    memcpy(bytes, &length, sizeof length);
    memcpy(bytes + sizeof length, header, length);
    char *path = write_test_file(name, bytes, sizeof length + length + data);
    free(bytes);
    return path;
}

/* GPT-2's published files have them as F32, others as BOOL; a bias of a product is none. */
Test(safetensors, masks_of_attention_are_left_alone)
{
    static const char header[] =
        "{\"h.0.attn.bias\":{\"dtype\":\"F32\",\"shape\":[1,1,2,2],\"data_offsets\":[0,16]},"
        "\"h.1.attn.bias\":{\"dtype\":\"BOOL\",\"shape\":[1,1,2,2],\"data_offsets\":[16,20]},"
        "\"h.0.attn.masked_bias\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[20,24]},"
        "\"h.0.attn.c_attn.bias\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[24,32]},"
        "\"odd.bias\":{\"dtype\":\"F32\",\"shape\":[1,2,1,1],\"data_offsets\":[32,40]}}";
    lk_weights *w;

    OK(lk_weights_open(write_header("masks", header, 40), &w));
    cr_expect_eq(lk_weights_n(w), 2u, "%zu tensors, want 2", lk_weights_n(w));
    expect_values(w, "model/h.0.attn.c_attn.bias", 2, (float[]){0, 0});
    expect_values(w, "model/odd.bias", 2, (float[]){0, 0});
    lk_weights_free(&w);
}

/* By the definition of the format, with the C library's arithmetic. */
static double half_by_definition(unsigned half)
{
    const double sign = half >> 15 ? -1.0 : 1.0;
    const int exponent = half >> 10 & 31, fraction = half & 1023;

    if (exponent == 31) return fraction ? (double)NAN : sign * (double)INFINITY;
    return sign * (exponent ? ldexp(1.0 + fraction / 1024.0, exponent - 15) : ldexp(fraction / 1024.0, -14));
}

Test(safetensors, every_half_is_the_number_that_it_stands_for)
{
    enum { N = 1 << 16 };
    static const char header[] = "{\"all\":{\"dtype\":\"F16\",\"shape\":[65536],\"data_offsets\":[0,131072]}}";
    static uint16_t half[N];
    static float got[N];
    FILE *file = fopen(write_header("halves", header, 0), "ab");
    lk_weights *w;

    for (unsigned i = 0; i < N; i++) half[i] = (uint16_t)i;
    cr_assert_eq(fwrite(half, sizeof *half, N, file), (size_t)N);
    fclose(file);
    OK(lk_weights_open(test_file[0], &w));
    OK(lk_weights_read(w, 0, got));
    for (unsigned i = 0; i < N; i++) {
        const double want = half_by_definition(i);

        if (isnan(want)) cr_expect(isnan(got[i]), "0x%04x: got %g, want NaN", i, (double)got[i]);
        else
            cr_expect((double)got[i] == want && !signbit(got[i]) == !signbit(want), "0x%04x: got %g, want %g", i,
                      (double)got[i], want);
    }
    lk_weights_free(&w);
}

/* ------------------------------------------------------------------- writing */

static char *read_header(const char *path, const char **data, size_t *nbytes)
{
    char *bytes;
    uint64_t length;

    OK(lk_read_file(path, &bytes, nbytes));
    memcpy(&length, bytes, sizeof length);
    cr_expect_eq(length % 8, 0u, "the data begin at %llu", (unsigned long long)length + 8);
    *data = bytes + 8 + length;
    *nbytes -= 8 + length;
    bytes[8 + length - 1] = '\0'; /* a blank, or the last brace of both */
    return bytes;
}

/* What is behind the notes, whose order the reference library leaves to chance. */
static char *entries_of(char *file)
{
    char *entries = strstr(file + 8, "},");

    cr_assert_not_null(entries);
    for (char *end = entries + strlen(entries) - 1; *end == ' ' || *end == '}'; end--) *end = '\0';
    return entries;
}

/* Read and written again it is the same: order, places, the buffers that reading left out. */
Test(safetensors, what_is_written_is_what_the_reference_library_writes)
{
    const char *want_data, *got_data;
    size_t want_nbytes, got_nbytes;
    lk_weights *w;

    OK(lk_weights_open(golden("state.safetensors"), &w));
    cr_expect_eq(lk_weights_n(w), 7u, "%zu tensors", lk_weights_n(w));
    OK(lk_weights_write(w, 7, false, test_path("written.safetensors")));
    lk_weights_free(&w);
    char *got = read_header(test_file[0], &got_data, &got_nbytes);
    char *want = read_header(golden("state.safetensors"), &want_data, &want_nbytes);
    cr_expect_str_eq(entries_of(got), entries_of(want), "\n  got:  %s\n  want: %s", entries_of(got), entries_of(want));
    cr_assert_eq(got_nbytes, want_nbytes, "%zu bytes of data, want %zu", got_nbytes, want_nbytes);
    for (size_t i = 0; i < got_nbytes; i++)
        cr_assert_eq(got_data[i], want_data[i], "byte %zu of the data: got 0x%02x, want 0x%02x", i,
                     (unsigned)got_data[i], (unsigned)want_data[i]);
    free(want), free(got);
}

Test(safetensors, notes_tell_the_format_the_step_and_whose_the_weights_are)
{
    const char *text;
    lk_weights *w;

    OK(lk_weights_open(golden("state.safetensors"), &w));
    OK(lk_weights_write(w, 12, true, test_path("written.safetensors")));
    lk_weights_free(&w);
    OK(lk_weights_open(test_file[0], &w));
    const struct { const char *key, *want; } notes[] = {{"format", "pt"}, {"step", "12"}, {"weights", "ema"}};
    for (size_t i = 0; i < sizeof notes / sizeof *notes; i++) {
        OK(lk_metadata_get_text(lk_weights_metadata(w), notes[i].key, &text));
        cr_expect_str_eq(text, notes[i].want, "%s: got %s, want %s", notes[i].key, text, notes[i].want);
    }
    lk_weights_free(&w);
}

/* ------------------------------------------------------------------ bad files */

static void expect_refused(const char *path, const char *want)
{
    lk_weights *w = NULL;
    char whole[4 * TEST_PATH_BYTES];

    snprintf(whole, sizeof whole, "%s: %s", path, want);
    cr_expect_eq(lk_weights_open(path, &w), LK_ERR_CHECKPOINT, "taken, instead of: %s", want);
    cr_expect(strncmp(lk_error_message(), whole, strlen(whole)) == 0, "\n  got:  %s\n  want: %s", lk_error_message(),
              whole);
    cr_expect_null(w);
    lk_weights_free(&w);
}

#define ENTRY(name, type, shape, offsets) \
    "\"" name "\":{\"dtype\":\"" type "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

Test(safetensors, every_header_that_lies_is_refused_by_tensor_and_place)
{
    static const struct { const char *header; size_t data; const char *want; } cases[] = {
        {"{" ENTRY("a", "F32", "[2]", "[0,8]") "," ENTRY("b", "F32", "[2]", "[4,12]") "}", 12,
         "tensor b: its bytes [4, 12) overlap those of a, which end at 8"},
        {"{" ENTRY("a", "F32", "[2]", "[0,8]") "," ENTRY("b", "F32", "[2]", "[12,20]") "}", 20,
         "tensor b: its bytes begin at 12, behind a hole: those before it end at 8"},
        {"{" ENTRY("a", "F32", "[2]", "[4,12]") "}", 12,
         "tensor a: its bytes begin at 4, behind a hole: those before it end at 0"},
        {"{" ENTRY("a", "F32", "[2]", "[0,8]") "}", 12,
         "4 bytes lie behind the last tensor, which ends at 8 of the data"},
        {"{" ENTRY("a", "F32", "[2]", "[0,8]") "}", 4,
         "tensor a: its bytes [0, 8) lie beyond the 4 of data that the file has: it is cut short, copy it again"},
        {"{" ENTRY("a", "F32", "[2]", "[0,9223372036854775807]") "}", 8,
         "tensor a: its bytes [0, 9223372036854775807) lie beyond the 8 of data that the file has: "
         "it is cut short, copy it again"},
        {"{" ENTRY("a", "F32", "[3]", "[0,8]") "}", 8,
         "tensor a: F32 (3) takes 12 bytes, and the header gives it 8"},
        {"{" ENTRY("a", "F16", "[2,2]", "[0,4]") "}", 4,
         "tensor a: F16 (2, 2) takes 8 bytes, and the header gives it 4"},
        {"{" ENTRY("a", "F32", "[2]", "[8,0]") "}", 8, "tensor a: its bytes end at 0, before they begin at 8"},
        {"{" ENTRY("a", "F32", "[4294967296,4294967296]", "[0,0]") "}", 0,
         "tensor a: its shape makes more elements than can be counted"},
        {"{" ENTRY("a", "F64", "[4611686018427387904]", "[0,0]") "}", 0,
         "tensor a: its shape makes more bytes than can be counted"},
        {"{" ENTRY("a", "F32", "[-1]", "[0,4]") "}", 4,
         "tensor a: number 0 of its shape is no whole number of at least 0"},
        {"{" ENTRY("a", "F32", "[1.5]", "[0,4]") "}", 4,
         "tensor a: number 0 of its shape is no whole number of at least 0"},
        {"{" ENTRY("a", "F32", "[1,1,1,1,1,1,1]", "[0,4]") "}", 4,
         "tensor a: it has 7 dimensions; at most 6 can be read"},
        {"{" ENTRY("a", "F32", "3", "[0,4]") "}", 4, "tensor a: its entry in the header has no list `shape`"},
        {"{" ENTRY("a", "Q3_K", "[1]", "[0,4]") "}", 4, "tensor a: its type `Q3_K` is unknown here"},
        {"{" ENTRY("a", "F32", "[1]", "[0]") "}", 4,
         "tensor a: its `data_offsets` are not two whole numbers of at least 0"},
        {"{" ENTRY("a", "F32", "[1]", "[0,-4]") "}", 4,
         "tensor a: its `data_offsets` are not two whole numbers of at least 0"},
        {"{\"a\":7}", 0, "tensor a: its entry in the header is no {...}"},
        {"{\"a\":{}}", 0, "tensor a: its entry in the header has no text `dtype`"},
        {"{" ENTRY("a", "F32", "[1]", "[0,4]") "," ENTRY("a", "F32", "[1]", "[4,8]") "}", 8,
         "its header is no JSON: duplicate object key near '\"a\"'"},
        {"{\"a\":", 0, "its header is no JSON: "},
        {"{\"__metadata__\":{\"step\":7}}", 0, "__metadata__.step in its header is no text"},
        {"{\"__metadata__\":7}", 0, "__metadata__ in its header is no {...}"},
    };

    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        expect_refused(write_header("bad.safetensors", cases[c].header, cases[c].data), cases[c].want);
        remove_test_files();
    }
}

Test(safetensors, a_length_that_lies_is_refused_before_anything_is_read)
{
    static const char huge[] = "\xff\xff\xff\xff\xff\xff\xff\x7f{}", cut[] = "\x10\0\0\0\0\0\0\0{\"a\":";

    expect_refused(write_test_file("huge", huge, sizeof huge - 1),
                   "its first 8 bytes say that the header has 9223372036854775807; the format allows 100000000");
    expect_refused(write_test_file("cut", cut, sizeof cut - 1),
                   "its first 8 bytes say that the header has 16, and only 5 follow: it is cut short, copy it again");
    expect_refused(write_test_text("short", "ab"),
                   "2 bytes are no safetensors file, which begins with 8 bytes of length and a header");
    expect_refused(write_test_text("text", "once upon a time"),
                   "is no safetensors file: its byte 8 is 0x6e, where the header begins with {");
    expect_refused("/nowhere/w.safetensors", "cannot be read: No such file or directory");
    expect_refused("/", "is no file of weights");
}

Test(safetensors, files_of_other_formats_are_told_with_what_to_do)
{
    static const char hdf5[] = "\x89HDF\r\n\x1a\n\0\0";

    expect_refused(write_test_text("w.pt", "PK\3\4........"),
                   "this is an archive of pickles, as torch.save() writes it");
    expect_refused(write_test_text("old.pth", "\x80\2}q........"), "this is a pickle, as torch.save() writes it");
    cr_expect(strstr(lk_error_message(), "save_file(tensors, sys.argv[2]"), "%s", lk_error_message());
    expect_refused(write_test_file("index.h5", hdf5, sizeof hdf5), "this is an HDF5 file; a checkpoint is named by its "
                   "folder");
}

/* --------------------------------------------------------------------- shards */

static void write_index(const char *map)
{
    char text[1024];

    snprintf(text, sizeof text, "{\"metadata\": {\"total_size\": 16}, \"weight_map\": %s}", map);
    write_test_text("model.safetensors.index.json", text);
}

static const char *base_name(const char *path) { return strrchr(path, '/') + 1; }

/* Two files, the index last. */
static const char *sharded(const char *map)
{
    char with_names[1024];

    remove_test_files();
    const char *one = write_header("one.safetensors", "{" ENTRY("a", "F32", "[2]", "[0,8]") "}", 8);
    const char *two = write_header("two.safetensors",
                                   "{" ENTRY("b", "F32", "[1]", "[0,4]") "," ENTRY("c", "F32", "[1]", "[4,8]") "}", 8);
    snprintf(with_names, sizeof with_names, map, base_name(one), base_name(two));
    write_index(with_names);
    return test_file[2];
}

Test(safetensors, an_index_names_files_in_its_folder)
{
    lk_weights *w;

    OK(lk_weights_open(sharded("{\"a\": \"%s\", \"c\": \"%s\"}"), &w));
    cr_expect_eq(lk_weights_n(w), 2u, "%zu tensors: what the index does not name is not there", lk_weights_n(w));
    expect_values(w, "model/c", 1, (float[]){0});
    lk_weights_free(&w);
}

Test(safetensors, an_index_that_is_wrong_is_refused)
{
    lk_weights *w;
    char want[3 * TEST_PATH_BYTES];

    expect_refused(sharded("{\"a\": \"../%s\", \"c\": \"%s\"}"), "tensor a: its file `../");
    expect_refused(sharded("{\"a\": \"/etc/passwd\"}"),
                   "tensor a: its file `/etc/passwd` is no name in the index's folder");
    expect_refused(sharded("{\"a\": 7}"), "weight_map.a is no name of a file");
    expect_refused(sharded("{}"), "has no `weight_map` that names tensors");
    cr_expect_eq(lk_weights_open(sharded("{\"a\": \"absent-%s\"}"), &w), LK_ERR_CHECKPOINT);
    cr_expect(strstr(lk_error_message(), "cannot be read: No such file or directory (named by ") &&
                  strstr(lk_error_message(), "for tensor a)"), "%s", lk_error_message());
    cr_expect_eq(lk_weights_open(sharded("{\"b\": \"%s\"}"), &w), LK_ERR_CHECKPOINT);
    snprintf(want, sizeof want, "%s: tensor b: the index says that it is here, and it is not (%s)", test_file[0],
             test_file[2]);
    cr_expect_str_eq(lk_error_message(), want, "\n  got:  %s\n  want: %s", lk_error_message(), want);
    expect_refused((write_index("[7"), test_file[3]), "line 1: it is no JSON: ");
}
