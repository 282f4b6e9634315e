/*
 * lockstep translate --attention: where the network looks.  The sentence and its translation go through it once as in
 * training, with taps, and each layer's probabilities become a row of heat maps, a head each: words that look
 * downwards, words that are looked at to the right.
 */
#include "launch/plot/plot.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Points.  LABEL: a character of a word; TEXT: a line; ABOVE: two lines of title; HEAD: the least width of a map with
 * its title. */
enum { CELL = 17, LABEL = 6, TEXT = 14, ABOVE = 34, HEAD = 44, GAP = 16, EDGE = 12, SCALE = 48, MOST_CHARACTERS = 14,
       MOST_POINTS = 8000 };

/* Which words a map is over. */
typedef enum map_kind { ENCODER_SELF, DECODER_SELF, CROSS, N_KINDS } map_kind;
static const struct {
    const char *title;
    lk_language looks, seen;
} kinds[N_KINDS] = {
    [ENCODER_SELF] = {"Encoder self-attention", LK_LANGUAGE_SOURCE, LK_LANGUAGE_SOURCE},
    [DECODER_SELF] = {"Decoder self-attention", LK_LANGUAGE_TARGET, LK_LANGUAGE_TARGET},
    [CROSS] = {"Cross-attention", LK_LANGUAGE_TARGET, LK_LANGUAGE_SOURCE},
};

/* One layer's maps, as the network named them. */
typedef struct map {
    map_kind kind;
    const char *name;          /* borrowed */
    float *p;                  /* (heads, length, length), owned */
    int64_t heads, length;     /* length: both are filled up to it */
} map;

typedef struct drawing {
    const int32_t *words[LK_N_LANGUAGES]; /* borrowed: the source with <eos>, the translation behind <bos> */
    char **text[LK_N_LANGUAGES]; /* (n), owned: as people read them */
    int64_t n[LK_N_LANGUAGES];
    map *maps;                 /* (n_maps), owned: kind by kind, each from the first layer on */
    int n_maps;
    int64_t heads;             /* of the map with most */
} drawing;

/* -------------------------------------------------------------------- the maps */

static bool kind_of(const char *name, map_kind *kind)
{
    static const char tail[] = ".attention_weights";
    const size_t n = strlen(name);

    if (n < sizeof tail || strcmp(name + n - (sizeof tail - 1), tail) != 0) return false;
    *kind = strncmp(name, "encoder.", strlen("encoder.")) == 0 ? ENCODER_SELF
          : strstr(name, ".attention2.") ? CROSS : DECODER_SELF;
    return true;
}

static lk_status take_map(job *j, drawing *d, const char *name, map_kind kind)
{
    map *m = &d->maps[d->n_maps++];
    int64_t shape[LK_MAX_DIMS];
    int ndim;

    LK_TRY(lk_engine_tap(j->engine, name, &ndim, shape, NULL));
    *m = (map){.kind = kind, .name = name, .heads = shape[1], .length = shape[2]};
    m->p = malloc((size_t)(shape[1] * shape[2] * shape[3]) * sizeof *m->p);
    LK_TRY_ALLOC(m->p, (size_t)(shape[1] * shape[2] * shape[3]) * sizeof *m->p);
    if (m->heads > d->heads) d->heads = m->heads;
    return lk_engine_tap(j->engine, name, &ndim, shape, m->p);
}

static lk_status take_maps(job *j, drawing *d)
{
    map_kind found;
    int n = 0;

    while (lk_engine_tap_name(j->engine, n)) n++;
    d->maps = calloc((size_t)n + 1, sizeof *d->maps);
    LK_TRY_ALLOC(d->maps, (size_t)n * sizeof *d->maps);
    for (int kind = 0; kind < N_KINDS; kind++)
        for (int i = 0; i < n; i++) {
            const char *name = lk_engine_tap_name(j->engine, i);
            if (kind_of(name, &found) && (int)found == kind) LK_TRY(take_map(j, d, name, found));
        }
    return d->n_maps > 0 ? LK_OK : LK_FAIL(LK_ERR_USAGE, "--attention: this network tells of no attention");
}

/* The pair through the network, as one sample. */
static lk_status run_pair(job *j, const drawing *d)
{
    const lk_sample *sample = lk_model_sample(j->model);
    const int64_t *n = d->n, length = n[0] > n[1] ? n[0] : n[1];
    const size_t n_output = lk_model_n_row(j->model) * (size_t)length;
    const int32_t source_len = (int32_t)n[LK_LANGUAGE_SOURCE];
    int32_t *tokens = calloc(2 * (size_t)length, sizeof *tokens);
    float *output = malloc(n_output * sizeof *output);
    lk_lane lane = {.mode = LK_PREDICT, .n = 1, .length = length, .params = j->params,
                    .params_version = j->params_version, .output = output, .taps = true};
    lk_status status = tokens && output ? LK_OK : LK_FAIL(LK_ERR_SYSTEM, "out of memory: a sentence's attention");

    if (status == LK_OK) {
        for (int side = 0; side < LK_N_LANGUAGES; side++)
            memcpy(tokens + side * length, d->words[side], (size_t)n[side] * sizeof *tokens);
        lane.field[lk_sample_find(sample, "source")] = tokens;
        lane.field[lk_sample_find(sample, "source_len")] = &source_len;
        lane.field[lk_sample_find(sample, "target_in")] = tokens + length;
        status = lk_engine_run(j->engine, &lane);
    }
    free(output);
    free(tokens);
    return status;
}

