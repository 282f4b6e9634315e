/*
 * TensorBoard's event files: a TFRecord file (tfrecord.c) of the messages in event.proto.
 *
 * Messages are built on the stack from fixed arrays and packed into one scratch buffer, so a step's scalars allocate
 * nothing.  A reader goes through the files of a folder in the order of their names and never back, so a new file's
 * time is made later than that of any other.  The first event of a file tells the version, the second is a SessionLog
 * START at the first step that the file will hold: readers then drop what they have from that step on.  They do so from
 * the second START that they see, so the first file of a run must have one too (tensorboard/backend/event_processing/
 * plugin_event_accumulator.py, _CheckForRestartAndMaybePurge).
 */
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "io/file/files.h"
#include "io/log/event.pb-c.h"
#include "io/log/histogram.h"
#include "io/io.h"
#include "io/log/tfrecord.h"

enum { SCALARS_AN_EVENT = 32, FILE_BUFFER_BYTES = 1 << 16, SCRATCH_BYTES = 1 << 15, HOST_BYTES = 64 };

static const double seconds_between_flushes = 5.0;
static const char name_begin[] = "events.out.tfevents.";

struct lk_events {
    FILE *file;            /* owned */
    char *path;            /* owned */
    char *buffer;          /* owned: the file's */
    uint8_t *scratch;      /* owned: SCRATCH_BYTES, one packed event */
    lk_histogram *histogram; /* owned: made by the first histogram */
    double flushed;        /* seconds since 1970 */
};

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static lk_status fail_write(const lk_events *events)
{
    return LK_FAIL(LK_ERR_SYSTEM, "cannot write %s: %s", events->path, strerror(errno));
}

/* ------------------------------------------------------------------- events */

static lk_status write_packed(lk_events *events, const Lockstep__Event *event, uint8_t *bytes)
{
    const size_t nbytes = lockstep__event__pack(event, bytes);

    return lk_tfrecord_write(events->file, bytes, nbytes) ? LK_OK : fail_write(events);
}

/* Only texts and long tags are larger than the scratch buffer. */
static lk_status write_event(lk_events *events, Lockstep__Event *event)
{
    event->wall_time = now();
    const size_t nbytes = lockstep__event__get_packed_size(event);
    if (nbytes <= SCRATCH_BYTES) {
        LK_TRY(write_packed(events, event, events->scratch));
    } else {
        uint8_t *bytes = malloc(nbytes);

        LK_TRY_ALLOC(bytes, nbytes);
        const lk_status status = write_packed(events, event, bytes);
        free(bytes);
        LK_TRY(status);
    }
    return event->wall_time - events->flushed < seconds_between_flushes ? LK_OK : lk_events_flush(events);
}

static lk_status write_summary(lk_events *events, int64_t step, Lockstep__Summary__Value **values, size_t n)
{
    Lockstep__Summary summary = LOCKSTEP__SUMMARY__INIT;
    Lockstep__Event event = LOCKSTEP__EVENT__INIT;

    summary.value = values;
    summary.n_value = n;
    event.step = step;
    event.what_case = LOCKSTEP__EVENT__WHAT_SUMMARY;
    event.summary = &summary;
    return write_event(events, &event);
}

lk_status lk_events_flush(lk_events *events)
{
    events->flushed = now();
    return fflush(events->file) == 0 && !ferror(events->file) ? LK_OK : fail_write(events);
}

lk_status lk_events_sync(lk_events *events) { return lk_sync_stream(events->file, events->path); }

static lk_status write_some(lk_events *events, int64_t step, const char *const *tags, const double *values, size_t n)
{
    Lockstep__Summary__Value value[SCALARS_AN_EVENT], *list[SCALARS_AN_EVENT];
    size_t n_values = 0;

    for (size_t i = 0; i < n; i++) {
        Lockstep__Summary__Value *v = &value[n_values];

        if (isnan(values[i])) continue;
        lockstep__summary__value__init(v);
        v->tag = (char *)tags[i]; /* only read */
        v->value_case = LOCKSTEP__SUMMARY__VALUE__VALUE_SIMPLE_VALUE;
        v->simple_value = (float)values[i];
        list[n_values++] = v;
    }
    return n_values ? write_summary(events, step, list, n_values) : LK_OK;
}

lk_status lk_events_scalars(lk_events *events, int64_t step, const char *const *tags, const double *values, size_t n)
{
    for (size_t i = 0; i < n; i += SCALARS_AN_EVENT)
        LK_TRY(write_some(events, step, tags + i, values + i, n - i < SCALARS_AN_EVENT ? n - i : SCALARS_AN_EVENT));
    return LK_OK;
}

/* Texts are Markdown to TensorBoard; lines that begin with four blanks are shown as they are. */
static char *as_code(const char *text, size_t *nbytes)
{
    char *code = NULL;
    FILE *file = open_memstream(&code, nbytes);

    if (!file) return NULL;
    for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n')
        fprintf(file, "    %.*s\n", (int)strcspn(line, "\n"), line);
    if (fclose(file) == 0) return code;
    free(code);
    return NULL;
}

