/*
 * Where a recipe's keys were written: the file and line, or the override, for messages of whoever finds a fault later.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/recipe/parts.h"

enum { MOST_WHERE_BYTES = 4096 };

void lk_recipe_free_lines(lk_recipe_lines **lines)
{
    if (!*lines) return;
    for (size_t i = 0; i < (*lines)->n; i++) {
        free((*lines)->line[i].path);
        free((*lines)->line[i].where);
    }
    free((*lines)->line);
    free(*lines);
    *lines = NULL;
}

static lk_status make_room(lk_recipe_lines **lines)
{
    if (!*lines) *lines = calloc(1, sizeof **lines);
    LK_TRY_ALLOC(*lines, sizeof **lines);
    const size_t nbytes = ((*lines)->n + 1) * sizeof *(*lines)->line;
    lk_recipe_line *grown = realloc((*lines)->line, nbytes);
    LK_TRY_ALLOC(grown, nbytes);
    (*lines)->line = grown;
    return LK_OK;
}

lk_status lk_recipe_keep_line(lk_recipe_lines **lines, const lk_yaml *yaml, const char *path, int node)
{
    const char *override = lk_yaml_override(yaml, node);
    char where[MOST_WHERE_BYTES];

    if (override) snprintf(where, sizeof where, "%s", override);
    else if (lk_yaml_line(yaml, node)) snprintf(where, sizeof where, "%s:%d", yaml->name, lk_yaml_line(yaml, node));
    else return LK_OK;
    LK_TRY(make_room(lines));
    lk_recipe_line *line = &(*lines)->line[(*lines)->n];
    *line = (lk_recipe_line){.path = strdup(path), .where = strdup(where)};
    (*lines)->n++;
    LK_TRY_ALLOC(line->path && line->where ? line : NULL, strlen(path) + strlen(where));
    return LK_OK;
}

const char *lk_recipe_where(const lk_recipe *recipe, const char *key)
{
    for (size_t i = 0; recipe->lines && i < recipe->lines->n; i++)
        if (strcmp(recipe->lines->line[i].path, key) == 0) return recipe->lines->line[i].where;
    return recipe->path;
}
