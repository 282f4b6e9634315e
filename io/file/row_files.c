/*
 * Rows of one size on disk: many files of as many rows each, so that a part that is lost or was never finished is a
 * part alone, and several workers write at once.
 *
 * A file is a header and its rows.  The header names what the rows are (a key of the caller's), which they are, and
 * their checksum.  A file gets its name when it is written, so that a killed process leaves none that is cut; that it
 * reached the disk is not waited for, since whoever finds one in another life reads its checksum first.  Files are
 * mapped: workers of a host share their pages.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "io/file/files.h"

enum { PATH_BYTES = 4096 };

static const char MAGIC[] = "lockstep rows 1";

typedef struct header {
    char magic[sizeof MAGIC];
    char key[LK_HASH_BYTES], sum[LK_HASH_BYTES];
    char unused[6];
    int64_t first, n;
    uint64_t row_nbytes;
    char line[16]; /* rows begin on a cache line */
} header;
_Static_assert(sizeof(header) == 128, "rows begin on a cache line");

struct lk_row_files {
    char *dir;              /* owned */
    char key[LK_HASH_BYTES];
    int64_t n, rows_per_file, n_files;
    size_t row_nbytes;
    const char **map;       /* (n_files), owned: where each begins; NULL before lk_row_files_open() */
};

void lk_hash_bytes(const void *bytes, size_t nbytes, char out[LK_HASH_BYTES])
{
    const XXH128_hash_t value = XXH3_128bits(bytes, nbytes);

    snprintf(out, LK_HASH_BYTES, "%016llx%016llx", (unsigned long long)value.high64, (unsigned long long)value.low64);
}

lk_status lk_row_files_new(const char *dir, const char *key, int64_t n, int64_t rows_per_file, size_t row_nbytes,
                           lk_row_files **out)
{
    *out = calloc(1, sizeof **out);
    LK_TRY_ALLOC(*out, sizeof **out);
    **out = (lk_row_files){.n = n, .rows_per_file = rows_per_file, .row_nbytes = row_nbytes,
                           .n_files = (n + rows_per_file - 1) / rows_per_file, .dir = strdup(dir)};
    snprintf((*out)->key, sizeof (*out)->key, "%s", key);
    const lk_status status = (*out)->dir ? lk_make_dirs(dir)
                                         : LK_FAIL(LK_ERR_SYSTEM, "out of memory: the name of %s", dir);
    if (status != LK_OK) lk_row_files_free(out);
    return status;
}

/* Of file f: a name, and its rows. */
static lk_status path_of(const lk_row_files *files, int64_t f, char path[PATH_BYTES])
{
    if (snprintf(path, PATH_BYTES, "%s/rows-%08lld", files->dir, (long long)f) < PATH_BYTES) return LK_OK;
    return LK_FAIL(LK_ERR_USAGE, "%s is too long a path", files->dir);
}

static int64_t first_of(const lk_row_files *files, int64_t f) { return f * files->rows_per_file; }

static int64_t count_of(const lk_row_files *files, int64_t f)
{
    const int64_t left = files->n - first_of(files, f);

    return left < files->rows_per_file ? left : files->rows_per_file;
}

static size_t nbytes_of(const lk_row_files *files, int64_t f)
{
    return sizeof(header) + (size_t)count_of(files, f) * files->row_nbytes;
}

static header header_of(const lk_row_files *files, int64_t f, const void *rows)
{
    header h = {.first = first_of(files, f), .n = count_of(files, f), .row_nbytes = files->row_nbytes};

    memcpy(h.magic, MAGIC, sizeof h.magic);
    memcpy(h.key, files->key, sizeof h.key);
    lk_hash_bytes(rows, nbytes_of(files, f) - sizeof h, h.sum);
    return h;
}

/* -------------------------------------------------------------------- files */

