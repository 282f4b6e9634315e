/*
 * Features: what the frozen side of a model gives for the samples of one part of the data.  With train.cache_frozen
 * they are computed in pieces of one size, whatever the lanes are, and are kept, so that a lane finds them by its
 * samples' numbers; with `no` they are computed for each lane, in the same pieces.
 */
#ifndef LK_FEATURES_H
#define LK_FEATURES_H

#include "launch/launch.h"

struct features {
    lk_mode mode;             /* TRAIN: of the training part, EVAL: of the validation part */
    const lk_dataset *data;   /* borrowed */
    lk_frontier frontier;
    int64_t n;                /* samples */
    size_t row_nbytes;        /* of one */
    int64_t piece;            /* samples that go through the frozen side at a time */
    bool kept;                /* else computed for each lane */
    bool on_disk;             /* kept there, else in memory */
    size_t room_nbytes;       /* of all below but the rows and the loader */
    char *rows;               /* (n, row_nbytes), owned: kept in memory; NULL: not filled, or not there */
    lk_row_files *files;      /* owned: kept on disk; NULL alike */
    lk_loader *loader;        /* owned: EVAL's batches, with what the trained side reads */
    char *lane;               /* owned: of the lane, or micro-batch, that runs */
    char *of_piece;           /* owned: of the piece that was run last */
    char *row;                /* owned: of a sample on its way */
    char *field[LK_MAX_FIELDS]; /* owned: (piece, shape...), what the frozen side reads; NULL: it does not */
};

/* Runs n samples, at most a piece, through the frozen side under j->params; what is left of the piece is filled up with
 * the last of them.  field: by lk_model_sample(), (n, shape...).  f->of_piece has the features.  Local. */
lk_status features_run(job *j, features *f, const void *const field[], int64_t n);

/* What the features depend on, in one hash.  Local. */
lk_status features_key(job *j, const features *f, char out[LK_HASH_BYTES]);
/* LK_ERR_USAGE with the place of train.cache_frozen, and why it cannot be; frozen.c.  Local. */
lk_status frozen_refuse(const job *j, const char *why);

#endif
