/* The instruction sets that this library is compiled for: data alone, so that any processor may look at it. */
#include "engine/base/processor.h"

#define TEXT_OF(value) #value
#define VALUE_OF(macro, name, level) TEXT_OF(macro),

const char *const lk_built_for[LK_N_PROCESSOR_SETS] = {LK_PROCESSOR_LIST(VALUE_OF)};
