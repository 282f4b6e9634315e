/* Words of a command line; that there was no memory for one is asked once, at the end. */
#include "launch/run/words.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_ROOM = 32 };

static bool make_room(words *list)
{
    if (list->n + 1 < list->room) return true;
    const size_t room = list->room ? 2 * list->room : FIRST_ROOM;
    char **grown = realloc(list->word, room * sizeof *grown);

    if (!grown) return false;
    list->word = grown;
    list->room = room;
    return true;
}

/* Takes the word, which may be NULL for want of memory. */
static void take(words *list, char *word)
{
    if (!word || !make_room(list)) {
        list->lost = true;
        free(word);
        return;
    }
    list->word[list->n++] = word;
    list->word[list->n] = NULL;
}

void words_add(words *list, const char *word) { take(list, strdup(word)); }

void words_print(words *list, const char *format, ...)
{
    va_list args;
    char *word;

    va_start(args, format);
    const int n = vasprintf(&word, format, args);
    va_end(args);
    take(list, n < 0 ? NULL : word);
}

lk_status words_check(const words *list)
{
    return list->lost ? LK_FAIL(LK_ERR_SYSTEM, "out of memory: a command line of %zu words", list->n) : LK_OK;
}

void words_free(words *list)
{
    for (size_t i = 0; i < list->n; i++) free(list->word[i]);
    free(list->word);
    *list = (words){0};
}
