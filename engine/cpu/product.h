/* Kernels of linear and conv2d: which tensors each pass touches, and the kernel that runs it on oneDNN.  Private to
 * engine/cpu/. */
#ifndef LK_CPU_PRODUCT_H
#define LK_CPU_PRODUCT_H

#include "engine/cpu/cpu.h"
#include "engine/cpu/dnnl.h"

/* Where x, w, b, y or the gradients in their places lie; b may be absent. */
typedef struct product_refs { cpu_ref x, w, b, y; } product_refs;

product_refs cpu_product_refs(const lk_graph *graph, const lk_node *node, cpu_pass pass);

/* spec->bias is set here, from the node. */
lk_status cpu_bind_product(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, cpu_dnnl_spec spec,
                           cpu_pass pass, lk_kernel *out);

#endif
