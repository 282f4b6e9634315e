/* A picture drawn by gnuplot: a script is written line by line, then run, and the file appears whole or not at all. */
#ifndef LK_GNUPLOT_H
#define LK_GNUPLOT_H

#include <stdio.h>

#include "engine/base/base.h"

typedef struct gnuplot gnuplot;

/* Whether a picture may be called so: the name ends with .png.  Errors: LK_ERR_USAGE with the option that gave it. */
lk_status gnuplot_check_name(const char *option, const char *path);
/* Begins a PNG at `path`: terminal, fonts, borders, grid and line types 1 .. GNUPLOT_N_COLOURS are set.  Width and
 * height are in points at 72 to the inch; the file has two pixels for each, and text is of 10 points.  Nothing is run
 * yet.  Errors: LK_ERR_USAGE (path cannot be written), LK_ERR_SYSTEM. */
lk_status gnuplot_new(const char *path, int width, int height, gnuplot **out);
void      gnuplot_free(gnuplot **plot);
/* Where the script goes, by fprintf; owned by the plot. */
FILE     *gnuplot_script(gnuplot *plot);
/* Adds the data block $name of lines "x y"; a NaN in y leaves a gap.  Use as: plot $name using 1:2 with lines. */
void      gnuplot_block(gnuplot *plot, const char *name, const double *x, const double *y, size_t n);
/* Writes `text` as one quoted string of the script: titles and names of files. */
void      gnuplot_quote(gnuplot *plot, const char *text);
/* Runs the script and puts the picture in its place.  Errors: LK_ERR_SYSTEM: gnuplot is not installed, or what it said
 * when it failed. */
lk_status gnuplot_draw(gnuplot *plot);

/* Line types 1 .. GNUPLOT_N_COLOURS have colours that the colour-blind tell apart. */
enum { GNUPLOT_N_COLOURS = 7 };

#endif
