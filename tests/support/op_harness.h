/*
 * Runs a few ops on a backend, outside any model: put tensors in, append ops, differentiate, run, read.
 *
 *     op_harness h;
 *     op_open(&h, LK_TRAIN, 1);
 *     const int x = op_tensor(&h, "x", LK_ARENA_FIELD, LK_DTYPE_F32, 2, (int64_t[]){3, 4}), w = ...;
 *     op_ok(lk_op_linear(&h.graph, "fc", x, w, LK_NO_TENSOR, &y));
 *     const int dy = op_differentiate(&h, y);
 *     op_bind(&h);                    every tensor has its own memory, so all can be read after a run
 *     op_fill(&h, x, 1); ...          or op_set()
 *     op_run(&h);
 *     op_get(&h, op_gradient(&h, x), values);
 *     op_close(&h);
 *
 * Values are floats here whatever the tensor's type.  op_fill() deals out multiples of 1/64 in [-1, 1]: they are exact
 * in bf16, and sums of a few thousand products of two of them are exact in fp32 in any order, so tests of products
 * can ask for equality.
 *
 * The backend is the CPU's, or the one that LOCKSTEP_TEST_ENGINE names (backend_under_test.h).  A device's arenas have
 * mirrors here, which go there before each run and come back after it.
 */
#ifndef OP_HARNESS_H
#define OP_HARNESS_H

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cpu/bf16.h"
#include "engine/ops/ops.h"
#include "tests/support/backend_under_test.h"

enum { OP_MOST_NODES = 64, OP_LINE = 64 };

typedef struct op_harness {
    lk_graph graph;
    const lk_backend *backend;
    void *ctx;
    char *arena[LK_N_ARENAS];  /* what tests see */
    void *there[LK_N_ARENAS];  /* on a device: what kernels see */
    size_t used[LK_N_ARENAS]; /* bytes */
    lk_kernel kernels[OP_MOST_NODES];
    int n_kernels;
    void *scratch;            /* the backend's */
    size_t scratch_nbytes;
    bool keeps_params;        /* runs are told that the parameters are those of the last run */
    lk_launch_args run;       /* base is set by op_bind(); the rest is the test's to set */
} op_harness;

#define op_ok(expr) cr_assert_eq((expr), LK_OK, "%s (%s)", lk_error_message(), lk_error_trace())

static inline void op_open(op_harness *h, lk_mode mode, int threads)
{
    *h = (op_harness){.run = {.inv_count = 1.0f, .seed = 42}};
    lk_graph_init(&h->graph, NULL, mode, LK_FP32, 1);
    h->backend = backend_under_test();
    h->graph.keeps_masks = true; /* so that tests see them */
    op_ok(h->backend->open(&(lk_engine_options){.threads = threads}, &h->ctx));
}

static inline void op_close(op_harness *h)
{
    for (int i = 0; i < h->n_kernels; i++)
        if (h->kernels[i].free) h->kernels[i].free(h->kernels[i].state);
    if (h->scratch) h->backend->release(h->ctx, h->scratch);
    for (int a = 0; a < LK_N_ARENAS; a++) {
        lk_free(&h->arena[a]);
        if (h->there[a]) h->backend->release(h->ctx, h->there[a]);
    }
    h->backend->close(h->ctx);
    lk_graph_clear(&h->graph);
}

/* Takes room in an arena.  Parameters have room for their gradients and need one. */
static inline int op_tensor(op_harness *h, const char *name, lk_arena arena, lk_dtype dtype, int ndim,
                            const int64_t *shape)
{
    int id;

    op_ok(lk_graph_tensor(&h->graph, name, dtype, ndim, shape, arena, h->used[arena], &id));
    lk_tensor *t = &h->graph.tensors[id];
    h->used[arena] += (t->nbytes + OP_LINE - 1) / OP_LINE * OP_LINE;
    if (arena == LK_ARENA_PARAMS) {
        t->needs_grad = true;
        if (h->used[LK_ARENA_GRADS] < h->used[arena]) h->used[LK_ARENA_GRADS] = h->used[arena];
    }
    return id;
}

/* Appends the backward pass from y; returns dy, which the test fills. */
static inline int op_differentiate(op_harness *h, int y)
{
    int dy;

    op_ok(lk_graph_grad(&h->graph, y, &dy));
    op_ok(lk_graph_differentiate(&h->graph, 1, &y, &dy));
    return dy;
}

/* The tensor called "d NAME", the last one made. */
static inline int op_gradient(const op_harness *h, int tensor)
{
    char name[256] = "d ";

    strncat(name, h->graph.tensors[tensor].name, sizeof name - strlen(name) - 1);
    for (int t = h->graph.n_tensors - 1; t >= 0; t--)
        if (strcmp(h->graph.tensors[t].name, name) == 0) return t;
    cr_assert(false, "%s has no gradient", h->graph.tensors[tensor].name);
    return LK_NO_TENSOR;
}

