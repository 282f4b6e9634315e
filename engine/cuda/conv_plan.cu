/*
 * What is settled when a convolution is bound: whether the library does it, in how many pieces, with the bias inside
 * or before it, and where everything lies in scratch.  It depends on shapes, types, places and the library's answer
 * alone, so all workers settle it alike.
 *
 * A batch is cut into pieces of whole images where its operands would not fit: kernels count elements in int, and
 * scratch is limited.
 */
#include "engine/cuda/conv2d.h"

/* Of scratch; what is for dw comes on top.  To lay out 32 images of 56 x 56 x 64 in fp32 anew takes 50 MiB. */
enum { WORKSPACE_BYTES = 256 << 20, WIDENED_BYTES = 64 << 20, SCRATCH_ALIGNMENT = 256 };

/* ------------------------------------------------------------------- pieces */

/* Of what begins at `at` and goes on n images at a time: the lowest bit of both. */
static uint32_t alignment_of(const conv *s, cuda_ref at, int64_t elem_per_image, int64_t n)
{
    const size_t step = n < s->shape.N ? (size_t)(n * elem_per_image) * conv_activation_size(s) : 0;

    return cuda_alignment_of(at.offset | step);
}

static void set_alignments(const conv *s, int64_t n, cuda_conv_spec *spec)
{
    const uint32_t scratch = cuda_alignment_of(0);

    spec->align_x = conv_widens(s) ? scratch : alignment_of(s, s->at.x, conv_x_per_image(&s->shape), n);
    spec->align_y = conv_widens(s) ? scratch : alignment_of(s, s->at.y, conv_y_per_image(&s->shape), n);
    if (s->pass == CUDA_GRAD_W) spec->align_w = s->packed ? cuda_alignment_of(s->at.w.offset) : scratch;
    else spec->align_w = cuda_weight_alignment(&s->w);
    spec->align_b = cuda_weight_alignment(&s->b);
}

/* Of a piece of n images in a batch that is cut into n at a time or fewer. */
static cuda_conv_spec spec_of(const conv *s, lk_precision precision, int64_t n, int64_t at_a_time, bool is_first)
{
    cuda_conv_spec spec = {};

    spec.pass = s->pass;
    spec.shape = s->shape;
    spec.shape.N = n;
    spec.bf16 = s->bf16 && !conv_widens(s);
    spec.tf32 = precision == LK_TF32 || conv_widens(s);
    spec.bias = s->b.at.present && !s->bias_first;
    spec.add = s->bias_first || (s->pass == CUDA_GRAD_W && !is_first);
    spec.most_workspace = n > 1 ? (size_t)WORKSPACE_BYTES : SIZE_MAX; /* one image cannot be cut */
    set_alignments(s, at_a_time, &spec);
    return spec;
}

static void free_pieces(conv *s)
{
    conv_piece *const pieces[] = {&s->rest, &s->again, &s->first};

    for (conv_piece *p : pieces) {
        cuda_conv_free(&p->run);
        p->n = 0;
    }
}

/* The batch, n images at a time; *found false where the library lacks one of the pieces. */
static lk_status make_pieces(conv *s, lk_precision precision, int64_t n, bool *found)
{
    const int64_t N = s->shape.N;
    conv_piece *const pieces[] = {&s->first, &s->again, &s->rest};

    s->first.n = n;
    s->again.n = N >= 2 * n ? n : 0;
    s->rest.n = N % n;
    *found = true;
    for (conv_piece *p : pieces) {
        if (p->n == 0 || !*found) continue;
        const cuda_conv_spec spec = spec_of(s, precision, p->n, n, p == &s->first);
        LK_TRY(cuda_conv_new(s->ctx, &spec, &p->run));
        *found = p->run != NULL;
    }
    if (!*found) free_pieces(s);
    return LK_OK;
}

/* Images that go into one piece before anybody asked the library. */
static int64_t most_images(const conv *s)
{
    const int64_t x_elem = conv_x_per_image(&s->shape), y_elem = conv_y_per_image(&s->shape);
    const int64_t larger = x_elem > y_elem ? x_elem : y_elem;
    int64_t most = INT32_MAX / larger;

    if (conv_widens(s) && most > 1) {
        const int64_t widened = WIDENED_BYTES / (int64_t)sizeof(float) / (x_elem + y_elem);
        most = widened < 1 ? 1 : widened < most ? widened : most;
    }
    return most < s->shape.N ? most : s->shape.N;
}

/* Cuts the batch until the library takes the pieces within the workspace; rather with the bias inside than before. */
static lk_status cut(conv *s, lk_precision precision)
{
    bool found = false;

    for (int64_t n = most_images(s); n > 0 && !found; n = n > 1 ? (n + 1) / 2 : 0) {
        s->bias_first = false;
        LK_TRY(make_pieces(s, precision, n, &found));
        if (found || !s->b.at.present) continue;
        s->bias_first = true;
        LK_TRY(make_pieces(s, precision, n, &found));
    }
    s->direct = !found;
    return LK_OK;
}

/* -------------------------------------------------------------------- plan */

static size_t round_up(size_t nbytes)
{
    return (nbytes + SCRATCH_ALIGNMENT - 1) / SCRATCH_ALIGNMENT * SCRATCH_ALIGNMENT;
}

static size_t most_workspace(const conv *s)
{
    const conv_piece *const pieces[] = {&s->first, &s->again, &s->rest};
    size_t most = 0;

    for (const conv_piece *p : pieces)
        if (p->run && cuda_conv_workspace(p->run) > most) most = cuda_conv_workspace(p->run);
    return most;
}

static void lay_out_scratch(conv *s)
{
    const conv_shape *v = &s->shape;
    const size_t dw = s->pass == CUDA_GRAD_W && !s->packed ? (size_t)conv_n_weights(v) * sizeof(float) : 0;
    const size_t images = conv_widens(s) ? (size_t)s->first.n * sizeof(float) : 0;

    s->widened_x = round_up(dw);
    s->widened_y = s->widened_x + round_up(images * (size_t)conv_x_per_image(v));
    s->workspace = s->widened_y + round_up(images * (size_t)conv_y_per_image(v));
    s->scratch_nbytes = s->workspace + most_workspace(s);
}

/* Pieces see to the number of images. */
static bool fits_int(const conv_shape *v)
{
    return conv_x_per_image(v) <= INT32_MAX && conv_y_per_image(v) <= INT32_MAX &&
           conv_n_weights(v) <= INT32_MAX && v->stride_h <= INT32_MAX && v->stride_w <= INT32_MAX &&
           v->padding_h <= INT32_MAX && v->padding_w <= INT32_MAX;
}

lk_status cuda_conv_plan(conv *s, lk_precision precision)
{
    s->direct = !fits_int(&s->shape);
    if (s->direct) return LK_OK;
    LK_TRY(cut(s, precision));
    if (!s->direct) lay_out_scratch(s);
    return LK_OK;
}

void cuda_conv_unplan(conv *s) { free_pieces(s); }
