/*
 * Which tensor of a damaged file is damaged?  The header tells where the table of extents is, the table where each
 * extent is and what its checksum was.  The table may be damaged itself, so nothing in it is believed that does
 * not fit the tensors; then no tensor is named.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "io/checkpoint/checkpoint.h"

static bool fits(const lk_extent *extent, const lk_ckpt_tensor *tensor, size_t file_bytes)
{
    if (extent->begin < 0 || extent->begin > extent->end || extent->end > lk_tensor_rows(tensor)) return false;
    const size_t nbytes = lk_extent_bytes(extent, tensor);

    return extent->offset >= 0 && nbytes <= file_bytes && (size_t)extent->offset <= file_bytes - nbytes;
}

static bool is_damaged(int fd, const lk_extent *extent, size_t nbytes)
{
    char checksum[LK_CHECKSUM_CHARS];
    void *bytes = malloc(nbytes + 1);
    bool damaged = false;

    if (bytes && lk_read_at(fd, bytes, nbytes, (size_t)extent->offset) == (ssize_t)nbytes) {
        lk_checksum(bytes, nbytes, checksum);
        damaged = memcmp(checksum, extent->xxh3, sizeof checksum) != 0;
    }
    free(bytes);
    return damaged;
}

static bool find(int fd, const lk_extent *extents, size_t file_bytes, const lk_ckpt_tensor *tensors, size_t n,
                 char *out, size_t out_bytes)
{
    for (size_t i = 0; i < n; i++) {
        const lk_extent *extent = &extents[i];

        if (!fits(extent, &tensors[i], file_bytes)) return false;
        if (!is_damaged(fd, extent, lk_extent_bytes(extent, &tensors[i]))) continue;
        snprintf(out, out_bytes, "/%s rows %" PRId64 "..%" PRId64, tensors[i].path, extent->begin, extent->end - 1);
        return true;
    }
    return false;
}

bool lk_shard_find_damage(int fd, const lk_file_header *header, size_t file_bytes, const lk_ckpt_tensor *tensors,
                          size_t n, char *out, size_t out_bytes)
{
    lk_extent *extents = calloc(n + 1, sizeof *extents);
    const size_t nbytes = n * sizeof *extents;
    const bool found = extents && lk_read_at(fd, extents, nbytes, header->extents) == (ssize_t)nbytes &&
                       find(fd, extents, file_bytes, tensors, n, out, out_bytes);

    free(extents);
    return found;
}
