/*
 * Runs gnuplot on a script.
 *
 * The script is a temporary file that becomes gnuplot's input, and what gnuplot says another: with files in place of
 * pipes neither side waits for the other, and a gnuplot that dies early sends no signal.  It draws into FILE.partial,
 * which takes FILE's name when all went well, so a failure leaves an older picture as it was.
 *
 * The colours are those of Okabe and Ito, "Color Universal Design" (2008), without the yellow that fades on white.
 */
#include "launch/plot/gnuplot.h"

#include <errno.h>
#include <math.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SHARPNESS = 2 /* dots of the file a dot of the drawing: it stays sharp in print */ };

struct gnuplot {
    FILE *script;  /* owned */
    char *path;    /* owned: the picture */
    char *partial; /* owned: what gnuplot writes */
};

static const char *const colours[GNUPLOT_N_COLOURS] = {"#0072B2", "#D55E00", "#009E73", "#CC79A7",
                                                       "#E69F00", "#56B4E9", "#000000"};

FILE *gnuplot_script(gnuplot *plot) { return plot->script; }

void gnuplot_free(gnuplot **plot)
{
    if (!plot || !*plot) return;
    if ((*plot)->partial) unlink((*plot)->partial);
    if ((*plot)->script) fclose((*plot)->script); /* a temporary file: nothing to lose */
    free((*plot)->partial);
    free((*plot)->path);
    lk_free(plot);
}

/* A double-quoted string of gnuplot has escapes, and commands and macros that must not be taken for such. */
static void quote_with_escapes(gnuplot *plot, const char *text)
{
    fputc('"', plot->script);
    for (; *text; text++)
        if (strchr("\"\\`@\n", *text)) fprintf(plot->script, "\\%03o", *text == '\n' ? ' ' : *text);
        else fputc(*text, plot->script);
    fputc('"', plot->script);
}

/* A single-quoted string of gnuplot knows no escapes; a quote in it is doubled, and a line ends it.  Where it begins
 * with a quote, gnuplot takes the two for an empty string. */
void gnuplot_quote(gnuplot *plot, const char *text)
{
    if (*text == '\'') {
        quote_with_escapes(plot, text);
        return;
    }
    fputc('\'', plot->script);
    for (; *text; text++) {
        if (*text == '\'') fputc('\'', plot->script);
        fputc(*text == '\n' ? ' ' : *text, plot->script);
    }
    fputc('\'', plot->script);
}

void gnuplot_block(gnuplot *plot, const char *name, const double *x, const double *y, size_t n)
{
    fprintf(plot->script, "$%s << END_OF_DATA\n", name);
    for (size_t i = 0; i < n; i++) {
        if (isfinite(y[i])) fprintf(plot->script, "%.17g %.17g\n", x[i], y[i]);
        else fprintf(plot->script, "%.17g NaN\n", x[i]);
    }
    fprintf(plot->script, "END_OF_DATA\n");
}

/* Names of runs and metrics are written as they are; axes keep gnuplot's markup, for powers of ten. */
static void set_style(gnuplot *plot, int width, int height)
{
    FILE *f = plot->script;

    fprintf(f, "set encoding utf8\n");
    fprintf(f,
            "set terminal pngcairo size %d,%d enhanced font 'DejaVu Sans,10' fontscale %d linewidth %d pointscale %d "
            "background '#FFFFFF'\n",
            width * SHARPNESS, height * SHARPNESS, SHARPNESS, SHARPNESS, SHARPNESS);
    fprintf(f, "set output ");
    gnuplot_quote(plot, plot->partial);
    fprintf(f, "\nset border 3 linewidth 1 linecolor '#404040'\n");
    fprintf(f, "set tics out nomirror scale 0.6 textcolor '#202020'\n");
    fprintf(f, "set grid linetype 1 linewidth 0.6 linecolor '#E4E4E4'\n");
    fprintf(f, "set key noenhanced\n");
    for (int i = 0; i < GNUPLOT_N_COLOURS; i++)
        fprintf(f, "set linetype %d linecolor '%s' linewidth 1.6 pointtype 7 pointsize 0.4\n", i + 1, colours[i]);
}

static lk_status check_writable(const gnuplot *plot)
{
    struct stat info;

    if (stat(plot->path, &info) == 0 && S_ISDIR(info.st_mode))
        return LK_FAIL(LK_ERR_USAGE, "cannot write the picture %s: it is a folder; give the name of a PNG file",
                       plot->path);
    FILE *file = fopen(plot->partial, "we");
    if (!file) return LK_FAIL(LK_ERR_USAGE, "cannot write the picture %s: %s", plot->path, strerror(errno));
    fclose(file);
    return LK_OK;
}