static inline void op_bind(op_harness *h)
{
    for (int t = 0; t < h->graph.n_tensors; t++) {
        lk_tensor *tensor = &h->graph.tensors[t];
        if (tensor->arena != LK_ARENA_ACT || tensor->root != LK_NO_TENSOR) continue;
        tensor->offset = h->used[LK_ARENA_ACT];
        h->used[LK_ARENA_ACT] += (tensor->nbytes + OP_LINE - 1) / OP_LINE * OP_LINE;
    }
    lk_graph_place_views(&h->graph);
    for (int a = 0; a < LK_N_ARENAS; a++) {
        h->run.base[a] = h->arena[a] = lk_alloc(h->used[a]);
        cr_assert(h->arena[a]);
        if (h->backend->device) op_ok(h->backend->alloc(h->ctx, h->used[a], &h->there[a]));
    }
    cr_assert(h->graph.n_nodes <= OP_MOST_NODES);
    h->n_kernels = h->graph.n_nodes;
    for (int i = 0, n; i < h->n_kernels; i += n) { /* a group has one kernel, that of its first node */
        lk_kernel *kernel = &h->kernels[i];

        n = h->graph.nodes[i].n_fused > 1 ? h->graph.nodes[i].n_fused : 1;
        if (h->graph.nodes[i].op == LK_OP_VIEW) continue;
        const lk_status status = h->backend->bind(h->ctx, &h->graph, &h->graph.nodes[i], kernel);

        /* A processor that cannot do bf16 is told so; nothing is left to test. */
        if (status == LK_ERR_USAGE) cr_skip_test("%s", lk_error_message());
        op_ok(status);
        if (kernel->scratch_nbytes > h->scratch_nbytes) h->scratch_nbytes = kernel->scratch_nbytes;
    }
    op_ok(h->backend->reserve(h->ctx));
    op_ok(h->backend->alloc(h->ctx, h->scratch_nbytes, &h->scratch));
}

static inline void op_run_there(op_harness *h)
{
    const lk_backend *b = h->backend;
    lk_launch_args args = h->run;

    for (int a = 0; a < LK_N_ARENAS; a++) {
        op_ok(b->write(h->ctx, h->there[a], h->arena[a], h->used[a]));
        args.base[a] = h->there[a];
    }
    args.base[LK_ARENA_SCRATCH] = h->scratch;
    if (args.sample)
        op_ok(b->device->upload(h->ctx, false, args.sample, (size_t)h->graph.n * sizeof *args.sample,
                                (const void **)&args.sample));
    op_ok(b->device->begin(h->ctx, &h->graph, &args));
    op_ok(b->device->run(h->ctx, h->kernels, (size_t)h->n_kernels, &args));
    for (int a = 0; a < LK_N_ARENAS; a++) op_ok(b->read(h->ctx, h->arena[a], h->there[a], h->used[a]));
}

static inline void op_run(op_harness *h)
{
    if (!h->keeps_params || h->run.params_version == 0) h->run.params_version++;
    h->run.base[LK_ARENA_SCRATCH] = h->scratch;
    if (h->backend->device) {
        op_run_there(h);
        return;
    }
    for (int i = 0; i < h->n_kernels; i++)
        if (h->kernels[i].run) op_ok(h->kernels[i].run(h->kernels[i].state, &h->run));
}

/* Where the backend sees a tensor. */
static inline void *op_there(const op_harness *h, int tensor)
{
    const lk_tensor *t = &h->graph.tensors[tensor];

    return (char *)(h->backend->device ? h->there[t->arena] : (void *)h->arena[t->arena]) + t->offset;
}

static inline size_t op_n_elem(const op_harness *h, int tensor) { return h->graph.tensors[tensor].n_elem; }

static inline void *op_at(const op_harness *h, int tensor)
{
    return lk_at(&h->run, h->graph.tensors[tensor].arena, h->graph.tensors[tensor].offset);
}

/* The running statistic takes in what one lane found. */
static inline void op_running(op_harness *h, int running, int stat, float momentum)
{
    const lk_backend *b = h->backend;
    const size_t nbytes = h->graph.tensors[running].nbytes;
    const float one = 1.0f;
    void *lanes;

    op_ok(b->alloc(h->ctx, sizeof one, &lanes));
    op_ok(b->write(h->ctx, lanes, &one, sizeof one));
    if (b->device) {
        op_ok(b->write(h->ctx, op_there(h, running), op_at(h, running), nbytes));
        op_ok(b->write(h->ctx, op_there(h, stat), op_at(h, stat), nbytes));
    }
    op_ok(b->running(h->ctx, op_there(h, running), op_there(h, stat), op_n_elem(h, running), momentum, lanes, false));
    if (b->device) op_ok(b->read(h->ctx, op_at(h, running), op_there(h, running), nbytes));
    b->release(h->ctx, lanes);
}

