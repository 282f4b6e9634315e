/* What this library was made of: the commit, the compiler and the processor it is compiled for. */
#include "engine/base/base.h"
#include "engine/base/processor.h"

#include "engine/base/commit.h" /* generated: LK_COMMIT */

#define TEXT_OF(value) #value
#define VALUE_OF(macro) TEXT_OF(macro)

#if defined __clang__
#define COMPILER "clang " VALUE_OF(__clang_major__) "." VALUE_OF(__clang_minor__) "." VALUE_OF(__clang_patchlevel__)
#else
#define COMPILER "gcc " __VERSION__
#endif

#define LEVEL(macro, name, level) level,

/* The x86-64 level that it is compiled for; 1: the first, or another kind of processor. */
static int level_of_build(void)
{
    enum { LAST_LEVEL = 4 };
    static const int levels[] = {LK_PROCESSOR_LIST(LEVEL)};
    int level = LAST_LEVEL;

    for (int i = 0; i < LK_N_PROCESSOR_SETS; i++)
        if (lk_built_for[i][0] != '1' && levels[i] <= level) level = levels[i] - 1;
    return level;
}

/* "native" is another instruction set on another machine. */
void lk_build_describe(char *text, size_t nbytes)
{
    lk_text all = lk_text_in(text, nbytes);

    lk_text_add(&all, "commit %s, %s, -march=%s", LK_COMMIT, COMPILER, *LK_MARCH ? LK_MARCH : "the compiler's own");
    if (level_of_build() > 1) lk_text_add(&all, " (x86-64-v%d)", level_of_build());
}
