/* The rows of the networks, each in the file of its family.  Private to engine/nn. */
#ifndef LK_NETWORKS_H
#define LK_NETWORKS_H

#include "engine/nn/nn.h"

extern const lk_network lk_network_mlp, lk_network_cnn;

/* The network that a spec names; NULL: none of this build. */
const lk_network *lk_network_of(const lk_model_spec *spec);

#endif
