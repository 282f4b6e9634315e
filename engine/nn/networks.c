/* The networks by number, and fitting a spec to data. */
#include "engine/nn/networks.h"

#include <string.h>

static const lk_network *const networks[] = {
#define NETWORK_ENTRY(id, word, family) [LK_MODEL_##id] = &lk_network_##family,
    LK_NETWORK_LIST(NETWORK_ENTRY)
#undef NETWORK_ENTRY
};

lk_status lk_network_find(const lk_model_spec *spec, const lk_network **out)
{
    *out = spec->network;
    if (*out) return LK_OK;
    if (spec->kind == LK_MODEL_PLUGIN) return lk_plugin_open(spec->plugin.file, out);
    if ((size_t)spec->kind >= sizeof networks / sizeof *networks)
        return LK_FAIL(LK_ERR_USAGE, "model.kind %d is not one this build knows", (int)spec->kind);
    *out = networks[spec->kind];
    return LK_OK;
}

const char *const *lk_model_no_decay(const char *word)
{
    static const char *const words[] = {
#define NETWORK_WORD(id, word, family) [LK_MODEL_##id] = #word,
        LK_NETWORK_LIST(NETWORK_WORD)
#undef NETWORK_WORD
    };

    for (size_t k = 0; k < sizeof words / sizeof *words; k++)
        if (strcmp(words[k], word) == 0) return networks[k]->no_decay;
    return NULL;
}

int64_t lk_model_context(const lk_model *model)
{
    const lk_model_spec *spec = lk_model_get_spec(model);
    const lk_network *network;

    return lk_network_find(spec, &network) == LK_OK && network->context ? network->context(spec) : 0;
}

/* How the data's images come. */
static void take_pixels(lk_model_spec *spec, const lk_sample *data)
{
    const int x = lk_sample_find(data, "x");

    spec->bytes = x >= 0 && data->field[x].dtype == LK_DTYPE_U8;
    if (spec->bytes) spec->pixels = data->field[x].pixels;
}

lk_status lk_model_fit(lk_model_spec *spec, const lk_sample *data)
{
    const lk_network *network;

    take_pixels(spec, data);
    LK_TRY(lk_network_find(spec, &network));
    return network->fit ? network->fit(spec, data) : LK_OK;
}

bool lk_model_is_complete(const lk_model_spec *spec)
{
    const lk_network *network;
    lk_sample reads = {0};

    if (lk_network_find(spec, &network) != LK_OK) return true; /* lk_model_new() says so */
    network->sample(spec, &reads);
    for (int f = 0; f < reads.n_fields; f++)
        for (int d = 0; d < reads.field[f].ndim; d++)
            if (reads.field[f].shape[d] == 0) return false;
    return !network->is_complete || network->is_complete(spec);
}
