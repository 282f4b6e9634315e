/* The page of `bench scaling`: measured beside predicted, what is to come, what breaks first; and the same as JSON. */
#include "launch/bench/scaling.h"

#include <math.h>

enum { PATH_BYTES = 96, LAST_POWER = 14 /* 16,384 workers: the first power of two behind 10,000 */ };
static const double MS = 1e3, GIGA = 1e9, MEGA = 1e6, PERCENT = 100.0;
static const double broken = 0.9; /* what breaks first is what first takes the efficiency below this */

static double efficiency_of(const scaling *s, scaling_kind kind, size_t i, bool predicted)
{
    const scaling_row *row = &s->row[kind][i], *one = &s->row[kind][0];

    return predicted ? scaling_efficiency(kind, row->workers, row->predicted.step, one->predicted.step)
                     : scaling_efficiency(kind, row->workers, row->step_s, one->step_s);
}

/* --------------------------------------------------------------- what breaks first */

typedef enum cause { BY_LATENCY, BY_BANDWIDTH, BY_ORDER, BY_CHECKPOINT, N_CAUSES } cause;
static const char *const cause_words[N_CAUSES] = {"latency", "bandwidth", "the leader's order", "checkpoints"};

/* The efficiency of weak scaling if nothing else cost anything.  The order is a broadcast of log2(W) messages beside
 * the pass that ends with the first gradients.  Of checkpoints with the best interval sqrt(2 save W / mtbf) is lost:
 * Young, as in goodput.h. */
static double left_by(const scaling *s, cause c, double workers)
{
    const scaling_row *one = &s->row[SCALING_WEAK][0];
    const double step = one->predicted.step;
    const network latency = {.alpha = s->network.alpha}, bandwidth = {.beta = s->network.beta};

    switch (c) {
    case BY_LATENCY: return step / predict_step(&latency, &one->work, &one->gradients, workers).step;
    case BY_BANDWIDTH: return step / predict_step(&bandwidth, &one->work, &one->gradients, workers).step;
    case BY_ORDER:
        return step / (step + fmax(0.0, ceil(log2(workers)) * s->network.alpha - one->work.first));
    case BY_CHECKPOINT: return 1.0 - fmin(1.0, sqrt(2.0 * s->save_s * workers / s->mtbf_s));
    case N_CAUSES: break;
    }
    return 1.0;
}

/* The first power of two at which the cause breaks scaling; 0: none up to 16,384. */
static int breaks_at(const scaling *s, cause c)
{
    for (int p = 1; p <= LAST_POWER; p++)
        if (left_by(s, c, 1 << p) < broken) return 1 << p;
    return 0;
}

/* Of all together. */
static double left(const scaling *s, double workers)
{
    const double sums = s->row[SCALING_WEAK][0].predicted.step / scaling_predict(s, SCALING_WEAK, workers).step;

    return sums * left_by(s, BY_ORDER, workers) * left_by(s, BY_CHECKPOINT, workers);
}

/* Where all together break scaling, 0: nowhere; *worst: what costs most there. */
static int breaks_first(const scaling *s, cause *worst)
{
    int p = 1;

    while (p <= LAST_POWER && left(s, 1 << p) >= broken) p++;
    *worst = BY_LATENCY;
    for (int c = 0; c < N_CAUSES; c++)
        if (left_by(s, (cause)c, 1 << p) < left_by(s, *worst, 1 << p)) *worst = (cause)c;
    return p <= LAST_POWER ? 1 << p : 0;
}

static void print_breaks(const scaling *s)
{
    cause worst;
    const int at = breaks_first(s, &worst);

    if (!at) printf("nothing breaks weak scaling up to 10,000 workers (an efficiency below 90 %%)");
    else printf("weak scaling breaks (below 90 %%) at %d workers, first by %s", at, cause_words[worst]);
    for (int c = 0; c < N_CAUSES; c++) {
        if (c == BY_CHECKPOINT && s->save_s <= 0.0) continue;
        if (breaks_at(s, (cause)c)) printf("; %s alone at %d", cause_words[c], breaks_at(s, (cause)c));
        else if (at) printf("; %s alone nowhere", cause_words[c]);
    }
    printf(s->save_s > 0.0 ? "\n" : "; what checkpoints cost is not known without --costs\n");
}

/* ------------------------------------------------------------------------- page */

static void print_row(const scaling *s, scaling_kind kind, size_t i)
{
    const scaling_row *r = &s->row[kind][i];

    printf("  %-6s %7d %10.2f %10.2f %7.1f%% %10.1f%% %10.1f%%", scaling_words[kind], r->workers, r->step_s * MS,
           r->predicted.step * MS, PERCENT * (r->predicted.step / r->step_s - 1.0),
           PERCENT * efficiency_of(s, kind, i, false), PERCENT * efficiency_of(s, kind, i, true));
    if (r->workers > 1) printf(" %10.2f %7.1f%% %9.1f%%\n", r->reduction_s * MS, PERCENT * r->hidden,
                               PERCENT * r->predicted.hidden);
    else printf(" %10s %8s %10s\n", "-", "-", "-");
}

