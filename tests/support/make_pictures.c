/*
 * make_pictures DIR N: a folder of N JPEG and PNG files of different sizes for each of two classes, `bright` above and
 * `dark` below: the upper half of its pictures is lighter, or darker, than the lower.
 */
#include <sys/stat.h>

#include "tests/support/picture_files.h"

enum { USAGE = 2, LEAST_SIDE = 24, MORE_SIDES = 17, MOST_SIDE = LEAST_SIDE + MORE_SIDES, LIGHT = 150, NOISE = 100 };

static void draw(uint8_t *pixels, int H, int W, bool bright, uint32_t *state)
{
    for (int h = 0; h < H; h++)
        for (int k = 0; k < W * 3; k++) {
            *state = *state * 1664525u + 1013904223u; /* Numerical Recipes' */
            *pixels++ = (uint8_t)((h < H / 2) == bright ? LIGHT : 0) + (*state >> 16) % NOISE;
        }
}

/* Every third is a PNG, every other JPEG progressive. */
static int put_picture(const char *folder, int i, bool bright, uint32_t *state)
{
    static uint8_t pixels[MOST_SIDE * MOST_SIDE * 3];
    const int H = LEAST_SIDE + i * 5 % MORE_SIDES, W = LEAST_SIDE + i * 3 % MORE_SIDES;
    const bool png = i % 3 == 2;
    char path[4096];
    size_t nbytes;

    draw(pixels, H, W, bright, state);
    uint8_t *bytes = png ? encode_png(pixels, H, W, PNG_COLOR_TYPE_RGB, 8, false, &nbytes)
                         : encode_jpeg(pixels, H, W, 3, i % 2, &nbytes);
    snprintf(path, sizeof path, "%s/%04d.%s", folder, i, png ? "png" : "jpg");
    FILE *file = fopen(path, "wb");
    const int good = file && fwrite(bytes, 1, nbytes, file) == nbytes && fclose(file) == 0;
    free(bytes);
    return good;
}

int main(int argc, char **argv)
{
    const int n = argc == 3 ? atoi(argv[2]) : 0;
    uint32_t state = (uint32_t)n;

    if (n < 1) return fprintf(stderr, "make_pictures DIR N\n"), USAGE;
    mkdir(argv[1], 0777);
    for (int bright = 0; bright < 2; bright++) {
        char folder[4000];
        snprintf(folder, sizeof folder, "%s/%s", argv[1], bright ? "bright" : "dark");
        mkdir(folder, 0777);
        for (int i = 0; i < n; i++)
            if (!put_picture(folder, i, bright, &state)) return perror(folder), EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
