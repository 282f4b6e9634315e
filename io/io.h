/*
 * What outlives the process: recipes, data sets and their loader, checkpoints, metrics, the journal, progress.  It
 * knows the engine's tensors and no MPI: it is told "part r of n".  Everything here is Local.
 */
#ifndef LK_IO_H
#define LK_IO_H

#include <stdio.h>

#include "engine/engine.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------- recipe */

/* The kinds of data: word and reader (io/data/data.h).  One row makes a kind: io/README.md says how to add one. */
#define LK_DATA_FILES_LIST(X)                                                                    \
    X(LK_DATA_CSV, "csv", lk_read_csv) X(LK_DATA_HDF5, "hdf5", lk_read_hdf5)                       \
    X(LK_DATA_IDX, "idx", lk_read_idx) X(LK_DATA_CIFAR10, "cifar10", lk_read_cifar10)             \
    X(LK_DATA_CIFAR100, "cifar100", lk_read_cifar100) X(LK_DATA_IMAGES, "images", lk_read_images) \
    X(LK_DATA_PAIRS, "pairs", lk_read_pairs) X(LK_DATA_TOKENS, "tokens", lk_read_tokens)
#define LK_DATA_GENERATORS_LIST(X)                                                               \
    X(LK_DATA_REGRESSION, "regression", lk_read_regression)                                      \
    X(LK_DATA_POLYNOMIAL, "polynomial", lk_read_polynomial)
#define LK_DATA_LIST(X) LK_DATA_FILES_LIST(X) LK_DATA_GENERATORS_LIST(X)
#define LK_STANDARDIZE_LIST(X)                                                                   \
    X(LK_STANDARDIZE_NONE, "false") X(LK_STANDARDIZE_ALL, "true") X(LK_STANDARDIZE_FEATURES, "features") \
    X(LK_STANDARDIZE_TARGET, "target")
#define LK_MISSING_LIST(X)                                                                       \
    X(LK_MISSING_ERROR, "error") X(LK_MISSING_DROP, "drop") X(LK_MISSING_MEAN, "mean")            \
    X(LK_MISSING_MEDIAN, "median") X(LK_MISSING_ZERO, "zero")
#define LK_LABEL_LIST(X) X(LK_LABEL_FINE, "fine") X(LK_LABEL_COARSE, "coarse")
#define LK_TOKENIZER_LIST(X)                                                                     \
    X(LK_TOKENIZER_NONE, "none") X(LK_TOKENIZER_GPT2, "gpt2") X(LK_TOKENIZER_CHARS, "chars")     \
    X(LK_TOKENIZER_BYTES, "bytes") X(LK_TOKENIZER_WORDS, "words") X(LK_TOKENIZER_BPE, "bpe")
#define LK_UNIT_LIST(X) X(LK_UNIT_EPOCH, "epoch") X(LK_UNIT_STEP, "step")
typedef enum lk_data_kind { LK_DATA_LIST(LK_WORD_ENUM) } lk_data_kind;
typedef enum lk_standardize { LK_STANDARDIZE_LIST(LK_WORD_ENUM) } lk_standardize;
typedef enum lk_missing { LK_MISSING_LIST(LK_WORD_ENUM) } lk_missing;
typedef enum lk_label { LK_LABEL_LIST(LK_WORD_ENUM) } lk_label;
typedef enum lk_tokenizer { LK_TOKENIZER_LIST(LK_WORD_ENUM) } lk_tokenizer;
typedef enum lk_unit { LK_UNIT_LIST(LK_WORD_ENUM) } lk_unit;

/* Transforms of images: word, and whether chance has a part in it. */
#define LK_TRANSFORM_LIST(X)                                                                     \
    X(LK_TRANSFORM_RESIZE, "resize", false) X(LK_TRANSFORM_CENTER_CROP, "center_crop", false)    \
    X(LK_TRANSFORM_RANDOM_CROP, "random_crop", true)                                             \
    X(LK_TRANSFORM_RANDOM_RESIZED_CROP, "random_resized_crop", true)                             \
    X(LK_TRANSFORM_HFLIP, "hflip", true) X(LK_TRANSFORM_VFLIP, "vflip", true)                    \
    X(LK_TRANSFORM_COLOR_JITTER, "color_jitter", true)                                           \
    X(LK_TRANSFORM_TRIVIAL_AUGMENT, "trivial_augment", true)                                     \
    X(LK_TRANSFORM_RANDOM_ERASING, "random_erasing", true)                                       \
    X(LK_TRANSFORM_NORMALIZE, "normalize", false)                                                \
    X(LK_TRANSFORM_MIXUP, "mixup", true) X(LK_TRANSFORM_CUTMIX, "cutmix", true)
typedef enum lk_transform_kind { LK_TRANSFORM_LIST(LK_WORD_ENUM) } lk_transform_kind;
#define LK_INTERPOLATION_LIST(X) X(LK_INTERPOLATION_BILINEAR, "bilinear") X(LK_INTERPOLATION_NEAREST, "nearest")
typedef enum lk_interpolation { LK_INTERPOLATION_LIST(LK_WORD_ENUM) } lk_interpolation;

/* Of a factor: from, to; n 1: how far from what changes nothing; 0: it is not changed. */
typedef struct lk_jitter { double bound[2]; unsigned n; } lk_jitter;

