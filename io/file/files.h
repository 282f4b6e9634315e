/* Folders, fsync and files that appear whole or not at all; for the files of io/ only. */
#ifndef LK_IO_FILES_H
#define LK_IO_FILES_H

#include <sys/types.h>

#include "io/io.h"

/* Writes what the system still holds of a file, or of a folder's entries, to the disk.  Errors: LK_ERR_SYSTEM. */
lk_status lk_sync_file(const char *path);
lk_status lk_sync_dir(const char *path);
/* The whole of a file with a NUL behind it; release with free().  nbytes may be NULL.  Errors: LK_ERR_SYSTEM. */
lk_status lk_read_file(const char *path, char **text, size_t *nbytes);
/* Up to nbytes from a place of a file, fewer at its end; -1 with errno set on failure. */
ssize_t lk_read_at(int fd, void *out, size_t nbytes, size_t place);
/* Folder of a path: all before its last '/', "." for a bare name, "/" for the root.  Release with free(); NULL when
 * out of memory. */
char *lk_dir_of(const char *path);

#endif
