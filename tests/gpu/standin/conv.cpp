/*
 * The convolutions of engine/cuda/conv.h on the host, in place of conv_cudnn.cu.
 *
 *     y[n,p,q,o]   = sum_r,t,i  x[n,h,v,gI+i] w[o,r,t,i]         h = p stride - padding + r, v alike; g: o's group, of
 *                                                                I channels of x
 *     dx[n,h,v,i]  = sum_r,t,o  dy[n,p,q,o] w[o,r,t,i]           over the p, q that reach h, v
 *     dw[o,r,t,i]  = sum_n,p (sum_q  dy[n,p,q,o] x[n,h,v,i])     row by row, image by image: long sums stay accurate
 *
 * In fp32, one term after another; factors to 10 bits under TF32; then + what is there, + bias, rounded once.
 * The innermost loops run along channels in memory.
 *
 * Pointers must be aligned as the spec promised, and nothing may lie over the result; the workspace is filled with
 * NaN.  What the library has for a shape is known to it alone: STANDIN_CONV_REFUSE=bias says that it has nothing with
 * a bias, =all that it has nothing.
 */
#include "engine/cuda/conv.h"

#include <cstdlib>
#include <cstring>
#include <vector>

using standin::load;
using standin::overlap;
using standin::store;
typedef std::vector<float> floats;

struct cuda_conv {
    cuda_ctx *ctx; /* borrowed */
    cuda_conv_spec spec;
};

enum { VERSION = 91900, INDEX_BYTES = 4 };

void cuda_conv_close(cuda_ctx *) {}
size_t cuda_conv_version(void) { return VERSION; }

static bool refused(const cuda_conv_spec *spec)
{
    const char *wish = getenv("STANDIN_CONV_REFUSE");

    return wish && (strcmp(wish, "all") == 0 || (strcmp(wish, "bias") == 0 && spec->bias));
}

/* As if indices of the taps went there. */
static size_t workspace_of(const conv_shape &v) { return (size_t)(v.KH * v.KW * conv_group_in(&v)) * INDEX_BYTES; }

lk_status cuda_conv_new(cuda_ctx *ctx, const cuda_conv_spec *spec, cuda_conv **out)
{
    const bool fits = workspace_of(spec->shape) <= spec->most_workspace;

    *out = fits && !refused(spec) ? new cuda_conv{ctx, *spec} : NULL;
    return LK_OK;
}

void cuda_conv_free(cuda_conv **conv)
{
    delete *conv;
    *conv = NULL;
}

size_t cuda_conv_workspace(const cuda_conv *conv) { return workspace_of(conv->spec.shape); }
uint64_t cuda_conv_choice(const cuda_conv *) { return lk_choose(0, VERSION); }

/* -------------------------------------------------------------- arithmetic */

/* One of an image's two directions. */
struct side { int64_t stride, padding; };
static side down(const conv_shape &v) { return {v.stride_h, v.padding_h}; }
static side across(const conv_shape &v) { return {v.stride_w, v.padding_w}; }

/* Where output position `out` of a filter's tap reads, or -1 outside. */
static int64_t input_at(side s, int64_t out, int64_t tap, int64_t size)
{
    const int64_t at = out * s.stride - s.padding + tap;
    return at >= 0 && at < size ? at : -1;
}

/* The output position that reads input position `in` with this tap, or -1. */
static int64_t output_at(side s, int64_t in, int64_t tap, int64_t size)
{
    const int64_t at = in + s.padding - tap;
    return at >= 0 && at % s.stride == 0 && at / s.stride < size ? at / s.stride : -1;
}

/* w[o,r,t,i] as [r,t,i,o]. */
static floats filters_last(const conv_shape &v, const floats &w)
{
    const size_t taps = (size_t)(v.KH * v.KW * conv_group_in(&v)), O = (size_t)v.O;
    floats out(w.size());

    for (size_t o = 0; o < O; o++)
        for (size_t t = 0; t < taps; t++) out[t * O + o] = w[o * taps + t];
    return out;
}

