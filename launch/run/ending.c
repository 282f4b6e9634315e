/*
 * What a try ended with.  Open MPI's mpirun returns the status of the first worker that failed, 128 + the signal
 * where one was killed (or 1, by version and signal), and 1 where it lost a host or was at fault itself; what it says
 * tells these apart.  Slurm's srun is alike.
 */
#include "launch/run/ending.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { BY_SIGNAL = 128 };

static const char by_us[] = "lockstep: ", by_srun[] = "srun: error: ";

/* What is told on the way, and is no failure. */
static bool is_news(const char *text)
{
    static const char *const news[] = {"warning: ", "resuming at step", "no checkpoint in", "finishing step"};

    for (size_t i = 0; i < sizeof news / sizeof *news; i++)
        if (strncmp(text, news[i], strlen(news[i])) == 0) return true;
    return false;
}

static void keep(char out[ENDING_LINE_BYTES], const char *text)
{
    snprintf(out, ENDING_LINE_BYTES, "%s", text);
}

/* The first that is told: others are killed for it. */
static void keep_first(char out[ENDING_LINE_BYTES], const char *text)
{
    if (!*out) keep(out, text);
}

/* "srun: error: b: task 3: Killed", and "srun: error: Node failure on b". */
static void hear_srun(ending *end, const char *text)
{
    static const char lost[] = "Node failure on ";
    const char *node_end = strstr(text, ": task"), *task = node_end ? node_end + strlen(": ") : NULL;
    const char *how = task ? strchr(task, ':') : NULL;

    if (strncmp(text, lost, sizeof lost - 1) == 0) keep_first(end->lost, text + sizeof lost - 1);
    if (!how || strstr(how, "Exited with exit code") || *end->killed) return;
    snprintf(end->killed, sizeof end->killed, "%.*s on node %.*s%s", (int)(how - task), task, (int)(node_end - text),
             text, how);
}

/* "mpirun noticed that process rank 3 with PID 0 on node b exited on signal 9 (Killed)." without the process's number,
 * which is another one each time. */
static void keep_killed(ending *end, const char *line)
{
    const char *rank = strstr(line, "process rank "), *node = strstr(line, " on node ");
    int r;

    if (!rank || !node || sscanf(rank, "process rank %d", &r) != 1) return;
    snprintf(end->killed, sizeof end->killed, "rank %d%s", r, node);
    end->killed[strcspn(end->killed, "\r\n")] = '\0';
    const size_t n = strlen(end->killed);
    if (end->killed[n - 1] == '.') end->killed[n - 1] = '\0';
}

void ending_hear(void *arg, const char *line)
{
    ending *end = arg;
    const char *ours = strstr(line, by_us), *srun = strstr(line, by_srun), *node = strstr(line, " on node ");

    if (ours && !is_news(ours + sizeof by_us - 1)) keep(end->said, ours + sizeof by_us - 1);
    if (strstr(line, "exited on signal")) keep_killed(end, line);
    if (strstr(line, "Remote daemon:") && node) keep_first(end->lost, node + strlen(" on node "));
    if (srun) hear_srun(end, srun + sizeof by_srun - 1);
}

static bool is_ours(int status)
{
    switch (status) {
#define IS_OURS(name, exit_status, text) case exit_status:
    LK_STATUS_LIST(IS_OURS)
#undef IS_OURS
        return true;
    default: return false;
    }
}

lk_status ending_status(const ending *end)
{
    if (*end->killed || *end->lost || !is_ours(end->status)) return LK_ERR_PEER;
    return *end->said || end->status == LK_STOPPED ? (lk_status)end->status : LK_ERR_PEER;
}

const char *ending_describe(const ending *end, char text[ENDING_BYTES])
{
    const int number = end->status - BY_SIGNAL;

    if (*end->lost) snprintf(text, ENDING_BYTES, "host %s was lost", end->lost);
    else if (*end->killed) snprintf(text, ENDING_BYTES, "%s", end->killed);
    else if (number > 0 && number < NSIG)
        snprintf(text, ENDING_BYTES, "a worker, or what starts them, was ended by signal %d (%s)", number,
                 strsignal(number));
    else if (*end->said) snprintf(text, ENDING_BYTES, "exit status %d: %s", end->status, end->said);
    else snprintf(text, ENDING_BYTES, "exit status %d, and no worker has said why", end->status);
    return text;
}

bool ending_comes_again(const ending *end)
{
    switch (ending_status(end)) {
    case LK_ERR_USAGE:
    case LK_ERR_DATA:
    case LK_ERR_CHECKPOINT:
    case LK_ERR_NUMBERS: return true;
    default: return false;
    }
}

bool ending_is_repeated(const ending *before, const ending *end)
{
    if (strstr(end->killed, "on signal 9 ") || end->status == BY_SIGNAL + SIGKILL) return false;
    return before->status == end->status && strcmp(before->said, end->said) == 0 &&
           strcmp(before->killed, end->killed) == 0 && strcmp(before->lost, end->lost) == 0;
}
