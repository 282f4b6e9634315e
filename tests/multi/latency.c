/*
 * What a reduction costs: microseconds a call and bandwidth, tree beside MPI_Allreduce, in one bucket.
 *
 *     mpirun -n 4 multi_latency [lanes a worker]
 */
#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "dist/reduce/reducer.h"

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static void measure(lk_reduction kind, size_t n_elem, int lanes, int n_calls)
{
    enum { N_RUNS = 9 };
    const size_t front = 0;
    const lk_arena_cuts cuts = {.cut = &front, .n = 1, .n_elem = n_elem};
    double seconds[N_RUNS];
    lk_reducer *reducer;
    int begin, end;

    MUST(lk_reducer_new_plain(world, NULL, kind, lanes, cuts, n_elem * sizeof(float), NULL, &reducer));
    MUST(lk_world_lanes(world, lanes, &begin, &end));
    for (int run = 0; run < N_RUNS; run++) {
        MUST(lk_world_barrier(world));
        const double start = lk_seconds();
        for (int call = 0; call < n_calls; call++) {
            const float *sum;
            float *grads;
            for (int lane = begin; lane < end; lane++) {
                MUST(lk_reducer_lane(reducer, lane, &grads));
                lk_reducer_ready(reducer, 0, n_elem);
            }
            MUST(lk_reducer_finish(reducer, &sum));
        }
        seconds[run] = (lk_seconds() - start) / n_calls;
    }
    qsort(seconds, N_RUNS, sizeof seconds[0], by_size);
    check_say("%-4s %9zu bytes, %2d lanes on %d workers: median %9.1f us (%.1f .. %.1f), %.2f GB/s\n",
              kind == LK_REDUCE_TREE ? "tree" : "mpi", n_elem * sizeof(float), lanes, lk_world_size(world),
              seconds[N_RUNS / 2] * 1e6, seconds[0] * 1e6, seconds[N_RUNS - 1] * 1e6,
              (double)(n_elem * sizeof(float)) / seconds[N_RUNS / 2] * 1e-9);
    lk_reducer_free(&reducer);
}

int main(int argc, char **argv)
{
    check_start(0);
    const int lanes = lk_world_size(world) * (argc > 1 ? atoi(argv[1]) : 1);

    for (int kind = LK_REDUCE_TREE; kind <= LK_REDUCE_MPI; kind++) {
        measure((lk_reduction)kind, 40, lanes, 500);
        measure((lk_reduction)kind, 3500, lanes, 500);
        measure((lk_reduction)kind, 16000, lanes, 200);
        measure((lk_reduction)kind, 64000, lanes, 50);
        measure((lk_reduction)kind, 250000, lanes, 10);
        measure((lk_reduction)kind, 10000000, lanes, 1);
    }
    return check_finish();
}
