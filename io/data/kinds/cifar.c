/*
 * The kinds `cifar10` and `cifar100`: the binary versions of both sets, packed (gz, xz) or not.
 *
 * Records of labels, a byte each, and 3072 of image, 32 x 32: all red, all green, all blue.  CIFAR-10 has one label, 0
 * to 9, and five files to train on, which data.train lists.  CIFAR-100 has two: first the coarse one, of 20, then the
 * fine one, of 100.  Images stay bytes.
 * Source: Alex Krizhevsky, www.cs.toronto.edu/~kriz/cifar.html.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/data/data.h"
#include "io/file/data_file.h"

enum { CHANNELS = 3, SIDE = 32, PIXELS = SIDE * SIDE, IMAGE_BYTES = CHANNELS * PIXELS, WHERE_BYTES = 1024 };

/* One of the sets, looked at by one of its labels. */
typedef struct set {
    const char *word, *name, *which; /* which: of its labels, for messages */
    size_t n_labels, label; /* bytes before the image, and which of them is learnt */
    int n_classes;
} set;

static size_t record_nbytes(const set *s) { return s->n_labels + IMAGE_BYTES; }

static lk_status check_length(const set *s, const char *path, size_t nbytes)
{
    const size_t record = record_nbytes(s);

    if (nbytes > 0 && nbytes % record == 0) return LK_OK;
    return LK_FAIL(LK_ERR_DATA, "%s holds %zu bytes; records of %s's binary version have %zu, and this is %.2f of "
                   "them", path, nbytes, s->name, record, (double)nbytes / (double)record);
}

static lk_status take_label(const set *s, const lk_data_spec *spec, const lk_table *t, int64_t i, unsigned char byte)
{
    char where[WHERE_BYTES];

    snprintf(where, sizeof where, "%s: record %lld", t->path, (long long)i);
    if (byte >= s->n_classes && byte != spec->ignore_index)
        return LK_FAIL(LK_ERR_DATA, "%s: label %d; %s has %d %sclasses", where, byte, s->name, s->n_classes,
                       s->which);
    return lk_label_check(byte, spec->ignore_index, where, &t->label[i]);
}

static lk_status take_records(const set *s, const lk_data_spec *spec, const unsigned char *bytes, lk_table *t)
{
    for (int64_t i = 0; i < t->n; i++) {
        const unsigned char *record = bytes + (size_t)i * record_nbytes(s);
        memcpy(t->pixels + (size_t)i * IMAGE_BYTES, record + s->n_labels, IMAGE_BYTES);
        if (t->label) LK_TRY(take_label(s, spec, t, i, record[s->label]));
    }
    return lk_pixels_turn(t->pixels, t->n, CHANNELS, PIXELS);
}

static lk_status fill(const set *s, const lk_data_spec *spec, const lk_source *source, const unsigned char *bytes,
                      size_t nbytes, lk_table *t)
{
    LK_TRY(check_length(s, source->file, nbytes));
    t->path = source->file;
    t->n = (int64_t)(nbytes / record_nbytes(s));
    t->of_bytes = t->unit = true;
    t->n_columns = CHANNELS;
    t->rows_per_sample = PIXELS;
    t->pixels = malloc((size_t)t->n * IMAGE_BYTES);
    LK_TRY_ALLOC(t->pixels, (size_t)t->n * IMAGE_BYTES);
    if (source->want_target) {
        t->label = calloc((size_t)t->n, sizeof *t->label);
        LK_TRY_ALLOC(t->label, (size_t)t->n * sizeof *t->label);
    }
    return take_records(s, spec, bytes, t);
}

static lk_status read_set(const set *s, const lk_data_spec *spec, const lk_source *source, lk_data_stats *stats,
                          lk_table *out)
{
    char *bytes;
    size_t nbytes;

    if (!source->labels)
        return LK_FAIL(LK_ERR_USAGE, "data.kind %s has class labels; set loss.kind to cross_entropy", s->word);
    memcpy(stats->image, (int64_t[]){CHANNELS, SIDE, SIDE}, sizeof stats->image);
    if (source->want_target && !stats->target_name) LK_TRY(lk_stats_set_target(stats, "label", 0));
    LK_TRY(lk_data_file_read(source->file, &bytes, &nbytes));
    const lk_status status = fill(s, spec, source, (const unsigned char *)bytes, nbytes, out);
    free(bytes);
    return status;
}

lk_status lk_read_cifar10(const lk_data_spec *spec, const lk_source *source, lk_data_stats *stats, lk_table *out)
{
    static const set cifar10 = {"cifar10", "CIFAR-10", "", 1, 0, 10};

    return read_set(&cifar10, spec, source, stats, out);
}

lk_status lk_read_cifar100(const lk_data_spec *spec, const lk_source *source, lk_data_stats *stats, lk_table *out)
{
    static const set cifar100[] = {[LK_LABEL_FINE] = {"cifar100", "CIFAR-100", "", 2, 1, 100},
                                   [LK_LABEL_COARSE] = {"cifar100", "CIFAR-100", "coarse ", 2, 0, 20}};

    return read_set(&cifar100[spec->label], spec, source, stats, out);
}
