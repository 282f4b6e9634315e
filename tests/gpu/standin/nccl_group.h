/* Communicators and the operations that a group collects, for nccl.cpp and nccl_group.cpp. */
#ifndef STANDIN_NCCL_GROUP_H
#define STANDIN_NCCL_GROUP_H

#include <nccl.h>

#include <atomic>
#include <deque>
#include <functional>
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
    std::mutex running;                          /* held while something is done on the wires */
    std::deque<class group_run *> begun;         /* groups in the order in which they began; under `running` */
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

/* A group's operations at work on a stream: all sends and receives together, then collectives one by one.  Two groups
 * of one communicator are done one after the other, whichever stream is looked at. */
class group_run {
public:
    group_run(std::shared_ptr<communicator> comm, const std::vector<operation> &operations, bool captured);
    ~group_run();
    /* True once it is done or given up. */
    bool advance();

private:
    enum class state { waiting, moving, failed, over };
    void begin();
    void go_on();
    void next();
    void fail(ncclResult_t code, const std::string &why);

    std::shared_ptr<communicator> comm;
    std::vector<operation> operations;
    bool captured;
    size_t n_done = 0;                       /* stages: the first is sends and receives, then collectives */
    state now = state::waiting;
    std::unique_ptr<exchange> moving;
    std::function<void()> finish;            /* the arithmetic after the messages of this stage */
};

} // namespace standin

struct ncclComm {
    std::shared_ptr<standin::communicator> body;
};

#endif
