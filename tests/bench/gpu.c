/*
 * Speed of the CUDA engine's parts, as `name value unit` lines: the optimizer's pass against a device-to-device copy,
 * linear layers in fp32, tf32 and bf16, and causal attention with its gradient.  tests/bench/gpu.sh puts PyTorch's
 * figures beside them.
 *
 *   bench_gpu [MILLIONS of parameters, default 124]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/backend.h"
#include "engine/ops/ops.h"
#include "engine/ops/rules.h"

enum { WARM = 3, TIMES = 20 };

#define MUST(call)                                                                            \
    do {                                                                                      \
        if ((call) != LK_OK) {                                                                \
            fprintf(stderr, "bench_gpu: %s (%s)\n", lk_error_message(), lk_error_trace());    \
            exit(1);                                                                          \
        }                                                                                     \
    } while (0)

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static float *array(const lk_backend *b, void *ctx, size_t n_elem)
{
    void *at;

    MUST(b->alloc(ctx, n_elem * sizeof(float), &at));
    return at;
}

/* -------------------------------------------------------------- random data */

/* Products of zeros toggle few wires, take less power and are over 10 % faster than those of numbers. */
enum { PATTERN = 1 << 22 }; /* elements, repeated to fill an array */

typedef struct pattern { float signs[PATTERN], squares[PATTERN]; uint16_t bf16[PATTERN]; } pattern;

/* Uniform in [-1, 1); their squares, for AdamW's second moments; and in bf16, the upper half of a float. */
static pattern *make_pattern(void)
{
    const lk_philox_key key = lk_philox_key_new(1, LK_PURPOSE_DATA, 0);
    pattern *p = malloc(sizeof *p);

    if (!p) exit(1);
    for (size_t i = 0; i < PATTERN; i++) {
        uint32_t bits;

        p->signs[i] = 2.0f * lk_uniform(key, i) - 1.0f;
        p->squares[i] = p->signs[i] * p->signs[i];
        memcpy(&bits, &p->signs[i], sizeof bits);
        p->bf16[i] = (uint16_t)(bits >> 16);
    }
    return p;
}

static float *filled(const lk_backend *b, void *ctx, const void *from, size_t n_elem, size_t elem_nbytes)
{
    const size_t nbytes = n_elem * elem_nbytes, most = PATTERN * elem_nbytes;
    float *at = array(b, ctx, n_elem);

    for (size_t done = 0; done < nbytes; done += most)
        MUST(b->write(ctx, (char *)at + done, from, nbytes - done < most ? nbytes - done : most));
    return at;
}

/* ---------------------------------------------------------------- optimizer */

typedef struct arrays { float *p, *g, *m, *v; size_t n; } arrays;

static void copy_once(const lk_backend *b, void *ctx, const arrays *a)
{
    MUST(b->device->copy(ctx, LK_QUEUE_COMPUTE, a->m, a->v, a->n * sizeof(float)));
}

static void update_once(const lk_backend *b, void *ctx, const arrays *a)
{
    static const lk_optimizer_spec spec = {.kind = LK_ADAMW, .lr = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8,
                                           .weight_decay = 0.01};
    const lk_update update = {.spec = &spec, .params = a->p, .grads = a->g, .state = {a->m, a->v}, .n_elem = a->n,
                              .step = 7, .lr = 1e-3, .momentum = 0.9, .grad_scale = 1.0f};

    MUST(b->update(ctx, &update));
}

static double time_of(const lk_backend *b, void *ctx, const arrays *a,
                      void (*once)(const lk_backend *, void *, const arrays *))
{
    double begin = 0.0;

    for (int i = 0; i < WARM + TIMES; i++) {
        if (i == WARM) {
            MUST(b->wait(ctx));
            begin = now_s();
        }
        once(b, ctx, a);
    }
    MUST(b->wait(ctx));
    return (now_s() - begin) / TIMES;
}

static void bench_optimizer(const lk_backend *b, void *ctx, const pattern *p, size_t n)
{
    const size_t f32 = sizeof(float);
    const arrays a = {filled(b, ctx, p->signs, n, f32), filled(b, ctx, p->signs, n, f32),
                      filled(b, ctx, p->signs, n, f32), filled(b, ctx, p->squares, n, f32), n};
    const double bytes = (double)(n * sizeof(float));
    const double copy = 2.0 * bytes / time_of(b, ctx, &a, copy_once);
    const double update = 7.0 * bytes / time_of(b, ctx, &a, update_once); /* reads p, g, m, v; writes p, m, v */

    printf("copy_bandwidth %.1f GB/s\nadamw_bandwidth %.1f GB/s\nadamw_to_copy %.3f of-1\n", copy / 1e9, update / 1e9,
           update / copy);
    b->release(ctx, a.v), b->release(ctx, a.m), b->release(ctx, a.g), b->release(ctx, a.p);
}

