/* Golden values: files beside the tests that read them, in $LOCKSTEP_SOURCE/tests/golden where that is set (a bundle),
 * else in the source the tests were built from. */
#ifndef GOLDEN_H
#define GOLDEN_H

#include <criterion/criterion.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

/* Released by json_decref(). */
static inline json_t *golden_load(const char *name)
{
    const char *source = getenv("LOCKSTEP_SOURCE");
    char path[PATH_MAX];
    json_error_t error;

    snprintf(path, sizeof path, "%s/tests/golden/%s", source ? source : LK_SOURCE_DIR, name);
    json_t *file = json_load_file(path, 0, &error);
    cr_assert(file, "%s:%d: %s", path, error.line, error.text);
    return file;
}

#endif
