/* JSON helpers that the files of io/ share. */
#ifndef LK_IO_JSON_H
#define LK_IO_JSON_H

#include <jansson.h>

/* A JSON string of any text: bytes that are not UTF-8 (a file's name, say) become '?'.  NULL when out of memory. */
json_t *lk_json_text(const char *text);

#endif
