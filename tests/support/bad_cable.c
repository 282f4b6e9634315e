/*
 * A cable that changes a number, for a program that is started with LD_PRELOAD of this: of the LK_BAD_MESSAGE-th
 * array of floats that rank LK_BAD_RANK sends to another, the first element arrives larger by 1.  (One bit of a
 * gradient may well be lost in the rounding of what it is added to.)
 */
#include <mpi.h>

#include <stdlib.h>
#include <string.h>

static int number(const char *variable)
{
    const char *text = getenv(variable);

    return text ? atoi(text) : -1;
}

int MPI_Isend(const void *from, int n, MPI_Datatype type, int to, int tag, MPI_Comm comm, MPI_Request *request)
{
    static int n_sent;
    int rank;

    PMPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (rank != number("LK_BAD_RANK") || ++n_sent != number("LK_BAD_MESSAGE"))
        return PMPI_Isend(from, n, type, to, tag, comm, request);
    float *copy = malloc((size_t)n * sizeof *copy); /* it is on its way until the program ends */
    if (!copy) return MPI_ERR_NO_MEM;
    memcpy(copy, from, (size_t)n * sizeof *copy);
    copy[0] += 1.0f;
    return PMPI_Isend(copy, n, type, to, tag, comm, request);
}
