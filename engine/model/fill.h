/*
 * How a tensor gets its first values: torch.nn.init's functions, with the names of their arguments.
 *
 * A recipe says one as a call, "trunc_normal(std=0.02)"; a network says one as a struct, by the makers below.
 */
#ifndef LK_FILL_H
#define LK_FILL_H

#include "engine/base/base.h"

#ifdef __cplusplus
extern "C" {
#endif

#define LK_INIT_LIST(X)                                                                        \
    X(LK_INIT_DEFAULT, "default") /* PyTorch's for Linear and Conv2d: U(-a, a), a = 1 / sqrt(fan_in) */ \
    X(LK_INIT_ZEROS, "zeros") X(LK_INIT_ONES, "ones") X(LK_INIT_CONSTANT, "constant")           \
    X(LK_INIT_UNIFORM, "uniform") X(LK_INIT_NORMAL, "normal")                                   \
    X(LK_INIT_TRUNC_NORMAL, "trunc_normal")                                                     \
    X(LK_INIT_XAVIER_UNIFORM, "xavier_uniform") X(LK_INIT_XAVIER_NORMAL, "xavier_normal")       \
    X(LK_INIT_KAIMING_UNIFORM, "kaiming_uniform") X(LK_INIT_KAIMING_NORMAL, "kaiming_normal")   \
    X(LK_INIT_ORTHOGONAL, "orthogonal") X(LK_INIT_EYE, "eye") X(LK_INIT_DIRAC, "dirac")         \
    X(LK_INIT_SPARSE, "sparse")
#define LK_FAN_LIST(X) X(LK_FAN_IN, "fan_in") X(LK_FAN_OUT, "fan_out")
/* torch.nn.init.calculate_gain(); its names of layers (conv2d and so on) are linear here. */
#define LK_NONLINEARITY_LIST(X)                                                                \
    X(LK_GAIN_LEAKY_RELU, "leaky_relu") X(LK_GAIN_RELU, "relu") X(LK_GAIN_TANH, "tanh")         \
    X(LK_GAIN_SIGMOID, "sigmoid") X(LK_GAIN_SELU, "selu") X(LK_GAIN_LINEAR, "linear")

typedef enum lk_init { LK_INIT_LIST(LK_WORD_ENUM) } lk_init;
typedef enum lk_fan { LK_FAN_LIST(LK_WORD_ENUM) } lk_fan;
typedef enum lk_nonlinearity { LK_NONLINEARITY_LIST(LK_WORD_ENUM) } lk_nonlinearity;

typedef struct lk_fill {
    lk_init init;
    double val;       /* constant */
    double mean, std; /* normal, trunc_normal; sparse: std */
    double a, b;      /* uniform: from a to b; trunc_normal: bounds of values; kaiming: a is leaky ReLU's slope */
    double gain;      /* xavier, orthogonal: a factor */
    double sparsity;  /* sparse: share of zeros in each column */
    int mode, nonlinearity; /* kaiming: lk_fan, lk_nonlinearity */
} lk_fill;

lk_fill lk_fill_constant(double val);
lk_fill lk_fill_uniform(double a, double b);
lk_fill lk_fill_normal(double mean, double std);
lk_fill lk_fill_trunc_normal(double mean, double std, double a, double b);
/* init: LK_INIT_XAVIER_UNIFORM or LK_INIT_XAVIER_NORMAL. */
lk_fill lk_fill_xavier(lk_init init, double gain);
/* init: LK_INIT_KAIMING_UNIFORM or LK_INIT_KAIMING_NORMAL. */
lk_fill lk_fill_kaiming(lk_init init, lk_fan mode, lk_nonlinearity nonlinearity);

/* Reads "normal", "normal(0, 0.02)" or "kaiming_normal(mode=fan_out, nonlinearity=relu)": arguments by place or by
 * name, those left out as in PyTorch.  NULL is "default".  Errors: LK_ERR_USAGE, what is wrong and what there is. */
lk_status lk_fill_parse(const char *text, lk_fill *out);

/* Whether a tensor of so many dimensions can be filled so.  has_fans: its layer says its fans, which `default` needs.
 * Errors: LK_ERR_USAGE, for instance "orthogonal fills tensors of 2 or more dimensions, and this one has 1". */
lk_status lk_fill_check(const lk_fill *fill, int ndim, bool has_fans);

#ifdef __cplusplus
}
#endif
#endif
