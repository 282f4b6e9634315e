/*
 * The one file that speaks to oneDNN, of either version (dnnl_versions.h).
 *
 * Weights of convolutions and of all bf16 are offered in the layout `any`: oneDNN names the one it likes for the shape,
 * and where that is not PyTorch's fp32 layout a reorder goes between: before FORWARD and GRAD_X when the parameters
 * have changed, after GRAD_W always.  Matrices of fp32 are read and written as they lie: in training a reorder comes
 * with every product, and costs more than the layout gains.  Activations stay (N, H, W, C), so nothing is reordered
 * between layers.
 *
 * Packed weights are the store's (weights.h); scratchpads and the packed gradient of a weight lie in the plan's scratch
 * (scratchpad mode `user`; the library would otherwise allocate in its own time).  A run sets those addresses that
 * moved and executes.
 */
#include "engine/cpu/dnnl_versions.h"

#include <assert.h>
#include <stdio.h>

#ifdef _OPENMP
#include <omp.h>
#endif

/* ---------------------------------------------------------- engine and stream */

struct cpu_dnnl {
    int threads;
    dnnl_engine_t engine;      /* owned */
    dnnl_stream_t stream;      /* owned */
    dnnl_primitive_attr_t attr; /* owned; scratchpads are ours */
    bool has_matrices;         /* fp32 ones are multiplied */
};

/* Machine code that oneDNN 2.6.3 writes when it first multiplies fp32 matrices that lie as we want them, measured with
 * AVX-512; a few MiB more, in which it lays parts of large ones, it takes and gives back in each product. */
enum { MATRIX_CODE_NBYTES = 9 << 20 };

size_t cpu_dnnl_own_nbytes(const cpu_dnnl *dnnl) { return dnnl->has_matrices ? MATRIX_CODE_NBYTES : 0; }

/* oneDNN asks OpenMP for its thread count, which is a setting of the calling thread: no system call, no lock.  It waits
 * for as many as it asked for, so OpenMP must not start fewer. */
static void use_threads(const cpu_dnnl *dnnl)
{
#ifdef _OPENMP
    omp_set_dynamic(0);
    omp_set_num_threads(dnnl->threads);
#else
    (void)dnnl;
#endif
}

static lk_status check_limit(int threads)
{
#ifdef _OPENMP
    if (omp_get_thread_limit() < threads)
        return LK_FAIL(LK_ERR_USAGE, "engine.threads is %d, but OMP_THREAD_LIMIT lets a process have %d: raise that, "
                       "or ask for fewer", threads, omp_get_thread_limit());
#endif
    (void)threads;
    return LK_OK;
}

static lk_status open_parts(cpu_dnnl *dnnl)
{
    LK_DNNL(dnnl_engine_create(&dnnl->engine, dnnl_cpu, 0));
    LK_DNNL(dnnl_stream_create(&dnnl->stream, dnnl->engine, dnnl_stream_in_order));
    LK_DNNL(dnnl_primitive_attr_create(&dnnl->attr));
    LK_DNNL(dnnl_primitive_attr_set_scratchpad_mode(dnnl->attr, dnnl_scratchpad_mode_user));
    return LK_OK;
}

static const char *instruction_set(void)
{
    static const struct { dnnl_cpu_isa_t isa; const char *name; } known[] = {
        {dnnl_cpu_isa_sse41, "sse4.1"},
        {dnnl_cpu_isa_avx, "avx"},
        {dnnl_cpu_isa_avx2, "avx2"},
        {dnnl_cpu_isa_avx512_core, "avx512_core"},
        {dnnl_cpu_isa_avx512_core_vnni, "avx512_core_vnni"},
        {dnnl_cpu_isa_avx512_core_bf16, "avx512_core_bf16"},
        {dnnl_cpu_isa_avx512_core_amx, "avx512_core_amx"},
    };
    const dnnl_cpu_isa_t isa = dnnl_get_effective_cpu_isa();

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].isa == isa) return known[i].name;
    return "an instruction set newer than this list";
}

void cpu_dnnl_platform(void *ctx, lk_platform *out)
{
    const dnnl_version_t *version = dnnl_version();

    (void)ctx;
    snprintf(out->device, sizeof out->device, "%s", instruction_set());
    snprintf(out->libraries, sizeof out->libraries, "oneDNN %d.%d.%d", version->major, version->minor, version->patch);
}

void cpu_dnnl_describe(char *text, size_t nbytes)
{
    lk_platform platform;

    cpu_dnnl_platform(NULL, &platform);
    snprintf(text, nbytes, "%s, %s", platform.libraries, platform.device);
}

