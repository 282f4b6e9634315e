/* Complaints and scratch memory, for all stand-ins. */
#include "tests/gpu/standin/libraries.h"

#include <cstdarg>
#include <cstdio>
#include <mutex>

namespace standin {

enum { LINE_BYTES = 512 };
static std::mutex mutex;
static char last[LINE_BYTES], copy[LINE_BYTES];

void complain(const char *format, ...)
{
    std::lock_guard<std::mutex> guard(mutex);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(last, sizeof last, format, arguments);
    va_end(arguments);
    fprintf(stderr, "stand-in: %s\n", last);
}

const char *last_complaint()
{
    std::lock_guard<std::mutex> guard(mutex);

    memcpy(copy, last, sizeof copy);
    return copy;
}

/* What somebody left in a workspace begins where that begins or ends where it ends.  All of it would take many times as
 * long as the product that it is lent to. */
void spoil(void *workspace, size_t nbytes)
{
    enum { END = 1 << 16 };
    const size_t n = nbytes < END ? nbytes : (size_t)END;

    if (n == 0) return;
    memset(workspace, 0xff, n);
    memset((char *)workspace + nbytes - n, 0xff, n);
}

bool overlap(const void *a, size_t a_nbytes, const void *b, size_t b_nbytes)
{
    const uintptr_t first = (uintptr_t)a, second = (uintptr_t)b;

    return a_nbytes > 0 && b_nbytes > 0 && first < second + b_nbytes && second < first + a_nbytes;
}

} // namespace standin
