/* What the op table (ops.c) takes from the op files, one declaration for each name in the list.  Private to engine/. */
#ifndef LK_RULES_H
#define LK_RULES_H

#include "engine/graph/graph.h"

/* Several ops may share one rule or one cost; declaring it twice changes nothing. */
#define LK_RULE_DIFF(id, word, rule, cost) lk_gradient_fn lk_gradient_##rule; lk_flops_fn lk_flops_##cost;
#define LK_RULE_LAST(id, word, cost) lk_flops_fn lk_flops_##cost;
LK_OP_LIST(LK_RULE_DIFF, LK_RULE_LAST)
#undef LK_RULE_DIFF
#undef LK_RULE_LAST

#endif
