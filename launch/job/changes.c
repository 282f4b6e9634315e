/* What a checkpoint's run was told in another way than the recipe says now. */
#include "launch/launch.h"

#include <stdlib.h>
#include <string.h>

/* Nothing changed as far as anybody can tell, where the checkpoint's recipe can no longer be read. */
lk_status changes_since(const job *j, lk_recipe **was, lk_recipe_changes *out)
{
    const char *text;

    *out = (lk_recipe_changes){0};
    *was = NULL;
    LK_TRY(lk_metadata_get_text(lk_checkpoint_metadata(j->checkpoint), "run/recipe", &text));
    if (lk_recipe_parse(text, "the checkpoint's recipe", NULL, 0, was) != LK_OK) {
        fprintf(stderr, "lockstep: warning: what changed since the checkpoint cannot be told: %s\n",
                lk_error_message());
        return LK_OK;
    }
    const lk_status status = lk_recipe_compare(*was, j->whole, out);
    if (status != LK_OK) lk_recipe_free(was);
    return status;
}

size_t changes_count(const lk_recipe_changes *changes, bool fixed_alone)
{
    size_t n = 0;

    for (size_t i = 0; i < changes->n; i++) n += changes->change[i].fixed || !fixed_alone;
    return n;
}

char *changes_text(const lk_recipe_changes *changes, bool fixed_alone)
{
    char *text = NULL;
    size_t nbytes;
    const char *comma = "";
    FILE *stream = open_memstream(&text, &nbytes);

    for (size_t i = 0; stream && i < changes->n; i++) {
        const lk_recipe_change *c = &changes->change[i];

        if (fixed_alone && !c->fixed) continue;
        fprintf(stream, "%s%s %s -> %s%s", comma, c->key, c->was, c->is,
                c->state ? " (what the new one cannot use of its state is dropped)" : "");
        comma = ", ";
    }
    if (stream && fclose(stream) == 0) return text;
    free(text);
    return NULL;
}

lk_status job_say_differences(const job *j)
{
    lk_recipe *was;
    lk_recipe_changes changes;

    if (!j->leader || !j->checkpoint) return LK_OK;
    LK_TRY(changes_since(j, &was, &changes));
    char *text = changes_text(&changes, true);
    if (changes_count(&changes, true) > 0)
        fprintf(stderr, "lockstep: warning: this is not what %s was trained with: %s\n",
                lk_checkpoint_path(j->checkpoint), text ? text : "");
    free(text);
    lk_recipe_changes_free(&changes);
    lk_recipe_free(&was);
    return LK_OK;
}
