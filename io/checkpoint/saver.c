/*
 * Saving in the background: copy, write, publish.
 *
 *     idle --begin--> writing --poll, wait--> written --publish (part 0), finish--> idle
 *
 * lk_saver_begin() copies rows into the images of the files, which are laid out by the first save and used again
 * as long as the tensors stay the same; the thread of the save takes checksums and writes.  It calls no HDF5, so
 * the library need not be thread-safe.  leader.h5 is written by part 0's thread too, so that publishing is short:
 * index.h5 and names.
 *
 * Memory: one copy of this part's rows; on part 0 also one of the leader's tensors.  With a source the thread makes the
 * copy, once the source says that the tensors are there.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/checkpoint/parts.h"
#include "io/file/files.h"

enum { MESSAGE_BYTES = 2048 };

typedef enum state { IDLE, WRITING, WRITTEN } state;

struct lk_saver {
    char *dir;                        /* owned */
    int r, n, keep;
    lk_shard shard, leader;           /* leader and index: part 0 alone */
    lk_index index;
    lk_ckpt_piece *cut;               /* owned, (n_cut): as lk_saver_cut() was told; NULL: evenly */
    size_t n_cut;
    lk_cut pieces;                 /* of the tensors that are laid out */

    void (*warn)(void *arg, const char *message); /* NULL: nobody is told */
    void *warn_arg;
    bool warned;                      /* that links cannot be set: once is enough */

    lk_status (*ready)(void *arg);    /* the source; NULL: tensors are there when a save begins */
    void *ready_arg;
    lk_ckpt_tensor *late[2];          /* owned; with a source: shared and leader tensors of the save in flight */

    state state;
    int64_t step;
    char partial[LK_CKPT_PATH_BYTES]; /* folder of the save in flight */
    pthread_t thread;
    atomic_bool finished;             /* set by the thread, behind what follows */
    lk_status status;                 /* of the writing */
    char message[MESSAGE_BYTES];      /* of its failure */
};

lk_status lk_saver_new(const char *dir, int r, int n, int keep, lk_saver **out)
{
    if (n < 1 || n > LK_MOST_PARTS || r < 0 || r >= n)
        return LK_FAIL(LK_ERR_USAGE, "part %d of %d does not exist: there are 1 to %d parts, counted from 0", r, n,
                       LK_MOST_PARTS);
    if (keep < 1) return LK_FAIL(LK_ERR_USAGE, "checkpoint.keep is %d: at least one must be kept", keep);
    LK_TRY(lk_make_dirs(dir));
    if (r == 0) LK_TRY(lk_clear_leftovers(dir));

    lk_saver *saver = calloc(1, sizeof *saver);
    LK_TRY_ALLOC(saver, sizeof *saver);
    *saver = (lk_saver){.dir = strdup(dir), .r = r, .n = n, .keep = keep};
    if (!saver->dir) {
        free(saver);
        return LK_FAIL(LK_ERR_SYSTEM, "out of memory: the name of %s", dir);
    }
    *out = saver;
    return LK_OK;
}

/* ------------------------------------------------------------------- thread */

static void copy_tensors(lk_saver *saver, const lk_ckpt_tensor *shared, const lk_ckpt_tensor *leader)
{
    lk_shard_fill(&saver->shard, shared);
    if (saver->r != 0) return;
    lk_shard_fill(&saver->leader, leader);
    lk_index_fill(&saver->index, shared, leader);
}

static lk_status write_files(lk_saver *saver)
{
    char name[LK_FILE_NAME_BYTES];

    if (saver->ready) {
        LK_TRY(saver->ready(saver->ready_arg));
        copy_tensors(saver, saver->late[0], saver->late[1]);
    }
    if (lk_mkdir(saver->partial) != 0 && errno != EEXIST)
        return LK_FAIL(LK_ERR_SYSTEM, "cannot make the folder %s: %s", saver->partial, strerror(errno));
    lk_shard_name(name, saver->r, saver->n);
    lk_shard_check(&saver->shard);
    LK_TRY(lk_ckpt_file_write(saver->partial, name, saver->step, saver->shard.extents_offset, &saver->shard.image));
    if (saver->r == 0) {
        lk_shard_check(&saver->leader);
        LK_TRY(lk_ckpt_file_write(saver->partial, LK_LEADER_FILE, saver->step, saver->leader.extents_offset,
                                  &saver->leader.image));
    }
    LK_TRY(lk_sync_dir(saver->partial));
    return LK_OK;
}

