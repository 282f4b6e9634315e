/*
 * What the op table (ops.c) takes from the op files: gradient rules, and costs of the ops whose cost is not one per
 * output element.  Private to engine/.
 */
#ifndef LK_RULES_H
#define LK_RULES_H

#include "engine/graph/graph.h"

lk_status lk_gradient_linear(lk_graph *graph, int node, const int *dout, int *din);
lk_status lk_gradient_conv2d(lk_graph *graph, int node, const int *dout, int *din);
lk_status lk_gradient_pool2d(lk_graph *graph, int node, const int *dout, int *din);
lk_status lk_gradient_flatten(lk_graph *graph, int node, const int *dout, int *din);
lk_status lk_gradient_activation(lk_graph *graph, int node, const int *dout, int *din);
lk_status lk_gradient_dropout(lk_graph *graph, int node, const int *dout, int *din);
lk_status lk_gradient_batch_norm(lk_graph *graph, int node, const int *dout, int *din);
lk_status lk_gradient_batch_norm_eval(lk_graph *graph, int node, const int *dout, int *din);
lk_status lk_gradient_layer_norm(lk_graph *graph, int node, const int *dout, int *din);
lk_status lk_gradient_add(lk_graph *graph, int node, const int *dout, int *din);
lk_status lk_gradient_cast(lk_graph *graph, int node, const int *dout, int *din);

/* Floating-point operations of one run of the node; a multiplication and an addition count as two. */
double lk_flops_linear(const lk_graph *graph, const lk_node *node);
double lk_flops_linear_grad_x(const lk_graph *graph, const lk_node *node);
double lk_flops_linear_grad_w(const lk_graph *graph, const lk_node *node);
double lk_flops_conv2d(const lk_graph *graph, const lk_node *node);
double lk_flops_conv2d_grad_x(const lk_graph *graph, const lk_node *node);
double lk_flops_conv2d_grad_w(const lk_graph *graph, const lk_node *node);
double lk_flops_bias_grad(const lk_graph *graph, const lk_node *node);
double lk_flops_pool2d(const lk_graph *graph, const lk_node *node); /* both kinds and their gradients */
double lk_flops_batch_norm(const lk_graph *graph, const lk_node *node);
double lk_flops_batch_norm_grad(const lk_graph *graph, const lk_node *node);
double lk_flops_batch_norm_eval(const lk_graph *graph, const lk_node *node);
double lk_flops_layer_norm(const lk_graph *graph, const lk_node *node);
double lk_flops_layer_norm_grad(const lk_graph *graph, const lk_node *node);
double lk_flops_cross_entropy(const lk_graph *graph, const lk_node *node);

#endif
