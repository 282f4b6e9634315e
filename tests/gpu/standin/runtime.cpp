/*
 * The CUDA runtime's streams, events, graphs and memory on the host.
 *
 * A stream is a queue of work.  Under STANDIN_ORDER=late nothing runs until somebody waits for it: then what it needs
 * runs, by the events between queues, and nothing else.  A graph keeps one queue for each stream that was captured, and
 * replays them the same way, so an edge that is missing shows there too.
 *
 * Who waits is patient: he stays until the work is done.  A query is not: work that waits for another process (NCCL's)
 * is looked at once and stays where it is, so that callers who watch for errors between queries get their turn.
 */
#include "standin.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <sys/mman.h>
#include <time.h>
#include <vector>

struct Queue;

struct CUevent_st {
    uint64_t asked = 0, done = 0;   /* records asked for and run */
    Queue *queue = nullptr;         /* where the last record is */
    struct CUgraph_st *graph = nullptr; /* the capture in which it was recorded last */
    std::shared_ptr<CUevent_st> inside; /* and what stands for it there */
    Queue *inside_queue = nullptr;
    double seconds = 0.0;
};

struct Item {
    const char *what;
    std::function<void()> run;
    standin_work begin;             /* instead of run: work that may have to wait for another process */
    std::function<bool()> resume;   /* it has begun: true once it is done */
    CUevent_st *wait = nullptr;     /* instead of run: until this event's record `number` has run */
    uint64_t number = 0;
    bool external = false;          /* in a graph: the record asked for last when the graph begins */
    std::shared_ptr<CUevent_st> owned;
};

struct Queue {
    std::deque<Item> items;
};

struct CUgraph_st {
    std::map<struct CUstream_st *, Queue> branches;
    struct CUstream_st *origin = nullptr;
    std::set<struct CUstream_st *> unjoined;
};

struct CUstream_st {
    Queue queue;
    CUgraph_st *capture = nullptr;
};

struct CUgraphExec_st {
    std::vector<std::deque<Item>> branches; /* the origin's first */
};

