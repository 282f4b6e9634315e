/*
 * The stand-in of NCCL on several ranks, started by mpirun; takes no arguments, exits 0 when all that it claims holds.
 *
 * Numbers are small integers, whose sums are exact in any order.  MPI carries the unique id, and says what each rank
 * found.
 */
#include <cuda_runtime_api.h>
#define OMPI_SKIP_MPICXX 1 /* its old C++ classes */
#include <mpi.h>
#include <nccl.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <vector>

enum { BIG = 1 << 20, PATIENCE_MS = 20000, LOOK_MS = 2 };
static int rank, size, n_failed;
static cudaStream_t stream;

static void check(bool holds, const char *claim)
{
    if (holds) return;
    n_failed++;
    fprintf(stderr, "rank %d: FAILED: %s\n", rank, claim);
}

#define OK(call) check((call) == 0, #call)

static ncclUniqueId new_id()
{
    ncclUniqueId id;

    if (rank == 0) OK(ncclGetUniqueId(&id));
    MPI_Bcast(&id, sizeof id, MPI_BYTE, 0, MPI_COMM_WORLD);
    return id;
}

static ncclComm_t new_comm()
{
    ncclComm_t comm = NULL;

    OK(ncclCommInitRank(&comm, size, new_id(), rank));
    return comm;
}

static float *device(size_t n, float value)
{
    void *at = NULL;

    OK(cudaMalloc(&at, n * sizeof(float)));
    for (size_t i = 0; i < n; i++) ((float *)at)[i] = value;
    return (float *)at;
}

/* Looks every few milliseconds until done() or patience ends. */
template <typename Done> static bool wait_for(Done done)
{
    const timespec nap = {0, LOOK_MS * 1000000};

    for (int waited = 0; waited < PATIENCE_MS; waited += LOOK_MS) {
        if (done()) return true;
        nanosleep(&nap, NULL);
    }
    return false;
}

/* Looks at the stream too, which may be what makes it go on. */
static ncclResult_t error_of(ncclComm_t comm)
{
    ncclResult_t state = ncclInternalError;

    cudaStreamQuery(stream);
    OK(ncclCommGetAsyncError(comm, &state));
    return state;
}

/* ------------------------------------------------------------------ claims */

static void test_all_to_all(ncclComm_t comm)
{
    float *from = device((size_t)BIG * size, 0.0f), *into = device((size_t)BIG * size, -1.0f);
    bool right = true;

    for (int peer = 0; peer < size; peer++)
        for (size_t i = 0; i < BIG; i++) from[peer * (size_t)BIG + i] = (float)(100 * rank + peer);
    OK(ncclGroupStart());
    for (int peer = 0; peer < size; peer++) {
        OK(ncclSend(from + peer * (size_t)BIG, BIG, ncclFloat32, peer, comm, stream));
        OK(ncclRecv(into + peer * (size_t)BIG, BIG, ncclFloat32, peer, comm, stream));
    }
    OK(ncclGroupEnd());
    OK(cudaStreamSynchronize(stream));
    for (int peer = 0; peer < size; peer++)
        for (size_t i = 0; i < BIG; i++) right = right && into[peer * (size_t)BIG + i] == (float)(100 * peer + rank);
    check(right, "every rank has what every other sent, itself too");
    cudaFree(from);
    cudaFree(into);
}

static void test_collectives(ncclComm_t comm)
{
    const size_t n = 1001;
    float *mine = device(n, (float)rank), *sum = device(n, 0.0f), *all = device(n * size, -1.0f),
          *root = device(n, 7.0f);
    bool right = true;

    for (size_t i = 0; i < n; i++) root[i] = rank == size - 1 ? 5.0f : -1.0f;
    OK(ncclGroupStart());
    OK(ncclAllReduce(mine, sum, n, ncclFloat32, ncclSum, comm, stream));
    OK(ncclAllGather(mine, all, n, ncclFloat32, comm, stream));
    OK(ncclGroupEnd());
    OK(ncclBroadcast(root, root, n, ncclFloat32, size - 1, comm, stream));
    OK(ncclAllReduce(mine, mine, n, ncclFloat32, ncclMax, comm, stream));
    OK(cudaStreamSynchronize(stream));
    for (size_t i = 0; i < n; i++) {
        right = right && sum[i] == (float)(size * (size - 1) / 2) && root[i] == 5.0f && mine[i] == (float)(size - 1);
        for (int peer = 0; peer < size; peer++) right = right && all[peer * n + i] == (float)peer;
    }
    check(right, "sums, maxima, gathered and broadcast values");

    float *blocks = device(n * size, (float)(rank + 1));
    OK(ncclReduceScatter(blocks, blocks + rank * n, n, ncclFloat32, ncclSum, comm, stream));
    OK(cudaStreamSynchronize(stream));
    check(blocks[rank * n] == (float)(size * (size + 1) / 2), "reduce-scatter in place");
    for (float *at : {mine, sum, all, root, blocks}) cudaFree(at);
}

