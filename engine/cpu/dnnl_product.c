/*
 * Products on oneDNN: a convolution or a product of matrices in one of its passes.
 *
 * Weights of convolutions and of all bf16 are offered in the layout `any`: oneDNN names the one it likes for the shape,
 * and where that is not PyTorch's fp32 layout a reorder goes between: before FORWARD and GRAD_X when the parameters
 * have changed, after GRAD_W always.  Matrices of fp32 are read and written as they lie: in training a reorder comes
 * with every product, and costs more than the layout gains.
 *
 * Activations are (N, H, W, C) in their arenas.  With AVX2 alone oneDNN's loops over such images run at half their rate
 * where C is a power of two: pixels that are needed together fall on the same lines of the cache.  So images of
 * convolutions with more than one tap are offered as `any` there too, and are reordered on their way, which takes about
 * a twentieth of what it saves (ResNet-18 at 224 pixels on Zen 3: 229 ms an image in the three passes become 170).
 *
 * Packed weights are the store's (weights.h); whatever else is reordered lies in the plan's scratch.
 */
#include "engine/cpu/dnnl_op.h"

/* The argument that holds each tensor of a product, by pass. */
typedef struct arg_names { int x, w, b, y; } arg_names;
static const arg_names arg_of[] = {
    [CPU_FORWARD] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_BIAS, DNNL_ARG_DST},
    [CPU_GRAD_X] = {DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_BIAS, DNNL_ARG_DIFF_DST},
    [CPU_GRAD_W] = {DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_BIAS, DNNL_ARG_DIFF_DST},
};

/* And what the primitive says of its layout. */
typedef struct query_names { dnnl_query_t x, w, y; } query_names;
static const query_names query_of[] = {
    [CPU_FORWARD] = {dnnl_query_src_md, dnnl_query_weights_md, dnnl_query_dst_md},
    [CPU_GRAD_X] = {dnnl_query_diff_src_md, dnnl_query_weights_md, dnnl_query_diff_dst_md},
    [CPU_GRAD_W] = {dnnl_query_src_md, dnnl_query_diff_weights_md, dnnl_query_diff_dst_md},
};

/* A tensor that the primitive wants in another layout than that of its arena. */
typedef struct operand {
    layout plain;   /* owned; as it lies there */
    bool written;   /* by this pass; else read */
    dnnl_op turn;   /* between the two layouts; unused where they are the same */
    size_t nbytes;  /* in scratch, in the preferred layout, at `offset`; 0: not there */
    size_t offset;
} operand;

struct cpu_dnnl_product {
    cpu_dnnl *dnnl;               /* borrowed */
    cpu_pass pass;
    product_layouts layouts;      /* owned; what the primitive is asked for */
    operand x, w, y;
    dnnl_primitive_desc_t forward; /* owned; the hint a backward pass needs */
    dnnl_op main;
    cpu_weights *weights;         /* borrowed */
    cpu_ref at_w;
    cpu_weight *packed;           /* FORWARD, GRAD_X: one use of it is ours; w in the preferred layout */
    size_t scratchpad;            /* offset in scratch: of the operations', behind what is reordered */
};

/* ------------------------------------------------------------------- layouts */

static lk_status describe(const cpu_dnnl_product *p, const cpu_dnnl_spec *spec, const_dnnl_primitive_desc_t forward,
                          dnnl_primitive_desc_t *out)
{
    const dnnl_status_t status = (spec->conv ? describe_conv : describe_matrix)(&p->layouts, p->pass, p->dnnl->attr,
                                                                                p->dnnl->engine, forward, out);

    if (status == dnnl_unimplemented && spec->dtype == LK_DTYPE_BF16)
        return LK_FAIL_KEY(LK_ERR_USAGE, "engine.precision",
                           "oneDNN %d.%d cannot compute in bf16 on this processor: use fp32", DNNL_VERSION_MAJOR,
                           DNNL_VERSION_MINOR);
    LK_DNNL(status);
    return LK_OK;
}

