/* A program of somebody else: trains by a recipe, prints what it is told, predicts with the run.  Built by
 * tests/multi/test_install.sh against an installed Lockstep, by CMake and by pkg-config. */
#include <lockstep/lockstep.h>

#include <stdio.h>

static void watch(void *arg, int64_t step, int n, const char *const *name, const double *value)
{
    (void)arg;
    for (int i = 0; i < n; i++) printf("step %lld %s %g\n", (long long)step, name[i], value[i]);
}

static int fail(lk_status status)
{
    fprintf(stderr, "outside: %s\n", lk_error_message());
    return status;
}

int main(int argc, char **argv)
{
    lk_world *world;
    lk_predictions p;

    if (argc < 4) return LK_ERR_USAGE;
    lk_status status = lk_world_new(0.0, &world);
    if (status != LK_OK) return fail(status);
    const lk_training training = {argv[1], (const char *const *)(argv + 4), argc - 4, false, watch, NULL};
    status = lk_run_train(world, &training);
    if (status == LK_OK) status = lk_run_predict(world, argv[2], argv[3], false, &p);
    if (status == LK_OK) {
        for (int64_t i = 0; i < p.n; i++) printf("%.9g\n", p.value[i]);
        lk_predictions_free(&p);
    }
    lk_world_free(&world);
    return status == LK_OK ? 0 : fail(status);
}