namespace {

std::recursive_mutex lock;
CUstream_st null_stream;
cudaError_t last_error = cudaSuccess;
std::map<void *, size_t> pinned, device_memory;
long n_kernels, n_graphs, n_waits, n_allocations;
bool capturing_somewhere;
int current_device;

typedef std::lock_guard<std::recursive_mutex> Guard;

bool late()
{
    static const bool is_late = [] {
        const char *order = std::getenv("STANDIN_ORDER");
        return !order || std::strcmp(order, "early") != 0;
    }();
    return is_late;
}

int n_devices()
{
    const char *text = std::getenv("STANDIN_DEVICES");
    return text ? std::atoi(text) : 1;
}

cudaError_t fail(cudaError_t error)
{
    last_error = error;
    return error;
}

CUstream_st *stream_of(cudaStream_t s) { return s ? s : &null_stream; }

bool step(Queue *queue, bool patient);

/* All of these: false if it is not done yet, and we are not patient. */
bool need(CUevent_st *event, uint64_t number, bool patient)
{
    while (event->done < number) {
        if (!event->queue || event->queue->items.empty()) {
            std::fprintf(stderr, "standin: a wait for an event that nothing will record\n");
            std::abort();
        }
        if (!step(event->queue, patient)) return false;
    }
    return true;
}

bool step(Queue *queue, bool patient)
{
    Item &front = queue->items.front(); /* it stays in front while others run for it */

    if (front.wait) {
        if (!need(front.wait, front.number, patient)) return false;
        queue->items.pop_front();
        return true;
    }
    if (front.begin) {
        if (!front.resume) front.resume = front.begin();
        while (!front.resume())
            if (!patient) return false;
        queue->items.pop_front();
        return true;
    }
    const Item item = std::move(front);
    queue->items.pop_front();
    item.run();
    return true;
}

bool drain(Queue *queue, bool patient = true)
{
    while (!queue->items.empty())
        if (!step(queue, patient)) return false;
    return true;
}

void push(CUstream_st *s, Item item)
{
    if (s->capture) {
        s->capture->branches[s].items.push_back(std::move(item));
        return;
    }
    s->queue.items.push_back(std::move(item));
    if (!late()) drain(&s->queue, false);
}

Item work(const char *what, std::function<void()> run)
{
    Item item;
    item.what = what;
    item.run = std::move(run);
    return item;
}

double now_s()
{
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

bool is_pinned(const void *at)
{
    auto it = pinned.upper_bound(const_cast<void *>(at));
    if (it == pinned.begin()) return false;
    --it;
    return static_cast<const char *>(at) < static_cast<char *>(it->first) + it->second;
}

bool on_device(const void *at)
{
    auto it = device_memory.upper_bound(const_cast<void *>(at));
    if (it == device_memory.begin()) return false;
    --it;
    return static_cast<const char *>(at) < static_cast<char *>(it->first) + it->second;
}

} // namespace

void standin_enqueue(cudaStream_t stream, const char *what, std::function<void()> run)
{
    Guard guard(lock);
    push(stream_of(stream), work(what, std::move(run)));
}

void standin_enqueue_until(cudaStream_t stream, const char *what, standin_work begin)
{
    Guard guard(lock);
    Item item;

    item.what = what;
    item.begin = std::move(begin);
    push(stream_of(stream), std::move(item));
}

void standin_enqueue(cudaStream_t stream, std::function<void()> run)
{
    standin_enqueue(stream, "a library", std::move(run));
}

cudaError_t standin_check(dim3 grid, dim3 block)
{
    const size_t threads = (size_t)block.x * block.y * block.z;

    n_kernels++;
    if (threads == 0 || threads > 1024 || grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.x > 0x7fffffffu ||
        grid.y > 65535 || grid.z > 65535)
        return fail(cudaErrorInvalidConfiguration);
    return cudaSuccess;
}

extern "C" {

/* For tests: what was asked for since the module was opened. */
__attribute__((visibility("default"))) void standin_counts(long *kernels, long *graphs, long *waits, long *allocations)
{
    *kernels = n_kernels;
    *graphs = n_graphs;
    *waits = n_waits;
    *allocations = n_allocations;
}

/* ------------------------------------------------------------------ devices */

/* STANDIN_DRIVER=12080: another driver than the toolkit's; one of an older major version sees no device. */
static int driver_version(void)
{
    const char *wish = std::getenv("STANDIN_DRIVER");
    return wish ? std::atoi(wish) : CUDART_VERSION;
}

cudaError_t cudaGetDeviceCount(int *count)
{
    *count = 0;
    if (driver_version() / 1000 < CUDART_VERSION / 1000) return fail(cudaErrorInsufficientDriver);
    *count = n_devices();
    return *count > 0 ? cudaSuccess : fail(cudaErrorNoDevice);
}
cudaError_t cudaSetDevice(int device)
{
    if (device < 0 || device >= n_devices()) return fail(cudaErrorInvalidDevice);
    current_device = device;
    return cudaSuccess;
}
cudaError_t cudaGetDevice(int *device) { return *device = current_device, cudaSuccess; }
cudaError_t cudaDriverGetVersion(int *version) { return *version = driver_version(), cudaSuccess; }
cudaError_t cudaRuntimeGetVersion(int *version) { return *version = CUDART_VERSION, cudaSuccess; }
cudaError_t cudaDeviceGetPCIBusId(char *text, int n, int device)
{
    return std::snprintf(text, (size_t)n, "0000:%02x:00.0", device + 1), cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *prop, int)
{
    const char *card = std::getenv("STANDIN_CARD"); /* another card */

    std::memset(prop, 0, sizeof *prop);
    std::snprintf(prop->name, sizeof prop->name, "stand-in %s", card ? card : "on the host");
    prop->major = 9;
    prop->multiProcessorCount = 4;
    prop->totalGlobalMem = (size_t)8 << 30;
    prop->maxThreadsPerBlock = 1024;
    prop->warpSize = 32;
    return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int)
{
    *value = attribute == cudaDevAttrMultiProcessorCount ? 4 : attribute == cudaDevAttrComputeCapabilityMajor ? 9 : 0;
    return cudaSuccess;
}
cudaError_t cudaDeviceGetStreamPriorityRange(int *low, int *high) { return *low = 0, *high = -5, cudaSuccess; }
cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total)
{
    return *free_bytes = (size_t)4 << 30, *total = (size_t)8 << 30, cudaSuccess;
}

/* ------------------------------------------------------------------- errors */

cudaError_t cudaGetLastError(void)
{
    const cudaError_t error = last_error;
    last_error = cudaSuccess;
    return error;
}
cudaError_t cudaPeekAtLastError(void) { return last_error; }
const char *cudaGetErrorName(cudaError_t error)
{
    switch (error) {
    case cudaSuccess: return "cudaSuccess";
    case cudaErrorNoDevice: return "cudaErrorNoDevice";
    case cudaErrorMemoryAllocation: return "cudaErrorMemoryAllocation";
    case cudaErrorStreamCaptureUnsupported: return "cudaErrorStreamCaptureUnsupported";
    case cudaErrorStreamCaptureUnjoined: return "cudaErrorStreamCaptureUnjoined";
    case cudaErrorStreamCaptureIsolation: return "cudaErrorStreamCaptureIsolation";
    case cudaErrorInvalidConfiguration: return "cudaErrorInvalidConfiguration";
    default: return "cudaError of the stand-in";
    }
}
const char *cudaGetErrorString(cudaError_t error)
{
    return error == cudaErrorNoDevice ? "no CUDA-capable device is detected" : cudaGetErrorName(error);
}

/* ------------------------------------------------------------------- memory */

/* Large pieces, a context's workspace say, in large pages: filling them otherwise means thousands of page faults. */
static void *take(size_t nbytes)
{
    enum { ALIGNMENT = 256, LARGE = 2 << 20 };
    const size_t alignment = nbytes < LARGE ? (size_t)ALIGNMENT : (size_t)LARGE;
    const size_t room = (nbytes + ALIGNMENT + alignment - 1) / alignment * alignment;
    void *at = std::aligned_alloc(alignment, room);

    if (at && nbytes >= LARGE) madvise(at, room, MADV_HUGEPAGE);
    return at;
}

cudaError_t cudaMalloc(void **out, size_t nbytes)
{
    Guard guard(lock);

    if (capturing_somewhere) return fail(cudaErrorStreamCaptureUnsupported);
    if (nbytes > ((size_t)8 << 30)) return fail(cudaErrorMemoryAllocation);
    *out = take(nbytes);
    if (!*out) return fail(cudaErrorMemoryAllocation);
    std::memset(*out, 0xff, nbytes);
    device_memory[*out] = nbytes;
    n_allocations++;
    return cudaSuccess;
}
cudaError_t cudaDeviceSynchronize(void);
cudaError_t cudaFree(void *at)
{
    Guard guard(lock);

    if (!at) return cudaSuccess;
    cudaDeviceSynchronize();
    device_memory.erase(at);
    std::free(at);
    return cudaSuccess;
}
cudaError_t cudaMallocHost(void **out, size_t nbytes)
{
    Guard guard(lock);

    *out = std::aligned_alloc(256, (nbytes + 255) / 256 * 256);
    if (!*out) return fail(cudaErrorMemoryAllocation);
    pinned[*out] = nbytes;
    n_allocations++;
    return cudaSuccess;
}
cudaError_t cudaHostAlloc(void **out, size_t nbytes, unsigned) { return cudaMallocHost(out, nbytes); }
cudaError_t cudaFreeHost(void *at)
{
    Guard guard(lock);

    cudaDeviceSynchronize();
    pinned.erase(at);
    std::free(at);
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t n, cudaMemcpyKind kind, cudaStream_t stream)
{
    Guard guard(lock);

    if (kind == cudaMemcpyHostToDevice && !on_device(to)) return fail(cudaErrorInvalidValue);
    if (kind == cudaMemcpyDeviceToHost && !on_device(from)) return fail(cudaErrorInvalidValue);
    if (kind == cudaMemcpyDeviceToDevice && (!on_device(from) || !on_device(to))) return fail(cudaErrorInvalidValue);
    if (kind == cudaMemcpyHostToDevice && !is_pinned(from)) { /* staged at once, as CUDA does */
        auto copy = std::make_shared<std::string>(static_cast<const char *>(from), n);
        standin_enqueue(stream, "copy", [=] { std::memcpy(to, copy->data(), n); });
        return cudaSuccess;
    }
    standin_enqueue(stream, "copy", [=] { std::memmove(to, from, n); });
    if (kind == cudaMemcpyDeviceToHost && !is_pinned(to)) { /* returns once it is there */
        if (stream_of(stream)->capture) return fail(cudaErrorStreamCaptureUnsupported);
        drain(&stream_of(stream)->queue);
    }
    return cudaSuccess;
}
cudaError_t cudaMemcpy(void *to, const void *from, size_t n, cudaMemcpyKind kind)
{
    Guard guard(lock);
    const cudaError_t error = cudaMemcpyAsync(to, from, n, kind, nullptr);

    drain(&null_stream.queue);
    return error;
}
cudaError_t cudaMemsetAsync(void *at, int value, size_t n, cudaStream_t stream)
{
    if (!on_device(at)) return fail(cudaErrorInvalidValue);
    standin_enqueue(stream, "memset", [=] { std::memset(at, value, n); });
    return cudaSuccess;
}
cudaError_t cudaMemset(void *at, int value, size_t n)
{
    Guard guard(lock);
    const cudaError_t error = cudaMemsetAsync(at, value, n, nullptr);

    drain(&null_stream.queue);
    return error;
}

/* ------------------------------------------------------------------ streams */

static std::set<CUstream_st *> all_streams;

cudaError_t cudaStreamCreateWithPriority(cudaStream_t *out, unsigned, int)
{
    Guard guard(lock);
    *out = new CUstream_st;
    all_streams.insert(*out);
    return cudaSuccess;
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *out, unsigned) { return cudaStreamCreateWithPriority(out, 0, 0); }
cudaError_t cudaStreamCreate(cudaStream_t *out) { return cudaStreamCreateWithPriority(out, 0, 0); }
cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    Guard guard(lock);
    drain(&stream->queue);
    all_streams.erase(stream);
    delete stream;
    return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    Guard guard(lock);
    n_waits++;
    if (stream_of(stream)->capture) return fail(cudaErrorStreamCaptureUnsupported);
    drain(&stream_of(stream)->queue);
    return cudaSuccess;
}
cudaError_t cudaStreamQuery(cudaStream_t stream)
{
    Guard guard(lock);
    Queue *queue = &stream_of(stream)->queue;
    if (!queue->items.empty()) step(queue, false);
    return queue->items.empty() ? cudaSuccess : cudaErrorNotReady;
}
cudaError_t cudaDeviceSynchronize(void)
{
    Guard guard(lock);
    n_waits++;
    if (capturing_somewhere) return fail(cudaErrorStreamCaptureUnsupported);
    drain(&null_stream.queue);
    for (CUstream_st *s : all_streams) drain(&s->queue);
    return cudaSuccess;
}