/* One of them with its keys; io/data/transforms/transforms.h says what they do. */
typedef struct lk_transform_spec {
    lk_transform_kind kind;
    int64_t size[2];        /* H, W; n_size 1: of crops both, of resize the shorter side; 0, random_crop: as it
                             * comes */
    unsigned n_size;
    lk_interpolation interpolation; /* of what resizes */
    int64_t padding;        /* random_crop: pixels of zeros on each side */
    double scale[2], ratio[2]; /* random_resized_crop, random_erasing: from, to; share of the area, and width by
                             * height (of random_erasing height by width) */
    double p;               /* hflip, vflip, random_erasing: probability */
    lk_jitter brightness, contrast, saturation, hue; /* color_jitter */
    double value[LK_MAX_CHANNELS]; /* random_erasing: by channel, or one for all */
    unsigned n_value;
    double *mean, *std;     /* normalize: by channel, or one for all */
    unsigned n_mean, n_std;
    double alpha;           /* mixup, cutmix: of the Beta distribution of a sample's share */
} lk_transform_spec;

typedef struct lk_transform_list { lk_transform_spec *transform; unsigned n; } lk_transform_list;

/* A list of words; storage owned by whoever owns the struct around it. */
typedef struct lk_words { char **word; unsigned n; } lk_words;

/* The section `data`.  Paths are absolute here: a recipe's count from its folder, those of overrides from the current
 * one.  Which keys a kind takes is said in keys_data.c. */
typedef struct lk_data_spec {
    lk_data_kind kind;
    char *train;              /* file; idx: images file; images: folder */
    char *validation;         /* the same; NULL: validation_fraction of train, or none */
    lk_words train_files, validation_files; /* all files of a part, the one above first; n 0: it alone */
    lk_words train_labels_files, validation_labels_files; /* idx: as many, in the same order */
    double validation_fraction; /* in [0, 1): chosen by seed; only when validation is NULL */
    char *train_labels, *validation_labels; /* idx */
    char *target;             /* csv: column by header name (or number from 0 with header: false); hdf5: data set */
    char *features;           /* hdf5: data set, default "x" (target default "y") */
    bool header;              /* csv: first line names the columns, default true */
    char *delimiter;          /* csv: one character, default ","; "\t" or "tab" for tabs; "space": runs of blanks */
    char *decimal;            /* csv: the decimal sign, "." (default) or "," */
    char *comment;            /* csv: lines that begin with it are left out; NULL: none are */
    lk_missing missing;       /* csv: an empty cell (or one of missing_values): error, drop the row, or fill from
                               * training statistics */
    lk_words missing_values;  /* csv: further spellings of a missing cell: NA, nan */
    lk_words categorical;     /* csv: text columns, one-hot by the sorted values of the training part; the target:
                               * labels that are words, numbered in their order */
    lk_words ignore;          /* csv: columns left out */
    lk_standardize standardize; /* from training statistics: mean 0, deviation 1 (population) */
    int32_t ignore_index;     /* of labels: loss.ignore_index, for here too such a label counts for nothing */
    bool probabilities;       /* loss.probabilities: the target is one for each class, of labels made here */
    lk_label label;           /* cifar100: which of its two */
    int64_t examples;         /* pairs: of each training file the first so many; 0: all */
    int64_t steps;            /* pairs: words of a sentence, <eos> among them; 0: as many as it has */
    int64_t min_freq;         /* pairs: rarer words become <unk> */
    bool lowercase;           /* pairs */
    int64_t sequence;         /* tokens: in a sample */
    lk_tokenizer tokenizer;   /* tokens: how text becomes tokens; none: the files hold tokens.  pairs: words or bpe */
    char *merges;             /* of tokenizer gpt2 or bpe, the file with its merges; NULL: bpe learns them */
    int64_t vocabulary;       /* tokens: of token files, tokens are below it; pairs: byte pairs to learn */
    double pixel_mean, pixel_std; /* idx, cifar10, cifar100, images: (value / 255 - mean) / std; default 0, 1 */
    lk_transform_list transforms, validation_transforms; /* of images, in this order */
    int64_t memory;           /* MiB for the samples of a worker; what does not fit is read as it is wanted.  0: no
                               * limit */
    int64_t shuffle_buffer;   /* of what is read so: samples that are shuffled together, at least; 0: by data.memory */
    int threads;              /* that put batches together; 0: one, where it is worth that */
    int64_t samples, validation_samples; /* generators */
    int64_t n_features;       /* regression */
    int64_t n_informative;    /* regression; default min(10, n_features) as scikit-learn's make_regression */
    double noise;             /* generators: deviation added to the target */
    double *weights; unsigned n_weights; /* polynomial: w_j */
    int64_t degree;           /* polynomial: y = sum_j w_j * x_j^degree + noise */
    uint64_t seed;            /* generators and validation_fraction; default run.seed */
    int64_t buckets;          /* pairs: training batches whose samples are sorted by length together; 0: none are */
    bool drop_last;           /* leave out a last smaller batch */
    bool shuffle;             /* default true */
} lk_data_spec;

enum { LK_MOST_GROUPS = 16 }; /* as dist's LK_MAX_GROUPS, which launch/ holds it to */

