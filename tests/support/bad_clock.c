/*
 * A clock that jumps, for a program that is started with LD_PRELOAD of this: the time of day is a day ahead and a day
 * behind by turns of a few readings, as after a correction by hand or a bad time server.  CLOCK_MONOTONIC, which no
 * correction moves, is left alone.
 */
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { DAY = 24 * 60 * 60, READINGS = 5 };

static time_t jump(void)
{
    static unsigned n; /* threads may count alike: it is no less a jump */

    return ++n / READINGS % 2 ? DAY : -DAY;
}

int clock_gettime(clockid_t clock, struct timespec *out)
{
    const int result = (int)syscall(SYS_clock_gettime, clock, out);

    if (result == 0 && clock == CLOCK_REALTIME) out->tv_sec += jump();
    return result;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
    const int result = (int)syscall(SYS_gettimeofday, out, zone);

    out->tv_sec += jump();
    return result;
}

time_t time(time_t *out)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}