/* ------------------------------------------------------------------- events */

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned) { return *out = new CUevent_st, cudaSuccess; }
cudaError_t cudaEventCreate(cudaEvent_t *out) { return *out = new CUevent_st, cudaSuccess; }
cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    Guard guard(lock);
    need(event, event->asked, true);
    for (CUstream_st *s : all_streams) /* whoever still waits for it has what it waits for */
        for (Item &item : s->queue.items)
            if (item.wait == event) item.wait = nullptr, item.run = [] {};
    delete event;
    return cudaSuccess;
}

static Item record_of(CUevent_st *event, uint64_t number)
{
    return work("event", [=] {
        event->done = number;
        event->seconds = now_s();
    });
}

cudaError_t cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t stream, unsigned flags)
{
    Guard guard(lock);
    CUstream_st *s = stream_of(stream);

    if (s->capture && !(flags & cudaEventRecordExternal)) {
        event->graph = s->capture;
        event->inside = std::make_shared<CUevent_st>();
        event->inside->asked = 1;
        event->inside_queue = &s->capture->branches[s];
        Item item = record_of(event->inside.get(), 1);
        item.owned = event->inside;
        item.what = "record inside";
        push(s, std::move(item));
        if (s != s->capture->origin) s->capture->unjoined.insert(s);
        return cudaSuccess;
    }
    if (s->capture) return fail(cudaErrorStreamCaptureUnsupported);
    event->graph = nullptr;
    event->queue = &s->queue;
    push(s, record_of(event, ++event->asked));
    return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    return cudaEventRecordWithFlags(event, stream, 0);
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags)
{
    Guard guard(lock);
    CUstream_st *s = stream_of(stream);
    Item item;

    item.what = "wait";
    item.wait = event;
    if (event->graph && !(flags & cudaEventWaitExternal)) { /* within a capture, which the stream joins */
        CUgraph_st *graph = event->graph;

        if (s->capture && s->capture != graph) return fail(cudaErrorStreamCaptureIsolation);
        if (!s->capture) {
            s->capture = graph;
            graph->unjoined.insert(s);
        }
        if (s == graph->origin)
            for (auto &branch : graph->branches)
                if (&branch.second == event->inside_queue) graph->unjoined.erase(branch.first);
        item.wait = event->inside.get();
        item.owned = event->inside;
        item.number = 1;
        push(s, std::move(item));
        return cudaSuccess;
    }
    if (s->capture && !(flags & cudaEventWaitExternal)) return fail(cudaErrorStreamCaptureIsolation);
    item.number = event->asked;
    item.external = s->capture != nullptr;
    push(s, std::move(item));
    return cudaSuccess;
}
cudaError_t cudaEventQuery(cudaEvent_t event)
{
    Guard guard(lock);
    if (event->done < event->asked) step(event->queue, false);
    return event->done >= event->asked ? cudaSuccess : cudaErrorNotReady;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    Guard guard(lock);
    n_waits++;
    need(event, event->asked, true);
    return cudaSuccess;
}
cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t from, cudaEvent_t to)
{
    Guard guard(lock);
    need(from, from->asked, true);
    need(to, to->asked, true);
    return *ms = (float)(1e3 * (to->seconds - from->seconds)), cudaSuccess;
}

