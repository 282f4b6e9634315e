/*
 * The file that a recipe's network comes from (model.plugin): the same one on every worker, or their weights would part
 * without a word; and on resume the one that the run began with.  It is known by the hash of its bytes, so a plug-in
 * that was compiled again is another one.
 */
#include "launch/job/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

lk_status job_compare_plugin(job *j)
{
    const char *file = j->whole->model.plugin.file;
    char first[LK_HASH_BYTES];
    const lk_status mine = file ? lk_file_hash(file, j->plugin_hash) : LK_OK; /* told after what all take part in */

    memcpy(first, j->plugin_hash, sizeof first);
    LK_TRY(lk_world_broadcast(j->world, first, sizeof first));
    LK_TRY(mine);
    if (strcmp(first, j->plugin_hash) == 0) return LK_OK;
    return LK_FAIL(LK_ERR_USAGE, "model.plugin: the %s that this worker has is not rank 0's: every host must have the "
                   "same file", file);
}

lk_status job_check_plugin(const job *j, const char *saved_file, const char *saved_hash, bool may_differ)
{
    const char *file = j->whole->model.plugin.file;
    lk_status status = LK_OK;
    char *text;

    if (strcmp(saved_hash ? saved_hash : "", j->plugin_hash) == 0) return LK_OK;
    if (asprintf(&text, "model.plugin: the checkpoint was trained with %s (%.8s), and now it is %s (%.8s)",
                 saved_file ? saved_file : "no plug-in", saved_hash ? saved_hash : "", file ? file : "none",
                 j->plugin_hash) < 0)
        return LK_FAIL(LK_ERR_SYSTEM, "out of memory for a message on %s", file ? file : "a plug-in");
    if (!may_differ)
        status = LK_FAIL(LK_ERR_CHECKPOINT,
                         "%s: %s; resume with the file it began with, start a new run with init_from, "
                         "or go on all the same with --change",
                         lk_recipe_where(j->recipe, "model.plugin"), text);
    else if (j->leader) fprintf(stderr, "lockstep: warning: %s\n", text);
    free(text);
    return status;
}

lk_status job_say_plugin(const job *j)
{
    run_state saved;

    if (!j->checkpoint) return LK_OK;
    LK_TRY(state_get(lk_checkpoint_metadata(j->checkpoint), &saved));
    return job_check_plugin(j, saved.plugin, saved.plugin_hash, true);
}
