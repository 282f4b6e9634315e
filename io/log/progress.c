/*
 * How far a run is: a bar redrawn in place on a terminal; elsewhere a plain line when nothing was said for ten seconds.
 *
 * The time left is an average since this start of the run, evaluations and saves included, so a resumed run does not
 * count the steps of an earlier one.  An update looks at the clock and, most often, does nothing more.
 */
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "io/io.h"

enum { LINE_BYTES = 512, BAR_CELLS = 12, DEFAULT_COLUMNS = 80, FIGURE_BYTES = 32 };

static const double seconds_between_draws = 0.1, seconds_between_lines = 10.0;
static const char clear_line[] = "\r\033[K";

struct lk_progress {
    FILE *stream; /* borrowed */
    bool terminal;
    int64_t total, first; /* steps in all, and done before this start */
    int64_t step;
    double rate;        /* samples a second, 0: not known yet */
    double loss;        /* NaN: none yet */
    double begun, next; /* seconds */
    bool stale;         /* something is not shown yet */
    bool said;          /* a line was said since the last step */
};

static bool is_terminal(FILE *stream)
{
    const char *term = getenv("TERM");
    return isatty(fileno(stream)) && term && *term && strcmp(term, "dumb") != 0;
}

lk_status lk_progress_new(FILE *stream, int64_t total_steps, int64_t done_steps, lk_progress **out)
{
    lk_progress *progress = calloc(1, sizeof *progress);

    *out = progress;
    LK_TRY_ALLOC(progress, sizeof *progress);
    progress->stream = stream;
    progress->terminal = is_terminal(stream);
    progress->total = total_steps;
    progress->first = progress->step = done_steps;
    progress->loss = NAN;
    progress->begun = lk_seconds();
    progress->next = progress->begun + (progress->terminal ? 0 : seconds_between_lines);
    return LK_OK;
}

/* ------------------------------------------------------------------- a line */

static double fraction(const lk_progress *p)
{
    const double f = p->total > 0 ? (double)p->step / (double)p->total : 0;
    return f < 0 ? 0 : f > 1 ? 1 : f;
}

static void add_bar(lk_text *l, double f)
{
    const int full = (int)(f * BAR_CELLS);

    lk_text_add(l, "[");
    for (int i = 0; i < BAR_CELLS; i++) lk_text_add(l, "%c", i < full ? '#' : '.');
    lk_text_add(l, "] %3.0f%%  ", floor(100 * f));
}

const char *lk_print_rate(double rate, char *text, size_t nbytes)
{
    const double mega = 1e6, kilo = 1e3, exact_below = 1e4;

    if (rate >= mega) snprintf(text, nbytes, "%.2fM samples/s", rate / mega);
    else if (rate >= exact_below) snprintf(text, nbytes, "%.1fk samples/s", rate / kilo);
    else snprintf(text, nbytes, "%.0f samples/s", rate);
    return text;
}

const char *lk_print_seconds(double seconds, char *text, size_t nbytes)
{
    const long long s = (long long)(seconds + 0.5);

    if (s >= 3600) snprintf(text, nbytes, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
    else snprintf(text, nbytes, "%lld:%02lld", s / 60, s % 60);
    return text;
}

/* The loss comes first of what a narrow terminal would cut off. */
static void describe(const lk_progress *p, double time, lk_text *l)
{
    const double elapsed = time - p->begun;
    const int64_t done = p->step - p->first, left = p->total - p->step;
    char text[FIGURE_BYTES];

    if (p->terminal && p->total > 0) add_bar(l, fraction(p));
    if (p->total > 0) lk_text_add(l, "step %lld/%lld", (long long)p->step, (long long)p->total);
    else lk_text_add(l, "step %lld", (long long)p->step);
    if (!isnan(p->loss)) lk_text_add(l, ", loss %.4g", p->loss);
    if (p->rate > 0) lk_text_add(l, ", %s", lk_print_rate(p->rate, text, sizeof text));
    if (elapsed > 0 && done > 0 && left > 0)
        lk_text_add(l, ", %s left", lk_print_seconds(elapsed * (double)left / (double)done, text, sizeof text));
}

/* Columns of the terminal: a longer line would wrap and no longer be cleared whole. */
static size_t columns_of(FILE *stream)
{
    struct winsize size;
    return ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : DEFAULT_COLUMNS;
}

static void show(lk_progress *p, double time)
{
    char bytes[LINE_BYTES];
    lk_text l = lk_text_in(bytes, sizeof bytes);

    describe(p, time, &l);
    if (p->terminal) {
        const size_t room = columns_of(p->stream) - 1;
        fprintf(p->stream, "%s%.*s", clear_line, (int)(l.used < room ? l.used : room), l.at);
    } else {
        fprintf(p->stream, "%s\n", l.at);
    }
    fflush(p->stream);
    p->next = time + (p->terminal ? seconds_between_draws : seconds_between_lines);
    p->stale = false;
}

/* -------------------------------------------------------------------- calls */

void lk_progress_update(lk_progress *progress, int64_t step, double rate, double loss)
{
    if (step != progress->step) progress->said = false;
    progress->step = step;
    progress->rate = rate;
    progress->stale = true;
    if (!isnan(loss)) progress->loss = loss;
    const double time = lk_seconds();
    if (time >= progress->next) show(progress, time);
}

void lk_progress_say(lk_progress *progress, const char *format, ...)
{
    va_list args;

    progress->said = true;
    if (progress->terminal) fputs(clear_line, progress->stream);
    va_start(args, format);
    vfprintf(progress->stream, format, args);
    va_end(args);
    fputc('\n', progress->stream);
    if (progress->terminal && progress->step > progress->first) show(progress, lk_seconds());
    else progress->next = lk_seconds() + seconds_between_lines; /* who reads lines has just had one */
    fflush(progress->stream);
}

void lk_progress_free(lk_progress **progress)
{
    lk_progress *p = progress ? *progress : NULL;

    if (!p) return;
    const bool shown = p->step > p->first || p->stale;
    if (p->stale && (p->terminal || !p->said)) show(p, lk_seconds());
    if (p->terminal && shown) fputc('\n', p->stream);
    fflush(p->stream);
    lk_free(progress);
}
