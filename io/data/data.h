/*
 * Data sets inside io/: what the readers of the kinds hand to the common part, the statistics, and the data set
 * itself.
 *
 * A reader fills a table with raw values.  The common part (open.c) chooses the rows that validate, fits the
 * statistics on the others, applies them to all, and makes one or two data sets of the table.
 */
#ifndef LK_IO_DATA_H
#define LK_IO_DATA_H

#include "io/data/pairs.h"
#include "io/data/pictures.h"
#include "io/data/shuffle.h"
#include "io/data/stream.h"
#include "io/data/transforms/transforms.h"
#include "io/data/windows.h"
#include "io/io.h"
#include "io/text/text.h"

/* ------------------------------------------------------------------- tables */

/* A field by name that a kind gives beside x and its target, or in their place: fields.c. */
typedef struct lk_table_field {
    lk_field field;   /* shape[0] may be LK_LENGTH */
    void *values;     /* one sample behind the other, owned */
    int64_t *begin;   /* LK_LENGTH: (n + 1), where along that axis each sample begins, owned; else NULL */
    int32_t pad;      /* int32: what a sample is filled up with in a longer lane; other types with zeros.  Of a target
                       * loss.ignore_index, for what is filled up counts for nothing */
} lk_table_field;

/* Values of one file or generator.  x is (n * rows_per_sample, n_columns): a sample of a table is one row, one of an
 * image its H * W pixels with C columns.  NaN is a missing value; a categorical column holds numbers of words. */
typedef struct lk_table {
    const char *path;          /* for messages; borrowed.  Of several files the first */
    struct lk_table_file {
        const char *path;
        int64_t first;         /* sample */
    } *files;                  /* (n_files), owned: of several files, where each begins */
    int64_t n_files;           /* 0: all is of `path` */
    int64_t n;
    int64_t rows_per_sample;
    size_t n_columns;
    lk_numbers x;              /* none with pixels, nor with rows */
    lk_rows rows;              /* in place of x: to be read, now or as they are wanted */
    uint8_t *pixels;           /* (n, H, W, C), owned: images that stay bytes */
    lk_pictures *pictures;     /* (n), owned, in place of x: files to be decoded as they are wanted */
    bool of_bytes;             /* of images: their file has bytes, so to normalize 255 is 1 */
    bool unit;                 /* and without a normalize, too; else bytes then stand for themselves */
    bool as_floats;            /* bytes leave as floats: the other part has no bytes */
    lk_numbers target;         /* (n, n_targets); none without a target or with labels */
    size_t n_targets;
    int32_t *label;            /* (n), owned; NULL without labels */
    lk_table_field fields[LK_MAX_FIELDS]; /* further ones; then n_columns may be 0: there is no x */
    int n_fields;
    int64_t length;            /* of LK_LENGTH in every lane, no sample is longer; 0: as the longest in a lane */
    lk_pairs *pairs;           /* owned: sentences that lk_stats_apply() makes fields of, and then the translations as
                                * text; NULL: there are none */
    lk_windows *windows;       /* (n), owned, in place of x: of a running text, read as they are wanted */
    bool want_target;          /* of windows */
    lk_vocabulary *label_words; /* owned; labels are numbers of words until lk_stats_apply(); NULL when they are not */
    int64_t *line;             /* csv: line of each sample, owned; else NULL */
    lk_vocabulary **vocabulary; /* (n_columns), owned; NULL when no column is categorical */
    char *warnings;            /* owned: what is odd about the file, a line each; NULL: nothing */
} lk_table;

void lk_table_clear(lk_table *table);
/* The tables of several files, each read with the same statistics, one behind the other; they are left empty. */
lk_status lk_tables_join(lk_table *tables, int64_t n_tables, lk_table *out);
/* Its samples are bytes, in memory, or read or decoded as they are wanted. */
static inline bool lk_table_is_bytes(const lk_table *table)
{
    return table->pixels || table->pictures || lk_rows_are_bytes(&table->rows);
}
/* Numbers or bytes of one of its samples, as these statistics make them; 0: pictures differ. */
size_t lk_table_n_input(const lk_data_stats *stats, const lk_table *table);
/* n images of (C, P) become (P, C), in place. */
lk_status lk_pixels_turn(uint8_t *pixels, int64_t n, size_t C, size_t P);
/* The file of a sample, and its first one. */
const char *lk_table_path(const lk_table *table, int64_t sample);
int64_t     lk_table_first(const lk_table *table, int64_t sample);
/* Along the axis that varies, of one sample; 1 where none does.  And where its values begin. */
int64_t     lk_table_field_length(const lk_table_field *field, int64_t sample);
const void *lk_table_field_at(const lk_table_field *field, int64_t sample);
/* Memory of n samples of it. */
size_t      lk_table_field_nbytes(const lk_table_field *field, int64_t n);
/* Samples into out, (n, shape...) with this length, filled up. */
void        lk_table_field_fetch(const lk_table_field *field, const int64_t *sample, int64_t n, int64_t length,
                                 void *out);
