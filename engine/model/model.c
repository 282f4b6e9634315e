/*
 * A model: its spec, and its tensors with their places in the arenas.
 *
 * The network is built once in training mode to register its tensors; then all parameters are laid out in the order
 * of PyTorch's state_dict, and the buffers behind them.  Each tensor starts on a cache line, so kernels load aligned
 * and no two tensors share a line.
 */
#include "engine/nn/nn.h"
#include "engine/model/trainable.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 32, REGISTER_SAMPLES = 2 };

/* ---------------------------------------------------------------- networks */

/* The one list of networks. */
static const struct network {
    lk_status (*check)(const lk_model_spec *spec);
    void (*input)(const lk_model_spec *spec, int *ndim, int64_t shape[LK_MAX_DIMS]);
    lk_status (*build)(lk_builder *builder, const lk_model_spec *spec, int x, int *y);
} networks[] = {
    [LK_MODEL_MLP] = {lk_mlp_check, lk_mlp_input, lk_mlp_build},
    [LK_MODEL_CNN] = {lk_cnn_check, lk_cnn_input, lk_cnn_build},
};

/* The lane's input, cast to the type the network computes in, through the network. */
static lk_status build_body(const lk_model_spec *spec, lk_builder *builder, int *y)
{
    lk_graph *graph = builder->graph;
    int64_t sample[LK_MAX_DIMS], shape[LK_MAX_DIMS] = {graph->n};
    int ndim, x;

    networks[spec->kind].input(spec, &ndim, sample);
    memcpy(shape + 1, sample, (size_t)ndim * sizeof *shape);
    LK_TRY(lk_graph_tensor(graph, "x", LK_DTYPE_F32, ndim + 1, shape, LK_ARENA_X, 0, &x));
    if (graph->precision == LK_BF16) LK_TRY(lk_op_cast(graph, "input", LK_DTYPE_BF16, x, &x));
    return networks[spec->kind].build(builder, spec, x, y);
}

static lk_status add_target(const lk_model_spec *spec, lk_graph *graph, int y, int *target)
{
    const int64_t *shape = graph->tensors[y].shape;

    if (lk_loss_get(spec->loss.kind)->reads == LK_READS_CLASSES)
        return lk_graph_tensor(graph, "label", LK_DTYPE_I32, 1, shape, LK_ARENA_TARGET, 0, target);
    return lk_graph_tensor(graph, "target", LK_DTYPE_F32, 2, shape, LK_ARENA_TARGET, 0, target);
}

/* Training ends in the loss slot and the backward pass. */
static lk_status build_training(const lk_model *model, lk_graph *graph, int y)
{
    int target, slot, dy;

    assert(graph->trainable);
    LK_TRY(add_target(&model->spec, graph, y, &target));
    LK_TRY(lk_graph_tensor(graph, "loss", LK_DTYPE_F32, 0, NULL, LK_ARENA_GRADS,
                           lk_trainable_slot(graph->trainable, LK_SLOT_LOSS) * sizeof(float), &slot));
    LK_TRY(lk_op_loss(graph, "loss", &model->spec.loss, y, target, slot, LK_NO_TENSOR, &dy));
    return lk_graph_differentiate(graph, y, dy);
}

/* Evaluation and prediction end in the fp32 output; the network writes it where it is wanted. */
static lk_status build_output(const lk_model *model, lk_graph *graph, int y)
{
    const int64_t n_sums = LK_N_SUMS;
    int target, sums, dy;

    if (graph->tensors[y].dtype != LK_DTYPE_F32) LK_TRY(lk_op_cast(graph, "output", LK_DTYPE_F32, y, &y));
    graph->tensors[y].arena = LK_ARENA_OUTPUT;
    if (graph->mode == LK_PREDICT) return LK_OK;
    LK_TRY(add_target(&model->spec, graph, y, &target));
    LK_TRY(lk_graph_tensor(graph, "sums", LK_DTYPE_F64, 1, &n_sums, LK_ARENA_SUMS, 0, &sums));
    return lk_op_loss(graph, "loss", &model->spec.loss, y, target, LK_NO_TENSOR, sums, &dy);
}

lk_status lk_model_build(const lk_model *model, lk_graph *graph)
{
    lk_builder builder = {.graph = graph, .prefix = ""};
    int y;

    LK_TRY(build_body(&model->spec, &builder, &y));
    if (graph->mode == LK_TRAIN) return build_training(model, graph, y);
    return build_output(model, graph, y);
}

/* ------------------------------------------------------------ registration */

