/*
 * Requests to stop, for a command that waits for another process: they are read from a signalfd, beside what the
 * process says, so nothing runs in a handler and none is lost between two starts.
 */
#include "launch/run/requests.h"

#include "launch/launch.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

lk_status requests_open(requests *r)
{
    sigset_t mine;

    *r = (requests){.fd = -1};
    signals_that_stop(&mine);
    sigaddset(&mine, SIGCHLD);
    if (sigprocmask(SIG_BLOCK, &mine, &r->before) == 0) r->fd = signalfd(-1, &mine, SFD_CLOEXEC | SFD_NONBLOCK);
    return r->fd >= 0 ? LK_OK : LK_FAIL(LK_ERR_SYSTEM, "cannot wait for signals: %s", strerror(errno));
}

void requests_close(requests *r)
{
    if (r->fd < 0) return;
    close(r->fd);
    r->fd = -1;
    sigprocmask(SIG_SETMASK, &r->before, NULL);
}

void requests_take(requests *r)
{
    struct signalfd_siginfo info;

    while (read(r->fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGCHLD) continue;
        if (r->stop && info.ssi_signo == SIGINT) r->now = true;
        r->stop = true;
    }
}

bool requests_wait(requests *r, double seconds)
{
    const double milliseconds = 1e3, end = lk_seconds() + seconds;

    requests_take(r);
    for (double left = seconds; !r->stop && left > 0.0; left = end - lk_seconds()) {
        struct pollfd one = {.fd = r->fd, .events = POLLIN};

        poll(&one, 1, (int)ceil(left * milliseconds));
        requests_take(r);
    }
    return r->stop;
}
