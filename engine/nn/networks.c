/* The one list of networks. */
#include "engine/nn/networks.h"

static const lk_network *const networks[] = {
    [LK_MODEL_MLP] = &lk_network_mlp,
    [LK_MODEL_CNN] = &lk_network_cnn,
};

const lk_network *lk_network_of(const lk_model_spec *spec)
{
    if (spec->network) return spec->network;
    return (size_t)spec->kind < sizeof networks / sizeof *networks ? networks[spec->kind] : NULL;
}
