/* Records and cells of a CSV file (RFC 4180), parsed in place.  Private to io/. */
#ifndef LK_IO_CSV_H
#define LK_IO_CSV_H

#include "engine/base/base.h"

typedef struct lk_csv {
    const char *path;    /* borrowed */
    char *text;          /* the whole file, owned; cells are cut out of it */
    char *at;            /* next byte to read */
    int64_t line;        /* of `at`, from 1 */
    char delimiter;
    const char *comment; /* lines that begin with it are left out; borrowed, NULL: none are */
    bool blanks;         /* runs of blanks separate, whatever their length */
    char **cell;         /* (n_cells) of the current record, in text; the array is owned */
    size_t n_cells, capacity;
    int64_t record_line; /* first line of the current record */
    int64_t max_records; /* no fewer than the file has */
} lk_csv;

/* delimiter: one character, "\\t" or "tab", "space"; NULL is a comma.  comment may be NULL.  Errors: LK_ERR_DATA
 * (absent, empty, not text), LK_ERR_USAGE (delimiter). */
lk_status lk_csv_open(const char *path, const char *delimiter, const char *comment, lk_csv *out);
void      lk_csv_close(lk_csv *csv);
/* Reads the next record into cell[]; *more is false after the last.  Errors: LK_ERR_DATA with path and line. */
lk_status lk_csv_next(lk_csv *csv, bool *more);
/* Whether text is UTF-8. */
bool      lk_utf8_valid(const char *text);

#endif
