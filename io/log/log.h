/* What a run tells while it goes: metrics, the journal, events for TensorBoard, progress.  Everything here is Local. */
#ifndef LK_LOG_H
#define LK_LOG_H

#include <stdio.h>

#include "io/file/file.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Which weights are measured on which samples: X(ID, prefix of the names, in words, in short, what it needs: validation
 * data, an EMA, metrics.train). */
#define LK_METRIC_PART_LIST(X)                                                                                      \
    /* each step's own, since the epoch began */                                                                   \
    X(LK_PART_OF_STEPS, "train.", "training", "train", false, false, false)                                         \
    X(LK_PART_OF_WEIGHTS, "validation.", "validation", "val", true, false, false)                                   \
    X(LK_PART_OF_EMA, "ema.validation.", "validation, EMA", "ema", true, true, false)                               \
    X(LK_PART_OF_TRAINING, "train_eval.", "training, evaluated", "train eval", false, false, true)
typedef enum lk_metric_part_id { LK_METRIC_PART_LIST(LK_WORD_ENUM) LK_N_METRIC_PARTS } lk_metric_part_id;
typedef struct lk_metric_part {
    const char *prefix, *title, *word;
    bool needs_validation, needs_ema, needs_train;
} lk_metric_part;
extern const lk_metric_part lk_metric_parts[LK_N_METRIC_PARTS];

/* What decides which metrics a run has. */
typedef struct lk_measured {
    lk_loss_kind loss;
    bool validation, ema, train; /* there is such data, an EMA; metrics.train */
    unsigned asked;              /* metrics.measure: bit m for metric m, beside the usual ones */
} lk_measured;

/* The bit of a metric by its name, 0: none. */
unsigned lk_metric_bit(const char *name);
/* Names of what a run measures, a part's prefix and a metric of the engine's, by parts in their order; returns how
 * many. */
enum { LK_MOST_METRICS = LK_N_METRIC_PARTS * LK_N_METRICS };
size_t lk_metric_names(const lk_measured *what, const char *names[LK_MOST_METRICS]);
/* Part (-1: none) and metric (NULL: none) that a name speaks of. */
int  lk_metric_part_of(const char *name);
const lk_metric *lk_metric_of(const char *name);
bool lk_metric_larger_is_better(const char *name);

/* RUN/metrics.csv: one line an evaluation, columns fixed by the first call of lk_metrics_open.  `resume_step` >= 0
 * drops lines after that step (an earlier try's), -1 starts afresh. */
typedef struct lk_metrics lk_metrics;
lk_status lk_metrics_open(const char *path, const char *const *columns, size_t n, int64_t resume_step,
                          lk_metrics **out);
void      lk_metrics_free(lk_metrics **metrics);
/* Lines that the file has, the header left out: what a resumed run kept of an earlier one, and what came since. */
int64_t   lk_metrics_n_lines(const lk_metrics *metrics);
/* Brings the lines so far to the disk: a checkpoint that presupposes them is about to be published. */
lk_status lk_metrics_sync(lk_metrics *metrics);
/* values[i] NaN is an empty cell.  Each line is flushed. */
lk_status lk_metrics_write(lk_metrics *metrics, int64_t step, int64_t epoch, const double *values);

/* A metrics.csv as it stands, column by column. */
typedef struct lk_metrics_table {
    size_t n_rows, n_columns;
    char **name;     /* of columns: step, epoch, lr, train.loss, ...; owned, as is all here */
    double **column; /* column[c][row]; NaN: an empty cell */
} lk_metrics_table;
/* A last line that has no end yet is left out: the run may be writing it.  Errors: LK_ERR_SYSTEM (no such
 * file), LK_ERR_DATA with file and line. */
lk_status lk_metrics_read(const char *path, lk_metrics_table **out);
void      lk_metrics_table_free(lk_metrics_table **table);
/* A column's values by its name, NULL if there is none. */
const double *lk_metrics_column(const lk_metrics_table *table, const char *name);

