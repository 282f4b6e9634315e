/*
 * Recipes: what a run is to do, as read from a YAML file and what stands behind it, checked and with its defaults.
 * Everything here is Local.
 */
#ifndef LK_RECIPE_H
#define LK_RECIPE_H

#include <stdio.h>

#include "io/log/log.h"

#ifdef __cplusplus
extern "C" {
#endif

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
        int accumulate;                /* micro-batches of a lane, >= 1 */
        lk_words recompute;            /* "none", or as lk_recompute has it */
        int64_t evaluate_every;        /* units between evaluations, counted from the stage's beginning, default 1 */
        lk_unit evaluate_unit;
        int64_t evaluate_batch;        /* 0: as the training's */
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
    /* reduction, wire: indices in dist's lists of words: tree, mpi, nccl; fp32, bf16 */
    struct { int reduction, shard, wire; int64_t check_every; double timeout; int64_t bucket_bytes; } dist;
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
#define LK_SHARD_LIST(X) X(LK_SHARD_NONE, "none") X(LK_SHARD_OPTIMIZER, "optimizer")
typedef enum lk_shard_what { LK_SHARD_LIST(LK_WORD_ENUM) } lk_shard_what;
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

/* What decides which metrics a run of this recipe has. */
lk_measured lk_recipe_measures(const lk_recipe *recipe, bool validation);

#ifdef __cplusplus
}
#endif
#endif
