/* What linear and conv2d share: both are a product of x with w plus b, differentiated alike.  Private to ops/. */
#ifndef LK_PRODUCT_H
#define LK_PRODUCT_H

#include "engine/graph/graph.h"

/* The gradient rule of a node with inputs x, w, b.  Appends grad_x (dy, w -> dx) if x needs its gradient and grad_w
 * (dy, x -> dw, [db]) if w does, or a sum of dy alone if only b does; sets din. */
lk_status lk_gradient_product(lk_graph *graph, int node, lk_op_id grad_x, lk_op_id grad_w, int dy, int *din);

#endif