lk_status gnuplot_check_name(const char *option, const char *path)
{
    const char *end = strrchr(path, '.');

    if (end && strcmp(end, ".png") == 0) return LK_OK;
    return LK_FAIL(LK_ERR_USAGE, "%s %s: pictures are PNG files: give a name that ends with .png", option, path);
}

lk_status gnuplot_new(const char *path, int width, int height, gnuplot **out)
{
    gnuplot *plot = calloc(1, sizeof *plot);
    lk_status status = LK_OK;

    *out = NULL;
    LK_TRY_ALLOC(plot, sizeof *plot);
    plot->path = strdup(path);
    if (!plot->path || asprintf(&plot->partial, "%s.partial", path) < 0) {
        plot->partial = NULL;
        status = LK_FAIL(LK_ERR_SYSTEM, "out of memory: the name %s", path);
    }
    if (status == LK_OK) status = check_writable(plot);
    if (status == LK_OK && !(plot->script = tmpfile()))
        status = LK_FAIL(LK_ERR_SYSTEM, "cannot make a temporary file for gnuplot's script: %s", strerror(errno));
    if (status != LK_OK) {
        gnuplot_free(&plot);
        return status;
    }
    set_style(plot, width, height);
    *out = plot;
    return LK_OK;
}

/* ---------------------------------------------------------------------- run */

/* A bundle's libraries (launch/bundle) are for its own programs; gnuplot is the machine's and gets the machine's
 * path. */
static void leave_bundle(void)
{
    const char *host = getenv("LOCKSTEP_HOST_LIBRARY_PATH");

    if (host) setenv("LD_LIBRARY_PATH", host, 1);
}

/* Starts gnuplot with the script as its input and waits for it; what it says goes to `said`. */
static int run(FILE *script, FILE *said, int *exit_status)
{
    char *const arguments[] = {"gnuplot", "-d", NULL}; /* -d: without a user's ~/.gnuplot */
    posix_spawn_file_actions_t actions;
    pid_t child;
    int end;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fileno(script), STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, fileno(said), STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, fileno(said), STDERR_FILENO);
    leave_bundle();
    const int why = posix_spawnp(&child, arguments[0], &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (why != 0) return why;
    while (waitpid(child, &end, 0) < 0)
        if (errno != EINTR) return errno;
    *exit_status = WIFEXITED(end) ? WEXITSTATUS(end) : 128 + WTERMSIG(end);
    return 0;
}

/* What gnuplot said, on one line: its complaint stands behind the script line that it points into. */
static void read_said(FILE *said, char *text, size_t nbytes)
{
    rewind(said);
    text[fread(text, 1, nbytes - 1, said)] = '\0';
    for (char *c = text; *c; c++)
        if (*c == '\n' || *c == '\t') *c = ' ';
}

static lk_status run_script(gnuplot *plot, FILE *said)
{
    char text[512];
    int exit_status = 0;

    if (fflush(plot->script) != 0 || ferror(plot->script) || fseek(plot->script, 0, SEEK_SET) != 0)
        return LK_FAIL(LK_ERR_SYSTEM, "cannot write gnuplot's script: %s", strerror(errno));
    const int why = run(plot->script, said, &exit_status);
    if (why == ENOENT)
        return LK_FAIL(LK_ERR_SYSTEM,
                       "pictures are drawn by gnuplot, which is not installed: apt-get install gnuplot-nox");
    if (why != 0) return LK_FAIL(LK_ERR_SYSTEM, "cannot start gnuplot: %s", strerror(why));
    if (exit_status == 0) return LK_OK;
    read_said(said, text, sizeof text);
    return LK_FAIL(LK_ERR_SYSTEM, "gnuplot ended with status %d: %s", exit_status, text);
}

lk_status gnuplot_draw(gnuplot *plot)
{
    FILE *said = tmpfile();
    struct stat info;

    if (!said) return LK_FAIL(LK_ERR_SYSTEM, "cannot make a temporary file for gnuplot: %s", strerror(errno));
    fprintf(plot->script, "\nunset output\n");
    const lk_status status = run_script(plot, said);
    fclose(said);
    LK_TRY(status);
    if (stat(plot->partial, &info) != 0 || info.st_size == 0)
        return LK_FAIL(LK_ERR_SYSTEM, "gnuplot drew nothing into %s", plot->path);
    if (rename(plot->partial, plot->path) != 0)
        return LK_FAIL(LK_ERR_SYSTEM, "cannot write the picture %s: %s", plot->path, strerror(errno));
    return LK_OK;
}
