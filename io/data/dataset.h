/* Data sets, and the loader that puts their samples together into batches, lane by lane.  Everything here is Local. */
#ifndef LK_DATASET_H
#define LK_DATASET_H

#include <stdio.h>

#include "io/recipe/recipe.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lk_dataset lk_dataset;

/* Statistics of the training part that later parts and predictions need: means, deviations, fill values, categories
 * and their order.  As JSON text it is kept in checkpoints. */
typedef struct lk_data_stats lk_data_stats;

typedef enum lk_part { LK_PART_TRAIN, LK_PART_VALIDATION } lk_part;

/* Opens both parts: *validation is NULL when the recipe has none.  Reads and checks everything there is to check
 * before training starts.  loss decides whether targets are numbers or labels.  With stats_json not NULL (resume,
 * eval) its statistics are used instead of being computed.  Errors: LK_ERR_DATA with file and line or record;
 * LK_ERR_USAGE. */
lk_status lk_dataset_open(const lk_data_spec *spec, lk_loss_kind loss, const char *stats_json, lk_dataset **train,
                          lk_dataset **validation);
/* A part of generated data into a file as CSV: columns x0, x1, ... and y with 17 digits, before any standardisation.
 * Errors: LK_ERR_USAGE (the kind has files; there is no such part). */
lk_status lk_data_export(const lk_data_spec *spec, lk_part part, FILE *file);
/* For predict and eval on another file of the same kind; target may be absent when `need_target` is false. */
lk_status lk_dataset_open_file(const lk_data_spec *spec, lk_loss_kind loss, const char *stats_json, const char *file,
                               const char *labels_file, bool need_target, lk_dataset **out);
void      lk_dataset_free(lk_dataset **dataset);
int64_t   lk_dataset_n(const lk_dataset *dataset);
/* What it gives: "x", images as H, W, C; then "label" or "target", unless it was opened without; and further fields of
 * its kind. */
const lk_sample *lk_dataset_sample(const lk_dataset *dataset);
/* Shape of one sample: C, H, W for images (image[0] > 0), else n_input numbers. */
/* Memory of the samples that are held: all of them, or the blocks of what is read as it is wanted. */
size_t    lk_dataset_nbytes(const lk_dataset *dataset);
size_t    lk_dataset_n_input(const lk_dataset *dataset);
size_t    lk_dataset_n_output(const lk_dataset *dataset); /* targets a sample; for labels: the largest label + 1 */
void      lk_dataset_image(const lk_dataset *dataset, int64_t image[3]); /* zeros when samples are not images */
bool      lk_dataset_has_labels(const lk_dataset *dataset);
/* How an image's x, as training gives it, looks to the eye, its normalisation undone: RGB bytes (H, W, 3), grey where
 * it has less than three channels, of more the first.  Of floats that nothing normalises the smallest is black. */
void      lk_dataset_show(const lk_dataset *dataset, const void *x, uint8_t *rgb);
/* JSON; owned by the data set. */
const char *lk_dataset_stats(const lk_dataset *dataset);
/* Writes its vocabularies into a folder, a word a line in the order of their numbers: words-source.txt and
 * words-target.txt; of byte pairs their list of merges, vocab.bpe; of text by characters nothing.  Errors:
 * LK_ERR_SYSTEM. */
lk_status   lk_dataset_write_words(const lk_dataset *dataset, const char *dir);
/* Of pairs: the translation of a sentence as its words stand in the data, with a blank between them, whatever the
 * vocabulary knows of them and however many steps there are; owned by the caller.  Errors: LK_ERR_USAGE (other
 * data). */
lk_status   lk_dataset_translation(const lk_dataset *dataset, int64_t sample, char **text);
/* Its fields with types, shapes and scales of bytes: JSON; owned by the data set. */
const char *lk_dataset_fields(const lk_dataset *dataset);
/* How a run's fields, in that form, differ from these: *differences gets a line for every field of another type or
 * scale (owned by the caller; NULL: none).  Errors: LK_ERR_DATA (an input is absent, a field has another shape),
 * LK_ERR_CHECKPOINT. */
