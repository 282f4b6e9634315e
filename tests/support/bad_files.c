/*
 * A file system that lacks what others have, for a program that is started with LD_PRELOAD of this:
 *
 *     LK_BAD_FILES=no-links    has no symbolic links, like SMB, exFAT and object stores
 *     LK_BAD_FILES=interrupts  lets a signal interrupt every second open, fsync, mkdir and rename, like NFS with intr
 *                              and FUSE
 *     LK_BAD_FILES=told        tells what is brought to the disk, in order: lines "fsync PATH" and "rename TO" in
 *                              $LK_TOLD
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
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

int fsync(int fd)
{
    static unsigned calls;
    char link[64], path[4096] = "";

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (is("told") && readlink(link, path, sizeof path - 1) > 0) tell("fsync", path);
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

    tell("rename", to);
    return interrupted(&calls) ? -1 : ((int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename"))(from, to);
}
