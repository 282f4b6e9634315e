/* The sockets of nccl_wires.h: connecting, and moving many messages at once by polling. */
#include "tests/gpu/standin/nccl_wires.h"

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace standin {

enum { LOOK_MS = 2, RETRY_MS = 5 };
static const uint32_t header_magic = 0x6e63636c;
static const char taken = 'k';

struct greeting {
    uint32_t magic;
    int32_t rank, size, device;
};

wires::~wires()
{
    for (const std::vector<int> *side : {&to, &from})
        for (const int fd : *side)
            if (fd >= 0) close(fd);
}

/* -------------------------------------------------------------- connecting */

static socklen_t address_of(const char *name, int rank, sockaddr_un *address)
{
    const std::string path = std::string("standin-nccl-") + name + "-" + std::to_string(rank);

    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path + 1, path.data(), path.size()); /* a leading 0: abstract */
    return (socklen_t)(offsetof(sockaddr_un, sun_path) + 1 + path.size());
}

static int listen_as(const char *name, int rank, int backlog)
{
    sockaddr_un address;
    const socklen_t length = address_of(name, rank, &address);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd >= 0 && bind(fd, (sockaddr *)&address, length) == 0 && listen(fd, backlog) == 0) return fd;
    if (fd >= 0) close(fd);
    return -1;
}

/* -1: nobody listens yet. */
static int connect_to(const char *name, int rank)
{
    sockaddr_un address;
    const socklen_t length = address_of(name, rank, &address);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0 && connect(fd, (sockaddr *)&address, length) == 0) return fd;
    if (fd >= 0) close(fd);
    return -1;
}

static bool read_all(int fd, void *into, size_t nbytes)
{
    return recv(fd, into, nbytes, MSG_WAITALL) == (ssize_t)nbytes;
}

/* Takes one caller, who says who he is. */
static wired accept_one(wires *w, int listener, std::vector<int> *devices, std::string *what)
{
    pollfd look = {listener, POLLIN, 0};
    greeting hello;

    if (poll(&look, 1, LOOK_MS) <= 0) return wired::done;
    const int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0) return wired::done;
    if (!read_all(fd, &hello, sizeof hello) || hello.magic != header_magic || hello.size != w->size || hello.rank < 0 ||
        hello.rank >= w->size || w->from[hello.rank] >= 0) {
        close(fd);
        *what = "a rank joined with another number of ranks, or twice";
        return wired::mismatch;
    }
    w->from[hello.rank] = fd;
    (*devices)[hello.rank] = hello.device;
    return wired::done;
}

static void nap(long ms)
{
    const timespec length = {0, ms * 1000000};
    nanosleep(&length, NULL);
}

static int missing(const wires &w, const std::vector<int> &side)
{
    for (int peer = 0; peer < w.size; peer++)
        if (peer != w.rank && side[peer] < 0) return peer;
    return -1;
}

wired wires_open(wires *w, const char *name, int device, std::vector<int> *devices, std::string *what)
{
    const greeting hello = {header_magic, w->rank, w->size, device};
    const int listener = listen_as(name, w->rank, w->size);
    wired result = wired::done;

    if (listener < 0) {
        *what = "this rank has joined already";
        return wired::mismatch;
    }
    w->to.assign(w->size, -1), w->from.assign(w->size, -1);
    devices->assign(w->size, -1);
    (*devices)[w->rank] = device;
    while (result == wired::done && (missing(*w, w->to) >= 0 || missing(*w, w->from) >= 0)) {
        const int peer = missing(*w, w->to);
        if (peer >= 0) {
            w->to[peer] = connect_to(name, peer);
            if (w->to[peer] < 0) nap(RETRY_MS);
            else if (write(w->to[peer], &hello, sizeof hello) != (ssize_t)sizeof hello) result = wired::lost;
        }
        if (result == wired::done && missing(*w, w->from) >= 0) result = accept_one(w, listener, devices, what);
        if (w->stop) result = wired::stopped;
    }
    close(listener);
    for (std::vector<int> *side : {&w->to, &w->from})
        for (const int fd : *side)
            if (fd >= 0) fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    return result;
}

/* ------------------------------------------------------------------ moving */

short line::wants() const
{
    if (sends) return (short)((moved() ? 0 : POLLOUT) | POLLIN);
    return (short)((moved() ? 0 : POLLIN) | (acknowledged < current ? POLLOUT : 0));
}

/* -1: the other end is gone; else bytes. */
static ssize_t some(ssize_t n)
{
    if (n > 0) return n;
    return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) ? 0 : -1;
}

