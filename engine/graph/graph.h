/*
 * The static graph: what nn/ builds, autodiff extends and plan places.  Private to engine/.
 *
 * Tensors and nodes are plain arrays indexed by int; an id stays valid for the graph's life.  An op's builder
 * (ops/ops.h) checks shapes at once and appends one node; its gradient rule appends backward nodes to the same graph.
 * Activations of images are (N, H, W, C) in memory and in `shape`; parameters have PyTorch's shapes.
 */
#ifndef LK_GRAPH_H
#define LK_GRAPH_H

#include "engine/graph/cache_layout.h"
#include "engine/ops/list.h"
#include "engine/run.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { LK_MAX_IN = 12, LK_MAX_OUT = 6, LK_NO_TENSOR = -1 };
enum { LK_PLACE_ALIGNMENT = 64 }; /* bytes: every activation and every view begins on a cache line */

/* Where a tensor's bytes are: a base that the run supplies, plus the tensor's offset. */
typedef enum lk_arena {
    LK_ARENA_PARAMS, /* the model's parameter arena, fp32 */
    LK_ARENA_GRADS,  /* the lane's gradient arena, fp32: gradients, statistics, slots */
    LK_ARENA_ACT,    /* activations of this plan, placed by liveness */
    LK_ARENA_SCRATCH, /* for one kernel at a time; no tensor is in it */
    LK_ARENA_SUMS,   /* of each output, lk_loss_n_sums() doubles */
    LK_ARENA_OUTPUT, /* the lane's outputs, fp32, one behind the other */
    LK_ARENA_CACHE,  /* of an lk_cache */
    LK_ARENA_TAPS,   /* copies of activations that were named, fp32 */
    LK_ARENA_FEATURES, /* what crosses from the frozen side to the trained one: the lane's */
    LK_ARENA_FIELD,  /* the first of LK_MAX_FIELDS: what the lane brings, in the order of lk_model_sample() */
    LK_N_ARENAS = LK_ARENA_FIELD + LK_MAX_FIELDS,
} lk_arena;

static inline lk_arena lk_arena_of_field(int f) { return (lk_arena)(LK_ARENA_FIELD + f); }

/* Where the rows of an activation (N, L, C) end that somebody reads: those of sample n at lengths[n], or behind its
 * last label that counts. */
typedef struct lk_ends {
    int of;               /* lengths (N) or labels (N, L); LK_NO_TENSOR: all rows are read */
    int32_t ignore_index; /* of labels */
} lk_ends;

typedef struct lk_tensor {
    char *name;                 /* owned */
    lk_dtype dtype;
    int ndim;
    int64_t shape[LK_MAX_DIMS];
    size_t n_elem, nbytes;
    lk_arena arena;
    size_t offset;              /* bytes; for LK_ARENA_ACT set by placement */
    size_t grad_offset;         /* bytes; of a trained parameter: where in LK_ARENA_GRADS its gradient lies */
    int producer;               /* node, or -1 */
    bool needs_grad;            /* a trained parameter, or computed from one */
    int info;                   /* index in the model's tensors, or -1 */
    int n_uses;                 /* nodes that read it so far */
    int root;                   /* of a view: the tensor whose bytes these are; else LK_NO_TENSOR */
    size_t root_offset;         /* bytes; of a view: its first in its root */
    lk_ends ends;               /* set by lk_graph_find_ends() */
    bool swallowed;             /* stays inside a kernel that does a group of nodes: it has no memory; set by
                                 * placement */
} lk_tensor;

/* A parameter itself, not a view of one. */
static inline bool lk_is_param(const lk_tensor *t) { return t->arena == LK_ARENA_PARAMS && t->root == LK_NO_TENSOR; }

typedef enum lk_op_id {
#define LK_OP_ENUM(id, ...) LK_OP_##id,
    LK_EVERY_OP(LK_OP_ENUM)
#undef LK_OP_ENUM
    LK_N_OPS,
} lk_op_id;

enum { LK_LARGEST_WINDOW = 32 }; /* tokens on a side: bounds what kernels keep of one on the stack */

/* How attention cuts an image into square windows. */
typedef struct lk_windows {
    int64_t heads, size;  /* size: tokens on a side */
    int64_t shift[2];     /* windows begin so many tokens further down and right, cyclically */
    double p;             /* dropout of probabilities */
    uint32_t layer;       /* number of this dropout in the model */
} lk_windows;

