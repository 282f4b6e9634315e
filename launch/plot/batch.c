/*
 * lockstep plot --batch: the first training batch as it enters the network, as a grid of pictures with their labels,
 * normalisation undone for the eye.  What the transforms do is seen before anything is trained.
 *
 * The pixels go to gnuplot as a file of bytes beside the picture, one rgbimage a sample.
 */
#include "launch/plot/plot.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST = 64, SIDE = 96, GAP = 6, TEXT = 14, LABEL_BYTES = 64 }; /* points, but for the first and the last */

static const char default_name[] = "batch.png";

typedef struct grid {
    const lk_dataset *data;    /* borrowed */
    const lk_batch_lane *lane; /* borrowed */
    int64_t H, W;
    int n, columns;
    double dot;                /* points a pixel */
    char *pixels;              /* owned: the name of the file of bytes */
} grid;

/* ------------------------------------------------------------------- labels */

static void print_class(const lk_dataset *data, size_t c, char text[LABEL_BYTES])
{
    const char *word = lk_dataset_class(data, c);

    if (word) snprintf(text, LABEL_BYTES, "%s", word);
    else snprintf(text, LABEL_BYTES, "%zu", c);
}

/* "cat", or where labels are mixed "cat 0.71, dog 0.29". */
static void print_probabilities(const lk_dataset *data, const float *target, size_t n, char text[LABEL_BYTES])
{
    size_t used = 0;

    text[0] = '\0';
    for (size_t c = 0; c < n && used < LABEL_BYTES; c++) {
        char word[LABEL_BYTES];

        if (!(target[c] >= 0.005f)) continue; /* no digit of it would show */
        print_class(data, c, word);
        const size_t left = LABEL_BYTES - used;
        const char *comma = used ? ", " : "";
        used += (size_t)(target[c] > 0.995f ? snprintf(text + used, left, "%s%s", comma, word)
                                            : snprintf(text + used, left, "%s%s %.2f", comma, word, (double)target[c]));
    }
}

static void print_label(const grid *g, int i, char text[LABEL_BYTES])
{
    const lk_sample *sample = lk_dataset_sample(g->data);
    const int label = lk_sample_find(sample, "label"), target = lk_sample_find(sample, "target");
    const size_t n = target < 0 ? 0 : lk_field_n_elem(&sample->field[target], 0);

    text[0] = '\0';
    if (label >= 0) {
        const int32_t c = ((const int32_t *)g->lane->field[label])[i];
        if (c >= 0) print_class(g->data, (size_t)c, text);
    } else if (n > 1) {
        print_probabilities(g->data, (const float *)g->lane->field[target] + (size_t)i * n, n, text);
    } else if (n == 1) {
        snprintf(text, LABEL_BYTES, "%.4g", (double)((const float *)g->lane->field[target])[i]);
    }
}

/* ------------------------------------------------------------------ picture */

static lk_status write_pixels(const grid *g)
{
    const lk_field *x = &lk_dataset_sample(g->data)->field[0];
    const size_t nbytes = lk_field_nbytes(x, 0), n_rgb = (size_t)(3 * g->H * g->W);
    uint8_t *rgb = malloc(n_rgb);
    FILE *file = fopen(g->pixels, "we");
    bool whole = rgb && file;

    for (int i = 0; whole && i < g->n; i++) {
        lk_dataset_show(g->data, (const char *)g->lane->field[0] + (size_t)i * nbytes, rgb);
        whole = fwrite(rgb, 1, n_rgb, file) == n_rgb;
    }
    if (file) whole &= fclose(file) == 0;
    free(rgb);
    return whole ? LK_OK : LK_FAIL(LK_ERR_SYSTEM, "cannot write the pixels %s: %s", g->pixels, strerror(errno));
}

static double width_of(const grid *g) { return (double)g->W * g->dot + GAP; }
static double height_of(const grid *g) { return (double)g->H * g->dot + GAP + TEXT; }
static int rows_of(const grid *g) { return (g->n + g->columns - 1) / g->columns; }

/* Pictures hang from the top; gnuplot counts from the bottom, and by the middles of pixels. */
static double left_of(const grid *g, int i) { return GAP + i % g->columns * width_of(g); }
static double bottom_of(const grid *g, int i) { return (rows_of(g) - 1 - i / g->columns) * height_of(g) + GAP; }

