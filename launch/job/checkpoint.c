/*
 * Which checkpoint is meant, opened by one process or by all.  A run, or its folder of checkpoints, means the
 * newest good one by name: whatever `latest` links to, and with a word on each that is passed over.
 */
#include "launch/launch.h"

#include <stdlib.h>
#include <sys/stat.h>

enum { PATH_BYTES = 4096 };

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

/* What the leader found, opened by all. */
static lk_status share(job *j, lk_status mine, lk_checkpoint **out)
{
    char *found = NULL;

    LK_TRY(job_agree(j, mine));
    LK_TRY(job_share_text(j, j->leader && *out ? lk_checkpoint_path(*out) : NULL, &found));
    lk_status status = LK_OK;
    if (found && !j->leader) status = lk_checkpoint_open(found, out);
    free(found);
    return job_agree(j, status);
}

lk_status job_open_newest(job *j)
{
    lk_world_progress(j->world, j->step, "read checkpoint");
    return share(j, j->leader ? newest_of_run(j->recipe->run.dir, &j->checkpoint) : LK_OK, &j->checkpoint);
}

lk_status job_open_checkpoint(job *j, const char *path, lk_checkpoint **out)
{
    lk_world_progress(j->world, j->step, "read checkpoint");
    return share(j, j->leader ? find(path, out) : LK_OK, out);
}
