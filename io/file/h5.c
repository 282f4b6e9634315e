/* The boundary to HDF5: failures become messages, ids close themselves, small readers and writers of data sets. */
#include "io/file/h5.h"
#include "io/io.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MESSAGE_BYTES = 1536, REASON_BYTES = 512 };
#define TEXT_OF_(x) #x
#define TEXT_OF(x) TEXT_OF_(x)
#define OUR_HDF5 TEXT_OF(H5_VERS_MAJOR) "." TEXT_OF(H5_VERS_MINOR) "." TEXT_OF(H5_VERS_RELEASE)

void lk_h5_quiet(void)
{
    static _Thread_local bool quiet; /* HDF5 keeps its error stacks by thread too */

    if (quiet) return;
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    quiet = true;
}

void lk_checkpoint_describe(char *text, size_t nbytes)
{
    unsigned major, minor, release;
    hbool_t threadsafe = false;

    H5get_libversion(&major, &minor, &release);
    H5is_library_threadsafe(&threadsafe);
    snprintf(text, nbytes, "HDF5 %u.%u.%u, %s", major, minor, release,
             threadsafe ? "thread-safe" : "not thread-safe: checkpoints are written while training waits");
}

void lk_h5_close(hid_t *id)
{
    if (*id > 0) H5Idec_ref(*id);
    *id = H5I_INVALID_HID;
}

/* The walk starts where the error began; its first entry is the reason. */
static herr_t take_reason(unsigned n, const H5E_error2_t *error, void *reason)
{
    (void)n;
    snprintf(reason, REASON_BYTES, "%s", error->desc ? error->desc : "");
    return 1;
}

lk_status lk_h5_fail(lk_status status, const char *file, int line, const char *format, ...)
{
    char reason[REASON_BYTES] = "", text[MESSAGE_BYTES];
    va_list args;

    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take_reason, reason);
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return lk_fail(status, file, line, "%s (HDF5: %s%s)", text, *reason ? reason : "no reason given",
                   strstr(reason, "version") ? "; written by a newer HDF5 than " OUR_HDF5
                   ": write it again with h5repack --high v110, or h5py's libver=(\"earliest\", \"v110\")" : "");
}

static lk_status file_properties(lk_status status, hid_t *out)
{
    LK_H5_ID list = H5I_INVALID_HID;

    LK_H5(status, list = H5Pcreate(H5P_FILE_ACCESS), "cannot make file properties");
    LK_H5(status, H5Pset_file_locking(list, false, true), "cannot turn file locking off");
    *out = list;
    list = H5I_INVALID_HID;
    return LK_OK;
}

lk_status lk_h5_open(lk_status status, const char *path, hid_t *out)
{
    LK_H5_ID list = H5I_INVALID_HID;

    if (access(path, R_OK) != 0) return LK_FAIL(status, "cannot open %s: %s", path, strerror(errno));
    LK_TRY(file_properties(status, &list));
    LK_H5(status, *out = H5Fopen(path, H5F_ACC_RDONLY, list), "cannot open %s as an HDF5 file", path);
    return LK_OK;
}

const char *lk_h5_place(hid_t object, char out[LK_H5_PLACE_BYTES])
{
    const ssize_t file_length = H5Fget_name(object, out, LK_H5_PLACE_BYTES / 2);
    size_t used = file_length > 0 ? strlen(out) : 0;

    used += (size_t)snprintf(out + used, LK_H5_PLACE_BYTES - used, ": ");
    if (H5Iget_name(object, out + used, LK_H5_PLACE_BYTES - used) < 0) out[used] = '\0';
    return out;
}

/* ------------------------------------------------------------------ reading */

lk_status lk_h5_open_set(lk_status status, hid_t where, const char *path, hid_t *out)
{
    char place[LK_H5_PLACE_BYTES];

    /* Asked for first: a failing HDF5 call must be the last one before its reason is taken. */
    lk_h5_place(where, place);
    LK_H5(status, *out = H5Dopen2(where, path, H5P_DEFAULT), "%s has no data set \"%s\"", place, path);
    return LK_OK;
}

