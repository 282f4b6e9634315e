/*
 * The system's calls on files, made again when a signal interrupts them.
 *
 * Handlers are installed with SA_RESTART, but network and user-space file systems return EINTR all the same: a run
 * that is asked to stop must not fail in the very checkpoint that it then writes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/file/files.h"

static const mode_t FILE_MODE = 0666, DIR_MODE = 0777; /* the umask takes away what it should */

int lk_open(const char *path, int flags) { return TEMP_FAILURE_RETRY(open(path, flags | O_CLOEXEC, FILE_MODE)); }
int lk_fsync(int fd) { return TEMP_FAILURE_RETRY(fsync(fd)); }
int lk_mkdir(const char *path) { return TEMP_FAILURE_RETRY(mkdir(path, DIR_MODE)); }
int lk_rename(const char *from, const char *to) { return TEMP_FAILURE_RETRY(rename(from, to)); }

/* Linux has let go of the descriptor by then: closing again could close another thread's file. */
int lk_close(int fd) { return close(fd) == 0 || errno == EINTR ? 0 : -1; }

size_t lk_write_all(int fd, const void *bytes, size_t nbytes)
{
    size_t done = 0;

    while (done < nbytes) {
        const ssize_t n = TEMP_FAILURE_RETRY(write(fd, (const char *)bytes + done, nbytes - done));

        if (n < 0) break;
        done += (size_t)n;
        lk_alive();
    }
    return done;
}

ssize_t lk_read_at(int fd, void *out, size_t nbytes, size_t place)
{
    size_t done = 0;

    while (done < nbytes) {
        const ssize_t n = TEMP_FAILURE_RETRY(pread(fd, (char *)out + done, nbytes - done, (off_t)(place + done)));

        if (n < 0) return -1;
        if (n == 0) break;
        done += (size_t)n;
        lk_alive();
    }
    return (ssize_t)done;
}
