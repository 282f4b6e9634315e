/* Operations of oneDNN: made once, pointed and executed in each run. */
#include "engine/cpu/dnnl_op.h"

#include <assert.h>

void dnnl_op_free(dnnl_op *op)
{
    for (int i = 0; i < op->n_args; i++) dnnl_memory_destroy(op->args[i].memory);
    if (op->primitive) dnnl_primitive_destroy(op->primitive);
    if (op->desc) dnnl_primitive_desc_destroy(op->desc);
}

lk_status dnnl_op_arg(dnnl_op *op, const cpu_dnnl *dnnl, int arg, layout_view view)
{
    assert(op->n_args < DNNL_OP_MAX_ARGS);
    dnnl_exec_arg_t *slot = &op->args[op->n_args];

    LK_DNNL(dnnl_memory_create(&slot->memory, view, dnnl->engine, DNNL_MEMORY_NONE));
    slot->arg = arg;
    op->at[op->n_args++] = NULL;
    return LK_OK;
}

lk_status dnnl_op_make(dnnl_op *op, const cpu_dnnl *dnnl)
{
    const layout_view scratch = dnnl_primitive_desc_query_md(op->desc, dnnl_query_scratchpad_md, 0);

    LK_DNNL(dnnl_primitive_create(&op->primitive, op->desc));
    op->scratch_nbytes = dnnl_memory_desc_get_size(scratch);
    if (op->scratch_nbytes > 0) LK_TRY(dnnl_op_arg(op, dnnl, DNNL_ARG_SCRATCHPAD, scratch));
    return LK_OK;
}

lk_status dnnl_op_make_reorder(dnnl_op *op, const cpu_dnnl *dnnl, layout_view from, layout_view to)
{
    LK_DNNL(dnnl_reorder_primitive_desc_create(&op->desc, from, dnnl->engine, to, dnnl->engine, dnnl->attr));
    LK_TRY(dnnl_op_make(op, dnnl));
    LK_TRY(dnnl_op_arg(op, dnnl, DNNL_ARG_FROM, from));
    return dnnl_op_arg(op, dnnl, DNNL_ARG_TO, to);
}

/* Most addresses are those of the last run, and setting one is not free. */
lk_status dnnl_op_point(dnnl_op *op, int arg, void *at)
{
    for (int i = 0; i < op->n_args; i++) {
        if (op->args[i].arg != arg || op->at[i] == at) continue;
        LK_DNNL(dnnl_memory_set_data_handle(op->args[i].memory, at));
        op->at[i] = at;
    }
    return LK_OK;
}

lk_status dnnl_op_run(dnnl_op *op, const cpu_dnnl *dnnl)
{
    LK_DNNL(dnnl_primitive_execute(op->primitive, dnnl->stream, op->n_args, op->args));
    return LK_OK;
}

lk_status dnnl_op_reorder(dnnl_op *op, const cpu_dnnl *dnnl, void *from, void *to, void *scratchpad)
{
    LK_TRY(dnnl_op_point(op, DNNL_ARG_FROM, from));
    LK_TRY(dnnl_op_point(op, DNNL_ARG_TO, to));
    LK_TRY(dnnl_op_point(op, DNNL_ARG_SCRATCHPAD, scratchpad));
    return dnnl_op_run(op, dnnl);
}
