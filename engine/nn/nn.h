/*
 * How a network is written: PyTorch's modules as functions that append to a graph.
 *
 *     static lk_status build(lk_builder *b, const lk_model_spec *spec, const int *in, int *y)
 *     {
 *         int x = in[0];
 *         LK_TRY(lk_enter(b, "block%d", 1));
 *         LK_TRY(lk_layer_linear(b, "fc", x, &(lk_linear){.n_out = 64}, &x));    block1.fc.weight, block1.fc.bias
 *         LK_TRY(lk_layer_activation(b, "act", LK_ACT_RELU, x, &x));
 *         lk_leave(b);
 *         return lk_layer_linear(b, "head", x, &(lk_linear){.n_out = 10}, y);    head.weight, head.bias
 *     }
 *
 * Tensors are numbers, good while the network is built.  Activations have the samples first and the features or
 * channels last, (N, C) or (N, H, W, C); parameters have PyTorch's names and shapes.  Every function checks shapes at
 * once; errors are LK_ERR_USAGE and name the layer by its path.
 */
#ifndef LK_NN_H
#define LK_NN_H

#include "engine/run.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A network being built. */
typedef struct lk_builder lk_builder;

/* Bytes of a layer's path and of a tensor's name, the final 0 included; longer ones are an error. */
enum { LK_MAX_PATH = 192, LK_MAX_NAME = LK_MAX_PATH + 32 };

/* ------------------------------------------------------------------- scopes */

/* Until lk_leave() what is named lies in a scope of that name (printf form): "layer%d" makes layer1.NAME.  A NULL
 * format takes the next index of the scope outside, as a Sequential names what it holds. */
lk_status lk_enter(lk_builder *builder, const char *format, ...) __attribute__((format(printf, 2, 3)));
void      lk_leave(lk_builder *builder);

/* ------------------------------------------------------------------- layers */

/* Each layer takes a name; NULL takes the next index of its scope, counted from 0 as a torch.nn.Sequential does.
 *
 * A tensor's name asked for twice is one tensor: a layer used twice, or one that is told to `share` another's weight,
 * trains with the sum of both gradients.  Asking for another shape is an error that names both layers. */

typedef struct lk_linear {
    int64_t n_out;
    bool no_bias;
    bool in_out;                  /* the weight is (inputs, outputs), as of GPT-2's Conv1D; else as PyTorch's */
    const lk_fill *weight, *bias; /* first values; NULL: PyTorch's default.  A recipe's model.init goes before them */
    const char *share; /* NULL, or the path, from the root, of the layer whose weight it is: tied embeddings */
} lk_linear;
lk_status lk_layer_linear(lk_builder *builder, const char *name, int x, const lk_linear *spec, int *y);

/* As torch.nn.Conv2d: square, {.kernel = 3, .padding = 1}; or with a width of its own, which kernel_w says to have:
 * then kernel, stride and padding are the height's, {.kernel = 7, .padding = 3, .kernel_w = 1}. */
typedef struct lk_conv2d {
    int64_t n_out;
    int64_t kernel, stride, padding;       /* stride 0: 1 */
    int64_t kernel_w, stride_w, padding_w; /* kernel_w 0: as the height's, all three; stride_w 0: 1 */
    int64_t groups;                        /* 0: 1 */
    bool no_bias;
    const lk_fill *weight, *bias; /* as a linear layer's */
} lk_conv2d;
lk_status lk_layer_conv2d(lk_builder *builder, const char *name, int x, const lk_conv2d *spec, int *y);

/* BatchNorm1d, BatchNorm2d or LayerNorm over the last axis; LK_NORM_NONE takes no index and *y is x. */
lk_status lk_layer_norm(lk_builder *builder, const char *name, lk_norm kind, int x, int *y);
/* The same with a weight whose first values are `gain`, where PyTorch's are 1. */
lk_status lk_layer_norm_from(lk_builder *builder, const char *name, lk_norm kind, double gain, int x, int *y);
/* LK_ACT_IDENTITY takes an index too, as torch.nn.Identity. */
lk_status lk_layer_activation(lk_builder *builder, const char *name, lk_activation kind, int x, int *y);
lk_status lk_layer_dropout(lk_builder *builder, const char *name, double p, int x, int *y);
/* Square windows, as torch.nn.MaxPool2d's and AvgPool2d's. */
typedef struct lk_pool2d {
    lk_pool kind;
    int64_t kernel, stride, padding; /* kernel 0: the whole image (a maximum: of a square one); stride 0: kernel */
} lk_pool2d;
lk_status lk_layer_pool2d(lk_builder *builder, const char *name, int x, const lk_pool2d *spec, int *y);
/* torch.nn.AdaptiveAvgPool2d((height, width)). */
lk_status lk_layer_adaptive_avg_pool2d(lk_builder *builder, const char *name, int64_t height, int64_t width, int x,
                                       int *y);
