/*
 * A trainable set: which tensors train, in which groups, and where their gradients and states lie.
 *
 * Gradients and states are packed in the order of the parameter arena, so a set is known by a few runs: stretches of
 * that arena which train in one group, with their place in the packed one.  Passes over arenas go run by run.  With
 * layers unfrozen from the last to the first, as people do, there are one or two runs a group.
 *
 * Statistics of batch norms are packed behind the gradients by the same rule.  A buffer is told to belong to a gain and
 * a bias by its layer, the part of the name before the last dot.
 */
#include "engine/model/grid.h"
#include "engine/model/trainable.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

typedef struct place {
    size_t offset; /* in the gradient arena; SIZE_MAX: none */
    int group;
} place;

typedef struct runs {
    lk_trainable_range *run; /* owned */
    size_t n;
} runs;

struct lk_trainable {
    const lk_model *model; /* borrowed */
    uint64_t id;
    place *places;         /* owned, (lk_model_n_tensors) */
    runs params, stats;
    int n_groups;
    bool frozen_eval;
    size_t n_elem, n_weights;
    lk_grid grid;          /* owned */
    size_t slots;          /* first element of the scalars */
};

static uint64_t next_id(void)
{
    static atomic_uint_fast64_t last;

    return atomic_fetch_add(&last, 1) + 1;
}

/* ------------------------------------------------------------------- choice */

static size_t layer_length(const char *name)
{
    const char *dot = strrchr(name, '.');

    return dot ? (size_t)(dot - name) : 0;
}

static bool same_layer(const char *a, const char *b)
{
    const size_t n = layer_length(a);

    return n == layer_length(b) && memcmp(a, b, n) == 0;
}

static bool trains(const lk_model *model, const lk_trainable_spec *spec, size_t i)
{
    return lk_model_tensor(model, i)->role == LK_ROLE_PARAM && (!spec->trains || spec->trains[i]);
}

/* A batch norm collects statistics unless its gain and bias are both frozen and the spec says what follows from it. */
static bool collects(const lk_model *model, const lk_trainable_spec *spec, size_t buffer)
{
    const char *name = lk_model_tensor(model, buffer)->name;

    if (lk_model_tensor(model, buffer)->role != LK_ROLE_BUFFER) return false;
    if (!spec->frozen_eval) return true;
    for (size_t i = 0; i < lk_model_n_tensors(model); i++)
        if (trains(model, spec, i) && same_layer(lk_model_tensor(model, i)->name, name)) return true;
    return false;
}

/* ------------------------------------------------------------------ packing */

/* Gives tensor i the next place, in the last run where it continues that in both arenas. */
static void pack(lk_trainable *trainable, runs *list, size_t i, int group, size_t *end)
{
    const lk_tensor_info *info = lk_model_tensor(trainable->model, i);
    const size_t n_elem = lk_round_up(info->n_elem);
    lk_trainable_range *last = list->n ? &list->run[list->n - 1] : NULL;

    trainable->places[i] = (place){.offset = *end, .group = group};
    if (last && last->group == group && last->param + last->n_elem == info->offset)
        last->n_elem += n_elem;
    else
        list->run[list->n++] =
            (lk_trainable_range){.param = info->offset, .grad = *end, .n_elem = n_elem, .group = group};
    *end += n_elem;
}

static lk_status pack_params(lk_trainable *trainable, const lk_trainable_spec *spec)
{
    const lk_model *model = trainable->model;
    size_t end = 0;

    for (size_t i = 0; i < lk_model_n_tensors(model); i++) {
        if (!trains(model, spec, i)) continue;
        const int group = spec->group ? spec->group[i] : 0;

        if (group < 0 || group >= spec->n_groups)
            return LK_FAIL(LK_ERR_USAGE, "%s is put into parameter group %d, but groups count from 0 to %d",
                           lk_model_tensor(model, i)->name, group, spec->n_groups - 1);
        pack(trainable, &trainable->params, i, group, &end);
        trainable->n_weights += lk_model_tensor(model, i)->n_elem;
    }
    if (end == 0)
        return LK_FAIL(LK_ERR_USAGE, "no tensor is left to train: every parameter is frozen; unfreeze some");
    trainable->n_elem = end;
    return LK_OK;
}

static void pack_stats(lk_trainable *trainable, const lk_trainable_spec *spec)
{
    size_t end = trainable->n_elem;

    for (size_t i = 0; i < lk_model_n_tensors(trainable->model); i++)
        if (collects(trainable->model, spec, i)) pack(trainable, &trainable->stats, i, 0, &end);
    trainable->slots = end;
}

static lk_status cut_grid(lk_trainable *trainable)
{
    const size_t n_tensors = lk_model_n_tensors(trainable->model);
    lk_grid_tensor *tensor = malloc(n_tensors * sizeof *tensor);
    size_t n = 0;

    LK_TRY_ALLOC(tensor, n_tensors * sizeof *tensor);
    for (size_t i = 0; i < n_tensors; i++)
        if (lk_trainable_has(trainable, i))
            tensor[n++] = lk_grid_tensor_of(lk_model_tensor(trainable->model, i), lk_trainable_offset(trainable, i));
    const lk_status status = lk_grid_cut(tensor, n, lk_trainable_n_elem(trainable), &trainable->grid);
    free(tensor);
    return status;
}

