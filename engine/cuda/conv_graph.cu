/*
 * A convolution as a graph of cuDNN's: the pass, and forward the bias behind it.
 *
 *     x, w -> convolution -> (fp32, never stored) -> + b -> y
 *
 * Tensors are (N, C, H, W) by number and NHWC by stride; that a filter has fewer channels than x says groups.  Sums and
 * what is fused behind them are fp32.
 */
#include "engine/cuda/conv_cudnn.h"

enum { N_DIMS = 4, N_SPATIAL = 2, MOST_OPS = 2 };
/* No kernel asks for more. */
static const int64_t MOST_ALIGNMENT = 16;

/* -------------------------------------------------------------- descriptors */

cudnnStatus_t dnn_new(dnn_pile *pile, cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t *out)
{
    assert(pile->n < DNN_MOST_DESCRIPTORS);
    DNN_TRY(cudnnBackendCreateDescriptor(type, &pile->made[pile->n]));
    *out = pile->made[pile->n++];
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t dnn_set(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name,
                      cudnnBackendAttributeType_t type, int64_t n, const void *values)
{
    return cudnnBackendSetAttribute(descriptor, name, type, n, values);
}

void dnn_move(dnn_pile *from, int i, dnn_pile *to)
{
    assert(to->n < DNN_MOST_DESCRIPTORS);
    to->made[to->n++] = from->made[i];
    from->n--;
    for (int k = i; k < from->n; k++) from->made[k] = from->made[k + 1];
}

void dnn_free(dnn_pile *pile)
{
    while (pile->n > 0) cudnnBackendDestroyDescriptor(pile->made[--pile->n]);
}

static cudnnStatus_t set_part(cudnnBackendDescriptor_t whole, cudnnBackendAttributeName_t name,
                              cudnnBackendDescriptor_t part)
{
    return dnn_set(whole, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &part);
}

/* ------------------------------------------------------------------ tensors */

typedef struct tensor_spec {
    int64_t name, n, c, h, w;
    cudnnDataType_t type;
    int64_t alignment;
    bool passing; /* from one operation to the next, never stored */
} tensor_spec;

static cudnnStatus_t tensor(dnn_pile *pile, const tensor_spec *t, cudnnBackendDescriptor_t *out)
{
    const int64_t dims[N_DIMS] = {t->n, t->c, t->h, t->w};
    const int64_t strides[N_DIMS] = {t->c * t->h * t->w, 1, t->w * t->c, t->c};
    const int64_t alignment = t->alignment < MOST_ALIGNMENT ? t->alignment : MOST_ALIGNMENT;

    DNN_TRY(dnn_new(pile, CUDNN_BACKEND_TENSOR_DESCRIPTOR, out));
    DNN_TRY(dnn_set(*out, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &t->type));
    DNN_TRY(dnn_set(*out, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, N_DIMS, dims));
    DNN_TRY(dnn_set(*out, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, N_DIMS, strides));
    DNN_TRY(dnn_set(*out, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &t->name));
    DNN_TRY(dnn_set(*out, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment));
    DNN_TRY(dnn_set(*out, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &t->passing));
    return cudnnBackendFinalize(*out);
}

static cudnnDataType_t type_of(const cuda_conv_spec *s) { return s->bf16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT; }

static tensor_spec x_of(const cuda_conv_spec *s)
{
    const conv_shape *v = &s->shape;
    const tensor_spec t = {DNN_X, v->N, v->I, v->H, v->W, type_of(s), s->align_x, false};

    return t;
}

static tensor_spec w_of(const cuda_conv_spec *s)
{
    const conv_shape *v = &s->shape;
    const tensor_spec t = {DNN_W, v->O, conv_group_in(v), v->KH, v->KW, type_of(s), s->align_w, false};

    return t;
}

static tensor_spec b_of(const cuda_conv_spec *s)
{
    const tensor_spec t = {DNN_B, 1, s->shape.O, 1, 1, type_of(s), s->align_b, false};

    return t;
}

static tensor_spec y_of(const cuda_conv_spec *s)
{
    const conv_shape *v = &s->shape;
    const tensor_spec t = {DNN_Y, v->N, v->O, v->P, v->Q, type_of(s), s->align_y, false};

    return t;
}

/* y before the bias. */
static tensor_spec sums_of(const cuda_conv_spec *s)
{
    tensor_spec t = y_of(s);

    t.name = DNN_SUMS;
    t.type = CUDNN_DATA_FLOAT;
    t.alignment = MOST_ALIGNMENT;
    t.passing = true;
    return t;
}

/* --------------------------------------------------------------- operations */

static cudnnStatus_t convolution(dnn_pile *pile, const conv_shape *v, cudnnBackendDescriptor_t *out)
{
    const cudnnDataType_t sums = CUDNN_DATA_FLOAT;
    const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    const int64_t n_dims = N_SPATIAL, ones[N_SPATIAL] = {1, 1};
    const int64_t strides[N_SPATIAL] = {v->stride_h, v->stride_w}, paddings[N_SPATIAL] = {v->padding_h, v->padding_w};

    DNN_TRY(dnn_new(pile, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, out));
    DNN_TRY(dnn_set(*out, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &sums));
    DNN_TRY(dnn_set(*out, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode));
    DNN_TRY(dnn_set(*out, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &n_dims));
    DNN_TRY(dnn_set(*out, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, N_SPATIAL, ones));
    DNN_TRY(dnn_set(*out, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, N_SPATIAL, strides));
    DNN_TRY(dnn_set(*out, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, N_SPATIAL, paddings));
    DNN_TRY(dnn_set(*out, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, N_SPATIAL, paddings));
    return cudnnBackendFinalize(*out);
}

/* What each pass's operation is called, and its attributes. */
typedef struct pass_names {
    cudnnBackendDescriptorType_t type;
    cudnnBackendAttributeName_t alpha, beta, conv, x, w, y;
} pass_names;

static const pass_names names_of[] = {
    {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y},
    {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY},
    {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY},
};

static cudnnStatus_t pass(dnn_pile *pile, const cuda_conv_spec *s, cudnnBackendDescriptor_t y,
                          cudnnBackendDescriptor_t *out)
{
    const pass_names *names = &names_of[s->pass];
    const tensor_spec x_spec = x_of(s), w_spec = w_of(s);
    const float alpha = 1.0f, beta = s->add ? 1.0f : 0.0f;
    cudnnBackendDescriptor_t x, w, conv;

    DNN_TRY(tensor(pile, &x_spec, &x));
    DNN_TRY(tensor(pile, &w_spec, &w));
    DNN_TRY(convolution(pile, &s->shape, &conv));
    DNN_TRY(dnn_new(pile, names->type, out));
    DNN_TRY(dnn_set(*out, names->alpha, CUDNN_TYPE_FLOAT, 1, &alpha));
    DNN_TRY(dnn_set(*out, names->beta, CUDNN_TYPE_FLOAT, 1, &beta));
    DNN_TRY(set_part(*out, names->conv, conv));
    DNN_TRY(set_part(*out, names->x, x));
    DNN_TRY(set_part(*out, names->w, w));
    DNN_TRY(set_part(*out, names->y, y));
    return cudnnBackendFinalize(*out);
}

/* to = from + b. */
static cudnnStatus_t addition(dnn_pile *pile, cudnnBackendDescriptor_t from, cudnnBackendDescriptor_t b,
                              cudnnBackendDescriptor_t to, cudnnBackendDescriptor_t *out)
{
    const cudnnPointwiseMode_t mode = CUDNN_POINTWISE_ADD;
    const cudnnDataType_t precision = CUDNN_DATA_FLOAT;
    cudnnBackendDescriptor_t what;

    DNN_TRY(dnn_new(pile, CUDNN_BACKEND_POINTWISE_DESCRIPTOR, &what));
    DNN_TRY(dnn_set(what, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode));
    DNN_TRY(dnn_set(what, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &precision));
    DNN_TRY(cudnnBackendFinalize(what));
    DNN_TRY(dnn_new(pile, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, out));
    DNN_TRY(set_part(*out, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, what));
    DNN_TRY(set_part(*out, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, from));
    DNN_TRY(set_part(*out, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, b));
    DNN_TRY(set_part(*out, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, to));
    return cudnnBackendFinalize(*out);
}

/* The pass into sums that are not stored, and b added to them. */
static cudnnStatus_t with_bias(dnn_pile *pile, const cuda_conv_spec *s, cudnnBackendDescriptor_t y,
                               cudnnBackendDescriptor_t *ops)
{
    const tensor_spec sums_spec = sums_of(s), b_spec = b_of(s);
    cudnnBackendDescriptor_t sums, b;

    DNN_TRY(tensor(pile, &sums_spec, &sums));
    DNN_TRY(tensor(pile, &b_spec, &b));
    DNN_TRY(pass(pile, s, sums, &ops[0]));
    return addition(pile, sums, b, y, &ops[1]);
}

cudnnStatus_t dnn_graph(dnn_pile *pile, const cuda_conv_spec *spec, cudnnBackendDescriptor_t *out)
{
    const tensor_spec y_spec = y_of(spec);
    const int64_t n = spec->bias ? MOST_OPS : 1;
    cudnnBackendDescriptor_t y, ops[MOST_OPS];

    DNN_TRY(tensor(pile, &y_spec, &y));
    if (spec->bias) DNN_TRY(with_bias(pile, spec, y, ops));
    else DNN_TRY(pass(pile, spec, y, &ops[0]));
    DNN_TRY(dnn_new(pile, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, out));
    DNN_TRY(dnn_set(*out, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, n, ops));
    return cudnnBackendFinalize(*out);
}