/* A recipe: every section with its defaults filled in.  Field names are the recipe's keys where they are plain. */
typedef struct lk_recipe lk_recipe;
typedef struct lk_recipe_lines lk_recipe_lines;
struct lk_recipe {
    struct { char *name; uint64_t seed; char *dir; } run;         /* dir default runs/NAME */
    struct { lk_engine_kind kind; lk_precision precision; int threads; } engine;
    lk_data_spec data;
    lk_model_spec model;                                          /* its loss filled from `loss` */
    lk_optimizer_spec optimizer;
    struct { lk_schedule_spec spec; } scheduler;
    struct { lk_schedule_spec spec; } momentum_scheduler, weight_decay_scheduler; /* no plateaus; kind none: constant */
    bool has_ema;
    struct { lk_ema_spec spec; lk_words copy, ignore; } ema;
    bool has_init_from;
    struct {
        char *checkpoint;
        bool ema, strict;
        lk_words rename;
    } init_from; /* rename: see lk_weight_match_new(); the path counts from the current folder */
    struct {
        int64_t epochs;                /* 0: the untrained network is all there is */
        int64_t steps;                 /* stop after this many steps in all; 0: by epochs alone */
        int64_t batch;                 /* global, >= 1 */
        int lanes;                     /* 0: number of workers of the first start */
        int64_t evaluate_every;        /* units between evaluations, counted from the stage's beginning, default 1 */
        lk_unit evaluate_unit;
        int64_t evaluate_batch;        /* 0: the training batch */
        int64_t evaluate_batches;      /* at most so many, drawn once by run.seed; 0: all of a part, in order */
        bool check_finite;             /* every step, default true */
        int on_nonfinite;              /* lk_on_nonfinite */
        bool has_early_stop;
        struct { char *metric; lk_early_stop_spec spec; int64_t min_epochs; } early_stop;
        lk_words freeze, unfreeze;     /* patterns of tensor names; see lk_recipe_frozen() */
        int frozen_mode;               /* lk_frozen_mode: of what is frozen */
        int cache_frozen;              /* lk_cache_frozen */
        int64_t frozen_piece;          /* 0: samples of the largest lane */
        char *best_metric;             /* what `best` means; default: early stop's metric, else ema.validation.loss or
                                        * validation.loss or train.loss */
        lk_extremum best_mode;
    } train;
    struct { int64_t every; lk_unit unit; int keep; bool best; } checkpoint; /* every 0: only at the end; keep >= 1 */
    struct {
        bool tensorboard;
        int64_t log_every, histograms; /* log_every: steps; histograms: evaluations, 0: none */
        lk_words measure;          /* metrics beside the usual ones */
        bool train;                /* the training part is evaluated, too */
    } metrics;
    /* reduction: index in dist's list of words: tree, mpi, nccl */
    struct { int reduction; int64_t check_every; double timeout; int64_t bucket_bytes; } dist;
    char *group;        /* name of the parameter group that optimizer and schedulers describe; NULL: the one of the
                         * rest */
    lk_words params;    /* patterns of the tensor names in it; empty: what no other group selects */
    unsigned n_groups;  /* >= 1 */
    lk_recipe **groups; /* (n_groups), each a whole recipe with its group's keys; the first is this one */
    char *stage;        /* name of the stage that the sections describe; NULL: the recipe has no stages */
    unsigned n_stages;  /* >= 1 */
    lk_recipe **stages; /* (n_stages), each a whole recipe with its stage's keys; the first is this one */
    char *text;   /* the recipe with its overrides and absolute paths, without defaults, as YAML: what checkpoints
                   * keep */
    char *path;   /* the file it came from */
    char *completed;        /* the recipe of this stage and group with all defaults, as YAML: for lk_recipe_compare() */
    lk_recipe_lines *lines; /* where its keys were written, for lk_recipe_where() */
    char *notes;  /* what the person who wrote it should be told, a line each; NULL: nothing */
};

#define LK_FROZEN_MODE_LIST(X) X(LK_FROZEN_MODE_EVAL, "eval") X(LK_FROZEN_MODE_TRAIN, "train")
typedef enum lk_frozen_mode { LK_FROZEN_MODE_LIST(LK_WORD_ENUM) } lk_frozen_mode;
/* LK_CACHE_FROZEN_UNSET: frozen layers run with each lane, whose size may decide their last bits.  With a word they run
 * in pieces of one size, so that bits do not depend on whether they are kept. */
#define LK_CACHE_FROZEN_LIST(X) X(LK_CACHE_FROZEN_NO, "no") X(LK_CACHE_FROZEN_MEMORY, "memory") \
    X(LK_CACHE_FROZEN_DISK, "disk")
typedef enum lk_cache_frozen { LK_CACHE_FROZEN_UNSET, LK_CACHE_FROZEN_LIST(LK_WORD_ENUM) } lk_cache_frozen;
#define LK_ON_NONFINITE_LIST(X) X(LK_NONFINITE_STOP, "stop") X(LK_NONFINITE_SKIP, "skip")
typedef enum lk_on_nonfinite { LK_ON_NONFINITE_LIST(LK_WORD_ENUM) } lk_on_nonfinite;

/* Reads a recipe and applies overrides "a.b=value" in order.  Errors: LK_ERR_USAGE with file, line, path of the key
 * and the nearest known key; LK_ERR_SYSTEM for a file that cannot be read is LK_ERR_USAGE too: a wrong path. */
lk_status lk_recipe_read(const char *path, const char *const *overrides, size_t n_overrides, lk_recipe **out);
/* The same from text, as a checkpoint keeps it; path is for messages and relative names. */
lk_status lk_recipe_parse(const char *text, const char *path, const char *const *overrides, size_t n_overrides,
                          lk_recipe **out);
void      lk_recipe_free(lk_recipe **recipe);
/* Whether a tensor is frozen in stage `stage`: each stage begins with the frozen set of the one before it (the first
 * with none), freezes what its `freeze` matches, then unfreezes what its `unfreeze` matches.  A pattern that begins
 * with ! takes its matches out of its list again. */
bool lk_recipe_frozen(const lk_recipe *recipe, unsigned stage, const char *name);
/* Whether a list of patterns selects a name: the last pattern that matches it decides. */
bool lk_words_select(const lk_words *patterns, const char *name);
/* What momentum_scheduler starts from: SGD's momentum, or Adam's beta1. */
double lk_recipe_momentum(const lk_recipe *recipe);
/* Group of a tensor in this stage's recipe: the one whose params select it, else 0.  Errors: LK_ERR_USAGE (two do). */
lk_status lk_recipe_group(const lk_recipe *recipe, const char *name, unsigned *group);
/* Every pattern of freeze, unfreeze and params must match one of the first n_params of the names, which are those that
 * can train.  Errors: LK_ERR_USAGE with line, pattern and near names. */
