/*
 * train --digests: what each worker computed in each step, as digests in RUN/digests, for `lockstep verify`.
 *
 * A worker tells the gradient of each of its lanes, tensor by tensor and before anything is added to it, then its
 * weights after the step, the leader also the EMA's.  A lane's gradient has the same bits on whoever computes it, so
 * where two runs part, the first digest that differs names step, lane, tensor and worker.  On a device gradients stay
 * there, and weights alone are told.
 */
#include "launch/train/trainer.h"

#include <inttypes.h>
#include <stdlib.h>

enum { PATH_BYTES = 4096, WHO_BYTES = 512 };

struct trace {
    trainer *t;              /* borrowed */
    lk_digests *digests;
    size_t n_tensors;        /* of the model */
    size_t n_lane_columns;   /* own lanes times n_tensors: of one that does not train the column stays empty */
    int lane;                /* that runs now */
    const float *grads;      /* its arena */
};

/* ---------------------------------------------------------------------------- columns */

static size_t count_columns(const trace *r)
{
    const job *j = r->t->j;

    return r->n_lane_columns + r->n_tensors * (j->ema ? 2 : 1);
}

static char *name_column(const trace *r, size_t c)
{
    const job *j = r->t->j;
    const char *tensor = lk_model_tensor(j->model, c % r->n_tensors)->name;
    const size_t group = c / r->n_tensors, n_lanes = r->n_lane_columns / r->n_tensors;
    char *name;
    const int n = group < n_lanes ? asprintf(&name, "lane %zu %s", (size_t)j->lane_begin + group, tensor)
                                  : asprintf(&name, "%s %s", group == n_lanes ? "model" : "ema", tensor);

    return n < 0 ? NULL : name;
}

static lk_status open_file(trace *r, const char *path)
{
    const job *j = r->t->j;
    const int rank = lk_world_rank(j->world);
    const size_t n = count_columns(r);
    char **column = calloc(n, sizeof *column), who[WHO_BYTES];
    bool good = column != NULL;

    snprintf(who, sizeof who, "rank %d of %d (%s)", rank, lk_world_size(j->world), lk_world_host(j->world, rank));
    for (size_t c = 0; good && c < n; c++) good = (column[c] = name_column(r, c)) != NULL;
    const lk_status status = good ? lk_digests_open(path, (const char *const *)column, n, who, &r->digests)
                                  : LK_FAIL(LK_ERR_SYSTEM, "out of memory: names of %zu digests", n);
    for (size_t c = 0; column && c < n; c++) free(column[c]);
    free(column);
    return status;
}

lk_status trace_open(trainer *t)
{
    const job *j = t->j;
    char path[PATH_BYTES];

    if (!t->digests && !t->die_at) return LK_OK;
    t->trace = calloc(1, sizeof *t->trace);
    LK_TRY_ALLOC(t->trace, sizeof *t->trace);
    *t->trace = (trace){.t = t, .n_tensors = lk_model_n_tensors(j->model)};
    if (!lk_engine_on_device(j->engine))
        t->trace->n_lane_columns = (size_t)(j->lane_end - j->lane_begin) * t->trace->n_tensors;
    snprintf(path, sizeof path, "%s/digests", j->recipe->run.dir);
    LK_TRY(lk_make_dirs(path));
    snprintf(path, sizeof path, "%s/digests/from-%08" PRId64 "-rank-%d-of-%d.csv", j->recipe->run.dir, j->step,
             lk_world_rank(j->world), lk_world_size(j->world));
    return open_file(t->trace, path);
}

void trace_close(trainer *t)
{
    if (!t->trace) return;
    lk_digests_free(&t->trace->digests);
    free(t->trace);
    t->trace = NULL;
}

/* ------------------------------------------------------------------------------- steps */

/* [begin, end) of the lane's gradients is final, and whole tensors; the reducer adds to it from now on. */
static void put_gradients(void *arg, size_t begin, size_t end)
{
    trace *r = arg;
    const job *j = r->t->j;

    for (size_t i = 0; i < r->n_tensors; i++) {
        if (!lk_trainable_has(j->trainable, i)) continue;
        const size_t at = lk_trainable_offset(j->trainable, i);

        if (at >= begin && at < end)
            lk_digests_put(r->digests, (size_t)(r->lane - j->lane_begin) * r->n_tensors + i, r->grads + at,
                           lk_model_tensor(j->model, i)->n_elem);
    }
    lk_reducer_ready(j->reducer, begin, end);
}

void trace_lane(trainer *t, int lane, lk_lane *out)
{
    trace *r = t->trace;
    const bool traced = r && r->n_lane_columns > 0;

    out->ready = traced ? put_gradients : lk_reducer_ready;
    out->ready_arg = traced ? (void *)r : t->j->reducer;
    if (!traced) return;
    r->lane = lane;
    r->grads = out->grads;
}

/* params: in the engine's memory. */
static lk_status put_weights(trace *r, const float *params, size_t column)
{
    job *j = r->t->j;
    float *host;

    LK_TRY(job_host_read(j, params, lk_model_n_elem(j->model), &host));
    for (size_t i = 0; i < r->n_tensors; i++) {
        const lk_tensor_info *info = lk_model_tensor(j->model, i);

        lk_digests_put(r->digests, column + i, host + info->offset, info->n_elem);
    }
    return LK_OK;
}

lk_status trace_step(trainer *t)
{
    trace *r = t->trace;
    const job *j = t->j;

    if (!r) return LK_OK;
    LK_TRY(put_weights(r, j->params, r->n_lane_columns));
    if (j->ema) LK_TRY(put_weights(r, lk_ema_params(j->ema), r->n_lane_columns + r->n_tensors));
    LK_TRY(lk_digests_write(r->digests, j->step));
    if (t->die_at == j->step && lk_world_rank(j->world) == lk_world_size(j->world) - 1) raise(SIGKILL);
    return LK_OK;
}
