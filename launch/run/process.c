/*
 * Starting a process, and waiting for it and for signals at once.
 *
 * It gets a process group of its own, so that Ctrl-C at the terminal comes to us alone and is handed on in the way that
 * saves a checkpoint; mpirun by itself would end the workers.
 */
#include "launch/run/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    CANNOT_RUN = 127,  /* a shell's exit status for a program that is not there */
    BY_SIGNAL = 128,   /* and what it adds to the signal's number */
    AGAIN_MS = 2000,   /* a request that came before the workers were there is repeated */
    KILL_SECONDS = 10, /* what a process gets to end at once */
    LAST_SECONDS = 45, /* and after its last words: mpirun takes 20 to know that a host is silent */
    TERM_SECONDS = 2,  /* the same of one that was only tried */
    LINE_BYTES = 1024, PIECE_BYTES = 4096,
};
static const mode_t LOG_MODE = 0666;

typedef struct process {
    const process_spec *spec;
    pid_t pid;
    int hears;              /* its standard error; -1: not heard */
    char line[LINE_BYTES];  /* the one that it is saying; what is longer is cut off */
    size_t used;
    bool told_stop;
    double told_now;        /* clock; 0: not */
    double last_words;      /* the same: it should have ended soon after */
} process;

/* ------------------------------------------------------------------- in the child */

static void point(int fd, int at)
{
    if (fd < 0 || dup2(fd, at) < 0) _exit(CANNOT_RUN);
}

/* Errors go where the child's standard error does: one line that says what was not there. */
static void become(const requests *r, const process_spec *spec, int says, pid_t parent)
{
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) _exit(CANNOT_RUN); /* it has gone already */
    point(open("/dev/null", O_RDONLY), STDIN_FILENO);
    if (spec->log) {
        point(open(spec->log, O_WRONLY | O_CREAT | O_APPEND, LOG_MODE), STDOUT_FILENO);
        point(STDOUT_FILENO, STDERR_FILENO);
    } else if (says >= 0) {
        point(says, STDERR_FILENO);
    }
    sigprocmask(SIG_SETMASK, &r->before, NULL);
    execv(spec->argv[0], spec->argv);
    dprintf(STDERR_FILENO, "lockstep: cannot run %s: %s\n", spec->argv[0], strerror(errno));
    _exit(CANNOT_RUN);
}

static lk_status start(const requests *r, const process_spec *spec, process *out)
{
    const pid_t parent = getpid();
    int ends[2] = {-1, -1};

    *out = (process){.spec = spec, .pid = -1, .hears = -1};
    if (!spec->log && pipe2(ends, O_CLOEXEC) != 0)
        return LK_FAIL(LK_ERR_SYSTEM, "cannot make a pipe: %s", strerror(errno));
    fflush(NULL);
    out->pid = fork();
    if (out->pid == 0) become(r, spec, ends[1], parent);
    const int why = errno;
    if (ends[1] >= 0) close(ends[1]);
    out->hears = ends[0];
    if (out->pid > 0) return LK_OK;
    if (ends[0] >= 0) close(ends[0]);
    return LK_FAIL(LK_ERR_SYSTEM, "cannot start %s: %s", spec->argv[0], strerror(why));
}

/* ----------------------------------------------------------------------- listening */

static void hear(process *p, const char *text, size_t nbytes)
{
    for (size_t i = 0; i < nbytes; i++) {
        if (text[i] == '\n') {
            p->line[p->used] = '\0';
            p->used = 0;
            if (p->spec->line) p->spec->line(p->spec->arg, p->line);
            if (p->spec->last_words && strstr(p->line, p->spec->last_words)) p->last_words = lk_seconds();
        } else if (p->used + 1 < sizeof p->line) {
            p->line[p->used++] = text[i];
        }
    }
}

/* One piece, passed on as it is; false: there is no more now. */
static bool listen_once(process *p)
{
    char piece[PIECE_BYTES];
    const ssize_t n = read(p->hears, piece, sizeof piece);

    if (n < 0) return errno == EINTR;
    if (n == 0) {
        close(p->hears);
        p->hears = -1;
        return false;
    }
    if (fwrite(piece, 1, (size_t)n, stderr) == (size_t)n) fflush(stderr);
    hear(p, piece, (size_t)n);
    return true;
}

/* What it said before it ended.  Daemons of other hosts may hold the pipe on. */
static void listen_to_the_end(process *p)
{
    if (p->hears < 0) return;
    fcntl(p->hears, F_SETFL, O_NONBLOCK);
    while (p->hears >= 0 && listen_once(p)) {}
    if (p->hears >= 0) close(p->hears);
    p->hears = -1;
}

