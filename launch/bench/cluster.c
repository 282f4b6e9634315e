/*
 * lockstep plan --cluster: what a cluster whose hosts fail will make of its time.
 *
 * A checkpoint's cost is what `lockstep bench checkpoint --json` measured (--costs), or said by hand (--save).  A
 * restart is what it takes to notice a failure, start the job and read the checkpoint (--downtime).
 */
#include "launch/bench/bench.h"
#include "launch/bench/goodput.h"

#include <inttypes.h>

enum { N_FAILURES = 20000, SEED = 1, PERIOD_BYTES = 32 };
static const double HOUR = 3600.0, MINUTE = 60.0, DAY = 86400.0, PERCENT = 100.0;
/* With launch/cluster/mpirun.conf a lost host is noticed within 40 s; the rest is the start of a job. */
static const double usual_downtime = 120.0;

static lk_status read_costs(const options *opt, goodput_case *c)
{
    double held_up = 0.0, written = 0.0, read = 0.0;

    if (opt->costs) {
        LK_TRY(lk_summary_read_real(opt->costs, "held_up_seconds", &held_up));
        LK_TRY(lk_summary_read_real(opt->costs, "write_seconds", &written));
        LK_TRY(lk_summary_read_real(opt->costs, "read_seconds", &read));
    } else if (!opt->save.given)
        return LK_FAIL(LK_ERR_USAGE, "--cluster: what a checkpoint costs is not known: give --costs FILE, of `lockstep "
                       "bench checkpoint RECIPE --json FILE`, or --save SECONDS");
    c->save = opt->save.given ? opt->save.value : held_up;
    c->write = written;
    c->restart = opt->downtime.given ? opt->downtime.value : usual_downtime + read;
    if (!(c->save > 0.0)) return LK_FAIL(LK_ERR_USAGE, "a checkpoint that costs 0 s: how often to save is no question");
    return LK_OK;
}

static lk_status read_case(const options *opt, goodput_case *c)
{
    if (!opt->mtbf.given || !(opt->mtbf.value > 0.0))
        return LK_FAIL(LK_ERR_USAGE, "--cluster %" PRId64 " needs --mtbf HOURS, more than 0: how long one worker's "
                       "host lasts on average", opt->cluster);
    LK_TRY(read_costs(opt, c));
    c->mtbf = opt->mtbf.value * HOUR / (double)opt->cluster;
    return LK_OK;
}

static const char *print_period(double seconds, char text[PERIOD_BYTES])
{
    if (seconds >= 2.0 * DAY) snprintf(text, PERIOD_BYTES, "%.1f days", seconds / DAY);
    else if (seconds >= 2.0 * HOUR) snprintf(text, PERIOD_BYTES, "%.1f h", seconds / HOUR);
    else if (seconds >= 2.0 * MINUTE) snprintf(text, PERIOD_BYTES, "%.1f min", seconds / MINUTE);
    else snprintf(text, PERIOD_BYTES, "%.3g s", seconds);
    return text;
}

static void print_interval(const char *whose, double interval, double work)
{
    char text[PERIOD_BYTES];

    printf("  %-32s %10s   goodput %6.2f %%\n", whose, print_period(interval, text), PERCENT * work);
}

static void print_case(const options *opt, const goodput_case *c)
{
    char mtbf[PERIOD_BYTES], save[PERIOD_BYTES], written[PERIOD_BYTES], restart[PERIOD_BYTES];

    printf("\na cluster of %" PRId64 " worker%s, each lost once in %g h: a failure every %s\n", opt->cluster,
           plural(opt->cluster), opt->mtbf.value, print_period(c->mtbf, mtbf));
    printf("  a checkpoint holds training up for %s and is on disk %s later; a restart takes %s%s\n",
           print_period(c->save, save), print_period(c->write, written), print_period(c->restart, restart),
           opt->downtime.given ? "" : " (--downtime)");
}

lk_status cluster_print(const options *opt)
{
    goodput_case c;
    char lost[PERIOD_BYTES], redone[PERIOD_BYTES], down[PERIOD_BYTES];

    LK_TRY(read_case(opt, &c));
    const double young = goodput_young(&c), daly = goodput_daly(&c), found = goodput_search(&c, SEED, N_FAILURES);
    const goodput drawn = goodput_simulate(&c, found, SEED, N_FAILURES);

    print_case(opt, &c);
    printf("best time between checkpoints\n");
    print_interval("by Young's formula", young, goodput_expect(&c, young).work);
    print_interval("by Daly's", daly, goodput_expect(&c, daly).work);
    print_interval("by simulation of 20000 failures", found, drawn.work);
    printf("lost of a day: %s in restarts, %s of steps done again, %s saving\n", print_period(drawn.down * DAY, down),
           print_period(drawn.redone * DAY, redone), print_period(drawn.saving * DAY, lost));
    return LK_OK;
}

lk_status cluster_check(const options *opt)
{
    goodput_case c;

    if (opt->cluster) return read_case(opt, &c);
    if (opt->mtbf.given || opt->costs || opt->save.given || opt->downtime.given)
        return LK_FAIL(LK_ERR_USAGE, "--mtbf, --costs, --save and --downtime are of a cluster: give --cluster WORKERS");
    return LK_OK;
}