static bool has_avx2_alone(void)
{
    const int isa = (int)dnnl_get_effective_cpu_isa(), avx2 = dnnl_cpu_isa_avx2, avx512 = dnnl_cpu_isa_avx512_core;

    return (isa & avx2) == avx2 && (isa & avx512) != avx512;
}

/* A single tap, or few channels in each of many groups, is too little arithmetic for a reorder. */
static bool reorders_images(const cpu_dnnl_spec *s)
{
    return has_avx2_alone() && s->how.groups == 1 && s->kh * s->kw > 1;
}

static lk_status conv_layouts(cpu_dnnl_product *p, const cpu_dnnl_spec *s, dnnl_data_type_t type,
                              dnnl_data_type_t w_type)
{
    product_layouts *l = &p->layouts;
    const int64_t G = s->how.groups;
    const dnnl_dims_t x = {s->n, s->i, s->h, s->w}, y = {s->n, s->o, s->oh, s->ow};
    const dnnl_dims_t w = {s->o, s->i, s->kh, s->kw}, grouped = {G, s->o / G, s->i / G, s->kh, s->kw};
    const int n_dims = G > 1 ? 5 : 4;
    const dnnl_format_tag_t image = reorders_images(s) ? dnnl_format_tag_any : dnnl_nhwc;

    for (int side = 0; side < 2; side++) {
        l->strides[side] = s->how.stride[side];
        l->padding[side] = s->how.padding[side];
    }
    LK_TRY(layout_new(&l->x, 4, x, type, image));
    LK_TRY(layout_new(&l->w, n_dims, G > 1 ? grouped : w, w_type, dnnl_format_tag_any));
    LK_TRY(layout_new(&l->y, 4, y, type, image));
    LK_TRY(layout_new(&p->x.plain, 4, x, type, dnnl_nhwc));
    LK_TRY(layout_new(&p->y.plain, 4, y, type, dnnl_nhwc));
    LK_TRY(layout_new(&p->w.plain, n_dims, G > 1 ? grouped : w, dnnl_f32, G > 1 ? dnnl_goihw : dnnl_oihw));
    return LK_OK;
}

static lk_status matrix_layouts(cpu_dnnl_product *p, const cpu_dnnl_spec *s, dnnl_data_type_t type,
                                dnnl_data_type_t w_type)
{
    product_layouts *l = &p->layouts;
    const dnnl_dims_t x = {s->n, s->i}, w = {s->o, s->i}, y = {s->n, s->o};
    const dnnl_format_tag_t as_it_lies = s->in_out ? dnnl_io : dnnl_oi;

    LK_TRY(layout_new(&l->x, 2, x, type, dnnl_nc));
    LK_TRY(layout_new(&l->w, 2, w, w_type, type == dnnl_f32 ? as_it_lies : dnnl_format_tag_any));
    LK_TRY(layout_new(&l->y, 2, y, type, dnnl_nc));
    LK_TRY(layout_new(&p->x.plain, 2, x, type, dnnl_nc));
    LK_TRY(layout_new(&p->y.plain, 2, y, type, dnnl_nc));
    LK_TRY(layout_new(&p->w.plain, 2, w, dnnl_f32, as_it_lies));
    return LK_OK;
}

/* Weights are read in the type of the activations; their gradient is fp32 in either precision. */
static lk_status make_layouts(cpu_dnnl_product *p, const cpu_dnnl_spec *spec)
{
    const dnnl_data_type_t type = spec->dtype == LK_DTYPE_BF16 ? dnnl_bf16 : dnnl_f32;
    const dnnl_dims_t b = {spec->o};

    p->layouts.bias = spec->bias;
    LK_TRY((spec->conv ? conv_layouts : matrix_layouts)(p, spec, type, p->pass == CPU_GRAD_W ? dnnl_f32 : type));
    LK_TRY(layout_new(&p->layouts.b, 1, b, dnnl_f32, dnnl_a));
    return LK_OK;
}

