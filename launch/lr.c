/*
 * lockstep lr: the learning rate's course without training.  Values are those in force at scheduler step 0, 1, 2, ...
 * (epochs, or training steps with `every: step`).  A plateau needs something to observe: --metric FILE.
 */
#include "launch/launch.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

enum { CHART_WIDTH = 48, CHART_ROWS = 40 };

typedef struct course {
    int64_t n, steps_per_epoch;
    double *lr; /* owned */
} course;

static lk_status next_observation(FILE *file, const char *path, int64_t line, double *value, bool *end)
{
    char text[128], *rest;

    *end = fgets(text, sizeof text, file) == NULL;
    if (*end) return LK_OK;
    errno = 0;
    *value = strtod(text, &rest);
    if (rest == text || errno == ERANGE)
        return LK_FAIL(LK_ERR_DATA, "%s:%" PRId64 ": not a number", path, line);
    return LK_OK;
}

static lk_status follow(lk_schedule *schedule, const lk_recipe *r, FILE *metric, const char *path, course *c)
{
    const bool by_step = r->scheduler.spec.every == LK_EVERY_STEP;

    for (int64_t i = 0; i < c->n; i++) {
        const int64_t epoch = by_step ? i / c->steps_per_epoch : i;
        const int64_t step = by_step ? i : i * c->steps_per_epoch;
        bool reduced, end = true;
        double value = 0.0;

        LK_TRY(lk_schedule_lr(schedule, step, epoch, &c->lr[i]));
        if (metric) LK_TRY(next_observation(metric, path, i + 1, &value, &end));
        if (!end) lk_schedule_observe(schedule, value, &reduced);
    }
    return LK_OK;
}

static void print_csv(const course *c, bool by_step)
{
    printf("step,epoch,lr\n");
    for (int64_t i = 0; i < c->n; i++)
        printf("%" PRId64 ",%" PRId64 ",%.17g\n", i, by_step ? i / c->steps_per_epoch : i, c->lr[i]);
}

static void print_chart(const course *c, const char *unit)
{
    const int64_t rows = c->n < CHART_ROWS ? c->n : CHART_ROWS;
    double top = 0.0;

    for (int64_t i = 0; i < c->n; i++)
        if (c->lr[i] > top) top = c->lr[i];
    printf("%8s  %-12s\n", unit, "lr");
    for (int64_t row = 0; row < rows; row++) {
        const int64_t i = rows > 1 ? row * (c->n - 1) / (rows - 1) : 0;
        const int length = top > 0.0 && c->lr[i] > 0.0 ? (int)(c->lr[i] / top * CHART_WIDTH + 0.5) : 0;

        printf("%8" PRId64 "  %-12.6g ", i, c->lr[i]);
        for (int k = 0; k < length; k++) putchar('#');
        putchar('\n');
    }
}

/* The batches of an epoch decide how steps and epochs go together, so the data is opened. */
static lk_status count_steps(job *j, const options *opt, course *c)
{
    const lk_recipe *r = j->recipe;
    const bool by_step = r->scheduler.spec.every == LK_EVERY_STEP;

    LK_TRY(lk_dataset_open(&r->data, r->model.loss.kind, NULL, &j->train, &j->validation));
    const int64_t samples = lk_dataset_n(j->train);
    c->steps_per_epoch = r->data.drop_last ? samples / r->train.batch
                                           : (samples + r->train.batch - 1) / r->train.batch;
    if (c->steps_per_epoch == 0)
        return LK_FAIL(LK_ERR_USAGE, "%s: train.batch: larger than the data set of %" PRId64 " samples, and drop_last "
                       "leaves nothing", lk_recipe_where(r, "train.batch"), samples);
    c->n = opt->count ? opt->count : by_step ? r->train.epochs * c->steps_per_epoch : r->train.epochs;
    c->lr = malloc((size_t)c->n * sizeof *c->lr);
    LK_TRY_ALLOC(c->lr, (size_t)c->n * sizeof *c->lr);
    return LK_OK;
}

lk_status command_lr(job *j, const options *opt)
{
    course c = {0};
    lk_schedule *schedule = NULL;
    FILE *metric = NULL;

    if (opt->n_positional != 1)
        return LK_FAIL(LK_ERR_USAGE, "lockstep lr needs one recipe: lockstep lr RECIPE [--count N] [--csv]");
    LK_TRY(lk_recipe_read(opt->positional[0], opt->overrides, (size_t)opt->n_overrides, &j->whole));
    j->recipe = j->whole;
    const lk_recipe *r = j->recipe;
    const bool by_step = r->scheduler.spec.every == LK_EVERY_STEP;

    if (opt->metric && !(metric = fopen(opt->metric, "r")))
        return LK_FAIL(LK_ERR_USAGE, "--metric: cannot read %s: %m", opt->metric);
    lk_status status = lk_schedule_new(&r->scheduler.spec, r->optimizer.lr, &schedule);
    if (status == LK_OK) status = count_steps(j, opt, &c);
    if (status == LK_OK) status = follow(schedule, r, metric, opt->metric, &c);
    if (status == LK_OK) {
        if (opt->csv) print_csv(&c, by_step);
        else print_chart(&c, by_step ? "step" : "epoch");
    }
    if (metric) fclose(metric);
    lk_schedule_free(&schedule);
    free(c.lr);
    return status;
}