static void gather_y(const conv_shape &v, float *y, const float *x, const float *wt, int64_t p, int64_t q)
{
    for (int64_t r = 0; r < v.KH; r++)
        for (int64_t t = 0; t < v.KW; t++) {
            const int64_t h = input_at(down(v), p, r, v.H), at = input_at(across(v), q, t, v.W);
            if (h < 0 || at < 0) continue;
            const int64_t I = conv_group_in(&v), O = conv_group_out(&v);
            const float *pixel = x + (h * v.W + at) * v.I, *tap = wt + (r * v.KW + t) * I * v.O;
            for (int64_t i = 0; i < v.I; i++)
                for (int64_t o = i / I * O; o < (i / I + 1) * O; o++) y[o] += pixel[i] * tap[i % I * v.O + o];
        }
}

static floats make_y(const conv_shape &v, const floats &x, const floats &w)
{
    const floats wt = filters_last(v, w);
    floats y((size_t)(v.N * v.P * v.Q * v.O));
    float *pixel = y.data();

    for (int64_t n = 0; n < v.N; n++)
        for (int64_t p = 0; p < v.P; p++)
            for (int64_t q = 0; q < v.Q; q++, pixel += v.O)
                gather_y(v, pixel, x.data() + n * v.H * v.W * v.I, wt.data(), p, q);
    return y;
}

static void gather_dx(const conv_shape &v, float *dx, const float *dy, const float *w, int64_t h, int64_t at)
{
    for (int64_t r = 0; r < v.KH; r++)
        for (int64_t t = 0; t < v.KW; t++) {
            const int64_t p = output_at(down(v), h, r, v.P), q = output_at(across(v), at, t, v.Q);
            if (p < 0 || q < 0) continue;
            const float *pixel = dy + (p * v.Q + q) * v.O;
            for (int64_t o = 0; o < v.O; o++) {
                const int64_t I = conv_group_in(&v), first = o / conv_group_out(&v) * I;
                const float *tap = w + ((o * v.KH + r) * v.KW + t) * I;
                for (int64_t i = 0; i < I; i++) dx[first + i] += pixel[o] * tap[i];
            }
        }
}

static floats make_dx(const conv_shape &v, const floats &dy, const floats &w)
{
    floats dx((size_t)(v.N * v.H * v.W * v.I));
    float *pixel = dx.data();

    for (int64_t n = 0; n < v.N; n++)
        for (int64_t h = 0; h < v.H; h++)
            for (int64_t at = 0; at < v.W; at++, pixel += v.I)
                gather_dx(v, pixel, dy.data() + n * v.P * v.Q * v.O, w.data(), h, at);
    return dx;
}

/* What position (p, q) of an image adds to dw. */
static void scatter_dw(const conv_shape &v, float *dw, const float *dy, const float *x, int64_t p, int64_t q)
{
    const float *out = dy + (p * v.Q + q) * v.O;

    for (int64_t r = 0; r < v.KH; r++)
        for (int64_t t = 0; t < v.KW; t++) {
            const int64_t h = input_at(down(v), p, r, v.H), at = input_at(across(v), q, t, v.W);
            if (h < 0 || at < 0) continue;
            const float *in = x + (h * v.W + at) * v.I;
            for (int64_t o = 0; o < v.O; o++) {
                const int64_t I = conv_group_in(&v), first = o / conv_group_out(&v) * I;
                float *tap = dw + ((o * v.KH + r) * v.KW + t) * I;
                for (int64_t i = 0; i < I; i++) tap[i] += out[o] * in[first + i];
            }
        }
}

static void add_to(floats *sum, const floats &part)
{
    for (size_t i = 0; i < part.size(); i++) (*sum)[i] += part[i];
}

static floats make_dw(const conv_shape &v, const floats &dy, const floats &x)
{
    floats all((size_t)conv_n_weights(&v)), image(all.size()), row(all.size());

    for (int64_t n = 0; n < v.N; n++) {
        const float *dy_n = dy.data() + n * v.P * v.Q * v.O, *x_n = x.data() + n * v.H * v.W * v.I;
        image.assign(all.size(), 0.0f);
        for (int64_t p = 0; p < v.P; p++) {
            row.assign(all.size(), 0.0f);
            for (int64_t q = 0; q < v.Q; q++) scatter_dw(v, row.data(), dy_n, x_n, p, q);
            add_to(&image, row);
        }
        add_to(&all, image);
    }
    return all;
}

