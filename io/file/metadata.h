/* What the files of io/ need of notes beyond io.h: their kinds, to write each in its own form, and copies. */
#ifndef LK_IO_METADATA_H
#define LK_IO_METADATA_H

#include "io/io.h"

typedef enum lk_note_kind { LK_NOTE_INT, LK_NOTE_REAL, LK_NOTE_TEXT } lk_note_kind;

/* Kind of note i, in the order they were set; i < lk_metadata_n(). */
lk_note_kind lk_metadata_kind(const lk_metadata *metadata, size_t i);

#endif
