/* Removing folders with all that is in them. */
#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>

#include "io/file/files.h"

enum { OPEN_FOLDERS = 8, PATH_BYTES = 4096 };

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    (void)info, (void)kind, (void)place;
    return remove(path);
}

lk_status lk_remove_tree(const char *path)
{
    if (nftw(path, remove_entry, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS) != 0 && errno != ENOENT)
        return LK_FAIL(LK_ERR_SYSTEM, "cannot remove %s: %s", path, strerror(errno));
    return LK_OK;
}

static bool is_kept(const char *name, const char *const *keep, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(name, keep[i]) == 0) return true;
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static lk_status remove_others(DIR *folder, const char *dir, const char *const *keep, size_t n)
{
    char path[PATH_BYTES];

    for (const struct dirent *entry; (entry = readdir(folder));) {
        if (is_kept(entry->d_name, keep, n)) continue;
        if (snprintf(path, sizeof path, "%s/%s", dir, entry->d_name) >= (int)sizeof path)
            return LK_FAIL(LK_ERR_USAGE, "%s is too long a path", dir);
        LK_TRY(lk_remove_tree(path));
    }
    return LK_OK;
}

lk_status lk_remove_others(const char *dir, const char *const *keep, size_t n)
{
    DIR *folder = opendir(dir);

    if (!folder && errno == ENOENT) return LK_OK;
    if (!folder) return LK_FAIL(LK_ERR_SYSTEM, "cannot list %s: %s", dir, strerror(errno));
    const lk_status status = remove_others(folder, dir, keep, n);
    closedir(folder);
    return status;
}
