/* Folders, fsync and files that appear whole or not at all; for the files of io/ only. */
#ifndef LK_IO_FILES_H
#define LK_IO_FILES_H

#include <sys/types.h>

#include "io/io.h"

/* As the calls of the system, errno included, made again when a signal interrupts them: network file systems let
 * signals through that SA_RESTART does not hide.  New files and folders get all rights the umask leaves. */
int lk_open(const char *path, int flags);
int lk_close(int fd);
int lk_fsync(int fd);
int lk_mkdir(const char *path);
int lk_rename(const char *from, const char *to);
/* Writes all, as write(2) does not promise to: returns bytes written, fewer than nbytes with errno set when that
 * failed. */
size_t lk_write_all(int fd, const void *bytes, size_t nbytes);
/* A stream that appends to a file, made if it is absent and else emptied unless `keep`; its name is on the disk. */
lk_status lk_open_append(const char *path, bool keep, FILE **out);
/* Writes what was put into a stream to the disk. */
lk_status lk_sync_stream(FILE *stream, const char *path);
/* Writes what the system still holds of a folder's entries to the disk.  Errors: LK_ERR_SYSTEM. */
lk_status lk_sync_dir(const char *path);
/* Fills a file; path is for messages.  Errors: those of whoever fills it. */
typedef lk_status lk_fill_file_fn(void *arg, int fd, const char *path);
/* lk_write_file_atomic() of what fill(arg) writes. */
lk_status lk_write_atomic(const char *path, lk_fill_file_fn *fill, void *arg);
/* Up to nbytes from a place of a file, fewer at its end; -1 with errno set on failure. */
ssize_t lk_read_at(int fd, void *out, size_t nbytes, size_t place);
/* Folder of a path: all before its last '/', "." for a bare name, "/" for the root.  Release with free(); NULL when
 * out of memory. */
char *lk_dir_of(const char *path);

#endif
