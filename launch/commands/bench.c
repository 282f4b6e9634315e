/* lockstep bench: finds which one, and hands it the words behind its name. */
#include "launch/bench/bench.h"

#include <string.h>

typedef struct bench {
    const char *name, *whole; /* whole: as messages and JSON say it */
    command_fn *run;
    const char *takes;        /* options, of those that bench takes */
} bench;

static const bench benches[] = {
    {"step", "bench step", bench_step, "--iterations --json --engine"},
    {"reduce", "bench reduce", bench_reduce, "--iterations --json --sizes --algorithms"},
    {"checkpoint", "bench checkpoint", bench_checkpoint, "--iterations --json --engine --size"},
    {"scaling", "bench scaling", bench_scaling, "--iterations --json --engine --busy --out --costs --mtbf"},
};

enum { N_BENCHES = sizeof benches / sizeof benches[0] };

static lk_status find(const options *opt, const bench **found)
{
    const char *names[N_BENCHES];

    for (int i = 0; i < N_BENCHES; i++) names[i] = benches[i].name;
    if (opt->n_positional == 0) return LK_FAIL(LK_ERR_USAGE, "lockstep bench needs a word: " BENCH_NAMES);
    for (*found = benches; *found < benches + N_BENCHES; ++*found)
        if (strcmp((*found)->name, opt->positional[0]) == 0) return LK_OK;
    const char *near = lk_nearest(opt->positional[0], names, N_BENCHES);
    if (near) return LK_FAIL(LK_ERR_USAGE, "bench `%s`: there is none; did you mean %s?", opt->positional[0], near);
    return LK_FAIL(LK_ERR_USAGE, "bench `%s`: there is none, but " BENCH_NAMES, opt->positional[0]);
}

lk_status command_bench(job *j, const options *opt)
{
    const bench *found = NULL;
    options own = *opt;

    LK_TRY(job_agree(j, find(opt, &found)));
    own.command = found->whole;
    LK_TRY(job_agree(j, options_check_among(&own, found->takes)));
    own.n_positional--;
    memmove(own.positional, own.positional + 1, (size_t)own.n_positional * sizeof *own.positional);
    return found->run(j, &own);
}