/* The fields' part of lk_tables_join(), lk_table_split() and lk_table_clear(). */
lk_status   lk_table_fields_join(const lk_table *tables, int64_t n_tables, lk_table *out);
lk_status   lk_table_fields_split(lk_table *table, const bool *held_out, lk_table *out);
void        lk_table_fields_clear(lk_table *table);
/* Marks round(fraction * n) samples, at least one and not all, by a permutation of the seed; of pairs by their source
 * sentences (lk_pairs_held_out()), about as many; of a running text its end.  *held_out is owned by the caller.
 * Errors: LK_ERR_DATA (fewer than two samples; of pairs none, or all). */
lk_status lk_table_hold_out(const lk_table *table, double fraction, uint64_t seed, bool **held_out);
/* Moves the samples that are held out into a new table; both keep their order.  After lk_stats_apply(). */
lk_status lk_table_split(lk_table *table, size_t n_input, const bool *held_out, lk_table *out);

/* value as a label, or LK_ERR_DATA naming `where` ("train.h5: y: record 7"). */
lk_status lk_label_check(double value, int32_t ignore_index, const char *where, int32_t *out);
/* Smallest and largest of the labels that count; -1 and -1 when none does. */
void      lk_label_range(const int32_t *label, int64_t n, int32_t ignore_index, int32_t *low, int32_t *high);

/* --------------------------------------------------------------- statistics */

typedef struct lk_scale { double mean, deviation; } lk_scale; /* (v - mean) / deviation; 0 and 1 change nothing */
static inline bool lk_scale_is_neutral(const lk_scale *s) { return s->mean == 0.0 && s->deviation == 1.0; }

/* Different texts, sorted by bytes; owned by the struct around them. */
typedef struct lk_categories { char **text; size_t n; } lk_categories;

typedef struct lk_column {
    char *name;                /* owned */
    bool categorical;
    double fill;               /* of a missing number; NaN: training made none */
    lk_scale scale;            /* of a number */
    lk_categories categories;
} lk_column;

struct lk_data_stats {
    int n_users;               /* data sets and readers that hold it; lk_stats_free() by the last one frees */
    lk_data_kind kind;
    size_t n_columns;          /* 0: the training part is still to be read */
    lk_column *column;         /* owned; for images one a channel */
    size_t file_columns;       /* csv: columns of the training file, left out ones too */
    int64_t image[3];          /* C, H, W, or zeros */
    char *target_name;         /* owned; NULL until a target was read */
    size_t n_targets;
    lk_scale *target;          /* (n_targets), owned */
    int64_t n_classes;         /* labels: the largest label of training and validation + 1 */
    lk_categories classes;     /* labels that are words: class c is the c-th; else none */
    lk_vocabulary *words[LK_N_LANGUAGES]; /* of pairs; the first alone: characters of text; owned, else NULL */
    lk_bpe *bpe;               /* of pairs by byte pairs, which words then are; owned, else NULL */
};

lk_status lk_stats_new(lk_data_kind kind, lk_data_stats **out);
void      lk_stats_free(lk_data_stats **stats);
/* Makes n_columns columns, named "x0", "x1", ... where names is NULL, with neutral statistics. */
lk_status lk_stats_set_columns(lk_data_stats *stats, size_t n_columns, const char *const *names);
lk_status lk_stats_set_target(lk_data_stats *stats, const char *name, size_t n_targets);
/* Takes over the byte pairs, also where it fails, and makes the words of both languages of them. */
lk_status lk_stats_set_bpe(lk_data_stats *stats, lk_bpe *bpe);
/* Numbers that a column becomes: one, or one a category. */
static inline size_t lk_column_width(const lk_column *column) { return column->categorical ? column->categories.n : 1; }
/* Numbers in one sample after one-hot coding; rows_per_sample as in lk_table. */
size_t    lk_stats_n_input(const lk_data_stats *stats, int64_t rows_per_sample);

/* Computes fill values, categories, means and deviations from the samples that are not held out (held_out may be
 * NULL): fit.c. */
lk_status lk_stats_fit(lk_data_stats *stats, const lk_data_spec *spec, const lk_table *table, const bool *held_out);
/* Fills, codes and scales every sample of the table: apply.c.  Afterwards x holds lk_stats_n_input() floats a sample,
 * target floats. */
