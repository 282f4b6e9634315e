/*
 * lockstep bench reduce: time and bandwidth of a sum over workers, by size and algorithm, in nccl-tests' columns.
 *
 *     algbw   bytes of the array, divided by the time
 *     busbw   algbw * 2 (n - 1) / n for n workers: what of a link's bandwidth is used, whatever n is; the least that a
 *             worker must send and receive for a sum is 2 (n - 1) / n times the array
 *
 * Source: nccl-tests, doc/PERFORMANCE.md.  Each worker times its calls from a barrier on; the time is the median over
 * the calls, and of these the mean over workers.  Values are whole numbers whose sum is exact in any order, so each
 * element is right or wrong.
 */
#include "launch/bench/bench.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_SIZES = 64, N_VALUES = 61 /* a prime, so that workers differ from element to element */ };
static const double US = 1e6, GIGA = 1e9;
static const char default_sizes[] = "8,1K,64K,1M,16M";
static const char default_algorithms[] = "tree,mpi";

#define ALGORITHM_WORD(id, word) [id] = word,
static const char *const algorithm_words[] = {LK_REDUCTION_LIST(ALGORITHM_WORD)};
enum { N_ALGORITHMS = sizeof algorithm_words / sizeof algorithm_words[0] };

typedef struct request {
    size_t nbytes[MOST_SIZES], n_sizes;
    lk_reduction algorithm[N_ALGORITHMS];
    size_t n_algorithms, n_calls;
} request;

typedef struct result {
    lk_reduction algorithm;
    size_t nbytes;
    double seconds;
    int64_t n_wrong;
} result;

/* --------------------------------------------------------------------- options */

lk_status bench_size(const char *option, const char *text, size_t *out)
{
    static const char units[] = "KMG";
    enum { UNIT = 1024 };
    char *end;

    const double value = strtod(text, &end);
    const char *unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
    double nbytes = value;

    for (const char *u = units; unit && u <= unit; u++) nbytes *= UNIT;
    if (end == text || (*end && (!unit || end[1])) || !(nbytes >= sizeof(float)) || nbytes > (double)(SIZE_MAX / UNIT))
        return LK_FAIL(LK_ERR_USAGE, "%s: `%s` is no size: bytes, from %zu on, with K, M or G for 1024 of them, their "
                       "square or cube", option, text, sizeof(float));
    *out = (size_t)nbytes;
    return LK_OK;
}

static lk_status add_size(request *r, const char *word)
{
    if (r->n_sizes == MOST_SIZES) return LK_FAIL(LK_ERR_USAGE, "--sizes: more than %d", MOST_SIZES);
    LK_TRY(bench_size("--sizes", word, &r->nbytes[r->n_sizes]));
    r->nbytes[r->n_sizes] -= r->nbytes[r->n_sizes] % sizeof(float);
    r->n_sizes++;
    return LK_OK;
}

static lk_status add_algorithm(request *r, const char *word)
{
    for (int a = 0; a < N_ALGORITHMS; a++) {
        if (strcmp(word, algorithm_words[a]) != 0) continue;
        for (size_t i = 0; i < r->n_algorithms; i++)
            if (r->algorithm[i] == (lk_reduction)a)
                return LK_FAIL(LK_ERR_USAGE, "--algorithms: %s stands there twice", word);
        r->algorithm[r->n_algorithms++] = (lk_reduction)a;
        return LK_OK;
    }
    return LK_FAIL(LK_ERR_USAGE, "--algorithms: there is no `%s`, but tree, mpi and, for devices, nccl", word);
}

static lk_status each_word(const char *text, lk_status (*add)(request *, const char *), request *r)
{
    char *copy = strdup(text), *rest = copy;
    lk_status status = LK_OK;

    LK_TRY_ALLOC(copy, strlen(text) + 1);
    for (const char *word; status == LK_OK && (word = strsep(&rest, ","));) status = add(r, word);
    free(copy);
    return status;
}

static lk_status read_request(const options *opt, request *r)
{
    *r = (request){.n_calls = bench_iterations(opt)};
    if (opt->n_positional > 0)
        return LK_FAIL(LK_ERR_USAGE, "bench reduce takes no `%s`: it sums plain arrays", opt->positional[0]);
    LK_TRY(each_word(opt->sizes ? opt->sizes : default_sizes, add_size, r));
    return each_word(opt->algorithms ? opt->algorithms : default_algorithms, add_algorithm, r);
}