lk_status lk_model_register(lk_model *model, const char *name, lk_role role, int ndim, const int64_t *shape,
                            lk_fill fill, int64_t fan_in, int64_t fan_out)
{
    if (model->n_entries == model->cap_entries) {
        const size_t larger = model->cap_entries ? 2 * model->cap_entries : FIRST_CAPACITY;
        lk_model_entry *moved = realloc(model->entries, larger * sizeof *moved);
        LK_TRY_ALLOC(moved, larger * sizeof *moved);
        model->entries = moved;
        model->cap_entries = larger;
    }
    char *copy = strdup(name);
    LK_TRY_ALLOC(copy, strlen(name) + 1);

    lk_model_entry *entry = &model->entries[model->n_entries++];
    *entry = (lk_model_entry){.info = {.name = copy, .role = role, .ndim = ndim, .n_elem = 1}, .fill = fill,
                              .fan_in = fan_in, .fan_out = fan_out};
    for (int d = 0; d < ndim; d++) {
        entry->info.shape[d] = shape[d];
        entry->info.n_elem *= (size_t)shape[d];
    }
    return LK_OK;
}

/* Entries in arena order: parameters, then buffers, each in the order they were registered. */
static lk_status lay_out(lk_model *model)
{
    lk_model_entry *sorted = malloc((model->n_entries + 1) * sizeof *sorted);
    size_t n = 0;

    LK_TRY_ALLOC(sorted, (model->n_entries + 1) * sizeof *sorted);
    for (int role = LK_ROLE_PARAM; role <= LK_ROLE_BUFFER; role++) {
        for (size_t i = 0; i < model->n_entries; i++) {
            if ((int)model->entries[i].info.role != role) continue;
            sorted[n] = model->entries[i];
            sorted[n].info.offset = model->n_elem;
            model->n_elem += lk_round_up(sorted[n++].info.n_elem);
        }
        if (role == LK_ROLE_PARAM) model->n_params = model->n_elem;
    }
    free(model->entries);
    model->entries = sorted;
    model->cap_entries = model->n_entries + 1;
    return LK_OK;
}

static lk_status register_tensors(lk_model *model, lk_graph *graph)
{
    lk_builder builder = {.graph = graph, .registering = model, .prefix = ""};
    const lk_tensor *x, *y;
    int id;

    LK_TRY(build_body(&model->spec, &builder, &id));
    x = &graph->tensors[0];
    y = &graph->tensors[id];
    model->n_input = x->n_elem / REGISTER_SAMPLES;
    model->n_output = y->n_elem / REGISTER_SAMPLES;
    return lay_out(model);
}

/* ------------------------------------------------------------------- checks */

static lk_status check_spec(const lk_model_spec *spec)
{
    if ((int)spec->kind < 0 || (size_t)spec->kind >= sizeof networks / sizeof *networks)
        return LK_FAIL(LK_ERR_USAGE, "model.kind %d is not one this build knows", (int)spec->kind);
    if (!(spec->dropout >= 0.0 && spec->dropout < 1.0))
        return LK_FAIL(LK_ERR_USAGE, "model.dropout is %g; it must be at least 0 and less than 1", spec->dropout);
    const double smoothing = spec->loss.label_smoothing;
    if (spec->loss.kind == LK_LOSS_CROSS_ENTROPY && !(smoothing >= 0.0 && smoothing <= 1.0))
        return LK_FAIL(LK_ERR_USAGE, "loss.label_smoothing is %g; it must be between 0 and 1", smoothing);
    return networks[spec->kind].check(spec);
}

/* ------------------------------------------------------------------- public */

lk_status lk_model_new(const lk_model_spec *spec, lk_model **out)
{
    lk_graph graph;

    *out = NULL;
    LK_TRY(check_spec(spec));
    lk_model *model = calloc(1, sizeof *model);
    LK_TRY_ALLOC(model, sizeof *model);
    model->spec = *spec;
    lk_graph_init(&graph, NULL, LK_TRAIN, LK_FP32, REGISTER_SAMPLES);
    const lk_status status = register_tensors(model, &graph);
    lk_graph_clear(&graph);
    if (status != LK_OK) {
        lk_model_free(&model);
        return lk_trace(status, __FILE__, __LINE__);
    }
    *out = model;
    return LK_OK;
}

void lk_model_free(lk_model **model)
{
    if (!model || !*model) return;
    for (size_t i = 0; i < (*model)->n_entries; i++) free((char *)(*model)->entries[i].info.name);
    free((*model)->entries);
    free(*model);
    *model = NULL;
}

const lk_model_spec *lk_model_get_spec(const lk_model *model) { return &model->spec; }
size_t lk_model_n_tensors(const lk_model *model) { return model->n_entries; }
const lk_tensor_info *lk_model_tensor(const lk_model *model, size_t i) { return &model->entries[i].info; }

ptrdiff_t lk_model_find(const lk_model *model, const char *name)
{
    for (size_t i = 0; i < model->n_entries; i++)
        if (strcmp(model->entries[i].info.name, name) == 0) return (ptrdiff_t)i;
    return -1;
}

size_t lk_model_n_elem(const lk_model *model) { return model->n_elem; }
size_t lk_model_n_params(const lk_model *model) { return model->n_params; }
size_t lk_model_n_input(const lk_model *model) { return model->n_input; }
size_t lk_model_n_output(const lk_model *model) { return model->n_output; }
bool lk_model_has_batch_norm(const lk_model *model) { return model->n_elem > model->n_params; }
