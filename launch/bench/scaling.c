/*
 * lockstep bench scaling: steps on 1, 2, 4, ... and all workers, weakly and strongly scaled, held against the model of
 * predict.h, whose network is fitted to sums measured here, and whose work is one worker's.
 *
 * Each number of workers is the world's first ones for a while (lk_world_narrow()), each worker with one lane.
 */
#include "launch/bench/scaling.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FIT_CALLS = 15, OVERRIDE_BYTES = 48 };
static const size_t fit_nbytes[SCALING_SIZES - 1] = {128 * 1024, 1024 * 1024}; /* and a bucket of the recipe */
static const double MS_PER_S = 1e3, HOUR = 3600.0;
/* A GPU with its part of a host: 419 unexpected interruptions of 16,384 in 54 days.  Llama team, 2024,
 * arXiv:2407.21783, section 3.3.4. */
static const double usual_mtbf_hours = 16384.0 * 54 * 24 / 419;

/* ------------------------------------------------------------------- measuring */

/* Numbers that every worker has of its own, as means over the narrowed world. */
static lk_status mean_over_workers(job *j, double *values, size_t n)
{
    const int lanes = lk_world_size(j->world);
    double sum[8];

    if (lanes == 1) return LK_OK;
    LK_TRY(lk_world_sum_lanes(j->world, lanes, values, n, sum));
    for (size_t i = 0; i < n; i++) values[i] = sum[i] / lanes;
    return LK_OK;
}

/* The step's sums with nothing beside them. */
static lk_status sum_alone(bench_steps *s, double *seconds)
{
    job *j = s->j;
    const float *sum;
    float *own;

    LK_TRY(lk_reducer_lane(j->reducer, j->lane_begin, &own));
    LK_TRY(lk_world_barrier(j->world));
    const double begin = lk_seconds();
    lk_reducer_ready(j->reducer, 0, lk_trainable_n_grads(j->trainable));
    LK_TRY(lk_reducer_finish(j->reducer, &sum));
    *seconds = lk_seconds() - begin;
    return LK_OK;
}

enum { OF_STEP, OF_FIRST, OF_REST, OF_WAIT, OF_UPDATE, OF_SUM, N_TIMES };

static lk_status one_turn(bench_steps *s, double *const times[N_TIMES], size_t turn)
{
    LK_TRY(lk_world_barrier(s->j->world));
    LK_TRY(bench_step_once(s, NULL, NULL));
    times[OF_STEP][turn] = s->compute_s + s->wait_s + s->update_s;
    times[OF_FIRST][turn] = s->first_s;
    times[OF_REST][turn] = s->compute_s - s->first_s;
    times[OF_WAIT][turn] = s->wait_s;
    times[OF_UPDATE][turn] = s->update_s;
    return sum_alone(s, &times[OF_SUM][turn]);
}

static lk_status measure_turns(bench_steps *s, size_t n_turns, double *all, scaling_row *row)
{
    double *times[N_TIMES], median[N_TIMES], unused;
    lk_reducer_stats stats;

    for (int t = 0; t < N_TIMES; t++) times[t] = all + (size_t)t * n_turns;
    LK_TRY(bench_step_once(s, NULL, NULL));
    LK_TRY(sum_alone(s, &unused));
    for (size_t turn = 0; turn < n_turns; turn++) LK_TRY(one_turn(s, times, turn));
    for (int t = 0; t < N_TIMES; t++) median[t] = bench_median(times[t], n_turns);
    LK_TRY(mean_over_workers(s->j, median, N_TIMES));
    lk_reducer_get_stats(s->j->reducer, &stats);
    row->step_s = median[OF_STEP];
    row->waited_s = median[OF_WAIT];
    row->reduction_s = row->workers > 1 ? median[OF_SUM] : 0.0;
    row->hidden = row->workers > 1 ? fmin(fmax(1.0 - row->waited_s / row->reduction_s, 0.0), 1.0) : 1.0;
    row->work = (part){median[OF_FIRST], median[OF_REST], median[OF_UPDATE]};
    row->gradients = (gradients){(double)lk_trainable_n_grads(s->j->trainable) * sizeof(float),
                                 (double)stats.n_buckets};
    return LK_OK;
}