/* Values at the time of each replay are summed, not those at capture. */
static void test_replay(ncclComm_t comm)
{
    float *value = device(16, 0.0f);
    cudaGraph_t graph;
    cudaGraphExec_t replay;

    OK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    OK(ncclAllReduce(value, value, 16, ncclFloat32, ncclSum, comm, stream));
    OK(cudaStreamEndCapture(stream, &graph));
    OK(cudaGraphInstantiate(&replay, graph, 0));
    for (int turn = 1; turn <= 3; turn++) {
        for (int i = 0; i < 16; i++) value[i] = (float)turn;
        OK(cudaGraphLaunch(replay, stream));
        OK(cudaStreamSynchronize(stream));
        check(value[15] == (float)(turn * size), "a captured sum, replayed");
    }
    cudaGraphExecDestroy(replay);
    cudaGraphDestroy(graph);
    cudaFree(value);
}

static void test_misuse(ncclComm_t comm)
{
    float *value = device(1, 0.0f);
    ncclComm_t other = NULL;
    ncclUniqueId wrong = {};

    check(ncclSend(value, 1, ncclFloat32, size, comm, stream) == ncclInvalidArgument, "no such rank");
    check(ncclSend(NULL, 1, ncclFloat32, 0, comm, stream) == ncclInvalidArgument, "no buffer");
    check(ncclGroupEnd() == ncclInvalidUsage, "a group that was not begun");
    check(ncclCommInitRank(&other, size, wrong, rank) == ncclInvalidArgument, "an id that no ncclGetUniqueId gave");
    OK(ncclGroupStart());
    check(ncclSend(value, 1, ncclFloat32, -1, comm, stream) == ncclInvalidArgument, "an error in a group");
    check(ncclGroupEnd() == ncclInvalidArgument, "is told at its end too");
    cudaFree(value);
}

/* All on device 0. */
static void test_one_device_for_two_ranks()
{
    ncclComm_t comm = NULL;

    OK(cudaSetDevice(0));
    if (size > 1) check(ncclCommInitRank(&comm, size, new_id(), rank) == ncclInvalidUsage, "two ranks on one device");
    OK(cudaSetDevice(rank));
}

/* A communicator that is not blocking: in progress, then ready; used too early it refuses. */
static void test_not_blocking()
{
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    ncclComm_t comm = NULL;
    ncclResult_t state = ncclInProgress;
    float *value = device(1, 1.0f);
    const auto ready = [&] { return (state = error_of(comm)) != ncclInProgress; };

    config.blocking = 0;
    check(ncclCommInitRankConfig(&comm, size, new_id(), rank, &config) == ncclInProgress,
          "it goes on in the background");
    check(wait_for(ready) && state == ncclSuccess, "it is made at last");
    check(ncclAllReduce(value, value, 1, ncclFloat32, ncclSum, comm, stream) == ncclInProgress, "queueing goes on too");
    check(ncclAllReduce(value, value, 1, ncclFloat32, ncclSum, comm, stream) == ncclInvalidArgument, "too early");
    check(wait_for(ready) && state == ncclSuccess, "it is queued at last");
    OK(cudaStreamSynchronize(stream));
    check(value[0] == (float)size, "and done");
    MPI_Barrier(MPI_COMM_WORLD);
    OK(ncclCommDestroy(comm));
    cudaFree(value);
}

