/*
 * Whether somebody wrote what an HDF5 data set would give.
 *
 * HDF5 reads zeros, without an error, where nothing was ever written: a data set (or chunks of it) without space,
 * parts of a virtual data set that no source covers or whose source is missing or smaller than was said, external
 * storage that is too short.  Zeros train like anything else, so all of that is refused, unless the data set names
 * a fill value: then whoever made it meant the gaps.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "io/data/kinds/hdf5_written.h"

enum { NAME_BYTES = 1024, MOST_LEVELS = 16, FILTER_NAME_BYTES = 64, FILTER_VALUES = 16 };

static lk_status check_set(hid_t set, int level);

/* ----------------------------------------------------------- external storage */

/* The folder that names of external files count from: HDF5's own rule, as the set was opened. */
static void external_path(hid_t set, const char *name, char *path, size_t nbytes)
{
    char prefix[NAME_BYTES] = "";
    LK_H5_ID access = H5I_INVALID_HID;

    lk_h5_quiet();
    access = H5Dget_access_plist(set);
    if (*name != '/') H5Pget_efile_prefix(access, prefix, sizeof prefix);
    snprintf(path, nbytes, "%s%s%s", prefix, *prefix ? "/" : "", name);
}

static lk_status check_external(hid_t set, const char *place, hid_t list, int n)
{
    for (int i = 0; i < n; i++) {
        char name[NAME_BYTES], path[2 * NAME_BYTES];
        struct stat file = {0};
        off_t offset;
        hsize_t nbytes;
        LK_H5(LK_ERR_DATA, H5Pget_external(list, (unsigned)i, sizeof name, name, &offset, &nbytes),
              "%s: external file %d has no name", place, i);
        external_path(set, name, path, sizeof path);
        if (stat(path, &file) != 0)
            return LK_FAIL(LK_ERR_DATA, "%s lies in %s, which is not there and would be read as zeros", place, path);
        const hsize_t there = file.st_size > offset ? (hsize_t)(file.st_size - offset) : 0;
        const hsize_t need = nbytes == H5F_UNLIMITED ? H5Dget_storage_size(set) : nbytes;
        if (there < need)
            return LK_FAIL(LK_ERR_DATA, "%s lies in %s, which is %llu bytes short; they would be read as zeros", place,
                           path, (unsigned long long)(need - there));
    }
    return LK_OK;
}

/* ----------------------------------------------------------- virtual data sets */

/* The file of source i, seen from the file that names it. */
static lk_status source_path(hid_t set, const char *place, const char *name, char *path, size_t nbytes)
{
    LK_H5(LK_ERR_DATA, H5Fget_name(set, path, nbytes), "%s has no file", place);
    if (strcmp(name, ".") == 0) return LK_OK;
    char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    if (*name == '/') base = path;
    snprintf(base, nbytes - (size_t)(base - path), "%s", name);
    return LK_OK;
}

/* What is taken of a source must lie inside it. */
static lk_status check_extent(hid_t source, hid_t list, size_t i)
{
    hsize_t begin[H5S_MAX_RANK], end[H5S_MAX_RANK], dims[H5S_MAX_RANK];
    char place[LK_H5_PLACE_BYTES];
    int rank;
    LK_H5_ID taken = H5I_INVALID_HID;

    lk_h5_place(source, place);
    LK_H5(LK_ERR_DATA, taken = H5Pget_virtual_srcspace(list, i), "%s has no selection", place);
    if (H5Sget_select_type(taken) != H5S_SEL_HYPERSLABS || H5Sget_select_npoints(taken) < 0) return LK_OK;
    if (H5Sget_select_bounds(taken, begin, end) < 0) return LK_OK; /* unlimited: as much as there is */
    LK_TRY(lk_h5_shape(LK_ERR_DATA, source, H5S_MAX_RANK, &rank, dims));
    for (int d = 0; d < rank; d++)
        if (end[d] >= dims[d])
            return LK_FAIL(LK_ERR_DATA, "%s has %llu places along dimension %d, %llu are taken from it", place,
                           (unsigned long long)dims[d], d, (unsigned long long)end[d] + 1);
    return LK_OK;
}

