/* Text that is put together piece by piece: messages, lines of a table, shapes. */
#include "engine/base/base.h"

#include <stdarg.h>
#include <stdio.h>

lk_text lk_text_in(char *buffer, size_t nbytes)
{
    buffer[0] = '\0';
    return (lk_text){.at = buffer, .nbytes = nbytes};
}

void lk_text_add(lk_text *text, const char *format, ...)
{
    const size_t room = text->nbytes - text->used;
    va_list args;

    va_start(args, format);
    const int n = vsnprintf(text->at + text->used, room, format, args);
    va_end(args);
    if (n > 0) text->used += (size_t)n < room ? (size_t)n : room - 1;
}

const char *lk_print_list(const char *const *words, size_t n, char *out, size_t nbytes)
{
    lk_text text = lk_text_in(out, nbytes);

    for (size_t i = 0; i < n; i++) lk_text_add(&text, "%s%s", i ? ", " : "", words[i]);
    return out;
}

const char *lk_print_shape(int ndim, const int64_t *shape, char out[LK_SHAPE_BYTES])
{
    lk_text text = lk_text_in(out, LK_SHAPE_BYTES);

    for (int d = 0; d < ndim; d++) lk_text_add(&text, "%s%lld", d ? ", " : "(", (long long)shape[d]);
    lk_text_add(&text, ndim ? ")" : "()");
    return out;
}