lk_status lk_stats_apply(const lk_data_stats *stats, lk_table *table);
/* The same for n samples' numbers alone, where no column is categorical: floats take their place. */
lk_status lk_stats_scale(const lk_data_stats *stats, const lk_table *table, lk_numbers *x, int64_t begin, int64_t n);
/* Before that: adds a line to *text (owned by the caller) for every column in which rounding to fp32 alone would make
 * different values equal. */
lk_status lk_stats_check_rounding(const lk_data_stats *stats, const lk_table *table, char **text);

/* JSON text with 17 digits, so that reading it back gives the same doubles; release with free(). */
lk_status lk_stats_write(const lk_data_stats *stats, char **json);
lk_status lk_stats_read(const char *json, lk_data_stats **out);
/* One more user of the same statistics. */
lk_data_stats *lk_stats_share(lk_data_stats *stats);

/* ------------------------------------------------------------- descriptions */

/* The fields of a sample as JSON; release with free().  Errors of reading: LK_ERR_CHECKPOINT. */
lk_status lk_sample_write(const lk_sample *sample, char **json);
lk_status lk_sample_read(const char *json, lk_sample *out);
/* Adds a line to *differences (owned by the caller) for every field of another type or scale.  Errors: LK_ERR_DATA (an
 * input is absent, a field has another shape). */
lk_status lk_sample_compare(const lk_sample *was, const lk_sample *is, char **differences);

/* ------------------------------------------------------------------ readers */

/* What to read. */
typedef struct lk_source {
    lk_part part;
    const char *file, *labels_file; /* NULL for generators; labels_file NULL without labels */
    const char *labels_key;         /* what would name labels_file, for messages */
    bool want_target;
    bool labels;                    /* targets are class labels */
} lk_source;

/* Reads a table.  With stats->n_columns 0 this is the training part and the reader sets the columns (names, kinds),
 * target name and image; otherwise it checks that the file fits them and orders its columns alike. */
typedef lk_status lk_read_fn(const lk_data_spec *spec, const lk_source *source, lk_data_stats *stats, lk_table *out);
#define LK_DECLARE_READER(id, word, read) lk_read_fn read;
LK_DATA_LIST(LK_DECLARE_READER)
#undef LK_DECLARE_READER