lk_status cpu_dnnl_open(int threads, cpu_dnnl **out)
{
    *out = NULL;
    LK_TRY(check_limit(threads));
    cpu_dnnl *dnnl = lk_alloc(sizeof *dnnl);
    LK_TRY_ALLOC(dnnl, sizeof *dnnl);
    dnnl->threads = threads;
    const lk_status status = open_parts(dnnl);
    if (status != LK_OK) {
        cpu_dnnl_close(&dnnl);
        LK_TRY(status);
    }
    *out = dnnl;
    return LK_OK;
}

void cpu_dnnl_close(cpu_dnnl **dnnl)
{
    if (!*dnnl) return;
    if ((*dnnl)->attr) dnnl_primitive_attr_destroy((*dnnl)->attr);
    if ((*dnnl)->stream) dnnl_stream_destroy((*dnnl)->stream);
    if ((*dnnl)->engine) dnnl_engine_destroy((*dnnl)->engine);
    lk_free(dnnl);
}

/* --------------------------------------------------- a primitive with its memory */

enum { MAX_ARGS = 5 };

/* An operation of oneDNN made ready: primitive, arguments, scratchpad. */
typedef struct ready_op {
    dnnl_primitive_desc_t desc;   /* owned */
    dnnl_primitive_t primitive;   /* owned; NULL while there is nothing to execute */
    dnnl_exec_arg_t args[MAX_ARGS]; /* their memory objects are owned */
    void *at[MAX_ARGS];           /* borrowed: address each argument has now */
    int n_args;
    size_t scratch_nbytes;
} ready_op;

static void ready_op_free(ready_op *op)
{
    for (int i = 0; i < op->n_args; i++) dnnl_memory_destroy(op->args[i].memory);
    if (op->primitive) dnnl_primitive_destroy(op->primitive);
    if (op->desc) dnnl_primitive_desc_destroy(op->desc);
}

/* Each run says where it is. */
static lk_status ready_op_arg(ready_op *op, const cpu_dnnl *dnnl, int arg, layout_view view)
{
    assert(op->n_args < MAX_ARGS);
    dnnl_exec_arg_t *slot = &op->args[op->n_args];

    LK_DNNL(dnnl_memory_create(&slot->memory, view, dnnl->engine, DNNL_MEMORY_NONE));
    slot->arg = arg;
    op->at[op->n_args++] = NULL;
    return LK_OK;
}

/* op->desc is there: makes the primitive, and its scratchpad an argument. */
static lk_status ready_op_make(ready_op *op, const cpu_dnnl *dnnl)
{
    const layout_view scratch = dnnl_primitive_desc_query_md(op->desc, dnnl_query_scratchpad_md, 0);

    LK_DNNL(dnnl_primitive_create(&op->primitive, op->desc));
    op->scratch_nbytes = dnnl_memory_desc_get_size(scratch);
    if (op->scratch_nbytes > 0) LK_TRY(ready_op_arg(op, dnnl, DNNL_ARG_SCRATCHPAD, scratch));
    return LK_OK;
}

/* Most addresses are those of the last run, and setting one is not free. */
static lk_status ready_op_point(ready_op *op, int arg, void *at)
{
    for (int i = 0; i < op->n_args; i++) {
        if (op->args[i].arg != arg || op->at[i] == at) continue;
        LK_DNNL(dnnl_memory_set_data_handle(op->args[i].memory, at));
        op->at[i] = at;
    }
    return LK_OK;
}

static lk_status ready_op_run(ready_op *op, const cpu_dnnl *dnnl)
{
    LK_DNNL(dnnl_primitive_execute(op->primitive, dnnl->stream, op->n_args, op->args));
    return LK_OK;
}

/* --------------------------------------------------------------------- products */

/* The argument that holds each tensor of a product, by pass. */
typedef struct arg_names { int x, w, b, y; } arg_names;
static const arg_names arg_of[] = {
    [CPU_FORWARD] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_BIAS, DNNL_ARG_DST},
    [CPU_GRAD_X] = {DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_BIAS, DNNL_ARG_DIFF_DST},
    [CPU_GRAD_W] = {DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_BIAS, DNNL_ARG_DIFF_DST},
};

