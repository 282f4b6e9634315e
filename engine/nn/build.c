/*
 * From a spec to a model, and from a model to the graph of a plan.
 *
 * A network's builder runs many times: once in training mode to register its tensors with the model (names, shapes,
 * first values), then once for each plan, when every layer finds its tensors by name.  So both can never disagree.
 */
#include "engine/nn/build.h"
#include "engine/nn/builder.h"
#include "engine/nn/networks.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { REGISTER_SAMPLES = 2 };

/* The tensor of the lane's field f. */
static lk_status add_field(lk_graph *graph, const lk_sample *sample, int f, int *out)
{
    const lk_field *field = &sample->field[f];
    int64_t shape[LK_MAX_DIMS] = {graph->n};

    for (int d = 0; d < field->ndim; d++) shape[d + 1] = field->shape[d] == LK_LENGTH ? graph->length : field->shape[d];
    return lk_graph_tensor(graph, field->name, field->dtype, field->ndim + 1, shape, lk_arena_of_field(f), 0, out);
}

/* The lane's inputs, floats cast to the type the network computes in, through the network. */
static lk_status build_body(const lk_model *model, lk_builder *builder, int *y)
{
    lk_graph *graph = builder->graph;
    const lk_sample *sample = &model->sample;
    int in[LK_MAX_FIELDS];

    for (int f = 0; f < sample->n_fields; f++) {
        in[f] = LK_NO_TENSOR;
        if (sample->field[f].target) continue;
        LK_TRY(add_field(graph, sample, f, &in[f]));
        if (graph->precision == LK_BF16 && sample->field[f].dtype == LK_DTYPE_F32)
            LK_TRY(lk_op_cast(graph, "input", LK_DTYPE_BF16, in[f], &in[f]));
    }
    return model->network->build(builder, &model->spec, in, y);
}

/* -------------------------------------------------------------------- plans */

static lk_status add_target(const lk_model *model, lk_graph *graph, int *target)
{
    return add_field(graph, &model->sample, model->sample.n_fields - 1, target);
}

/* Training ends in the loss slot and the backward pass. */
static lk_status build_training(const lk_model *model, lk_graph *graph, int y)
{
    int target, slot, dy;

    assert(graph->trainable);
    LK_TRY(add_target(model, graph, &target));
    LK_TRY(lk_graph_tensor(graph, "loss", LK_DTYPE_F32, 0, NULL, LK_ARENA_GRADS,
                           lk_trainable_slot(graph->trainable, LK_SLOT_LOSS) * sizeof(float), &slot));
    LK_TRY(lk_op_loss(graph, "loss", &model->spec.loss, y, target, slot, LK_NO_TENSOR, &dy));
    return lk_graph_differentiate(graph, y, dy);
}

/* A computed fp32 tensor, or a view of all of one, is written where the output is wanted; else a copy is. */
static lk_status output_of(lk_graph *graph, int y, int *out)
{
    const lk_tensor *t = &graph->tensors[y], *root = &graph->tensors[lk_graph_root(graph, y)];

    *out = y;
    if (t->dtype != LK_DTYPE_F32 || root->arena != LK_ARENA_ACT || root->n_elem != t->n_elem)
        LK_TRY(lk_op_cast(graph, "output", LK_DTYPE_F32, y, out));
    graph->tensors[lk_graph_root(graph, *out)].arena = LK_ARENA_OUTPUT;
    return LK_OK;
}

/* Evaluation and prediction end in the fp32 output; the network writes it where it is wanted. */
static lk_status build_output(const lk_model *model, lk_graph *graph, int y)
{
    const int64_t n_sums = (int64_t)lk_model_n_sums(model);
    int target, sums, dy;

    LK_TRY(output_of(graph, y, &y));
    if (graph->mode == LK_PREDICT) return LK_OK;
    LK_TRY(add_target(model, graph, &target));
    LK_TRY(lk_graph_tensor(graph, "sums", LK_DTYPE_F64, 1, &n_sums, LK_ARENA_SUMS, 0, &sums));
    return lk_op_loss(graph, "loss", &model->spec.loss, y, target, LK_NO_TENSOR, sums, &dy);
}

lk_status lk_model_build(const lk_model *model, lk_graph *graph)
{
    lk_builder builder;
    int y;

    lk_builder_init(&builder, graph, NULL);
    const lk_status status = build_body(model, &builder, &y);
    lk_builder_clear(&builder);
    LK_TRY(status);
    if (graph->mode == LK_TRAIN) return build_training(model, graph, y);
    return build_output(model, graph, y);
}

/* ------------------------------------------------------------ registration */

/* What the loss reads beside the output that the network turned out to have. */
static void add_loss_target(lk_model *model, const lk_tensor *y)
{
    lk_field output = {.dtype = y->dtype, .ndim = y->ndim - 1}, target;

    memcpy(output.shape, y->shape + 1, (size_t)output.ndim * sizeof *output.shape);
    lk_loss_target(&model->spec.loss, &output, &target);
    lk_sample_add(&model->sample, &target);
}

static lk_status read_fill(const char *key, const char *text, lk_fill *out)
{
    if (lk_fill_parse(text, out) == LK_OK) return LK_OK;
    return LK_FAIL(LK_ERR_USAGE, "%s: %s", key, lk_error_message());
}

static lk_status register_tensors(lk_model *model, lk_graph *graph)
{
    lk_builder builder;
    int y;

    model->network->sample(&model->spec, &model->sample);
    lk_builder_init(&builder, graph, model);
    LK_TRY(read_fill("model.init", model->spec.init, &builder.init));
    LK_TRY(read_fill("model.init_bias", model->spec.init_bias, &builder.init_bias));
    const lk_status status = build_body(model, &builder, &y);
    lk_builder_clear(&builder);
    LK_TRY(status);
    model->n_output = graph->tensors[y].n_elem / REGISTER_SAMPLES;
    model->n_row = (size_t)graph->tensors[y].shape[graph->tensors[y].ndim - 1];
    LK_TRY(lk_loss_check(&model->spec.loss, model->n_row));
    add_loss_target(model, &graph->tensors[y]);
    return lk_model_lay_out(model);
}

static lk_status check_spec(const lk_model_spec *spec, const lk_network *network)
{
    if (!(spec->dropout >= 0.0 && spec->dropout < 1.0))
        return LK_FAIL(LK_ERR_USAGE, "model.dropout is %g; it must be at least 0 and less than 1", spec->dropout);
    LK_TRY(lk_plugin_check_args(network, spec));
    return network->check ? network->check(spec) : LK_OK;
}

lk_status lk_model_new(const lk_model_spec *spec, lk_model **out)
{
    const lk_network *network;
    lk_graph graph;

    *out = NULL;
    LK_TRY(lk_network_find(spec, &network));
    LK_TRY(check_spec(spec, network));
    lk_model *model = calloc(1, sizeof *model);
    LK_TRY_ALLOC(model, sizeof *model);
    model->network = network;
    lk_graph_init(&graph, NULL, LK_TRAIN, LK_FP32, REGISTER_SAMPLES);
    lk_status status = lk_model_take_spec(model, spec);
    if (status == LK_OK) status = register_tensors(model, &graph);
    lk_graph_clear(&graph);
    if (status != LK_OK) {
        lk_model_free(&model);
        return lk_trace(status, __FILE__, __LINE__);
    }
    *out = model;
    return LK_OK;
}