/* ------------------------------------------------------------------------- waiting */

static void hand_on(process *p, const requests *r, bool again)
{
    if (r->now && p->told_now == 0.0) {
        kill(p->pid, SIGTERM);
        p->told_now = lk_seconds();
    } else if (p->told_now > 0.0) {
        if (lk_seconds() - p->told_now > KILL_SECONDS) kill(-p->pid, SIGKILL);
    } else if (r->stop && (!p->told_stop || again)) {
        kill(p->pid, SIGUSR1);
        p->told_stop = true;
    }
}

/* A mpirun whose daemon on another host is frozen waits for that for ever. */
static void end_at_last(const process *p)
{
    if (p->last_words > 0.0 && lk_seconds() - p->last_words > LAST_SECONDS) kill(-p->pid, SIGKILL);
}

static bool has_ended(pid_t pid, int options, int *status)
{
    int how = 0;

    if (TEMP_FAILURE_RETRY(waitpid(pid, &how, options)) != pid) return false;
    *status = WIFSIGNALED(how) ? BY_SIGNAL + WTERMSIG(how) : WEXITSTATUS(how);
    return true;
}

lk_status process_run(requests *r, const process_spec *spec, int *status)
{
    process p;

    LK_TRY(start(r, spec, &p));
    while (!has_ended(p.pid, WNOHANG, status)) {
        struct pollfd two[2] = {{.fd = r->fd, .events = POLLIN}, {.fd = p.hears, .events = POLLIN}};
        const int n = poll(two, 2, r->stop || p.last_words > 0.0 ? AGAIN_MS : -1);

        requests_take(r);
        hand_on(&p, r, n == 0);
        end_at_last(&p);
        if (two[1].revents) listen_once(&p);
    }
    listen_to_the_end(&p);
    if (p.last_words > 0.0 && *status == BY_SIGNAL + SIGKILL) *status = LK_ERR_PEER; /* as it would have ended */
    return LK_OK;
}

/* -------------------------------------------------------------------- several at once */

/* Those that have ended since are left out; returns how many are still running.  good NULL: how is not asked. */
static size_t collect(pid_t *pid, size_t n, bool *good)
{
    size_t n_left = 0;

    for (size_t i = 0; i < n; i++) {
        int status;

        if (pid[i] <= 0) continue;
        if (has_ended(pid[i], WNOHANG, &status)) {
            if (good) good[i] = status == 0;
            pid[i] = 0;
        } else {
            n_left++;
        }
    }
    return n_left;
}

static void wait_for_all(requests *r, pid_t *pid, size_t n, double seconds, bool *good)
{
    const double milliseconds = 1e3, end = lk_seconds() + seconds;
    double left;

    while (collect(pid, n, good) > 0 && !r->stop && (left = end - lk_seconds()) > 0.0) {
        struct pollfd one = {.fd = r->fd, .events = POLLIN};

        poll(&one, 1, (int)(left * milliseconds) + 1);
        requests_take(r);
    }
}

/* First in a way that lets them end what they have started elsewhere. */
static void end_all(requests *r, pid_t *pid, size_t n)
{
    int status;

    for (size_t i = 0; i < n; i++)
        if (pid[i] > 0) kill(pid[i], SIGTERM);
    wait_for_all(r, pid, n, TERM_SECONDS, NULL);
    for (size_t i = 0; i < n; i++)
        if (pid[i] > 0) kill(-pid[i], SIGKILL);
    for (size_t i = 0; i < n; i++)
        if (pid[i] > 0) has_ended(pid[i], 0, &status);
}

lk_status process_try(requests *r, char *const *const *argv, size_t n, double seconds, bool *good)
{
    pid_t *pid = calloc(n, sizeof *pid);
    lk_status status = pid ? LK_OK : LK_FAIL(LK_ERR_SYSTEM, "out of memory: %zu processes", n);

    for (size_t i = 0; pid && i < n; i++) {
        const process_spec spec = {.argv = argv[i], .log = "/dev/null"};
        process p = {.pid = 0};

        good[i] = false;
        if (status == LK_OK) status = start(r, &spec, &p);
        pid[i] = p.pid;
    }
    if (status == LK_OK) wait_for_all(r, pid, n, seconds, good);
    if (pid) end_all(r, pid, n);
    free(pid);
    return status;
}
