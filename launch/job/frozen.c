/*
 * train.cache_frozen: features of a stage are opened, checked and filled.
 *
 * They depend on weights that the stage leaves as they are, on data and on the size of a piece, so whoever computes
 * them, and when, gets the same: they are computed when the stage begins and again after a resume.  Samples are
 * cut into blocks of whole pieces; each worker computes a run of neighbouring blocks and gives them to all.
 *
 * A lane without features runs the same pieces of other samples.  That a sample's features do not depend on those
 * beside it is so for all kernels of ours; for those of libraries it is looked at before anything is kept.
 */
#include "launch/job/features.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK_BYTES = 64 << 20, LEAST_BLOCKS = 64, TEXT_BYTES = 512 };
static const double SAY_EVERY_S = 5.0;

/* ------------------------------------------------------------------- checks */

static bool is_kept(const job *j) { return j->recipe->train.cache_frozen > LK_CACHE_FROZEN_NO; }

/* What has been found, with the place of the key. */
static lk_status refuse(const job *j, const char *why)
{
    const lk_recipe *r = j->recipe;

    return LK_FAIL(LK_ERR_USAGE, "%s: train.cache_frozen%s%s: %s; leave the key out%s", lk_recipe_where(r,
                   "train.cache_frozen"), r->stage ? " of stage " : "", r->stage ? r->stage : "", why,
                   r->stage ? " of this stage" : "");
}

static lk_status refuse_random_transforms(const job *j)
{
    static const struct { const char *word; bool random; } kinds[] = {
#define TRANSFORM_ROW(id, word, random) [id] = {word, random},
        LK_TRANSFORM_LIST(TRANSFORM_ROW)
#undef TRANSFORM_ROW
    };
    const lk_transform_list *list = &j->recipe->data.transforms;
    char why[TEXT_BYTES];

    for (unsigned i = 0; i < list->n; i++) {
        const lk_transform_spec *t = &list->transform[i];

        if (!kinds[t->kind].random) continue;
        snprintf(why, sizeof why, "%s: data.transforms[%u]: %s makes another picture of a sample in every epoch, so "
                 "nothing of it can be kept", lk_recipe_where(j->recipe, "data.transforms"), i, kinds[t->kind].word);
        return refuse(j, why);
    }
    return LK_OK;
}

static bool has_all_of_validation(const job *j) { return j->validation && job_evaluate_batches(j) == 0; }

static double kept_nbytes(const job *j, const lk_frontier *train, const lk_frontier *validation)
{
    const double own = (double)lk_dataset_n(j->train) * (double)lk_frontier_row_nbytes(train);

    if (!has_all_of_validation(j)) return own;
    return own + (double)lk_dataset_n(j->validation) * (double)lk_frontier_row_nbytes(validation);
}

/* Of all workers of this host together: beyond its memory nothing good can come. */
static lk_status check_memory(const job *j, double nbytes)
{
    const double GIB = 1 << 30, has = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGE_SIZE);
    const char *host = lk_world_host(j->world, lk_world_rank(j->world));
    int workers = 0;
    char why[TEXT_BYTES];

    for (int r = 0; r < lk_world_size(j->world); r++) workers += strcmp(lk_world_host(j->world, r), host) == 0;
    if (j->dry || nbytes * workers <= has) return LK_OK;
    snprintf(why, sizeof why, "features of %.4g GiB for each of the %d worker%s of %s are more than its memory, "
             "%.4g GiB", nbytes / GIB, workers, plural(workers), host, has / GIB);
    return refuse(j, why);
}

/* The frontiers of both parts of the data; *found false: there is none, and the recipe does not insist. */
static lk_status find_frontiers(const job *j, const lk_trainable *set, lk_frontier out[2], bool *found)
{
    *found = false;
    if (j->recipe->train.cache_frozen == LK_CACHE_FROZEN_UNSET) return LK_OK;
    lk_status status = lk_engine_frontier(j->engine, set, LK_TRAIN, &out[0]);
    if (status == LK_OK) status = lk_engine_frontier(j->engine, set, LK_EVAL, &out[1]);
    if (status == LK_ERR_USAGE) return is_kept(j) ? refuse(j, lk_error_message()) : LK_OK;
    LK_TRY(status);
    *found = true;
    if (!is_kept(j)) return LK_OK;
    LK_TRY(refuse_random_transforms(j));
    return check_memory(j, kept_nbytes(j, &out[0], &out[1]));
}

