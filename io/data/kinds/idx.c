/*
 * The kind `idx`: images and labels in the format of MNIST and its family, packed (gz, xz) or not.
 *
 * Big-endian header (magic, one 32-bit size a dimension), then unsigned bytes: 0x00000803 images (count, rows,
 * columns), 0x00000804 images with channels, 0x00000801 labels (count).  The format does not say where channels lie:
 * they are the last size where that is 1, 3 or 4 (rows, columns, channels), else the first (channels, rows, columns).
 * Images stay bytes.
 * Source: Yann LeCun's description of the format, yann.lecun.com/exdb/mnist.
 */
#include <stdlib.h>
#include <string.h>

#include "io/data/data.h"
#include "io/file/data_file.h"

enum { MAGIC_IMAGES = 0x00000803, MAGIC_CHANNELS = 0x00000804, MAGIC_LABELS = 0x00000801, WORD = 4, MAX_SIZES = 4 };

static uint32_t big_endian(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3];
}

/* Checks magic and length; size[] gets the n_sizes sizes. */
static lk_status check(const char *path, const unsigned char *p, size_t nbytes, uint32_t magic,
                       uint32_t size[MAX_SIZES])
{
    const size_t n_sizes = magic & 0xFF, header = WORD * (1 + n_sizes);
    const char *what = magic == MAGIC_LABELS ? "labels" : "images";
    size_t need = 1;

    if (nbytes < header)
        return LK_FAIL(LK_ERR_DATA, "%s holds %zu bytes; the header of an idx file of %s alone has %zu", path,
                       nbytes, what, header);
    if (big_endian(p) != magic)
        return LK_FAIL(LK_ERR_DATA, "%s begins with 0x%08x; an idx file of %s begins with 0x%08x", path,
                       big_endian(p), what, magic);
    for (size_t d = 0; d < n_sizes; d++) {
        size[d] = big_endian(p + WORD * (1 + d));
        if (__builtin_mul_overflow(need, (size_t)size[d], &need)) need = SIZE_MAX - header;
    }
    if (nbytes != header + need)
        return LK_FAIL(LK_ERR_DATA, "%s holds %zu bytes, but its header (%u %s) makes %zu: it is %s", path, nbytes,
                       size[0], what, header + need, nbytes < header + need ? "cut short" : "too long");
    if (need == 0) return LK_FAIL(LK_ERR_DATA, "%s holds no %s", path, what);
    return LK_OK;
}

static bool is_channels(uint32_t size) { return size == 1 || size == 3 || size == 4; }

/* C, H, W of files of three or four sizes; *channels_last says how they lie. */
static lk_status image_of(const char *path, const uint32_t size[MAX_SIZES], uint32_t magic, int64_t image[3],
                          bool *channels_last)
{
    *channels_last = magic == MAGIC_IMAGES || is_channels(size[3]);
    if (!*channels_last && !is_channels(size[1]))
        return LK_FAIL(LK_ERR_DATA, "%s has images of %u x %u x %u: neither the last nor the first of them is a number "
                       "of channels (1, 3 or 4)", path, size[1], size[2], size[3]);
    const uint32_t *hw = *channels_last ? size + 1 : size + 2;
    image[0] = magic == MAGIC_IMAGES ? 1 : *channels_last ? size[3] : size[1];
    image[1] = hw[0];
    image[2] = hw[1];
    return LK_OK;
}

static lk_status set_image(const char *path, const int64_t image[3], lk_data_stats *stats)
{
    if (stats->image[0] == 0) memcpy(stats->image, image, sizeof stats->image);
    if (memcmp(stats->image, image, sizeof stats->image) == 0) return LK_OK;
    return LK_FAIL(LK_ERR_DATA, "%s has images of %lld x %lld x %lld, the training file of %lld x %lld x %lld", path,
                   (long long)image[0], (long long)image[1], (long long)image[2], (long long)stats->image[0],
                   (long long)stats->image[1], (long long)stats->image[2]);
}

static lk_status read_images(const char *path, lk_data_stats *stats, lk_table *t)
{
    uint32_t size[MAX_SIZES] = {0};
    int64_t image[3] = {0};
    char *bytes;
    size_t nbytes;
    bool channels_last;

    LK_TRY(lk_data_file_read(path, &bytes, &nbytes));
    t->pixels = (uint8_t *)bytes;
    const uint32_t magic = nbytes >= WORD && big_endian(t->pixels) == MAGIC_CHANNELS ? MAGIC_CHANNELS : MAGIC_IMAGES;
    const size_t header = WORD * (1 + (magic & 0xFF));
    LK_TRY(check(path, t->pixels, nbytes, magic, size));
    LK_TRY(image_of(path, size, magic, image, &channels_last));
    LK_TRY(set_image(path, image, stats));
    memmove(t->pixels, t->pixels + header, nbytes - header);
    t->path = path;
    t->n = size[0];
    t->of_bytes = t->unit = true;
    t->n_columns = (size_t)image[0];
    t->rows_per_sample = image[1] * image[2];
    return channels_last ? LK_OK : lk_pixels_turn(t->pixels, t->n, t->n_columns, (size_t)t->rows_per_sample);
}

/* bytes is the labels file, still the caller's. */
static lk_status copy_labels(const char *path, const unsigned char *bytes, size_t nbytes, lk_table *t)
{
    uint32_t size[MAX_SIZES] = {0};

    LK_TRY(check(path, bytes, nbytes, MAGIC_LABELS, size));
    if (size[0] != t->n)
        return LK_FAIL(LK_ERR_DATA, "%s holds %u labels, but %s %lld images", path, size[0], t->path,
                       (long long)t->n);
    t->label = calloc((size_t)t->n, sizeof *t->label);
    LK_TRY_ALLOC(t->label, (size_t)t->n * sizeof *t->label);
    for (int64_t i = 0; i < t->n; i++) t->label[i] = bytes[2 * WORD + i];
    return LK_OK;
}

lk_status lk_read_idx(const lk_data_spec *spec, const lk_source *source, lk_data_stats *stats, lk_table *out)
{
    char *bytes;
    size_t nbytes;

    (void)spec;
    if (!source->labels)
        return LK_FAIL(LK_ERR_USAGE, "data.kind idx has class labels; set loss.kind to cross_entropy");
    if (source->want_target && !source->labels_file)
        return LK_FAIL(LK_ERR_USAGE, "%s is missing: the file of labels that belongs to %s", source->labels_key,
                       source->file);
    LK_TRY(read_images(source->file, stats, out));
    if (!source->want_target) return LK_OK;
    if (!stats->target_name) LK_TRY(lk_stats_set_target(stats, "label", 0));
    LK_TRY(lk_data_file_read(source->labels_file, &bytes, &nbytes));
    const lk_status status = copy_labels(source->labels_file, (const unsigned char *)bytes, nbytes, out);
    free(bytes);
    return status;
}
