/* Windows of a running text, in files that several data sets may share. */
#include "io/data/windows.h"

#include <stdlib.h>
#include <string.h>

typedef struct token_file {
    int n_users;           /* windows that hold it; the last one frees it */
    char *path;            /* owned */
    lk_tokens tokens;
} token_file;

/* A run of windows of one file. */
typedef struct piece {
    token_file *file;
    int64_t first, n;      /* windows of the file */
} piece;

struct lk_windows {
    int64_t sequence, n_values, n;
    piece *piece;          /* (n_pieces), owned */
    int64_t n_pieces;
};

lk_status lk_windows_new(int64_t sequence, int64_t n_values, lk_windows **out)
{
    *out = calloc(1, sizeof **out);
    LK_TRY_ALLOC(*out, sizeof **out);
    (*out)->sequence = sequence;
    (*out)->n_values = n_values;
    return LK_OK;
}

static void leave_file(token_file *file)
{
    if (--file->n_users > 0) return;
    lk_tokens_free(&file->tokens);
    free(file->path);
    free(file);
}

void lk_windows_free(lk_windows **windows)
{
    if (!*windows) return;
    for (int64_t p = 0; p < (*windows)->n_pieces; p++) leave_file((*windows)->piece[p].file);
    free((*windows)->piece);
    free(*windows);
    *windows = NULL;
}

static lk_status add_piece(lk_windows *w, token_file *file, int64_t first, int64_t n)
{
    piece *grown = realloc(w->piece, (size_t)(w->n_pieces + 1) * sizeof *grown);

    LK_TRY_ALLOC(grown, (size_t)(w->n_pieces + 1) * sizeof *grown);
    w->piece = grown;
    w->piece[w->n_pieces++] = (piece){file, first, n};
    w->n += n;
    file->n_users++;
    return LK_OK;
}

lk_status lk_windows_add(lk_windows *windows, const char *path, lk_tokens *tokens)
{
    const int64_t n = (tokens->n - 1) / windows->sequence;
    token_file *file;

    if (tokens->n <= windows->sequence)
        return LK_FAIL(LK_ERR_DATA, "%s has %lld tokens; data.sequence %lld takes so many for a window, and one more",
                       path, (long long)tokens->n, (long long)windows->sequence);
    file = calloc(1, sizeof *file);
    LK_TRY_ALLOC(file, sizeof *file);
    file->path = strdup(path);
    const lk_status status =
        file->path ? add_piece(windows, file, 0, n) : LK_FAIL(LK_ERR_SYSTEM, "out of memory: a file's name");
    if (status == LK_OK) {
        file->tokens = *tokens, *tokens = (lk_tokens){0};
        return LK_OK;
    }
    free(file->path);
    free(file);
    return status;
}

lk_status lk_windows_join(lk_windows *to, lk_windows **from)
{
    lk_status status = LK_OK;

    for (int64_t p = 0; p < (*from)->n_pieces && status == LK_OK; p++) {
        const piece *it = &(*from)->piece[p];
        status = add_piece(to, it->file, it->first, it->n);
    }
    lk_windows_free(from);
    return status;
}

lk_status lk_windows_split(lk_windows *windows, int64_t n, lk_windows **out)
{
    int64_t begin = 0, kept = windows->n - n;

    LK_TRY(lk_windows_new(windows->sequence, windows->n_values, out));
    for (int64_t p = 0; p < windows->n_pieces; p++) {
        piece *it = &windows->piece[p];
        const int64_t here = kept <= begin ? 0 : kept - begin < it->n ? kept - begin : it->n;

        if (here < it->n) LK_TRY(add_piece(*out, it->file, it->first + here, it->n - here));
        begin += it->n;
        it->n = here;
    }
    windows->n = kept;
    return LK_OK;
}

/* -------------------------------------------------------------------- access */

int64_t lk_windows_n(const lk_windows *windows) { return windows->n; }
int64_t lk_windows_sequence(const lk_windows *windows) { return windows->sequence; }
int64_t lk_windows_n_values(const lk_windows *windows) { return windows->n_values; }

size_t lk_windows_nbytes(const lk_windows *windows)
{
    size_t nbytes = 0;

    for (int64_t p = 0; p < windows->n_pieces; p++) {
        const lk_tokens *t = &windows->piece[p].file->tokens;
        nbytes += t->owned ? (size_t)t->n * sizeof *t->owned : 0;
    }
    return nbytes;
}

/* The window's first token in its file. */
static const token_file *find(const lk_windows *w, int64_t i, int64_t *place)
{
    const piece *p = w->piece;

    for (; i >= p->n; p++) i -= p->n;
    *place = (p->first + i) * w->sequence;
    return p->file;
}

static lk_status outside(const lk_windows *w, const token_file *file, int64_t place)
{
    return LK_FAIL(LK_ERR_DATA, "%s: token %lld is %d, outside the vocabulary, which has %lld; see data.vocabulary",
                   file->path, (long long)place, file->tokens.at[place], (long long)w->n_values);
}

lk_status lk_windows_get(const lk_windows *w, int64_t i, int32_t *tokens, int32_t *target)
{
    int64_t place;
    const token_file *file = find(w, i, &place);
    const uint16_t *at = file->tokens.at + place;

    for (int64_t t = 0; t <= w->sequence; t++) {
        if (at[t] >= w->n_values) return outside(w, file, place + t);
        if (tokens && t < w->sequence) tokens[t] = at[t];
        if (target && t > 0) target[t - 1] = at[t];
    }
    return LK_OK;
}

int32_t lk_windows_target(const lk_windows *windows, int64_t i, int64_t t)
{
    int64_t place;
    const token_file *file = find(windows, i, &place);

    return file->tokens.at[place + t + 1];
}

void lk_windows_visit(const lk_windows *windows, void (*visit)(void *arg, const char *path, int64_t n), void *arg)
{
    for (int64_t p = 0; p < windows->n_pieces; p++)
        visit(arg, windows->piece[p].file->path, windows->piece[p].file->tokens.n);
}