lk_status lk_recipe_check_patterns(const lk_recipe *recipe, const char *const *names, size_t n_params, size_t n);
/* One key in which two recipes differ; values as text, "unset" where there is none. */
typedef struct lk_recipe_change {
    char *key, *was, *is;
    bool fixed; /* another value makes another run of it: model, loss, data, seed, precision */
    bool state; /* another value drops what the optimizer or the EMA has gathered */
} lk_recipe_change;
typedef struct lk_recipe_changes { lk_recipe_change *change; size_t n; } lk_recipe_changes;

/* What differs between two recipes, defaults included; names of a run and its folder aside.  Release with
 * lk_recipe_changes_free(). */
lk_status lk_recipe_compare(const lk_recipe *was, const lk_recipe *is, lk_recipe_changes *out);
void      lk_recipe_changes_free(lk_recipe_changes *changes);
/* Tells of a key, the keys of a section, or (path NULL) the sections.  Errors: LK_ERR_USAGE (no such key). */
lk_status lk_recipe_help(FILE *stream, const char *path);
/* The path of a key of this name ("batch": train.batch), or of what other trainers call so ("batch_size"). */
bool      lk_recipe_find_key(const char *name, char *out, size_t nbytes);
/* The reference of all keys, in Markdown. */
void      lk_recipe_reference(FILE *stream);
/* "recipe.yaml:12", where its file holds a key ("train.batch"), the override that set it, or the file alone: for
 * messages of later checks.  Valid as long as the recipe. */
const char *lk_recipe_where(const lk_recipe *recipe, const char *key);

/* --------------------------------------------------------------------- data */

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
enum { LK_HASH_BYTES = 33 };
/* XXH3-128 in hexadecimal of a file's bytes.  Errors: LK_ERR_SYSTEM. */
lk_status lk_file_hash(const char *path, char out[LK_HASH_BYTES]);
/* The same of the inputs of 64 of its samples as a lane gets them, transformed for training or for evaluation, with
 * what chance has in it as in epoch 0. */
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

/* ------------------------------------------------------------------- tokens */

/* What reading texts came to. */
typedef struct lk_tokenized { int64_t n_bytes, n_tokens; } lk_tokenized;
/* Writes texts to a file of tokens, each behind an <|endoftext|>, by a list of merges (GPT-2's vocab.bpe).  n_bytes: of
 * the texts.  Errors: LK_ERR_DATA with file and line, LK_ERR_SYSTEM. */
lk_status lk_tokenize(const char *merges, const char *const *texts, size_t n_texts, const char *out,
                      lk_tokenized *result);
/* Learns a list of merges of n_tokens tokens (256 to 65535: bytes among them, special ones not) and writes it as
 * GPT-2's vocab.bpe.  pairs: the texts are of data.kind pairs, whose sentences are learned as they are read by default.
 * n_tokens: how many there are, fewer where no pair of tokens is left that stands there twice. */
lk_status lk_learn_merges(const char *const *texts, size_t n_texts, bool pairs, int64_t n_tokens, const char *out,
                          lk_tokenized *result);

/* --------------------------------------------------------------------- BLEU */

/* Of a corpus: what its sentences add up to; begins with zeros. */
enum { LK_BLEU_ORDER = 4 };
typedef struct lk_bleu {
    int64_t n_words, n_reference;    /* of the translations, of the references */
    int64_t runs[LK_BLEU_ORDER];     /* of 1 to 4 words of the translations */
    int64_t matches[LK_BLEU_ORDER];  /* of them, those that their references have */
} lk_bleu;

/* Adds a sentence, by sacreBLEU's words (13a).  Errors: LK_ERR_DATA (it is not UTF-8). */
lk_status lk_bleu_add(lk_bleu *sums, const char *translation, const char *reference);
/* 0 to 100: sacreBLEU's corpus BLEU-4. */
double    lk_bleu_score(const lk_bleu *sums);
/* 0 to 1: the textbook's BLEU-k of a sentence, whose words stand between blanks. */
lk_status lk_bleu_textbook(const char *translation, const char *reference, int k, double *out);

/* -------------------------------------------------------------- checkpoints */

/* One tensor of a checkpoint; path is "model/fc.weight", "optimizer/exp_avg/fc.weight", "ema/fc.weight". */
typedef struct lk_ckpt_tensor {
    const char *path;
    int ndim;
    int64_t shape[LK_MAX_DIMS];
    size_t n_elem;
    float *data;            /* whole tensor, fp32, host memory; borrowed */
} lk_ckpt_tensor;

/* Named values beside the tensors: "schedule/best", "loader/epoch", "run/recipe".  A small owned dictionary. */
typedef struct lk_metadata lk_metadata;
lk_status lk_metadata_new(lk_metadata **out);
void      lk_metadata_free(lk_metadata **metadata);
lk_status lk_metadata_set_int(lk_metadata *metadata, const char *path, int64_t value);
lk_status lk_metadata_set_real(lk_metadata *metadata, const char *path, double value);
lk_status lk_metadata_set_text(lk_metadata *metadata, const char *path, const char *value);
/* Errors: LK_ERR_CHECKPOINT (absent or of another type). */
lk_status lk_metadata_get_int(const lk_metadata *metadata, const char *path, int64_t *out);
lk_status lk_metadata_get_real(const lk_metadata *metadata, const char *path, double *out);
lk_status lk_metadata_get_text(const lk_metadata *metadata, const char *path, const char **out); /* owned by metadata */
bool      lk_metadata_has(const lk_metadata *metadata, const char *path);
size_t    lk_metadata_n(const lk_metadata *metadata);
const char *lk_metadata_path(const lk_metadata *metadata, size_t i); /* in the order they were set */