lk_status frozen_check(job *j, const lk_trainable *trainable)
{
    lk_frontier unused[2];
    bool found;

    return find_frontiers(j, trainable, unused, &found);
}

/* ------------------------------------------------------------------- opening */

static lk_status take_room(features *f, size_t nbytes, char **out)
{
    *out = lk_alloc(nbytes);
    LK_TRY_ALLOC(*out, nbytes);
    f->room_nbytes += nbytes;
    return LK_OK;
}

static int64_t largest_lane(int64_t batch, int64_t n, int lanes)
{
    return ((batch < n ? batch : n) + lanes - 1) / lanes;
}

static lk_status take_rooms(const job *j, features *f, int64_t batch)
{
    const lk_sample *sample = lk_model_sample(j->model);
    const int64_t lane = largest_lane(batch, f->n, j->lanes);

    LK_TRY(take_room(f, lk_frontier_nbytes(&f->frontier, lane), &f->lane));
    LK_TRY(take_room(f, lk_frontier_nbytes(&f->frontier, f->piece), &f->of_piece));
    LK_TRY(take_room(f, f->row_nbytes, &f->row));
    for (int k = 0; k < sample->n_fields; k++)
        if (f->frontier.frozen_reads >> k & 1u)
            LK_TRY(take_room(f, (size_t)f->piece * lk_field_nbytes(&sample->field[k], 0), &f->field[k]));
    return LK_OK;
}

static lk_status open_features(job *j, lk_mode mode, const lk_frontier *frontier, features **out)
{
    const lk_recipe *r = j->recipe;
    const bool training = mode == LK_TRAIN;
    const int64_t n_train = lk_dataset_n(j->train);

    *out = lk_alloc(sizeof **out);
    LK_TRY_ALLOC(*out, sizeof **out);
    features *f = *out;
    *f = (features){.mode = mode, .data = training ? j->train : j->validation, .frontier = *frontier,
                    .row_nbytes = lk_frontier_row_nbytes(frontier),
                    .piece = r->train.frozen_piece ? r->train.frozen_piece
                                                   : largest_lane(r->train.batch, n_train, j->lanes),
                    .kept = is_kept(j) && (training || has_all_of_validation(j))};
    f->n = lk_dataset_n(f->data);
    LK_TRY(take_rooms(j, f, training || !r->train.evaluate_batch ? r->train.batch : r->train.evaluate_batch));
    const lk_program program = {.mode = mode, .n = f->piece, .side = LK_SIDE_FROZEN};
    return lk_engine_compile(j->engine, &program);
}

static lk_status open_validation(job *j, const lk_frontier *frontier)
{
    features *f;

    LK_TRY(open_features(j, LK_EVAL, frontier, &j->validation_features));
    f = j->validation_features;
    LK_TRY(job_make_loader(j, j->validation, false, features_reads(f), &f->loader));
    LK_TRY(job_compile(j, f->loader, LK_EVAL, LK_SIDE_TRAINED));
    if (!j->recipe->has_ema) lk_loader_free(&j->validation_loader); /* an EMA's own frozen layers go another way */
    return LK_OK;
}

lk_status frozen_open(job *j)
{
    lk_frontier frontiers[2];
    bool found;

    features_free(&j->validation_features);
    features_free(&j->train_features);
    LK_TRY(find_frontiers(j, j->trainable, frontiers, &found));
    if (!found) return LK_OK;
    LK_TRY(open_features(j, LK_TRAIN, &frontiers[0], &j->train_features));
    return j->validation ? open_validation(j, &frontiers[1]) : LK_OK;
}

/* ------------------------------------------------------------------- filling */

/* Samples of whole pieces that one worker computes; enough blocks for many workers, none too large to lose. */
static int64_t block_of(const features *f)
{
    const int64_t pieces = (f->n + f->piece - 1) / f->piece, fair = pieces / LEAST_BLOCKS;
    const int64_t most = (int64_t)(BLOCK_BYTES / ((size_t)f->piece * f->row_nbytes));
    const int64_t k = fair < most ? fair : most;

    return f->piece * (k > 1 ? k : 1);
}