static void *thread_main(void *arg)
{
    lk_saver *saver = arg;

    saver->status = write_files(saver);
    /* Messages belong to threads: this one is carried over. */
    if (saver->status != LK_OK) snprintf(saver->message, sizeof saver->message, "%s", lk_error_message());
    atomic_store_explicit(&saver->finished, true, memory_order_release);
    return NULL;
}

static void join(lk_saver *saver)
{
    if (saver->state != WRITING) return;
    pthread_join(saver->thread, NULL);
    saver->state = WRITTEN;
}

/* -------------------------------------------------------------------- begin */

lk_status lk_saver_cut(lk_saver *saver, const lk_ckpt_piece *pieces, size_t n)
{
    lk_ckpt_piece *cut = malloc((n + 1) * sizeof *cut);

    LK_TRY_ALLOC(cut, n * sizeof *cut);
    if (n > 0) memcpy(cut, pieces, n * sizeof *cut);
    free(saver->cut);
    saver->cut = cut;
    saver->n_cut = n;
    return LK_OK;
}

static lk_status cut_pieces(lk_saver *saver, const lk_ckpt_tensor *shared, size_t n_shared)
{
    lk_cut_free(&saver->pieces);
    if (saver->cut) return lk_cut_take(saver->cut, saver->n_cut, shared, n_shared, saver->n, &saver->pieces);
    return lk_cut_even(shared, n_shared, saver->n, &saver->pieces);
}

static lk_status lay_out_own(lk_saver *saver, const lk_ckpt_tensor *shared, size_t n_shared)
{
    char name[LK_FILE_NAME_BYTES];

    if (lk_layout_equal(&saver->shard.layout, shared, n_shared)) return LK_OK;
    LK_TRY(lk_layout_check(shared, n_shared));
    LK_TRY(cut_pieces(saver, shared, n_shared));
    lk_shard_name(name, saver->r, saver->n);
    return lk_shard_build(&saver->shard, name, shared, n_shared, &saver->pieces, saver->r, NULL);
}

static lk_status lay_out_leader(lk_saver *saver, const lk_ckpt_tensor *shared, size_t n_shared,
                                const lk_ckpt_tensor *leader, size_t n_leader, const lk_metadata *metadata)
{
    /* Texts among the metadata change their length, so this file is laid out each time. */
    LK_TRY(lk_shard_build(&saver->leader, LK_LEADER_FILE, leader, n_leader, NULL, 0, metadata));
    if (!lk_layout_equal(&saver->index.shared, shared, n_shared) ||
        !lk_layout_equal(&saver->index.leader, leader, n_leader))
        LK_TRY(lk_index_build(&saver->index, shared, n_shared, leader, n_leader, saver->n, &saver->pieces));
    return LK_OK;
}

static void forget_late(lk_saver *saver)
{
    for (int i = 0; i < 2; i++) {
        free(saver->late[i]);
        saver->late[i] = NULL;
    }
}

/* Where the thread will find them; of each tensor its place and size, not its name. */
static lk_status keep_late(lk_saver *saver, int i, const lk_ckpt_tensor *tensors, size_t n)
{
    saver->late[i] = malloc((n + 1) * sizeof *tensors);
    LK_TRY_ALLOC(saver->late[i], (n + 1) * sizeof *tensors);
    if (n > 0) memcpy(saver->late[i], tensors, n * sizeof *tensors);
    return LK_OK;
}

void lk_saver_set_source(lk_saver *saver, lk_status (*ready)(void *arg), void *arg)
{
    saver->ready = ready;
    saver->ready_arg = arg;
}

