/* The rows of the networks, each in the file of its family, and what they share.  Private to engine/nn. */
#ifndef LK_NETWORKS_H
#define LK_NETWORKS_H

#include "engine/nn/nn.h"

#define LK_NETWORK_DECLARE(id, word) extern const lk_network lk_network_##word;
LK_NETWORK_LIST(LK_NETWORK_DECLARE)
#undef LK_NETWORK_DECLARE

/* The network that a spec names; NULL: none of this build. */
const lk_network *lk_network_of(const lk_model_spec *spec);

/* What data asks of a network's output: classes, or targets a sample; *labels tells which. */
int64_t lk_data_outputs(const lk_sample *data, bool *labels);

#endif
