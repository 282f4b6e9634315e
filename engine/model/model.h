/* A model as data: what a network looks like, the names, shapes and places of its tensors, and which of them train. */
#ifndef LK_MODEL_H
#define LK_MODEL_H

#include "engine/base/sample.h"
#include "engine/model/families.h"
#include "engine/model/fill.h"
#include "engine/model/loss.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --------------------------------------------------------------------- model */

/* Lists that recipes, help and code share: X(NAME, "recipe word"). */
#define LK_PRECISION_LIST(X) X(LK_FP32, "fp32") X(LK_BF16, "bf16") X(LK_TF32, "tf32")
#define LK_ACTIVATION_LIST(X) LK_ACTIVATION_FORMULAS(X) X(LK_ACT_IDENTITY, "none")
/* X(NAME, "recipe word", formula, FROM_X or FROM_Y): lk_FORMULA() and lk_FORMULA_grad() of base/formulas.h, the second
 * of dy and x, or of dy and y.  Every table of activations is made from this list. */
#define LK_ACTIVATION_FORMULAS(X)                                                              \
    X(LK_ACT_RELU, "relu", relu, FROM_Y) X(LK_ACT_TANH, "tanh", tanh, FROM_Y)                   \
    X(LK_ACT_SIGMOID, "sigmoid", sigmoid, FROM_Y)                                               \
    X(LK_ACT_GELU, "gelu", gelu, FROM_X) X(LK_ACT_GELU_TANH, "gelu_tanh", gelu_tanh, FROM_X)    \
    X(LK_ACT_LEAKY_RELU, "leaky_relu", leaky_relu, FROM_Y) /* slope 0.01, PyTorch's default */  \
    X(LK_ACT_SILU, "silu", silu, FROM_X)                                                        \
    X(LK_ACT_ELU, "elu", elu, FROM_Y)                      /* alpha 1, PyTorch's default */
/* The last two are a transformer's layer norms: where they are. */
#define LK_NORM_LIST(X) X(LK_NORM_NONE, "none") X(LK_NORM_BATCH, "batch") X(LK_NORM_LAYER, "layer") \
    X(LK_NORM_POST, "post") X(LK_NORM_PRE, "pre")
#define LK_NORM_PLACE_LIST(X) X(LK_NORM_BEFORE, "before") X(LK_NORM_AFTER, "after")

typedef enum lk_precision { LK_PRECISION_LIST(LK_WORD_ENUM) } lk_precision;
typedef enum lk_model_kind {
#define LK_MODEL_ENUM(id, word, family) LK_MODEL_##id,
    LK_NETWORK_LIST(LK_MODEL_ENUM)
#undef LK_MODEL_ENUM
    LK_MODEL_PLUGIN,
} lk_model_kind;
typedef enum lk_activation { LK_ACTIVATION_LIST(LK_WORD_ENUM) } lk_activation;
typedef enum lk_norm { LK_NORM_LIST(LK_WORD_ENUM) } lk_norm;
typedef enum lk_norm_place { LK_NORM_PLACE_LIST(LK_WORD_ENUM) } lk_norm_place;

typedef struct lk_network lk_network; /* engine/nn/nn.h */

/* What a network looks like. */
typedef struct lk_model_spec {
    lk_model_kind kind;
    const lk_network *network;      /* NULL: the one that kind names; else the caller's own, borrowed */
    lk_vision_spec vision;          /* of networks of images */
    lk_mlp_spec mlp;                /* of the family that is named, engine/model/families.h */
    lk_cnn_spec cnn;
    lk_swin_spec swin;
    lk_backbone_spec backbone;
    lk_transformer_spec transformer;
    lk_gpt2_spec gpt2;
    lk_plugin_spec plugin;
    bool bytes;                     /* what the network reads as fp32 in field x comes as bytes of images */
    lk_pixels pixels;               /* the numbers that they stand for */
    lk_activation activation;
    lk_norm norm;
    lk_norm_place norm_place;       /* relative to the activation */
    double dropout;                 /* in [0, 1) */
    const char *init, *init_bias;   /* of weights and of biases of linear layers and convolutions, in place of the
                                     * network's own, as lk_fill_parse() reads them; NULL or "default": the network's.
                                     * Read by lk_model_new() alone */
    lk_loss_spec loss;
} lk_model_spec;