static lk_status check_source(hid_t set, const char *place, hid_t list, size_t i, int level)
{
    char name[NAME_BYTES], set_name[NAME_BYTES], path[2 * NAME_BYTES];
    LK_H5_ID file = H5I_INVALID_HID;
    LK_H5_ID source = H5I_INVALID_HID;

    LK_H5(LK_ERR_DATA, H5Pget_virtual_filename(list, i, name, sizeof name), "%s: source %zu has no file", place, i);
    if (strstr(name, "%b")) return LK_OK; /* numbered files: the set ends where the first is missing */
    LK_H5(LK_ERR_DATA, H5Pget_virtual_dsetname(list, i, set_name, sizeof set_name), "%s: source %zu has no name",
          place, i);
    LK_TRY(source_path(set, place, name, path, sizeof path));
    LK_TRY(lk_h5_open(LK_ERR_DATA, path, &file));
    LK_TRY(lk_h5_open_set(LK_ERR_DATA, file, set_name, &source));
    LK_TRY(check_extent(source, list, i));
    return check_set(source, level + 1);
}

/* Places of the set that some source covers; -1: no number (unlimited selections grow with their sources). */
static lk_status count_covered(const char *place, hid_t list, size_t n, hssize_t *covered)
{
    LK_H5_ID all = H5I_INVALID_HID;

    *covered = -1;
    for (size_t i = 0; i < n; i++) {
        hsize_t begin[H5S_MAX_RANK], end[H5S_MAX_RANK];
        LK_H5_ID one = H5I_INVALID_HID;
        LK_H5(LK_ERR_DATA, one = H5Pget_virtual_vspace(list, i), "%s: source %zu has no selection", place, i);
        lk_h5_quiet();
        if (H5Sget_select_bounds(one, begin, end) < 0) return LK_OK;
        if (i > 0) {
            hid_t joined;
            LK_H5(LK_ERR_DATA, joined = H5Scombine_select(all, H5S_SELECT_OR, one), "%s: cannot join selections",
                  place);
            lk_h5_close(&all);
            all = joined;
        } else {
            all = one;
            one = H5I_INVALID_HID;
        }
    }
    *covered = n ? H5Sget_select_npoints(all) : 0;
    return LK_OK;
}

static lk_status check_virtual(hid_t set, const char *place, hid_t list, bool has_fill, int level)
{
    hssize_t covered, total;
    size_t n;
    LK_H5_ID space = H5I_INVALID_HID;

    LK_H5(LK_ERR_DATA, H5Pget_virtual_count(list, &n), "%s has no sources", place);
    for (size_t i = 0; i < n; i++) {
        if (check_source(set, place, list, i, level) == LK_OK || has_fill) continue;
        return LK_FAIL(LK_ERR_DATA, "%s is virtual, and source %zu would be read as zeros: %s", place, i,
                       lk_error_message());
    }
    if (has_fill) return LK_OK;
    LK_TRY(count_covered(place, list, n, &covered));
    LK_H5(LK_ERR_DATA, space = H5Dget_space(set), "%s has no shape", place);
    LK_H5(LK_ERR_DATA, total = H5Sget_simple_extent_npoints(space), "%s has no simple shape", place);
    if (covered >= 0 && covered < total)
        return LK_FAIL(LK_ERR_DATA, "%s is virtual, and its sources cover %lld of its %lld numbers; the others would "
                       "be read as zeros: map them, or set a fill value", place, (long long)covered, (long long)total);
    return LK_OK;
}

/* ------------------------------------------------------------------ data sets */

