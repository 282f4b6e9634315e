/*
 * Who started us: mpirun, srun, or a person at a prompt.
 *
 * It is read from the environment, because asking MPI means starting it (a third of a second here), and a world of
 * one has no use for it.  OMPI_* is Open MPI's mpirun, PMI_* is MPICH's and Slurm's pmi2, PMIX_RANK is Slurm's pmix.
 * SLURM_NTASKS would not do: a batch script has it too, without srun.
 */
#include "dist/world/world.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(OPEN_MPI) && __has_include(<mpi-ext.h>)
#include <mpi-ext.h>
#endif

static int count_in(const char *variable)
{
    const char *text = getenv(variable);

    return text ? atoi(text) : 0;
}

lk_launch lk_launch_find(void)
{
    static const struct { const char *variable, *launcher; } known[] = {
        {"OMPI_COMM_WORLD_SIZE", "mpirun"},
        {"PMI_SIZE", "a launcher that speaks PMI"},
        {"SLURM_STEP_NUM_TASKS", "srun"},
    };

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        const int n = count_in(known[i].variable);
        if (n > 0) return (lk_launch){known[i].launcher, n};
    }
    return (lk_launch){getenv("PMIX_RANK") ? "a launcher that speaks PMIx" : NULL, 0};
}

bool lk_launched_first(void)
{
    static const char *const ranks[] = {"OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK", "SLURM_PROCID"};

    for (size_t i = 0; i < sizeof ranks / sizeof ranks[0]; i++)
        if (getenv(ranks[i])) return count_in(ranks[i]) == 0;
    return true;
}

/* Workers that share cores must give way while they wait.  mpirun sees to it where it counted the cores itself (then it
 * has bound the workers); under cpusets and other launchers nobody does. */
static bool cores_are_shared(void)
{
    cpu_set_t cores;

    if (getenv("OMPI_MCA_orte_bound_at_launch") || sched_getaffinity(0, sizeof cores, &cores) != 0) return false;
    return count_in("OMPI_COMM_WORLD_LOCAL_SIZE") > CPU_COUNT(&cores);
}

/* What the user has set stays.
 *
 * Between workers of a host Open MPI sends up to 4 kB at once, and asks the receiver first for more: a round trip, and
 * on shared cores a wait for its turn.  32 kB (the size of its fragments) cover the short buckets: 14 kB on 4 workers
 * of 2 cores take 15 us instead of 55, on 2 workers 1.1 instead of 3.7.  vader is called sm from Open MPI 5 on. */
void lk_launch_tune(void)
{
    setenv("OMPI_MCA_btl_vader_eager_limit", "32768", 0);
    setenv("OMPI_MCA_btl_sm_eager_limit", "32768", 0);
    if (cores_are_shared()) setenv("OMPI_MCA_mpi_yield_when_idle", "1", 0);
}

void lk_mpi_library_name(char *version, char *text, size_t nbytes)
{
    static const char mpich[] = "MPICH Version:";

    version[strcspn(version, ",\n")] = '\0';
    if (strncmp(version, mpich, strlen(mpich)) == 0) {
        const char *number = version + strlen(mpich);
        snprintf(text, nbytes, "MPICH %s", number + strspn(number, " \t"));
        return;
    }
    char *v = strstr(version, " v");
    if (v) memmove(v + 1, v + 2, strlen(v + 2) + 1);
    snprintf(text, nbytes, "%s", version);
}

void lk_mpi_library(char *text, size_t nbytes)
{
    char version[MPI_MAX_LIBRARY_VERSION_STRING];
    int length = 0;

    MPI_Get_library_version(version, &length);
    lk_mpi_library_name(version, text, nbytes);
}

/* Asked when the program runs: the library it meets there need not be the one it was built with. */
bool lk_mpi_cuda_aware(void)
{
    const char *said = getenv("LOCKSTEP_CUDA_AWARE");
    int aware = 0, initialized = 0;

    if (said && *said) return strcmp(said, "0") != 0;
    MPI_Initialized(&initialized); /* a world of one never is, and MPICH ends a program that asks it then */
    if (!initialized) return false;
#if defined(MPIX_CUDA_AWARE_SUPPORT) /* Open MPI */
    aware = MPIX_Query_cuda_support();
#elif defined(MPIX_GPU_SUPPORT_CUDA) /* MPICH */
    if (MPIX_GPU_query_support(MPIX_GPU_SUPPORT_CUDA, &aware) != MPI_SUCCESS) aware = 0;
#endif
    return aware != 0;
}