/* Rows that worker r of n computes. */
static lk_status rows_of(const features *f, int r, int n, int64_t *begin, int64_t *end)
{
    const int64_t block = block_of(f), n_blocks = (f->n + block - 1) / block;

    LK_TRY(lk_part_rows(n_blocks, r, n, begin, end));
    *begin = *begin * block < f->n ? *begin * block : f->n;
    *end = *end * block < f->n ? *end * block : f->n;
    return LK_OK;
}

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
    return refuse(j, "this engine's libraries give a sample other bits at another place of a piece");
}

/* How far it is, now and then. */
typedef struct teller {
    const frozen_watch *watch;
    const char *part;
    double last;
} teller;

static void tell(const job *j, teller *t, int64_t done, int64_t all)
{
    char text[TEXT_BYTES];

    if (!j->leader || lk_seconds() - t->last < SAY_EVERY_S) return;
    t->last = lk_seconds();
    snprintf(text, sizeof text, "frozen layers: %s: %" PRId64 " of %" PRId64 " samples", t->part, done, all);
    t->watch->say(t->watch->arg, text);
}

static lk_status compute_rows(job *j, features *f, lk_loader *loader, int64_t begin, int64_t end, teller *t)
{
    lk_batch batch;

    LK_TRY(lk_loader_seek(loader, 0, begin / f->piece));
    for (int64_t first = begin; first < end; first += f->piece) {
        char *rows = f->rows + (size_t)first * f->row_nbytes;

        lk_world_progress(j->world, j->step, "frozen layers");
        if (t->watch->stop()) return LK_STOPPED;
        LK_TRY(lk_loader_next(loader, &batch));
        LK_TRY(features_run(j, f, batch.lane[0].field, batch.n));
        keep_rows(f, batch.n, rows);
        if (first == begin) LK_TRY(compare_turned(j, f, &batch.lane[0], rows));
        tell(j, t, first + batch.n - begin, end - begin);
    }
    return LK_OK;
}

static lk_status compute_own(job *j, features *f, teller *t)
{
    lk_loader *loader = NULL;
    int64_t begin, end;

    LK_TRY(rows_of(f, lk_world_rank(j->world), lk_world_size(j->world), &begin, &end));
    f->rows = lk_alloc((size_t)f->n * f->row_nbytes);
    LK_TRY_ALLOC(f->rows, (size_t)f->n * f->row_nbytes);
    if (begin == end) return LK_OK;
    lk_status status = make_loader(j, f, &loader);
    if (status == LK_OK) status = compute_rows(j, f, loader, begin, end, t);
    lk_loader_free(&loader);
    return status;
}

static lk_status share(job *j, features *f)
{
    const int size = lk_world_size(j->world);

    for (int r = 0; r < size; r++) {
        int64_t begin, end;

        LK_TRY(rows_of(f, r, size, &begin, &end));
        LK_TRY(lk_world_broadcast_from(j->world, r, f->rows + (size_t)begin * f->row_nbytes,
                                       (size_t)(end - begin) * f->row_nbytes));
    }
    return LK_OK;
}

static lk_status fill(job *j, features *f, teller *t)
{
    const double MIB = 1 << 20, begun = lk_seconds();
    char text[TEXT_BYTES];

    if (!f || !f->kept) return LK_OK;
    t->part = f->mode == LK_TRAIN ? "training" : "validation";
    t->last = begun;
    LK_TRY(job_agree(j, compute_own(j, f, t)));
    LK_TRY(share(j, f));
    snprintf(text, sizeof text, "frozen layers: %s: features of %" PRId64 " samples kept, %.4g MiB, %.3g s", t->part,
             f->n, (double)f->n * (double)f->row_nbytes / MIB, lk_seconds() - begun);
    if (j->leader) t->watch->say(t->watch->arg, text);
    return LK_OK;
}

lk_status frozen_fill(job *j, const frozen_watch *watch)
{
    teller t = {.watch = watch};

    LK_TRY(fill(j, j->train_features, &t));
    return fill(j, j->validation_features, &t);
}
