/*
 * Features are computed and kept.
 *
 * They depend on weights that the stage leaves as they are, on data and on the size of a piece, so whoever computes
 * them, and when, gets the same.  Samples are cut into blocks of whole pieces, and each worker computes a run of
 * neighbouring blocks.  In memory they are given to all, and computed again after a resume.  On disk a block is a file
 * of RUN/features, which all workers map; what is there whole, under the key of what it depends on, is not computed
 * again, so that a job that was killed while it filled goes on where it was.
 *
 * A lane without features runs the same pieces of other samples.  That a sample's features do not depend on those
 * beside it is so for all kernels of ours; where libraries take samples together it is looked at before anything is
 * kept.
 *
 * A request to stop is heeded between two pieces.
 */
#include "launch/job/features.h"

#include <inttypes.h>
#include <string.h>

enum { BLOCK_BYTES = 64 << 20, LEAST_BLOCKS = 64, TEXT_BYTES = 512, FOUND_BYTES = 128, PATH_BYTES = 4096 };
static const double SAY_EVERY_S = 5.0;

/* One part of the data on its way. */
typedef struct filling {
    job *j;
    features *f;
    const char *part;    /* "training" */
    const frozen_watch *watch;
    lk_loader *loader;   /* owned; NULL until something is computed */
    char *block;         /* owned: on disk, the rows of a block on their way */
    bool compared;       /* turned samples have been looked at */
    int64_t n_done, n_own;
    double said;         /* when */
} filling;

/* ------------------------------------------------------------------- blocks */

/* Samples of whole pieces that one worker computes; enough blocks for many workers, none too large to lose. */
static int64_t block_of(const features *f)
{
    const int64_t pieces = (f->n + f->piece - 1) / f->piece, fair = pieces / LEAST_BLOCKS;
    const int64_t most = (int64_t)(BLOCK_BYTES / ((size_t)f->piece * f->row_nbytes));
    const int64_t k = fair < most ? fair : most;

    return f->piece * (k > 1 ? k : 1);
}

/* Blocks that worker r of n computes. */
static lk_status blocks_of(const features *f, int r, int n, int64_t *begin, int64_t *end)
{
    const int64_t block = block_of(f);

    return lk_part_rows((f->n + block - 1) / block, r, n, begin, end);
}

/* Of a block, or the first behind the last. */
static int64_t first_of(const features *f, int64_t block)
{
    const int64_t first = block * block_of(f);

    return first < f->n ? first : f->n;
}

/* -------------------------------------------------------------- computation */

/* In order, with what the frozen side reads, drawn as for its lanes. */
static lk_status make_loader(job *j, const features *f, lk_loader **out)
{
    const lk_recipe *r = j->recipe;
    lk_loader_spec spec = {.batch = f->piece, .lanes = 1, .lane_end = 1, .train = f->mode == LK_TRAIN,
                           .threads = r->data.threads, .seed = r->run.seed, .loss = r->model.loss};

    LK_TRY(job_match_fields(j, f->data, true, &spec.fields));
    for (int k = 0; k < spec.fields.n; k++)
        if (!(f->frontier.frozen_reads >> k & 1u)) spec.fields.from[k] = -1;
    return lk_loader_new(f->data, &spec, out);
}

static void keep_rows(const features *f, int64_t n, char *rows)
{
    for (int64_t i = 0; i < n; i++)
        lk_frontier_get(&f->frontier, f->piece, i, f->of_piece, rows + (size_t)i * f->row_nbytes);
}

/* A lane's samples the other way round. */
static lk_status turn_samples(const job *j, const features *f, const lk_batch_lane *own, void *turned[LK_MAX_FIELDS])
{
    const lk_sample *sample = lk_model_sample(j->model);

    for (int k = 0; k < sample->n_fields; k++) {
        const size_t nbytes = lk_field_nbytes(&sample->field[k], 0);
        const char *from = own->field[k];

        if (!f->field[k]) continue;
        turned[k] = lk_alloc((size_t)own->n * nbytes);
        LK_TRY_ALLOC(turned[k], (size_t)own->n * nbytes);
        for (int64_t i = 0; i < own->n; i++)
            memcpy((char *)turned[k] + (size_t)(own->n - 1 - i) * nbytes, from + (size_t)i * nbytes, nbytes);
    }
    return LK_OK;
}

