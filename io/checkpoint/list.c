/* The checkpoints under a folder, and which of them is the best, without reading them whole. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "io/checkpoint/parts.h"

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

/* leader.h5 alone is read and verified. */
static lk_status read_leader_metadata(const char *path, lk_metadata **out)
{
    lk_shard_reader reader = {.extent = NULL}; /* no tensor will be read */
    char file[LK_CKPT_PATH_BYTES];

    LK_TRY(lk_ckpt_path(file, path, LK_LEADER_FILE));
    LK_TRY(lk_ckpt_file_verify(path, LK_LEADER_FILE, NULL, NULL, 0));
    LK_TRY(lk_h5_open(LK_ERR_CHECKPOINT, file, &reader.file));
    const lk_status status = lk_shard_read_metadata(&reader, out);
    lk_shard_close(&reader);
    return status;
}

/* The best step as the newest readable checkpoint knows it, else as the link does; -1: neither. */
static int64_t best_of(const char *dir, const lk_ckpt_entry *entries, size_t n)
{
    char path[LK_CKPT_PATH_BYTES];
    int64_t best = -1;

    for (size_t i = n; i-- > 0;) {
        lk_metadata *metadata = NULL;

        if (lk_ckpt_path(path, dir, entries[i].name) != LK_OK) continue;
        if (read_leader_metadata(path, &metadata) != LK_OK) continue;
        const bool known = lk_metadata_has(metadata, LK_NOTE_BEST_STEP) &&
                           lk_metadata_get_int(metadata, LK_NOTE_BEST_STEP, &best) == LK_OK;
        lk_metadata_free(&metadata);
        return known ? best : lk_link_step(dir, "best");
    }
    return lk_link_step(dir, "best");
}

lk_status lk_checkpoint_list(const char *dir, lk_ckpt_entry **entries, size_t *n)
{
    char path[LK_CKPT_PATH_BYTES];
    int64_t *steps;

    LK_TRY(lk_ckpt_steps(dir, &steps, n));
    lk_ckpt_entry *entry = calloc(*n + 1, sizeof *entry);
    for (size_t i = 0; entry && i < *n; i++) {
        entry[i] = (lk_ckpt_entry){.step = steps[i], .latest = i + 1 == *n};
        lk_step_name(entry[i].name, steps[i], "");
        if (lk_ckpt_path(path, dir, entry[i].name) == LK_OK) entry[i].nbytes = bytes_in(path);
    }
    free(steps);
    LK_TRY_ALLOC(entry, (*n + 1) * sizeof *entry);
    const int64_t best = best_of(dir, entry, *n);
    for (size_t i = 0; i < *n; i++) entry[i].best = entry[i].step == best;
    *entries = entry;
    return LK_OK;
}
