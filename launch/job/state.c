/* Putting a run's state into a checkpoint's metadata and getting it out, row by row of STATE_LIST. */
#include "launch/job/state.h"

#include <math.h>

enum { PATH_BYTES = 4096 };

/* ------------------------------------------------------------------ one row */

static lk_status put_TEXT(lk_metadata *metadata, const char *path, const char *value)
{
    return value ? lk_metadata_set_text(metadata, path, value) : LK_OK;
}

static lk_status put_INT(lk_metadata *metadata, const char *path, int64_t value)
{
    return value != STATE_NONE ? lk_metadata_set_int(metadata, path, value) : LK_OK;
}

/* NaN is put, too: it is what "none yet" is written as. */
static lk_status put_REAL(lk_metadata *metadata, const char *path, double value)
{
    return lk_metadata_set_real(metadata, path, value);
}

/* False: there is no such note of this type. */
static bool get_TEXT(const lk_metadata *metadata, const char *path, const char **out)
{
    *out = NULL;
    return lk_metadata_has(metadata, path) && lk_metadata_get_text(metadata, path, out) == LK_OK;
}

static bool get_INT(const lk_metadata *metadata, const char *path, int64_t *out)
{
    *out = STATE_NONE;
    return lk_metadata_has(metadata, path) && lk_metadata_get_int(metadata, path, out) == LK_OK;
}

static bool get_REAL(const lk_metadata *metadata, const char *path, double *out)
{
    *out = NAN;
    return lk_metadata_has(metadata, path) && lk_metadata_get_real(metadata, path, out) == LK_OK;
}

/* ----------------------------------------------------------------- the list */

lk_status state_put(const run_state *state, lk_metadata *metadata)
{
#define PUT(field, type, need, path) LK_TRY(put_##type(metadata, path, state->field));
    STATE_LIST(PUT)
#undef PUT
    return LK_OK;
}

lk_status state_get(const lk_metadata *metadata, run_state *out)
{
    enum { OPTIONAL, NEEDED };
    const char *missing = NULL;

#define GET(field, type, need, path) \
    if (!get_##type(metadata, path, &out->field) && need == NEEDED && !missing) missing = path;
    STATE_LIST(GET)
#undef GET
    if (missing) return LK_FAIL(LK_ERR_CHECKPOINT, "the note %s is missing, or not of the kind it should be", missing);
    return LK_OK;
}

/* ------------------------------------------------------------ notes by name */

static const char *metric_path(char path[PATH_BYTES], const char *kind, const char *name)
{
    snprintf(path, PATH_BYTES, "metrics/%s/%s", kind, name);
    return path;
}

lk_status state_put_metrics(const metrics *set, lk_metadata *metadata)
{
    char path[PATH_BYTES];

    for (int i = 0; i < set->n; i++) {
        LK_TRY(lk_metadata_set_real(metadata, metric_path(path, "last", set->name[i]), set->last[i]));
        LK_TRY(lk_metadata_set_real(metadata, metric_path(path, "best", set->name[i]), set->best[i]));
    }
    return LK_OK;
}

void state_get_metrics(metrics *set, const lk_metadata *metadata)
{
    char path[PATH_BYTES];

    for (int i = 0; i < set->n; i++) {
        get_REAL(metadata, metric_path(path, "last", set->name[i]), &set->last[i]);
        get_REAL(metadata, metric_path(path, "best", set->name[i]), &set->best[i]);
    }
}

static const char *step_path(char path[PATH_BYTES], const lk_model *model, size_t i)
{
    snprintf(path, PATH_BYTES, "optimizer/step/%s", lk_model_tensor(model, i)->name);
    return path;
}

lk_status state_put_steps(const job *j, lk_metadata *metadata)
{
    char path[PATH_BYTES];

    for (size_t i = 0; i < lk_model_n_tensors(j->model); i++)
        if (lk_trainable_has(j->trainable, i))
            LK_TRY(lk_metadata_set_int(metadata, step_path(path, j->model, i), lk_optimizer_step(j->optimizer, i)));
    return LK_OK;
}

bool state_is_fresh(const job *j, size_t tensor)
{
    char path[PATH_BYTES];

    if (!lk_metadata_has(lk_checkpoint_metadata(j->checkpoint), step_path(path, j->model, tensor))) return true;
    if (lk_optimizer_n_states(j->optimizer) == 0) return false;
    snprintf(path, sizeof path, "optimizer/%s/%s", lk_optimizer_state_name(j->optimizer, 0),
             lk_model_tensor(j->model, tensor)->name);
    return !lk_checkpoint_has(j->checkpoint, path);
}

lk_status state_get_steps(job *j, const lk_metadata *metadata)
{
    char path[PATH_BYTES];
    int64_t step;

    for (size_t i = 0; i < lk_model_n_tensors(j->model); i++) {
        if (!lk_trainable_has(j->trainable, i) || state_is_fresh(j, i)) continue;
        LK_TRY(lk_metadata_get_int(metadata, step_path(path, j->model, i), &step));
        lk_optimizer_set_step(j->optimizer, i, step);
    }
    return LK_OK;
}