typedef enum lk_role {
    LK_ROLE_PARAM,  /* trained by the optimizer, or frozen */
    LK_ROLE_BUFFER, /* batch norm's running_mean, running_var */
} lk_role;

typedef struct lk_tensor_info {
    const char *name;          /* PyTorch's state_dict name; owned by the model */
    lk_role role;
    int ndim;                  /* 0 .. LK_MAX_DIMS */
    int64_t shape[LK_MAX_DIMS]; /* PyTorch's shape */
    size_t offset;             /* first element in the parameter arena, a multiple of 16 */
    size_t n_elem;
} lk_tensor_info;

typedef struct lk_model lk_model;

/* How an arena is cut where it is shared out or summed in parts: chunks of whole rows, at least 16 k elements (or a
 * 64 k-th of it) but for the last, a function of the tensors in it alone.  Buckets, shards and a checkpoint's pieces
 * end where chunks end, and the gradient's norm is summed by them; so these agree whatever the number of workers. */
typedef struct lk_grid {
    size_t *cut; /* owned, (n + 1) ascending multiples of 16: chunk c is [cut[c], cut[c + 1]); the first is 0, the last
                  * the arena's end */
    size_t n;
} lk_grid;

/* The first chunk that begins at `place` or behind it; n: none does. */
size_t lk_grid_chunk_from(const lk_grid *grid, size_t place);
/* Where the s-th of n even parts of `within`, whose ends are cuts, begins: at a cut; s == n: its end. */
size_t lk_grid_border(const lk_grid *grid, lk_range within, int s, int n);

/* Fills what the recipe leaves to the data (the sides of images, the number of classes) and checks the rest against the
 * fields that the data gives; a target field is there whether or not the data has it.  Errors: LK_ERR_USAGE, beginning
 * with the recipe's key. */
lk_status lk_model_fit(lk_model_spec *spec, const lk_sample *data);
/* Nothing is left to the data. */
bool lk_model_is_complete(const lk_model_spec *spec);
/* What weight decay leaves alone in the network of a recipe's word, where the recipe names no groups: patterns, NULL
 * behind the last; NULL: nothing. */
const char *const *lk_model_no_decay(const char *word);

/* Builds the network once to check it and to lay out its tensors: all LK_ROLE_PARAM first, in state_dict order,
 * then the buffers.  Errors: LK_ERR_USAGE, naming the layer. */
lk_status lk_model_new(const lk_model_spec *spec, lk_model **out);
void      lk_model_free(lk_model **model);
const lk_model_spec  *lk_model_get_spec(const lk_model *model);
/* Positions of the longest sequence that the network reads; 0: any number. */
int64_t               lk_model_context(const lk_model *model);
size_t                lk_model_n_tensors(const lk_model *model);
const lk_tensor_info *lk_model_tensor(const lk_model *model, size_t i); /* in arena order */
/* Index of a tensor by name, -1 if there is none. */
ptrdiff_t lk_model_find(const lk_model *model, const char *name);
/* Elements of the parameter arena (padding included) and of the parameters in it, [0, n_params): buffers lie behind. */
size_t lk_model_n_elem(const lk_model *model);
size_t lk_model_n_params(const lk_model *model);
/* What a model reads, inputs before targets: the order of a lane's fields. */
const lk_sample *lk_model_sample(const lk_model *model);
size_t lk_model_n_output(const lk_model *model); /* elements of one sample's outputs; of length 1 where that varies */
/* Outputs in one row of the loss, its last axis: classes, where there are labels.  Of several outputs together. */
size_t lk_model_n_row(const lk_model *model);
/* Doubles that a lane of evaluation sums up: those of its loss. */
size_t lk_model_n_sums(const lk_model *model);
/* How its parameter arena, buffers included, is shared out (below). */
const lk_grid *lk_model_grid(const lk_model *model);
/* First values of all tensors, a function of seed, name and shape alone.  params: (lk_model_n_elem), host. */
void lk_model_init(const lk_model *model, uint64_t seed, float *params);

