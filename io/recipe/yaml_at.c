/* Values of a document by their dotted paths, as what fills a recipe asks for them and sets them. */
#include "io/recipe/parts.h"

#include <stdlib.h>
#include <string.h>

double lk_yaml_number_at(lk_yaml *yaml, const char *path)
{
    const char *text = lk_yaml_text_at(yaml, path);
    return text ? strtod(text, NULL) : 0;
}

bool lk_yaml_is(lk_yaml *yaml, const char *path, const char *word)
{
    const char *text = lk_yaml_text_at(yaml, path);
    return text && strcmp(text, word) == 0;
}

lk_status lk_yaml_default_to(lk_yaml *yaml, const char *section, const char *key, const char *text)
{
    const int mapping = lk_yaml_at(yaml, section);
    int node;

    if (!mapping || lk_yaml_get(yaml, mapping, key)) return LK_OK;
    LK_TRY(lk_yaml_add_text(yaml, text, &node));
    return lk_yaml_set(yaml, mapping, key, node);
}
