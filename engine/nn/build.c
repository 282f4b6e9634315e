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

enum { REGISTER_SAMPLES = 2, REGISTER_LENGTH = 1 };

/* The tensor of the lane's field f. */
static lk_status add_field(lk_graph *graph, const lk_sample *sample, int f, int *out)
{
    const lk_field *field = &sample->field[f];
    int64_t shape[LK_MAX_DIMS] = {graph->n};

    for (int d = 0; d < field->ndim; d++) shape[d + 1] = field->shape[d] == LK_LENGTH ? graph->length : field->shape[d];
    return lk_graph_tensor(graph, field->name, field->dtype, field->ndim + 1, shape, lk_arena_of_field(f), 0, out);
}

/* Pixels and floats in the type the network computes in; other fields as they come. */
static lk_status to_numbers(lk_graph *graph, const lk_field *field, bool is_pixels, int *x)
{
    if (is_pixels) LK_TRY(lk_op_normalize(graph, field->name, &field->pixels, *x, x));
    if (graph->precision != LK_BF16 || graph->tensors[*x].dtype != LK_DTYPE_F32) return LK_OK;
    return lk_op_cast(graph, "input", LK_DTYPE_BF16, *x, x);
}

/* The lane's inputs through the network to its outputs. */
static lk_status build_body(const lk_model *model, lk_builder *builder, int *out)
{
    lk_graph *graph = builder->graph;
    const lk_sample *sample = &model->sample;
    int in[LK_MAX_FIELDS];

    for (int f = 0; f < sample->n_fields; f++) {
        in[f] = LK_NO_TENSOR;
        if (sample->field[f].target) continue;
        LK_TRY(add_field(graph, sample, f, &in[f]));
        LK_TRY(to_numbers(graph, &sample->field[f], f == model->pixels, &in[f]));
    }
    return model->network->build(builder, &model->spec, in, out);
}

/* -------------------------------------------------------------------- plans */

/* The tensor of target number o. */
static lk_status add_target(const lk_model *model, lk_graph *graph, int o, int *target)
{
    int f = 0;

    for (int left = o;; f++)
        if (model->sample.field[f].target && left-- == 0) break;
    return add_field(graph, &model->sample, f, target);
}

static lk_status add_slot(lk_graph *graph, int *slot)
{
    return lk_graph_tensor(graph, "loss", LK_DTYPE_F32, 0, NULL, LK_ARENA_GRADS,
                           lk_trainable_slot(graph->trainable, LK_SLOT_LOSS) * sizeof(float), slot);
}

/* The losses of several outputs, added in order; the last addition lands in the slot. */
static lk_status add_losses(lk_graph *graph, int n, const int *loss)
{
    int sum = loss[0];

    for (int o = 1; o < n; o++) {
        const int in[] = {sum, loss[o]};

        if (o + 1 < n) LK_TRY(lk_graph_act(graph, "loss", LK_DTYPE_F32, 0, NULL, &sum));
        else LK_TRY(add_slot(graph, &sum));
        LK_TRY(lk_graph_node(graph, LK_OP_ADD, "loss", 2, in, 1, &sum, NULL, NULL));
    }
    return LK_OK;
}

/* Training ends in the loss slot and the backward pass. */
static lk_status build_training(const lk_model *model, lk_graph *graph, const int *y)
{
    const int n = model->n_outputs;
    int target, loss[LK_MAX_FIELDS], dy[LK_MAX_FIELDS];

    assert(graph->trainable);
    for (int o = 0; o < n; o++) {
        LK_TRY(add_target(model, graph, o, &target));
        if (n == 1) LK_TRY(add_slot(graph, &loss[o]));
        else LK_TRY(lk_graph_act(graph, "loss", LK_DTYPE_F32, 0, NULL, &loss[o]));
        LK_TRY(lk_op_loss(graph, "loss", &model->spec.loss, y[o], target, loss[o], LK_NO_TENSOR, &dy[o]));
    }
    LK_TRY(add_losses(graph, n, loss));
    return lk_graph_differentiate(graph, n, y, dy);
}

/* The output in fp32, where somebody asks for it behind those before it in their arena: a computed tensor, or a view of
 * all of one, is written there; else a copy is. */
