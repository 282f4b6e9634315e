/*
 * Which tensor of a damaged file is damaged?  The seal tells where the table of pieces is, the table where each
 * piece is and what its checksum was.  The table may be damaged itself, so nothing in it is believed that does
 * not fit the tensors; then no tensor is named.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "io/checkpoint/checkpoint.h"

static bool fits(const lk_piece *piece, const lk_ckpt_tensor *tensor, size_t file_bytes)
{
    if (piece->begin < 0 || piece->begin > piece->end || piece->end > lk_tensor_rows(tensor)) return false;
    const size_t nbytes = lk_piece_bytes(piece, tensor);

    return piece->offset >= 0 && nbytes <= file_bytes && (size_t)piece->offset <= file_bytes - nbytes;
}

static bool is_damaged(int fd, const lk_piece *piece, size_t nbytes)
{
    char checksum[LK_CHECKSUM_CHARS];
    void *bytes = malloc(nbytes + 1);
    bool damaged = false;

    if (bytes && lk_read_at(fd, bytes, nbytes, (size_t)piece->offset) == (ssize_t)nbytes) {
        lk_checksum(bytes, nbytes, checksum);
        damaged = memcmp(checksum, piece->xxh3, sizeof checksum) != 0;
    }
    free(bytes);
    return damaged;
}

static bool find(int fd, const lk_piece *pieces, size_t file_bytes, const lk_ckpt_tensor *tensors, size_t n,
                 char *out, size_t out_bytes)
{
    for (size_t i = 0; i < n; i++) {
        const lk_piece *piece = &pieces[i];

        if (!fits(piece, &tensors[i], file_bytes)) return false;
        if (!is_damaged(fd, piece, lk_piece_bytes(piece, &tensors[i]))) continue;
        snprintf(out, out_bytes, "/%s rows %" PRId64 "..%" PRId64, tensors[i].path, piece->begin, piece->end - 1);
        return true;
    }
    return false;
}

bool lk_shard_find_damage(int fd, const lk_seal *seal, size_t file_bytes, const lk_ckpt_tensor *tensors,
                          size_t n, char *out, size_t out_bytes)
{
    lk_piece *pieces = calloc(n + 1, sizeof *pieces);
    const size_t nbytes = n * sizeof *pieces;
    const bool found = pieces && lk_read_at(fd, pieces, nbytes, seal->pieces) == (ssize_t)nbytes &&
                       find(fd, pieces, file_bytes, tensors, n, out, out_bytes);

    free(pieces);
    return found;
}
