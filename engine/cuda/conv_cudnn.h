/*
 * Convolutions in the words of cuDNN's graph API: conv_graph.cu describes one, conv_choose.cu chooses who does it,
 * and conv_cudnn.cu keeps and runs what was chosen.  The first two need no device: they are told of one.  Private to
 * these files and to tests/gpu/conv_engines.cpp, which asks for devices that are not there.
 */
#ifndef LK_CUDA_CONV_CUDNN_H
#define LK_CUDA_CONV_CUDNN_H

#include "engine/cuda/conv.h"

#include <cudnn.h>

/* Since 9.8 a device can be described (CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR), since 9.15 an engine says that it hands
 * on to cuBLASLt. */
enum { CUDNN_OLDEST = 91500 };

/* Passes a failure up as cuDNN's status: whoever asked tells "has none" from what is wrong. */
#define DNN_TRY(call)                                       \
    do {                                                    \
        const cudnnStatus_t dnn_try_ = (call);              \
        if (dnn_try_ != CUDNN_STATUS_SUCCESS) return dnn_try_; \
    } while (0)

static inline bool dnn_has_none(cudnnStatus_t status)
{
    return CUDNN_STATUS_CATEGORY(status) == CUDNN_STATUS_NOT_SUPPORTED;
}

/* Descriptors that live together and end together, the last first: one may point to those before it. */
enum { DNN_MOST_DESCRIPTORS = 64 };
typedef struct dnn_pile {
    cudnnBackendDescriptor_t made[DNN_MOST_DESCRIPTORS]; /* owned */
    int n;
} dnn_pile;

cudnnStatus_t dnn_new(dnn_pile *pile, cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t *out);
cudnnStatus_t dnn_set(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name,
                      cudnnBackendAttributeType_t type, int64_t n, const void *values);
/* Makes made[i] of one pile another's, as its last; what follows it there moves up. */
void dnn_move(dnn_pile *from, int i, dnn_pile *to);
void dnn_free(dnn_pile *pile);

/* The operation graph of spec; the tensors' names in it are: */
enum { DNN_X = 'x', DNN_W = 'w', DNN_B = 'b', DNN_Y = 'y', DNN_SUMS = 's' };
cudnnStatus_t dnn_graph(dnn_pile *pile, const cuda_conv_spec *spec, cudnnBackendDescriptor_t *out);

enum { DNN_MOST_KNOBS = 32 };
typedef struct dnn_knob {
    int64_t value;
    cudnnBackendKnobType_t type;
} dnn_knob;

typedef struct dnn_choice {
    cudnnBackendDescriptor_t config, plan; /* in the pile they were made in */
    int64_t engine, workspace;             /* its index among the graph's, bytes */
    uint32_t numerical, behaviour;         /* notes: 1 << CUDNN_NUMERICAL_NOTE_..., 1 << CUDNN_BEHAVIOR_NOTE_... */
    dnn_knob knobs[DNN_MOST_KNOBS];        /* how the engine is set */
    int n_knobs;
} dnn_choice;

/* What does spec's graph on the device (a CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR). */
cudnnStatus_t dnn_choose(dnn_pile *pile, const cuda_conv_spec *spec, cudnnBackendDescriptor_t graph,
                         cudnnBackendDescriptor_t device, dnn_choice *out);

#endif