static void free_layouts(cpu_dnnl_product *p)
{
    layout *const all[] = {&p->layouts.x, &p->layouts.w, &p->layouts.b, &p->layouts.y,
                           &p->x.plain, &p->w.plain, &p->y.plain};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++) layout_free(all[i]);
}

/* A backward pass asks for the forward one as a hint, whose weights have the type of the activations. */
static lk_status make_forward_hint(cpu_dnnl_product *p, const cpu_dnnl_spec *spec)
{
    cpu_dnnl_product hint = {.dnnl = p->dnnl, .pass = CPU_FORWARD};
    lk_status status = make_layouts(&hint, spec);

    if (status == LK_OK) status = describe(&hint, spec, NULL, &p->forward);
    free_layouts(&hint);
    return status;
}

/* -------------------------------------------------------------------- making */

static size_t aligned(size_t nbytes)
{
    return (nbytes + LK_PLACE_ALIGNMENT - 1) / LK_PLACE_ALIGNMENT * LK_PLACE_ALIGNMENT;
}

/* A place for a tensor in the preferred layout, if that is another, and the way between. */
static lk_status make_operand(cpu_dnnl_product *p, operand *o, layout_view preferred, int arg)
{
    LK_TRY(dnnl_op_arg(&p->main, p->dnnl, arg, preferred));
    if (dnnl_memory_desc_equal(preferred, view(&o->plain))) return LK_OK;
    const size_t nbytes = dnnl_memory_desc_get_size(preferred);

    if (o == &p->w && !o->written) {
        LK_TRY(cpu_weight_want(p->weights, p->at_w, nbytes, preferred, &p->packed));
    } else {
        o->nbytes = nbytes;
        o->offset = p->scratchpad;
        p->scratchpad += aligned(nbytes);
    }
    return dnnl_op_make_reorder(&o->turn, p->dnnl, o->written ? preferred : view(&o->plain),
                                o->written ? view(&o->plain) : preferred);
}

static lk_status make_product(cpu_dnnl_product *p, const cpu_dnnl_spec *spec)
{
    const arg_names names = arg_of[p->pass];
    const query_names query = query_of[p->pass];

    LK_TRY(make_layouts(p, spec));
    if (p->pass != CPU_FORWARD) LK_TRY(make_forward_hint(p, spec));
    LK_TRY(describe(p, spec, p->forward, &p->main.desc));
    LK_TRY(dnnl_op_make(&p->main, p->dnnl));
    LK_TRY(make_operand(p, &p->w, dnnl_primitive_desc_query_md(p->main.desc, query.w, 0), names.w));
    LK_TRY(make_operand(p, &p->x, dnnl_primitive_desc_query_md(p->main.desc, query.x, 0), names.x));
    LK_TRY(make_operand(p, &p->y, dnnl_primitive_desc_query_md(p->main.desc, query.y, 0), names.y));
    if (spec->bias && p->pass != CPU_GRAD_X)
        LK_TRY(dnnl_op_arg(&p->main, p->dnnl, names.b, view(&p->layouts.b)));
    return LK_OK;
}

lk_status cpu_dnnl_product_new(cpu_dnnl *dnnl, const cpu_dnnl_spec *spec, cpu_pass pass, cpu_dnnl_product **out)
{
    cpu_dnnl_product *p = lk_alloc(sizeof *p);

    *out = NULL;
    LK_TRY_ALLOC(p, sizeof *p);
    p->dnnl = dnnl;
    p->pass = pass;
    p->weights = spec->weights;
    p->at_w = spec->weight;
    p->x.written = pass == CPU_GRAD_X;
    p->w.written = pass == CPU_GRAD_W;
    p->y.written = pass == CPU_FORWARD;
    cpu_dnnl_use_threads(dnnl);
    dnnl->has_matrices |= !spec->conv && spec->dtype == LK_DTYPE_F32;
    const lk_status status = make_product(p, spec);
    if (status != LK_OK) {
        cpu_dnnl_product_free(&p);
        LK_TRY(status);
    }
    *out = p;
    return LK_OK;
}

