/* What the files of io/ need of notes beyond io.h: their kinds, to write each in its own form, and copies. */
#ifndef LK_IO_NOTES_H
#define LK_IO_NOTES_H

#include "io/io.h"

typedef enum lk_note_kind { LK_NOTE_INT, LK_NOTE_REAL, LK_NOTE_TEXT } lk_note_kind;

/* Kind of note i, in the order they were set; i < lk_notes_n(). */
lk_note_kind lk_notes_kind(const lk_notes *notes, size_t i);
/* A copy that shares nothing with its source. */
lk_status lk_notes_copy(const lk_notes *notes, lk_notes **out);

#endif