/* Two ranks that both send first, outside a group, wait for ever. */
static void test_sends_wait_for_their_receivers()
{
    enum { LOOKS = 50 };
    const timespec nap = {0, LOOK_MS * 1000000};
    ncclComm_t comm = new_comm();
    float *value = device(1, 1.0f);
    bool ended = false;

    OK(ncclSend(value, 1, ncclFloat32, (rank + 1) % size, comm, stream));
    OK(ncclRecv(value, 1, ncclFloat32, (rank + size - 1) % size, comm, stream));
    for (int look = 0; look < LOOKS; look++) {
        ended = ended || cudaStreamQuery(stream) == cudaSuccess;
        nanosleep(&nap, NULL);
    }
    check(!ended, "sends outside a group wait for their receivers");
    MPI_Barrier(MPI_COMM_WORLD);
    OK(ncclCommAbort(comm));
    OK(cudaStreamSynchronize(stream));
    cudaFree(value);
}

/* From now on operations fail: the error is seen from outside, the stream stands still until the abort. */
static void test_failure(ncclComm_t comm)
{
    float *value = device(1, 1.0f);
    ncclResult_t state = ncclSuccess;

    setenv("STANDIN_NCCL_FAIL_AFTER", "0", 1);
    OK(ncclAllReduce(value, value, 1, ncclFloat32, ncclSum, comm, stream));
    check(wait_for([&] { return (state = error_of(comm)) != ncclSuccess; }) && state == ncclRemoteError,
          "the error is seen");
    check(cudaStreamQuery(stream) == cudaErrorNotReady, "the operation does not end by itself");
    OK(ncclCommAbort(comm));
    OK(cudaStreamSynchronize(stream));
    unsetenv("STANDIN_NCCL_FAIL_AFTER");
    cudaFree(value);
}

/* Rank 0 captures a sum that the others queue on their streams. */
static void test_capture_is_the_same_on_all_ranks()
{
    ncclComm_t comm = new_comm();
    float *value = device(1, 1.0f);
    cudaGraph_t graph;
    cudaGraphExec_t replay = NULL;
    ncclResult_t state = ncclSuccess;

    if (rank == 0) OK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    OK(ncclAllReduce(value, value, 1, ncclFloat32, ncclSum, comm, stream));
    if (rank == 0) {
        OK(cudaStreamEndCapture(stream, &graph));
        OK(cudaGraphInstantiate(&replay, graph, 0));
        OK(cudaGraphLaunch(replay, stream));
    }
    check(wait_for([&] { return (state = error_of(comm)) != ncclSuccess; }) && state == ncclInvalidUsage,
          "a sum that one rank alone has captured is refused");
    MPI_Barrier(MPI_COMM_WORLD);
    OK(ncclCommAbort(comm));
    OK(cudaStreamSynchronize(stream));
    if (replay) {
        cudaGraphExecDestroy(replay);
        cudaGraphDestroy(graph);
    }
    cudaFree(value);
}

/* The last rank leaves while the others wait for it. */
static void test_lost_rank()
{
    ncclComm_t comm = new_comm();
    float *value = device(1, 1.0f);
    ncclResult_t state = ncclSuccess;

    if (rank == size - 1) {
        OK(ncclCommAbort(comm));
    } else {
        OK(ncclAllReduce(value, value, 1, ncclFloat32, ncclSum, comm, stream));
        check(wait_for([&] { return (state = error_of(comm)) != ncclSuccess; }) && state == ncclRemoteError,
              "a lost rank is seen");
        OK(ncclCommAbort(comm));
        OK(cudaStreamSynchronize(stream));
    }
    cudaFree(value);
}

int main(int argc, char **argv)
{
    int all_failed = 0, count = 0;

    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    OK(cudaSetDevice(rank));
    OK(cudaStreamCreate(&stream));

    ncclComm_t comm = new_comm(), second = new_comm();
    OK(ncclCommCount(comm, &count));
    check(count == size, "the number of ranks");
    test_all_to_all(comm);
    test_all_to_all(second);
    test_collectives(comm);
    test_replay(comm);
    test_misuse(comm);
    test_not_blocking();
    test_one_device_for_two_ranks();
    if (size > 1) {
        test_sends_wait_for_their_receivers();
        test_capture_is_the_same_on_all_ranks();
        test_lost_rank();
    }
    MPI_Barrier(MPI_COMM_WORLD);
    OK(ncclCommDestroy(second));
    test_failure(comm);

    OK(cudaStreamDestroy(stream));
    MPI_Allreduce(&n_failed, &all_failed, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    if (rank == 0) printf("NCCL stand-in on %d ranks: %d claims failed\n", size, all_failed);
    MPI_Finalize();
    return all_failed > 0;
}
