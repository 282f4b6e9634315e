/*
 * The kind `cifar10`: the binary version of CIFAR-10, packed (gz, xz) or not.
 *
 * Records of one byte of label, 0 to 9, and 3072 of image, 32 x 32: all red, all green, all blue.  Training has five
 * such files: data.train lists them.  Images stay bytes.
 * Source: Alex Krizhevsky, www.cs.toronto.edu/~kriz/cifar.html.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/data/data.h"
#include "io/file/data_file.h"

enum { CHANNELS = 3, SIDE = 32, PIXELS = SIDE * SIDE, IMAGE_BYTES = CHANNELS * PIXELS, RECORD_BYTES = 1 + IMAGE_BYTES };
enum { CLASSES = 10, WHERE_BYTES = 1024 };

static lk_status check_length(const char *path, size_t nbytes)
{
    if (nbytes > 0 && nbytes % RECORD_BYTES == 0) return LK_OK;
    return LK_FAIL(LK_ERR_DATA, "%s holds %zu bytes; records of CIFAR-10's binary version have %d, and this is %.2f of "
                   "them", path, nbytes, RECORD_BYTES, (double)nbytes / RECORD_BYTES);
}

static lk_status take_label(const lk_data_spec *spec, const lk_table *t, int64_t i, unsigned char byte)
{
    char where[WHERE_BYTES];

    snprintf(where, sizeof where, "%s: record %lld", t->path, (long long)i);
    if (byte >= CLASSES && byte != spec->ignore_index)
        return LK_FAIL(LK_ERR_DATA, "%s: label %d; CIFAR-10 has %d classes", where, byte, CLASSES);
    return lk_label_check(byte, spec->ignore_index, where, &t->label[i]);
}

static lk_status take_records(const lk_data_spec *spec, const unsigned char *bytes, lk_table *t)
{
    for (int64_t i = 0; i < t->n; i++) {
        const unsigned char *record = bytes + (size_t)i * RECORD_BYTES;
        memcpy(t->pixels + (size_t)i * IMAGE_BYTES, record + 1, IMAGE_BYTES);
        if (t->label) LK_TRY(take_label(spec, t, i, *record));
    }
    return lk_pixels_turn(t->pixels, t->n, CHANNELS, PIXELS);
}

static lk_status fill(const lk_data_spec *spec, const lk_source *source, const unsigned char *bytes, size_t nbytes,
                      lk_table *t)
{
    LK_TRY(check_length(source->file, nbytes));
    t->path = source->file;
    t->n = (int64_t)(nbytes / RECORD_BYTES);
    t->of_bytes = t->unit = true;
    t->n_columns = CHANNELS;
    t->rows_per_sample = PIXELS;
    t->pixels = malloc((size_t)t->n * IMAGE_BYTES);
    LK_TRY_ALLOC(t->pixels, (size_t)t->n * IMAGE_BYTES);
    if (source->want_target) {
        t->label = calloc((size_t)t->n, sizeof *t->label);
        LK_TRY_ALLOC(t->label, (size_t)t->n * sizeof *t->label);
    }
    return take_records(spec, bytes, t);
}

lk_status lk_read_cifar10(const lk_data_spec *spec, const lk_source *source, lk_data_stats *stats, lk_table *out)
{
    char *bytes;
    size_t nbytes;

    if (!source->labels)
        return LK_FAIL(LK_ERR_USAGE, "data.kind cifar10 has class labels; set loss.kind to cross_entropy");
    memcpy(stats->image, (int64_t[]){CHANNELS, SIDE, SIDE}, sizeof stats->image);
    if (source->want_target && !stats->target_name) LK_TRY(lk_stats_set_target(stats, "label", 0));
    LK_TRY(lk_data_file_read(source->file, &bytes, &nbytes));
    const lk_status status = fill(spec, source, (const unsigned char *)bytes, nbytes, out);
    free(bytes);
    return status;
}
