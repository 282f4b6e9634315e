/*
 * The text side of CSV: records and cells, as RFC 4180 has them, with what spreadsheets do on top.
 *
 * The whole file is read and cells are cut out of it in place, so no cell is copied.  Quoted cells may hold
 * delimiters, line ends and doubled quotes.  LF and CRLF both end lines, and CR alone where a file has no LF; a UTF-8
 * byte order mark is skipped, blanks around a cell that is not quoted are not part of it; blank lines, and comments
 * where the recipe says how they begin, are no records.
 */
#include "io/data/kinds/csv_text.h"

#include <stdlib.h>
#include <string.h>

#include "io/data/data.h"
#include "io/file/data_file.h"

enum { FIRST_CAPACITY = 64 };

bool lk_utf8_valid(const char *text)
{
    /* Ranges of the second byte by lead byte, RFC 3629 section 4: no overlong forms, no surrogates. */
    for (const unsigned char *p = (const unsigned char *)text; *p;) {
        unsigned low = 0x80, high = 0xBF;
        int tail;

        if (*p < 0x80) tail = 0;
        else if (*p >= 0xC2 && *p <= 0xDF) tail = 1;
        else if (*p >= 0xE0 && *p <= 0xEF) tail = 2, low = *p == 0xE0 ? 0xA0 : low, high = *p == 0xED ? 0x9F : high;
        else if (*p >= 0xF0 && *p <= 0xF4) tail = 3, low = *p == 0xF0 ? 0x90 : low, high = *p == 0xF4 ? 0x8F : high;
        else return false;
        for (p++; tail > 0; tail--, p++, low = 0x80, high = 0xBF)
            if (*p < low || *p > high) return false;
    }
    return true;
}

static lk_status parse_delimiter(const char *word, lk_csv *csv)
{
    csv->blanks = false;
    if (!word || !*word) csv->delimiter = ',';
    else if (strcmp(word, "tab") == 0 || strcmp(word, "\\t") == 0) csv->delimiter = '\t';
    else if (strcmp(word, "space") == 0 || strcmp(word, " ") == 0) csv->delimiter = ' ', csv->blanks = true;
    else if (strlen(word) == 1 && !strchr("\"\r\n", *word)) csv->delimiter = *word;
    else return LK_FAIL(LK_ERR_USAGE, "data.delimiter is `%s`; it must be one character, tab or space", word);
    return LK_OK;
}

static int64_t count_lines(const char *text)
{
    int64_t n = 1;

    for (const char *p = text; (p = strchr(p, '\n')); p++) n++;
    return n;
}

static lk_status open_text(const char *path, const char *delimiter, lk_csv *csv)
{
    static const char byte_order_mark[] = "\xEF\xBB\xBF";
    size_t nbytes;

    csv->path = path;
    csv->line = 1;
    LK_TRY(parse_delimiter(delimiter, csv));
    LK_TRY(lk_data_file_read(path, &csv->text, &nbytes));
    if (strlen(csv->text) != nbytes) {
        csv->text[strlen(csv->text)] = '\0';
        return LK_FAIL(LK_ERR_DATA, "%s:%lld: a NUL byte: not a text file, or UTF-16; save it as UTF-8", path,
                       (long long)count_lines(csv->text));
    }
    if (!strchr(csv->text, '\n'))
        for (char *p = csv->text; (p = strchr(p, '\r')); p++) *p = '\n';
    csv->at = csv->text;
    if (strncmp(csv->at, byte_order_mark, strlen(byte_order_mark)) == 0) csv->at += strlen(byte_order_mark);
    if (csv->at[strspn(csv->at, " \t\r\n")] == '\0') return LK_FAIL(LK_ERR_DATA, "%s is empty", path);
    csv->max_records = count_lines(csv->at);
    return LK_OK;
}

lk_status lk_csv_open(const char *path, const char *delimiter, const char *comment, lk_csv *out)
{
    memset(out, 0, sizeof *out);
    out->comment = comment;
    const lk_status status = open_text(path, delimiter, out);
    if (status != LK_OK) lk_csv_close(out);
    return status;
}