/* Turned samples have the same features, rows. */
static lk_status compare_turned(job *j, features *f, const lk_batch_lane *own, const char *rows)
{
    void *turned[LK_MAX_FIELDS] = {0};
    bool alike = true;

    lk_status status = turn_samples(j, f, own, turned);
    if (status == LK_OK) status = features_run(j, f, (const void *const *)turned, own->n);
    for (int64_t i = 0; status == LK_OK && i < own->n; i++) {
        lk_frontier_get(&f->frontier, f->piece, own->n - 1 - i, f->of_piece, f->row);
        alike &= memcmp(f->row, rows + (size_t)i * f->row_nbytes, f->row_nbytes) == 0;
    }
    for (int k = 0; k < LK_MAX_FIELDS; k++) lk_free(&turned[k]);
    if (status != LK_OK || alike) return status;
    return frozen_refuse(j, "this engine's libraries give a sample other bits at another place of a piece");
}

static void tell(filling *w)
{
    char text[TEXT_BYTES];

    if (!w->j->leader || lk_seconds() - w->said < SAY_EVERY_S) return;
    w->said = lk_seconds();
    snprintf(text, sizeof text, "frozen layers: %s: %" PRId64 " of this worker's %" PRId64 " samples", w->part,
             w->n_done, w->n_own);
    w->watch->say(w->watch->arg, text);
}

static lk_status compute_piece(filling *w, char *rows)
{
    lk_batch batch;

    lk_world_progress(w->j->world, w->j->step, "frozen layers");
    if (w->watch->stop()) return LK_STOPPED;
    LK_TRY(lk_loader_next(w->loader, &batch));
    LK_TRY(features_run(w->j, w->f, batch.lane[0].field, batch.n));
    keep_rows(w->f, batch.n, rows);
    if (w->watch->stop()) return LK_STOPPED;
    if (!w->compared) LK_TRY(compare_turned(w->j, w->f, &batch.lane[0], rows));
    w->compared = true;
    w->n_done += batch.n;
    tell(w);
    return LK_OK;
}

static lk_status compute_block(filling *w, int64_t block, char *rows)
{
    const features *f = w->f;
    const int64_t first = first_of(f, block), end = first_of(f, block + 1);

    if (!w->loader) LK_TRY(make_loader(w->j, f, &w->loader));
    LK_TRY(lk_loader_seek(w->loader, 0, first / f->piece));
    for (int64_t i = first; i < end; i += f->piece)
        LK_TRY(compute_piece(w, rows + (size_t)(i - first) * f->row_nbytes));
    return LK_OK;
}

/* ------------------------------------------------------------------- memory */

static lk_status compute_in_memory(filling *w, int64_t begin, int64_t end)
{
    features *f = w->f;

    f->rows = lk_alloc((size_t)f->n * f->row_nbytes);
    LK_TRY_ALLOC(f->rows, (size_t)f->n * f->row_nbytes);
    for (int64_t b = begin; b < end; b++) LK_TRY(compute_block(w, b, f->rows + (size_t)first_of(f, b) * f->row_nbytes));
    return LK_OK;
}

static lk_status share(const job *j, features *f)
{
    const int size = lk_world_size(j->world);

    for (int r = 0; r < size; r++) {
        int64_t begin, end;

        LK_TRY(blocks_of(f, r, size, &begin, &end));
        begin = first_of(f, begin);
        LK_TRY(lk_world_broadcast_from(j->world, r, f->rows + (size_t)begin * f->row_nbytes,
                                       (size_t)(first_of(f, end) - begin) * f->row_nbytes));
    }
    return LK_OK;
}

/* --------------------------------------------------------------------- disk */

/* RUN/features/NAME: stages and parts have their own. */
static void name_of(const job *j, lk_mode mode, char name[TEXT_BYTES])
{
    snprintf(name, TEXT_BYTES, "stage-%u-%s", j->stage, mode == LK_TRAIN ? "training" : "validation");
}