typedef struct lk_saver lk_saver;

/* Writes checkpoints of one run as part r of n.  dir is RUN/checkpoints, made if it is absent.
 *
 * One save goes: lk_saver_begin() on every part copies its rows (and on part 0 what the leader alone owns) and returns;
 * a thread writes shard-R-of-N.h5 (on part 0 also leader.h5) into step-N.partial/ and fsyncs it; lk_saver_poll() tells
 * when that is done.  When every part is done, part 0 calls lk_saver_publish(): index.h5, fsync, rename, links, and
 * removal of what `keep` no longer keeps.  Until then the older checkpoints are all that exist. */
lk_status lk_saver_new(const char *dir, int r, int n, int keep, lk_saver **out);
void      lk_saver_free(lk_saver **saver); /* waits for the thread; an unpublished save stays .partial */
/* shared: tensors every worker holds alike, cut by rows over the parts.  leader: tensors of part 0 alone (n_leader 0
 * and metadata NULL elsewhere).  All is copied before it returns.  Errors: LK_ERR_CHECKPOINT (a save is in flight). */
lk_status lk_saver_begin(lk_saver *saver, int64_t step, const lk_ckpt_tensor *shared, size_t n_shared,
                         const lk_ckpt_tensor *leader, size_t n_leader, const lk_metadata *metadata);
/* For tensors that are still on their way to the host when a save begins: from now on ready(arg) is called by the
 * thread before it reads them, and their data (not the arrays of lk_ckpt_tensor) is borrowed until this part is
 * written. */
void      lk_saver_set_source(lk_saver *saver, lk_status (*ready)(void *arg), void *arg);
bool      lk_saver_busy(const lk_saver *saver);               /* begun and not yet published or abandoned */
/* *done: this part is written; then the returned status is that of the writing. */
lk_status lk_saver_poll(lk_saver *saver, bool *done);
lk_status lk_saver_wait(lk_saver *saver);                      /* the same, blocking */
/* Part 0, when all parts are done.  best: the step that is kept as the best so far, which may be this one; -1: none.
 * `latest` and `best` are links for people: where they cannot be made, that is told once to warn(arg, message). */
lk_status lk_saver_publish(lk_saver *saver, int64_t best);
void      lk_saver_set_warn(lk_saver *saver, void (*warn)(void *arg, const char *message), void *arg);
/* Part 0, on resuming step `newest`: what a crash left undone behind a rename is done, links and removal.  *best: what
 * the checkpoint says, -1 where it does not, then what the link says counts; becomes -1 when the step is gone. */
lk_status lk_saver_mend(lk_saver *saver, int64_t newest, int64_t *best);
/* Other parts, when part 0 publishes: forget the finished save.  Every part, when a part's writing failed: give the
 * save up; part 0 removes its folder. */
lk_status lk_saver_finish(lk_saver *saver);

typedef struct lk_checkpoint lk_checkpoint;

/* Opens a checkpoint (RUN/checkpoints/step-N, or a link to it) and verifies it: every file there, its size, the
 * checksum of every data set, all of one run and step.  RUN and RUN/checkpoints mean the newest good one in them.
 * Errors: LK_ERR_CHECKPOINT naming file and tensor. */
lk_status lk_checkpoint_open(const char *path, lk_checkpoint **out);
void      lk_checkpoint_free(lk_checkpoint **checkpoint);
/* The newest checkpoint under RUN/checkpoints that verifies; *out is NULL when there is none at all.  Each one that
 * does not verify is told to warn(arg, message).  Errors: LK_ERR_CHECKPOINT (there are some, none is good). */
lk_status lk_checkpoint_newest(const char *dir, void (*warn)(void *arg, const char *message), void *arg,
                               lk_checkpoint **out);
const char *lk_checkpoint_path(const lk_checkpoint *checkpoint);
int64_t     lk_checkpoint_step(const lk_checkpoint *checkpoint);
const lk_metadata *lk_checkpoint_metadata(const lk_checkpoint *checkpoint);
size_t      lk_checkpoint_n_tensors(const lk_checkpoint *checkpoint);
/* data is NULL; path and shape as saved, in the order they were saved. */
const lk_ckpt_tensor *lk_checkpoint_tensor(const lk_checkpoint *checkpoint, size_t i);
/* Whether a tensor of this path was saved. */
bool      lk_checkpoint_has(const lk_checkpoint *checkpoint, const char *path);
/* Rows [begin, end) of a tensor into out, from the shards themselves.  Errors: LK_ERR_CHECKPOINT. */
lk_status lk_checkpoint_read(lk_checkpoint *checkpoint, const char *path, int64_t begin, int64_t end, float *out);
/* Whole tensors by path into each data; shapes must agree.  Errors: LK_ERR_CHECKPOINT naming the tensor. */
lk_status lk_checkpoint_load(lk_checkpoint *checkpoint, const lk_ckpt_tensor *tensors, size_t n);

/* One 128-bit hash (XXH3, 32 hex digits and NUL) of all tensors whose path starts with `prefix` ("model/"): name
 * without the prefix, shape and bytes, in name order. */
lk_status lk_digest(const lk_ckpt_tensor *tensors, size_t n, const char *prefix, char out[33]);
lk_status lk_checkpoint_digest(lk_checkpoint *checkpoint, const char *prefix, char out[33]);

