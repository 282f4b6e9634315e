/*
 * A small NCCL for ranks that are processes of one host (or threads of one process): point to point, the collectives
 * that Lockstep uses, groups, errors, abort.  Messages go over Unix sockets (nccl_wires.h), not over MPI, whose calls
 * belong to the program that opened it.
 *
 * As the real one: operations are queued on a stream and may be captured; sends and receives of a group complete
 * together and alone they wait for each other; two ranks on one device are refused; a communicator that is not blocking
 * answers ncclInProgress and is not to be used before ncclCommGetAsyncError says ncclSuccess; an operation that fails
 * goes on until ncclCommAbort.  Whether an operation is captured is the same on all its ranks (NCCL asks for that, and
 * may hang where it is not): a group whose sides differ fails.
 *
 * Not like it: a group uses one stream per communicator; within a group sends and receives go before collectives;
 * communicators are not made inside a group; messages that do not fit each other are named instead of mixed up; ranks
 * on several hosts, splitting, user's reductions, registered memory.
 */
#include <nccl.h>

#include <cstdio>
#include <cstring>
#include <sys/random.h>
#include <thread>

#include "tests/gpu/standin/libraries.h"
#include "tests/gpu/standin/nccl_group.h"
#include "tests/gpu/standin/nccl_reduce.h"

using standin::communicator;
using standin::operation;
using standin::verb;
using standin::wired;

static const char id_magic[] = "standin-";
enum { ID_RANDOM_BYTES = 16 };
static const unsigned config_magic = 0xcafebeef;

/* ------------------------------------------------------------ what is asked */

ncclResult_t ncclGetVersion(int *version)
{
    if (!version) return ncclInvalidArgument;
    *version = NCCL_VERSION_CODE;
    return ncclSuccess;
}

const char *ncclGetErrorString(ncclResult_t result)
{
    switch (result) {
    case ncclSuccess: return "no error";
    case ncclUnhandledCudaError: return "unhandled cuda error (run with NCCL_DEBUG=INFO for details)";
    case ncclSystemError: return "unhandled system error (run with NCCL_DEBUG=INFO for details)";
    case ncclInternalError: return "internal error - please report this issue to the NCCL developers";
    case ncclInvalidArgument: return "invalid argument (run with NCCL_DEBUG=WARN for details)";
    case ncclInvalidUsage: return "invalid usage (run with NCCL_DEBUG=WARN for details)";
    case ncclRemoteError: return "remote process exited or there was a network error";
    case ncclInProgress: return "NCCL operation in progress";
    default: return "unknown result code";
    }
}

const char *ncclGetLastError(ncclComm_t comm)
{
    static thread_local std::string copy;

    if (!comm) return standin::last_complaint();
    std::lock_guard<std::mutex> guard(comm->body->text);
    copy = comm->body->last_error;
    return copy.c_str();
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t *error)
{
    if (!comm || !error) return ncclInvalidArgument;
    *error = (ncclResult_t)comm->body->error.load();
    if (*error == ncclSuccess && comm->body->unseen.exchange(false)) *error = ncclInProgress;
    return ncclSuccess;
}

ncclResult_t ncclCommCount(const ncclComm_t comm, int *count)
{
    if (!comm || !count) return ncclInvalidArgument;
    *count = comm->body->line.size;
    return ncclSuccess;
}

ncclResult_t ncclCommUserRank(const ncclComm_t comm, int *rank)
{
    if (!comm || !rank) return ncclInvalidArgument;
    *rank = comm->body->line.rank;
    return ncclSuccess;
}

ncclResult_t ncclCommCuDevice(const ncclComm_t comm, int *device)
{
    if (!comm || !device) return ncclInvalidArgument;
    *device = comm->body->device;
    return ncclSuccess;
}

/* ------------------------------------------------- communicators come and go */

static thread_local int group_depth;

ncclResult_t ncclGetUniqueId(ncclUniqueId *id)
{
    unsigned char bytes[ID_RANDOM_BYTES];
    size_t at;

    if (!id) return ncclInvalidArgument;
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) return ncclSystemError;
    memset(id, 0, sizeof *id);
    at = (size_t)snprintf(id->internal, sizeof id->internal, "%s", id_magic);
    for (const unsigned char byte : bytes)
        at += (size_t)snprintf(id->internal + at, sizeof id->internal - at, "%02x", byte);
    return ncclSuccess;
}

