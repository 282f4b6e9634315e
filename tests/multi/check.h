/* Checks for programs that run on many workers: a failed one is printed with its rank; the end is agreed on by all. */
#ifndef LK_TEST_CHECK_H
#define LK_TEST_CHECK_H

#include "dist/dist.h"

/* The world of this program; check_finish() frees it. */
extern lk_world *world;

void check_start(double timeout_s);
/* Counts and prints a claim that does not hold. */
void check(bool holds, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Prints on rank 0 what has been compared. */
void check_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The exit status: 0 when every claim held on every worker. */
int  check_finish(void);

/* A call that must succeed; without it the rest makes no sense. */
#define MUST(expr)                                                                                       \
    do {                                                                                                 \
        const lk_status must_ = (expr);                                                                  \
        if (must_ != LK_OK) lk_world_abort(world, must_, lk_error_message());                            \
    } while (0)

#endif
