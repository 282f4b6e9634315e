/*
 * The folder of checkpoints: names of steps, links, removal.
 *
 *     step-00001200            published            step-00001200.partial    being written
 *     latest -> step-00001200  and best             step-00001200.deleting   being removed
 *
 * The links are for people.  Nothing here believes them: which checkpoint is the newest is told by the names, which
 * the best by what the newest says of itself.  So a file system without links, or a copy that turned them into
 * folders, will do.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/checkpoint/parts.h"
#include "io/file/files.h"

#define DELETING ".deleting"
#define PARTIAL ".partial"

lk_status lk_ckpt_path(char out[LK_CKPT_PATH_BYTES], const char *dir, const char *name)
{
    const int length = snprintf(out, LK_CKPT_PATH_BYTES, "%s/%s", dir, name);

    if (length < 0 || length >= LK_CKPT_PATH_BYTES)
        return LK_FAIL(LK_ERR_CHECKPOINT, "a path of %d bytes is too long: %s/%s", length, dir, name);
    return LK_OK;
}

void lk_step_name(char out[LK_FILE_NAME_BYTES], int64_t step, const char *suffix)
{
    snprintf(out, LK_FILE_NAME_BYTES, "step-%08" PRId64 "%s", step, suffix);
}

/* The step of exactly such a name, -1 for any other. */
static int64_t step_of(const char *name)
{
    char again[LK_FILE_NAME_BYTES];
    int64_t step;

    if (sscanf(name, "step-%" SCNd64, &step) != 1 || step < 0) return -1;
    lk_step_name(again, step, "");
    return strcmp(name, again) == 0 ? step : -1;
}

static int ascending(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static lk_status collect(DIR *folder, int64_t **steps, size_t *n)
{
    size_t room = 0;

    for (const struct dirent *entry; (entry = readdir(folder));) {
        const int64_t step = step_of(entry->d_name);

        if (step < 0) continue;
        if (*n == room) {
            room = room ? 2 * room : 16;
            int64_t *grown = realloc(*steps, room * sizeof *grown);
            LK_TRY_ALLOC(grown, room * sizeof *grown);
            *steps = grown;
        }
        (*steps)[(*n)++] = step;
    }
    return LK_OK;
}

lk_status lk_ckpt_steps(const char *dir, int64_t **out, size_t *n)
{
    DIR *folder = opendir(dir);

    *out = NULL;
    *n = 0;
    if (!folder && errno == ENOENT) return LK_OK;
    if (!folder) return LK_FAIL(LK_ERR_CHECKPOINT, "cannot list %s: %s", dir, strerror(errno));
    const lk_status status = collect(folder, out, n);
    closedir(folder);
    if (status != LK_OK) {
        lk_free(out);
        return lk_trace(status, __FILE__, __LINE__);
    }
    if (*n > 0) qsort(*out, *n, sizeof **out, ascending);
    return LK_OK;
}

int64_t lk_link_step(const char *dir, const char *link)
{
    char path[LK_CKPT_PATH_BYTES], target[LK_FILE_NAME_BYTES] = "";
    struct stat info;

    if (lk_ckpt_path(path, dir, link) != LK_OK || stat(path, &info) != 0) return -1;
    if (readlink(path, target, sizeof target - 1) < 0) return -1;
    return step_of(target);
}

lk_status lk_link_set(const char *dir, const char *link, int64_t step)
{
    char path[LK_CKPT_PATH_BYTES], temporary[LK_CKPT_PATH_BYTES];
    char name[LK_FILE_NAME_BYTES], temporary_name[LK_FILE_NAME_BYTES];
    struct stat info;

    lk_step_name(name, step, "");
    snprintf(temporary_name, sizeof temporary_name, "%s" PARTIAL, link);
    LK_TRY(lk_ckpt_path(path, dir, link));
    LK_TRY(lk_ckpt_path(temporary, dir, temporary_name));
    if (lstat(path, &info) == 0 && !S_ISLNK(info.st_mode))
        return LK_FAIL(LK_ERR_SYSTEM, "%s is no link, as after a copy that follows links, and stays what it is: remove "
                       "it", path);
    unlink(temporary); /* what a crash may have left */
    if (symlink(name, temporary) != 0 || lk_rename(temporary, path) != 0)
        return LK_FAIL(LK_ERR_SYSTEM, "cannot link %s to %s: %s", path, name, strerror(errno));
    return LK_OK;
}

bool lk_step_exists(const char *dir, int64_t step)
{
    char path[LK_CKPT_PATH_BYTES], name[LK_FILE_NAME_BYTES];

    lk_step_name(name, step, "");
    return lk_ckpt_path(path, dir, name) == LK_OK && access(path, F_OK) == 0;
}

lk_status lk_step_remove(const char *dir, int64_t step)
{
    char path[LK_CKPT_PATH_BYTES], deleting[LK_CKPT_PATH_BYTES];
    char name[LK_FILE_NAME_BYTES], deleting_name[LK_FILE_NAME_BYTES];

    lk_step_name(name, step, "");
    lk_step_name(deleting_name, step, DELETING);
    LK_TRY(lk_ckpt_path(path, dir, name));
    LK_TRY(lk_ckpt_path(deleting, dir, deleting_name));
    LK_TRY(lk_remove_tree(deleting));
    if (lk_rename(path, deleting) != 0)
        return LK_FAIL(LK_ERR_SYSTEM, "cannot rename %s to remove it: %s", path, strerror(errno));
    LK_TRY(lk_remove_tree(deleting));
    return LK_OK;
}

static bool is_leftover(const char *name)
{
    const size_t length = strlen(name);

    return (length > strlen(PARTIAL) && strcmp(name + length - strlen(PARTIAL), PARTIAL) == 0) ||
           (length > strlen(DELETING) && strcmp(name + length - strlen(DELETING), DELETING) == 0);
}

static lk_status clear(DIR *folder, const char *dir)
{
    char path[LK_CKPT_PATH_BYTES];

    for (const struct dirent *entry; (entry = readdir(folder));) {
        if (!is_leftover(entry->d_name)) continue;
        LK_TRY(lk_ckpt_path(path, dir, entry->d_name));
        LK_TRY(lk_remove_tree(path));
    }
    return LK_OK;
}

lk_status lk_clear_leftovers(const char *dir)
{
    DIR *folder = opendir(dir);

    if (!folder) return LK_FAIL(LK_ERR_CHECKPOINT, "cannot list %s: %s", dir, strerror(errno));
    const lk_status status = clear(folder, dir);
    closedir(folder);
    LK_TRY(status);
    return LK_OK;
}
