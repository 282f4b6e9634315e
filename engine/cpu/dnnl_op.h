/*
 * An operation of oneDNN made ready: primitive, arguments, scratchpad.  Private to dnnl*.c.
 *
 * Scratchpads lie in the plan's scratch (scratchpad mode `user`; the library would otherwise allocate in its own time).
 * A run sets those addresses that moved and executes.
 */
#ifndef LK_CPU_DNNL_OP_H
#define LK_CPU_DNNL_OP_H

#include "engine/cpu/dnnl_versions.h"

enum { DNNL_OP_MAX_ARGS = 5 };

struct cpu_dnnl {
    int threads;
    dnnl_engine_t engine;       /* owned */
    dnnl_stream_t stream;       /* owned */
    dnnl_primitive_attr_t attr; /* owned; scratchpads are ours */
    bool has_matrices;          /* fp32 ones are multiplied */
};

/* Before primitives are made or run. */
void cpu_dnnl_use_threads(const cpu_dnnl *dnnl);

typedef struct dnnl_op {
    dnnl_primitive_desc_t desc;   /* owned */
    dnnl_primitive_t primitive;   /* owned; NULL while there is nothing to execute */
    dnnl_exec_arg_t args[DNNL_OP_MAX_ARGS]; /* their memory objects are owned */
    void *at[DNNL_OP_MAX_ARGS];   /* borrowed: address each argument has now */
    int n_args;
    size_t scratch_nbytes;
} dnnl_op;

/* op->desc is there: makes the primitive, and its scratchpad an argument. */
lk_status dnnl_op_make(dnnl_op *op, const cpu_dnnl *dnnl);
/* From one layout to another, all of it. */
lk_status dnnl_op_make_reorder(dnnl_op *op, const cpu_dnnl *dnnl, layout_view from, layout_view to);
void      dnnl_op_free(dnnl_op *op);
/* One more argument; each run says where it is. */
lk_status dnnl_op_arg(dnnl_op *op, const cpu_dnnl *dnnl, int arg, layout_view view);
lk_status dnnl_op_point(dnnl_op *op, int arg, void *at);
lk_status dnnl_op_run(dnnl_op *op, const cpu_dnnl *dnnl);
/* Points and runs a reorder. */
lk_status dnnl_op_reorder(dnnl_op *op, const cpu_dnnl *dnnl, void *from, void *to, void *scratchpad);

#endif