/* RUN/journal.jsonl: one JSON object a line with time, step, event and reason. */
typedef struct lk_journal lk_journal;
lk_status lk_journal_open(const char *path, bool append, lk_journal **out);
void      lk_journal_free(lk_journal **journal);
lk_status lk_journal_sync(lk_journal *journal); /* as lk_metrics_sync() */
/* event is a word ("lr", "best", "stop", "checkpoint", "resume", "start"); reason is printf form. */
lk_status lk_journal_write(lk_journal *journal, int64_t step, const char *event, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* One line of a journal.  undone: a resume from an earlier step followed, so it no longer holds. */
typedef struct lk_journal_entry {
    int64_t step;
    char *time, *event, *reason; /* owned */
    bool undone;
} lk_journal_entry;
/* All lines in their order; a last one that has no end yet is left out.  Errors: LK_ERR_SYSTEM (no such file),
 * LK_ERR_DATA with file and line. */
lk_status lk_journal_read(const char *path, lk_journal_entry **entries, size_t *n);
void      lk_journal_entries_free(lk_journal_entry **entries, size_t n);

/* Digests (XXH3-64) of arrays step by step, to find where two runs part: CSV, a column for each. */
typedef struct lk_digests lk_digests;
/* A new file; who: who writes it, for messages.  Nothing is allocated after this call. */
lk_status lk_digests_open(const char *path, const char *const *columns, size_t n, const char *who, lk_digests **out);
void      lk_digests_free(lk_digests **digests);
/* The values of one column in the step that lk_digests_write() ends; what was not put is an empty cell. */
void      lk_digests_put(lk_digests *digests, size_t column, const float *values, size_t n_elem);
lk_status lk_digests_write(lk_digests *digests, int64_t step);

typedef struct lk_digest_cell { int64_t step; size_t column; uint64_t value; } lk_digest_cell;
typedef struct lk_digests_table {
    size_t n_columns, n_cells;
    char **name, *who;    /* (n_columns) of columns; owned, as is all here */
    lk_digest_cell *cell; /* (n_cells) those that are not empty */
} lk_digests_table;
/* A last line that has no end is left out.  Errors: LK_ERR_SYSTEM, LK_ERR_DATA. */
lk_status lk_digests_read(const char *path, lk_digests_table **out);
void      lk_digests_table_free(lk_digests_table **table);

/* RUN/tensorboard/events.out.tfevents.TIME.HOST.PID: what TensorBoard shows.  Nothing is allocated by
 * lk_events_scalars(); what it writes reaches the file by lk_events_flush(), by time, or when some 64 KiB have
 * gathered. */
typedef struct lk_events lk_events;
/* Starts a new file that sorts behind all in `dir` (made if it is absent).  What earlier files hold from first_step on
 * is void from now: a resumed run trains it again.  Errors: LK_ERR_SYSTEM. */
lk_status lk_events_open(const char *dir, int64_t first_step, lk_events **out);
/* Flushes; LK_ERR_SYSTEM when that fails. */
lk_status lk_events_close(lk_events **events);
/* n values at one step; NaN: no value.  A tag "epoch/train.loss" stands in the group `epoch`. */
lk_status lk_events_scalars(lk_events *events, int64_t step, const char *const *tags, const double *values, size_t n);
/* A text shown as it is, in lines. */
lk_status lk_events_text(lk_events *events, int64_t step, const char *tag, const char *text);
/* The distribution of those of the values that are finite. */
lk_status lk_events_histogram(lk_events *events, int64_t step, const char *tag, const float *values, size_t n);
lk_status lk_events_flush(lk_events *events);
lk_status lk_events_sync(lk_events *events); /* as lk_metrics_sync() */

/* A bar with rate and time left on a terminal, a plain line now and then elsewhere. */
typedef struct lk_progress lk_progress;
lk_status lk_progress_new(FILE *stream, int64_t total_steps, int64_t done_steps, lk_progress **out);
void      lk_progress_free(lk_progress **progress);
/* rate: samples a second of training, 0 as long as it is not known; loss: NaN leaves what is shown.  Cheap when there
 * is nothing to show; at most ten times a second on a terminal. */
void      lk_progress_update(lk_progress *progress, int64_t step, double rate, double loss);
/* Prints a line above the bar. */
void      lk_progress_say(lk_progress *progress, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* "12.1k samples/s", and "0:13" or "1:02:03"; return text. */
const char *lk_print_rate(double samples_per_second, char *text, size_t nbytes);
const char *lk_print_seconds(double seconds, char *text, size_t nbytes);

/* RUN/summary.json: values in the order they were set; "metrics/validation.mse" becomes the key "validation.mse" of an
 * object "metrics", a path without '/' a key of the whole.  Written to a temporary name, fsynced and renamed.  The
 * metadata' texts become strings, ints and reals numbers; a real that is not finite becomes null. */
lk_status lk_summary_write(const char *path, const lk_metadata *metadata);
/* A number of such a file: of the whole, not of a group in it.  Errors: LK_ERR_USAGE (it is no JSON, or has no such
 * number), LK_ERR_SYSTEM (it cannot be read). */
lk_status lk_summary_read_real(const char *path, const char *key, double *out);

#ifdef __cplusplus
}
#endif
#endif
