/* From a model to the graph of a plan.  Private to engine/. */
#ifndef LK_BUILD_H
#define LK_BUILD_H

#include "engine/graph/graph.h"

/* The whole graph of a plan in graph's mode and precision: input, network, loss, backward pass; not yet placed.  For
 * training graph->trainable must be there. */
lk_status lk_model_build(const lk_model *model, lk_graph *graph);

#endif
