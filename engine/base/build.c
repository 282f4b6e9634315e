/* What this library was made of: the commit, the compiler and the processor it is compiled for. */
#include "engine/base/base.h"

#include <stdio.h>

#include "engine/base/commit.h" /* generated: LK_COMMIT */

#define TEXT_OF(value) #value
#define VALUE_OF(macro) TEXT_OF(macro)

#if defined __clang__
#define COMPILER "clang " VALUE_OF(__clang_major__) "." VALUE_OF(__clang_minor__) "." VALUE_OF(__clang_patchlevel__)
#else
#define COMPILER "gcc " __VERSION__
#endif

void lk_build_describe(char *text, size_t nbytes)
{
    snprintf(text, nbytes, "commit %s, %s, -march=%s", LK_COMMIT, COMPILER,
             *LK_MARCH ? LK_MARCH : "the compiler's own");
}
