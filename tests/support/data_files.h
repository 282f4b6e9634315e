/* Files that a test of data sets writes, beside its program, and removes; and a plain data specification. */
#ifndef LK_TESTS_DATA_FILES_H
#define LK_TESTS_DATA_FILES_H

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/io.h"

enum { MAX_TEST_FILES = 16, TEST_PATH_BYTES = 512 };

static char test_file[MAX_TEST_FILES][TEST_PATH_BYTES];
static int n_test_files;

/* A path of its own for this process; the file is removed by remove_test_files(). */
static inline char *test_path(const char *name)
{
    cr_assert_lt(n_test_files, MAX_TEST_FILES);
    char *path = test_file[n_test_files++];
    snprintf(path, TEST_PATH_BYTES, "%s/tests/%ld-%s", LK_BINARY_DIR, (long)getpid(), name);
    return path;
}

static inline char *write_test_file(const char *name, const void *bytes, size_t nbytes)
{
    char *path = test_path(name);
    FILE *file = fopen(path, "wb");
    cr_assert_not_null(file, "%s: %s", path, strerror(errno));
    cr_assert_eq(fwrite(bytes, 1, nbytes, file), nbytes);
    cr_assert_eq(fclose(file), 0);
    return path;
}

static inline char *write_test_text(const char *name, const char *text)
{
    return write_test_file(name, text, strlen(text));
}

static inline void remove_test_files(void)
{
    while (n_test_files > 0) unlink(test_file[--n_test_files]);
}

/* What a recipe fills in when it names no key. */
static inline lk_data_spec plain_spec(lk_data_kind kind)
{
    return (lk_data_spec){
        .kind = kind, .header = true, .shuffle = true, .pixel_std = 1.0, .seed = 1, .ignore_index = -100};
}

/* What the model makes of number i of a lane's field: images may come as bytes. */
static inline float number_of(const lk_field *field, const void *numbers, size_t i)
{
    const lk_pixels *p = &field->pixels;

    if (field->dtype == LK_DTYPE_F32) return ((const float *)numbers)[i];
    cr_assert_eq(field->dtype, LK_DTYPE_U8);
    const float v = (float)((const uint8_t *)numbers)[i];
    if (p->n_channels == 0) return v;
    const size_t c = i % (size_t)p->n_channels;
    return (v / 255.0f - p->mean[c]) / p->std[c];
}

/* A file among the real data sets: under LOCKSTEP_DATA, or ../shared/data beside the sources.  Where it is not,
 * the test is skipped, saying so. */
static inline const char *real_data(const char *name)
{
    static char path[TEST_PATH_BYTES];
    const char *root = getenv("LOCKSTEP_DATA");
    snprintf(path, sizeof path, "%s/%s", root ? root : LK_SOURCE_DIR "/../shared/data", name);
    if (access(path, R_OK) != 0) {
        cr_log_warn("%s is not here; set LOCKSTEP_DATA to the folder of real data sets", path);
        cr_skip_test("%s is not here", path);
    }
    return path;
}

#endif