/* Chunks are counted: the library's own word on their space compares bytes, and compressed ones have fewer. */
static lk_status count_chunks(hid_t set, const char *place, hid_t list, hsize_t *written, hsize_t *all)
{
    hsize_t dims[H5S_MAX_RANK], chunk[H5S_MAX_RANK];
    int rank;
    LK_H5_ID space = H5I_INVALID_HID;

    LK_TRY(lk_h5_shape(LK_ERR_DATA, set, H5S_MAX_RANK, &rank, dims));
    LK_H5(LK_ERR_DATA, space = H5Dget_space(set), "%s has no shape", place);
    LK_H5(LK_ERR_DATA, H5Pget_chunk(list, rank, chunk), "%s has no chunks", place);
    LK_H5(LK_ERR_DATA, H5Dget_num_chunks(set, space, written), "%s: its chunks cannot be counted", place);
    *all = 1;
    for (int d = 0; d < rank; d++) *all *= (dims[d] + chunk[d] - 1) / chunk[d];
    return LK_OK;
}

static lk_status check_space(hid_t set, const char *place, hid_t list)
{
    H5D_space_status_t space;
    hsize_t written = 0, all = 0;

    LK_H5(LK_ERR_DATA, H5Dget_space_status(set, &space), "%s has no space", place);
    if (H5Pget_layout(list) == H5D_CHUNKED) LK_TRY(count_chunks(set, place, list, &written, &all));
    if (written > 0 && written < all)
        return LK_FAIL(LK_ERR_DATA, "%s: only %llu of its %llu chunks were written, the others would be read as zeros; "
                       "write them, or set a fill value", place, (unsigned long long)written, (unsigned long long)all);
    if (written > 0 || space == H5D_SPACE_STATUS_ALLOCATED) return LK_OK;
    return LK_FAIL(LK_ERR_DATA, "%s was never written and would be read as zeros; write it, or set a fill value",
                   place);
}

static lk_status check_set(hid_t set, int level)
{
    char place[LK_H5_PLACE_BYTES];
    H5D_fill_value_t fill;
    LK_H5_ID list = H5I_INVALID_HID;

    lk_h5_place(set, place);
    if (level == MOST_LEVELS) return LK_FAIL(LK_ERR_DATA, "%s is virtual through %d levels", place, level);
    LK_H5(LK_ERR_DATA, list = H5Dget_create_plist(set), "%s has no properties", place);
    LK_H5(LK_ERR_DATA, H5Pfill_value_defined(list, &fill), "%s has no fill value", place);
    const bool has_fill = fill == H5D_FILL_VALUE_USER_DEFINED;
    const int n_external = H5Pget_external_count(list);
    if (H5Pget_layout(list) == H5D_VIRTUAL) return check_virtual(set, place, list, has_fill, level);
    if (n_external > 0) return check_external(set, place, list, n_external);
    return has_fill ? LK_OK : check_space(set, place, list);
}

lk_status lk_h5_check_written(hid_t set) { return check_set(set, 0); }

/* ------------------------------------------------------------------- filters */

/* lzf is h5py's own, so no other program has it; plugins are where they are installed. */
lk_status lk_h5_explain(hid_t set, lk_status failed)
{
    char place[LK_H5_PLACE_BYTES];
    LK_H5_ID list = H5I_INVALID_HID;

    LK_H5(LK_ERR_DATA, list = H5Dget_create_plist(set), "%s has no properties", lk_h5_place(set, place));
    const int n = H5Pget_nfilters(list);

    for (int i = 0; i < n; i++) {
        char name[FILTER_NAME_BYTES] = "";
        unsigned values[FILTER_VALUES], flags;
        size_t n_values = FILTER_VALUES;
        const H5Z_filter_t id = H5Pget_filter2(list, (unsigned)i, &flags, &n_values, values, sizeof name, name, NULL);
        if (id < 0 || H5Zfilter_avail(id) > 0) continue;
        return LK_FAIL(LK_ERR_DATA, "%s is compressed by the filter %s (%d), which HDF5 lacks here; write it again "
                       "with compression=\"gzip\" in h5py, or by h5repack -f GZIP=4 where that filter is installed",
                       lk_h5_place(set, place), *name ? name : "without a name", (int)id);
    }
    return lk_trace(failed, __FILE__, __LINE__);
}
