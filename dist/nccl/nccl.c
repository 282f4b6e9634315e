/* The table of dist/nccl/nccl.h over NCCL itself; part of the CUDA module. */
#include "dist/nccl/nccl.h"

#include <nccl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(ncclUniqueId) == LK_NCCL_ID_BYTES, "NCCL's unique id has another size");

/* NCCL's last words say more than the code does. */
static lk_status fail(ncclResult_t result, void *comm, const char *call, const char *file, int line)
{
    const char *words = ncclGetLastError((ncclComm_t)comm);

    return lk_fail(LK_ERR_PEER, file, line, "NCCL: %s in %s%s%s; NCCL_DEBUG=INFO says more", ncclGetErrorString(result),
                   call, words && *words ? ": " : "", words ? words : "");
}

#define LK_NCCL(comm, call)                                                                   \
    do {                                                                                      \
        const ncclResult_t lk_nccl_ = (call);                                                 \
        if (lk_nccl_ != ncclSuccess) return fail(lk_nccl_, (comm), #call, __FILE__, __LINE__); \
    } while (0)

static void version(char *text, size_t nbytes)
{
    int v = 0;

    ncclGetVersion(&v);
    snprintf(text, nbytes, "%d.%d.%d", v / 10000, v % 10000 / 100, v % 100);
}

static lk_status unique_id(char id[LK_NCCL_ID_BYTES])
{
    ncclUniqueId made;

    LK_NCCL(NULL, ncclGetUniqueId(&made));
    memcpy(id, &made, sizeof made);
    return LK_OK;
}

static lk_status open_comm(const char id[LK_NCCL_ID_BYTES], int size, int rank, void **comm)
{
    ncclUniqueId given;
    ncclComm_t made = NULL;

    *comm = NULL;
    memcpy(&given, id, sizeof given);
    setenv("NCCL_GRAPH_REGISTER", "0", 0);
    LK_NCCL(NULL, ncclCommInitRank(&made, size, given, rank));
    *comm = made;
    return LK_OK;
}

static void close_comm(void *comm) { ncclCommDestroy((ncclComm_t)comm); }
static void abort_comm(void *comm) { ncclCommAbort((ncclComm_t)comm); }

static lk_status poll_comm(void *comm)
{
    ncclResult_t state = ncclSuccess;

    LK_NCCL(comm, ncclCommGetAsyncError((ncclComm_t)comm, &state));
    if (state != ncclSuccess && state != ncclInProgress)
        return fail(state, comm, "a queued operation", __FILE__, __LINE__);
    return LK_OK;
}

static lk_status group_start(void)
{
    LK_NCCL(NULL, ncclGroupStart());
    return LK_OK;
}

static lk_status group_end(void)
{
    LK_NCCL(NULL, ncclGroupEnd());
    return LK_OK;
}

static lk_status send_floats(void *comm, const float *from, size_t n_elem, int to, void *stream)
{
    LK_NCCL(comm, ncclSend(from, n_elem, ncclFloat, to, (ncclComm_t)comm, (cudaStream_t)stream));
    return LK_OK;
}

static lk_status receive_floats(void *comm, float *into, size_t n_elem, int from, void *stream)
{
    LK_NCCL(comm, ncclRecv(into, n_elem, ncclFloat, from, (ncclComm_t)comm, (cudaStream_t)stream));
    return LK_OK;
}

static lk_status all_reduce(void *comm, float *values, size_t n_elem, void *stream)
{
    LK_NCCL(comm, ncclAllReduce(values, values, n_elem, ncclFloat, ncclSum, (ncclComm_t)comm, (cudaStream_t)stream));
    return LK_OK;
}

extern const lk_nccl lk_nccl_table;
const lk_nccl lk_nccl_table = {
    .version = version, .unique_id = unique_id, .open = open_comm, .close = close_comm, .abort = abort_comm,
    .poll = poll_comm, .group_start = group_start, .group_end = group_end, .send = send_floats,
    .receive = receive_floats, .all_reduce = all_reduce,
};