/* Adds a line to *warnings, which the caller owns. */
lk_status lk_warning_add(char **warnings, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ----------------------------------------------------------------- data set */

/* n samples, in this order, as this draw transforms them: field f of the data set into field[f], (n, shape...) with
 * this length; NULL: not wanted.  Any thread, with an easel of its own. */
typedef lk_status lk_fetch_fn(const lk_dataset *dataset, const lk_draw *draw, const int64_t *sample, int64_t n,
                              int64_t length, void *const field[], lk_easel *easel);
lk_fetch_fn lk_dataset_fetch;
/* Makes room for what is known to be needed. */
lk_status   lk_dataset_ready(const lk_dataset *dataset, lk_easel *easel);
/* Whether other threads than the one that opened it may fetch. */
bool        lk_dataset_may_thread(const lk_dataset *dataset);
/* Positions [begin, begin + n) of an epoch are being used: reads a part of what comes after the current window. */
lk_status   lk_dataset_read_ahead(const lk_dataset *dataset, lk_shuffle *order, int64_t epoch, int64_t begin,
                                  int64_t n);
/* Elements of a sample's targets (a row of probabilities counts as one), and what they add to the number that the
 * loss's mean divides by. */
size_t      lk_dataset_target_elems(const lk_dataset *dataset, int64_t sample);
double      lk_dataset_terms(const lk_dataset *dataset, const lk_loss_spec *loss, int64_t sample);
/* How long these samples are together in a lane: at least 1, and 0 where no field's length varies. */
int64_t     lk_dataset_lane_length(const lk_dataset *dataset, const int64_t *sample, int64_t n);

/* How much of a part may lie in memory. */
typedef struct lk_budget {
    size_t nbytes;          /* 0: all of it */
    int64_t shuffle_buffer; /* samples that are shuffled together at least; 0: as many as there is room for */
    bool ordered;           /* it is never shuffled: a few blocks are enough */
} lk_budget;

lk_budget lk_budget_of(const lk_data_spec *spec, lk_part part, bool two_parts);
/* Reads the rows of a table into x where they fit, else leaves them. */
lk_status lk_table_settle(lk_table *table, const lk_budget *budget);
/* Makes a data set of a table, whose arrays it takes over.  The statistics are shared. */
lk_status lk_dataset_new(const lk_data_spec *spec, bool labels, lk_data_stats *stats, lk_table *table,
                         const lk_budget *budget, lk_dataset **out);
/* Makes the data set read its samples, the rows of `table`, as they are wanted. */
lk_status lk_dataset_read_rows(lk_dataset *dataset, lk_table *table, const lk_budget *budget);

/* What a draw makes of samples: transforms, then values (view.c). */
typedef struct lk_view {
    lk_transform_list list; /* owned, without the numbers of normalize */
    unsigned n_moving;      /* of them in front of the normalize, whose pixels are as they are stored */
    size_t C;
    int64_t H, W;           /* what they make; zeros: no images */
    size_t n_scales;        /* v becomes (v / full - mean[c]) / std[c]; 1: all channels alike; 0: it stays what it is */
    float *mean, *std;      /* (n_scales), owned by mean, as is all of these three */
    float *of_byte;         /* (256, n_scales): what each byte becomes */
    float full;             /* what counts as 1: 255 where the file has bytes */
} lk_view;

/* image: C, H, W, or zeros; H and W zeros: the pictures differ in size.  Errors: LK_ERR_USAGE (no images; another
 * number of channels; no one size). */
lk_status lk_view_open(const lk_data_spec *spec, bool train, const int64_t image[3], const lk_table *table,
                       lk_view *view);
void      lk_view_close(lk_view *view);
/* Errors: LK_ERR_USAGE (they make pictures of different sizes). */
lk_status lk_views_check(const lk_view view[2]);
/* Whether one description of bytes is true of both views: what it is. */
bool      lk_view_pixels(const lk_view view[2], lk_pixels *out);
/* v, of channel c (0 where all are alike). */
float     lk_view_number(const lk_view *view, float v, size_t c);

/* How the samples of one global batch are mixed with those in front of them (mix.c). */
typedef struct lk_mixing {
    float own, other;       /* shares of a sample and of the one in front of it; their sum is 1 */
    bool cuts;              /* a box is the other's, and shares are of areas; else pixels are mixed like targets */
    int64_t top, left, bottom, right;
} lk_mixing;

/* Its list has mixup, cutmix or both. */
bool      lk_view_mixes(const lk_view *view);
/* That of batch `index` of the draw's epoch. */
void      lk_mixing_draw(const lk_view *view, const lk_draw *draw, int64_t index, lk_mixing *out);
/* n samples of a lane, field f in field[f] as fetched (NULL: not wanted); front[f]: that of the sample in front of the
 * first. */
void      lk_dataset_mix(const lk_dataset *dataset, const lk_mixing *mixing, int64_t n, void *const field[],
                         void *const front[]);

struct lk_dataset {
    int64_t n;
    lk_sample sample;          /* x, then label or target, then `fields` */
    int x_field, target_field; /* their places; -1: there is none */
    lk_table_field fields[LK_MAX_FIELDS]; /* owned, what they point to; the last of sample, in this order */
    int n_fields;
    int64_t length;            /* of every lane; 0: as the longest in it, or none varies */
    int64_t longest;           /* sample; 0: no field's length varies */
    size_t n_input, n_output;  /* n_input: as it is stored */
    int64_t image[3];          /* C, H, W as it is stored, or zeros; H and W zeros: sizes differ */
    bool has_labels;
    bool probabilities;        /* the target is one for each class, of labels 1 and 0 */
    lk_fetch_fn *fetch;
    bool bytes;                /* samples are held as bytes: pixels, or a stream of them */
    float *x;                  /* (n, n_input), owned; NULL for bytes, and for what is read as it is wanted */
    uint8_t *pixels;           /* (n, n_input), owned; NULL for floats, and for what is read as it is wanted */
    lk_view view[2];           /* [draw.train] */
    lk_pictures *pictures;     /* owned; NULL: samples are no files */
    lk_windows *windows;       /* owned; NULL: samples are none of a running text */
    int windows_field;         /* place of their tokens; their target, where there is one, is the next */
    lk_pairs *pairs;           /* (n), owned: translations as text; NULL: samples are no sentences */
    lk_table *read_from;       /* owned: what messages say of what is read; NULL in memory */
    lk_stream *stream;         /* owned; NULL: the samples are in memory */
    int64_t block, window;     /* of the order that a stream is read in; 0 in memory */
    float *target;             /* (n, n_output), owned; NULL with labels or without targets */
    int32_t *label;            /* (n), owned; NULL without labels */
    lk_data_stats *stats;      /* shared */
    char *stats_json;          /* owned */
    char *fields_json;         /* owned */
    char *warnings;            /* owned; NULL without */
};

/* The most that a lane's length can be; 0 where no field's varies. */
static inline int64_t lk_dataset_most_length(const lk_dataset *d) { return d->length ? d->length : d->longest; }

#endif