/* ------------------------------------------------------------------ kernels */

/* Seconds that a run of them takes. */
static double time_kernels(const lk_backend *b, void *ctx, const lk_graph *graph, const lk_kernel *kernels, size_t n,
                           lk_launch_args *args)
{
    double begin = 0.0;

    MUST(b->device->begin(ctx, graph, args));
    for (int k = 0; k < WARM + TIMES; k++) {
        if (k == WARM) {
            MUST(b->wait(ctx));
            begin = now_s();
        }
        MUST(b->device->run(ctx, kernels, n, args));
    }
    MUST(b->wait(ctx));
    return (now_s() - begin) / TIMES;
}

static void bench_linear(const lk_backend *b, void *ctx, const pattern *p, lk_precision precision, const char *name,
                         int64_t n, int64_t i, int64_t o)
{
    const lk_dtype dtype = precision == LK_BF16 ? LK_DTYPE_BF16 : LK_DTYPE_F32;
    lk_graph graph;
    lk_kernel kernel = {0};
    lk_launch_args args = {.params_version = 1};
    int x, w, y;

    lk_graph_init(&graph, NULL, LK_PREDICT, precision, n);
    MUST(lk_graph_tensor(&graph, "x", dtype, 2, (int64_t[]){n, i}, LK_ARENA_FIELD, 0, &x));
    MUST(lk_graph_tensor(&graph, "w", LK_DTYPE_F32, 2, (int64_t[]){o, i}, LK_ARENA_PARAMS, 0, &w));
    MUST(lk_op_linear(&graph, "fc", x, w, LK_NO_TENSOR, &y));
    args.base[LK_ARENA_FIELD] = filled(b, ctx, dtype == LK_DTYPE_BF16 ? (const void *)p->bf16 : p->signs,
                                       (size_t)(n * i), lk_dtype_size(dtype));
    args.base[LK_ARENA_PARAMS] = filled(b, ctx, p->signs, (size_t)(o * i), sizeof(float));
    args.base[LK_ARENA_ACT] = array(b, ctx, (size_t)(n * o));
    MUST(b->bind(ctx, &graph, &graph.nodes[0], &kernel));
    MUST(b->reserve(ctx));
    args.base[LK_ARENA_SCRATCH] = array(b, ctx, kernel.scratch_nbytes / sizeof(float) + 1);
    printf("linear_%s_%lldx%lldx%lld %.1f TFLOP/s\n", name, (long long)n, (long long)i, (long long)o,
           2e-12 * (double)n * (double)i * (double)o / time_kernels(b, ctx, &graph, &kernel, 1, &args));
    kernel.free(kernel.state);
    b->release(ctx, args.base[LK_ARENA_ACT]), b->release(ctx, args.base[LK_ARENA_PARAMS]);
    b->release(ctx, args.base[LK_ARENA_FIELD]), b->release(ctx, args.base[LK_ARENA_SCRATCH]);
    lk_graph_clear(&graph);
}

/* ---------------------------------------------------------------- attention */

enum { FORWARD, BACKWARD, N_PASSES, CHANNELS = 64 /* of a head */ };

/* Forward and backward of q, k and v, each (n, length, heads * CHANNELS). */
static void make_attention(lk_graph *graph, lk_dtype dtype, int64_t n, int64_t length, int64_t heads)
{
    const int64_t shape[] = {n, length, heads * CHANNELS};
    const size_t nbytes = (size_t)(n * length * heads * CHANNELS) * lk_dtype_size(dtype);
    int in[3], y, log_sum, dy;

    lk_graph_init(graph, NULL, LK_TRAIN, LK_FP32, n);
    for (int i = 0; i < 3; i++) {
        MUST(lk_graph_tensor(graph, "qkv", dtype, 3, shape, LK_ARENA_FIELD, (size_t)i * nbytes, &in[i]));
        graph->tensors[in[i]].needs_grad = true;
    }
    MUST(lk_op_attention(graph, "attn", in[0], in[1], in[2], LK_NO_TENSOR,
                         &(lk_attention){.heads = heads, .causal = true}, &y, &log_sum));
    MUST(lk_graph_grad(graph, y, &dy));
    MUST(lk_graph_differentiate(graph, 1, &y, &dy));
}