/* (N, H, W, C) to (N, C * H * W), elements in PyTorch's order. */
lk_status lk_layer_flatten(lk_builder *builder, const char *name, int x, int *y);
/* x (N, ..., n_parts C) as y[n_parts] of (N, ..., C), at most 6: torch.split along the last axis. */
lk_status lk_layer_split(lk_builder *builder, const char *name, int x, int n_parts, int *y);
/* a + b of one shape: a residual connection. */
lk_status lk_layer_add(lk_builder *builder, const char *name, int a, int b, int *y);

/* Drops whole samples, as torchvision.ops.StochasticDepth(p, "row"). */
lk_status lk_layer_drop_path(lk_builder *builder, const char *name, double p, int x, int *y);
/* (N, H, W, C) to (N, H/2, W/2, 4C): 2 x 2 neighbours side by side, in the order of torchvision's PatchMerging; odd
 * sides are filled up with zeros. */
lk_status lk_layer_patch_merge(lk_builder *builder, const char *name, int x, int *y);
/* torchvision's ShiftedWindowAttention, (N, H, W, C) to the same shape. */
typedef struct lk_window_attention {
    int64_t heads, window, shift; /* tokens on a side of a window; by so many it is shifted down and right */
    double attention_dropout, dropout;
    const lk_fill *weight, *bias; /* of qkv and proj, as a linear layer's */
    lk_fill table;                /* of relative_position_bias_table */
} lk_window_attention;
lk_status lk_layer_window_attention(lk_builder *builder, const char *name, int x, const lk_window_attention *spec,
                                    int *y);

/* Tokens, a field of int32 (N, L), as vectors: torch.nn.Embedding. */
typedef struct lk_embedding {
    int64_t n_rows, width;
    double scale;           /* what rows are multiplied by; 0: 1 */
    const lk_fill *weight;  /* first values; NULL: PyTorch's, standard normal */
    const char *share;      /* as a linear layer's */
} lk_embedding;
lk_status lk_layer_embedding(lk_builder *builder, const char *name, int tokens, const lk_embedding *spec, int *y);
/* x (N, L, C) and where each position stands: a vector learned for each of n_rows positions (NAME.weight), or, with
 * n_rows 0, the sinusoids of Vaswani et al.  Where there is a cache, positions go on from the lane's. */
lk_status lk_layer_positions(lk_builder *builder, const char *name, int x, int64_t n_rows, const lk_fill *weight,
                             int *y);
/* Scaled dot-product attention of q (N, Lq, C) over k and v (N, Lk, C), which may be entries of the cache; no tensors.
 * Without dropout its probabilities (N, heads, Lq, Lk) are a tap, `attention_weights` in the present scope. */
typedef struct lk_attention_heads {
    int64_t heads;
    bool causal;            /* a position sees those up to itself */
    double dropout;         /* of probabilities */
    const int *lengths;     /* NULL: all keys count; else a field of int32 (N): how many of each sample do.  Without any
                             * the output is 0 */
} lk_attention_heads;
lk_status lk_layer_attention(lk_builder *builder, const char *name, int q, int k, int v,
                             const lk_attention_heads *spec, int *y);

/* Whole numbers (a field of int32 or uint8) as floats of the type to compute in. */
lk_status lk_layer_to_float(lk_builder *builder, const char *name, int x, int *y);
/* x (N, L, C): each position the sum of those up to it (torch.cumsum), those in the cache among them. */
lk_status lk_layer_cumsum(lk_builder *builder, const char *name, int x, int *y);

/* ----------------------------------------------------------------- programs */

