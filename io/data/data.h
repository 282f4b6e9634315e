/*
 * Data sets inside io/: what the readers of the kinds hand to the common part, the statistics, and the data set
 * itself.
 *
 * A reader fills a table with raw values.  The common part (dataset.c) chooses the rows that validate, fits the
 * statistics on the others, applies them to all, and makes one or two data sets of the table.
 */
#ifndef LK_IO_DATA_H
#define LK_IO_DATA_H

#include "io/io.h"

/* ------------------------------------------------------------------- tables */

/* The distinct texts of one column, numbered by their first appearance. */
typedef struct lk_vocabulary lk_vocabulary;
/* Number of `text`, added if it is new; -1 when there is no memory. */
int64_t     lk_vocabulary_add(lk_vocabulary **vocabulary, const char *text);
const char *lk_vocabulary_text(const lk_vocabulary *vocabulary, int64_t number);
int64_t     lk_vocabulary_n(const lk_vocabulary *vocabulary);
void        lk_vocabulary_free(lk_vocabulary **vocabulary);

/* Raw values of one file or generator.  x is (n * rows_per_sample, n_columns): a sample of a table is one row,
 * one of an image its H * W pixels with C columns.  NaN is a missing value; a categorical column holds numbers of
 * words. */
typedef struct lk_table {
    const char *path;          /* for messages; borrowed */
    int64_t n;
    int64_t rows_per_sample;
    size_t n_columns;
    float *x;                  /* owned, or NULL with pixels */
    uint8_t *pixels;           /* (n, H, W, C), owned: images that stay bytes */
    float *target;             /* (n, n_targets), owned; NULL without a target or with labels */
    size_t n_targets;
    int32_t *label;            /* (n), owned; NULL without labels */
    int64_t *line;             /* csv: line of each sample, owned; else NULL */
    lk_vocabulary **vocabulary; /* (n_columns), owned; NULL when no column is categorical */
} lk_table;

void lk_table_clear(lk_table *table);

/* --------------------------------------------------------------- statistics */

typedef struct lk_scale { double mean, deviation; } lk_scale; /* (v - mean) / deviation; 0 and 1 change nothing */

typedef struct lk_column {
    char *name;                /* owned */
    bool categorical;
    double fill;               /* of a missing number; NaN: training made none */
    lk_scale scale;            /* of a number */
    char **category;           /* sorted by bytes, owned */
    size_t n_categories;
} lk_column;

struct lk_data_stats {
    lk_data_kind kind;
    size_t n_columns;          /* 0: the training part is still to be read */
    lk_column *column;         /* owned; for images one a channel */
    size_t file_columns;       /* csv: columns of the training file, left out ones too */
    int64_t image[3];          /* C, H, W, or zeros */
    char *target_name;         /* owned; NULL until a target was read */
    size_t n_targets;
    lk_scale *target;          /* (n_targets), owned */
    int64_t n_classes;         /* labels: the largest label of training and validation + 1 */
};

lk_status lk_stats_new(lk_data_kind kind, lk_data_stats **out);
void      lk_stats_free(lk_data_stats **stats);
/* Makes n_columns columns, named "x0", "x1", ... where names is NULL, with neutral statistics. */
lk_status lk_stats_set_columns(lk_data_stats *stats, size_t n_columns, const char *const *names);
lk_status lk_stats_set_target(lk_data_stats *stats, const char *name, size_t n_targets);
/* Numbers in one sample after one-hot coding; rows_per_sample as in lk_table. */
size_t    lk_stats_n_input(const lk_data_stats *stats, int64_t rows_per_sample);

/* Computes fill values, categories, means and deviations from the samples that are not held out (held_out may be
 * NULL). */
lk_status lk_stats_fit(lk_data_stats *stats, const lk_data_spec *spec, const lk_table *table, const bool *held_out);
/* Fills, codes and scales every sample of the table; afterwards x holds lk_stats_n_input() numbers a sample. */
lk_status lk_stats_apply(const lk_data_stats *stats, lk_table *table);

/* JSON text with 17 digits, so that reading it back gives the same doubles; release with free(). */
lk_status lk_stats_write(const lk_data_stats *stats, char **json);
lk_status lk_stats_read(const char *json, lk_data_stats **out);

/* ------------------------------------------------------------------ readers */

/* What to read. */
typedef struct lk_source {
    lk_part part;
    const char *file, *labels_file; /* NULL for generators; labels_file NULL without labels */
    bool want_target;
    bool labels;                    /* targets are class labels */
} lk_source;

/* Reads a table.  With stats->n_columns 0 this is the training part and the reader sets the columns (names, kinds),
 * target name and image; otherwise it checks that the file fits them and orders its columns alike. */
typedef lk_status lk_read_fn(const lk_data_spec *spec, const lk_source *source, lk_data_stats *stats, lk_table *out);
lk_read_fn lk_read_csv, lk_read_hdf5, lk_read_idx, lk_read_regression, lk_read_polynomial;

/* Whole file, with a NUL behind it; release with free().  Errors: LK_ERR_DATA naming the path. */
lk_status lk_data_file_read(const char *path, char **bytes, size_t *nbytes);

enum { LK_LABEL_IGNORED = -100 }; /* the one negative label: PyTorch's default ignore_index */
/* value as a label, or LK_ERR_DATA naming `where` ("train.h5: y: record 7"). */
lk_status lk_label_check(double value, const char *where, int32_t *out);

/* ----------------------------------------------------------------- data set */

/* x of n samples, in this order, into (n, n_input). */
typedef lk_status lk_fetch_fn(const lk_dataset *dataset, const int64_t *sample, int64_t n, float *x);

enum { LK_PIXEL_LEVELS = 256 };

struct lk_dataset {
    int64_t n;
    size_t n_input, n_output;
    int64_t image[3];
    bool has_labels;
    lk_fetch_fn *fetch;
    float *x;                  /* (n, n_input), owned; NULL for bytes */
    uint8_t *pixels;           /* (n, n_input), owned; NULL for floats */
    float level[LK_PIXEL_LEVELS]; /* what each byte of pixels stands for */
    float *target;             /* (n, n_output), owned; NULL with labels or without targets */
    int32_t *label;            /* (n), owned; NULL without labels */
    lk_data_stats *stats;      /* owned */
    char *stats_json;          /* owned */
};

#endif