struct cpu_dnnl_product {
    cpu_dnnl *dnnl;               /* borrowed */
    cpu_pass pass;
    product_layouts layouts;      /* owned */
    layout plain;                 /* owned; PyTorch's layout of the weights, fp32 */
    dnnl_primitive_desc_t forward; /* owned; the hint a backward pass needs */
    ready_op main;
    ready_op pack;                /* plain weights -> preferred, or for GRAD_W back; unused where they are the same */
    cpu_weights *weights;         /* borrowed */
    cpu_ref w;
    cpu_weight *packed;           /* FORWARD, GRAD_X: one use of it is ours; w in the preferred layout */
    size_t packed_nbytes;         /* GRAD_W: dw in the preferred layout, at the beginning of scratch */
};

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

static lk_status conv_layouts(product_layouts *l, layout *plain, const cpu_dnnl_spec *s, dnnl_data_type_t type,
                              dnnl_data_type_t w_type)
{
    const int64_t G = s->how.groups;
    const dnnl_dims_t x = {s->n, s->i, s->h, s->w}, y = {s->n, s->o, s->oh, s->ow};
    const dnnl_dims_t w = {s->o, s->i, s->kh, s->kw}, grouped = {G, s->o / G, s->i / G, s->kh, s->kw};
    const int n_dims = G > 1 ? 5 : 4;

    for (int side = 0; side < 2; side++) {
        l->strides[side] = s->how.stride[side];
        l->padding[side] = s->how.padding[side];
    }
    LK_TRY(layout_new(&l->x, 4, x, type, dnnl_nhwc));
    LK_TRY(layout_new(&l->w, n_dims, G > 1 ? grouped : w, w_type, dnnl_format_tag_any));
    LK_TRY(layout_new(&l->y, 4, y, type, dnnl_nhwc));
    LK_TRY(layout_new(plain, n_dims, G > 1 ? grouped : w, dnnl_f32, G > 1 ? dnnl_goihw : dnnl_oihw));
    return LK_OK;
}

static lk_status matrix_layouts(product_layouts *l, layout *plain, const cpu_dnnl_spec *s, dnnl_data_type_t type,
                                dnnl_data_type_t w_type)
{
    const dnnl_dims_t x = {s->n, s->i}, w = {s->o, s->i}, y = {s->n, s->o};
    const dnnl_format_tag_t as_it_lies = s->in_out ? dnnl_io : dnnl_oi;

    LK_TRY(layout_new(&l->x, 2, x, type, dnnl_nc));
    LK_TRY(layout_new(&l->w, 2, w, w_type, type == dnnl_f32 ? as_it_lies : dnnl_format_tag_any));
    LK_TRY(layout_new(&l->y, 2, y, type, dnnl_nc));
    LK_TRY(layout_new(plain, 2, w, dnnl_f32, as_it_lies));
    return LK_OK;
}

/* Weights are read in the type of the activations; their gradient is fp32 in either precision. */
static lk_status make_layouts(cpu_dnnl_product *p, const cpu_dnnl_spec *spec)
{
    const dnnl_data_type_t type = spec->dtype == LK_DTYPE_BF16 ? dnnl_bf16 : dnnl_f32;
    const dnnl_dims_t b = {spec->o};

    p->layouts.bias = spec->bias;
    LK_TRY((spec->conv ? conv_layouts : matrix_layouts)(&p->layouts, &p->plain, spec, type,
                                                        p->pass == CPU_GRAD_W ? dnnl_f32 : type));
    LK_TRY(layout_new(&p->layouts.b, 1, b, dnnl_f32, dnnl_a));
    return LK_OK;
}

/* A backward pass asks for the forward one as a hint, whose weights have the type of the activations. */
static lk_status make_forward_hint(cpu_dnnl_product *p, const cpu_dnnl_spec *spec)
{
    cpu_dnnl_product hint = {.dnnl = p->dnnl, .pass = CPU_FORWARD};
    lk_status status = make_layouts(&hint, spec);

    if (status == LK_OK) status = describe(&hint, spec, NULL, &p->forward);
    layout *const all[] = {&hint.layouts.x, &hint.layouts.w, &hint.layouts.b, &hint.layouts.y, &hint.plain};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) layout_free(all[i]);
    return status;
}

/* The reorder between plain and preferred weights, and a place for the latter. */
static lk_status make_pack(cpu_dnnl_product *p, layout_view preferred)
{
    const bool out = p->pass == CPU_GRAD_W;
    const layout_view from = out ? preferred : view(&p->plain), to = out ? view(&p->plain) : preferred;
    const dnnl_engine_t engine = p->dnnl->engine;

    const size_t nbytes = dnnl_memory_desc_get_size(preferred);

    if (out) p->packed_nbytes = nbytes;
    else LK_TRY(cpu_weight_want(p->weights, p->w, nbytes, preferred, &p->packed));
    LK_DNNL(dnnl_reorder_primitive_desc_create(&p->pack.desc, from, engine, to, engine, p->dnnl->attr));
    LK_TRY(ready_op_make(&p->pack, p->dnnl));
    LK_TRY(ready_op_arg(&p->pack, p->dnnl, DNNL_ARG_FROM, from));
    LK_TRY(ready_op_arg(&p->pack, p->dnnl, DNNL_ARG_TO, to));
    return LK_OK;
}

