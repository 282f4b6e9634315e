/* Where the key at fault stands: io and the engine name it first in their messages, and know no files. */
#include "launch/launch.h"

#include <string.h>

lk_status job_blame_key(const job *j, lk_status status)
{
    const char *message = lk_error_message(), *end = strstr(message, ": ");
    char key[128];

    if (status != LK_ERR_USAGE || !end || end - message >= (ptrdiff_t)sizeof key) return status;
    snprintf(key, sizeof key, "%.*s", (int)(end - message), message);
    return LK_FAIL(status, "%s: %s", lk_recipe_where(j->recipe, key), message);
}