static void print_future(const scaling *s)
{
    static const int workers[] = {10, 100, 1000, 10000};

    printf("predicted efficiency");
    for (int kind = 0; kind < N_SCALINGS; kind++) {
        printf("%s %s", kind ? ";" : "", scaling_words[kind]);
        for (size_t i = 0; i < sizeof workers / sizeof *workers; i++)
            printf(" %.1f%% on %d%s", PERCENT * scaling_efficiency((scaling_kind)kind, workers[i],
                                                                   scaling_predict(s, (scaling_kind)kind,
                                                                                   workers[i]).step,
                                                                   s->row[kind][0].predicted.step),
                   workers[i], i + 1 < sizeof workers / sizeof *workers ? "," : "");
    }
    printf("\n");
}

void scaling_print(const scaling *s)
{
    const gradients *g = &s->row[SCALING_WEAK][0].gradients;

    printf("%s: %.4g MB of gradients in %g bucket%s; a lane of %lld sample%s a worker; medians of %zu steps",
           s->recipe->run.name, g->nbytes / MEGA, g->n_buckets, g->n_buckets > 1 ? "s" : "", (long long)s->samples,
           plural(s->samples), bench_iterations(s->opt));
    if (s->opt->busy.given) printf(", stretched to %g ms", s->opt->busy.value);
    printf("\n  %-6s %7s %10s %10s %8s %11s %11s %10s %8s %10s\n", "", "workers", "step ms", "predicted", "error",
           "efficiency", "predicted", "sums ms", "hidden", "predicted");
    for (int kind = 0; kind < N_SCALINGS; kind++)
        for (size_t i = 0; i < s->n_counts; i++) print_row(s, (scaling_kind)kind, i);
    if (!s->fits) {
        printf("of one worker nothing can be predicted: start several, by mpirun -n N\n");
        return;
    }
    printf("network: %.1f us a message, %.3f GB/s; off by %.1f %% on average from %zu sums\n", s->network.alpha * MEGA,
           s->network.beta > 0.0 ? 1.0 / s->network.beta / GIGA : INFINITY, PERCENT * s->error, s->n_points);
    print_future(s);
    print_breaks(s);
}

/* ------------------------------------------------------------------------- JSON */

static lk_status fill_row(const scaling *s, scaling_kind kind, size_t i, lk_metadata *json)
{
    const scaling_row *r = &s->row[kind][i];
    const struct { const char *key; double value; } reals[] = {
        {"step_seconds", r->step_s}, {"predicted_step_seconds", r->predicted.step},
        {"efficiency", efficiency_of(s, kind, i, false)}, {"predicted_efficiency", efficiency_of(s, kind, i, true)},
        {"reduction_seconds", r->reduction_s}, {"waited_seconds", r->waited_s}, {"hidden", r->hidden},
        {"predicted_hidden", r->predicted.hidden}, {"first_gradient_seconds", r->work.first},
        {"backward_rest_seconds", r->work.rest}, {"update_seconds", r->work.update}};
    char path[PATH_BYTES];

    for (size_t k = 0; k < sizeof reals / sizeof *reals; k++) {
        snprintf(path, sizeof path, "%s/%d/%s", scaling_words[kind], r->workers, reals[k].key);
        LK_TRY(lk_metadata_set_real(json, path, reals[k].value));
    }
    return LK_OK;
}

lk_status scaling_fill(const void *arg, lk_metadata *json)
{
    const scaling *s = arg;
    cause worst = BY_LATENCY;
    const int breaks = s->fits ? breaks_first(s, &worst) : 0;
    const gradients *g = &s->row[SCALING_WEAK][0].gradients;

    LK_TRY(lk_metadata_set_text(json, "recipe", s->recipe->path));
    LK_TRY(lk_metadata_set_int(json, "workers", s->workers[s->n_counts - 1]));
    LK_TRY(lk_metadata_set_int(json, "samples_a_worker", s->samples));
    LK_TRY(lk_metadata_set_real(json, "gradient_bytes", g->nbytes));
    LK_TRY(lk_metadata_set_real(json, "buckets", g->n_buckets));
    LK_TRY(lk_metadata_set_real(json, "busy_ms", s->opt->busy.value));
    LK_TRY(lk_metadata_set_real(json, "message_seconds", s->network.alpha));
    LK_TRY(lk_metadata_set_real(json, "byte_seconds", s->network.beta));
    LK_TRY(lk_metadata_set_real(json, "fit_error", s->error));
    LK_TRY(lk_metadata_set_text(json, "breaks_first", breaks ? cause_words[worst] : ""));
    LK_TRY(lk_metadata_set_int(json, "breaks_at_workers", breaks));
    for (int kind = 0; kind < N_SCALINGS; kind++)
        for (size_t i = 0; i < s->n_counts; i++) LK_TRY(fill_row(s, (scaling_kind)kind, i, json));
    return LK_OK;
}