lk_status lk_h5_shape(lk_status status, hid_t set, int max_dims, int *ndim, hsize_t *dims)
{
    hsize_t extent[H5S_MAX_RANK] = {0};
    char place[LK_H5_PLACE_BYTES];
    LK_H5_ID space = H5I_INVALID_HID;

    lk_h5_place(set, place);
    LK_H5(status, space = H5Dget_space(set), "%s has no shape", place);
    LK_H5(status, *ndim = H5Sget_simple_extent_dims(space, extent, NULL), "%s has no simple shape", place);
    if (*ndim > max_dims)
        return LK_FAIL(status, "%s has %d dimensions, at most %d are expected", place, *ndim, max_dims);
    memcpy(dims, extent, (size_t)*ndim * sizeof *dims);
    return LK_OK;
}

lk_status lk_h5_read(lk_status status, hid_t where, const char *path, hid_t memory_type, size_t n_elem, void *out)
{
    char place[LK_H5_PLACE_BYTES];
    hssize_t n_found;
    LK_H5_ID set = H5I_INVALID_HID;
    LK_H5_ID space = H5I_INVALID_HID;

    LK_TRY(lk_h5_open_set(status, where, path, &set));
    lk_h5_place(set, place);
    LK_H5(status, space = H5Dget_space(set), "%s has no shape", place);
    LK_H5(status, n_found = H5Sget_simple_extent_npoints(space), "%s has no simple shape", place);
    if ((size_t)n_found != n_elem)
        return LK_FAIL(status, "%s has %lld elements, %zu are expected", place, (long long)n_found, n_elem);
    LK_H5(status, H5Dread(set, memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, out), "cannot read %s", place);
    lk_alive();
    return LK_OK;
}

lk_status lk_h5_read_rows(lk_status status, hid_t set, hid_t memory_type, int64_t begin, int64_t end, void *out)
{
    hsize_t dims[H5S_MAX_RANK], start[H5S_MAX_RANK] = {0};
    char place[LK_H5_PLACE_BYTES];
    int ndim;
    LK_H5_ID file_space = H5I_INVALID_HID;
    LK_H5_ID memory_space = H5I_INVALID_HID;

    lk_h5_place(set, place);
    LK_TRY(lk_h5_shape(status, set, H5S_MAX_RANK, &ndim, dims));
    const int64_t n_rows = ndim > 0 ? (int64_t)dims[0] : 1;
    if (begin < 0 || begin > end || end > n_rows)
        return LK_FAIL(status, "%s has %lld rows: there is no [%lld, %lld)", place, (long long)n_rows,
                       (long long)begin, (long long)end);
    if (begin == end) return LK_OK;
    LK_H5(status, file_space = H5Dget_space(set), "%s has no shape", place);
    if (ndim > 0) {
        start[0] = (hsize_t)begin;
        dims[0] = (hsize_t)(end - begin);
        LK_H5(status, H5Sselect_hyperslab(file_space, H5S_SELECT_SET, start, NULL, dims, NULL),
              "cannot select rows of %s", place);
    }
    LK_H5(status, memory_space = H5Screate_simple(ndim, dims, NULL), "cannot describe rows of %s", place);
    LK_H5(status, H5Dread(set, memory_type, memory_space, file_space, H5P_DEFAULT, out), "cannot read %s", place);
    lk_alive();
    return LK_OK;
}

/* Reads strings, stored with fixed or variable length, as n cells of *cell bytes that all end in NUL. */
static lk_status read_cells(lk_status status, hid_t set, size_t n, size_t *cell, char **out)
{
    char place[LK_H5_PLACE_BYTES];
    LK_H5_ID type = H5I_INVALID_HID;
    LK_H5_ID memory_type = H5I_INVALID_HID;

    lk_h5_place(set, place);
    LK_H5(status, type = H5Dget_type(set), "%s has no type", place);
    if (H5Tget_class(type) != H5T_STRING || H5Tis_variable_str(type) != 0)
        return LK_FAIL(status, "%s does not hold strings of a fixed length", place);
    *cell = H5Tget_size(type) + 1;
    LK_H5(status, memory_type = H5Tcopy(H5T_C_S1), "cannot make a string type");
    LK_H5(status, H5Tset_size(memory_type, *cell), "cannot make a string type of %zu bytes", *cell);
    LK_H5(status, H5Tset_cset(memory_type, H5Tget_cset(type)), "cannot set the characters of %s", place);
    *out = calloc(n ? n : 1, *cell);
    LK_TRY_ALLOC(*out, n * *cell);
    LK_H5(status, H5Dread(set, memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, *out), "cannot read %s", place);
    return LK_OK;
}

