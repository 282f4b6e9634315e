/* Status and messages: one message and one trace per thread, in fixed buffers, so that failing never allocates. */
#include "engine/base/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MESSAGE_BYTES = 2048, TRACE_BYTES = 1024 };

static _Thread_local char message[MESSAGE_BYTES];
static _Thread_local char trace[TRACE_BYTES];
static _Thread_local const char *key; /* borrowed: a literal */

/* A new message may quote the old one, so it is made beside it; one that does keeps its key. */
static void record(const char *at, int line, const char *at_fault, const char *format, va_list args)
{
    char text[MESSAGE_BYTES];

    vsnprintf(text, sizeof text, format, args);
    if (at_fault || !message[0] || !strstr(text, message)) key = at_fault;
    memcpy(message, text, sizeof message);
    snprintf(trace, sizeof trace, "%s:%d", at, line);
}

lk_status lk_fail(lk_status status, const char *file, int line, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    record(file, line, NULL, format, args);
    va_end(args);
    return status;
}

lk_status lk_fail_key(lk_status status, const char *at_fault, const char *file, int line, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    record(file, line, at_fault, format, args);
    va_end(args);
    return status;
}

lk_status lk_trace(lk_status status, const char *file, int line)
{
    const size_t used = strlen(trace);

    snprintf(trace + used, sizeof trace - used, " < %s:%d", file, line);
    return status;
}

const char *lk_error_message(void) { return message; }
const char *lk_error_key(void) { return key; }
const char *lk_error_trace(void) { return trace; }
