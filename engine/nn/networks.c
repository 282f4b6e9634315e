/* The networks by number, and fitting a spec to data. */
#include "engine/nn/networks.h"

static const lk_network *const networks[] = {
#define NETWORK_ENTRY(id, word) [LK_MODEL_##id] = &lk_network_##word,
    LK_NETWORK_LIST(NETWORK_ENTRY)
#undef NETWORK_ENTRY
};

const lk_network *lk_network_of(const lk_model_spec *spec)
{
    if (spec->network) return spec->network;
    return (size_t)spec->kind < sizeof networks / sizeof *networks ? networks[spec->kind] : NULL;
}

lk_status lk_model_fit(lk_model_spec *spec, const lk_sample *data)
{
    const lk_network *network = lk_network_of(spec);

    return network && network->fit ? network->fit(spec, data) : LK_OK;
}

bool lk_model_is_complete(const lk_model_spec *spec)
{
    const lk_network *network = lk_network_of(spec);

    return !network || !network->is_complete || network->is_complete(spec);
}
