/* From a lane's samples to the lane of the trained side: kept features are picked, others are computed. */
#include "launch/job/features.h"

#include <string.h>

lk_status features_run(job *j, features *f, const void *const field[], int64_t n)
{
    const lk_sample *sample = lk_model_sample(j->model);
    lk_lane lane = {.mode = f->mode, .n = f->piece, .params = j->params, .params_version = j->params_version,
                    .side = LK_SIDE_FROZEN, .features = f->of_piece,
                    .features_nbytes = lk_frontier_nbytes(&f->frontier, f->piece)};

    for (int k = 0; k < sample->n_fields; k++) {
        const size_t nbytes = lk_field_nbytes(&sample->field[k], 0);
        char *to = f->field[k];

        if (!to) continue;
        memcpy(to, field[k], (size_t)n * nbytes);
        for (int64_t i = n; i < f->piece; i++) memcpy(to + (size_t)i * nbytes, to + (size_t)(n - 1) * nbytes, nbytes);
        lane.field[k] = to;
    }
    return lk_engine_run(j->engine, &lane);
}

static const void *row_of(const features *f, int64_t sample)
{
    return f->files ? lk_row_files_row(f->files, sample) : f->rows + (size_t)sample * f->row_nbytes;
}

static void pick(features *f, const lk_batch_lane *own)
{
    for (int64_t i = 0; i < own->n; i++)
        lk_frontier_put(&f->frontier, own->n, i, f->lane, row_of(f, own->sample[i]));
}

/* By way of a row: the places of a lane's features are not those of a piece's. */
static lk_status compute(job *j, features *f, const lk_batch_lane *own)
{
    const lk_sample *sample = lk_model_sample(j->model);

    for (int64_t first = 0; first < own->n; first += f->piece) {
        const int64_t n = own->n - first < f->piece ? own->n - first : f->piece;
        const void *field[LK_MAX_FIELDS] = {0};

        for (int k = 0; k < sample->n_fields; k++)
            if (f->field[k])
                field[k] = (const char *)own->field[k] + (size_t)first * lk_field_nbytes(&sample->field[k], 0);
        LK_TRY(features_run(j, f, field, n));
        for (int64_t i = 0; i < n; i++) {
            lk_frontier_get(&f->frontier, f->piece, i, f->of_piece, f->row);
            lk_frontier_put(&f->frontier, own->n, first + i, f->lane, f->row);
        }
    }
    return LK_OK;
}

lk_status features_lane(job *j, features *f, const lk_batch_lane *own, lk_lane *lane)
{
    if (!f || own->n == 0) return LK_OK;
    lane->side = LK_SIDE_TRAINED;
    lane->features = f->lane;
    lane->features_nbytes = lk_frontier_nbytes(&f->frontier, own->n);
    if (!f->kept) return compute(j, f, own);
    pick(f, own);
    return LK_OK;
}

unsigned features_reads(const features *f)
{
    if (!f) return ALL_FIELDS;
    return f->kept ? f->frontier.trained_reads : f->frontier.trained_reads | f->frontier.frozen_reads;
}

lk_loader *features_loader(const job *j)
{
    return j->validation_features ? j->validation_features->loader : j->validation_loader;
}

size_t features_nbytes(const features *f)
{
    if (!f) return 0;
    return f->room_nbytes + (f->kept && !f->on_disk ? (size_t)f->n * f->row_nbytes : 0);
}

void features_free(features **address)
{
    features *f = *address;

    if (!f) return;
    for (int k = 0; k < LK_MAX_FIELDS; k++) lk_free(&f->field[k]);
    lk_free(&f->row);
    lk_free(&f->of_piece);
    lk_free(&f->lane);
    lk_loader_free(&f->loader);
    lk_row_files_free(&f->files);
    lk_free(&f->rows);
    lk_free(address);
}
