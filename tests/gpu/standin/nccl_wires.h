/*
 * Messages between the ranks of a stand-in communicator: Unix sockets, one for each direction of each pair.
 *
 * NCCL's unique id is all that ranks know of each other.  Here it holds a random name; every rank listens under name
 * and rank (abstract, so nothing is left on disk) and connects to all others, as NCCL's bootstrap does over TCP.  MPI
 * is not needed for it, so nothing here meets the world's calls of MPI.
 *
 * A send is over when its receiver has taken it, as on the device: two ranks that both send first, outside a group,
 * wait for ever here too.
 */
#ifndef STANDIN_NCCL_WIRES_H
#define STANDIN_NCCL_WIRES_H

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace standin {

struct wires {
    int rank, size;
    std::vector<int> to, from;            /* owned, by peer; -1 for oneself */
    std::atomic<bool> stop{false};        /* set by an abort: whoever waits gives up */

    ~wires();
};

enum class wired { done, again, stopped, lost, mismatch };

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

/* What one socket still has to do: messages one after another, each a header and bytes, then a byte back. */
struct line {
    struct header {
        uint32_t magic, rank;
        uint64_t nbytes, captured;
    };
    int fd;
    bool sends, captured;
    std::vector<std::pair<char *, size_t>> messages;
    size_t current, at;          /* message, and byte of header and body */
    size_t acknowledged;
    header head;

    bool moved() const { return current == messages.size(); }
    bool over() const { return moved() && acknowledged == messages.size(); }
    short wants() const;
};

/* Many messages moved together, in order between two ranks; captured: they are part of a graph. */
class exchange {
public:
    exchange(wires *w, const std::vector<outgoing> &sends, const std::vector<incoming> &receives, bool captured);
    /* As far as it goes now and in a moment more; mismatch: lengths differ, or one side alone is captured; what says
     * how. */
    wired advance(std::string *what);

private:
    wires *w;                    /* borrowed */
    std::vector<line> lines;
    wired result;
    std::string reason;
};

} // namespace standin

#endif