lk_status lk_h5_read_text(lk_status status, hid_t where, const char *path, char **out)
{
    hsize_t dims[1];
    char *text = NULL;
    size_t cell;
    int ndim;
    LK_H5_ID set = H5I_INVALID_HID;

    LK_TRY(lk_h5_open_set(status, where, path, &set));
    LK_TRY(lk_h5_shape(status, set, 0, &ndim, dims));
    const lk_status read = read_cells(status, set, 1, &cell, &text);
    if (read != LK_OK) {
        free(text);
        return lk_trace(read, __FILE__, __LINE__);
    }
    *out = text;
    return LK_OK;
}

lk_status lk_h5_read_texts(lk_status status, hid_t where, const char *path, char ***out, size_t *n)
{
    hsize_t dims[1] = {0};
    char *cells = NULL;
    size_t cell;
    int ndim;
    LK_H5_ID set = H5I_INVALID_HID;

    LK_TRY(lk_h5_open_set(status, where, path, &set));
    LK_TRY(lk_h5_shape(status, set, 1, &ndim, dims));
    const lk_status read = read_cells(status, set, (size_t)dims[0], &cell, &cells);
    if (read != LK_OK) {
        free(cells);
        return lk_trace(read, __FILE__, __LINE__);
    }

    /* One block: the pointers, then the strings they point to. */
    const size_t pointer_bytes = (size_t)dims[0] * sizeof(char *);
    char **texts = malloc(pointer_bytes + (size_t)dims[0] * cell + 1);
    if (texts) {
        for (size_t i = 0; i < dims[0]; i++) texts[i] = (char *)texts + pointer_bytes + i * cell;
        memcpy((char *)texts + pointer_bytes, cells, (size_t)dims[0] * cell);
    }
    free(cells);
    LK_TRY_ALLOC(texts, pointer_bytes);
    *out = texts;
    *n = (size_t)dims[0];
    return LK_OK;
}

/* ------------------------------------------------------------------ writing */

lk_status lk_h5_link_properties(hid_t *out)
{
    LK_H5_ID list = H5I_INVALID_HID;

    LK_H5(LK_ERR_SYSTEM, list = H5Pcreate(H5P_LINK_CREATE), "cannot make link properties");
    LK_H5(LK_ERR_SYSTEM, H5Pset_create_intermediate_group(list, 1), "cannot ask for intermediate groups");
    *out = list;
    list = H5I_INVALID_HID;
    return LK_OK;
}

/* Space is taken at once, so that its place is known, and never filled by HDF5. */
static lk_status early_properties(hid_t *out)
{
    LK_H5_ID list = H5I_INVALID_HID;

    LK_H5(LK_ERR_SYSTEM, list = H5Pcreate(H5P_DATASET_CREATE), "cannot make data set properties");
    LK_H5(LK_ERR_SYSTEM, H5Pset_alloc_time(list, H5D_ALLOC_TIME_EARLY), "cannot ask for space at once");
    LK_H5(LK_ERR_SYSTEM, H5Pset_fill_time(list, H5D_FILL_TIME_NEVER), "cannot turn filling off");
    *out = list;
    list = H5I_INVALID_HID;
    return LK_OK;
}

