/* What networks take from the data that they are fitted to. */
#include "engine/nn/networks.h"

int64_t lk_data_outputs(const lk_sample *data, bool *labels)
{
    const int label = lk_sample_find(data, "label"), target = lk_sample_find(data, "target");

    *labels = label >= 0;
    if (*labels) return data->field[label].n_values;
    return target >= 0 ? (int64_t)lk_field_n_elem(&data->field[target], 1) : 0;
}

lk_status lk_fit_vocabulary(const char *key, const lk_sample *data, const char *field, int64_t *vocabulary)
{
    const int f = lk_sample_find(data, field);
    const long long tokens = f < 0 ? 0 : (long long)data->field[f].n_values;

    if (*vocabulary == 0) *vocabulary = tokens;
    if (*vocabulary < 1)
        return LK_FAIL(LK_ERR_USAGE, "%s: the data do not say how many tokens field %s has; give their number", key,
                       field);
    if (*vocabulary < tokens)
        return LK_FAIL(LK_ERR_USAGE, "%s is %lld, but the data has %lld tokens", key, (long long)*vocabulary, tokens);
    return LK_OK;
}
