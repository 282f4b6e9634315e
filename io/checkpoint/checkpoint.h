/* Checkpoints: written whole or not at all, by part r of n; read by anybody.  Everything here is Local. */
#ifndef LK_CHECKPOINT_H
#define LK_CHECKPOINT_H

#include "io/file/file.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One tensor of a checkpoint; path is "model/fc.weight", "optimizer/exp_avg/fc.weight", "ema/fc.weight". */
typedef struct lk_ckpt_tensor {
    const char *path;
    int ndim;
    int64_t shape[LK_MAX_DIMS];
    size_t n_elem;
    float *data;            /* whole tensor, fp32, host memory; borrowed */
    bool is_part;           /* data begins with row `begin` and ends with row `end` - 1: no other is here */
    int64_t begin, end;
} lk_ckpt_tensor;

/* Rows [begin, end) of a tensor, by its place among the shared ones, are in a part's file. */
typedef struct lk_ckpt_piece { int64_t tensor, part, begin, end; } lk_ckpt_piece;

typedef struct lk_saver lk_saver;

/* Writes checkpoints of one run as part r of n.  dir is RUN/checkpoints, made if it is absent.
 *
 * One save goes: lk_saver_begin() on every part copies its rows (and on part 0 what the leader alone owns) and returns;
 * a thread writes shard-R-of-N.h5 (on part 0 also leader.h5) into step-N.partial/ and fsyncs it; lk_saver_poll() tells
 * when that is done.  When every part is done, part 0 calls lk_saver_publish(): index.h5, fsync, rename, links, and
 * removal of what `keep` no longer keeps.  Until then the older checkpoints are all that exist. */
lk_status lk_saver_new(const char *dir, int r, int n, int keep, lk_saver **out);
void      lk_saver_free(lk_saver **saver); /* waits for the thread; an unpublished save stays .partial */
/* How the shared tensors of the saves to come are cut: pieces, in order of tensors and of their rows, each row in one,
 * of a tensor at most one a part; the same on all parts; copied.  Where this is not said, each tensor is cut evenly.
 * Errors, when a save begins: LK_ERR_CHECKPOINT (a tensor is not covered). */
lk_status lk_saver_cut(lk_saver *saver, const lk_ckpt_piece *pieces, size_t n);
/* shared: tensors every worker holds alike, or of which it holds its pieces, cut by rows over the parts.
 * leader: tensors of part 0 alone (n_leader 0 and metadata NULL elsewhere).  All is copied before it returns.  Errors:
 * LK_ERR_CHECKPOINT (a save is in flight). */
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
/* The same in two halves for several workers that share the work: first each, r of n, verifies its part of one
 * checkpoint (index.h5 and every n-th other file), and once all have found theirs good, each opens it without reading
 * all of it again.  path: RUN/checkpoints/step-N, or a link to it.  Errors: LK_ERR_CHECKPOINT naming file and
 * tensor. */
lk_status lk_checkpoint_verify_part(const char *path, int r, int n);
lk_status lk_checkpoint_open_verified(const char *path, lk_checkpoint **out);
/* Which checkpoints a path may mean, one a line, those to try first in front: itself, or of RUN and RUN/checkpoints
 * those in it, the newest first; *any: it is a folder of several, of which one that is good is meant.  *paths is
 * released with free(), NULL: it is such a folder, and there is none in it. */
lk_status lk_checkpoint_candidates(const char *path, char **paths, bool *any);
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
/* Whole tensors, or the rows that are held, by path into each data; shapes must agree.  Errors: LK_ERR_CHECKPOINT
 * naming the tensor. */
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

#ifdef __cplusplus
}
#endif
#endif
