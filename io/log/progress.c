/*
 * How far a run is: a bar redrawn in place on a terminal, a plain line every ten seconds elsewhere.
 *
 * The rate and the time left are averages since this start of the run, so a resumed run does not count the steps of
 * an earlier one.  An update looks at the clock and, most often, does nothing more.
 */
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "io/io.h"

enum { LINE_BYTES = 512, TEXT_BYTES = 160, BAR_CELLS = 24, DEFAULT_COLUMNS = 80 };

static const double seconds_between_draws = 0.1, seconds_between_lines = 10.0;
static const char clear_line[] = "\r\033[K";

struct lk_progress {
    FILE *stream; /* borrowed */
    bool terminal;
    int64_t total, first; /* steps in all, and done before this start */
    int64_t step, samples;
    char text[TEXT_BYTES];
    double begun, next; /* seconds */
    bool stale;         /* something is not shown yet */
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
    progress->begun = lk_seconds();
    progress->next = progress->begun + (progress->terminal ? 0 : seconds_between_lines);
    return LK_OK;
}

/* ------------------------------------------------------------------- a line */

typedef struct line { char text[LINE_BYTES]; size_t used; } line;

__attribute__((format(printf, 2, 3))) static void add(line *l, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    const int n = vsnprintf(l->text + l->used, LINE_BYTES - l->used, format, args);
    va_end(args);
    if (n > 0) l->used += (size_t)n;
    if (l->used >= LINE_BYTES) l->used = LINE_BYTES - 1;
}

static double fraction(const lk_progress *p)
{
    const double f = p->total > 0 ? (double)p->step / (double)p->total : 0;
    return f < 0 ? 0 : f > 1 ? 1 : f;
}

static void add_bar(line *l, double f)
{
    const int full = (int)(f * BAR_CELLS);

    add(l, "[");
    for (int i = 0; i < BAR_CELLS; i++) add(l, "%c", i < full ? '#' : '.');
    add(l, "] %3.0f%%  ", floor(100 * f));
}

static void add_rate(line *l, double rate)
{
    if (rate >= 1e6) add(l, ", %.2fM samples/s", rate / 1e6);
    else if (rate >= 1e4) add(l, ", %.1fk samples/s", rate / 1e3);
    else add(l, ", %.0f samples/s", rate);
}

static void add_time_left(line *l, double seconds)
{
    const long long s = (long long)(seconds + 0.5);

    if (s >= 3600) add(l, ", %lld:%02lld:%02lld left", s / 3600, s / 60 % 60, s % 60);
    else add(l, ", %lld:%02lld left", s / 60, s % 60);
}

static void describe(const lk_progress *p, double time, line *l)
{
    const double elapsed = time - p->begun;
    const int64_t done = p->step - p->first, left = p->total - p->step;

    if (p->terminal && p->total > 0) add_bar(l, fraction(p));
    if (p->total > 0) add(l, "step %lld/%lld", (long long)p->step, (long long)p->total);
    else add(l, "step %lld", (long long)p->step);
    if (elapsed > 0 && p->samples > 0) add_rate(l, (double)p->samples / elapsed);
    if (elapsed > 0 && done > 0 && left > 0) add_time_left(l, elapsed * (double)left / (double)done);
    if (p->text[0]) add(l, ", %s", p->text);
}

/* Columns of the terminal: a longer line would wrap and no longer be cleared whole. */
static size_t columns_of(FILE *stream)
{
    struct winsize size;
    return ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : DEFAULT_COLUMNS;
}

static void show(lk_progress *p, double time)
{
    line l = {.used = 0};

    describe(p, time, &l);
    if (p->terminal) {
        const size_t room = columns_of(p->stream) - 1;
        fprintf(p->stream, "%s%.*s", clear_line, (int)(l.used < room ? l.used : room), l.text);
    } else {
        fprintf(p->stream, "%s\n", l.text);
    }
    fflush(p->stream);
    p->next = time + (p->terminal ? seconds_between_draws : seconds_between_lines);
    p->stale = false;
}

/* -------------------------------------------------------------------- calls */

void lk_progress_update(lk_progress *progress, int64_t step, int64_t samples, const char *text)
{
    progress->step = step;
    progress->samples = samples;
    progress->stale = true;
    snprintf(progress->text, sizeof progress->text, "%s", text ? text : "");
    const double time = lk_seconds();
    if (time >= progress->next) show(progress, time);
}

void lk_progress_say(lk_progress *progress, const char *format, ...)
{
    va_list args;

    if (progress->terminal) fputs(clear_line, progress->stream);
    va_start(args, format);
    vfprintf(progress->stream, format, args);
    va_end(args);
    fputc('\n', progress->stream);
    if (progress->terminal && progress->step > progress->first) show(progress, lk_seconds());
    fflush(progress->stream);
}

void lk_progress_free(lk_progress **progress)
{
    lk_progress *p = progress ? *progress : NULL;

    if (!p) return;
    const bool shown = p->step > p->first || p->stale;
    if (p->stale) show(p, lk_seconds());
    if (p->terminal && shown) fputc('\n', p->stream);
    fflush(p->stream);
    lk_free(progress);
}
