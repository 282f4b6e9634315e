/*
 * The folder of a run: one process at a time writes in it, and a new run does not overwrite an older one.
 *
 * RUN/lock is held by flock(2) from the start of the training to its end, so it is free again however the process
 * ended.  A file system that has no locks is used without.
 */
#include "launch/train/trainer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 4096, OWNER_BYTES = 128 };
static const mode_t FILE_MODE = 0666; /* the umask takes away what it should */

static lk_status join_path(char path[PATH_BYTES], const char *dir, const char *name)
{
    if (snprintf(path, PATH_BYTES, "%s/%s", dir, name) >= PATH_BYTES)
        return LK_FAIL(LK_ERR_USAGE, "run.dir: %s is too long a path", dir);
    return LK_OK;
}

static bool holds(const char *dir, const char *name)
{
    char path[PATH_BYTES];

    return join_path(path, dir, name) == LK_OK && access(path, F_OK) == 0;
}

/* --------------------------------------------------------------------- lock */

static lk_status say_busy(const char *dir, int fd)
{
    char owner[OWNER_BYTES];
    const ssize_t n = pread(fd, owner, sizeof owner - 1, 0);

    owner[n > 0 ? n : 0] = '\0';
    owner[strcspn(owner, "\n")] = '\0';
    return LK_FAIL(LK_ERR_BUSY, "run.dir: %s is being trained in by another process (%s): end it, or name another "
                   "folder", dir, owner);
}

static void sign(int fd)
{
    char host[OWNER_BYTES / 2] = "";

    gethostname(host, sizeof host - 1);
    if (ftruncate(fd, 0) != 0 || dprintf(fd, "process %d on %s\n", (int)getpid(), host) < 0)
        return; /* it is only for the message above */
}

/* *out stays -1 where there are no locks. */
static lk_status take_lock(const char *dir, int *out)
{
    char path[PATH_BYTES];

    LK_TRY(join_path(path, dir, "lock"));
    const int fd = TEMP_FAILURE_RETRY(open(path, O_RDWR | O_CREAT | O_CLOEXEC, FILE_MODE));
    if (fd < 0) return LK_FAIL(LK_ERR_SYSTEM, "run.dir: cannot write in %s: %s", dir, strerror(errno));
    lk_status status = LK_OK;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        sign(fd);
        *out = fd;
        return LK_OK;
    }
    if (errno == EWOULDBLOCK) status = say_busy(dir, fd);
    close(fd);
    return status;
}

/* ------------------------------------------------------------------- folder */

/* The first of DIR.1, DIR.2, ... that is free. */
static lk_status find_name(const char *dir, char kept[PATH_BYTES])
{
    for (int i = 1;; i++) {
        if (snprintf(kept, PATH_BYTES, "%s.%d", dir, i) >= PATH_BYTES)
            return LK_FAIL(LK_ERR_USAGE, "run.dir: %s is too long a path", dir);
        if (access(kept, F_OK) != 0) return LK_OK;
    }
}

/* An earlier run is kept beside the new one as NAME.1, NAME.2, ...: nothing is overwritten.  Of a link it is the folder
 * behind it that is renamed and made again, so both runs are on the disk that the link was set for. */
static lk_status set_aside(const char *dir)
{
    char kept[PATH_BYTES], *real = realpath(dir, NULL);

    if (!real) return LK_FAIL(LK_ERR_USAGE, "run.dir: cannot find %s: %s", dir, strerror(errno));
    lk_status status = find_name(real, kept);
    if (status == LK_OK && TEMP_FAILURE_RETRY(rename(real, kept)) != 0)
        status = LK_FAIL(LK_ERR_USAGE, "run.dir: %s holds an earlier run and cannot be renamed to %s: %s; name another "
                         "folder, or continue it with --resume", dir, kept, strerror(errno));
    if (status == LK_OK) status = lk_make_dirs(real);
    free(real);
    LK_TRY(status);
    fprintf(stderr, "lockstep: %s held an earlier run: kept as %s (--resume would continue it)\n", dir, kept);
    return LK_OK;
}

lk_status run_dir_open(const char *dir, bool keep, int *lock)
{
    LK_TRY(lk_make_dirs(dir));
    LK_TRY(take_lock(dir, lock));
    if (keep || (!holds(dir, "recipe.yaml") && !holds(dir, "checkpoints"))) return LK_OK;
    const lk_status status = set_aside(dir);
    run_dir_close(lock);
    LK_TRY(status);
    return take_lock(dir, lock);
}

void run_dir_close(int *lock)
{
    if (*lock >= 0) close(*lock);
    *lock = -1;
}

/* Whether the file at path holds other text, or cannot be read. */
static bool differs(const char *path, const char *text)
{
    char *before;
    size_t nbytes;

    if (lk_read_file(path, &before, &nbytes) != LK_OK) return true;
    const bool differ = nbytes != strlen(text) || memcmp(before, text, nbytes) != 0;
    free(before);
    return differ;
}

static lk_status keep_recipe(const char *dir, const char *path)
{
    char kept[PATH_BYTES], name[OWNER_BYTES];

    for (int i = 1;; i++) {
        snprintf(name, sizeof name, "recipe.%d.yaml", i);
        LK_TRY(join_path(kept, dir, name));
        if (access(kept, F_OK) != 0) break;
    }
    if (rename(path, kept) == 0) return LK_OK;
    return LK_FAIL(LK_ERR_SYSTEM, "cannot rename %s to %s: %s", path, kept, strerror(errno));
}

lk_status run_dir_write_recipe(const char *dir, const char *text)
{
    char path[PATH_BYTES];

    LK_TRY(join_path(path, dir, "recipe.yaml"));
    if (access(path, F_OK) == 0 && differs(path, text)) LK_TRY(keep_recipe(dir, path));
    return lk_write_file_atomic(path, text, strlen(text));
}

lk_status run_dir_forget_summary(const char *dir)
{
    char path[PATH_BYTES];

    LK_TRY(join_path(path, dir, "summary.json"));
    if (unlink(path) != 0 && errno != ENOENT)
        return LK_FAIL(LK_ERR_SYSTEM, "cannot remove %s, which tells of an earlier end: %s", path, strerror(errno));
    return LK_OK;
}
