/* The checkpoints under a folder, for `lockstep ckpt list`. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "io/checkpoint/checkpoint.h"

/* Bytes of the files in a folder; one that just went away counts nothing. */
static int64_t bytes_in(const char *path)
{
    DIR *folder = opendir(path);
    struct stat info;
    char file[LK_CKPT_PATH_BYTES];
    int64_t nbytes = 0;

    if (!folder) return 0;
    for (const struct dirent *entry; (entry = readdir(folder));)
        if (lk_ckpt_path(file, path, entry->d_name) == LK_OK && stat(file, &info) == 0 && S_ISREG(info.st_mode))
            nbytes += info.st_size;
    closedir(folder);
    return nbytes;
}

lk_status lk_checkpoint_list(const char *dir, lk_ckpt_entry **entries, size_t *n)
{
    const int64_t latest = lk_link_step(dir, "latest"), best = lk_link_step(dir, "best");
    char path[LK_CKPT_PATH_BYTES];
    int64_t *steps;

    LK_TRY(lk_ckpt_steps(dir, &steps, n));
    lk_ckpt_entry *entry = calloc(*n + 1, sizeof *entry);
    for (size_t i = 0; entry && i < *n; i++) {
        entry[i] = (lk_ckpt_entry){.step = steps[i], .latest = steps[i] == latest, .best = steps[i] == best};
        lk_step_name(entry[i].name, steps[i], "");
        if (lk_ckpt_path(path, dir, entry[i].name) == LK_OK) entry[i].nbytes = bytes_in(path);
    }
    free(steps);
    LK_TRY_ALLOC(entry, (*n + 1) * sizeof *entry);
    *entries = entry;
    return LK_OK;
}