static lk_status add_output(lk_graph *graph, int *y)
{
    const lk_tensor *t = &graph->tensors[*y], *root = &graph->tensors[lk_graph_root(graph, *y)];
    const bool whole = root->arena == LK_ARENA_ACT && root->n_elem == t->n_elem;

    if (t->dtype != LK_DTYPE_F32 || (graph->wants_output && !whole))
        LK_TRY(lk_op_cast(graph, "output", LK_DTYPE_F32, *y, y));
    if (!graph->wants_output) return LK_OK;
    lk_tensor *out = &graph->tensors[lk_graph_root(graph, *y)];
    out->arena = LK_ARENA_OUTPUT;
    out->offset = graph->output_bytes;
    graph->output_bytes += out->nbytes;
    return LK_OK;
}

static lk_status add_sums(const lk_model *model, lk_graph *graph, int o, int y)
{
    const lk_tensor *t = &graph->tensors[y];
    const int64_t n_sums = (int64_t)lk_loss_n_sums(model->spec.loss.kind, (size_t)t->shape[t->ndim - 1]);
    int target, sums, dy;

    LK_TRY(add_target(model, graph, o, &target));
    LK_TRY(lk_graph_tensor(graph, "sums", LK_DTYPE_F64, 1, &n_sums, LK_ARENA_SUMS, graph->sums_bytes, &sums));
    graph->sums_bytes += (size_t)n_sums * sizeof(double);
    return lk_op_loss(graph, "loss", &model->spec.loss, y, target, LK_NO_TENSOR, sums, &dy);
}

lk_status lk_model_build(const lk_model *model, lk_graph *graph)
{
    lk_builder builder;
    int y[LK_MAX_FIELDS];

    lk_builder_init(&builder, graph, NULL);
    const lk_status status = build_body(model, &builder, y);
    lk_builder_clear(&builder);
    LK_TRY(status);
    if (graph->side != LK_SIDE_BOTH) LK_TRY(lk_graph_cut(graph));
    if (graph->side == LK_SIDE_FROZEN) return LK_OK;
    graph->n_outputs = model->n_outputs;
    if (graph->mode == LK_TRAIN) return build_training(model, graph, y);
    for (int o = 0; o < model->n_outputs; o++) LK_TRY(add_output(graph, &y[o]));
    for (int o = 0; graph->mode == LK_EVAL && o < model->n_outputs; o++) LK_TRY(add_sums(model, graph, o, y[o]));
    return LK_OK;
}

/* ------------------------------------------------------------ registration */

static int count_targets(const lk_sample *sample)
{
    int n = 0;

    for (int f = 0; f < sample->n_fields; f++) n += sample->field[f].target;
    return n;
}

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

/* Images that come as bytes are read as bytes. */
static void take_bytes(lk_model *model)
{
    const int x = lk_sample_find(&model->sample, "x");

    model->pixels = -1;
    if (!model->spec.bytes || x < 0 || model->sample.field[x].dtype != LK_DTYPE_F32) return;
    model->pixels = x;
    model->sample.field[x].dtype = LK_DTYPE_U8;
    model->sample.field[x].pixels = model->spec.pixels;
}

static lk_status count_output(lk_model *model, const lk_tensor *y)
{
    enum { OF_STEPS = 3 }; /* axes: samples, steps, classes */
    const size_t row = (size_t)y->shape[y->ndim - 1];

    if (model->spec.loss.reduction == LK_LOSS_SEQUENCE && y->ndim != OF_STEPS)
        return LK_FAIL(LK_ERR_USAGE, "loss.reduction: sequence is for a network that gives logits for each step of a "
                       "sequence; this one's output has %d axes, the samples' among them, not %d", y->ndim, OF_STEPS);
    model->n_output += y->n_elem / REGISTER_SAMPLES;
    model->n_row += row;
    return lk_loss_check(&model->spec.loss, row);
}

/* A network that reads several targets has an output for each. */
static lk_status register_tensors(lk_model *model, lk_graph *graph)
{
    lk_builder builder;
    int y[LK_MAX_FIELDS];

    model->network->sample(&model->spec, &model->sample);
    take_bytes(model);
    graph->length = lk_sample_has_length(&model->sample) ? REGISTER_LENGTH : 0;
    lk_builder_init(&builder, graph, model);
    LK_TRY(read_fill("model.init", model->spec.init, &builder.init));
    LK_TRY(read_fill("model.init_bias", model->spec.init_bias, &builder.init_bias));
    const lk_status status = build_body(model, &builder, y);
    lk_builder_clear(&builder);
    LK_TRY(status);
    if (count_targets(&model->sample) == 0) add_loss_target(model, &graph->tensors[y[0]]);
    model->n_outputs = count_targets(&model->sample);
    for (int o = 0; o < model->n_outputs; o++) LK_TRY(count_output(model, &graph->tensors[y[o]]));
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
