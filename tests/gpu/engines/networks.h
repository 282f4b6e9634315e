/* The convolutions that engines are pinned for. */
#ifndef LK_TEST_ENGINES_NETWORKS_H
#define LK_TEST_ENGINES_NETWORKS_H

#include <vector>

#include "engine/cuda/conv.h"

struct layer {
    conv_shape shape; /* N: images of a lane */
    bool bias;
};

/* Each different layer once, in the order in which networks have them. */
std::vector<layer> layers_of_networks();

#endif