lk_status lk_h5_write(hid_t where, const char *path, hid_t file_type, hid_t memory_type, int ndim,
                      const int64_t *shape, const void *data, hid_t *set)
{
    hsize_t dims[H5S_MAX_RANK] = {0};
    LK_H5_ID links = H5I_INVALID_HID;
    LK_H5_ID early = H5I_INVALID_HID;
    LK_H5_ID space = H5I_INVALID_HID;
    LK_H5_ID made = H5I_INVALID_HID;

    assert(ndim >= 0 && ndim <= H5S_MAX_RANK);
    for (int d = 0; d < ndim; d++) dims[d] = (hsize_t)shape[d];
    LK_TRY(lk_h5_link_properties(&links));
    LK_TRY(early_properties(&early));
    LK_H5(LK_ERR_SYSTEM, space = ndim > 0 ? H5Screate_simple(ndim, dims, NULL) : H5Screate(H5S_SCALAR),
          "cannot describe \"%s\"", path);
    LK_H5(LK_ERR_SYSTEM, made = H5Dcreate2(where, path, file_type, space, links, early, H5P_DEFAULT),
          "cannot make data set \"%s\"", path);
    if (data)
        LK_H5(LK_ERR_SYSTEM, H5Dwrite(made, memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data), "cannot write \"%s\"",
              path);
    if (set) {
        *set = made;
        made = H5I_INVALID_HID;
    }
    return LK_OK;
}

lk_status lk_h5_text_type(size_t length, hid_t *out)
{
    LK_H5_ID type = H5I_INVALID_HID;

    LK_H5(LK_ERR_SYSTEM, type = H5Tcopy(H5T_C_S1), "cannot make a string type");
    LK_H5(LK_ERR_SYSTEM, H5Tset_size(type, length ? length : 1), "cannot make a string type of %zu bytes", length);
    LK_H5(LK_ERR_SYSTEM, H5Tset_strpad(type, H5T_STR_NULLPAD), "cannot set the padding of strings");
    LK_H5(LK_ERR_SYSTEM, H5Tset_cset(type, H5T_CSET_UTF8), "cannot set the characters of strings");
    *out = type;
    type = H5I_INVALID_HID;
    return LK_OK;
}

lk_status lk_h5_write_text(hid_t where, const char *path, const char *text)
{
    LK_H5_ID type = H5I_INVALID_HID;

    LK_TRY(lk_h5_text_type(strlen(text), &type));
    LK_TRY(lk_h5_write(where, path, type, type, 0, NULL, text, NULL));
    return LK_OK;
}

lk_status lk_h5_write_texts(hid_t where, const char *path, const char *const *texts, size_t n)
{
    const int64_t shape[1] = {(int64_t)n};
    size_t longest = 1;
    LK_H5_ID type = H5I_INVALID_HID;

    for (size_t i = 0; i < n; i++)
        if (strlen(texts[i]) > longest) longest = strlen(texts[i]);
    LK_TRY(lk_h5_text_type(longest, &type));
    char *cells = calloc(n ? n : 1, longest);
    LK_TRY_ALLOC(cells, n * longest);
    for (size_t i = 0; i < n; i++) memcpy(cells + i * longest, texts[i], strlen(texts[i]));
    const lk_status written = lk_h5_write(where, path, type, type, 1, shape, n ? cells : NULL, NULL);
    free(cells);
    LK_TRY(written);
    return LK_OK;
}

lk_status lk_h5_set_attribute(hid_t object, const char *name, const int64_t *values, size_t n)
{
    const hsize_t dims[1] = {n};
    LK_H5_ID space = H5I_INVALID_HID;
    LK_H5_ID attribute = H5I_INVALID_HID;

    LK_H5(LK_ERR_SYSTEM, space = H5Screate_simple(1, dims, NULL), "cannot describe attribute \"%s\"", name);
    LK_H5(LK_ERR_SYSTEM, attribute = H5Acreate2(object, name, H5T_STD_I64LE, space, H5P_DEFAULT, H5P_DEFAULT),
          "cannot make attribute \"%s\"", name);
    LK_H5(LK_ERR_SYSTEM, H5Awrite(attribute, H5T_NATIVE_INT64, values), "cannot write attribute \"%s\"", name);
    return LK_OK;
}

lk_status lk_h5_offset(hid_t set, size_t *out)
{
    const haddr_t offset = H5Dget_offset(set);
    char place[LK_H5_PLACE_BYTES];

    if (offset == HADDR_UNDEF)
        return LK_FAIL(LK_ERR_SYSTEM, "%s has no place of its own in its file", lk_h5_place(set, place));
    *out = (size_t)offset;
    return LK_OK;
}