/* The note by which a checkpoint says which step has the best weights so far. */
#define LK_NOTE_BEST_STEP "best/step"

/* Checkpoints under a directory, oldest first, for `ckpt list`.  latest: the last of them; best: as the newest readable
 * one says, or the link where it is of an older program. */
typedef struct lk_ckpt_entry { char name[64]; int64_t step; int64_t nbytes; bool latest, best; } lk_ckpt_entry;
lk_status lk_checkpoint_list(const char *dir, lk_ckpt_entry **entries, size_t *n); /* release with free() */

/* For doctor: "HDF5 1.10.8, thread-safe"; writes at most nbytes. */
void lk_checkpoint_describe(char *text, size_t nbytes);

/* ------------------------------------------------------------------- weights */

/* Named tensors that a model can take its values from, wherever they are: a checkpoint's weights or its EMA's, or what
 * others have written as safetensors. */
typedef struct lk_weights lk_weights;

/* Of a safetensors file, or of the index of several (*.json); paths are "model/" and the name there.  Integer buffers
 * of PyTorch's modules (num_batches_tracked, relative_position_index) are left out.  Errors: LK_ERR_CHECKPOINT naming
 * file, tensor and place; of a file of another format what to do with it. */
lk_status lk_weights_open(const char *path, lk_weights **out);
/* Of a checkpoint, those whose path begins with prefix.  The checkpoint becomes *out's, and is freed on failure. */
lk_status lk_weights_of(lk_checkpoint *checkpoint, const char *prefix, lk_weights **out);
void      lk_weights_free(lk_weights **weights);
const char *lk_weights_path(const lk_weights *weights);
size_t      lk_weights_n(const lk_weights *weights);
/* data is NULL; they are one array. */
const lk_ckpt_tensor *lk_weights_tensor(const lk_weights *weights, size_t i);
/* How the file has it: "F32", "BF16". */
const char *lk_weights_type(const lk_weights *weights, size_t i);
const lk_metadata *lk_weights_metadata(const lk_weights *weights);
bool lk_weights_are_real(const lk_weights *weights, size_t i); /* of a type that lk_weights_read() reads */
/* The whole of tensor i, as fp32; nothing else is read.  Errors: LK_ERR_CHECKPOINT (whole numbers are no weights; the
 * file has become shorter). */
lk_status lk_weights_read(lk_weights *weights, size_t i, float *out);
/* lk_digest() of all tensors, without the first part of their paths. */
lk_status lk_weights_digest(lk_weights *weights, char out[33]);
/* XXH3-128 in hexadecimal of the files' bytes; "" for a checkpoint, whose files have checksums of their own. */
lk_status lk_weights_hash(const lk_weights *weights, char out[33]);
/* Writes them to a safetensors file that appears whole or not at all: fp32, names in order, with the integer buffers
 * that load_state_dict(strict=True) of torchvision's networks asks for.  step: updates the weights have seen; -1: not
 * known.  Errors: LK_ERR_SYSTEM, LK_ERR_CHECKPOINT. */
lk_status lk_weights_write(lk_weights *from, int64_t step, bool ema, const char *path);

/* ------------------------------------------------------------------ transfer */

/* What becomes of tensors when a run starts from the checkpoint of another one, `init_from`. */
#define LK_MATCH_RESULT_LIST(X)                                                                                        \
    X(LK_MATCH_LOADED, "loaded") X(LK_MATCH_MISSING, "missing") X(LK_MATCH_UNEXPECTED, "unexpected")                 \
    X(LK_MATCH_SHAPE, "other shape")
typedef enum lk_match_result { LK_MATCH_RESULT_LIST(LK_WORD_ENUM) LK_N_FATES } lk_match_result;
enum { LK_WHY_BYTES = 256 };

typedef struct lk_weight_match_row {
    lk_match_result result;
    const lk_ckpt_tensor *here;  /* borrowed, the model's; NULL: the model has none of this name */
    const lk_ckpt_tensor *there; /* borrowed, the checkpoint's; NULL: the checkpoint has none of this name */
    char why[LK_WHY_BYTES];      /* empty for what is loaded */
} lk_weight_match_row;

typedef struct lk_weight_match {
    lk_weight_match_row *row;    /* owned: the model's tensors in their order, then the checkpoint's that are
                                  * unexpected */
    size_t n_rows, n[LK_N_FATES]; /* n: rows of each fate */
} lk_weight_match;

/* Which of the model's tensors `here` get their values from which of the checkpoint's tensors `there` (of one kind: all
 * "model/..." or all "ema/..."): those of equal name and shape.  rename is a list of "FROM -> TO": the first FROM that
 * matches a name of the checkpoint (a glob, as in `freeze`) makes it TO, in which each * is what the * of the same
 * number in FROM matched, the shortest that fits.  Errors: LK_ERR_USAGE (a FROM that matches no name; two names that
 * become one). */
lk_status lk_weight_match_new(const lk_ckpt_tensor *here, size_t n_here, const lk_ckpt_tensor *there, size_t n_there,
                              const lk_words *rename, lk_weight_match **out);
void      lk_weight_match_free(lk_weight_match **match);
/* Errors: LK_ERR_USAGE (nothing is loaded; strict, and something is missing, unexpected or of another shape), naming
 * tensors and reasons, and the rename rule where names fit but for a prefix. */
lk_status lk_weight_match_check(const lk_weight_match *match, bool strict);
/* "12 loaded, 2 missing (8.weight: ...; 8.bias: ...), 1 unexpected (...), 0 of another shape": of long lists the
 * beginning. */
void      lk_weight_match_describe(const lk_weight_match *match, char *text, size_t nbytes);
/* Reads what is to be loaded into the data of `here`; `there` are the tensors of `weights`.  Errors:
 * LK_ERR_CHECKPOINT. */
