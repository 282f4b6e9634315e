/* See check.h. */
#include "check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

lk_world *world;
static int n_failed, n_checked;

void check_start(double timeout_s)
{
    if (lk_world_new(timeout_s, &world) == LK_OK) return;
    fprintf(stderr, "lk_world_new: %s\n", lk_error_message());
    exit(LK_ERR_PEER);
}

void check(bool holds, const char *format, ...)
{
    va_list args;

    n_checked++;
    if (holds) return;
    n_failed++;
    fprintf(stderr, "rank %d: FAILED: ", lk_world_rank(world));
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

void check_say(const char *format, ...)
{
    va_list args;

    if (lk_world_rank(world) != 0) return;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    fflush(stdout);
}

int check_finish(void)
{
    const lk_status mine = n_failed ? LK_FAIL(LK_ERR_NUMBERS, "%d of %d checks failed", n_failed, n_checked) : LK_OK;
    const lk_status all = lk_world_agree(world, mine);

    check_say(all == LK_OK ? "%d workers: %d checks hold on rank 0\n" : "%d workers: of %d checks some failed\n",
              lk_world_size(world), n_checked);
    lk_world_free(&world);
    return all;
}
