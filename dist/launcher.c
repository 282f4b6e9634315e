/*
 * Who started us: mpirun, srun, or a person at a prompt.
 *
 * It is read from the environment, because asking MPI means starting it (a third of a second here), and a world of
 * one has no use for it.  OMPI_* is Open MPI's mpirun, PMI_* is MPICH's and Slurm's pmi2, PMIX_RANK is Slurm's pmix.
 * SLURM_NTASKS would not do: a batch script has it too, without srun.
 */
#include "dist/world.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

void lk_launch_tune(void)
{
    cpu_set_t cores;

    /* Workers that share cores must give way while they wait.  mpirun sees to it where it counted the cores itself
     * (then it has bound the workers); under cpusets and other launchers nobody does. */
    if (getenv("OMPI_MCA_orte_bound_at_launch") || sched_getaffinity(0, sizeof cores, &cores) != 0) return;
    if (count_in("OMPI_COMM_WORLD_LOCAL_SIZE") > CPU_COUNT(&cores)) setenv("OMPI_MCA_mpi_yield_when_idle", "1", 0);
}

void lk_mpi_library(char *text, size_t nbytes)
{
    char version[MPI_MAX_LIBRARY_VERSION_STRING];
    int length = 0;

    MPI_Get_library_version(version, &length);
    version[strcspn(version, ",\n")] = '\0'; /* "Open MPI v4.1.4, package: ..." */
    char *v = strstr(version, " v");
    if (v) memmove(v + 1, v + 2, strlen(v + 2) + 1);
    snprintf(text, nbytes, "%s", version);
}
