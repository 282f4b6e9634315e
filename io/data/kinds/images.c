/*
 * The kind `images`: a folder for each class, with JPEG and PNG files in it and in the folders below, in the order of
 * torchvision's ImageFolder: classes by name, a class's folders by path, a folder's files by name, all by bytes.
 *
 * Names and sizes are read here, 1.3 million of them in some seconds; a picture when it is wanted (pictures.c).
 * Classes are the names of the training part's folders, so validation may lack some, and has none of its own.  Without
 * a target, a folder of pictures alone is read too.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "io/data/data.h"
#include "io/file/data_file.h"

#define ENDINGS ".jpg, .jpeg and .png"

/* Files that are no pictures. */
typedef struct others {
    int64_t n;
    char first[LK_SAMPLE_FILE_BYTES];
} others;

/* --------------------------------------------------------------------- folders */

static bool is_picture(const char *name)
{
    static const char *const endings[] = {".jpg", ".jpeg", ".png"};
    const char *dot = strrchr(name, '.');

    for (size_t i = 0; dot && i < sizeof endings / sizeof *endings; i++)
        if (strcasecmp(dot, endings[i]) == 0) return true;
    return false;
}

static lk_status join_path(const char *folder, const char *name, char out[LK_SAMPLE_FILE_BYTES])
{
    if (snprintf(out, LK_SAMPLE_FILE_BYTES, "%s/%s", folder, name) < LK_SAMPLE_FILE_BYTES) return LK_OK;
    return LK_FAIL(LK_ERR_DATA, "%s/%.64s...: a name of more than %d bytes", folder, name, LK_SAMPLE_FILE_BYTES - 1);
}

/* A folder joins the list of those to be read, a picture that of pictures. */
static lk_status take_entry(lk_pictures *p, int64_t folder, int dir, const char *name, others *left_out)
{
    char path[LK_SAMPLE_FILE_BYTES];
    struct stat info;
    int64_t unused;

    LK_TRY(join_path(lk_pictures_folder(p, folder), name, path));
    lk_alive();
    const bool there = fstatat(dir, name, &info, 0) == 0;
    if (there && S_ISDIR(info.st_mode)) return lk_pictures_add_folder(p, path, &unused);
    if (is_picture(name) && there) return lk_pictures_add(p, folder, name, (int64_t)info.st_size);
    if (is_picture(name)) return LK_FAIL(LK_ERR_DATA, "cannot read %s: %s", path, strerror(errno));
    if (left_out->n++ == 0) snprintf(left_out->first, sizeof left_out->first, "%s", path);
    return LK_OK;
}

static lk_status read_entries(lk_pictures *p, int64_t folder, DIR *dir, others *left_out)
{
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (!entry) break;
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            LK_TRY(take_entry(p, folder, dirfd(dir), entry->d_name, left_out));
    }
    if (errno == 0) return LK_OK;
    return LK_FAIL(LK_ERR_DATA, "cannot read %s: %s", lk_pictures_folder(p, folder), strerror(errno));
}

static lk_status read_folder(lk_pictures *p, int64_t folder, others *left_out)
{
    const char *path = lk_pictures_folder(p, folder);
    DIR *dir = opendir(path);

    if (!dir)
        return LK_FAIL(LK_ERR_DATA, "cannot open the folder %s: %s; " LK_WHERE_PATHS_BEGIN, path, strerror(errno));
    const lk_status status = read_entries(p, folder, dir, left_out);
    closedir(dir);
    return status;
}

/* --------------------------------------------------------------------- classes */

