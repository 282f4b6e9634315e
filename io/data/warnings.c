/* What is odd about data but no error, a line each. */
#include "io/data/data.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { WARNING_BYTES = 1024 };

lk_status lk_warning_add(char **warnings, const char *format, ...)
{
    char line[WARNING_BYTES], *longer;
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (asprintf(&longer, "%s%s%s", *warnings ? *warnings : "", *warnings ? "\n" : "", line) < 0)
        return LK_FAIL(LK_ERR_SYSTEM, "out of memory: a warning about the data");
    free(*warnings);
    *warnings = longer;
    return LK_OK;
}
