/* train.cache_frozen of a stage: whether it can be, and what it takes. */
#include "launch/job/features.h"

#include <string.h>
#include <unistd.h>

enum { TEXT_BYTES = 512 };

/* ------------------------------------------------------------------- checks */

static bool is_kept(const job *j) { return j->recipe->train.cache_frozen > LK_CACHE_FROZEN_NO; }

/* What has been found, with the place of the key. */
lk_status frozen_refuse(const job *j, const char *why)
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
        return frozen_refuse(j, why);
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
    return frozen_refuse(j, why);
}

/* The frontiers of both parts of the data; *found false: there is none, and the recipe does not insist. */
static lk_status find_frontiers(const job *j, const lk_trainable *set, lk_frontier out[2], bool *found)
{
    *found = false;
    if (j->recipe->train.cache_frozen == LK_CACHE_FROZEN_UNSET) return LK_OK;
    lk_status status = lk_engine_frontier(j->engine, set, LK_TRAIN, &out[0]);
    if (status == LK_OK) status = lk_engine_frontier(j->engine, set, LK_EVAL, &out[1]);
    if (status == LK_ERR_USAGE) return is_kept(j) ? frozen_refuse(j, lk_error_message()) : LK_OK;
    LK_TRY(status);
    *found = true;
    if (!is_kept(j)) return LK_OK;
    LK_TRY(refuse_random_transforms(j));
    if (j->recipe->train.cache_frozen != LK_CACHE_FROZEN_MEMORY) return LK_OK;
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

/* Of training. */
static int64_t largest_micro_batch(const job *j)
{
    return job_micro_batch_size(j, largest_lane(j->recipe->train.batch, lk_dataset_n(j->train), j->lanes), 0);
}

/* Of both parts. */
static int64_t piece_of(const job *j)
{
    const int64_t asked = j->recipe->train.frozen_piece, n = lk_dataset_n(j->train);

    if (asked == 0) return largest_micro_batch(j);
    return asked < n ? asked : n;
}

static lk_status take_rooms(const job *j, features *f)
{
    const lk_sample *sample = lk_model_sample(j->model);
    const int64_t lane = f->mode == LK_TRAIN ? largest_micro_batch(j)
                                             : largest_lane(job_evaluate_batch(j), f->n, j->lanes);

    LK_TRY(take_room(f, lk_frontier_nbytes(&f->frontier, lane), &f->lane));
    LK_TRY(take_room(f, lk_frontier_nbytes(&f->frontier, f->piece), &f->of_piece));
    LK_TRY(take_room(f, f->row_nbytes, &f->row));
    for (int k = 0; k < sample->n_fields; k++)
        if (f->frontier.frozen_reads >> k & 1u)
            LK_TRY(take_room(f, (size_t)f->piece * lk_field_nbytes(&sample->field[k], 0), &f->field[k]));
    return LK_OK;
}

/* What a recipe asks for may be more than there is memory for. */
static lk_status blame_piece(const job *j, int64_t piece, lk_status status)
{
    if (status != LK_ERR_SYSTEM) return status;
    return LK_FAIL(status, "%s: train.frozen_piece: %lld sample%s through the frozen layers at a time: %s; a smaller "
                   "piece needs less memory", lk_recipe_where(j->recipe, "train.frozen_piece"), (long long)piece,
                   plural(piece), lk_error_message());
}

static lk_status open_features(job *j, lk_mode mode, const lk_frontier *frontier, features **out)
{
    const lk_recipe *r = j->recipe;
    const bool training = mode == LK_TRAIN;

    *out = lk_alloc(sizeof **out);
    LK_TRY_ALLOC(*out, sizeof **out);
    features *f = *out;
    *f = (features){.mode = mode, .data = training ? j->train : j->validation, .frontier = *frontier,
                    .row_nbytes = lk_frontier_row_nbytes(frontier),
                    .piece = piece_of(j),
                    .kept = is_kept(j) && (training || has_all_of_validation(j)),
                    .on_disk = r->train.cache_frozen == LK_CACHE_FROZEN_DISK};
    f->n = lk_dataset_n(f->data);
    const lk_program program = {.mode = mode, .n = f->piece, .side = LK_SIDE_FROZEN};
    lk_status status = take_rooms(j, f);
    if (status == LK_OK) status = lk_engine_compile(j->engine, &program);
    return blame_piece(j, f->piece, status);
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
