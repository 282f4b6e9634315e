/*
 * What differs between oneDNN 2 and 3, said once.  Private to dnnl*.c and weights.c.
 *
 * oneDNN 2 describes an operation by a struct and then makes a primitive descriptor of it; its memory descriptors are
 * values.  oneDNN 3 makes the primitive descriptor at once and hides memory descriptors behind pointers.
 */
#ifndef LK_CPU_DNNL_VERSIONS_H
#define LK_CPU_DNNL_VERSIONS_H

#include "engine/cpu/dnnl.h"

#include <oneapi/dnnl/dnnl.h>
#include <oneapi/dnnl/dnnl_debug.h>

/* The boundary: a failure of oneDNN becomes ours. */
#define LK_DNNL(call)                                                                                       \
    do {                                                                                                    \
        const dnnl_status_t lk_dnnl_ = (call);                                                              \
        if (lk_dnnl_ != dnnl_success)                                                                       \
            return LK_FAIL(LK_ERR_SYSTEM, "oneDNN: %s in %s", dnnl_status2str(lk_dnnl_), #call);            \
    } while (0)

#if DNNL_VERSION_MAJOR >= 3

typedef dnnl_memory_desc_t layout;              /* owned pointer */
typedef const_dnnl_memory_desc_t layout_view;   /* borrowed */

static inline layout_view view(const layout *l) { return *l; }

static inline lk_status layout_new(layout *out, int ndims, const dnnl_dims_t dims, dnnl_data_type_t type,
                            dnnl_format_tag_t tag)
{
    LK_DNNL(dnnl_memory_desc_create_with_tag(out, ndims, dims, type, tag));
    return LK_OK;
}

static inline lk_status layout_copy(layout *out, layout_view from)
{
    LK_DNNL(dnnl_memory_desc_clone(out, from));
    return LK_OK;
}

static inline void layout_free(layout *l)
{
    if (*l) dnnl_memory_desc_destroy(*l);
    *l = NULL;
}

#else

typedef dnnl_memory_desc_t layout;              /* a value */
typedef const dnnl_memory_desc_t *layout_view;

static inline layout_view view(const layout *l) { return l; }

static inline lk_status layout_new(layout *out, int ndims, const dnnl_dims_t dims, dnnl_data_type_t type,
                            dnnl_format_tag_t tag)
{
    LK_DNNL(dnnl_memory_desc_init_by_tag(out, ndims, dims, type, tag));
    return LK_OK;
}

static inline lk_status layout_copy(layout *out, layout_view from)
{
    *out = *from;
    return LK_OK;
}

static inline void layout_free(layout *l) { (void)l; }

#endif

/* The tensors of one product as oneDNN is told about them. */
typedef struct product_layouts {
    layout x, w, b, y;
    bool bias;
    dnnl_dims_t strides, dilates, padding;
} product_layouts;

#if DNNL_VERSION_MAJOR >= 3

static inline dnnl_status_t describe_conv(const product_layouts *l, cpu_pass pass, const_dnnl_primitive_attr_t attr,
                                   dnnl_engine_t engine, const_dnnl_primitive_desc_t forward,
                                   dnnl_primitive_desc_t *out)
{
    const layout_view b = l->bias ? view(&l->b) : NULL;

    switch (pass) {
    case CPU_FORWARD:
        return dnnl_convolution_forward_primitive_desc_create(
            out, engine, dnnl_forward_training, dnnl_convolution_direct, view(&l->x), view(&l->w), b, view(&l->y),
            l->strides, l->dilates, l->padding, l->padding, attr);
    case CPU_GRAD_X:
        return dnnl_convolution_backward_data_primitive_desc_create(
            out, engine, dnnl_convolution_direct, view(&l->x), view(&l->w), view(&l->y), l->strides, l->dilates,
            l->padding, l->padding, forward, attr);
    case CPU_GRAD_W:
        return dnnl_convolution_backward_weights_primitive_desc_create(
            out, engine, dnnl_convolution_direct, view(&l->x), view(&l->w), b, view(&l->y), l->strides, l->dilates,
            l->padding, l->padding, forward, attr);
    }
    return dnnl_invalid_arguments;
}

static inline dnnl_status_t describe_matrix(const product_layouts *l, cpu_pass pass, const_dnnl_primitive_attr_t attr,
                                     dnnl_engine_t engine, const_dnnl_primitive_desc_t forward,
                                     dnnl_primitive_desc_t *out)
{
    const layout_view b = l->bias ? view(&l->b) : NULL;

    switch (pass) {
    case CPU_FORWARD:
        return dnnl_inner_product_forward_primitive_desc_create(out, engine, dnnl_forward_training, view(&l->x),
                                                                view(&l->w), b, view(&l->y), attr);
    case CPU_GRAD_X:
        return dnnl_inner_product_backward_data_primitive_desc_create(out, engine, view(&l->x), view(&l->w),
                                                                      view(&l->y), forward, attr);
    case CPU_GRAD_W:
        return dnnl_inner_product_backward_weights_primitive_desc_create(out, engine, view(&l->x), view(&l->w), b,
                                                                         view(&l->y), forward, attr);
    }
    return dnnl_invalid_arguments;
}

#else

static inline dnnl_status_t describe_conv(const product_layouts *l, cpu_pass pass, const_dnnl_primitive_attr_t attr,
                                   dnnl_engine_t engine, const_dnnl_primitive_desc_t forward,
                                   dnnl_primitive_desc_t *out)
{
    const layout_view b = l->bias ? view(&l->b) : NULL;
    dnnl_convolution_desc_t op;
    dnnl_status_t status = dnnl_invalid_arguments;

    switch (pass) {
    case CPU_FORWARD:
        status = dnnl_dilated_convolution_forward_desc_init(&op, dnnl_forward_training, dnnl_convolution_direct,
                                                            &l->x, &l->w, b, &l->y, l->strides, l->dilates,
                                                            l->padding, l->padding);
        break;
    case CPU_GRAD_X:
        status = dnnl_dilated_convolution_backward_data_desc_init(&op, dnnl_convolution_direct, &l->x, &l->w, &l->y,
                                                                  l->strides, l->dilates, l->padding, l->padding);
        break;
    case CPU_GRAD_W:
        status = dnnl_dilated_convolution_backward_weights_desc_init(&op, dnnl_convolution_direct, &l->x, &l->w, b,
                                                                     &l->y, l->strides, l->dilates, l->padding,
                                                                     l->padding);
        break;
    }
    return status != dnnl_success ? status : dnnl_primitive_desc_create(out, &op, attr, engine, forward);
}

static inline dnnl_status_t describe_matrix(const product_layouts *l, cpu_pass pass, const_dnnl_primitive_attr_t attr,
                                     dnnl_engine_t engine, const_dnnl_primitive_desc_t forward,
                                     dnnl_primitive_desc_t *out)
{
    const layout_view b = l->bias ? view(&l->b) : NULL;
    dnnl_inner_product_desc_t op;
    dnnl_status_t status = dnnl_invalid_arguments;

    switch (pass) {
    case CPU_FORWARD:
        status = dnnl_inner_product_forward_desc_init(&op, dnnl_forward_training, &l->x, &l->w, b, &l->y);
        break;
    case CPU_GRAD_X:
        status = dnnl_inner_product_backward_data_desc_init(&op, &l->x, &l->w, &l->y);
        break;
    case CPU_GRAD_W:
        status = dnnl_inner_product_backward_weights_desc_init(&op, &l->x, &l->w, b, &l->y);
        break;
    }
    return status != dnnl_success ? status : dnnl_primitive_desc_create(out, &op, attr, engine, forward);
}

#endif

#endif
