/*
 * Folders, fsync and files that appear whole or not at all.
 *
 * A file is safe when its bytes are on the disk (fsync of the file) and its name is too (fsync of the folder).
 * rename() within a folder replaces a name at once.  Together they make a crash at any moment leave the old file or
 * the new one.
 */
#include "io/file/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/io.h"

static lk_status sync_dir_of(const char *path)
{
    char *dir = lk_dir_of(path);

    LK_TRY_ALLOC(dir, strlen(path) + 1);
    const lk_status status = lk_sync_dir(dir);
    free(dir);
    return status;
}

static const char *why_not_made(const char *path, int why)
{
    struct stat info;

    if (why != EEXIST) return strerror(why);
    return stat(path, &info) == 0 ? "a file of that name is there" : "a link to nothing of that name is there";
}

static lk_status make_dir(const char *path)
{
    struct stat info;

    if (lk_mkdir(path) == 0) return sync_dir_of(path);
    const int why = errno;
    if (why == EEXIST && stat(path, &info) == 0 && S_ISDIR(info.st_mode)) return LK_OK;
    return LK_FAIL(LK_ERR_SYSTEM, "cannot make the folder %s: %s", path, why_not_made(path, why));
}

lk_status lk_make_dirs(const char *path)
{
    char *copy = strdup(path);
    lk_status status = LK_OK;

    LK_TRY_ALLOC(copy, strlen(path) + 1);
    for (char *slash = copy + 1; *copy && status == LK_OK && (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        status = make_dir(copy);
        *slash = '/';
    }
    if (status == LK_OK) status = make_dir(copy);
    free(copy);
    return status;
}

lk_status lk_sync_dir(const char *path)
{
    const int fd = lk_open(path, O_RDONLY | O_DIRECTORY);

    if (fd < 0) return LK_FAIL(LK_ERR_SYSTEM, "cannot open %s to write it to the disk: %s", path, strerror(errno));
    /* Some file systems know no fsync of folders and say EINVAL: they order names by themselves. */
    const bool failed = lk_fsync(fd) != 0 && errno != EINVAL;
    const int why = errno;
    lk_close(fd);
    if (failed) return LK_FAIL(LK_ERR_SYSTEM, "cannot write %s to the disk: %s", path, strerror(why));
    return LK_OK;
}

char *lk_dir_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (!slash) return strdup(".");
    return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

/* Fills, syncs and closes. */
static lk_status write_whole(const char *temporary, const char *path, lk_fill_file_fn *fill, void *arg)
{
    const int fd = lk_open(temporary, O_WRONLY | O_CREAT | O_TRUNC);

    if (fd < 0) return LK_FAIL(LK_ERR_SYSTEM, "cannot write %s: %s", path, strerror(errno));
    lk_status status = fill(arg, fd, path);
    if (status == LK_OK && lk_fsync(fd) != 0)
        status = LK_FAIL(LK_ERR_SYSTEM, "cannot write %s: %s", path, strerror(errno));
    if (lk_close(fd) != 0 && status == LK_OK)
        status = LK_FAIL(LK_ERR_SYSTEM, "cannot write %s: %s", path, strerror(errno));
    return status;
}

lk_status lk_write_atomic(const char *path, lk_fill_file_fn *fill, void *arg)
{
    char *temporary = NULL, *dir = lk_dir_of(path);

    if (!dir || asprintf(&temporary, "%s.partial", path) < 0) {
        free(dir);
        return LK_FAIL(LK_ERR_SYSTEM, "out of memory: the name of %s", path);
    }
    lk_status status = write_whole(temporary, path, fill, arg);
    if (status == LK_OK && lk_rename(temporary, path) != 0)
        status = LK_FAIL(LK_ERR_SYSTEM, "cannot write %s: %s", path, strerror(errno));
    if (status != LK_OK) unlink(temporary);
    else status = lk_sync_dir(dir);
    free(temporary);
    free(dir);
    return status;
}

typedef struct whole_text { const char *text; size_t nbytes; } whole_text;

static lk_status put_text(void *arg, int fd, const char *path)
{
    const whole_text *whole = arg;

    if (lk_write_all(fd, whole->text, whole->nbytes) == whole->nbytes) return LK_OK;
    return LK_FAIL(LK_ERR_SYSTEM, "cannot write %s: %s", path, strerror(errno));
}

lk_status lk_write_file_atomic(const char *path, const char *text, size_t nbytes)
{
    return lk_write_atomic(path, put_text, &(whole_text){text, nbytes});
}

lk_status lk_read_file(const char *path, char **text, size_t *nbytes)
{
    const int fd = lk_open(path, O_RDONLY);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "rb"), *memory = NULL;
    size_t n = 0;
    char block[1 << 14];

    *text = NULL;
    if (!file) return LK_FAIL(LK_ERR_SYSTEM, "cannot read %s: %s", path, strerror(errno));
    memory = open_memstream(text, &n); /* puts the NUL behind by itself */
    errno = memory ? 0 : ENOMEM;
    for (size_t got; memory && (got = fread(block, 1, sizeof block, file)) > 0;) fwrite(block, 1, got, memory);
    const int why = errno;
    const bool failed = !memory || ferror(file) || ferror(memory);
    if (memory) fclose(memory);
    fclose(file);
    if (failed || !*text) {
        free(*text);
        *text = NULL;
        return LK_FAIL(LK_ERR_SYSTEM, "cannot read %s: %s", path, strerror(why));
    }
    if (nbytes) *nbytes = n;
    return LK_OK;
}

lk_status lk_open_append(const char *path, bool keep, FILE **out)
{
    const int fd = lk_open(path, O_WRONLY | O_CREAT | O_APPEND | (keep ? 0 : O_TRUNC));

    *out = fd < 0 ? NULL : fdopen(fd, "a");
    const int why = errno;
    if (fd >= 0 && !*out) lk_close(fd);
    if (!*out) return LK_FAIL(LK_ERR_SYSTEM, "cannot write %s: %s", path, strerror(why));
    const lk_status status = sync_dir_of(path);
    if (status == LK_OK) return LK_OK;
    fclose(*out);
    *out = NULL;
    return status;
}

lk_status lk_sync_stream(FILE *stream, const char *path)
{
    if (fflush(stream) == 0 && !ferror(stream) && lk_fsync(fileno(stream)) == 0) return LK_OK;
    return LK_FAIL(LK_ERR_SYSTEM, "cannot write %s to the disk: %s", path, strerror(errno));
}
