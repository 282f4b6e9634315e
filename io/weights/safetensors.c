/* A safetensors file: opened, with its header checked; then the numbers that are asked for are read, and no others. */
#include "io/weights/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "io/file/files.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "safetensors files hold little-endian numbers");

enum { CONVERT_BYTES = 1 << 16 };

/* ------------------------------------------------------------------- opening */

static lk_status open_file(lk_safetensors *file, size_t *nbytes)
{
    struct stat info;

    file->fd = lk_open(file->path, O_RDONLY);
    if (file->fd < 0 || fstat(file->fd, &info) != 0)
        return LK_FAIL(LK_ERR_CHECKPOINT, "%s: cannot be read: %s", file->path, strerror(errno));
    if (!S_ISREG(info.st_mode)) return LK_FAIL(LK_ERR_CHECKPOINT, "%s: is no file of weights", file->path);
    *nbytes = (size_t)info.st_size;
    return LK_OK;
}

static lk_status read_at(const lk_safetensors *file, void *out, size_t nbytes, size_t place)
{
    const ssize_t n = lk_read_at(file->fd, out, nbytes, place);

    if (n < 0) return LK_FAIL(LK_ERR_CHECKPOINT, "%s: cannot be read: %s", file->path, strerror(errno));
    if ((size_t)n == nbytes) return LK_OK;
    return LK_FAIL(LK_ERR_CHECKPOINT, "%s: ends at byte %zu, where %zu more are expected: it is cut short, copy it "
                   "again", file->path, place + (size_t)n, nbytes - (size_t)n);
}

/* Where the header ends. */
static lk_status check_length(lk_safetensors *file, size_t nbytes)
{
    unsigned char head[LK_SAFETENSORS_LENGTH_BYTES + 1] = {0};
    const size_t n = nbytes < sizeof head ? nbytes : sizeof head;
    uint64_t length;

    LK_TRY(read_at(file, head, n, 0));
    memcpy(&length, head, sizeof length);
    if (n < sizeof head || head[LK_SAFETENSORS_LENGTH_BYTES] != '{')
        return lk_safetensors_recognize(file->path, head, n);
    if (length > LK_SAFETENSORS_MOST_HEADER)
        return LK_FAIL(LK_ERR_CHECKPOINT, "%s: its first 8 bytes say that the header has %llu; the format allows %llu",
                       file->path, (unsigned long long)length, (unsigned long long)LK_SAFETENSORS_MOST_HEADER);
    if (length > nbytes - LK_SAFETENSORS_LENGTH_BYTES)
        return LK_FAIL(LK_ERR_CHECKPOINT, "%s: its first 8 bytes say that the header has %llu, and only %zu follow: "
                       "it is cut short, copy it again",
                       file->path, (unsigned long long)length, nbytes - LK_SAFETENSORS_LENGTH_BYTES);
    file->data = LK_SAFETENSORS_LENGTH_BYTES + (size_t)length;
    file->data_nbytes = nbytes - file->data;
    return LK_OK;
}

static lk_status read_header(lk_safetensors *file)
{
    const size_t nbytes = file->data - LK_SAFETENSORS_LENGTH_BYTES;
    char *header = malloc(nbytes);

    LK_TRY_ALLOC(header, nbytes);
    lk_status status = read_at(file, header, nbytes, LK_SAFETENSORS_LENGTH_BYTES);
    if (status == LK_OK) status = lk_safetensors_parse(header, nbytes, file);
    free(header);
    return status;
}

static lk_status open_and_check(const char *path, lk_safetensors *file)
{
    size_t nbytes = 0;

    file->path = strdup(path);
    LK_TRY_ALLOC(file->path, strlen(path) + 1);
    LK_TRY(open_file(file, &nbytes));
    LK_TRY(check_length(file, nbytes));
    return read_header(file);
}

lk_status lk_safetensors_open(const char *path, lk_safetensors *out)
{
    *out = (lk_safetensors){.fd = -1};
    const lk_status status = open_and_check(path, out);
    if (status != LK_OK) lk_safetensors_close(out);
    return status;
}

void lk_safetensors_close(lk_safetensors *file)
{
    for (size_t i = 0; i < file->n; i++) free(file->tensor[i].name);
    free(file->tensor);
    lk_metadata_free(&file->metadata);
    if (file->fd >= 0) lk_close(file->fd);
    free(file->path);
    *file = (lk_safetensors){.fd = -1};
}

/* ------------------------------------------------------------------- reading */

lk_status lk_safetensors_read(const lk_safetensors *file, const lk_safe_tensor *tensor, size_t first, size_t n_elem,
                              float *out)
{
    const lk_safe_type *type = tensor->type;
    const size_t at_once = CONVERT_BYTES / type->nbytes;
    unsigned char bytes[CONVERT_BYTES];

    if (!type->to_f32)
        return LK_FAIL(LK_ERR_CHECKPOINT, "%s: tensor %s: its type is %s; weights are read from F32, F16, BF16 and F64",
                       file->path, tensor->name, type->word);
    for (size_t done = 0; done < n_elem;) {
        const size_t n = n_elem - done < at_once ? n_elem - done : at_once;

        LK_TRY(read_at(file, bytes, n * type->nbytes, file->data + tensor->begin + (first + done) * type->nbytes));
        type->to_f32(bytes, n, out + done);
        done += n;
    }
    return LK_OK;
}