/* ------------------------------------------------------------------ the picture */

static lk_status read_words(const lk_languages *languages, drawing *d)
{
    for (int side = 0; side < LK_N_LANGUAGES; side++) {
        d->text[side] = calloc((size_t)d->n[side], sizeof *d->text[side]);
        LK_TRY_ALLOC(d->text[side], (size_t)d->n[side] * sizeof *d->text[side]);
        for (int64_t i = 0; i < d->n[side]; i++)
            LK_TRY(lk_languages_word(languages, (lk_language)side, d->words[side][i], &d->text[side][i]));
    }
    return LK_OK;
}

static size_t count_characters(const char *text)
{
    size_t n = 0;

    for (; *text; text++) n += (*text & 0xC0) != 0x80; /* UTF-8's first bytes */
    return n;
}

/* What the longest word of a side takes, as it is shown. */
static int label_width(const drawing *d, lk_language side)
{
    size_t most = 0;

    for (int64_t i = 0; i < d->n[side]; i++) {
        const size_t n = count_characters(d->text[side][i]);
        if (n > most) most = n;
    }
    return LABEL * (int)(most > MOST_CHARACTERS ? MOST_CHARACTERS : most) + LABEL;
}

static int left_of(const drawing *d)
{
    const int source = label_width(d, LK_LANGUAGE_SOURCE), target = label_width(d, LK_LANGUAGE_TARGET);

    return EDGE + (source > target ? source : target);
}

static int width_of(const drawing *d, map_kind kind) { return CELL * (int)d->n[kinds[kind].seen]; }
static int height_of(const drawing *d, map_kind kind) { return CELL * (int)d->n[kinds[kind].looks]; }

/* A layer with its words below and two lines above. */
static int row_height(const drawing *d, int i)
{
    const map_kind kind = d->maps[i].kind;

    return ABOVE + height_of(d, kind) + label_width(d, kinds[kind].seen) + GAP;
}

/* From one head to the next, in all rows alike. */
static int column_width(const drawing *d)
{
    int widest = HEAD;

    for (int kind = 0; kind < N_KINDS; kind++)
        if (width_of(d, (map_kind)kind) > widest) widest = width_of(d, (map_kind)kind);
    return widest + GAP;
}

static int page_width(const drawing *d) { return left_of(d) + (int)d->heads * column_width(d) + SCALE; }

static int page_height(const drawing *d)
{
    int height = 2 * EDGE;

    for (int i = 0; i < d->n_maps; i++) height += row_height(d, i);
    return height;
}

/* One head's probabilities, the row of the first word first; what is filled up is left out. */
static void put_values(const drawing *d, const map *m, int64_t head, FILE *f)
{
    const int64_t rows = d->n[kinds[m->kind].looks], columns = d->n[kinds[m->kind].seen];

    fprintf(f, "$map << END_OF_DATA\n");
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t c = 0; c < columns; c++)
            fprintf(f, "%.6g ", (double)m->p[(head * m->length + r) * m->length + c]);
        fprintf(f, "\n");
    }
    fprintf(f, "END_OF_DATA\n");
}

/* At most MOST_CHARACTERS of a word, none of them cut in two. */
static void put_word(gnuplot *plot, const char *word)
{
    char text[4 * MOST_CHARACTERS + 1];
    size_t n = 0;

    for (int characters = 0; word[n] && n < sizeof text - 4; n++) {
        if ((word[n] & 0xC0) != 0x80 && characters++ == MOST_CHARACTERS) break;
        text[n] = word[n];
    }
    text[n] = '\0';
    gnuplot_quote(plot, text);
}

static void put_tics(const drawing *d, gnuplot *plot, const char *axis, lk_language side)
{
    FILE *f = gnuplot_script(plot);

    fprintf(f, "set %stics %s scale 0 font ',8' textcolor '#202020' noenhanced (", axis,
            *axis == 'x' ? "rotate by 90 right" : "");
    for (int64_t i = 0; i < d->n[side]; i++) {
        if (i) fprintf(f, ", ");
        put_word(plot, d->text[side][i]);
        fprintf(f, " %lld", (long long)i);
    }
    fprintf(f, ")\n");
}

/* Layers count within their kind. */
static int layer_of(const drawing *d, int i)
{
    int layer = 1;

    while (i - layer >= 0 && d->maps[i - layer].kind == d->maps[i].kind) layer++;
    return layer;
}