lk_status   lk_dataset_compare_fields(const lk_dataset *dataset, const char *fields, char **differences);
/* A prediction in the units of the data: output j with the target's standardisation undone. */
double    lk_dataset_unstandardize(const lk_dataset *dataset, size_t j, float output);
/* Significant decimal digits that tell two such predictions apart where their fp32 outputs differ: 9, and more where
 * the mean is large beside the deviation. */
int       lk_dataset_digits(const lk_dataset *dataset, size_t j);
/* What is odd about the data though it can be trained with, a line each; NULL when nothing is.  Owned by the data
 * set. */
const char *lk_dataset_warnings(const lk_dataset *dataset);
/* Where each sample is a file of its own: that file's path, in out, which is returned; NULL elsewhere. */
enum { LK_SAMPLE_FILE_BYTES = 4096 };
const char *lk_dataset_file(const lk_dataset *dataset, int64_t sample, char out[LK_SAMPLE_FILE_BYTES]);
/* The word that names class c; NULL where labels are numbers. */
const char *lk_dataset_class(const lk_dataset *dataset, size_t c);
/* XXH3-128 in hexadecimal of the inputs of 64 of its samples as a lane gets them, transformed for training or for
 * evaluation, with what chance has in it as in epoch 0. */
lk_status lk_dataset_hash_drawn(const lk_dataset *dataset, bool train, uint64_t seed, char out[LK_HASH_BYTES]);
/* XXH3-128 in hexadecimal of all that training sees of it: samples (64 of them where they are not in memory; of
 * picture files names and sizes), targets, statistics, which samples are in this part. */
lk_status lk_dataset_hash(const lk_dataset *dataset, char out[LK_HASH_BYTES]);
/* Name of an output for a prediction's header: the target column, or "y". */
const char *lk_dataset_target_name(const lk_dataset *dataset);

/* Text and tokens as data of kind `tokens` have them, without a data set: codec.c. */
typedef struct lk_codec lk_codec;

/* The tokens follow from the training part: stats_json is needed. */
bool        lk_codec_is_fitted(const lk_data_spec *spec);
/* stats_json: as lk_dataset_stats(); may be NULL where nothing is fitted.  Errors: LK_ERR_USAGE (data of another kind;
 * files of tokens without a list of merges), LK_ERR_DATA. */
lk_status   lk_codec_open(const lk_data_spec *spec, const char *stats_json, lk_codec **out);
void        lk_codec_free(lk_codec **codec);
/* The fields that a model is fitted to. */
const lk_sample *lk_codec_sample(const lk_codec *codec);
int64_t     lk_codec_n(const lk_codec *codec); /* tokens are below it */
/* The token that a text begins with where nothing is before it: <|endoftext|>, or the end of a line.  Errors:
 * LK_ERR_USAGE (there is none). */
lk_status   lk_codec_begin(const lk_codec *codec, int32_t *token);
int32_t     lk_codec_end(const lk_codec *codec); /* <|endoftext|>; -1: texts have no end */
/* *tokens (*n) are owned by the caller.  where: for messages.  Errors: LK_ERR_DATA (no UTF-8, or a character that the
 * training part has not). */
lk_status   lk_codec_encode(const lk_codec *codec, const char *where, const char *text, size_t nbytes, int32_t **tokens,
                            int64_t *n);
/* Writes the bytes that a token stands for, which may be part of a character. */
void        lk_codec_put(const lk_codec *codec, int32_t token, FILE *stream);

/* What a run of pairs knows of its two languages: sentences become numbers, and numbers words, without a data set. */
typedef enum lk_language { LK_LANGUAGE_SOURCE, LK_LANGUAGE_TARGET, LK_N_LANGUAGES } lk_language;
typedef struct lk_languages lk_languages;