static lk_status make_product(cpu_dnnl_product *p, const cpu_dnnl_spec *spec)
{
    const arg_names names = arg_of[p->pass];
    const dnnl_query_t w_query = p->pass == CPU_GRAD_W ? dnnl_query_diff_weights_md : dnnl_query_weights_md;

    LK_TRY(make_layouts(p, spec));
    if (p->pass != CPU_FORWARD) LK_TRY(make_forward_hint(p, spec));
    LK_TRY(describe(p, spec, p->forward, &p->main.desc));
    LK_TRY(ready_op_make(&p->main, p->dnnl));

    const layout_view preferred = dnnl_primitive_desc_query_md(p->main.desc, w_query, 0);
    if (!dnnl_memory_desc_equal(preferred, view(&p->plain))) LK_TRY(make_pack(p, preferred));
    LK_TRY(ready_op_arg(&p->main, p->dnnl, names.w, preferred));
    LK_TRY(ready_op_arg(&p->main, p->dnnl, names.x, view(&p->layouts.x)));
    LK_TRY(ready_op_arg(&p->main, p->dnnl, names.y, view(&p->layouts.y)));
    if (spec->bias && p->pass != CPU_GRAD_X)
        LK_TRY(ready_op_arg(&p->main, p->dnnl, names.b, view(&p->layouts.b)));
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
    p->w = spec->weight;
    use_threads(dnnl);
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
    ready_op_free(&p->pack);
    ready_op_free(&p->main);
    if (p->forward) dnnl_primitive_desc_destroy(p->forward);
    layout *const all[] = {&p->layouts.x, &p->layouts.w, &p->layouts.b, &p->layouts.y, &p->plain};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) layout_free(all[i]);
    if (p->packed) cpu_weight_drop(p->weights, &p->packed);
    lk_free(product);
}

/* Where the scratchpads are: behind the packed gradient, which both operations touch. */
static size_t scratchpad_offset(const cpu_dnnl_product *p)
{
    return (p->packed_nbytes + LK_PLACE_ALIGNMENT - 1) / LK_PLACE_ALIGNMENT * LK_PLACE_ALIGNMENT;
}

size_t cpu_dnnl_product_scratch(const cpu_dnnl_product *p)
{
    const size_t main = p->main.scratch_nbytes, pack = p->pack.scratch_nbytes;

    return scratchpad_offset(p) + (main > pack ? main : pack);
}

/* Reorders weights between two layouts. */
static lk_status run_pack(cpu_dnnl_product *p, void *from, void *to, void *scratchpad)
{
    LK_TRY(ready_op_point(&p->pack, DNNL_ARG_FROM, from));
    LK_TRY(ready_op_point(&p->pack, DNNL_ARG_TO, to));
    LK_TRY(ready_op_point(&p->pack, DNNL_ARG_SCRATCHPAD, scratchpad));
    return ready_op_run(&p->pack, p->dnnl);
}

lk_status cpu_dnnl_product_run(cpu_dnnl_product *p, const cpu_dnnl_args *args)
{
    const arg_names names = arg_of[p->pass];
    char *scratchpad = (char *)args->scratch + scratchpad_offset(p);
    void *w = p->packed ? p->packed->at : p->packed_nbytes > 0 ? args->scratch : args->w;

    use_threads(p->dnnl);
    if (p->packed && cpu_weight_is_stale(p->packed, p->w, args->params_version)) {
        LK_TRY(run_pack(p, args->w, w, scratchpad));
        p->packed->version = args->params_version;
    }
    LK_TRY(ready_op_point(&p->main, names.x, args->x));
    LK_TRY(ready_op_point(&p->main, names.y, args->y));
    LK_TRY(ready_op_point(&p->main, names.b, args->b));
    LK_TRY(ready_op_point(&p->main, names.w, w));
    LK_TRY(ready_op_point(&p->main, DNNL_ARG_SCRATCHPAD, scratchpad));
    LK_TRY(ready_op_run(&p->main, p->dnnl));
    return p->packed_nbytes > 0 ? run_pack(p, w, args->w, scratchpad) : LK_OK;
}