lk_status lk_weight_match_load(const lk_weight_match *match, lk_weights *weights);
/* The name behind the kind: "0.weight" of "model/0.weight". */
const char *lk_tensor_name(const lk_ckpt_tensor *tensor);
/* Errors: LK_ERR_USAGE (this is no "FROM -> TO"). */
lk_status lk_rename_check(const char *rule);

/* ------------------------------------------------ metrics, journal, progress */

/* Which weights are measured on which samples: X(ID, prefix of the names, in words, in short, what it needs: validation
 * data, an EMA, metrics.train). */
#define LK_METRIC_PART_LIST(X)                                                                                      \
    /* each step's own, since the epoch began */                                                                   \
    X(LK_PART_OF_STEPS, "train.", "training", "train", false, false, false)                                         \
    X(LK_PART_OF_WEIGHTS, "validation.", "validation", "val", true, false, false)                                   \
    X(LK_PART_OF_EMA, "ema.validation.", "validation, EMA", "ema", true, true, false)                               \
    X(LK_PART_OF_TRAINING, "train_eval.", "training, evaluated", "train eval", false, false, true)
typedef enum lk_metric_part_id { LK_METRIC_PART_LIST(LK_WORD_ENUM) LK_N_METRIC_PARTS } lk_metric_part_id;
typedef struct lk_metric_part {
    const char *prefix, *title, *word;
    bool needs_validation, needs_ema, needs_train;
} lk_metric_part;
extern const lk_metric_part lk_metric_parts[LK_N_METRIC_PARTS];

/* What decides which metrics a run has. */
typedef struct lk_measured {
    lk_loss_kind loss;
    bool validation, ema, train; /* there is such data, an EMA; metrics.train */
    unsigned asked;              /* metrics.measure: bit m for metric m, beside the usual ones */
} lk_measured;

/* The bit of a metric by its name, 0: none. */
unsigned lk_metric_bit(const char *name);
lk_measured lk_recipe_measures(const lk_recipe *recipe, bool validation);
/* Names of what a run measures, a part's prefix and a metric of the engine's, by parts in their order; returns how
 * many. */
enum { LK_MOST_METRICS = LK_N_METRIC_PARTS * LK_N_METRICS };
size_t lk_metric_names(const lk_measured *what, const char *names[LK_MOST_METRICS]);
/* Part (-1: none) and metric (NULL: none) that a name speaks of. */
int  lk_metric_part_of(const char *name);
const lk_metric *lk_metric_of(const char *name);
bool lk_metric_larger_is_better(const char *name);

/* RUN/metrics.csv: one line an evaluation, columns fixed by the first call of lk_metrics_open.  `resume_step` >= 0
 * drops lines after that step (an earlier try's), -1 starts afresh. */
typedef struct lk_metrics lk_metrics;
lk_status lk_metrics_open(const char *path, const char *const *columns, size_t n, int64_t resume_step,
                          lk_metrics **out);
void      lk_metrics_free(lk_metrics **metrics);
/* Lines that the file has, the header left out: what a resumed run kept of an earlier one, and what came since. */
int64_t   lk_metrics_n_lines(const lk_metrics *metrics);
/* Brings the lines so far to the disk: a checkpoint that presupposes them is about to be published. */
lk_status lk_metrics_sync(lk_metrics *metrics);
/* values[i] NaN is an empty cell.  Each line is flushed. */
lk_status lk_metrics_write(lk_metrics *metrics, int64_t step, int64_t epoch, const double *values);

/* A metrics.csv as it stands, column by column. */
typedef struct lk_metrics_table {
    size_t n_rows, n_columns;
    char **name;     /* of columns: step, epoch, lr, train.loss, ...; owned, as is all here */
    double **column; /* column[c][row]; NaN: an empty cell */
} lk_metrics_table;
/* A last line that has no end yet is left out: the run may be writing it.  Errors: LK_ERR_SYSTEM (no such
 * file), LK_ERR_DATA with file and line. */
lk_status lk_metrics_read(const char *path, lk_metrics_table **out);
void      lk_metrics_table_free(lk_metrics_table **table);
/* A column's values by its name, NULL if there is none. */
const double *lk_metrics_column(const lk_metrics_table *table, const char *name);