/* Errors: LK_ERR_USAGE (the statistics are of another kind), LK_ERR_DATA. */
lk_status   lk_languages_open(const lk_data_spec *spec, const char *stats_json, lk_languages **out);
void        lk_languages_free(lk_languages **languages);
/* The fields that a model is fitted to. */
const lk_sample *lk_languages_sample(const lk_languages *languages);
/* What fills up a sentence, begins and ends one. */
typedef struct lk_marks { int32_t pad, bos, eos; } lk_marks;
lk_marks    lk_languages_marks(void);
/* A source sentence as training has it: *numbers (*n, owned by the caller) of its tokens and <eos>, cut to data.steps.
 * *n_cut: of them, what was cut; *n is 0 where there are no words.  Errors: LK_ERR_DATA, without a place (it is not
 * UTF-8). */
lk_status   lk_languages_number(lk_languages *languages, const char *text, size_t nbytes, int32_t **numbers, int64_t *n,
                                int64_t *n_cut);
/* The sentence of the target language that n numbers stand for, words with a blank between them; owned by the
 * caller. */
lk_status   lk_languages_say(const lk_languages *languages, const int32_t *numbers, int64_t n, char **text);
/* What one number stands for, as people read it; owned by the caller. */
lk_status   lk_languages_word(const lk_languages *languages, lk_language language, int32_t number, char **text);

typedef struct lk_loader_spec {
    int64_t batch;          /* global */
    int lanes;
    int lane_begin, lane_end; /* own lanes */
    bool shuffle;           /* by (seed, epoch) through a keyed bijection; else in order */
    bool drop_last;
    int64_t buckets;        /* batches whose samples are sorted by length together; 0: none are */
    bool train;             /* samples are transformed for training, else for evaluation */
    int threads;            /* that fill batches; 0: one, where it is worth that */
    uint64_t seed;
    lk_loss_spec loss;      /* says what is a loss term; its weights are borrowed */
    lk_field_map fields;    /* what lanes get of the data set's fields, and where; n 0: all, in its order */
} lk_loader_spec;

/* One lane of a batch; n may be 0.  Pointers are valid until the next lk_loader_next(). */
typedef struct lk_batch_lane {
    int64_t n;
    int64_t length;         /* of fields that begin with LK_LENGTH: of the longest sample of this lane, or as the data
                             * set has it, at least 1; shorter samples are filled up.  0: no field's length varies */
    const void *field[LK_MAX_FIELDS]; /* (n, shape...), by the loader's map; NULL: the data set has none */
    const int64_t *sample;  /* (n,) index in the data set */
} lk_batch_lane;

typedef struct lk_batch {
    int64_t epoch, index;   /* batch number in the epoch */
    int64_t n;              /* samples in the global batch */
    double n_terms;         /* loss terms in the global batch, or the sum of the weights of its labels */
    int64_t steps;          /* loss.reduction sequence: that the global batch's targets are filled up to; else 0 */
    bool last;              /* of the epoch */
    const lk_batch_lane *lane; /* own lanes, lane_end - lane_begin of them */
} lk_batch;

typedef struct lk_loader lk_loader;

/* Reads ahead on threads of its own; dataset is borrowed.  Lane l of a batch of n samples gets the rows of
 * lk_part_rows(n, l, lanes).  Nothing is allocated after this call. */
lk_status lk_loader_new(const lk_dataset *dataset, const lk_loader_spec *spec, lk_loader **out);
void      lk_loader_free(lk_loader **loader);
int64_t   lk_loader_batches(const lk_loader *loader); /* in an epoch */
/* The next batch is `index` of `epoch`. */
lk_status lk_loader_seek(lk_loader *loader, int64_t epoch, int64_t index);
/* After the last batch of an epoch comes the first of the next. */
lk_status lk_loader_next(lk_loader *loader, lk_batch *out);
/* Lane sizes that occur in an epoch, each once, 0 left out: what to compile.  Returns how many (at most 4). */
int       lk_loader_lane_sizes(const lk_loader *loader, int64_t sizes[4]);
/* The most that a lane's length can be; 0: no field's varies. */
int64_t   lk_loader_length(const lk_loader *loader);
size_t    lk_loader_nbytes(const lk_loader *loader); /* of the batches that are put together ahead */

#ifdef __cplusplus
}
#endif
#endif