/* --------------------------------------------------------------- trainable set */

/* Which parameters train now, and in which groups; one stage of a run has one set.
 *
 * The trained tensors are packed: in the order of the parameter arena, one behind the other (each padded to 16
 * elements, as there), they make the index space [0, lk_trainable_n_elem()) of gradients and optimizer states.  So
 * these arrays are as long as what trains, whatever is frozen. */
typedef struct lk_trainable lk_trainable;

typedef struct lk_trainable_spec {
    const bool *trains;     /* (lk_model_n_tensors), read for parameters; NULL: all train */
    const int *group;       /* (lk_model_n_tensors), read for trained parameters: 0 .. n_groups-1; NULL: all 0 */
    int n_groups;           /* >= 1; a group may be left without tensors */
    bool frozen_eval;       /* what is frozen is as in evaluation in training too: a batch norm whose gain and bias are
                             * frozen normalises by its running statistics and leaves them as they are, and where
                             * nothing of a module trains its dropout is off; false: by the lane's statistics, which go
                             * on, and with dropout */
} lk_trainable_spec;

/* Neighbours in the parameter arena that train in one group: [param, param + n_elem) there is
 * [grad, grad + n_elem) of gradients and states.  Padding is included. */
typedef struct lk_trainable_range {
    size_t param, grad, n_elem;
    int group;
} lk_trainable_range;

/* model is borrowed and must outlive the set; the arrays of spec are copied.  spec NULL: everything, one group.
 * Errors: LK_ERR_USAGE (no tensor is left to train; a group that does not exist). */
lk_status lk_trainable_new(const lk_model *model, const lk_trainable_spec *spec, lk_trainable **out);
void      lk_trainable_free(lk_trainable **trainable);
const lk_model *lk_trainable_model(const lk_trainable *trainable);
/* Tensor i of the model trains. */
bool   lk_trainable_has(const lk_trainable *trainable, size_t i);
int    lk_trainable_group(const lk_trainable *trainable, size_t i); /* of a tensor that trains */
int    lk_trainable_n_groups(const lk_trainable *trainable);
/* Place in the gradient arena of tensor i's gradient, or of its statistic where it is a buffer of a batch norm that
 * collects them; SIZE_MAX where it has none.  A trained tensor's is also its place in optimizer states. */
size_t lk_trainable_offset(const lk_trainable *trainable, size_t i);
/* Elements of the packed gradients, padding included; and of the tensors that train, without it. */
size_t lk_trainable_n_elem(const lk_trainable *trainable);
size_t lk_trainable_n_weights(const lk_trainable *trainable);
const lk_grid *lk_trainable_grid(const lk_trainable *trainable); /* of the packed gradients */
/* Runs in order of both arenas, the fewest that will do. */
size_t lk_trainable_n_ranges(const lk_trainable *trainable);
const lk_trainable_range *lk_trainable_get_range(const lk_trainable *trainable, size_t r);

/* The gradient arena of a set, one flat fp32 array, all of it summed over lanes: the packed gradients; the lane's
 * batch statistics, for the buffers of each batch norm that collects them (in order, padded alike); LK_N_SLOTS
 * scalars. */
typedef enum lk_slot {
    LK_SLOT_LOSS,  /* sum of loss terms / global count: over lanes it adds up to the batch's mean loss */
    LK_SLOT_MICRO_BATCHES, /* of the lane: over lanes it adds up to what statistics are a sum of */
    LK_SLOT_VOTES, /* first of LK_N_VOTES numbers of the caller */
    LK_N_VOTES = 6,
    LK_N_SLOTS = LK_SLOT_VOTES + LK_N_VOTES,
} lk_slot;

size_t lk_trainable_n_grads(const lk_trainable *trainable);      /* elements of a gradient arena */
size_t lk_trainable_slot(const lk_trainable *trainable, lk_slot slot); /* place of a scalar in it */

#ifdef __cplusplus
}
#endif
#endif
