/*
 * What --resume goes on with, where the recipe has changed since the checkpoint: told, and refused where it would make
 * another run of it.  On the leader alone.
 */
#include "launch/train/trainer.h"

#include <stdlib.h>
#include <string.h>

/* Another seed is refused whatever is said: restore_run() holds it to the checkpoint's. */
static bool may_insist(const lk_recipe_changes *changes)
{
    for (size_t i = 0; i < changes->n; i++)
        if (strcmp(changes->change[i].key, "run.seed") == 0) return false;
    return true;
}

static lk_status refuse(const lk_recipe_changes *changes)
{
    char *text = changes_text(changes, true);
    const lk_status status = LK_FAIL(
        LK_ERR_USAGE,
        "--resume: the checkpoint belongs to another run: %s; take that back, %sbegin a new run (init_from "
        "brings the weights along)%s",
        text ? text : "", may_insist(changes) ? "" : "or ",
        may_insist(changes) ? ", or go on all the same with --change" : "");

    free(text);
    return status;
}

lk_status resume_check(trainer *t)
{
    job *j = t->j;
    lk_recipe_changes changes;

    if (!j->leader) return LK_OK;
    LK_TRY(changes_since(j, &t->recipe_before, &changes));
    const size_t n = changes.n;
    lk_status status = changes_count(&changes, true) > 0 && !t->change ? refuse(&changes) : LK_OK;
    if (status == LK_OK && n > 0) {
        t->recipe_changes = changes_text(&changes, false);
        fprintf(stderr, "lockstep: resuming at step %lld with %zu change%s: %s\n",
                (long long)lk_checkpoint_step(j->checkpoint), n, plural((int64_t)n),
                t->recipe_changes ? t->recipe_changes : "");
    }
    lk_recipe_changes_free(&changes);
    return status;
}

/* "NAME, NAME" of the tensors that are frozen now and were not, or (thawed) the other way round; owned by the caller,
 * NULL: there are none. */
static char *list_refrozen(const trainer *t, bool thawed)
{
    const job *j = t->j;
    char *text = NULL;
    size_t nbytes = 0;
    FILE *out = open_memstream(&text, &nbytes);

    for (size_t i = 0; out && i < lk_model_n_tensors(j->model); i++) {
        const lk_tensor_info *info = lk_model_tensor(j->model, i);
        const bool was = lk_recipe_frozen(t->recipe_before, j->stage, info->name);

        if (info->role != LK_ROLE_PARAM || was == lk_recipe_frozen(j->whole, j->stage, info->name) || was != thawed)
            continue;
        fprintf(out, "%s%s", ftell(out) > 0 ? ", " : "", info->name);
    }
    if (out && fclose(out) == 0 && nbytes > 0) return text;
    free(text);
    return NULL;
}

void resume_say_frozen(const trainer *t)
{
    if (!t->recipe_before || t->j->stage >= t->recipe_before->n_stages) return;
    char *frozen = list_refrozen(t, false), *thawed = list_refrozen(t, true);

    if (frozen) fprintf(stderr, "lockstep: frozen since the checkpoint: %s\n", frozen);
    if (thawed) fprintf(stderr, "lockstep: training again, with an optimizer state that begins anew: %s\n", thawed);
    free(thawed);
    free(frozen);
}