/* Of a convolution; two numbers are down and across. */
typedef struct lk_conv_attrs { int64_t stride[2], padding[2], groups; } lk_conv_attrs;

/* Attention of each position to all, or to those up to it. */
typedef struct lk_attention {
    int64_t heads;
    bool causal;          /* a query sees the keys up to its own position */
    double p;             /* dropout of probabilities */
    uint32_t layer;       /* number of this dropout in the model */
} lk_attention;

typedef union lk_attrs {
    struct { bool in_out; } linear;                   /* w is (I, O) */
    lk_conv_attrs conv;
    struct { int64_t kernel, stride, padding; } pool; /* average counts padding in, as PyTorch does by default */
    struct { lk_activation kind; } activation;
    struct { double p; uint32_t layer; } dropout;     /* layer: number of this dropout in the model */
    struct { float eps, momentum; } norm;
    lk_windows windows;
    lk_attention attention;
    struct { float scale; } embedding;
    struct { int64_t rows; bool cached; } positions; /* rows that may be asked for; cached: they begin at the
                                                      * lane's position */
    struct { size_t offset; } view;                   /* bytes: of the view's first element in its input */
    /* n_channels 0: the numbers themselves; else byte v of channel c is (v / 255 - mean[c]) / std[c] */
    struct { int n_channels; float mean[LK_MAX_CHANNELS], std[LK_MAX_CHANNELS]; } normalize;
    struct { lk_loss_spec spec; lk_mode mode; } loss; /* its weights are borrowed: the model's */
} lk_attrs;

/* Absent optional inputs and outputs are LK_NO_TENSOR at their place. */
typedef struct lk_node {
    lk_op_id op;
    char *path;                 /* layer's path, for messages and the printed plan; owned */
    int n_in, n_out;
    int in[LK_MAX_IN], out[LK_MAX_OUT];
    lk_attrs attrs;
    bool backward;              /* of the backward pass */
    bool recomputed;            /* a copy of one of the forward pass; backward, too */
    int n_fused;                /* from 2: one kernel does this node and as many behind it as make a group of so many */
} lk_node;

typedef struct lk_graph {
    const lk_model *model;      /* borrowed; where parameters are.  NULL in tests of single ops */
    const lk_trainable *trainable; /* borrowed while the graph is built; TRAIN with a model: what needs gradients */
    lk_mode mode;
    lk_precision precision;
    bool backward;              /* while lk_graph_differentiate() appends */
    bool keeps_masks;           /* dropout makes a mask; else its gradient chooses again.  lk_graph_init(): true */
    int64_t n;                  /* samples */
    int64_t length;             /* of fields that begin with LK_LENGTH */
    bool wants_output;          /* EVAL, ENCODE: somebody may ask for it */
    bool wants_taps;            /* lk_tap() keeps what it is given */
    lk_side side;               /* what lk_graph_cut() leaves */
    lk_frontier frontier;       /* of a graph that was cut */
    lk_cache_layout *cache;     /* ENCODE, DECODE: borrowed while the graph is built; where the cache's entries are */
    lk_tensor *tensors;         /* owned */
    lk_node *nodes;             /* owned; after lk_graph_prune() in order of execution */
    int n_tensors, n_nodes;
    int cap_tensors, cap_nodes;
    size_t act_bytes, act_bytes_unshared; /* after placement */
    size_t act_bytes_kept;      /* had nothing been computed again */
    size_t output_bytes, tap_bytes, sums_bytes; /* of these arenas */
    int n_outputs;
} lk_graph;

void lk_graph_init(lk_graph *graph, const lk_model *model, lk_mode mode, lk_precision precision, int64_t n);
void lk_graph_clear(lk_graph *graph);

/* The tensor whose bytes this one has: itself unless it is a view. */
static inline int lk_graph_root(const lk_graph *graph, int tensor)
{
    return graph->tensors[tensor].root == LK_NO_TENSOR ? tensor : graph->tensors[tensor].root;
}

/* Appends a tensor; name is copied, and grad_offset is offset until somebody sets it. */
lk_status lk_graph_tensor(lk_graph *graph, const char *name, lk_dtype dtype, int ndim, const int64_t *shape,
                          lk_arena arena, size_t offset, int *out);