/* RUN/journal.jsonl: one JSON object a line with time, step, event and reason. */
typedef struct lk_journal lk_journal;
lk_status lk_journal_open(const char *path, bool append, lk_journal **out);
void      lk_journal_free(lk_journal **journal);
lk_status lk_journal_sync(lk_journal *journal); /* as lk_metrics_sync() */
/* event is a word ("lr", "best", "stop", "checkpoint", "resume", "start"); reason is printf form. */
lk_status lk_journal_write(lk_journal *journal, int64_t step, const char *event, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* One line of a journal.  undone: a resume from an earlier step followed, so it no longer holds. */
typedef struct lk_journal_entry {
    int64_t step;
    char *time, *event, *reason; /* owned */
    bool undone;
} lk_journal_entry;
/* All lines in their order; a last one that has no end yet is left out.  Errors: LK_ERR_SYSTEM (no such file),
 * LK_ERR_DATA with file and line. */
lk_status lk_journal_read(const char *path, lk_journal_entry **entries, size_t *n);
void      lk_journal_entries_free(lk_journal_entry **entries, size_t n);

/* Digests (XXH3-64) of arrays step by step, to find where two runs part: CSV, a column for each. */
typedef struct lk_digests lk_digests;
/* A new file; who: who writes it, for messages.  Nothing is allocated after this call. */
lk_status lk_digests_open(const char *path, const char *const *columns, size_t n, const char *who, lk_digests **out);
void      lk_digests_free(lk_digests **digests);
/* The values of one column in the step that lk_digests_write() ends; what was not put is an empty cell. */
void      lk_digests_put(lk_digests *digests, size_t column, const float *values, size_t n_elem);
lk_status lk_digests_write(lk_digests *digests, int64_t step);

typedef struct lk_digest_cell { int64_t step; size_t column; uint64_t value; } lk_digest_cell;
typedef struct lk_digests_table {
    size_t n_columns, n_cells;
    char **name, *who;    /* (n_columns) of columns; owned, as is all here */
    lk_digest_cell *cell; /* (n_cells) those that are not empty */
} lk_digests_table;
/* A last line that has no end is left out.  Errors: LK_ERR_SYSTEM, LK_ERR_DATA. */
lk_status lk_digests_read(const char *path, lk_digests_table **out);
void      lk_digests_table_free(lk_digests_table **table);

/* RUN/tensorboard/events.out.tfevents.TIME.HOST.PID: what TensorBoard shows.  Nothing is allocated by
 * lk_events_scalars(); what it writes reaches the file by lk_events_flush(), by time, or when some 64 KiB have
 * gathered. */
typedef struct lk_events lk_events;
/* Starts a new file that sorts behind all in `dir` (made if it is absent).  What earlier files hold from first_step on
 * is void from now: a resumed run trains it again.  Errors: LK_ERR_SYSTEM. */
lk_status lk_events_open(const char *dir, int64_t first_step, lk_events **out);
/* Flushes; LK_ERR_SYSTEM when that fails. */
lk_status lk_events_close(lk_events **events);
/* n values at one step; NaN: no value.  A tag "epoch/train.loss" stands in the group `epoch`. */
lk_status lk_events_scalars(lk_events *events, int64_t step, const char *const *tags, const double *values, size_t n);
/* A text shown as it is, in lines. */
lk_status lk_events_text(lk_events *events, int64_t step, const char *tag, const char *text);
/* The distribution of those of the values that are finite. */
lk_status lk_events_histogram(lk_events *events, int64_t step, const char *tag, const float *values, size_t n);
lk_status lk_events_flush(lk_events *events);
lk_status lk_events_sync(lk_events *events); /* as lk_metrics_sync() */

/* A bar with rate and time left on a terminal, a plain line now and then elsewhere. */
typedef struct lk_progress lk_progress;
lk_status lk_progress_new(FILE *stream, int64_t total_steps, int64_t done_steps, lk_progress **out);
void      lk_progress_free(lk_progress **progress);
/* rate: samples a second of training, 0 as long as it is not known; loss: NaN leaves what is shown.  Cheap when there
 * is nothing to show; at most ten times a second on a terminal. */
void      lk_progress_update(lk_progress *progress, int64_t step, double rate, double loss);
/* Prints a line above the bar. */
void      lk_progress_say(lk_progress *progress, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* "12.1k samples/s", and "0:13" or "1:02:03"; return text. */
const char *lk_print_rate(double samples_per_second, char *text, size_t nbytes);
const char *lk_print_seconds(double seconds, char *text, size_t nbytes);

/* RUN/summary.json: values in the order they were set; "metrics/validation.mse" becomes the key "validation.mse" of an
 * object "metrics", a path without '/' a key of the whole.  Written to a temporary name, fsynced and renamed.  The
 * metadata' texts become strings, ints and reals numbers; a real that is not finite becomes null. */
lk_status lk_summary_write(const char *path, const lk_metadata *metadata);

/* XXH3-128 in hexadecimal. */
void      lk_hash_bytes(const void *bytes, size_t nbytes, char out[LK_HASH_BYTES]);

/* Rows of one size on disk, in files of as many rows each. */
typedef struct lk_row_files lk_row_files;
/* dir is made if it is absent.  key says what the rows are: files of another key are none. */
lk_status lk_row_files_new(const char *dir, const char *key, int64_t n, int64_t rows_per_file, size_t row_nbytes,
                           lk_row_files **out);
void      lk_row_files_free(lk_row_files **files);
/* Writes file f, rows [f * rows_per_file, ...): it is there whole or not at all.  Errors: LK_ERR_SYSTEM. */
lk_status lk_row_files_write(const lk_row_files *files, int64_t f, const void *rows);
/* Whether file f is there with the right key and checksum: reads all of it. */
lk_status lk_row_files_check(const lk_row_files *files, int64_t f, bool *whole);
/* Maps all of them.  Errors: LK_ERR_SYSTEM (one is not there). */
lk_status lk_row_files_open(lk_row_files *files);
/* A row, once they are open. */
const void *lk_row_files_row(const lk_row_files *files, int64_t row);
/* Removes a folder and what is in it; one that is absent is no error. */
lk_status lk_remove_tree(const char *path);
/* Removes all that is in `dir` but these names; absent: nothing to do. */
lk_status lk_remove_others(const char *dir, const char *const *keep, size_t n);

/* Makes a folder and its parents, as mkdir -p.  Errors: LK_ERR_SYSTEM. */
lk_status lk_make_dirs(const char *path);
/* The whole of a file with a NUL behind it; release with free().  nbytes may be NULL.  Errors: LK_ERR_SYSTEM. */
lk_status lk_read_file(const char *path, char **text, size_t *nbytes);
/* Writes nbytes to a temporary name beside `path`, syncs it, renames it and syncs the folder: at every moment `path`
 * is the old file or the new one.  Errors: LK_ERR_SYSTEM; the temporary file is then removed. */
lk_status lk_write_file_atomic(const char *path, const char *text, size_t nbytes);

#ifdef __cplusplus
}
#endif
#endif