lk_status lk_row_files_write(const lk_row_files *files, int64_t f, const void *rows)
{
    const size_t nbytes = nbytes_of(files, f) - sizeof(header);
    const header h = header_of(files, f, rows);
    char path[PATH_BYTES], partial[PATH_BYTES + 16];

    LK_TRY(path_of(files, f, path));
    snprintf(partial, sizeof partial, "%s.partial", path);
    const int fd = lk_open(partial, O_WRONLY | O_CREAT | O_TRUNC);
    bool good = fd >= 0 && lk_write_all(fd, &h, sizeof h) == sizeof h && lk_write_all(fd, rows, nbytes) == nbytes;
    const int why = errno;
    if (fd >= 0 && lk_close(fd) != 0) good = false;
    else errno = why;
    if (good && lk_rename(partial, path) == 0) return LK_OK;
    const lk_status status = LK_FAIL(LK_ERR_SYSTEM, "cannot write %s: %s", path, strerror(errno));
    unlink(partial);
    return status;
}

/* The whole file in memory; NULL with errno set where it is not there in its length. */
static const char *map_file(const char *path, size_t nbytes)
{
    const int fd = lk_open(path, O_RDONLY);
    struct stat info;
    void *at = MAP_FAILED;

    if (fd < 0) return NULL;
    if (fstat(fd, &info) == 0 && (size_t)info.st_size == nbytes) at = mmap(NULL, nbytes, PROT_READ, MAP_SHARED, fd, 0);
    else errno = EINVAL;
    const int why = errno;
    lk_close(fd);
    errno = why;
    return at == MAP_FAILED ? NULL : at;
}

/* Bytes are read with pread, for of a mapped file that shrinks a look is a signal. */
static bool is_whole(const lk_row_files *files, int64_t f, int fd, char *image)
{
    const size_t nbytes = nbytes_of(files, f);
    struct stat info;

    if (fstat(fd, &info) != 0 || (size_t)info.st_size != nbytes) return false;
    if (lk_read_at(fd, image, nbytes, 0) != (ssize_t)nbytes) return false;
    const header want = header_of(files, f, image + sizeof want);
    return memcmp(&want, image, sizeof want) == 0;
}

lk_status lk_row_files_check(const lk_row_files *files, int64_t f, bool *whole)
{
    char path[PATH_BYTES];

    *whole = false;
    LK_TRY(path_of(files, f, path));
    const int fd = lk_open(path, O_RDONLY);
    if (fd < 0) return LK_OK;
    char *image = malloc(nbytes_of(files, f));
    if (image) *whole = is_whole(files, f, fd, image);
    free(image);
    lk_close(fd);
    LK_TRY_ALLOC(image, nbytes_of(files, f));
    return LK_OK;
}

static lk_status open_file(lk_row_files *files, int64_t f)
{
    char path[PATH_BYTES];

    LK_TRY(path_of(files, f, path));
    files->map[f] = map_file(path, nbytes_of(files, f));
    if (files->map[f] && memcmp(((const header *)(const void *)files->map[f])->key, files->key, LK_HASH_BYTES) == 0)
        return LK_OK;
    return LK_FAIL(LK_ERR_SYSTEM, "%s: not there as another worker wrote it (%s): every host must see the same run.dir",
                   path, files->map[f] ? "other rows" : errno == EINVAL ? "another length" : strerror(errno));
}

lk_status lk_row_files_open(lk_row_files *files)
{
    files->map = calloc((size_t)files->n_files, sizeof *files->map);
    LK_TRY_ALLOC(files->map, (size_t)files->n_files * sizeof *files->map);
    for (int64_t f = 0; f < files->n_files; f++) LK_TRY(open_file(files, f));
    return LK_OK;
}

const void *lk_row_files_row(const lk_row_files *files, int64_t row)
{
    const int64_t f = row / files->rows_per_file;

    return files->map[f] + sizeof(header) + (size_t)(row - first_of(files, f)) * files->row_nbytes;
}

void lk_row_files_free(lk_row_files **address)
{
    lk_row_files *files = *address;

    if (!files) return;
    for (int64_t f = 0; files->map && f < files->n_files; f++)
        if (files->map[f]) munmap((void *)(uintptr_t)files->map[f], nbytes_of(files, f));
    free(files->map);
    free(files->dir);
    free(files);
    *address = NULL;
}