/* --------------------------------------------------------------------- run */

/* Elements, type and promised alignment of what is at `at`. */
struct operand {
    const void *at;
    size_t n_elem;
    uint32_t alignment;
};

struct operands {
    operand x, w, y, in[2], out; /* in and out are among the first three */
};

static operands operands_of(const cuda_conv_spec &s, const cuda_conv_at &at)
{
    const conv_shape &v = s.shape;
    operands all = {};

    all.x = {at.x, (size_t)(v.N * v.H * v.W * v.I), s.align_x};
    all.w = {at.w, (size_t)conv_n_weights(&v), s.align_w};
    all.y = {at.y, (size_t)(v.N * v.P * v.Q * v.O), s.align_y};
    switch (s.pass) {
    case CUDA_FORWARD: all.in[0] = all.x, all.in[1] = all.w, all.out = all.y; break;
    case CUDA_GRAD_X: all.in[0] = all.y, all.in[1] = all.w, all.out = all.x; break;
    case CUDA_GRAD_W: all.in[0] = all.y, all.in[1] = all.x, all.out = all.w; break;
    }
    return all;
}

static size_t nbytes_of(const cuda_conv_spec &s, const operand &o)
{
    return o.n_elem * (s.bf16 ? sizeof(__nv_bfloat16) : sizeof(float));
}

static floats read(const cuda_conv_spec &s, const operand &from)
{
    floats out(from.n_elem);

    for (size_t k = 0; k < out.size(); k++) {
        const float value = load(from.at, k, s.bf16);
        out[k] = s.tf32 ? standin::to_tf32(value) : value;
    }
    return out;
}

static void run_pass(const cuda_conv_spec &s, const operands &all, const void *b)
{
    const floats first = read(s, all.in[0]), second = read(s, all.in[1]);
    floats (*const make[])(const conv_shape &, const floats &, const floats &) = {make_y, make_dx, make_dw};
    const floats made = make[s.pass](s.shape, first, second);

    for (size_t k = 0; k < made.size(); k++) {
        float value = made[k];
        if (s.add) value += load(all.out.at, k, s.bf16);
        if (s.bias) value += load(b, k % (size_t)s.shape.O, s.bf16);
        store((void *)all.out.at, k, value, s.bf16);
    }
}

static const char *what_is_wrong(const cuda_conv_spec &s, const operands &all, const cuda_conv_at &at)
{
    const size_t out_nbytes = nbytes_of(s, all.out), scratch = workspace_of(s.shape);

    if (!at.x || !at.w || !at.y || (at.b != NULL) != s.bias) return "a pointer is missing, or one too many";
    if (at.b && (uintptr_t)at.b % s.align_b) return "b is aligned worse than was promised";
    for (const operand &o : {all.x, all.w, all.y}) {
        if ((uintptr_t)o.at % o.alignment) return "a tensor is aligned worse than was promised";
        if (overlap(o.at, nbytes_of(s, o), at.workspace, scratch)) return "the workspace lies over a tensor";
    }
    for (const operand &o : all.in)
        if (overlap(all.out.at, out_nbytes, o.at, nbytes_of(s, o))) return "the result lies over an operand";
    return NULL;
}

lk_status cuda_conv_run(cuda_conv *conv, const cuda_conv_at *addresses)
{
    const cuda_conv_spec s = conv->spec;
    const cuda_conv_at at = *addresses;
    const operands all = operands_of(s, at);
    const char *wrong = what_is_wrong(s, all, at);

    if (wrong) return LK_FAIL(LK_ERR_SYSTEM, "a convolution of the stand-in: %s", wrong);
    standin_enqueue(conv->ctx->stream, [=] {
        standin::spoil(at.workspace, workspace_of(s.shape));
        run_pass(s, all, at.b);
    });
    return LK_OK;
}
