/* Communicators and the operations that a group collects, for nccl.cpp and nccl_group.cpp. */
#ifndef STANDIN_NCCL_GROUP_H
#define STANDIN_NCCL_GROUP_H

#include <nccl.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "tests/gpu/standin/nccl_wires.h"

namespace standin {

/* What a communicator's handle, its queued operations and captured graphs share. */
struct communicator {
    wires line;
    int device = 0;
    bool blocking = true;
    std::mutex running;                          /* held by the operation that runs */
    std::atomic<int> error{ncclSuccess};         /* ncclInProgress while it is being made */
    std::atomic<bool> unseen{false};             /* not blocking: the last call's ncclInProgress was not followed up */
    std::atomic<bool> closed{false};
    std::mutex text;
    std::string last_error;

    /* Keeps and writes the reason. */
    ncclResult_t fail(ncclResult_t code, const std::string &why);
};

enum class verb { send, receive, all_reduce, broadcast, all_gather, reduce_scatter };

struct operation {
    verb what;
    const void *from;
    void *to;
    size_t count;          /* elements */
    ncclDataType_t type;
    ncclRedOp_t op;
    int peer;              /* or root */
};

/* Runs a group's operations on the stream's thread, all sends and receives together, then collectives one by one. */
void run_group(communicator *comm, const std::vector<operation> &operations);

} // namespace standin

struct ncclComm {
    std::shared_ptr<standin::communicator> body;
};

#endif