/* ------------------------------------------------------------------- measuring */

static float value_of(size_t i, int rank) { return (float)((i + 7 * (size_t)rank) % N_VALUES); }

static double want_of(size_t i, int n_workers)
{
    double sum = 0.0;

    for (int r = 0; r < n_workers; r++) sum += (double)value_of(i, r);
    return sum;
}

/* The sum repeats with the values. */
static int64_t count_wrong(const float *sum, size_t n_elem, int n_workers)
{
    double want[N_VALUES];
    int64_t n_wrong = 0;

    for (size_t i = 0; i < N_VALUES; i++) want[i] = want_of(i, n_workers);
    for (size_t i = 0; i < n_elem; i++) n_wrong += (double)sum[i] != want[i % N_VALUES];
    return n_wrong;
}

static lk_status call_once(job *j, lk_reducer *reducer, size_t n_elem, double *seconds, int64_t *n_wrong)
{
    const int rank = lk_world_rank(j->world);
    const float *sum;
    float *own;

    LK_TRY(lk_reducer_lane(reducer, rank, &own));
    for (size_t i = 0; i < n_elem; i++) own[i] = value_of(i, rank);
    lk_world_progress(j->world, 0, "bench reduce");
    LK_TRY(lk_world_barrier(j->world));
    const double begin = lk_seconds();
    lk_reducer_ready(reducer, 0, n_elem);
    LK_TRY(lk_reducer_finish(reducer, &sum));
    *seconds = lk_seconds() - begin;
    *n_wrong += count_wrong(sum, n_elem, lk_world_size(j->world));
    return LK_OK;
}

static lk_status calls(job *j, lk_reducer *reducer, size_t n_elem, double *seconds, size_t n_calls, int64_t *n_wrong)
{
    double warmup;

    for (int i = 0; i < BENCH_WARMUP; i++) LK_TRY(call_once(j, reducer, n_elem, &warmup, n_wrong));
    for (size_t i = 0; i < n_calls; i++) LK_TRY(call_once(j, reducer, n_elem, &seconds[i], n_wrong));
    return LK_OK;
}

/* The mean of the workers' medians and the sum of what was wrong, on the leader. */
static lk_status gather(job *j, const double mine[2], result *r)
{
    const int n = lk_world_size(j->world);
    double *all = j->leader ? calloc((size_t)n * 2, sizeof *all) : NULL;

    LK_TRY(job_agree(j, !j->leader || all ? LK_OK : LK_FAIL(LK_ERR_SYSTEM, "out of memory: times of %d workers", n)));
    const lk_status status = lk_world_gather(j->world, mine, 2 * sizeof *mine, all);
    for (int w = 0; status == LK_OK && all && w < n; w++) {
        r->seconds += all[2 * w] / n;
        r->n_wrong += (int64_t)all[2 * w + 1];
    }
    free(all);
    return status;
}

/* One size by one algorithm, one lane a worker.  r->algorithm and nbytes are given. */
static lk_status measure(job *j, size_t n_calls, result *r)
{
    const size_t n_elem = r->nbytes / sizeof(float);
    double *seconds = calloc(n_calls, sizeof *seconds);
    lk_reducer *reducer = NULL;
    int64_t n_wrong = 0;

    lk_status status = job_agree(j, seconds ? LK_OK : LK_FAIL(LK_ERR_SYSTEM, "out of memory: %zu times", n_calls));
    if (status == LK_OK) {
        status = lk_reducer_new_array(j->world, r->algorithm, lk_world_size(j->world), n_elem, r->nbytes, &reducer);
        j->agreed = true; /* a failure here is the same on all */
    }
    if (status == LK_OK) status = calls(j, reducer, n_elem, seconds, n_calls, &n_wrong);
    if (status == LK_OK)
        status = gather(j, (const double[]){bench_median(seconds, n_calls), (double)n_wrong}, r);
    lk_reducer_free(&reducer);
    free(seconds);
    return status;
}

lk_status bench_reduce_once(job *j, lk_reduction algorithm, size_t nbytes, size_t n_calls, double *seconds)
{
    result r = {.algorithm = algorithm, .nbytes = nbytes};

    LK_TRY(measure(j, n_calls, &r));
    *seconds = r.seconds;
    return lk_world_broadcast(j->world, seconds, sizeof *seconds);
}

/* --------------------------------------------------------------------- results */