/* Gives every activation a place of its own; bytes of all. */
static size_t place_activations(lk_graph *graph)
{
    size_t used = 0;

    for (int t = 0; t < graph->n_tensors; t++) {
        lk_tensor *of = &graph->tensors[t];

        if (of->arena != LK_ARENA_ACT) continue;
        of->offset = used;
        used += (of->nbytes + LK_PLACE_ALIGNMENT - 1) / LK_PLACE_ALIGNMENT * LK_PLACE_ALIGNMENT;
    }
    return used;
}

static void bench_attention(const lk_backend *b, void *ctx, const pattern *p, lk_dtype dtype, int64_t n,
                            int64_t length, int64_t heads)
{
    const void *from = dtype == LK_DTYPE_BF16 ? (const void *)p->bf16 : p->signs;
    const char *const names[] = {"attention", "attention_grad"}, *type = dtype == LK_DTYPE_BF16 ? "bf16" : "fp32";
    lk_flops_fn *const flops[] = {lk_flops_attention, lk_flops_attention_grad};
    const size_t size = lk_dtype_size(dtype);
    lk_graph graph;
    lk_launch_args args = {.params_version = 1};

    make_attention(&graph, dtype, n, length, heads);
    args.base[LK_ARENA_FIELD] = filled(b, ctx, from, (size_t)(3 * n * length * heads * CHANNELS), size);
    args.base[LK_ARENA_ACT] = filled(b, ctx, from, place_activations(&graph) / size, size);
    for (int pass = FORWARD; pass < N_PASSES; pass++) {
        lk_kernel kernel = {0};

        MUST(b->bind(ctx, &graph, &graph.nodes[pass], &kernel));
        args.base[LK_ARENA_SCRATCH] = array(b, ctx, kernel.scratch_nbytes / sizeof(float) + 1);
        const double seconds = time_kernels(b, ctx, &graph, &kernel, 1, &args);
        printf("%s_%s_%lldx%lldx%lld %.1f TFLOP/s\n", names[pass], type, (long long)n, (long long)length,
               (long long)heads, 1e-12 * flops[pass](&graph, &graph.nodes[pass]) / seconds);
        kernel.free(kernel.state);
        b->release(ctx, args.base[LK_ARENA_SCRATCH]);
    }
    b->release(ctx, args.base[LK_ARENA_FIELD]), b->release(ctx, args.base[LK_ARENA_ACT]);
    lk_graph_clear(&graph);
}

int main(int argc, char **argv)
{
    static const int64_t shapes[][3] = {{4096, 4096, 4096}, {8192, 8192, 8192}, {4096, 768, 3072}, {1024, 512, 512}};
    const double millions = argc > 1 ? atof(argv[1]) : 124.0;
    const bool small = millions < 1.0; /* a trial where nothing is measured */
    pattern *p = make_pattern();
    const lk_module *module;
    void *ctx;

    MUST(lk_module_open(&module));
    MUST(module->backend->open(&(lk_engine_options){.threads = 1}, &ctx));
    bench_optimizer(module->backend, ctx, p, (size_t)(millions * 1e6) / 16 * 16);
    for (size_t s = 0; s < (small ? 1 : sizeof shapes / sizeof *shapes); s++) {
        const int64_t by = small ? 64 : 1, n = shapes[s][0] / by, i = shapes[s][1] / by, o = shapes[s][2] / by;

        bench_linear(module->backend, ctx, p, LK_FP32, "fp32", n, i, o);
        bench_linear(module->backend, ctx, p, LK_TF32, "tf32", n, i, o);
        bench_linear(module->backend, ctx, p, LK_BF16, "bf16", n, i, o);
    }
    for (int dtype = LK_DTYPE_F32; dtype <= LK_DTYPE_BF16; dtype += LK_DTYPE_BF16 - LK_DTYPE_F32) /* GPT-2's */
        bench_attention(module->backend, ctx, p, (lk_dtype)dtype, small ? 1 : 8, small ? 64 : 1024, small ? 2 : 12);
    module->backend->close(ctx);
    free(p);
    return 0;
}