/* ------------------------------------------------------------------- graphs */

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode)
{
    Guard guard(lock);
    if (!stream || stream->capture) return fail(cudaErrorIllegalState);
    stream->capture = new CUgraph_st;
    stream->capture->origin = stream;
    stream->capture->branches[stream];
    capturing_somewhere = true;
    return cudaSuccess;
}
cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus *status)
{
    *status = stream_of(stream)->capture ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
    return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *out)
{
    Guard guard(lock);
    CUgraph_st *graph = stream->capture;

    *out = nullptr;
    if (!graph) return fail(cudaErrorIllegalState);
    for (CUstream_st *s : all_streams)
        if (s->capture == graph) s->capture = nullptr;
    capturing_somewhere = false;
    if (!graph->unjoined.empty()) return fail(cudaErrorStreamCaptureUnjoined);
    *out = graph;
    return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *out, cudaGraph_t graph, unsigned long long)
{
    Guard guard(lock);
    *out = new CUgraphExec_st;
    (*out)->branches.push_back(graph->branches[graph->origin].items);
    for (auto &branch : graph->branches)
        if (branch.first != graph->origin) (*out)->branches.push_back(branch.second.items);
    return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) { return delete graph, cudaSuccess; }
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
    Guard guard(lock);
    cudaDeviceSynchronize(); /* a launch may still be queued */
    return delete exec, cudaSuccess;
}
cudaError_t cudaGraphUpload(cudaGraphExec_t, cudaStream_t) { return cudaSuccess; }