static inline float op_get_one(const op_harness *h, int tensor, size_t i)
{
    const void *at = op_at(h, tensor);

    switch (h->graph.tensors[tensor].dtype) {
    case LK_DTYPE_F32: return ((const float *)at)[i];
    case LK_DTYPE_BF16: return cpu_bf16_to_f32(((const uint16_t *)at)[i]);
    case LK_DTYPE_F64: return (float)((const double *)at)[i];
    case LK_DTYPE_I32: return (float)((const int32_t *)at)[i];
    case LK_DTYPE_U8: return ((const uint8_t *)at)[i];
    }
    return 0.0f;
}

static inline void op_set_one(op_harness *h, int tensor, size_t i, float value)
{
    void *at = op_at(h, tensor);

    switch (h->graph.tensors[tensor].dtype) {
    case LK_DTYPE_F32: ((float *)at)[i] = value; break;
    case LK_DTYPE_BF16: ((uint16_t *)at)[i] = cpu_bf16_from_f32(value); break;
    case LK_DTYPE_F64: ((double *)at)[i] = (double)value; break;
    case LK_DTYPE_I32: ((int32_t *)at)[i] = (int32_t)value; break;
    case LK_DTYPE_U8: ((uint8_t *)at)[i] = (uint8_t)value; break;
    }
}

static inline void op_get(const op_harness *h, int tensor, float *values)
{
    for (size_t i = 0; i < op_n_elem(h, tensor); i++) values[i] = op_get_one(h, tensor, i);
}

static inline void op_set(op_harness *h, int tensor, const float *values)
{
    for (size_t i = 0; i < op_n_elem(h, tensor); i++) op_set_one(h, tensor, i, values[i]);
}

/* The values as doubles in new memory, for a twin to compute with; the caller frees it. */
static inline double *op_doubles(const op_harness *h, int tensor)
{
    double *values = malloc(op_n_elem(h, tensor) * sizeof *values);

    cr_assert(values);
    for (size_t i = 0; i < op_n_elem(h, tensor); i++) values[i] = (double)op_get_one(h, tensor, i);
    return values;
}

static inline void op_fill(op_harness *h, int tensor, uint64_t seed)
{
    const lk_philox_key key = lk_philox_key_new(seed, LK_PURPOSE_DATA, (uint32_t)tensor);

    for (size_t i = 0; i < op_n_elem(h, tensor); i++)
        op_set_one(h, tensor, i, (float)(int)(lk_uniform(key, i) * 129.0f) / 64.0f - 1.0f);
}

/* d(sum of y * dy) / d(element i of x) by central difference, running the graph twice. */
static inline double op_difference(op_harness *h, int x, size_t i, float step, int y, int dy)
{
    const float middle = op_get_one(h, x, i);
    double loss[2] = {0.0, 0.0};

    for (int side = 0; side < 2; side++) {
        op_set_one(h, x, i, side ? middle + step : middle - step);
        op_run(h);
        for (size_t k = 0; k < op_n_elem(h, y); k++)
            loss[side] += (double)op_get_one(h, y, k) * (double)op_get_one(h, dy, k);
    }
    op_set_one(h, x, i, middle);
    return (loss[1] - loss[0]) / (2.0 * (double)step);
}

/* Every element of x: the gradient that the ops compute against the central difference, to `tolerance`. */
static inline void op_expect_gradient(op_harness *h, int x, float step, int y, int dy, double tolerance)
{
    const int dx = op_gradient(h, x);

    for (size_t i = 0; i < op_n_elem(h, x); i++) {
        const double want = op_difference(h, x, i, step, y, dy);

        op_run(h);
        const double got = (double)op_get_one(h, dx, i), off = got > want ? got - want : want - got;
        cr_expect(off <= tolerance, "d %s[%zu]: got %.9g, difference quotient %.9g", h->graph.tensors[x].name, i, got,
                  want);
    }
}

/* Equal, but for a device's other order of sums: 1e-5 of the larger of 1 and the value, or the next number of bf16. */
static inline bool op_same(const op_harness *h, float got, float want, bool bf16)
{
    const double scale = fabs((double)want) > 1.0 ? fabs((double)want) : 1.0;

    if (got == want) return true;
    return h->backend->device && fabs((double)got - (double)want) <= (bf16 ? 1.0 / 128 : 1e-5) * scale;
}

/* The tensor against a twin's doubles, each rounded to the tensor's type: equal but for the sign of 0. */
static inline void op_expect_equal(const op_harness *h, int tensor, const double *want, const char *what)
{
    const bool bf16 = h->graph.tensors[tensor].dtype == LK_DTYPE_BF16;

    for (size_t i = 0; i < op_n_elem(h, tensor); i++) {
        const float got = op_get_one(h, tensor, i);
        const float rounded = bf16 ? cpu_bf16_to_f32(cpu_bf16_from_f32((float)want[i])) : (float)want[i];
        cr_expect(op_same(h, got, rounded, bf16), "%s, %s[%zu]: got %.9g, want %.9g", what,
                  h->graph.tensors[tensor].name, i, (double)got, (double)rounded);
    }
}

#endif
