/* JSON helpers that the files of io/ share. */
#include "io/file/json.h"

#include <stdlib.h>
#include <string.h>

json_t *lk_json_text(const char *text)
{
    json_t *string = json_string(text); /* refuses what is not UTF-8 */
    char *ascii = string ? NULL : strdup(text);

    if (!ascii) return string;
    for (char *c = ascii; *c; c++)
        if ((unsigned char)*c >= 0x80) *c = '?';
    string = json_string(ascii);
    free(ascii);
    return string;
}
