/*
 * Kernels on the host: the threads of a block are fibers that one core runs in turn, from meeting to meeting.
 *
 * A fiber runs until it ends or waits: for its block (__syncthreads) or its warp (a shuffle).  When all that are left
 * of the block or warp wait for the same, they go on.  What can never happen ends the program with a message.
 */
#include "standin.h"

#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <sys/mman.h>
#include <vector>

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace {

enum { WARP = 32, MOST_THREADS = 1024, STACK_BYTES = 128 * 1024 };
enum State { READY, AT_BLOCK, AT_WARP, DONE };

struct Fiber {
    void *sp;
    State state;
    uint3 index;
    int number;
    int turn; /* which of its warp's two sets of slots the next shuffle uses */
};

char *stacks;
Fiber fibers[MOST_THREADS];
unsigned long long slots[MOST_THREADS / WARP][2][WARP];
int n_threads;
Fiber *now;
void *scheduler_sp;
const std::function<void()> *body;
const char *kernel_name;
bool flat_now;

extern "C" void standin_switch(void **save, void *load);
/* Saves what a call must keep, on the stack that is left; takes the same from the other. */
asm(R"(
    .text
    .globl standin_switch
    .type standin_switch, @function
standin_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size standin_switch, .-standin_switch
)");

[[noreturn]] void give_up(const char *why)
{
    std::fprintf(stderr, "standin: %s: %s (block %u,%u,%u)\n", kernel_name, why, blockIdx.x, blockIdx.y, blockIdx.z);
    std::abort();
}

void to_scheduler() { standin_switch(&now->sp, scheduler_sp); }

void wait_for(State state)
{
    if (flat_now) give_up("threads of a flat launch meet");
    now->state = state;
    to_scheduler();
}

void enter()
{
    (*body)();
    now->state = DONE;
    to_scheduler();
}

/* A fiber's first stack: standin_switch() pops six registers and returns into enter(). */
void prepare(Fiber *f)
{
    void **top = reinterpret_cast<void **>(stacks + (size_t)(f->number + 1) * STACK_BYTES);

    *--top = nullptr; /* so that enter() finds the stack as after a call */
    *--top = reinterpret_cast<void *>(enter);
    for (int i = 0; i < 6; i++) *--top = nullptr;
    f->sp = top;
    f->state = READY;
    f->turn = 0;
}

void resume(Fiber *f)
{
    now = f;
    threadIdx = f->index;
    standin_switch(&scheduler_sp, f->sp);
}

/* True: the warp's fibers met and go on. */
bool release_warp(int first, int last)
{
    int waiting = 0, ended = 0;

    for (int i = first; i < last; i++) waiting += fibers[i].state == AT_WARP, ended += fibers[i].state == DONE;
    if (waiting == 0) return false;
    if (last - first != WARP) give_up("a shuffle in a warp that is not full");
    if (ended > 0) give_up("a shuffle after threads of the warp have ended");
    if (waiting != WARP) return false;
    for (int i = first; i < last; i++) fibers[i].state = READY;
    return true;
}

void run_block()
{
    for (int i = 0; i < n_threads; i++) prepare(&fibers[i]);
    for (;;) {
        bool moved = false;
        int left = 0, at_block = 0;

        for (int first = 0; first < n_threads; first += WARP) {
            const int last = first + WARP < n_threads ? first + WARP : n_threads;
            do {
                for (int i = last - 1; i >= first; i--)
                    if (fibers[i].state == READY) resume(&fibers[i]), moved = true;
            } while (release_warp(first, last));
        }
        for (int i = 0; i < n_threads; i++) left += fibers[i].state != DONE, at_block += fibers[i].state == AT_BLOCK;
        if (left == 0) return;
        if (at_block == left) {
            for (int i = 0; i < n_threads; i++)
                if (fibers[i].state == AT_BLOCK) fibers[i].state = READY;
        } else if (!moved) {
            give_up("some threads wait where others never come");
        }
    }
}

void run_flat_block()
{
    for (int i = 0; i < n_threads; i++) {
        threadIdx = fibers[i].index;
        (*body)();
    }
}

} // namespace

void __syncthreads() { wait_for(AT_BLOCK); }
void __syncwarp(unsigned) { wait_for(AT_WARP); }
int standin_lane() { return now->number % WARP; }

unsigned long long standin_shuffle(unsigned long long mine, int from)
{
    auto &set = slots[now->number / WARP][now->turn];

    now->turn ^= 1;
    set[now->number % WARP] = mine;
    wait_for(AT_WARP);
    return set[from & (WARP - 1)];
}

static int vote(int predicate, bool all)
{
    int result = all;

    for (int lane = 0; lane < WARP; lane++) {
        const int theirs = standin_shuffle((unsigned long long)(predicate != 0), lane) != 0;
        result = all ? result && theirs : result || theirs;
    }
    return result;
}
int __any_sync(unsigned, int predicate) { return vote(predicate, false); }
int __all_sync(unsigned, int predicate) { return vote(predicate, true); }

void standin_grid(dim3 grid, dim3 block, bool flat, const char *what, const std::function<void()> &thread)
{
    if (!stacks) {
        stacks = static_cast<char *>(mmap(nullptr, (size_t)MOST_THREADS * STACK_BYTES, PROT_READ | PROT_WRITE,
                                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
        if (stacks == MAP_FAILED) std::abort();
    }
    body = &thread;
    kernel_name = what;
    flat_now = flat;
    blockDim = block;
    gridDim = grid;
    n_threads = (int)(block.x * block.y * block.z);
    for (int i = 0; i < n_threads; i++) {
        const unsigned u = (unsigned)i;
        fibers[i].number = i;
        fibers[i].index = uint3{u % block.x, u / block.x % block.y, u / block.x / block.y};
    }
    for (unsigned z = grid.z; z-- > 0;)
        for (unsigned y = grid.y; y-- > 0;)
            for (unsigned x = grid.x; x-- > 0;) {
                blockIdx = uint3{x, y, z};
                flat ? run_flat_block() : run_block();
            }
}