static void place_label(const grid *g, int i, gnuplot *plot)
{
    char text[LABEL_BYTES];

    print_label(g, i, text);
    fprintf(gnuplot_script(plot), "set label %d ", i + 1);
    gnuplot_quote(plot, text);
    fprintf(gnuplot_script(plot), " at %g,%g left noenhanced font ',7'\n", left_of(g, i),
            bottom_of(g, i) + (double)g->H * g->dot + TEXT / 2.0);
}

static void place_picture(const grid *g, int i, gnuplot *plot)
{
    FILE *f = gnuplot_script(plot);

    fprintf(f, "%s ", i ? ", \\\n " : "plot");
    gnuplot_quote(plot, g->pixels);
    fprintf(f, " binary array=(%lld,%lld) flip=y skip=%lld format='%%uchar%%uchar%%uchar'", (long long)g->W,
            (long long)g->H, (long long)(3 * g->H * g->W * i));
    fprintf(f, " origin=(%g,%g) dx=%g dy=%g using 1:2:3 with rgbimage", left_of(g, i) + g->dot / 2.0,
            bottom_of(g, i) + g->dot / 2.0, g->dot, g->dot);
}

static void write_script(const grid *g, gnuplot *plot)
{
    const double width = g->columns * width_of(g) + GAP, height = rows_of(g) * height_of(g) + GAP;
    FILE *f = gnuplot_script(plot);

    fprintf(f, "unset border\nunset tics\nunset key\nunset grid\nset margins 0, 0, 0, 0\n");
    fprintf(f, "set xrange [0:%g]\nset yrange [0:%g]\n", width, height);
    for (int i = 0; i < g->n; i++) place_label(g, i, plot);
    for (int i = 0; i < g->n; i++) place_picture(g, i, plot);
}

static lk_status draw(const grid *g, const char *path)
{
    gnuplot *plot;

    LK_TRY(write_pixels(g));
    LK_TRY(gnuplot_new(path, (int)ceil(g->columns * width_of(g) + GAP), (int)ceil(rows_of(g) * height_of(g) + GAP),
                       &plot));
    write_script(g, plot);
    const lk_status status = gnuplot_draw(plot);
    gnuplot_free(&plot);
    return status;
}

static lk_status draw_lane(const lk_dataset *data, const lk_batch_lane *lane, const char *path)
{
    int64_t image[3];
    grid g = {.data = data, .lane = lane, .n = lane->n < MOST ? (int)lane->n : MOST};

    lk_dataset_image(data, image);
    g.H = image[1];
    g.W = image[2];
    g.dot = (double)SIDE / (double)(g.H > g.W ? g.H : g.W);
    g.columns = (int)ceil(sqrt((double)g.n));
    if (asprintf(&g.pixels, "%s.pixels", path) < 0)
        return LK_FAIL(LK_ERR_SYSTEM, "out of memory: the name of %s's pixels", path);
    const lk_status status = draw(&g, path);
    unlink(g.pixels);
    free(g.pixels);
    return status;
}

/* ------------------------------------------------------------------ command */

/* One lane is the batch: what is in it does not depend on lanes. */
static lk_status first_batch(const job *j, lk_loader **loader, lk_batch *out)
{
    const lk_recipe *r = j->recipe;
    const lk_loader_spec spec = {.batch = r->train.batch, .lanes = 1, .lane_end = 1, .shuffle = r->data.shuffle,
                                 .drop_last = r->data.drop_last, .train = true, .threads = r->data.threads,
                                 .seed = r->run.seed, .loss = r->model.loss};

    LK_TRY(lk_loader_new(j->train, &spec, loader));
    return lk_loader_next(*loader, out);
}

lk_status plot_batch(job *j, const options *opt)
{
    const char *path = opt->out ? opt->out : default_name;
    lk_loader *loader = NULL;
    lk_batch batch;
    int64_t image[3];

    if (opt->n_positional != 1)
        return LK_FAIL(LK_ERR_USAGE, "lockstep plot --batch needs one recipe: lockstep plot RECIPE --batch -o "
                       "FILE.png");
    LK_TRY(gnuplot_check_name("-o", path));
    LK_TRY(job_read_recipe_alone(j, opt, opt->positional[0]));
    LK_TRY(job_open_data(j));
    lk_dataset_image(j->train, image);
    if (image[0] == 0)
        return LK_FAIL(LK_ERR_USAGE, "--batch draws images, and the samples of %s are none", j->recipe->path);
    lk_status status = first_batch(j, &loader, &batch);
    if (status == LK_OK) status = draw_lane(j->train, &batch.lane[0], path);
    lk_loader_free(&loader);
    if (status == LK_OK && !opt->out) printf("%s\n", path);
    return status;
}
