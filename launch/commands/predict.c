/*
 * lockstep predict: what a checkpoint's weights, or its EMA's, say about a data set, as CSV with one line a sample.
 *
 *     regression      the outputs, in the units of the data: a column for each, named as the target is
 *     events (bce)    the probability of each output's event, named alike
 *     classification  the likeliest class, named as the target is, then p0, p1, ... (or the classes' own words): the
 *                     probability of every class
 *
 * Where each sample is a file of its own, `file` comes first.
 */
#include "launch/launch.h"

#include <math.h>
#include <string.h>
#include <strings.h>

void print_csv_text(FILE *file, const char *text)
{
    if (!strpbrk(text, ",\"\r\n")) {
        fputs(text, file);
        return;
    }
    fputc('"', file);
    for (; *text; text++) fprintf(file, *text == '"' ? "\"\"" : "%c", *text);
    fputc('"', file);
}

static void print_header(FILE *file, const lk_dataset *dataset, bool classes, size_t n_output)
{
    const char *name = lk_dataset_target_name(dataset);
    char path[LK_SAMPLE_FILE_BYTES];

    if (lk_dataset_file(dataset, 0, path)) fputs("file,", file);
    if (classes || n_output == 1) fprintf(file, "%s", name);
    for (size_t k = 0; classes && k < n_output; k++) {
        fputc(',', file);
        if (lk_dataset_class(dataset, k)) print_csv_text(file, lk_dataset_class(dataset, k));
        else fprintf(file, "p%zu", k);
    }
    for (size_t k = 0; !classes && n_output > 1 && k < n_output; k++) fprintf(file, "%s%s%zu", k ? "," : "", name, k);
    fputc('\n', file);
}

/* Arithmetic gives NaN either sign, which says nothing: it is written without one. */
static double unsigned_nan(double value) { return isnan(value) ? (double)NAN : value; }

static void print_events(FILE *file, const lk_dataset *dataset, const float *logit, size_t n_output)
{
    (void)dataset;
    for (size_t k = 0; k < n_output; k++) 
        fprintf(file, "%s%.6g", k ? "," : "", unsigned_nan(1.0 / (1.0 + exp(-(double)logit[k]))));
    fputc('\n', file);
}

static void print_outputs(FILE *file, const lk_dataset *dataset, const float *output, size_t n_output)
{
    for (size_t k = 0; k < n_output; k++)
        fprintf(file, "%s%.*g", k ? "," : "", lk_dataset_digits(dataset, k),
                unsigned_nan(lk_dataset_unstandardize(dataset, k, output[k])));
    fputc('\n', file);
}

/* p[k] = exp(z[k] - max) / sum of those. */
static void print_class(FILE *file, const lk_dataset *dataset, const float *logit, size_t n_output)
{
    size_t best = 0;
    double sum = 0.0;

    for (size_t k = 1; k < n_output; k++)
        if (logit[k] > logit[best]) best = k;
    for (size_t k = 0; k < n_output; k++) sum += exp((double)logit[k] - logit[best]);
    if (lk_dataset_class(dataset, best)) print_csv_text(file, lk_dataset_class(dataset, best));
    else fprintf(file, "%zu", best);
    for (size_t k = 0; k < n_output; k++)
        fprintf(file, ",%.6g", unsigned_nan(exp((double)logit[k] - logit[best]) / sum));
    fputc('\n', file);
}

/* How a row of outputs is told, by how they are to be read. */
static void (*const printers[])(FILE *file, const lk_dataset *dataset, const float *output, size_t n_output) = {
    [LK_READS_VALUES] = print_outputs, [LK_READS_CLASSES] = print_class, [LK_READS_EVENTS] = print_events,
};

typedef struct table {
    FILE *file;
    const lk_dataset *dataset;
    lk_reading reads;
    size_t n_output;
    int64_t sample; /* of the next row */
} table;

static void print_file(const table *t)
{
    char path[LK_SAMPLE_FILE_BYTES];

    if (!lk_dataset_file(t->dataset, t->sample, path)) return;
    print_csv_text(t->file, path);
    fputc(',', t->file);
}

static void print_row(void *arg, const float *output)
{
    table *t = arg;

    print_file(t);
    t->sample++;
    printers[t->reads](t->file, t->dataset, output, t->n_output);
}

static lk_status predict_all(job *j, const lk_dataset *dataset, FILE *file)
{
    table t = {.file = file, .dataset = dataset, .reads = lk_loss_get(j->recipe->model.loss.kind)->reads,
               .n_output = lk_model_n_output(j->model)};

    print_header(file, dataset, t.reads == LK_READS_CLASSES, t.n_output);
    return job_predict(j, dataset, print_row, &t);
}

static lk_status write_file(job *j, const lk_dataset *dataset, const char *path)
{
    FILE *file = path ? fopen(path, "w") : stdout;

    if (!file) return LK_FAIL(LK_ERR_USAGE, "--out: cannot write %s: %m", path);
    const lk_status status = predict_all(j, dataset, file);
    const bool failed = fflush(file) != 0 || ferror(file);
    const bool unclosed = path && fclose(file) != 0;
    LK_TRY(status);
    return failed || unclosed ? LK_FAIL(LK_ERR_SYSTEM, "cannot write the predictions: %m") : LK_OK;
}

/* CSV under another format's name would mislead whoever opens it. */
static lk_status check_name(const char *path)
{
    static const char *const others[] = {".h5", ".hdf5", ".npy", ".npz", ".json", ".parquet", ".xlsx", ".pt",
                                         ".safetensors"};
    const char *dot = path ? strrchr(path, '.') : NULL;

    for (size_t i = 0; dot && i < sizeof others / sizeof *others; i++)
        if (strcasecmp(dot, others[i]) == 0)
            return LK_FAIL(LK_ERR_USAGE, "--out: predictions are written as CSV, and %s has another format's name",
                           path);
    return LK_OK;
}

/* The leader predicts; several workers would only wait for one file. */
lk_status command_predict(job *j, const options *opt)
{
    LK_TRY(job_agree(j, check_name(opt->out)));
    LK_TRY(job_open_for_predict(j, opt));
    return job_agree(j, j->leader ? write_file(j, j->validation ? j->validation : j->train, opt->out) : LK_OK);
}
