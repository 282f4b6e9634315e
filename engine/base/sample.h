/*
 * A sample is a list of named, typed arrays: its fields.  A data set says which it gives and a model which it reads;
 * they are matched by name once, before training starts.
 */
#ifndef LK_SAMPLE_H
#define LK_SAMPLE_H

#include "engine/base/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum lk_dtype { LK_DTYPE_F32, LK_DTYPE_BF16, LK_DTYPE_F64, LK_DTYPE_I32, LK_DTYPE_U8 } lk_dtype;
size_t lk_dtype_size(lk_dtype dtype);
const char *lk_dtype_name(lk_dtype dtype); /* "fp32", "int32", "uint8" */

enum { LK_MAX_DIMS = 6, LK_MAX_FIELDS = 6, LK_FIELD_NAME_BYTES = 32, LK_MAX_CHANNELS = 4 };

/* What bytes of images stand for: byte v of channel c (last axis) is (v / 255 - mean[c]) / std[c]. */
typedef struct lk_pixels {
    int n_channels;         /* 1: all are alike; 0: bytes stand for themselves */
    float mean[LK_MAX_CHANNELS], std[LK_MAX_CHANNELS];
} lk_pixels;

/* One array of a sample: "x", "label", "source_len". */
typedef struct lk_field {
    char name[LK_FIELD_NAME_BYTES];
    lk_dtype dtype;         /* F32, I32 or U8 */
    int ndim;               /* without the samples' axis N; 0: one number a sample */
    int64_t shape[LK_MAX_DIMS - 1]; /* as it lies in memory (images H, W, C); shape[0] may be LK_LENGTH */
    bool target;            /* read by the loss alone; absent in prediction */
    int64_t n_values;       /* I32: classes or vocabulary, values are below it; 0: not said */
    lk_pixels pixels;       /* U8 */
} lk_field;

enum { LK_LENGTH = -1 }; /* as a field's first axis: as long as the lane says */

typedef struct lk_sample {
    int n_fields;
    lk_field field[LK_MAX_FIELDS];
} lk_sample;

/* Elements and bytes of one sample's field in a lane of this length. */
size_t lk_field_n_elem(const lk_field *field, int64_t length);
size_t lk_field_nbytes(const lk_field *field, int64_t length);
/* Appends a field; the caller sees to it that there is room. */
void   lk_sample_add(lk_sample *sample, const lk_field *field);
/* Place of a field by name, -1 if there is none. */
int    lk_sample_find(const lk_sample *sample, const char *name);
/* The first axis of some field is LK_LENGTH. */
bool   lk_sample_has_length(const lk_sample *sample);

/* Where each field that a model reads is among those that a data set gives; -1: absent. */
typedef struct lk_field_map { int n; int from[LK_MAX_FIELDS]; } lk_field_map;

/* Matches by name: types must be the same and shapes too, but that a field read as a plain vector may be given in any
 * shape with as many elements, which come as they lie in memory (of images H, W, C).  Targets may be absent unless
 * need_targets.  Errors: LK_ERR_USAGE naming the field, and what is read and given. */
lk_status lk_sample_match(const lk_sample *reads, const lk_sample *gives, bool need_targets, lk_field_map *out);

enum { LK_FIELD_TEXT_BYTES = 112 };
/* "fp32 (28, 28, 1)", "int32 (length)": for messages. */
void lk_field_describe(const lk_field *field, char text[LK_FIELD_TEXT_BYTES]);

#ifdef __cplusplus
}
#endif
#endif
