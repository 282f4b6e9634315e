/*
 * The kind `idx`: images and labels in the format of MNIST and its family.
 *
 * Big-endian header (magic, one 32-bit size a dimension), then unsigned bytes: 0x00000803 images (count, rows,
 * columns), 0x00000801 labels (count).  Images stay bytes in memory, one channel; the loader turns a batch into
 * numbers.
 * Source: Yann LeCun's description of the format, yann.lecun.com/exdb/mnist.
 */
#include <stdlib.h>
#include <string.h>

#include "io/data/data.h"

enum { MAGIC_IMAGES = 0x00000803, MAGIC_LABELS = 0x00000801, WORD = 4, MAX_SIZES = 3 };

static uint32_t big_endian(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3];
}

/* The packer whose file this is, NULL if none: the sets are handed out packed. */
static const char *packer(const unsigned char *p, size_t nbytes)
{
    static const struct { const char *name, *magic; } packers[] = {
        {"gzip", "\x1F\x8B"}, {"xz", "\xFD" "7zXZ"}, {"zip", "PK\x03\x04"}, {"zstd", "\x28\xB5\x2F\xFD"}};

    for (size_t i = 0; i < sizeof packers / sizeof *packers; i++) {
        const size_t n = strlen(packers[i].magic);
        if (nbytes >= n && memcmp(p, packers[i].magic, n) == 0) return packers[i].name;
    }
    return NULL;
}

/* Checks magic and length; size[] gets the n_sizes sizes. */
static lk_status check(const char *path, const unsigned char *p, size_t nbytes, uint32_t magic,
                       uint32_t size[MAX_SIZES])
{
    const size_t n_sizes = magic & 0xFF, header = WORD * (1 + n_sizes);
    const char *what = magic == MAGIC_IMAGES ? "images" : "labels";
    size_t need = 1;

    if (packer(p, nbytes))
        return LK_FAIL(LK_ERR_DATA, "%s is packed (%s); unpack it first", path, packer(p, nbytes));
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

static lk_status set_image(const char *path, const uint32_t size[MAX_SIZES], lk_data_stats *stats)
{
    if (stats->image[0] == 0) {
        stats->image[0] = 1;
        stats->image[1] = size[1];
        stats->image[2] = size[2];
    }
    if (stats->image[1] != size[1] || stats->image[2] != size[2])
        return LK_FAIL(LK_ERR_DATA, "%s has images of %u x %u, the training file of %lld x %lld", path, size[1],
                       size[2], (long long)stats->image[1], (long long)stats->image[2]);
    return LK_OK;
}

static lk_status read_images(const char *path, lk_data_stats *stats, lk_table *t)
{
    uint32_t size[MAX_SIZES] = {0};
    char *bytes;
    size_t nbytes;
    const size_t header = WORD * (1 + MAX_SIZES);

    LK_TRY(lk_data_file_read(path, &bytes, &nbytes));
    t->pixels = (uint8_t *)bytes;
    LK_TRY(check(path, t->pixels, nbytes, MAGIC_IMAGES, size));
    LK_TRY(set_image(path, size, stats));
    memmove(t->pixels, t->pixels + header, nbytes - header);
    t->path = path;
    t->n = size[0];
    t->n_columns = 1;
    t->rows_per_sample = (int64_t)size[1] * size[2];
    return LK_OK;
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
        return LK_FAIL(LK_ERR_USAGE, "data.%s_labels is missing: the file of labels that belongs to %s",
                       source->part == LK_PART_TRAIN ? "train" : "validation", source->file);
    LK_TRY(read_images(source->file, stats, out));
    if (!source->want_target) return LK_OK;
    if (!stats->target_name) LK_TRY(lk_stats_set_target(stats, "label", 0));
    LK_TRY(lk_data_file_read(source->labels_file, &bytes, &nbytes));
    const lk_status status = copy_labels(source->labels_file, (const unsigned char *)bytes, nbytes, out);
    free(bytes);
    return status;
}
