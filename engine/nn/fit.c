/* What networks take from the data that they are fitted to. */
#include "engine/nn/networks.h"

int64_t lk_data_outputs(const lk_sample *data, bool *labels)
{
    const int label = lk_sample_find(data, "label"), target = lk_sample_find(data, "target");

    *labels = label >= 0;
    if (*labels) return data->field[label].n_values;
    return target >= 0 ? (int64_t)lk_field_n_elem(&data->field[target], 1) : 0;
}