void lk_csv_close(lk_csv *csv)
{
    lk_free(&csv->cell);
    lk_free(&csv->text);
    memset(csv, 0, sizeof *csv);
}

/* A blank that does not separate cells: never part of a cell that is not quoted. */
static bool is_blank(const lk_csv *csv, char c)
{
    return c == ' ' || c == '\r' || (c == '\t' && csv->delimiter != '\t');
}

static bool is_delimiter(const lk_csv *csv, char c)
{
    return csv->blanks ? c == ' ' || c == '\t' : c == csv->delimiter;
}

static lk_status add_cell(lk_csv *csv, char *cell)
{
    if (csv->n_cells == csv->capacity) {
        const size_t capacity = csv->capacity ? 2 * csv->capacity : FIRST_CAPACITY;
        char **grown = realloc(csv->cell, capacity * sizeof *grown);
        LK_TRY_ALLOC(grown, capacity * sizeof *grown);
        csv->cell = grown;
        csv->capacity = capacity;
    }
    csv->cell[csv->n_cells++] = cell;
    return LK_OK;
}

/* Cuts the quoted cell whose opening quote is at `quote`; *next is the byte after the closing one. */
static lk_status cut_quoted(lk_csv *csv, char *quote, char **end, char **next)
{
    const int64_t opened = csv->line;
    char *from = quote + 1, *to = quote + 1;

    for (; *from != '"' || from[1] == '"'; from++) {
        if (!*from)
            return LK_FAIL(LK_ERR_DATA, "%s:%lld: a quote opens in cell %zu and never closes", csv->path,
                           (long long)opened, csv->n_cells + 1);
        if (*from == '"') from++;
        csv->line += *from == '\n';
        *to++ = *from;
    }
    *end = to;
    from++;
    while (*from == '\r' || (!csv->blanks && is_blank(csv, *from))) from++;
    if (*from && *from != '\n' && !is_delimiter(csv, *from))
        return LK_FAIL(LK_ERR_DATA, "%s:%lld: text after the closing quote of cell %zu", csv->path,
                       (long long)csv->line, csv->n_cells + 1);
    *next = from;
    return LK_OK;
}

/* Cuts one cell; *last when it ends the record. */
static lk_status next_cell(lk_csv *csv, bool *last)
{
    char *begin = csv->at, *end = begin, *next = begin;

    while (is_blank(csv, *begin)) begin++;
    if (*begin == '"') {
        LK_TRY(cut_quoted(csv, begin, &end, &next));
        begin++;
    } else {
        for (next = begin; *next && *next != '\n' && !is_delimiter(csv, *next);) next++;
        for (end = next; end > begin && is_blank(csv, end[-1]);) end--;
    }
    if (csv->blanks)
        while (is_blank(csv, *next)) next++;

    /* After a run of blanks `next` is already the following cell; else it is the byte that ended this one. */
    *last = !*next || *next == '\n';
    csv->line += *next == '\n';
    csv->at = *next == '\n' || (*next && !csv->blanks) ? next + 1 : next;
    *end = '\0';
    return add_cell(csv, begin);
}

/* Whether the next line is blank, or a comment. */
static bool is_no_record(const lk_csv *csv)
{
    const char *p = csv->at;

    if (csv->comment && strncmp(p, csv->comment, strlen(csv->comment)) == 0) return true;
    while (is_blank(csv, *p)) p++;
    return *p == '\n' || *p == '\0';
}

static void skip_line(lk_csv *csv)
{
    csv->at += strcspn(csv->at, "\n");
    if (!*csv->at) return;
    csv->at++;
    csv->line++;
}

lk_status lk_csv_next(lk_csv *csv, bool *more)
{
    bool last = false;

    while (*csv->at && is_no_record(csv)) skip_line(csv);
    *more = *csv->at != '\0';
    if (!*more) return LK_OK;
    csv->n_cells = 0;
    csv->record_line = csv->line;
    while (!last) LK_TRY(next_cell(csv, &last));
    return LK_OK;
}
