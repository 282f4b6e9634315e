/* The kernel of linear and conv2d that runs one pass of a product on oneDNN. */
#include "engine/cpu/product.h"

#include "engine/cpu/rows.h"

typedef struct product_state {
    product_refs at;
    cpu_rows x, y; /* GRAD_W: what is there of them */
    lk_dtype dtype;
    cpu_dnnl_product *product; /* owned */
} product_state;

product_refs cpu_product_refs(const lk_graph *graph, const lk_node *node, cpu_pass pass)
{
    const int *in = node->in, *out = node->out;
    int x = LK_NO_TENSOR, w = LK_NO_TENSOR, b = LK_NO_TENSOR, y = LK_NO_TENSOR;

    switch (pass) {
    case CPU_FORWARD: x = in[0], w = in[1], b = in[2], y = out[0]; break;
    case CPU_GRAD_X: y = in[0], w = in[1], x = out[0]; break;
    case CPU_GRAD_W: y = in[0], x = in[1], w = out[0], b = out[1]; break;
    }
    return (product_refs){
        .x = cpu_ref_of(graph, x),
        .w = cpu_ref_of(graph, w),
        .b = cpu_ref_of(graph, b),
        .y = cpu_ref_of(graph, y),
    };
}

static lk_status run_product(void *state, const lk_launch_args *args)
{
    const product_state *s = state;
    const cpu_dnnl_args arrays = {
        .x = cpu_at(args, s->at.x), .w = cpu_at(args, s->at.w), .b = cpu_at(args, s->at.b), .y = cpu_at(args, s->at.y),
        .scratch = args->base[LK_ARENA_SCRATCH], .params_version = args->params_version,
    };

    return cpu_dnnl_product_run(s->product, &arrays);
}

/* A sum over rows that takes them all: those that are not there are made 0. */
static lk_status run_ragged_sum(void *state, const lk_launch_args *args)
{
    const product_state *s = state;

    cpu_rows_clear_rest(&s->x, args, cpu_at(args, s->at.x), s->dtype);
    cpu_rows_clear_rest(&s->y, args, cpu_at(args, s->at.y), s->dtype);
    return run_product(state, args);
}

static void free_product(void *state)
{
    product_state *s = state;

    cpu_dnnl_product_free(&s->product);
    lk_free(&s);
}

lk_status cpu_bind_product(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, cpu_dnnl_spec spec,
                           cpu_pass pass, lk_kernel *out)
{
    product_state state = {.at = cpu_product_refs(graph, node, pass), .dtype = spec.dtype};
    bool ragged_sum = false;

    if (pass == CPU_GRAD_W && !spec.conv) {
        state.y = cpu_rows_of(graph, node->in[0]), state.x = cpu_rows_of(graph, node->in[1]);
        ragged_sum = state.y.ends.present;
    }
    spec.bias = state.at.b.present;
    spec.weight = state.at.w;
    spec.weights = ctx->weights;
    LK_TRY(cpu_kernel_keep(out, ragged_sum ? run_ragged_sum : run_product, &state, sizeof state));
    out->free = free_product;
    product_state *kept = out->state;
    const lk_status status = cpu_dnnl_product_new(ctx->dnnl, &spec, pass, &kept->product);
    if (status != LK_OK) {
        free_product(kept);
        *out = (lk_kernel){0};
        LK_TRY(status);
    }
    out->scratch_nbytes = cpu_dnnl_product_scratch(kept->product);
    return LK_OK;
}