static double algbw(const result *r) { return r->seconds > 0.0 ? (double)r->nbytes / r->seconds / GIGA : 0.0; }

static double busbw(const result *r, int n) { return algbw(r) * 2.0 * (n - 1) / n; }

static void print_header(const job *j, size_t n_calls)
{
    const int n = lk_world_size(j->world);

    printf("# %d worker%s on %d host%s, one lane each; medians of %zu calls\n", n, plural(n),
           lk_world_n_hosts(j->world), plural(lk_world_n_hosts(j->world)), n_calls);
    printf("#%11s %13s %7s %6s %10s %10s %8s %8s %7s\n", "size", "count", "type", "redop", "algorithm", "time", "algbw",
           "busbw", "#wrong");
    printf("#%11s %13s %7s %6s %10s %10s %8s %8s\n", "(B)", "(elements)", "", "", "", "(us)", "(GB/s)", "(GB/s)");
}

static void print_result(const result *r, int n)
{
    printf("%12zu %13zu %7s %6s %10s %10.2f %8.3f %8.3f %7" PRId64 "\n", r->nbytes, r->nbytes / sizeof(float), "float",
           "sum", algorithm_words[r->algorithm], r->seconds * US, algbw(r), busbw(r, n), r->n_wrong);
    fflush(stdout);
}

typedef struct table {
    const job *j;
    result *row; /* owned, (n) */
    size_t n;
} table;

static lk_status fill_row(const result *r, int n, lk_metadata *json)
{
    const struct { const char *key; double value; } reals[] = {
        {"seconds", r->seconds}, {"algbw", algbw(r)}, {"busbw", busbw(r, n)}};
    char path[96];

    for (size_t k = 0; k < sizeof reals / sizeof *reals; k++) {
        snprintf(path, sizeof path, "%s/%zu/%s", algorithm_words[r->algorithm], r->nbytes, reals[k].key);
        LK_TRY(lk_metadata_set_real(json, path, reals[k].value));
    }
    snprintf(path, sizeof path, "%s/%zu/wrong", algorithm_words[r->algorithm], r->nbytes);
    return lk_metadata_set_int(json, path, r->n_wrong);
}

static lk_status fill(const void *arg, lk_metadata *json)
{
    const table *t = arg;
    const int n = lk_world_size(t->j->world);

    LK_TRY(lk_metadata_set_int(json, "workers", n));
    LK_TRY(lk_metadata_set_int(json, "hosts", lk_world_n_hosts(t->j->world)));
    for (size_t i = 0; i < t->n; i++) LK_TRY(fill_row(&t->row[i], n, json));
    return LK_OK;
}

static lk_status measure_all(job *j, const request *asked, table *t)
{
    for (size_t s = 0; s < asked->n_sizes; s++)
        for (size_t a = 0; a < asked->n_algorithms; a++) {
            result *r = &t->row[t->n++];

            *r = (result){.algorithm = asked->algorithm[a], .nbytes = asked->nbytes[s]};
            LK_TRY(measure(j, asked->n_calls, r));
            if (j->leader) print_result(r, lk_world_size(j->world));
        }
    return LK_OK;
}

static lk_status judge(const table *t)
{
    int64_t n_wrong = 0;

    for (size_t i = 0; i < t->n; i++) n_wrong += t->row[i].n_wrong;
    if (n_wrong == 0) return LK_OK;
    return LK_FAIL(LK_ERR_NUMBERS, "%" PRId64 " elements of sums are wrong: the network or a host's memory changes "
                   "numbers; do not train here", n_wrong);
}

static lk_status conclude(const table *t, const options *opt)
{
    LK_TRY(bench_write_json(opt, fill, t));
    return judge(t);
}

lk_status bench_reduce(job *j, const options *opt)
{
    request asked;
    table t = {.j = j};

    LK_TRY(job_agree(j, read_request(opt, &asked)));
    t.row = calloc(asked.n_sizes * asked.n_algorithms, sizeof *t.row);
    LK_TRY(job_agree(j, t.row ? LK_OK : LK_FAIL(LK_ERR_SYSTEM, "out of memory: a table")));
    if (j->leader) print_header(j, asked.n_calls);
    lk_status status = measure_all(j, &asked, &t);
    if (status == LK_OK) status = job_agree(j, j->leader ? conclude(&t, opt) : LK_OK);
    free(t.row);
    return status;
}