/* Which program is being built.  LK_ENCODE and LK_DECODE have a cache, whose entries have names as layers do. */
lk_mode lk_builder_mode(const lk_builder *builder);
/* Keeps x (N, L, ...) as the lane's positions of an entry; y (N, capacity, ...) is the entry, those before among it. */
lk_status lk_layer_append(lk_builder *builder, const char *name, int x, int *y);
/* An entry that another program has filled: (N, capacity, shape...), in the type that the network computes in. */
lk_status lk_layer_recall(lk_builder *builder, const char *name, int ndim, const int64_t *shape, int *y);
/* Names an activation for lk_engine_tap(); costs nothing in lanes without taps. */
lk_status lk_tap(lk_builder *builder, const char *name, int x);

/* ------------------------------------------------------------------ network */

/* A network: one row.  The house's own are in networks.c; a caller's row goes into lk_model_spec.network. */
struct lk_network {
    const char *word; /* the recipe's; of a plug-in: its name in messages */
    const char *const *no_decay; /* patterns of tensors that weight decay leaves alone where a recipe names no groups,
                                  * NULL behind the last; NULL: all decay */
    const char *const *blocks; /* patterns of the scopes of its blocks, which train.recompute may go by, NULL behind the
                                * last; NULL: it has none */
    const char *const *args; /* of a plug-in: the names that model.args may have, NULL behind the last; NULL: none */
    /* lk_model_fit() and lk_model_is_complete(); NULL: nothing is left to the data and nothing to check.  That a field
     * of `sample` has a side of 0 is seen without the second. */
    lk_status (*fit)(lk_model_spec *spec, const lk_sample *data);
    bool (*is_complete)(const lk_model_spec *spec);
    /* The longest sequence that it reads; NULL: any. */
    int64_t (*context)(const lk_model_spec *spec);
    /* The checks of its part of the spec; NULL: none.  Errors: LK_ERR_USAGE naming the recipe's key. */
    lk_status (*check)(const lk_model_spec *spec);
    /* Appends the fields that it reads.  A plain vector is given in any shape of its size, as it lies in memory: of an
     * image H, W, C.  For PyTorch's order read (H, W, C) and begin with lk_layer_flatten(), as mlp.c.  Targets are the
     * loss's: what fits the output, unless there are some here. */
    void (*sample)(const lk_model_spec *spec, lk_sample *out);
    /* The body, from in[f], the tensor of field f (floats in the type to compute in), to the output (N, ..., O); with
     * several targets to as many outputs, in their order.  The loss is the mean over the terms of all. */
    lk_status (*build)(lk_builder *builder, const lk_model_spec *spec, const int *in, int *out);
};

/* ------------------------------------------------------------------ plug-ins */

/* A recipe's `model: {plugin: FILE, args: {width: 64}}` builds the network that a shared object exports by
 *
 *     static const lk_network network = {.word = "mine", .args = names, .sample = sample, .build = build};
 *     LK_PLUGIN(network)
 *
 * compiled by `cc -shared -fPIC -I PREFIX/include mine.c -o mine.so` with the headers of the build that opens it. */
typedef struct lk_plugin {
    uint64_t abi;
    const lk_network *network;
} lk_plugin;

/* What both sides hand to each other, by size; the version is for what sizes do not show. */
enum { LK_PLUGIN_VERSION = 1 };
#define LK_PLUGIN_MIX(sum, type) ((sum) * 8191 + sizeof(type))
#define LK_PLUGIN_ABI                                                                                              \
    LK_PLUGIN_MIX(LK_PLUGIN_MIX(LK_PLUGIN_MIX(LK_PLUGIN_MIX(LK_PLUGIN_MIX(LK_PLUGIN_MIX(LK_PLUGIN_MIX(LK_PLUGIN_MIX( \
        LK_PLUGIN_MIX(LK_PLUGIN_MIX((uint64_t)LK_PLUGIN_VERSION, lk_network), lk_model_spec), lk_sample), lk_fill), \
        lk_linear), lk_conv2d), lk_pool2d), lk_window_attention), lk_embedding), lk_attention_heads)
#define LK_PLUGIN_SYMBOL "lk_plugin_entry"
#define LK_PLUGIN(row)                       \
    extern const lk_plugin lk_plugin_entry;  \
    const lk_plugin lk_plugin_entry = {LK_PLUGIN_ABI, &(row)};

/* A number of model.args, `fallback` where it is not given.  Errors: LK_ERR_USAGE (not a number, below `least`). */
lk_status lk_arg_whole(const lk_model_spec *spec, const char *name, int64_t fallback, int64_t least, int64_t *out);
lk_status lk_arg_real(const lk_model_spec *spec, const char *name, double fallback, double *out);

#ifdef __cplusplus
}
#endif
#endif
