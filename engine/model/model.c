/*
 * A model as data: its spec, and its tensors with their places in the arenas.
 *
 * Parameters are laid out in the order of PyTorch's state_dict, and the buffers behind them.  Each tensor starts on a
 * cache line, so kernels load aligned and no two tensors share a line.  Tensors are found by name through a hash: every
 * plan looks up every tensor of a network.
 */
#include "engine/model/grid.h"
#include "engine/model/model_impl.h"
#include "engine/model/trainable.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 32 };

static lk_model_entry *find(const lk_model *model, const char *name)
{
    lk_model_entry *found;

    HASH_FIND_STR(model->by_name, name, found);
    return found;
}

/* ------------------------------------------------------------ registration */

static void free_entry(lk_model_entry *entry)
{
    if (entry) free((char *)entry->info.name);
    free(entry);
}

void lk_model_entry_fans(lk_model_entry *entry)
{
    int64_t area = 1;

    assert(entry->info.ndim >= 2);
    for (int d = 2; d < entry->info.ndim; d++) area *= entry->info.shape[d];
    entry->fan_in = entry->info.shape[1] * area;
    entry->fan_out = entry->info.shape[0] * area;
}

static lk_status copy_entry(const char *name, const lk_model_entry *from, lk_model_entry **out)
{
    *out = malloc(sizeof **out);
    LK_TRY_ALLOC(*out, sizeof **out);
    **out = *from;
    (*out)->info.n_elem = 1;
    for (int d = 0; d < from->info.ndim; d++) (*out)->info.n_elem *= (size_t)from->info.shape[d];
    (*out)->info.name = strdup(name);
    LK_TRY_ALLOC((*out)->info.name, strlen(name) + 1);
    return LK_OK;
}

static lk_status grow(lk_model *model)
{
    if (model->n_entries < model->cap_entries) return LK_OK;
    const size_t larger = model->cap_entries ? 2 * model->cap_entries : FIRST_CAPACITY;
    lk_model_entry **moved = realloc(model->entries, larger * sizeof *moved);

    LK_TRY_ALLOC(moved, larger * sizeof *moved);
    model->entries = moved;
    model->cap_entries = larger;
    return LK_OK;
}

lk_status lk_model_register(lk_model *model, const char *name, const lk_model_entry *from)
{
    lk_model_entry *entry = NULL;

    assert(!find(model, name));
    LK_TRY(grow(model));
    const lk_status status = copy_entry(name, from, &entry);
    if (status != LK_OK) {
        free_entry(entry);
        return status;
    }
    entry->in_table = true;
    HASH_ADD_KEYPTR(hh, model->by_name, entry->info.name, strlen(entry->info.name), entry);
    if (!entry->in_table) {
        free_entry(entry);
        return LK_FAIL(LK_ERR_SYSTEM, "out of memory: the table of tensors' names");
    }
    model->entries[model->n_entries++] = entry;
    return LK_OK;
}

static lk_status cut_grid(lk_model *model)
{
    lk_grid_tensor *tensor = malloc(model->n_entries * sizeof *tensor);

    LK_TRY_ALLOC(tensor, model->n_entries * sizeof *tensor);
    for (size_t i = 0; i < model->n_entries; i++)
        tensor[i] = lk_grid_tensor_of(&model->entries[i]->info, model->entries[i]->info.offset);
    const lk_status status = lk_grid_cut(tensor, model->n_entries, model->n_elem, &model->grid);
    free(tensor);
    return status;
}

lk_status lk_model_lay_out(lk_model *model)
{
    lk_model_entry **sorted = malloc((model->n_entries + 1) * sizeof(lk_model_entry *));
    size_t n = 0;

    LK_TRY_ALLOC(sorted, (model->n_entries + 1) * sizeof *sorted);
    for (int role = LK_ROLE_PARAM; role <= LK_ROLE_BUFFER; role++) {
        for (size_t i = 0; i < model->n_entries; i++) {
            lk_model_entry *entry = model->entries[i];

            if ((int)entry->info.role != role) continue;
            entry->info.offset = model->n_elem;
            entry->index = n;
            model->n_elem += lk_round_up(entry->info.n_elem);
            sorted[n++] = entry;
        }
        if (role == LK_ROLE_PARAM) model->n_params = model->n_elem;
    }
    free(model->entries);
    model->entries = sorted;
    model->cap_entries = model->n_entries + 1;
    return cut_grid(model);
}

/* --------------------------------------------------------------------- spec */

static lk_status copy_weights(const double *from, unsigned n, double **out)
{
    *out = NULL;
    if (n == 0) return LK_OK;
    *out = malloc(n * sizeof **out);
    LK_TRY_ALLOC(*out, n * sizeof **out);
    memcpy(*out, from, n * sizeof **out);
    return LK_OK;
}

lk_status lk_model_take_spec(lk_model *model, const lk_model_spec *spec)
{
    lk_loss_spec *loss = &model->spec.loss;

    model->spec = *spec;
    loss->weight = loss->pos_weight = NULL;
    LK_TRY(copy_weights(spec->loss.weight, spec->loss.n_weight, &loss->weight));
    return copy_weights(spec->loss.pos_weight, spec->loss.n_pos_weight, &loss->pos_weight);
}

/* ------------------------------------------------------------------- public */

void lk_model_free(lk_model **model)
{
    if (!model || !*model) return;
    lk_grid_clear(&(*model)->grid);
    HASH_CLEAR(hh, (*model)->by_name);
    for (size_t i = 0; i < (*model)->n_entries; i++) free_entry((*model)->entries[i]);
    free((*model)->entries);
    free((*model)->spec.loss.pos_weight);
    free((*model)->spec.loss.weight);
    free(*model);
    *model = NULL;
}

const lk_model_spec *lk_model_get_spec(const lk_model *model) { return &model->spec; }
size_t lk_model_n_tensors(const lk_model *model) { return model->n_entries; }
const lk_tensor_info *lk_model_tensor(const lk_model *model, size_t i) { return &model->entries[i]->info; }

ptrdiff_t lk_model_find(const lk_model *model, const char *name)
{
    const lk_model_entry *found = find(model, name);

    return found ? (ptrdiff_t)found->index : -1;
}

size_t lk_model_n_elem(const lk_model *model) { return model->n_elem; }
size_t lk_model_n_params(const lk_model *model) { return model->n_params; }
const lk_grid *lk_model_grid(const lk_model *model) { return &model->grid; }
const lk_sample *lk_model_sample(const lk_model *model) { return &model->sample; }
size_t lk_model_n_output(const lk_model *model) { return model->n_output; }
size_t lk_model_n_row(const lk_model *model) { return model->n_row; }
size_t lk_model_n_sums(const lk_model *model) { return lk_loss_n_sums(model->spec.loss.kind, model->n_row); }