lk_status lk_saver_begin(lk_saver *saver, int64_t step, const lk_ckpt_tensor *shared, size_t n_shared,
                         const lk_ckpt_tensor *leader, size_t n_leader, const lk_metadata *metadata)
{
    char name[LK_FILE_NAME_BYTES];

    if (saver->state != IDLE)
        return LK_FAIL(LK_ERR_CHECKPOINT, "the save of step %lld is still in flight, so step %lld cannot be saved",
                       (long long)saver->step, (long long)step);
    if (step < 0) return LK_FAIL(LK_ERR_USAGE, "step %lld cannot be saved: steps count from 0", (long long)step);
    if (saver->r != 0 && (n_leader > 0 || metadata))
        return LK_FAIL(LK_ERR_USAGE, "part %d saves what only part 0 has", saver->r);
    lk_step_name(name, step, ".partial");
    LK_TRY(lk_ckpt_path(saver->partial, saver->dir, name));
    LK_TRY(lay_out_own(saver, shared, n_shared));
    if (saver->r == 0) LK_TRY(lay_out_leader(saver, shared, n_shared, leader, n_leader, metadata));
    forget_late(saver);
    if (saver->ready) {
        LK_TRY(keep_late(saver, 0, shared, n_shared));
        LK_TRY(keep_late(saver, 1, leader, n_leader));
    } else {
        copy_tensors(saver, shared, leader);
    }

    saver->step = step;
    saver->status = LK_OK;
    atomic_store_explicit(&saver->finished, false, memory_order_relaxed);
    /* Without signals, a file that grows over its limit is an error there. */
    const int why = lk_thread_start(&saver->thread, thread_main, saver);
    if (why != 0) return LK_FAIL(LK_ERR_SYSTEM, "cannot start the thread that saves: %s", strerror(why));
    saver->state = WRITING;
    return LK_OK;
}

/* ------------------------------------------------------------ what comes then */

bool lk_saver_busy(const lk_saver *saver) { return saver->state != IDLE; }

static lk_status result(const lk_saver *saver)
{
    if (saver->state == IDLE || saver->status == LK_OK) return LK_OK;
    return LK_FAIL(saver->status, "%s", saver->message);
}

lk_status lk_saver_poll(lk_saver *saver, bool *done)
{
    *done = saver->state != WRITING || atomic_load_explicit(&saver->finished, memory_order_acquire);
    if (!*done) return LK_OK;
    join(saver);
    return result(saver);
}

lk_status lk_saver_wait(lk_saver *saver)
{
    join(saver);
    return result(saver);
}

void lk_saver_set_warn(lk_saver *saver, void (*warn)(void *arg, const char *message), void *arg)
{
    saver->warn = warn;
    saver->warn_arg = arg;
}

/* Links are a convenience: a run does not end for want of them. */
static void set_links(lk_saver *saver, int64_t latest, int64_t best)
{
    if (lk_links_set(saver->dir, latest, best) == LK_OK || saver->warned) return;
    saver->warned = true;
    if (saver->warn) saver->warn(saver->warn_arg, lk_error_message());
}

lk_status lk_saver_mend(lk_saver *saver, int64_t newest, int64_t *best)
{
    if (*best < 0) *best = lk_link_step(saver->dir, "best");
    else if (!lk_step_exists(saver->dir, *best)) *best = -1;
    set_links(saver, newest, *best);
    LK_TRY(lk_prune(saver->dir, newest, saver->keep, *best));
    return LK_OK;
}

static lk_status publish(lk_saver *saver, int64_t best)
{
    LK_TRY(lk_saver_wait(saver));
    LK_TRY(lk_publish(saver->dir, saver->step, saver->n, &saver->index));
    set_links(saver, saver->step, best);
    LK_TRY(lk_prune(saver->dir, saver->step, saver->keep, best));
    return LK_OK;
}

lk_status lk_saver_publish(lk_saver *saver, int64_t best)
{
    if (saver->r != 0) return LK_FAIL(LK_ERR_USAGE, "part %d cannot publish: part 0 does", saver->r);
    if (saver->state == IDLE) return LK_FAIL(LK_ERR_CHECKPOINT, "there is no save to publish");
    lk_status status = publish(saver, best);
    if (status != LK_OK) {
        char message[MESSAGE_BYTES];

        /* Half a checkpoint is of no use and fills the disk.  What failed first is what is told. */
        snprintf(message, sizeof message, "%s", lk_error_message());
        lk_remove_tree(saver->partial);
        status = LK_FAIL(status, "%s", message);
    }
    saver->state = IDLE;
    return status;
}

lk_status lk_saver_finish(lk_saver *saver)
{
    if (saver->state == IDLE) return LK_OK;
    join(saver);
    saver->state = IDLE;
    if (saver->r == 0) LK_TRY(lk_remove_tree(saver->partial));
    return LK_OK;
}

void lk_saver_free(lk_saver **saver)
{
    if (!saver || !*saver) return;
    join(*saver);
    forget_late(*saver);
    lk_cut_free(&(*saver)->pieces);
    free((*saver)->cut);
    lk_index_free(&(*saver)->index);
    lk_shard_free(&(*saver)->leader);
    lk_shard_free(&(*saver)->shard);
    free((*saver)->dir);
    lk_free(saver);
}
