/*
 * Networks, written only with ops: the model's inside, layers that register or find their tensors, and the networks
 * made of them.  Private to engine/.
 *
 * A network's builder runs many times: once to register its tensors with the model (names, shapes, first values), then
 * once for each plan, when every layer finds its tensors by name.  So both can never disagree.
 */
#ifndef LK_NN_H
#define LK_NN_H

#include "engine/ops/ops.h"

enum { LK_MAX_NAME = 128 };
#define LK_BATCH_NORM_MOMENTUM 0.1f /* PyTorch's default, of every batch norm here */

/* How a tensor gets its first values. */
typedef enum lk_fill { LK_FILL_WEIGHT, LK_FILL_BIAS, LK_FILL_ZEROS, LK_FILL_ONES } lk_fill;

typedef struct lk_model_entry {
    lk_tensor_info info; /* info.name is owned */
    lk_fill fill;
    int64_t fan_in, fan_out; /* WEIGHT and BIAS: torch.nn.init's fans of the layer */
} lk_model_entry;

struct lk_model {
    lk_model_spec spec;
    lk_model_entry *entries; /* owned; parameters, then buffers */
    size_t n_entries, cap_entries;
    size_t n_params, n_elem;
    size_t n_input, n_output; /* elements of one sample */
};

/* A network being built.  Layers are entries of one torch.nn.Sequential after another: `prefix` is the Sequential's
 * name with its dot ("features.") and `index` the place of the next layer in it. */
typedef struct lk_builder {
    lk_graph *graph;      /* borrowed */
    lk_model *registering; /* the model that gets the tensors; NULL when they are only looked up */
    const char *prefix;
    int index;
    uint32_t n_dropouts;
} lk_builder;

/* Layers: each takes the next index and appends what its PyTorch namesake computes. */
lk_status lk_layer_linear(lk_builder *builder, int x, int64_t n_out, int *y);
/* Odd kernel, padding kernel / 2, stride 1. */
lk_status lk_layer_conv2d(lk_builder *builder, int x, int64_t n_out, int64_t kernel, bool bias, int *y);
/* BatchNorm1d, BatchNorm2d or LayerNorm over the last axis; LK_NORM_NONE takes no index. */
lk_status lk_layer_norm(lk_builder *builder, lk_norm kind, int x, int *y);
/* LK_ACT_IDENTITY takes an index too, as torch.nn.Identity. */
lk_status lk_layer_activation(lk_builder *builder, lk_activation kind, int x, int *y);
lk_status lk_layer_dropout(lk_builder *builder, double p, int x, int *y);
/* 2 x 2, stride 2. */
lk_status lk_layer_pool(lk_builder *builder, lk_pool kind, int x, int *y);

/* Networks: the checks of their part of the spec, LK_ERR_USAGE naming the recipe's key; their input's shape without N;
 * and the body, from x to the output (N, n_output) in x's type. */
lk_status lk_mlp_check(const lk_model_spec *spec);
void      lk_mlp_input(const lk_model_spec *spec, int *ndim, int64_t shape[LK_MAX_DIMS]);
lk_status lk_mlp_build(lk_builder *builder, const lk_model_spec *spec, int x, int *y);
lk_status lk_cnn_check(const lk_model_spec *spec);
void      lk_cnn_input(const lk_model_spec *spec, int *ndim, int64_t shape[LK_MAX_DIMS]);
lk_status lk_cnn_build(lk_builder *builder, const lk_model_spec *spec, int x, int *y);

/* Registers a tensor; called by layers while the model is made. */
lk_status lk_model_register(lk_model *model, const char *name, lk_role role, int ndim, const int64_t *shape,
                            lk_fill fill, int64_t fan_in, int64_t fan_out);

/* The whole graph of a plan in graph's mode and precision: input, network, loss, backward pass; not yet placed.  For
 * training graph->trained must be there. */
lk_status lk_model_build(const lk_model *model, lk_graph *graph);

#endif