static ncclResult_t join(communicator *comm, const std::string &name)
{
    std::string what = "another rank has ended";
    std::vector<int> devices;

    switch (standin::wires_open(&comm->line, name.c_str(), comm->device, &devices, &what)) {
    case wired::done: break;
    case wired::mismatch: return comm->fail(ncclInvalidUsage, what);
    default: return comm->fail(ncclRemoteError, what);
    }
    for (int a = 0; a < comm->line.size; a++)
        for (int b = a + 1; b < comm->line.size; b++)
            if (devices[a] == devices[b])
                return comm->fail(ncclInvalidUsage, "Duplicate GPU detected : rank " + std::to_string(a) +
                                                        " and rank " + std::to_string(b) + " both on CUDA device " +
                                                        std::to_string(devices[a]));
    return ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t *out, int n_ranks, ncclUniqueId id, int rank, ncclConfig_t *config)
{
    if (!out || n_ranks < 1 || rank < 0 || rank >= n_ranks) return ncclInvalidArgument;
    if (strncmp(id.internal, id_magic, sizeof id_magic - 1) != 0) return ncclInvalidArgument;
    if (config && (config->magic != config_magic || config->size != sizeof *config)) return ncclInvalidArgument;
    if (group_depth > 0) {
        standin::complain("NCCL: ncclCommInitRank inside a group");
        return ncclInvalidUsage;
    }
    const std::string name(id.internal, strnlen(id.internal, sizeof id.internal));
    std::shared_ptr<communicator> comm = std::make_shared<communicator>();
    comm->line.rank = rank, comm->line.size = n_ranks;
    if (cudaGetDevice(&comm->device) != cudaSuccess) return ncclUnhandledCudaError;
    comm->blocking = !config || config->blocking != 0;
    *out = NULL;
    if (comm->blocking) {
        const ncclResult_t result = join(comm.get(), name);
        if (result == ncclSuccess) *out = new ncclComm{comm};
        return result;
    }
    comm->error = ncclInProgress;
    *out = new ncclComm{comm};
    std::thread([comm, name] {
        std::lock_guard<std::mutex> guard(comm->running);
        comm->error = join(comm.get(), name);
    }).detach();
    return ncclInProgress;
}

ncclResult_t ncclCommInitRank(ncclComm_t *out, int n_ranks, ncclUniqueId id, int rank)
{
    return ncclCommInitRankConfig(out, n_ranks, id, rank, NULL);
}

ncclResult_t ncclCommFinalize(ncclComm_t comm) { return comm ? ncclSuccess : ncclInvalidArgument; }

ncclResult_t ncclCommDestroy(ncclComm_t comm)
{
    if (!comm) return ncclSuccess;
    const std::shared_ptr<communicator> body = comm->body;
    body->closed = true;
    std::lock_guard<std::mutex> guard(body->running); /* until its operation is over */
    delete comm;
    return ncclSuccess;
}

ncclResult_t ncclCommAbort(ncclComm_t comm)
{
    if (!comm) return ncclSuccess;
    const std::shared_ptr<communicator> body = comm->body;
    body->line.stop = true;
    std::lock_guard<std::mutex> guard(body->running);
    delete comm;
    return ncclSuccess;
}

/* -------------------------------------------------------------- operations */

struct group_member {
    std::shared_ptr<communicator> comm;
    cudaStream_t stream;
    std::vector<operation> operations;
};
static thread_local std::vector<group_member> members;
static thread_local ncclResult_t group_result;

/* Puts what the group has collected on the streams. */
static ncclResult_t launch()
{
    std::vector<group_member> all;
    ncclResult_t result = group_result;

    all.swap(members);
    group_result = ncclSuccess;
    if (result != ncclSuccess) return result;
    for (group_member &m : all) {
        const std::shared_ptr<communicator> comm = m.comm;
        const std::vector<operation> operations = m.operations;
        cudaStreamCaptureStatus capture = cudaStreamCaptureStatusNone;

        cudaStreamIsCapturing(m.stream, &capture);
        const bool captured = capture != cudaStreamCaptureStatusNone;

        if (!comm->blocking) {
            comm->unseen = true;
            result = ncclInProgress;
        }
        standin_enqueue_until(m.stream, "NCCL", [comm, operations, captured]() -> std::function<bool()> {
            auto run = std::make_shared<standin::group_run>(comm, operations, captured);
            return [run] { return run->advance(); };
        });
    }
    return result;
}