static lk_status write_text(lk_events *events, int64_t step, const char *tag, char *code, size_t nbytes)
{
    enum { DT_STRING = 7 }; /* tensorflow/core/framework/types.proto */
    Lockstep__SummaryMetadata__PluginData plugin = LOCKSTEP__SUMMARY_METADATA__PLUGIN_DATA__INIT;
    Lockstep__SummaryMetadata metadata = LOCKSTEP__SUMMARY_METADATA__INIT;
    Lockstep__Tensor__Shape__Dim dim = LOCKSTEP__TENSOR__SHAPE__DIM__INIT, *dims = &dim;
    Lockstep__Tensor__Shape shape = LOCKSTEP__TENSOR__SHAPE__INIT;
    Lockstep__Tensor tensor = LOCKSTEP__TENSOR__INIT;
    Lockstep__Summary__Value value = LOCKSTEP__SUMMARY__VALUE__INIT, *list = &value;
    ProtobufCBinaryData string = {.len = nbytes, .data = (uint8_t *)code};

    plugin.plugin_name = (char *)"text";
    metadata.plugin_data = &plugin;
    dim.size = 1;
    shape.dim = &dims;
    shape.n_dim = 1;
    tensor.dtype = DT_STRING;
    tensor.tensor_shape = &shape;
    tensor.string_val = &string;
    tensor.n_string_val = 1;
    value.tag = (char *)tag;
    value.metadata = &metadata;
    value.value_case = LOCKSTEP__SUMMARY__VALUE__VALUE_TENSOR;
    value.tensor = &tensor;
    return write_summary(events, step, &list, 1);
}

lk_status lk_events_text(lk_events *events, int64_t step, const char *tag, const char *text)
{
    size_t nbytes;
    char *code = as_code(text, &nbytes);

    if (!code) return LK_FAIL(LK_ERR_SYSTEM, "out of memory: the text %s of %s", tag, events->path);
    const lk_status status = write_text(events, step, tag, code, nbytes);
    free(code);
    return status;
}

lk_status lk_events_histogram(lk_events *events, int64_t step, const char *tag, const float *values, size_t n)
{
    Lockstep__Histogram message = LOCKSTEP__HISTOGRAM__INIT;
    Lockstep__Summary__Value value = LOCKSTEP__SUMMARY__VALUE__INIT, *list = &value;

    if (!events->histogram) events->histogram = malloc(sizeof *events->histogram);
    lk_histogram *h = events->histogram;
    LK_TRY_ALLOC(h, sizeof *h);
    lk_histogram_fill(values, n, h);
    message.min = h->min;
    message.max = h->max;
    message.num = h->num;
    message.sum = h->sum;
    message.sum_squares = h->sum_squares;
    message.bucket_limit = h->limit;
    message.bucket = h->count;
    message.n_bucket_limit = message.n_bucket = h->n;
    value.tag = (char *)tag;
    value.value_case = LOCKSTEP__SUMMARY__VALUE__VALUE_HISTO;
    value.histo = &message;
    return write_summary(events, step, &list, 1);
}

/* --------------------------------------------------------------------- file */

/* A time in seconds for the new file's name: now, or one second behind the latest there. */
static long long time_behind_others(const char *dir)
{
    long long time_of_file = (long long)time(NULL);
    DIR *folder = opendir(dir);

    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        if (strncmp(entry->d_name, name_begin, sizeof name_begin - 1) != 0) continue;
        const long long other = strtoll(entry->d_name + sizeof name_begin - 1, NULL, 10);
        if (other >= time_of_file) time_of_file = other + 1;
    }
    if (folder) closedir(folder);
    return time_of_file;
}

static lk_status open_file(lk_events *events, const char *dir)
{
    char host[HOST_BYTES] = "host";

    gethostname(host, sizeof host - 1);
    if (asprintf(&events->path, "%s/%s%010lld.%s.%d", dir, name_begin, time_behind_others(dir), host,
                 (int)getpid()) < 0) {
        events->path = NULL;
        return LK_FAIL(LK_ERR_SYSTEM, "out of memory: the name of an event file in %s", dir);
    }
    LK_TRY(lk_open_append(events->path, false, &events->file));
    events->buffer = malloc(FILE_BUFFER_BYTES);
    events->scratch = malloc(SCRATCH_BYTES);
    LK_TRY_ALLOC(events->buffer, FILE_BUFFER_BYTES);
    LK_TRY_ALLOC(events->scratch, SCRATCH_BYTES);
    setvbuf(events->file, events->buffer, _IOFBF, FILE_BUFFER_BYTES);
    return LK_OK;
}

static lk_status write_begin(lk_events *events, int64_t first_step)
{
    Lockstep__Event version = LOCKSTEP__EVENT__INIT, start = LOCKSTEP__EVENT__INIT;
    Lockstep__SessionLog session = LOCKSTEP__SESSION_LOG__INIT;

    version.what_case = LOCKSTEP__EVENT__WHAT_FILE_VERSION;
    version.file_version = (char *)"brain.Event:2";
    LK_TRY(write_event(events, &version));
    session.status = LOCKSTEP__SESSION_LOG__STATUS__START;
    start.step = first_step;
    start.what_case = LOCKSTEP__EVENT__WHAT_SESSION_LOG;
    start.session_log = &session;
    return write_event(events, &start);
}

static lk_status release(lk_events **events)
{
    lk_events *e = *events;
    lk_status status = LK_OK;

    if (e->file && fclose(e->file) != 0) status = fail_write(e);
    free(e->histogram);
    free(e->scratch);
    free(e->buffer);
    free(e->path);
    lk_free(events);
    return status;
}

lk_status lk_events_open(const char *dir, int64_t first_step, lk_events **out)
{
    *out = NULL;
    LK_TRY(lk_make_dirs(dir));
    lk_events *events = calloc(1, sizeof *events);
    LK_TRY_ALLOC(events, sizeof *events);
    lk_status status = open_file(events, dir);
    if (status == LK_OK) status = write_begin(events, first_step);
    if (status == LK_OK) status = lk_events_flush(events);
    if (status != LK_OK) {
        release(&events);
        return status;
    }
    *out = events;
    return LK_OK;
}

lk_status lk_events_close(lk_events **events) { return events && *events ? release(events) : LK_OK; }