static lk_status folder_of(const job *j, const char *name, char path[PATH_BYTES])
{
    const char *slash = *name ? "/" : "";

    if (snprintf(path, PATH_BYTES, "%s/features%s%s", j->recipe->run.dir, slash, name) < PATH_BYTES) return LK_OK;
    return LK_FAIL(LK_ERR_USAGE, "run.dir: %s is too long a path", j->recipe->run.dir);
}

/* Features of other stages are of no more use. */
static lk_status forget_others(const job *j)
{
    char names[2][TEXT_BYTES], path[PATH_BYTES];
    const char *keep[] = {names[0], names[1]};
    const bool on_disk = j->train_features && j->train_features->on_disk;

    name_of(j, LK_TRAIN, names[0]);
    name_of(j, LK_EVAL, names[1]);
    LK_TRY(folder_of(j, "", path));
    return lk_remove_others(path, keep, on_disk ? 2 : 0);
}

static lk_status open_files(job *j, features *f)
{
    char name[TEXT_BYTES], path[PATH_BYTES], key[LK_HASH_BYTES];

    name_of(j, f->mode, name);
    LK_TRY(folder_of(j, name, path));
    LK_TRY(features_key(j, f, key));
    return lk_row_files_new(path, key, f->n, block_of(f), f->row_nbytes, &f->files);
}

static lk_status compute_on_disk(filling *w, int64_t begin, int64_t end)
{
    features *f = w->f;
    bool whole;

    LK_TRY(open_files(w->j, f));
    w->block = lk_alloc((size_t)block_of(f) * f->row_nbytes);
    LK_TRY_ALLOC(w->block, (size_t)block_of(f) * f->row_nbytes);
    for (int64_t b = begin; b < end; b++) {
        lk_world_progress(w->j->world, w->j->step, "read features");
        LK_TRY(lk_row_files_check(f->files, b, &whole));
        if (whole) continue;
        LK_TRY(compute_block(w, b, w->block));
        LK_TRY(lk_row_files_write(f->files, b, w->block));
    }
    return LK_OK;
}

/* ------------------------------------------------------------------ together */

static lk_status compute_own(filling *w)
{
    int64_t begin, end;

    LK_TRY(blocks_of(w->f, lk_world_rank(w->j->world), lk_world_size(w->j->world), &begin, &end));
    w->n_own = first_of(w->f, end) - first_of(w->f, begin);
    const lk_status status = w->f->on_disk ? compute_on_disk(w, begin, end) : compute_in_memory(w, begin, end);
    lk_free(&w->block);
    lk_loader_free(&w->loader);
    return status;
}

static void tell_all(const filling *w, double seconds)
{
    const double MIB = 1 << 20;
    const features *f = w->f;
    char text[TEXT_BYTES], found[FOUND_BYTES] = "";

    if (!w->j->leader) return;
    if (w->n_done < w->n_own)
        snprintf(found, sizeof found, ", %" PRId64 " of this worker's %" PRId64 " found there", w->n_own - w->n_done,
                 w->n_own);
    snprintf(text, sizeof text, "frozen layers: %s: features of %" PRId64 " samples kept %s, %.4g MiB%s, %.3g s",
             w->part, f->n, f->on_disk ? "on disk" : "in memory", (double)f->n * (double)f->row_nbytes / MIB, found,
             seconds);
    w->watch->say(w->watch->arg, text);
}

static lk_status fill(job *j, features *f, const char *part, const frozen_watch *watch)
{
    const double begun = lk_seconds();
    filling w = {.j = j, .f = f, .part = part, .watch = watch, .said = begun};

    if (!f || !f->kept) return LK_OK;
    w.compared = !f->frontier.tiles_samples;
    LK_TRY(job_agree(j, compute_own(&w)));
    if (f->on_disk) LK_TRY(job_agree(j, lk_row_files_open(f->files)));
    else LK_TRY(share(j, f));
    tell_all(&w, lk_seconds() - begun);
    return LK_OK;
}

lk_status frozen_fill(job *j, const frozen_watch *watch)
{
    LK_TRY(job_agree(j, j->leader ? forget_others(j) : LK_OK));
    LK_TRY(fill(j, j->train_features, "training", watch));
    return fill(j, j->validation_features, "validation", watch);
}