void cpu_dnnl_product_free(cpu_dnnl_product **product)
{
    cpu_dnnl_product *p = *product;

    if (!p) return;
    dnnl_op_free(&p->y.turn);
    dnnl_op_free(&p->w.turn);
    dnnl_op_free(&p->x.turn);
    dnnl_op_free(&p->main);
    if (p->forward) dnnl_primitive_desc_destroy(p->forward);
    free_layouts(p);
    if (p->packed) cpu_weight_drop(p->weights, &p->packed);
    lk_free(product);
}

size_t cpu_dnnl_product_scratch(const cpu_dnnl_product *p)
{
    const size_t all[] = {p->main.scratch_nbytes, p->x.turn.scratch_nbytes, p->w.turn.scratch_nbytes,
                          p->y.turn.scratch_nbytes};
    size_t most = 0;

    for (size_t i = 0; i < sizeof all / sizeof *all; i++) most = all[i] > most ? all[i] : most;
    return p->scratchpad + most;
}

/* ------------------------------------------------------------------- running */

/* Where the primitive finds or leaves the tensor at `plain`; what it reads is brought there. */
static lk_status bring(cpu_dnnl_product *p, operand *o, void *plain, char *scratch, void **at)
{
    *at = o->nbytes > 0 ? scratch + o->offset : plain;
    if (o->nbytes == 0 || o->written) return LK_OK;
    return dnnl_op_reorder(&o->turn, p->dnnl, plain, *at, scratch + p->scratchpad);
}

/* What the primitive wrote goes where it belongs. */
static lk_status take_back(cpu_dnnl_product *p, operand *o, void *plain, char *scratch)
{
    if (o->nbytes == 0 || !o->written) return LK_OK;
    return dnnl_op_reorder(&o->turn, p->dnnl, scratch + o->offset, plain, scratch + p->scratchpad);
}

static lk_status renew_packed(cpu_dnnl_product *p, const cpu_dnnl_args *args, char *scratch)
{
    if (!cpu_weight_is_stale(p->packed, p->at_w, args->params_version)) return LK_OK;
    LK_TRY(dnnl_op_reorder(&p->w.turn, p->dnnl, args->w, p->packed->at, scratch + p->scratchpad));
    p->packed->version = args->params_version;
    return LK_OK;
}

lk_status cpu_dnnl_product_run(cpu_dnnl_product *p, const cpu_dnnl_args *args)
{
    const arg_names names = arg_of[p->pass];
    char *scratch = args->scratch;
    void *x, *w, *y;

    cpu_dnnl_use_threads(p->dnnl);
    if (p->packed) LK_TRY(renew_packed(p, args, scratch));
    LK_TRY(bring(p, &p->x, args->x, scratch, &x));
    LK_TRY(bring(p, &p->w, p->packed ? p->packed->at : args->w, scratch, &w));
    LK_TRY(bring(p, &p->y, args->y, scratch, &y));
    LK_TRY(dnnl_op_point(&p->main, names.x, x));
    LK_TRY(dnnl_op_point(&p->main, names.w, w));
    LK_TRY(dnnl_op_point(&p->main, names.y, y));
    LK_TRY(dnnl_op_point(&p->main, names.b, args->b));
    LK_TRY(dnnl_op_point(&p->main, DNNL_ARG_SCRATCHPAD, scratch + p->scratchpad));
    LK_TRY(dnnl_op_run(&p->main, p->dnnl));
    LK_TRY(take_back(p, &p->x, args->x, scratch));
    LK_TRY(take_back(p, &p->w, args->w, scratch));
    return take_back(p, &p->y, args->y, scratch);
}
