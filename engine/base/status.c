/* Status and messages: one message and one trace per thread, in fixed buffers, so that failing never allocates. */
#include "engine/base/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MESSAGE_BYTES = 2048, TRACE_BYTES = 1024 };

static _Thread_local char message[MESSAGE_BYTES];
static _Thread_local char trace[TRACE_BYTES];

const char *lk_status_text(lk_status status)
{
    switch (status) {
#define STATUS_TEXT(name, exit_status, text) case name: return text;
        LK_STATUS_LIST(STATUS_TEXT)
#undef STATUS_TEXT
    }
    return "unknown";
}

lk_status lk_fail(lk_status status, const char *file, int line, const char *format, ...)
{
    /* A new message may quote the old one, so it is made beside it. */
    char text[MESSAGE_BYTES];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    memcpy(message, text, sizeof message);
    snprintf(trace, sizeof trace, "%s:%d", file, line);
    return status;
}

lk_status lk_trace(lk_status status, const char *file, int line)
{
    const size_t used = strlen(trace);

    snprintf(trace + used, sizeof trace - used, " < %s:%d", file, line);
    return status;
}

const char *lk_error_message(void) { return message; }
const char *lk_error_trace(void) { return trace; }
