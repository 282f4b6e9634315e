/*
 * A file system that lacks what others have, for a program that is started with LD_PRELOAD of this:
 *
 *     LK_BAD_FILES=no-links    has no symbolic links, like SMB, exFAT and object stores
 *     LK_BAD_FILES=interrupts  lets a signal interrupt every second open, fsync, mkdir and rename, like NFS with intr
 *                              and FUSE
 *     LK_BAD_FILES=full        has no room for files whose path has $LK_BAD_PATH in it
 *     LK_BAD_FILES=killed      kills the process that gives a checkpoint its name, once: when there is no file $LK_TOLD
 *     LK_BAD_FILES=told        tells what is brought to the disk, in order: lines "fsync PATH" and "rename TO" in
 *                              $LK_TOLD
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static bool is(const char *word)
{
    const char *asked = getenv("LK_BAD_FILES");

    return asked && strcmp(asked, word) == 0;
}

/* Every second call of one kind, counted by `calls`. */
static bool interrupted(unsigned *calls)
{
    if (!is("interrupts") || (*calls)++ % 2 != 0) return false;
    errno = EINTR;
    return true;
}

static void tell(const char *what, const char *path)
{
    FILE *file = is("told") && getenv("LK_TOLD") ? fopen(getenv("LK_TOLD"), "a") : NULL;

    if (!file) return;
    fprintf(file, "%s %s\n", what, path);
    fclose(file);
}

int symlink(const char *target, const char *path)
{
    if (!is("no-links")) return ((int (*)(const char *, const char *))dlsym(RTLD_NEXT, "symlink"))(target, path);
    errno = EPERM;
    return -1;
}

int open(const char *path, int flags, ...)
{
    static unsigned calls;
    va_list args;

    va_start(args, flags);
    const mode_t mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
    va_end(args);
    /* A run's own files: libraries that read theirs are not on trial. */
    if (strstr(path, "step-") && interrupted(&calls)) return -1;
    return ((int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open"))(path, flags, mode);
}

/* "": unknown. */
static void path_of(int fd, char *path, size_t nbytes)
{
    char link[64];

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t n = readlink(link, path, nbytes - 1);
    path[n > 0 ? n : 0] = '\0';
}

static bool has_room(int fd)
{
    const char *bad = getenv("LK_BAD_PATH");
    char path[4096];

    if (!is("full") || !bad) return true;
    path_of(fd, path, sizeof path);
    if (!strstr(path, bad)) return true;
    errno = ENOSPC;
    return false;
}

ssize_t write(int fd, const void *from, size_t n)
{
    return has_room(fd) ? ((ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write"))(fd, from, n) : -1;
}

ssize_t pwrite(int fd, const void *from, size_t n, off_t at)
{
    return has_room(fd) ? ((ssize_t (*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite"))(fd, from, n, at)
                        : -1;
}

int fsync(int fd)
{
    static unsigned calls;
    char path[4096];

    path_of(fd, path, sizeof path);
    if (is("told")) tell("fsync", path);
    return interrupted(&calls) ? -1 : ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(fd);
}

int mkdir(const char *path, mode_t mode)
{
    static unsigned calls;

    return interrupted(&calls) ? -1 : ((int (*)(const char *, mode_t))dlsym(RTLD_NEXT, "mkdir"))(path, mode);
}

int rename(const char *from, const char *to)
{
    static unsigned calls;

    if (is("killed") && strstr(from, ".partial") && access(getenv("LK_TOLD"), F_OK) != 0) {
        close(creat(getenv("LK_TOLD"), 0666));
        raise(SIGKILL);
    }
    tell("rename", to);
    return interrupted(&calls) ? -1 : ((int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename"))(from, to);
}