/* Fresh queues, whose inner events know where their records are; the origin's must run, others as it needs them. */
static std::function<bool()> replay(CUgraphExec_st *exec, const std::map<CUevent_st *, uint64_t> &outside)
{
    auto queues = std::make_shared<std::vector<Queue>>(exec->branches.size());

    for (size_t b = 0; b < queues->size(); b++) {
        Queue *queue = &(*queues)[b];

        queue->items = exec->branches[b];
        for (Item &item : queue->items) {
            if (item.external) item.number = outside.at(item.wait);
            if (item.owned && !item.wait) {
                item.owned->done = 0;
                item.owned->queue = queue;
            }
        }
    }
    return [queues] {
        if (late() && !drain(&queues->front(), false)) return false;
        for (Queue &queue : *queues)
            if (!drain(&queue, false)) return false;
        return true;
    };
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream)
{
    Guard guard(lock);
    std::map<CUevent_st *, uint64_t> outside;

    n_graphs++;
    for (auto &branch : exec->branches)
        for (Item &item : branch)
            if (item.external) outside[item.wait] = item.wait->asked;
    standin_enqueue_until(stream, "graph", [=] { return replay(exec, outside); });
    return cudaSuccess;
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t fn, void *arg)
{
    standin_enqueue(stream, "host function", [=] { fn(arg); });
    return cudaSuccess;
}

} // extern "C"
