/*
 * A trained set: which tensors train, in which groups, and where their gradients and states lie.
 *
 * Gradients and states are packed in the order of the parameter arena, so a set is known by a few runs: stretches of
 * that arena which train in one group, with their place in the packed one.  Passes over arenas go run by run.  With
 * layers unfrozen from the last to the first, as people do, there are one or two runs a group.
 *
 * Statistics of batch norms are packed behind the gradients by the same rule.  A buffer is told to belong to a gain and
 * a bias by its layer, the part of the name before the last dot.
 */
#include "engine/model/trainable.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

typedef struct place {
    size_t offset; /* in the gradient arena; SIZE_MAX: none */
    int group;
} place;

typedef struct runs {
    lk_trained_run *run; /* owned */
    size_t n;
} runs;

struct lk_trained {
    const lk_model *model; /* borrowed */
    uint64_t id;
    place *places;         /* owned, (lk_model_n_tensors) */
    runs params, stats;
    int n_groups;
    size_t n_elem, n_weights;
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

static bool trains(const lk_model *model, const lk_trained_spec *spec, size_t i)
{
    return lk_model_tensor(model, i)->role == LK_ROLE_PARAM && (!spec->trains || spec->trains[i]);
}

/* A batch norm collects statistics unless its gain and bias are both frozen and the spec says what follows from it. */
static bool collects(const lk_model *model, const lk_trained_spec *spec, size_t buffer)
{
    const char *name = lk_model_tensor(model, buffer)->name;

    if (lk_model_tensor(model, buffer)->role != LK_ROLE_BUFFER) return false;
    if (!spec->frozen_norm_eval) return true;
    for (size_t i = 0; i < lk_model_n_tensors(model); i++)
        if (trains(model, spec, i) && same_layer(lk_model_tensor(model, i)->name, name)) return true;
    return false;
}

/* ------------------------------------------------------------------ packing */

/* Gives tensor i the next place, in the last run where it continues that in both arenas. */
static void pack(lk_trained *trained, runs *list, size_t i, int group, size_t *end)
{
    const lk_tensor_info *info = lk_model_tensor(trained->model, i);
    const size_t n_elem = lk_round_up(info->n_elem);
    lk_trained_run *last = list->n ? &list->run[list->n - 1] : NULL;

    trained->places[i] = (place){.offset = *end, .group = group};
    if (last && last->group == group && last->param + last->n_elem == info->offset)
        last->n_elem += n_elem;
    else
        list->run[list->n++] = (lk_trained_run){.param = info->offset, .grad = *end, .n_elem = n_elem, .group = group};
    *end += n_elem;
}

static lk_status pack_params(lk_trained *trained, const lk_trained_spec *spec)
{
    const lk_model *model = trained->model;
    size_t end = 0;

    for (size_t i = 0; i < lk_model_n_tensors(model); i++) {
        if (!trains(model, spec, i)) continue;
        const int group = spec->group ? spec->group[i] : 0;

        if (group < 0 || group >= spec->n_groups)
            return LK_FAIL(LK_ERR_USAGE, "%s is put into parameter group %d, but groups count from 0 to %d",
                           lk_model_tensor(model, i)->name, group, spec->n_groups - 1);
        pack(trained, &trained->params, i, group, &end);
        trained->n_weights += lk_model_tensor(model, i)->n_elem;
    }
    if (end == 0)
        return LK_FAIL(LK_ERR_USAGE, "no tensor is left to train: every parameter is frozen; unfreeze some");
    trained->n_elem = end;
    return LK_OK;
}

static void pack_stats(lk_trained *trained, const lk_trained_spec *spec)
{
    size_t end = trained->n_elem;

    for (size_t i = 0; i < lk_model_n_tensors(trained->model); i++)
        if (collects(trained->model, spec, i)) pack(trained, &trained->stats, i, 0, &end);
    trained->slots = end;
}

static lk_status fill(lk_trained *trained, const lk_trained_spec *spec)
{
    const size_t n = lk_model_n_tensors(trained->model);

    trained->places = malloc(n * sizeof *trained->places);
    trained->params.run = malloc(n * sizeof *trained->params.run);
    trained->stats.run = malloc(n * sizeof *trained->stats.run);
    if (!trained->places || !trained->params.run || !trained->stats.run)
        return LK_FAIL(LK_ERR_SYSTEM, "out of memory: places of %zu tensors", n);
    for (size_t i = 0; i < n; i++) trained->places[i] = (place){.offset = SIZE_MAX};
    LK_TRY(pack_params(trained, spec));
    pack_stats(trained, spec);
    return LK_OK;
}

/* ------------------------------------------------------------------- public */

lk_status lk_trained_new(const lk_model *model, const lk_trained_spec *spec, lk_trained **out)
{
    const lk_trained_spec everything = {.n_groups = 1};

    *out = NULL;
    if (!spec) spec = &everything;
    if (spec->n_groups < 1)
        return LK_FAIL(LK_ERR_USAGE, "%d parameter groups; at least 1 is needed", spec->n_groups);
    lk_trained *trained = calloc(1, sizeof *trained);
    LK_TRY_ALLOC(trained, sizeof *trained);
    *trained = (lk_trained){.model = model, .id = next_id(), .n_groups = spec->n_groups};
    const lk_status status = fill(trained, spec);
    if (status != LK_OK) {
        lk_trained_free(&trained);
        return lk_trace(status, __FILE__, __LINE__);
    }
    *out = trained;
    return LK_OK;
}

void lk_trained_free(lk_trained **trained)
{
    if (!trained || !*trained) return;
    free((*trained)->stats.run);
    free((*trained)->params.run);
    free((*trained)->places);
    free(*trained);
    *trained = NULL;
}

const lk_model *lk_trained_model(const lk_trained *trained) { return trained->model; }
uint64_t lk_trained_id(const lk_trained *trained) { return trained->id; }

bool lk_trained_has(const lk_trained *trained, size_t i) { return trained->places[i].offset < trained->n_elem; }
int lk_trained_group(const lk_trained *trained, size_t i) { return trained->places[i].group; }
int lk_trained_n_groups(const lk_trained *trained) { return trained->n_groups; }
size_t lk_trained_offset(const lk_trained *trained, size_t i) { return trained->places[i].offset; }
size_t lk_trained_n_elem(const lk_trained *trained) { return trained->n_elem; }
size_t lk_trained_n_weights(const lk_trained *trained) { return trained->n_weights; }
size_t lk_trained_n_runs(const lk_trained *trained) { return trained->params.n; }
const lk_trained_run *lk_trained_get_run(const lk_trained *trained, size_t r) { return &trained->params.run[r]; }
size_t lk_trained_n_stat_runs(const lk_trained *trained) { return trained->stats.n; }
const lk_trained_run *lk_trained_get_stat_run(const lk_trained *trained, size_t r) { return &trained->stats.run[r]; }

size_t lk_trained_n_grads(const lk_trained *trained) { return trained->slots + lk_round_up(LK_N_SLOTS); }
size_t lk_trained_slot(const lk_trained *trained, lk_slot slot) { return trained->slots + (size_t)slot; }
