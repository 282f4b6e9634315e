/*
 * The builder's inside: scopes, and the tensors that layers ask for by name.  Private to engine/nn.
 *
 * While a model is made, a tensor asked for is registered with it; later builds look it up and give it its place in
 * the arenas.  Either way a name is one tensor of the graph.
 */
#ifndef LK_BUILDER_H
#define LK_BUILDER_H

#include "engine/model/model_impl.h"
#include "engine/nn/nn.h"
#include "engine/ops/ops.h"

enum { LK_MAX_SCOPES = 16 };

typedef struct lk_scope {
    size_t length; /* of the path up to it */
    int index;     /* of the next layer without a name */
} lk_scope;

/* A tensor of the graph that a layer asked for. */
typedef struct lk_asked {
    char *name, *layer; /* owned; the layer is the first that asked */
    int tensor;
    bool in_table;
    UT_hash_handle hh;  /* by name */
} lk_asked;

struct lk_builder {
    lk_graph *graph;       /* borrowed */
    lk_model *registering; /* borrowed; the model that gets the tensors; NULL when they are only looked up */
    char path[LK_MAX_PATH]; /* of the scope, without a final dot */
    lk_scope scope[LK_MAX_SCOPES];
    int depth;             /* scopes entered; scope[depth] is the present one */
    lk_asked *asked;       /* owned; uthash's head */
    lk_fill init, init_bias; /* what the recipe asks for; LK_INIT_DEFAULT: nothing */
    uint32_t n_dropouts;    /* and other layers that draw random numbers */
};

void lk_builder_init(lk_builder *builder, lk_graph *graph, lk_model *registering);
void lk_builder_clear(lk_builder *builder);

/* The path of the layer of this name in the present scope; NULL takes the next index. */
lk_status lk_builder_path(lk_builder *builder, const char *name, char path[LK_MAX_PATH]);
/* Tensor LAYER.leaf as `want` says, asked for by the layer at `path`.  Errors: LK_ERR_USAGE (too long a name, another
 * shape than it has). */
lk_status lk_builder_tensor(lk_builder *builder, const char *path, const char *layer, const char *leaf,
                            const lk_model_entry *want, int *out);
/* The place of a buffer's statistic in the gradient arena; LK_NO_TENSOR where the set in use collects none.
 * Errors: LK_ERR_USAGE (a layer that ran before in this lane has put its statistic there). */
lk_status lk_builder_statistic(lk_builder *builder, const char *path, int buffer, int *out);
/* In the training that is built, the layer at `path` draws no random numbers: see lk_trainable_in_eval(). */
bool lk_builder_in_eval(const lk_builder *builder, const char *path);

#endif