static ncclResult_t check(ncclComm_t comm, const operation &o)
{
    if (!comm) return ncclInvalidArgument;
    communicator *body = comm->body.get();
    if (body->error != ncclSuccess || body->unseen)
        return body->fail(ncclInvalidArgument, "the communicator is used before its last call came to ncclSuccess");
    const bool reduces = o.what == verb::all_reduce || o.what == verb::reduce_scatter;
    const size_t size = standin::nccl_size(o.type);
    if (size == 0 || (reduces && !standin::nccl_reduces(o.type, o.op)))
        return body->fail(ncclInvalidArgument, "a type or a reduction that the stand-in has not");
    if (o.peer < 0 || o.peer >= body->line.size) return body->fail(ncclInvalidArgument, "no such rank");
    const bool reads = o.what != verb::receive && (o.what != verb::broadcast || o.peer == body->line.rank);
    if (o.count > 0 && ((reads && !o.from) || (o.what != verb::send && !o.to)))
        return body->fail(ncclInvalidArgument, "a buffer is NULL");
    return ncclSuccess;
}

static ncclResult_t add(ncclComm_t comm, cudaStream_t stream, const operation &o)
{
    for (group_member &m : members) {
        if (m.comm != comm->body) continue;
        if (m.stream != stream) return comm->body->fail(ncclInvalidUsage, "two streams of one communicator in a group");
        m.operations.push_back(o);
        return ncclSuccess;
    }
    members.push_back({comm->body, stream, {o}});
    return ncclSuccess;
}

static ncclResult_t queue(ncclComm_t comm, cudaStream_t stream, const operation &o)
{
    ncclResult_t result = check(comm, o);

    if (result == ncclSuccess) result = add(comm, stream, o);
    if (group_depth > 0) {
        if (result != ncclSuccess) group_result = result;
        return result;
    }
    if (result != ncclSuccess) return result;
    return launch();
}

ncclResult_t ncclGroupStart()
{
    group_depth++;
    return ncclSuccess;
}

ncclResult_t ncclGroupEnd()
{
    if (group_depth == 0) return ncclInvalidUsage;
    return --group_depth > 0 ? ncclSuccess : launch();
}

ncclResult_t ncclSend(const void *from, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t stream)
{
    return queue(comm, stream, {verb::send, from, NULL, count, type, ncclSum, peer});
}

ncclResult_t ncclRecv(void *to, size_t count, ncclDataType_t type, int peer, ncclComm_t comm, cudaStream_t stream)
{
    return queue(comm, stream, {verb::receive, NULL, to, count, type, ncclSum, peer});
}

ncclResult_t ncclAllReduce(const void *from, void *to, size_t count, ncclDataType_t type, ncclRedOp_t op,
                           ncclComm_t comm, cudaStream_t stream)
{
    return queue(comm, stream, {verb::all_reduce, from, to, count, type, op, 0});
}

ncclResult_t ncclReduceScatter(const void *from, void *to, size_t count, ncclDataType_t type, ncclRedOp_t op,
                               ncclComm_t comm, cudaStream_t stream)
{
    return queue(comm, stream, {verb::reduce_scatter, from, to, count, type, op, 0});
}

ncclResult_t ncclBroadcast(const void *from, void *to, size_t count, ncclDataType_t type, int root, ncclComm_t comm,
                           cudaStream_t stream)
{
    return queue(comm, stream, {verb::broadcast, from, to, count, type, ncclSum, root});
}

ncclResult_t ncclAllGather(const void *from, void *to, size_t count, ncclDataType_t type, ncclComm_t comm,
                           cudaStream_t stream)
{
    return queue(comm, stream, {verb::all_gather, from, to, count, type, ncclSum, 0});
}
