/* The list of picture files: of each its folder's number, its name and its size. */
#include "io/data/pictures.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_ROOM = 64 };

typedef struct file {
    int64_t folder;
    int64_t nbytes;
    size_t name; /* in `names` */
} file;

struct lk_pictures {
    file *files;       /* (n), owned */
    int64_t n, room;
    char *names;       /* with a NUL behind each, owned */
    size_t names_nbytes, names_room;
    char **folders;    /* (n_folders), owned */
    int64_t n_folders, folders_room;
};

/* ---------------------------------------------------------------------- memory */

lk_status lk_pictures_new(lk_pictures **out)
{
    *out = calloc(1, sizeof **out);
    LK_TRY_ALLOC(*out, sizeof **out);
    return LK_OK;
}

void lk_pictures_free(lk_pictures **pictures)
{
    lk_pictures *p = *pictures;

    if (!p) return;
    for (int64_t f = 0; f < p->n_folders; f++) free(p->folders[f]);
    free(p->folders);
    free(p->names);
    free(p->files);
    lk_free(pictures);
}

static lk_status make_room_for_file(lk_pictures *p)
{
    if (p->n < p->room) return LK_OK;
    const int64_t room = p->room ? 2 * p->room : FIRST_ROOM;
    file *grown = realloc(p->files, (size_t)room * sizeof *grown);
    LK_TRY_ALLOC(grown, (size_t)room * sizeof *grown, "a list of pictures");
    p->files = grown;
    p->room = room;
    return LK_OK;
}

static lk_status make_room_for_name(lk_pictures *p, size_t nbytes)
{
    if (p->names_nbytes + nbytes <= p->names_room) return LK_OK;
    const size_t room = 2 * p->names_room + nbytes;
    char *grown = realloc(p->names, room);
    LK_TRY_ALLOC(grown, room, "names of pictures");
    p->names = grown;
    p->names_room = room;
    return LK_OK;
}

static lk_status make_room_for_folder(lk_pictures *p)
{
    if (p->n_folders < p->folders_room) return LK_OK;
    const int64_t room = p->folders_room ? 2 * p->folders_room : FIRST_ROOM;
    char **grown = realloc(p->folders, (size_t)room * sizeof *grown);
    LK_TRY_ALLOC(grown, (size_t)room * sizeof *grown, "a list of folders");
    p->folders = grown;
    p->folders_room = room;
    return LK_OK;
}

/* ------------------------------------------------------------------------ list */

lk_status lk_pictures_add_folder(lk_pictures *p, const char *path, int64_t *folder)
{
    LK_TRY(make_room_for_folder(p));
    char *copy = strdup(path);
    LK_TRY_ALLOC(copy, strlen(path) + 1);
    *folder = p->n_folders;
    p->folders[p->n_folders++] = copy;
    return LK_OK;
}

const char *lk_pictures_folder(const lk_pictures *pictures, int64_t folder) { return pictures->folders[folder]; }
int64_t lk_pictures_n_folders(const lk_pictures *pictures) { return pictures->n_folders; }

lk_status lk_pictures_add(lk_pictures *p, int64_t folder, const char *name, int64_t nbytes)
{
    const size_t length = strlen(name) + 1;

    LK_TRY(make_room_for_file(p));
    LK_TRY(make_room_for_name(p, length));
    memcpy(p->names + p->names_nbytes, name, length);
    p->files[p->n++] = (file){.folder = folder, .nbytes = nbytes, .name = p->names_nbytes};
    p->names_nbytes += length;
    return LK_OK;
}

static int compare_files(const void *a, const void *b, void *arg)
{
    const file *x = a, *y = b;
    const lk_pictures *p = arg;

    if (x->folder != y->folder) return strcmp(p->folders[x->folder], p->folders[y->folder]);
    return strcmp(p->names + x->name, p->names + y->name);
}

void lk_pictures_sort(lk_pictures *p, int64_t first)
{
    if (p->n > first) qsort_r(p->files + first, (size_t)(p->n - first), sizeof *p->files, compare_files, p);
}

/* --------------------------------------------------------------------- samples */

int64_t lk_pictures_n(const lk_pictures *pictures) { return pictures->n; }

size_t lk_pictures_nbytes(const lk_pictures *p)
{
    size_t folders = (size_t)p->folders_room * sizeof *p->folders;

    for (int64_t f = 0; f < p->n_folders; f++) folders += strlen(p->folders[f]) + 1;
    return folders + p->names_room + (size_t)p->room * sizeof *p->files;
}

const char *lk_pictures_path(const lk_pictures *p, int64_t sample, char out[LK_SAMPLE_FILE_BYTES])
{
    const file *f = &p->files[sample];

    snprintf(out, LK_SAMPLE_FILE_BYTES, "%s/%s", p->folders[f->folder], p->names + f->name);
    return out;
}

lk_status lk_pictures_decode(const lk_pictures *pictures, int64_t sample, lk_raster *out)
{
    char path[LK_SAMPLE_FILE_BYTES];

    return lk_raster_read(lk_pictures_path(pictures, sample, path), out);
}

void lk_pictures_visit(const lk_pictures *p, void (*visit)(void *arg, const char *name, int64_t nbytes), void *arg)
{
    for (int64_t i = 0; i < p->n; i++) visit(arg, p->names + p->files[i].name, p->files[i].nbytes);
}

/* -------------------------------------------------------------- join and split */

lk_status lk_pictures_join(lk_pictures *to, lk_pictures *from)
{
    const int64_t first = to->n_folders;
    int64_t folder;

    for (int64_t f = 0; f < from->n_folders; f++) LK_TRY(lk_pictures_add_folder(to, from->folders[f], &folder));
    for (int64_t i = 0; i < from->n; i++) {
        const file *f = &from->files[i];
        LK_TRY(lk_pictures_add(to, first + f->folder, from->names + f->name, f->nbytes));
    }
    from->n = 0;
    return LK_OK;
}

/* The names that have moved stay where they were, too: only order is taken from this list. */
lk_status lk_pictures_split(lk_pictures *p, const bool *held_out, lk_pictures **out)
{
    const int64_t n = p->n;
    int64_t folder;

    LK_TRY(lk_pictures_new(out));
    for (int64_t f = 0; f < p->n_folders; f++) LK_TRY(lk_pictures_add_folder(*out, p->folders[f], &folder));
    p->n = 0;
    for (int64_t i = 0; i < n; i++) {
        const file f = p->files[i];
        if (!held_out[i]) p->files[p->n++] = f;
        else LK_TRY(lk_pictures_add(*out, f.folder, p->names + f.name, f.nbytes));
    }
    return LK_OK;
}