static wired push(line *l, int rank)
{
    while (!l->moved()) {
        const std::pair<char *, size_t> &m = l->messages[l->current];
        const line::header head = {header_magic, (uint32_t)rank, m.second, l->captured};
        const bool body = l->at >= sizeof head;
        const char *from = body ? m.first + (l->at - sizeof head) : (const char *)&head + l->at;
        const size_t left = body ? m.second - (l->at - sizeof head) : sizeof head - l->at;

        if (left > 0) {
            const ssize_t n = some(send(l->fd, from, left, MSG_NOSIGNAL));
            if (n <= 0) return n < 0 ? wired::lost : wired::done;
            l->at += (size_t)n;
        }
        if (l->at == sizeof head + m.second) l->current++, l->at = 0;
    }
    return wired::done;
}

static wired take_acknowledgements(line *l)
{
    char bytes[64];

    while (!l->over()) { /* not further: a peer that has all it wants may hang up */
        const ssize_t n = some(recv(l->fd, bytes, sizeof bytes, 0));
        if (n <= 0) return n < 0 ? wired::lost : wired::done;
        l->acknowledged += (size_t)n;
    }
    return wired::done;
}

static bool fits(const line *l, size_t nbytes, std::string *what)
{
    const std::string sender = "rank " + std::to_string(l->head.rank);

    if (l->head.magic != header_magic || l->head.nbytes != nbytes)
        *what = sender + " sends " + std::to_string(l->head.nbytes) + " bytes where " + std::to_string(nbytes) +
                " are expected";
    else if (l->head.captured != l->captured)
        *what = sender + (l->captured ? " queues on a stream what is captured here"
                                      : " has captured what is queued here on a stream");
    else return true;
    return false;
}

static wired pull(line *l, std::string *what)
{
    while (!l->moved()) {
        const std::pair<char *, size_t> &m = l->messages[l->current];
        const bool body = l->at >= sizeof l->head;
        char *into = body ? m.first + (l->at - sizeof l->head) : (char *)&l->head + l->at;
        const size_t left = body ? m.second - (l->at - sizeof l->head) : sizeof l->head - l->at;

        if (left > 0) {
            const ssize_t n = some(recv(l->fd, into, left, 0));
            if (n <= 0) return n < 0 ? wired::lost : wired::done;
            l->at += (size_t)n;
        }
        if (l->at == sizeof l->head && !fits(l, m.second, what)) return wired::mismatch;
        if (l->at == sizeof l->head + m.second) l->current++, l->at = 0;
    }
    return wired::done;
}

static wired acknowledge(line *l)
{
    while (l->acknowledged < l->current) {
        const ssize_t n = some(send(l->fd, &taken, 1, MSG_NOSIGNAL));
        if (n <= 0) return n < 0 ? wired::lost : wired::done;
        l->acknowledged++;
    }
    return wired::done;
}

static wired move(line *l, int rank, std::string *what)
{
    wired result = l->sends ? push(l, rank) : pull(l, what);

    if (result == wired::done) result = l->sends ? take_acknowledgements(l) : acknowledge(l);
    return result;
}

/* Messages to oneself: the first send meets the first receive. */
static wired copy_to_self(int self, const std::vector<outgoing> &sends, const std::vector<incoming> &receives,
                          std::string *what)
{
    size_t r = 0;

    for (const outgoing &s : sends) {
        if (s.peer != self) continue;
        while (r < receives.size() && receives[r].peer != self) r++;
        if (r == receives.size() || receives[r].nbytes != s.nbytes) {
            *what = "a message to oneself without its counterpart";
            return wired::mismatch;
        }
        if (s.nbytes > 0) memmove(receives[r].at, s.at, s.nbytes);
        r++;
    }
    return wired::done;
}

template <typename Message>
static void add_lines(std::vector<line> *lines, const std::vector<int> &sockets, bool sends, bool captured,
                      const std::vector<Message> &messages, int self)
{
    for (int peer = 0; peer < (int)sockets.size(); peer++) {
        line l = {};
        l.fd = sockets[peer], l.sends = sends, l.captured = captured;
        for (const Message &m : messages)
            if (m.peer == peer && peer != self) l.messages.push_back({(char *)m.at, m.nbytes});
        if (!l.messages.empty()) lines->push_back(l);
    }
}

exchange::exchange(wires *over, const std::vector<outgoing> &sends, const std::vector<incoming> &receives,
                   bool captured)
    : w(over)
{
    result = copy_to_self(w->rank, sends, receives, &reason);
    add_lines(&lines, w->to, true, captured, sends, w->rank);
    add_lines(&lines, w->from, false, captured, receives, w->rank);
}

wired exchange::advance(std::string *what)
{
    for (int look = 0; look < 2 && result == wired::done; look++) {
        std::vector<pollfd> looks;

        for (line &l : lines) {
            if (l.over()) continue;
            const wired moved = move(&l, w->rank, &reason);
            if (moved != wired::done) result = moved;
            if (!l.over()) looks.push_back({l.fd, l.wants(), 0});
        }
        if (result != wired::done) break;
        if (looks.empty()) return wired::done;
        if (look == 0) poll(looks.data(), looks.size(), LOOK_MS);
    }
    if (result == wired::done) return wired::again;
    if (!reason.empty()) *what = reason;
    return result;
}

} // namespace standin
