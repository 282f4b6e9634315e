/* In place of engine/base/built_for.c: a program compiled for everything at once, which no processor has (fma4 and xop
 * went before AVX-512 came). */
#include "engine/base/processor.h"

#define YES(macro, name, level) "1",

const char *const lk_built_for[LK_N_PROCESSOR_SETS] = {LK_PROCESSOR_LIST(YES)};
