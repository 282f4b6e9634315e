/*
 * From step-N.partial, in which every worker has written its file, to step-N: index.h5 last, then one rename,
 * then the links, then the removal of what `keep` no longer keeps.  A crash at any moment leaves the older
 * checkpoints, and this one whole or not at all.
 *
 * Steps after the one published are of an earlier try that came further; they neither count for `keep` nor are
 * removed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/checkpoint/parts.h"
#include "io/file/files.h"

/* Every file of the save is there and is this save's. */
static lk_status collect_headers(const char *partial, int64_t step, int parts, lk_file_header *headers)
{
    char file[LK_FILE_NAME_BYTES];

    for (int r = 0; r < parts; r++) {
        lk_shard_name(file, r, parts);
        LK_TRY(lk_ckpt_file_peek(partial, file, step, &headers[r]));
    }
    LK_TRY(lk_ckpt_file_peek(partial, LK_LEADER_FILE, step, &headers[parts]));
    return LK_OK;
}

static lk_status write_index(const char *partial, int64_t step, int parts, lk_index *index)
{
    lk_file_header *headers = calloc((size_t)parts + 1, sizeof *headers);

    LK_TRY_ALLOC(headers, ((size_t)parts + 1) * sizeof *headers);
    lk_status status = collect_headers(partial, step, parts, headers);
    if (status == LK_OK) {
        lk_index_complete(index, step, headers);
        status = lk_ckpt_file_write(partial, LK_INDEX_FILE, step, 0, &index->image);
    }
    free(headers);
    LK_TRY(status);
    LK_TRY(lk_sync_dir(partial));
    return LK_OK;
}

/* Replaces a checkpoint of the same step, damaged or of an earlier try, if there is one. */
static lk_status give_name(const char *dir, const char *partial, const char *path, int64_t step)
{
    if (access(path, F_OK) == 0) {
        /* Both names at once where the file system can. */
        if (renameat2(AT_FDCWD, partial, AT_FDCWD, path, RENAME_EXCHANGE) == 0) return lk_remove_tree(partial);
        LK_TRY(lk_step_remove(dir, step));
    }
    if (lk_rename(partial, path) != 0)
        return LK_FAIL(LK_ERR_SYSTEM, "cannot rename %s to %s: %s", partial, path, strerror(errno));
    return LK_OK;
}

lk_status lk_publish(const char *dir, int64_t step, int parts, lk_index *index)
{
    char partial[LK_CKPT_PATH_BYTES], path[LK_CKPT_PATH_BYTES], name[LK_FILE_NAME_BYTES];

    lk_step_name(name, step, ".partial");
    LK_TRY(lk_ckpt_path(partial, dir, name));
    lk_step_name(name, step, "");
    LK_TRY(lk_ckpt_path(path, dir, name));
    LK_TRY(write_index(partial, step, parts, index));
    LK_TRY(give_name(dir, partial, path, step));
    LK_TRY(lk_sync_dir(dir));
    return LK_OK;
}

lk_status lk_links_set(const char *dir, int64_t latest, int64_t best)
{
    LK_TRY(lk_link_set(dir, "latest", latest));
    if (best >= 0) LK_TRY(lk_link_set(dir, "best", best));
    LK_TRY(lk_sync_dir(dir));
    return LK_OK;
}

/* ------------------------------------------------------------------ pruning */

static lk_status remove_old(const char *dir, int64_t step, int keep, int64_t best, const int64_t *steps, size_t n)
{
    int kept = 0;

    for (size_t i = n; i-- > 0;) {
        if (steps[i] > step) continue;
        if (kept < keep) {
            kept++;
            continue;
        }
        if (steps[i] != best) LK_TRY(lk_step_remove(dir, steps[i]));
    }
    return LK_OK;
}

lk_status lk_prune(const char *dir, int64_t step, int keep, int64_t best)
{
    int64_t *steps;
    size_t n;

    LK_TRY(lk_ckpt_steps(dir, &steps, &n));
    const lk_status status = remove_old(dir, step, keep, best, steps, n);
    free(steps);
    LK_TRY(status);
    return LK_OK;
}
