/*
 * Which checkpoint is meant, opened by one process or by all.  A run, or its folder of checkpoints, means the
 * newest good one by name: whatever `latest` links to, and with a word on each that is passed over.
 */
#include "launch/launch.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { PATH_BYTES = 4096, MESSAGE_BYTES = 2048 };

static bool exists(const char *dir, const char *name)
{
    char path[PATH_BYTES];
    struct stat info;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    return stat(path, &info) == 0;
}

static void warn(void *arg, const char *message)
{
    (void)arg;
    fprintf(stderr, "lockstep: warning: %s\n", message);
}

/* *out stays NULL when the run has none. */
static lk_status newest_of_run(const char *dir, lk_checkpoint **out)
{
    char inside[PATH_BYTES];

    snprintf(inside, sizeof inside, "%s/checkpoints", dir);
    return exists(dir, "checkpoints") ? lk_checkpoint_newest(inside, warn, NULL, out) : LK_OK;
}

/* Others' weights, as they lie in a folder of Hugging Face's. */
static lk_status point_to_weights(const char *dir)
{
    static const char *const names[] = {"model.safetensors.index.json", "model.safetensors"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (exists(dir, names[i]))
            return LK_FAIL(LK_ERR_CHECKPOINT, "%s is no run, and no checkpoint is in it; its weights are named by "
                           "their file: %s/%s", dir, dir, names[i]);
    return LK_OK;
}

/* The same of a run, a folder of checkpoints, or a checkpoint itself. */
static lk_status find(const char *path, lk_checkpoint **out)
{
    if (exists(path, "checkpoints")) return newest_of_run(path, out);
    if (!exists(path, "index.h5")) {
        LK_TRY(lk_checkpoint_newest(path, warn, NULL, out));
        if (*out) return LK_OK;
        LK_TRY(point_to_weights(path));
    }
    return lk_checkpoint_open(path, out);
}

lk_status open_checkpoint(const char *path, lk_checkpoint **out)
{
    LK_TRY(find(path, out));
    return *out ? LK_OK : LK_FAIL(LK_ERR_CHECKPOINT, "there is no checkpoint in %s yet", path);
}

/* ------------------------------------------------------------------ by all */

/* Each verifies its part; LK_ERR_CHECKPOINT: some part is not good, which all know. */
static lk_status verify_and_open(job *j, const char *path, lk_checkpoint **out)
{
    const int rank = lk_world_rank(j->world), size = lk_world_size(j->world);

    LK_TRY(lk_world_agree(j->world, lk_checkpoint_verify_part(path, rank, size)));
    return lk_world_agree(j->world, lk_checkpoint_open_verified(path, out));
}

/* Cuts the first line off; *text becomes what follows it, NULL: nothing. */
static char *next_line(char **text)
{
    char *line = *text, *end = strchr(line, '\n');

    if (end) *end = '\0';
    *text = end && end[1] ? end + 1 : NULL;
    return line;
}

/* The first of these that is good; each that is not is told by the leader. */
static lk_status open_first(job *j, const char *path, char *paths, lk_checkpoint **out)
{
    char first[MESSAGE_BYTES] = "";
    size_t n = 0;

    for (char *rest = paths; rest; n++) {
        const lk_status status = verify_and_open(j, next_line(&rest), out);

        if (status != LK_ERR_CHECKPOINT) return status;
        lk_checkpoint_free(out); /* of a worker that could open it where another could not */
        if (n == 0) snprintf(first, sizeof first, "%s", lk_error_message());
        if (j->leader) warn(NULL, lk_error_message());
    }
    return LK_FAIL(LK_ERR_CHECKPOINT, "none of the %zu checkpoints under %s is good; the newest: %s", n, path, first);
}

/* What the leader finds at a path; *paths stays NULL when that is a run without checkpoints. */
static lk_status look(const char *path, char **paths, bool *any)
{
    LK_TRY(lk_checkpoint_candidates(path, paths, any));
    if (!*any && !exists(path, "index.h5")) LK_TRY(point_to_weights(path));
    return LK_OK;
}

static lk_status open_by_all(job *j, const char *path, lk_checkpoint **out)
{
    char *found = NULL, *paths = NULL;
    bool any = false;
    lk_status status = job_agree(j, j->leader ? look(path, &found, &any) : LK_OK);

    if (status == LK_OK) status = lk_world_broadcast(j->world, &any, sizeof any);
    if (status == LK_OK) status = job_agree(j, job_share_text(j, found, &paths));
    if (status == LK_OK && paths) {
        status = any ? open_first(j, path, paths, out) : verify_and_open(j, paths, out);
        j->agreed = status != LK_OK;
    }
    free(paths);
    free(found);
    return status;
}

lk_status job_open_newest(job *j)
{
    const char *dir = j->recipe->run.dir;
    int64_t is_there = exists(dir, "checkpoints");

    lk_world_progress(j->world, j->step, "read checkpoint");
    LK_TRY(lk_world_broadcast(j->world, &is_there, sizeof is_there));
    return is_there ? open_by_all(j, dir, &j->checkpoint) : LK_OK;
}

lk_status job_open_checkpoint(job *j, const char *path, lk_checkpoint **out)
{
    lk_world_progress(j->world, j->step, "read checkpoint");
    return open_by_all(j, path, out);
}
