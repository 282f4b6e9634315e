/*
 * make_images FILE N uint8|float: an HDF5 file with N images x (N, 1, 28, 28), of bytes or of floats with the same
 * numbers, in chunks of 16, and their labels y (N,).  As those of make_idx.sh: class c has a bright band of rows from 2
 * c on, over noise.
 */
#include <hdf5.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 28, CLASSES = 10, BAND_ROWS = 4, BRIGHT = 160, NOISE = 90, CHUNK = 16, USAGE = 2 };

static void draw(uint8_t *image, int c, uint32_t *state)
{
    for (int row = 0; row < SIDE; row++)
        for (int column = 0; column < SIDE; column++) {
            *state = *state * 1664525u + 1013904223u; /* Numerical Recipes' */
            *image++ = (uint8_t)((row >= 2 * c && row < 2 * c + BAND_ROWS ? BRIGHT : 0) + (*state >> 16) % NOISE);
        }
}

static int put_set(hid_t file, const char *name, hid_t file_type, int rank, const hsize_t *dims, const hsize_t *chunk,
                   const uint8_t *values)
{
    const hid_t space = H5Screate_simple(rank, dims, NULL), list = H5Pcreate(H5P_DATASET_CREATE);
    if (chunk) H5Pset_chunk(list, rank, chunk);
    const hid_t set = H5Dcreate2(file, name, file_type, space, H5P_DEFAULT, list, H5P_DEFAULT);
    const int good = H5Dwrite(set, H5T_NATIVE_UINT8, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0 && H5Dclose(set) >= 0;
    H5Pclose(list);
    H5Sclose(space);
    return good;
}

static int write_file(const char *path, hsize_t n, hid_t type, const uint8_t *x, const uint8_t *y)
{
    const hsize_t dims[] = {n, 1, SIDE, SIDE}, chunk[] = {CHUNK, 1, SIDE, SIDE};
    const hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    return put_set(file, "x", type, 4, dims, chunk, x) && put_set(file, "y", H5T_STD_U8LE, 1, dims, NULL, y) &&
           H5Fclose(file) >= 0;
}

int main(int argc, char **argv)
{
    const long n = argc == 4 ? atol(argv[2]) : 0;
    uint32_t state = (uint32_t)n;

    if (n < CHUNK) return fprintf(stderr, "make_images FILE N uint8|float, N at least %d\n", CHUNK), USAGE;
    uint8_t *x = malloc((size_t)n * SIDE * SIDE), *y = malloc((size_t)n);
    for (long i = 0; x && y && i < n; i++) draw(x + i * SIDE * SIDE, y[i] = (uint8_t)(i * 7 % CLASSES), &state);
    const hid_t type = strcmp(argv[3], "float") == 0 ? H5T_IEEE_F32LE : H5T_STD_U8LE;
    const int good = x && y && write_file(argv[1], (hsize_t)n, type, x, y);
    free(y);
    free(x);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
