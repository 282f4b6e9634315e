/* Samples as lists of fields: sizes, lookup, and the match of what a model reads with what a data set gives. */
#include "engine/base/sample.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { LIST_BYTES = 256 };

size_t lk_dtype_size(lk_dtype dtype)
{
    switch (dtype) {
    case LK_DTYPE_F32: return sizeof(float);
    case LK_DTYPE_BF16: return sizeof(uint16_t);
    case LK_DTYPE_F64: return sizeof(double);
    case LK_DTYPE_I32: return sizeof(int32_t);
    case LK_DTYPE_U8: return sizeof(uint8_t);
    }
    return 0;
}

const char *lk_dtype_name(lk_dtype dtype)
{
    switch (dtype) {
    case LK_DTYPE_F32: return "fp32";
    case LK_DTYPE_BF16: return "bf16";
    case LK_DTYPE_F64: return "fp64";
    case LK_DTYPE_I32: return "int32";
    case LK_DTYPE_U8: return "uint8";
    }
    return "unknown";
}

size_t lk_field_n_elem(const lk_field *field, int64_t length)
{
    size_t n_elem = 1;

    for (int d = 0; d < field->ndim; d++) {
        assert(d == 0 || field->shape[d] > 0);
        n_elem *= (size_t)(field->shape[d] == LK_LENGTH ? length : field->shape[d]);
    }
    return n_elem;
}

size_t lk_field_nbytes(const lk_field *field, int64_t length)
{
    return lk_field_n_elem(field, length) * lk_dtype_size(field->dtype);
}

void lk_sample_add(lk_sample *sample, const lk_field *field)
{
    assert(sample->n_fields < LK_MAX_FIELDS && lk_sample_find(sample, field->name) < 0);
    sample->field[sample->n_fields++] = *field;
}

int lk_sample_find(const lk_sample *sample, const char *name)
{
    for (int f = 0; f < sample->n_fields; f++)
        if (strcmp(sample->field[f].name, name) == 0) return f;
    return -1;
}

bool lk_sample_has_length(const lk_sample *sample)
{
    for (int f = 0; f < sample->n_fields; f++)
        if (sample->field[f].ndim > 0 && sample->field[f].shape[0] == LK_LENGTH) return true;
    return false;
}

void lk_field_describe(const lk_field *field, char text[LK_FIELD_TEXT_BYTES])
{
    lk_text t = lk_text_in(text, LK_FIELD_TEXT_BYTES);

    lk_text_add(&t, "%s (", lk_dtype_name(field->dtype));
    for (int d = 0; d < field->ndim; d++) {
        if (d) lk_text_add(&t, ", ");
        if (field->shape[d] == LK_LENGTH) lk_text_add(&t, "length");
        else lk_text_add(&t, "%lld", (long long)field->shape[d]);
    }
    lk_text_add(&t, ")");
}

/* ------------------------------------------------------------------- match */

static bool same_shape(const lk_field *reads, const lk_field *gives)
{
    if (reads->ndim != gives->ndim) return false;
    return memcmp(reads->shape, gives->shape, (size_t)reads->ndim * sizeof *reads->shape) == 0;
}

static bool is_flattened(const lk_field *reads, const lk_field *gives)
{
    if (reads->ndim != 1 || reads->shape[0] == LK_LENGTH) return false;
    if (gives->ndim > 0 && gives->shape[0] == LK_LENGTH) return false;
    return lk_field_n_elem(reads, 0) == lk_field_n_elem(gives, 0);
}

static lk_status match_field(const lk_field *reads, const lk_field *gives)
{
    char want[LK_FIELD_TEXT_BYTES], got[LK_FIELD_TEXT_BYTES];

    if (reads->dtype == gives->dtype && (same_shape(reads, gives) || is_flattened(reads, gives))) return LK_OK;
    lk_field_describe(reads, want);
    lk_field_describe(gives, got);
    return LK_FAIL(LK_ERR_USAGE, "field %s: the model reads %s a sample, the data set gives %s", reads->name, want,
                   got);
}

static void list_names(const lk_sample *sample, char text[LIST_BYTES])
{
    lk_text list = lk_text_in(text, LIST_BYTES);

    for (int f = 0; f < sample->n_fields; f++) lk_text_add(&list, "%s%s", f ? ", " : "", sample->field[f].name);
}

static lk_status refuse_absent(const lk_field *field, const lk_sample *gives)
{
    char want[LK_FIELD_TEXT_BYTES], names[LIST_BYTES];

    lk_field_describe(field, want);
    list_names(gives, names);
    return LK_FAIL(LK_ERR_USAGE,
                   "field %s: the model reads it (%s a sample), the data set has no such field; it gives %s",
                   field->name, want, gives->n_fields ? names : "nothing");
}

lk_status lk_sample_match(const lk_sample *reads, const lk_sample *gives, bool need_targets, lk_field_map *out)
{
    out->n = reads->n_fields;
    for (int f = 0; f < reads->n_fields; f++) {
        const lk_field *field = &reads->field[f];

        out->from[f] = lk_sample_find(gives, field->name);
        if (out->from[f] >= 0) LK_TRY(match_field(field, &gives->field[out->from[f]]));
        else if (!field->target || need_targets) return refuse_absent(field, gives);
    }
    return LK_OK;
}