static lk_status fill(lk_trainable *trainable, const lk_trainable_spec *spec)
{
    const size_t n = lk_model_n_tensors(trainable->model);

    trainable->places = malloc(n * sizeof *trainable->places);
    trainable->params.run = malloc(n * sizeof *trainable->params.run);
    trainable->stats.run = malloc(n * sizeof *trainable->stats.run);
    if (!trainable->places || !trainable->params.run || !trainable->stats.run)
        return LK_FAIL(LK_ERR_SYSTEM, "out of memory: places of %zu tensors", n);
    for (size_t i = 0; i < n; i++) trainable->places[i] = (place){.offset = SIZE_MAX};
    LK_TRY(pack_params(trainable, spec));
    pack_stats(trainable, spec);
    return cut_grid(trainable);
}

/* ------------------------------------------------------------------- public */

lk_status lk_trainable_new(const lk_model *model, const lk_trainable_spec *spec, lk_trainable **out)
{
    const lk_trainable_spec everything = {.n_groups = 1};

    *out = NULL;
    if (!spec) spec = &everything;
    if (spec->n_groups < 1)
        return LK_FAIL(LK_ERR_USAGE, "%d parameter groups; at least 1 is needed", spec->n_groups);
    lk_trainable *trainable = calloc(1, sizeof *trainable);
    LK_TRY_ALLOC(trainable, sizeof *trainable);
    *trainable = (lk_trainable){.model = model, .id = next_id(), .n_groups = spec->n_groups,
                                .frozen_eval = spec->frozen_eval};
    const lk_status status = fill(trainable, spec);
    if (status != LK_OK) {
        lk_trainable_free(&trainable);
        return lk_trace(status, __FILE__, __LINE__);
    }
    *out = trainable;
    return LK_OK;
}

void lk_trainable_free(lk_trainable **trainable)
{
    if (!trainable || !*trainable) return;
    lk_grid_clear(&(*trainable)->grid);
    free((*trainable)->stats.run);
    free((*trainable)->params.run);
    free((*trainable)->places);
    free(*trainable);
    *trainable = NULL;
}

const lk_model *lk_trainable_model(const lk_trainable *trainable) { return trainable->model; }
uint64_t lk_trainable_id(const lk_trainable *trainable) { return trainable->id; }

bool lk_trainable_has(const lk_trainable *trainable, size_t i)
{
    return trainable->places[i].offset < trainable->n_elem;
}
int lk_trainable_group(const lk_trainable *trainable, size_t i) { return trainable->places[i].group; }
int lk_trainable_n_groups(const lk_trainable *trainable) { return trainable->n_groups; }
size_t lk_trainable_offset(const lk_trainable *trainable, size_t i) { return trainable->places[i].offset; }
size_t lk_trainable_n_elem(const lk_trainable *trainable) { return trainable->n_elem; }
size_t lk_trainable_n_weights(const lk_trainable *trainable) { return trainable->n_weights; }
const lk_grid *lk_trainable_grid(const lk_trainable *trainable) { return &trainable->grid; }
size_t lk_trainable_n_ranges(const lk_trainable *trainable) { return trainable->params.n; }
const lk_trainable_range *lk_trainable_get_range(const lk_trainable *trainable, size_t r)
{
    return &trainable->params.run[r];
}

/* Whether the module at path[0, n) has parameters, n 0 being the root, and whether some of them train. */
static bool has_params(const lk_trainable *trainable, const char *path, size_t n, bool *some_train)
{
    bool any = false;

    *some_train = false;
    for (size_t i = 0; i < lk_model_n_tensors(trainable->model); i++) {
        const lk_tensor_info *info = lk_model_tensor(trainable->model, i);

        if (info->role != LK_ROLE_PARAM || strncmp(info->name, path, n) != 0) continue;
        if (n > 0 && info->name[n] != '.') continue;
        any = true;
        *some_train |= lk_trainable_has(trainable, i);
    }
    return any;
}

bool lk_trainable_in_eval(const lk_trainable *trainable, const char *path)
{
    size_t n = layer_length(path);
    bool some_train;

    if (!trainable->frozen_eval) return false;
    while (!has_params(trainable, path, n, &some_train) && n > 0) {
        const char *dot = memrchr(path, '.', n);

        n = dot ? (size_t)(dot - path) : 0;
    }
    return !some_train;
}

size_t lk_trainable_n_stat_ranges(const lk_trainable *trainable) { return trainable->stats.n; }
const lk_trainable_range *lk_trainable_get_stat_range(const lk_trainable *trainable, size_t r)
{
    return &trainable->stats.run[r];
}

size_t lk_trainable_n_grads(const lk_trainable *trainable) { return trainable->slots + lk_round_up(LK_N_SLOTS); }
size_t lk_trainable_slot(const lk_trainable *trainable, lk_slot slot) { return trainable->slots + (size_t)slot; }
