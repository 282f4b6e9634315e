/*
 * Groups of operations, carried out.
 *
 * What fails stays as NCCL leaves it: the communicator's asynchronous error is set, and the operation goes on waiting,
 * as a kernel spins on the device, until ncclCommAbort.  STANDIN_NCCL_FAIL_AFTER=n lets this happen to every group
 * after the process's first n, on every communicator.
 */
#include "tests/gpu/standin/nccl_group.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "tests/gpu/standin/libraries.h"
#include "tests/gpu/standin/nccl_reduce.h"

namespace standin {

static const timespec moment = {0, 2000000};

ncclResult_t communicator::fail(ncclResult_t code, const std::string &why)
{
    std::lock_guard<std::mutex> guard(text);

    last_error = why;
    complain("NCCL, rank %d of %d: %s", line.rank, line.size, why.c_str());
    return code;
}

static bool fails_now()
{
    static std::atomic<long> groups(0);
    const char *after = getenv("STANDIN_NCCL_FAIL_AFTER");
    const long before = groups++;

    return after && before >= atol(after);
}

/* ------------------------------------------------------------- collectives */

/* The messages of an operation, and what follows them. */
struct stage {
    std::vector<outgoing> sends;
    std::vector<incoming> receives;
    std::function<void()> finish;
};

static size_t nbytes_of(const operation &o) { return o.count * nccl_size(o.type); }

static void move(void *to, const void *from, size_t nbytes)
{
    if (to != from && nbytes > 0) memmove(to, from, nbytes);
}

static stage all_gather(const wires &w, const operation &o)
{
    const size_t nbytes = nbytes_of(o);
    stage s;

    for (int peer = 0; peer < w.size; peer++) {
        if (peer == w.rank) continue;
        s.sends.push_back({peer, o.from, nbytes});
        s.receives.push_back({peer, (char *)o.to + peer * nbytes, nbytes});
    }
    s.finish = [=, rank = w.rank] { move((char *)o.to + rank * nbytes, o.from, nbytes); };
    return s;
}

static stage broadcast(const wires &w, const operation &o)
{
    const size_t nbytes = nbytes_of(o);
    const bool root = w.rank == o.peer;
    stage s;

    if (!root) s.receives.push_back({o.peer, o.to, nbytes});
    for (int peer = 0; peer < w.size && root; peer++)
        if (peer != w.rank) s.sends.push_back({peer, o.from, nbytes});
    s.finish = [=] {
        if (root) move(o.to, o.from, nbytes);
    };
    return s;
}

/* Everybody's arrays, of which block `peer` goes to the peer if it is scattered; then the sum. */
static stage reduce(const wires &w, const operation &o, bool scatter)
{
    const size_t nbytes = nbytes_of(o);
    const int rank = w.rank, size = w.size;
    auto others = std::make_shared<std::vector<char>>(nbytes * size);
    std::vector<const void *> from(size);
    stage s;

    for (int peer = 0; peer < size; peer++) {
        const char *block = (const char *)o.from + (scatter ? peer * nbytes : 0);
        char *into = others->data() + peer * nbytes;

        from[peer] = peer == rank ? (const void *)block : into;
        if (peer == rank) continue;
        s.sends.push_back({peer, block, nbytes});
        s.receives.push_back({peer, into, nbytes});
    }
    s.finish = [=] { /* it keeps `others`, which `from` points into */
        (void)others;
        if (scatter) return nccl_reduce(o.type, o.op, o.to, from.data(), size, (rank + 1) % size, 0, o.count);
        for (int slice = 0; slice < size; slice++)
            nccl_reduce(o.type, o.op, o.to, from.data(), size, (slice + 1) % size, o.count * slice / size,
                        o.count * (slice + 1) / size);
    };
    return s;
}

static stage collective(const wires &w, const operation &o)
{
    switch (o.what) {
    case verb::all_reduce: return reduce(w, o, false);
    case verb::reduce_scatter: return reduce(w, o, true);
    case verb::broadcast: return broadcast(w, o);
    case verb::all_gather: return all_gather(w, o);
    default: return stage();
    }
}

static stage point_to_point(const std::vector<operation> &operations)
{
    stage s;

    for (const operation &o : operations) {
        if (o.what == verb::send) s.sends.push_back({o.peer, o.from, nbytes_of(o)});
        if (o.what == verb::receive) s.receives.push_back({o.peer, o.to, nbytes_of(o)});
    }
    return s;
}

/* ------------------------------------------------------------------- group */

group_run::group_run(std::shared_ptr<communicator> of, const std::vector<operation> &what, bool in_graph)
    : comm(of), operations(what), captured(in_graph)
{
}

group_run::~group_run()
{
    std::lock_guard<std::mutex> guard(comm->running);

    const auto mine = std::find(comm->begun.begin(), comm->begun.end(), this);
    if (mine != comm->begun.end()) comm->begun.erase(mine);
}

void group_run::fail(ncclResult_t code, const std::string &why)
{
    comm->error = comm->fail(code, why);
    now = state::failed;
}

void group_run::begin()
{
    if (comm->closed) {
        complain("NCCL: an operation begins after ncclCommDestroy, and is left out");
        now = state::over;
        return;
    }
    comm->begun.push_back(this);
    now = state::moving;
    if (fails_now()) fail(ncclRemoteError, "STANDIN_NCCL_FAIL_AFTER");
    else next();
}

/* The messages of the next stage, or the end. */
void group_run::next()
{
    if (n_done > operations.size()) {
        comm->begun.pop_front();
        now = state::over;
        return;
    }
    stage s = n_done == 0 ? point_to_point(operations) : collective(comm->line, operations[n_done - 1]);
    moving.reset(new exchange(&comm->line, s.sends, s.receives, captured));
    finish = s.finish;
    n_done++;
}

void group_run::go_on()
{
    std::string what = "another rank has ended";

    while (now == state::moving) {
        const wired result = moving->advance(&what);

        if (result == wired::again) return;
        if (result == wired::lost) return fail(ncclRemoteError, what);
        if (result == wired::mismatch) return fail(ncclInvalidUsage, what);
        if (finish) finish();
        next();
    }
}

bool group_run::advance()
{
    std::unique_lock<std::mutex> guard(comm->running);
    bool stuck = false;

    if (comm->line.stop) return true;
    if (now == state::waiting) begin();
    while (!stuck && now != state::over) {
        group_run *first = comm->begun.front();

        first->go_on();
        stuck = first->now != state::over;
        if (first->now != state::failed) continue;
        guard.unlock();
        nanosleep(&moment, NULL);
        return false;
    }
    return now == state::over;
}

} // namespace standin