/* One head of one layer; its map hangs from `top` points above the page's lower edge. */
static void put_head(const drawing *d, gnuplot *plot, int i, int64_t head, int top)
{
    const map *m = &d->maps[i];
    const double W = page_width(d), H = page_height(d);
    const int width = width_of(d, m->kind), height = height_of(d, m->kind);
    const int left = left_of(d) + (int)head * column_width(d);
    FILE *f = gnuplot_script(plot);

    put_values(d, m, head, f);
    fprintf(f, "set lmargin at screen %.6f\nset rmargin at screen %.6f\n", left / W, (left + width) / W);
    fprintf(f, "set tmargin at screen %.6f\nset bmargin at screen %.6f\n", top / H, (top - height) / H);
    fprintf(f, "set xrange [-0.5:%g]\nset yrange [%g:-0.5]\n", (double)d->n[kinds[m->kind].seen] - 0.5,
            (double)d->n[kinds[m->kind].looks] - 0.5);
    put_tics(d, plot, "x", kinds[m->kind].seen);
    if (head == 0) put_tics(d, plot, "y", kinds[m->kind].looks);
    else fprintf(f, "unset ytics\n");
    fprintf(f, "set title 'head %lld' font ',8' offset 0,-0.7\n", (long long)head + 1);
    fprintf(f, "plot $map matrix with image notitle\n");
}

static void put_title(const drawing *d, gnuplot *plot, int i, int top)
{
    FILE *f = gnuplot_script(plot);

    fprintf(f, "set label 1 '%s, layer %d' at screen %.6f,%.6f left font ',10'\n", kinds[d->maps[i].kind].title,
            layer_of(d, i), left_of(d) / (double)page_width(d), top / (double)page_height(d));
}

/* The scale of colours stands beside the first row. */
static void put_style(const drawing *d, gnuplot *plot)
{
    const double W = page_width(d), H = page_height(d);
    const double top = (H - EDGE - ABOVE) / H, height = height_of(d, d->maps[0].kind) / H;
    FILE *f = gnuplot_script(plot);

    fprintf(f, "unset key\nunset grid\nset border 15 linewidth 0.5 linecolor '#A0A0A0'\n");
    fprintf(f, "set palette defined (0 '#FFFFFF', 0.25 '#C3DDEE', 0.6 '#4E9CC9', 1 '#003F66')\nset cbrange [0:1]\n");
    fprintf(f, "set colorbox user origin screen %.6f,%.6f size screen %.6f,%.6f\n", (W - SCALE) / W, top - height,
            EDGE / W, height);
    fprintf(f, "set cbtics 0.5 scale 0.4 font ',8'\n");
}

static void write_script(const drawing *d, gnuplot *plot)
{
    FILE *f = gnuplot_script(plot);
    int top = page_height(d) - EDGE;

    put_style(d, plot);
    fprintf(f, "set multiplot\n");
    for (int i = 0; i < d->n_maps; i++) {
        put_title(d, plot, i, top - TEXT / 2);
        for (int64_t head = 0; head < d->maps[i].heads; head++) {
            put_head(d, plot, i, head, top - ABOVE);
            fprintf(f, "unset label 1\nunset colorbox\n");
        }
        top -= row_height(d, i);
    }
    fprintf(f, "unset multiplot\n");
}

static lk_status draw(job *j, drawing *d, const char *path)
{
    gnuplot *plot;

    LK_TRY(read_words(j->languages, d));
    LK_TRY(run_pair(j, d));
    LK_TRY(take_maps(j, d));
    if (page_width(d) > MOST_POINTS || page_height(d) > MOST_POINTS)
        return LK_FAIL(LK_ERR_USAGE, "--attention: a picture of %d x %d points is too large to be looked at: give a "
                       "shorter sentence", page_width(d), page_height(d));
    LK_TRY(gnuplot_new(path, page_width(d), page_height(d), &plot));
    write_script(d, plot);
    const lk_status status = gnuplot_draw(plot);
    gnuplot_free(&plot);
    return status;
}

static void clear(drawing *d)
{
    for (int i = 0; i < d->n_maps; i++) free(d->maps[i].p);
    free(d->maps);
    for (int side = 0; side < LK_N_LANGUAGES; side++) {
        for (int64_t i = 0; d->text[side] && i < d->n[side]; i++) free(d->text[side][i]);
        free(d->text[side]);
    }
}

lk_status plot_attention(job *j, const sentence *s, const char *path)
{
    int32_t *said = calloc((size_t)s->n_said + 1, sizeof *said);
    drawing d = {.words = {s->source, said}, .n = {s->n_source, s->n_said + 1}};

    LK_TRY_ALLOC(said, ((size_t)s->n_said + 1) * sizeof *said);
    said[0] = lk_languages_marks().bos;
    memcpy(said + 1, s->said, (size_t)s->n_said * sizeof *said);
    const lk_status status = draw(j, &d, path);
    clear(&d);
    free(said);
    return status;
}
