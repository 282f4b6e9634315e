/*
 * Messages between the ranks of a stand-in communicator: Unix sockets, one for each direction of each pair.
 *
 * NCCL's unique id is all that ranks know of each other.  Here it holds a random name; every rank listens under name and
 * rank (abstract, so nothing is left on disk) and connects to all others, as NCCL's bootstrap does over TCP.  MPI is not
 * needed for it, so nothing here meets the world's calls of MPI.
 *
 * A send is over when its receiver has taken it, as on the device: two ranks that both send first, outside a group, wait
 * for ever here too.
 */
#ifndef STANDIN_NCCL_WIRES_H
#define STANDIN_NCCL_WIRES_H

#include <atomic>
#include <cstddef>
#include <string>
#include <vector>

namespace standin {

struct wires {
    int rank, size;
    std::vector<int> to, from;            /* owned, by peer; -1 for oneself */
    std::atomic<bool> stop{false};        /* set by an abort: whoever waits gives up */

    ~wires();
};

enum class wired { done, stopped, lost, mismatch };

struct outgoing {
    int peer;
    const void *at;
    size_t nbytes;
};

struct incoming {
    int peer;
    void *at;
    size_t nbytes;
};

/* Connects with all others; `device` is told to them, and theirs given back.  what: why it failed. */
wired wires_open(wires *w, const char *name, int device, std::vector<int> *devices, std::string *what);

/* Does all of these together, in order between two ranks; mismatch: lengths differ. */
wired wires_exchange(wires *w, const std::vector<outgoing> &sends, const std::vector<incoming> &receives,
                     std::string *what);

} // namespace standin

#endif