/* The recipe with this batch, one lane a worker. */
static lk_status measure_row(job *j, const scaling *s, int64_t batch, double busy_s, scaling_row *row)
{
    const size_t n_turns = bench_iterations(s->opt);
    job own = {.world = j->world, .leader = j->leader};
    bench_steps steps = {.busy_s = busy_s};
    options opt = *s->opt;
    char override[2][OVERRIDE_BYTES];
    double *times = calloc(N_TIMES * n_turns, sizeof *times);

    snprintf(override[0], OVERRIDE_BYTES, "train.batch=%lld", (long long)batch);
    snprintf(override[1], OVERRIDE_BYTES, "train.lanes=%d", row->workers);
    lk_status status = job_agree(&own, times && opt.n_overrides + 2 <= MAX_OVERRIDES
                                           ? LK_OK
                                           : LK_FAIL(LK_ERR_USAGE, "too many overrides, or no memory for times"));
    if (status == LK_OK) {
        opt.overrides[opt.n_overrides++] = override[0];
        opt.overrides[opt.n_overrides++] = override[1];
        status = bench_steps_open(&steps, &own, &opt);
    }
    if (status == LK_OK) status = measure_turns(&steps, n_turns, times, row);
    free(times);
    job_close(&own);
    return status;
}

/* Sums of several sizes, for the fit; those of a bucket are known from the step's. */
static lk_status measure_points(job *j, scaling *s, const scaling_row *row)
{
    job own = {.world = j->world, .leader = j->leader};
    const double n_buckets = row->gradients.n_buckets;

    if (row->workers == 1) return LK_OK;
    for (int i = 0; i < SCALING_SIZES - 1; i++) {
        sum_point *p = &s->point[s->n_points++];

        *p = (sum_point){.workers = row->workers, .nbytes = (double)fit_nbytes[i]};
        LK_TRY(bench_reduce_once(&own, LK_REDUCE_TREE, fit_nbytes[i], FIT_CALLS, &p->seconds));
    }
    s->point[s->n_points++] = (sum_point){row->workers, row->gradients.nbytes / n_buckets,
                                          row->reduction_s / n_buckets};
    return LK_OK;
}

static lk_status measure_count(job *j, scaling *s, size_t i)
{
    const int workers = s->workers[i], most = s->workers[s->n_counts - 1];
    const double busy_s = s->opt->busy.value / MS_PER_S;
    scaling_row *weak = &s->row[SCALING_WEAK][i], *strong = &s->row[SCALING_STRONG][i];

    weak->workers = strong->workers = workers;
    LK_TRY(measure_row(j, s, s->samples * workers, busy_s, weak));
    LK_TRY(measure_points(j, s, weak));
    if (workers == most) *strong = *weak;
    else LK_TRY(measure_row(j, s, s->samples * most, busy_s * most / workers, strong));
    return LK_OK;
}

/* The world's first workers do it, the others wait; a failure of theirs becomes all workers'. */
static lk_status measure_narrowed(job *j, scaling *s, size_t i)
{
    bool in;

    LK_TRY(lk_world_narrow(j->world, s->workers[i], &in));
    const lk_status mine = in ? measure_count(j, s, i) : LK_OK;
    LK_TRY(lk_world_widen(j->world));
    LK_TRY(job_agree(j, mine));
    return lk_world_set_timeout(j->world, s->recipe->dist.timeout);
}

/* --------------------------------------------------------------------- the model */

static void model(scaling *s)
{
    s->fits = network_fit(s->point, s->n_points, &s->network);
    s->error = network_error(&s->network, s->point, s->n_points);
    for (int kind = 0; kind < N_SCALINGS; kind++)
        for (size_t i = 0; i < s->n_counts; i++)
            s->row[kind][i].predicted = scaling_predict(s, (scaling_kind)kind, s->workers[i]);
}

/* ----------------------------------------------------------------------- options */

static lk_status choose(job *j, scaling *s)
{
    const int most = lk_world_size(j->world);

    for (int n = 1; n < most; n *= 2) s->workers[s->n_counts++] = n;
    s->workers[s->n_counts++] = most;
    s->samples = s->recipe->train.batch / most;
    s->mtbf_s = HOUR * (s->opt->mtbf.given ? s->opt->mtbf.value : usual_mtbf_hours);
    if (s->opt->out) LK_TRY(gnuplot_check_name("-o", s->opt->out));
    if (s->opt->costs) LK_TRY(lk_summary_read_real(s->opt->costs, "held_up_seconds", &s->save_s));
    if (s->samples < 1)
        return LK_FAIL(LK_ERR_USAGE, "train.batch: %lld samples are none for some of %d workers",
                       (long long)s->recipe->train.batch, most);
    return LK_OK;
}

static lk_status conclude(scaling *s)
{
    model(s);
    scaling_print(s);
    LK_TRY(bench_write_json(s->opt, scaling_fill, s));
    return s->opt->out ? scaling_draw(s, s->opt->out) : LK_OK;
}

lk_status bench_scaling(job *j, const options *opt)
{
    scaling s = {.opt = opt};

    LK_TRY(job_read_recipe(j, opt));
    s.recipe = j->recipe;
    LK_TRY(job_agree(j, choose(j, &s)));
    for (size_t i = 0; i < s.n_counts; i++) LK_TRY(measure_narrowed(j, &s, i));
    return job_agree(j, j->leader ? conclude(&s) : LK_OK);
}
