/*
 * Groups of operations, carried out.
 *
 * What fails stays as NCCL leaves it: the communicator's asynchronous error is set, and the operation goes on waiting, as a
 * kernel spins on the device, until ncclCommAbort.  STANDIN_NCCL_FAIL_AFTER=n lets this happen to every group after the
 * process's first n, on every communicator.
 */
#include "tests/gpu/standin/nccl_group.h"

#include <cstdlib>
#include <cstring>
#include <ctime>

#include "tests/gpu/standin/libraries.h"
#include "tests/gpu/standin/nccl_reduce.h"

namespace standin {

enum { LOOK_NS = 2000000 };

ncclResult_t communicator::fail(ncclResult_t code, const std::string &why)
{
    std::lock_guard<std::mutex> guard(text);

    last_error = why;
    complain("NCCL, rank %d of %d: %s", line.rank, line.size, why.c_str());
    return code;
}

/* Until somebody aborts the communicator. */
static void hang(const communicator &comm)
{
    const timespec nap = {0, LOOK_NS};

    while (!comm.line.stop) nanosleep(&nap, NULL);
}

static bool fails_now()
{
    static std::atomic<long> groups(0);
    const char *after = getenv("STANDIN_NCCL_FAIL_AFTER");
    const long before = groups++;

    return after && before >= atol(after);
}

/* ------------------------------------------------------------- collectives */

typedef std::vector<outgoing> outgoings;
typedef std::vector<incoming> incomings;

static wired all_gather(wires *w, const operation &o, std::string *what)
{
    const size_t nbytes = o.count * nccl_size(o.type);
    outgoings sends;
    incomings receives;

    for (int peer = 0; peer < w->size; peer++) {
        if (peer == w->rank) continue;
        sends.push_back({peer, o.from, nbytes});
        receives.push_back({peer, (char *)o.to + peer * nbytes, nbytes});
    }
    char *mine = (char *)o.to + w->rank * nbytes;
    if (mine != o.from && nbytes > 0) memmove(mine, o.from, nbytes);
    return wires_exchange(w, sends, receives, what);
}

static wired broadcast(wires *w, const operation &o, std::string *what)
{
    const size_t nbytes = o.count * nccl_size(o.type);
    outgoings sends;
    incomings receives;

    if (w->rank != o.peer) receives.push_back({o.peer, o.to, nbytes});
    for (int peer = 0; peer < w->size && w->rank == o.peer; peer++)
        if (peer != w->rank) sends.push_back({peer, o.from, nbytes});
    if (w->rank == o.peer && o.to != o.from && nbytes > 0) memmove(o.to, o.from, nbytes);
    return wires_exchange(w, sends, receives, what);
}

/* Everybody's arrays, of nbytes each, where block(peer) of mine goes to the peer; then the sum. */
static wired reduce(wires *w, const operation &o, bool scatter, std::string *what)
{
    const size_t nbytes = o.count * nccl_size(o.type);
    std::vector<char> others(nbytes * w->size);
    std::vector<const void *> from(w->size);
    outgoings sends;
    incomings receives;

    for (int peer = 0; peer < w->size; peer++) {
        const char *block = (const char *)o.from + (scatter ? peer * nbytes : 0);
        char *into = others.data() + peer * nbytes;

        from[peer] = peer == w->rank ? (const void *)block : into;
        if (peer == w->rank) continue;
        sends.push_back({peer, block, nbytes});
        receives.push_back({peer, into, nbytes});
    }
    const wired result = wires_exchange(w, sends, receives, what);
    if (result != wired::done) return result;
    if (scatter) {
        nccl_reduce(o.type, o.op, o.to, from.data(), w->size, (w->rank + 1) % w->size, 0, o.count);
        return result;
    }
    for (int slice = 0; slice < w->size; slice++)
        nccl_reduce(o.type, o.op, o.to, from.data(), w->size, (slice + 1) % w->size, o.count * slice / w->size,
                    o.count * (slice + 1) / w->size);
    return result;
}

static wired run_collective(wires *w, const operation &o, std::string *what)
{
    switch (o.what) {
    case verb::all_reduce: return reduce(w, o, false, what);
    case verb::reduce_scatter: return reduce(w, o, true, what);
    case verb::broadcast: return broadcast(w, o, what);
    case verb::all_gather: return all_gather(w, o, what);
    default: return wired::done;
    }
}

/* ------------------------------------------------------------------- group */

static wired run_all(wires *w, const std::vector<operation> &operations, std::string *what)
{
    outgoings sends;
    incomings receives;

    for (const operation &o : operations) {
        const size_t nbytes = o.count * nccl_size(o.type);
        if (o.what == verb::send) sends.push_back({o.peer, o.from, nbytes});
        if (o.what == verb::receive) receives.push_back({o.peer, o.to, nbytes});
    }
    wired result = wires_exchange(w, sends, receives, what);
    for (size_t i = 0; i < operations.size() && result == wired::done; i++)
        result = run_collective(w, operations[i], what);
    return result;
}

void run_group(communicator *comm, const std::vector<operation> &operations)
{
    std::lock_guard<std::mutex> guard(comm->running);
    std::string what = "another rank has ended";

    if (comm->line.stop) return;
    if (comm->closed) {
        complain("NCCL: an operation starts after ncclCommDestroy");
        return;
    }
    if (fails_now()) {
        comm->error = comm->fail(ncclRemoteError, "STANDIN_NCCL_FAIL_AFTER");
        hang(*comm);
        return;
    }
    const wired result = run_all(&comm->line, operations, &what);
    if (result == wired::lost) comm->error = comm->fail(ncclRemoteError, what);
    if (result == wired::mismatch) comm->error = comm->fail(ncclInvalidUsage, what);
    if (result == wired::lost || result == wired::mismatch) hang(*comm);
}

} // namespace standin
