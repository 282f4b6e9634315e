/*
 * A clear word in place of SIGILL, where a program compiled for a newer processor meets an older one: a cluster whose
 * login node is newer than its compute nodes, a copied binary.
 *
 * This file, and main.c that asks it first, are compiled for every x86-64 processor (CMakeLists.txt); so it calls
 * nothing but the C library.  Elsewhere than on x86 nothing is checked.
 */
#include "engine/base/processor.h"

#include <stdio.h>

#include "engine/base/base.h"

enum { LAST_LEVEL = 4, NAMES_BYTES = 256 };
static const char *const level_names[LAST_LEVEL + 1] = {"", "x86-64", "x86-64-v2", "x86-64-v3", "x86-64-v4"};

#if defined __x86_64__
#define HAS(macro, name, level) __builtin_cpu_supports(name) != 0,
#else
#define HAS(macro, name, level) true,
#endif
#define NAME(macro, name, level) name,
#define LEVEL(macro, name, level) level,

static const char *const names[] = {LK_PROCESSOR_LIST(NAME)};
static const int levels[] = {LK_PROCESSOR_LIST(LEVEL)};

/* The highest level of which this processor has everything. */
static int level_of(const bool has[])
{
    int level = LAST_LEVEL;

    for (int i = 0; i < LK_N_PROCESSOR_SETS; i++)
        if (!has[i] && levels[i] <= level) level = levels[i] - 1;
    return level;
}

bool lk_processor_lacks(char *text, size_t nbytes)
{
    const bool has[] = {LK_PROCESSOR_LIST(HAS)};
    char missing[NAMES_BYTES] = "";
    size_t used = 0;

    for (int i = 0; i < LK_N_PROCESSOR_SETS; i++) {
        if (has[i] || lk_built_for[i][0] != '1' || used >= sizeof missing) continue;
        used += (size_t)snprintf(missing + used, sizeof missing - used, "%s%s", used ? ", " : "", names[i]);
    }
    snprintf(text, nbytes,
             "this program is compiled for another processor (LK_MARCH=%s): this one has no %s; build it here, "
             "or with cmake -DLK_MARCH=%s",
             LK_MARCH, missing, level_names[level_of(has)]);
    return used > 0;
}