static int compare_texts(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* All pictures of a folder and of those below it. */
static lk_status read_class(lk_pictures *p, const char *path, others *left_out)
{
    const int64_t first = lk_pictures_n(p);
    int64_t folder;

    LK_TRY(lk_pictures_add_folder(p, path, &folder));
    for (; folder < lk_pictures_n_folders(p); folder++) LK_TRY(read_folder(p, folder, left_out));
    lk_pictures_sort(p, first);
    if (lk_pictures_n(p) > first) return LK_OK;
    return LK_FAIL(LK_ERR_DATA, "%s: a class's folder without a picture (" ENDINGS "); fill it, or take it away", path);
}

/* Checkpoints keep it in JSON. */
static lk_status check_name(const char *path)
{
    json_t *text = json_string(strrchr(path, '/') + 1);

    if (!text) return LK_FAIL(LK_ERR_DATA, "%s: the name of a class's folder must be UTF-8; rename it", path);
    json_decref(text);
    return LK_OK;
}

/* The pictures from `first` on are of this class. */
static lk_status label_class(lk_table *t, const char *path, int64_t first)
{
    LK_TRY(check_name(path));
    const int64_t n = lk_pictures_n(t->pictures), word = lk_vocabulary_add(&t->label_words, strrchr(path, '/') + 1);
    int32_t *label = realloc(t->label, (size_t)n * sizeof *label);

    if (!label || word < 0) return LK_FAIL(LK_ERR_SYSTEM, "out of memory: labels of %lld pictures", (long long)n);
    t->label = label;
    for (int64_t i = first; i < n; i++) label[i] = (int32_t)word;
    return LK_OK;
}

static lk_status read_classes(const char **paths, int64_t n, bool want_target, others *left_out, lk_table *t)
{
    qsort(paths, (size_t)n, sizeof *paths, compare_texts);
    for (int64_t c = 0; c < n; c++) {
        const int64_t first = lk_pictures_n(t->pictures);
        LK_TRY(read_class(t->pictures, paths[c], left_out));
        if (want_target) LK_TRY(label_class(t, paths[c], first));
    }
    return LK_OK;
}

/* ------------------------------------------------------------------------ kind */

/* `top` has the part's folder and what lies in it: classes, or without a target pictures alone. */
static lk_status read_below(lk_pictures *top, bool want_target, others *left_out, lk_table *t)
{
    const int64_t n = lk_pictures_n_folders(top) - 1;
    const char *dir = lk_pictures_folder(top, 0);

    if (n == 0 && want_target)
        return LK_FAIL(LK_ERR_DATA, "%s has no folder in it; data.kind images wants one for each class", dir);
    if (n == 0) {
        lk_pictures_sort(top, 0);
        return lk_pictures_join(t->pictures, top);
    }
    const char **paths = malloc((size_t)n * sizeof *paths);
    LK_TRY_ALLOC(paths, (size_t)n * sizeof *paths);
    for (int64_t f = 0; f < n; f++) paths[f] = lk_pictures_folder(top, 1 + f);
    const lk_status status = read_classes(paths, n, want_target, left_out, t);
    free(paths);
    return status;
}

static lk_status warn(const char *dir, const others *left_out, int64_t beside, lk_table *t)
{
    const long long n = (long long)left_out->n;

    if (n > 0)
        LK_TRY(lk_warning_add(&t->warnings, "%s: %lld file%s no name in " ENDINGS " and %s left out: %s%s", dir, n,
                              n == 1 ? " has" : "s have", n == 1 ? "is" : "are", left_out->first,
                              n == 1 ? "" : ", ..."));
    if (beside > 0)
        LK_TRY(lk_warning_add(&t->warnings, "%s: %lld picture%s in no class's folder and %s left out", dir,
                              (long long)beside, beside == 1 ? " is" : "s are", beside == 1 ? "is" : "are"));
    return LK_OK;
}

static lk_status read_part(const lk_source *source, lk_pictures *top, lk_table *t)
{
    others left_out = {0};
    int64_t folder;

    LK_TRY(lk_pictures_new(&t->pictures));
    LK_TRY(lk_pictures_add_folder(top, source->file, &folder));
    LK_TRY(read_folder(top, folder, &left_out));
    LK_TRY(read_below(top, source->want_target, &left_out, t));
    LK_TRY(warn(source->file, &left_out, lk_pictures_n(top), t));
    t->n = lk_pictures_n(t->pictures);
    return t->n > 0 ? LK_OK : LK_FAIL(LK_ERR_DATA, "%s: no picture (" ENDINGS ") in it", source->file);
}

lk_status lk_read_images(const lk_data_spec *spec, const lk_source *source, lk_data_stats *stats, lk_table *out)
{
    lk_pictures *top;

    (void)spec;
    if (!source->labels)
        return LK_FAIL(LK_ERR_USAGE, "data.kind images has class labels; set loss.kind to cross_entropy");
    /* Sizes differ: transforms make one of them. */
    memcpy(stats->image, (int64_t[]){LK_RASTER_CHANNELS, 0, 0}, sizeof stats->image);
    if (source->want_target && !stats->target_name) LK_TRY(lk_stats_set_target(stats, "label", 0));
    out->path = source->file;
    out->of_bytes = out->unit = true;
    out->n_columns = LK_RASTER_CHANNELS;
    LK_TRY(lk_pictures_new(&top));
    const lk_status status = read_part(source, top, out);
    lk_pictures_free(&top);
    return status;
}