/* Appends an activation (LK_ARENA_ACT). */
lk_status lk_graph_act(lk_graph *graph, const char *name, lk_dtype dtype, int ndim, const int64_t *shape, int *out);
/* Appends a node reading in[0..n_in) and producing out[0..n_out) (existing tensors whose producer it becomes). An
 * activation output needs_grad if any input does, unless its dtype is u8. */
lk_status lk_graph_node(lk_graph *graph, lk_op_id op, const char *path, int n_in, const int *in, int n_out,
                        const int *out, const lk_attrs *attrs, int *node);

/* A gradient rule.  dout[o] is the gradient of output o or LK_NO_TENSOR; the rule appends backward nodes and sets
 * din[i] for each input i whose needs_grad is set.  It makes the tensor for din[i] with lk_graph_grad(). */
typedef lk_status lk_gradient_fn(lk_graph *graph, int node, const int *dout, int *din);
/* A new tensor to hold the gradient of `tensor`: at its grad_offset in LK_ARENA_GRADS for a parameter read by one node
 * only, otherwise an activation.  Autodiff sums what several readers contribute. */
lk_status lk_graph_grad(lk_graph *graph, int tensor, int *out);

/* Whether the list (ops/list.h) gives the op a gradient rule. */
bool lk_op_is_differentiable(lk_op_id id);

/* Floating-point operations of one run of the node; a multiplication and an addition count as two. */
typedef double lk_flops_fn(const lk_graph *graph, const lk_node *node);

typedef struct lk_op {
    const char *name;
    lk_gradient_fn *gradient; /* NULL: not differentiable */
    lk_flops_fn *flops;
} lk_op;
/* The table in ops/ops.c; nothing else asks which ops exist. */
const lk_op *lk_op_get(lk_op_id id);

/* Appends the backward pass.  n loss nodes have each produced the gradient `dx` of their first input x (n different
 * tensors); everything that leads to a needs_grad tensor is differentiated in reverse order, the rest never emitted. */
lk_status lk_graph_differentiate(lk_graph *graph, int n, const int *x, const int *dx);
/* Leaves graph->side alone of a forward pass, and fills graph->frontier but for the fields that are read.  What crosses
 * lies in LK_ARENA_FEATURES.  Errors: as of lk_engine_frontier(). */
lk_status lk_graph_cut(lk_graph *graph);
/* Takes nodes out; others read what they made from elsewhere, or no longer. */
void lk_graph_drop(lk_graph *graph, const bool *gone);
/* Drops nodes nobody needs, and view nodes: their outputs lie in their roots from now on. */
lk_status lk_graph_prune(lk_graph *graph);
/* Sets the tensors' ends in a pruned graph.  A backend that asks for it need not compute the rows behind them, nor keep
 * a place for them: nodes that share such an activation find the same ends. */
lk_status lk_graph_find_ends(lk_graph *graph);
/* A node and those behind it become a group, which one kernel does: all that it reads stays until the group's end, all
 * that it writes has a place from its beginning on, and what it writes for its own nodes alone has none. */
void lk_graph_fuse(lk_graph *graph, int first, int n);
/* How many nodes the group has that begins with node `first`; 1 where it is alone. */
static inline int lk_graph_group(const lk_graph *graph, int first)
{
    return graph->nodes[first].n_fused > 1 ? graph->nodes[first].n_fused : 1;
}
/* Puts the nodes of a pruned graph in another order of execution, which keeps groups together: order (n_nodes) has
 * their numbers so far. */
lk_status lk_graph_reorder(lk_graph *graph, const int *order);
/* What the blocks of a training graph, pruned and with its groups, make inside is made again for the backward pass, so
 * that it need not be kept.  block: (n_nodes), number of each forward node's from 0, -1: its outputs are kept. */
lk_status lk_graph_recompute(lk_graph *graph, const int *block);
/* What a training graph, pruned and with its groups, writes to LK_ARENA_GRADS it adds to what is there. */
lk_status lk_graph_accumulate(lk_graph *graph);
/* Places the activations of a pruned graph by liveness, and its views in their roots. */
lk_status lk_graph_allocate(lk_graph *graph);
/* The last step of it, for tests that place roots themselves. */
void lk_graph_place_views(lk_graph *graph);

#ifdef __cplusplus
}
#endif
#endif
