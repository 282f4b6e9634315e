/* From a model to the graph of a plan.  Private to engine/. */
#ifndef LK_BUILD_H
#define LK_BUILD_H

#include "engine/graph/graph.h"

/* The whole graph of a plan in graph's mode and precision: input, network, loss, backward pass; not yet placed.  For
 * training graph->trainable must be there. */
lk_status lk_model_build(const lk_model *model, lk_graph *graph);

/* blocks.c: numbers, from 0, of the blocks that forward nodes lie in; -1: none.  block: (n_nodes). */
void lk_recompute_find_blocks(const lk_graph *graph, const lk_recompute *recompute, int *block);

#endif
