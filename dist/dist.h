/*
 * Many workers in lockstep: the world, agreement, collectives, the fixed-order reduction of gradients, the leader's
 * orders, the watchdog and the comparison of replicas.  It knows the engine; no files and no recipes.
 *
 * A global batch is cut into `lanes`; a worker owns a run of neighbouring lanes (lk_part_rows) and computes them one
 * after another.  Sums over lanes follow one binary tree: node (level k, index i) covers lanes [i * 2^k, (i+1) * 2^k)
 * cut at `lanes`, and is the sum of its two children (or its only child).  So the bits do not depend on the workers.
 */
#ifndef LK_DIST_H
#define LK_DIST_H

#include "engine/engine.h"

#ifdef __cplusplus
extern "C" {
#endif

/* -------------------------------------------------------------------- world */

typedef struct lk_world lk_world;

/* Joins the workers that mpirun (or srun) started into one world; started alone it is a world of one and MPI is
 * never touched.  Collective: once, before any other call here.
 *
 *   timeout_s  seconds without progress before the watchdog ends the job; 0 turns it off; over several hosts at least
 *              30, for mpirun must know before the workers who is lost: less is stretched, which the leader says
 *
 * Errors, the same on every worker: LK_ERR_USAGE (timeout_s < 0), LK_ERR_PEER. */
lk_status lk_world_new(double timeout_s, lk_world **out);
/* Whether the launcher calls this process its first, or there is no launcher: for what is said before there is a world,
 * by one process alone.  Local. */
bool      lk_launched_first(void);
/* Collective. */
void lk_world_free(lk_world **world);
/* The timeout of lk_world_new, changed once the recipe is known; the same on all workers.  Local. */
lk_status lk_world_set_timeout(lk_world *world, double timeout_s);

int lk_world_rank(const lk_world *world);      /* 0 .. size-1; Local */
int lk_world_size(const lk_world *world);      /* Local */
int lk_world_host_rank(const lk_world *world); /* among the workers of this host; Local */
int lk_world_n_hosts(const lk_world *world);   /* Local */
const char *lk_world_host(const lk_world *world, int rank); /* host name of a worker; Local */

/* What can fail on one worker becomes the same on all: LK_OK if every worker passes LK_OK, else the status of the
 * lowest failing rank with its message, "rank 2 (host b): ...".  Collective. */
lk_status lk_world_agree(lk_world *world, lk_status mine);
/* Ends the whole job at once with this exit status, after printing `message`; LK_ERR_PEER only if no worker of this
 * host has said already why the job ends.  Local; does not return. */
void lk_world_abort(lk_world *world, lk_status status, const char *message) __attribute__((noreturn));

/* Collective. */
lk_status lk_world_barrier(lk_world *world);
/* From the leader, or another rank.  Collective. */
lk_status lk_world_broadcast(lk_world *world, void *buffer, size_t nbytes);
lk_status lk_world_broadcast_from(lk_world *world, int rank, void *buffer, size_t nbytes);
/* Every worker's nbytes, in rank order, to the leader: all is (size * nbytes) there, NULL elsewhere.  Collective. */
lk_status lk_world_gather(lk_world *world, const void *mine, size_t nbytes, void *all);
/* Strings of any length from every worker to the leader: (*all)[rank] there (release with free(), one block), NULL
 * elsewhere.  Collective. */
lk_status lk_world_gather_text(lk_world *world, const char *mine, char ***all);

/* From here to lk_world_widen() the world is its first n workers, 1 <= n <= size, as if no others had been started (but
 * for the number of hosts, and for how workers wait): *in tells whether this worker is one of them.  The others have
 * nothing to do but to call lk_world_widen(), in which they wait, and the watchdog does not look at them until
 * lk_world_set_timeout().  What was made of the world before is not to be used in between, and what is made in between
 * not after.  Collective, of all workers, both of them.  Errors: LK_ERR_USAGE, LK_ERR_PEER. */
lk_status lk_world_narrow(lk_world *world, int n, bool *in);
lk_status lk_world_widen(lk_world *world);

/* Tells the watchdog where this worker is: progress, so to be called at least once a timeout.  phase is a string
 * constant, of which messages show 31 characters.  Inside a Collective call a worker counts as waiting for others
 * by itself, whatever its phase.  Local, a few stores.
 *
 * A worker that has shown no progress for the timeout looks for the one on its host that is stuck (stopped, or late in
 * its own work), and if all wait for the host that no longer answers; it names the worker with step, phase and seconds
 * on stderr and ends the job with exit status 6.  What lk_alive() counts is progress as well. */
void lk_world_progress(lk_world *world, int64_t step, const char *phase);

/* -------------------------------------------------------------------- lanes */

/* Lanes [*begin, *end) of this worker, at least one.  Local.
 * Errors, the same on every worker: LK_ERR_USAGE (lanes < 1; more workers than lanes). */
lk_status lk_world_lanes(const lk_world *world, int lanes, int *begin, int *end);
/* Sums `n` doubles per lane over all lanes in the tree; mine is (own lanes, n), sum (n) on every worker.
 * Collective. */
lk_status lk_world_sum_lanes(lk_world *world, int lanes, const double *mine, size_t n, double *sum);

/* ---------------------------------------------------------------- reduction */

#define LK_REDUCTION_LIST(X) X(LK_REDUCE_TREE, "tree") X(LK_REDUCE_MPI, "mpi") X(LK_REDUCE_NCCL, "nccl")
typedef enum lk_reduction { LK_REDUCTION_LIST(LK_WORD_ENUM) } lk_reduction;

/* As what gradients travel between workers.  bf16: half the bytes.  A lane's gradient is rounded to bf16 (to nearest,
 * ties to even), and so is every sum of the tree, on one worker, too: the bits are a function of the lanes alone, and
 * other ones than fp32's.  Statistics and sums of the loss stay fp32. */
#define LK_WIRE_LIST(X) X(LK_WIRE_FP32, "fp32") X(LK_WIRE_BF16, "bf16")
typedef enum lk_wire { LK_WIRE_LIST(LK_WORD_ENUM) } lk_wire;

/* Who updates what where a run shares out its optimizer (ZeRO-1): of each bucket a worker gets a part, a run of chunks
 * of the set's grid.  It depends on set, bucket_bytes and the number of workers. */
typedef struct lk_shards lk_shards;

/* Local.  Errors, the same on every worker: LK_ERR_USAGE (a bucket is longer than a message can be). */
lk_status lk_shards_new(const lk_world *world, const lk_trainable *trainable, size_t bucket_bytes, lk_shards **out);
void      lk_shards_free(lk_shards **shards);
/* Ranges of the packed gradients that are a worker's, ascending in i < lk_shards_n(); some may be empty.  Of each
 * tensor a worker has one run of rows at most.  Local. */
size_t    lk_shards_n(const lk_shards *shards);
lk_range  lk_shards_range(const lk_shards *shards, int rank, size_t i);
/* Adds up over the workers, to the same bits on all: for each value all but one worker have 0.  Collective. */
lk_status lk_world_merge(lk_world *world, double *values, size_t n);

typedef struct lk_reducer lk_reducer;

/* Sums gradient arenas of all lanes of all workers.  Buckets are slices of the arena cut at tensors with which a
 * chunk of the set's grid begins, reduced in the order in which the backward pass finishes them; with several buckets
 * and workers a communication thread reduces while the backward pass goes on.  Memory is allocated here and never in a
 * step.
 *
 *   engine        borrowed
 *   trainable     the set whose gradient arenas are summed; read here only
 *   bucket_bytes  size at which a bucket is closed, > 0
 *   shards        of the same set, bucket_bytes and workers, borrowed: each worker gets the sum of its own ranges, and
 *                 of statistics and slots, alone; NULL: all get all
 *
 * On devices, `tree` and `nccl` go by NCCL where every worker has a device of its own: then lk_reducer_finish() only
 * queues, and what the engine is asked to do with *sum comes after it.  Where workers share a device, `tree` goes by
 * MPI and the leader says so on stderr.  MPI takes device memory as it is if it can; LOCKSTEP_CUDA_AWARE=0 or 1
 * overrules what it says of itself.
 *
 * Collective.  Errors, the same on every worker: LK_ERR_USAGE (nccl without a device for each worker; bf16 on the wire
 * or shards on devices, or but in the tree), LK_ERR_PEER. */
lk_status lk_reducer_new(lk_world *world, lk_engine *engine, const lk_trainable *trainable, lk_reduction kind,
                         lk_wire wire, int lanes, size_t bucket_bytes, const lk_shards *shards, lk_reducer **out);
/* The same for a plain array of n_elem > 0 floats in host memory, in buckets of bucket_bytes: to measure what sums over
 * workers cost.  Collective. */
lk_status lk_reducer_new_array(lk_world *world, lk_reduction kind, int lanes, size_t n_elem, size_t bucket_bytes,
                               lk_reducer **out);
/* Collective: NCCL's communicator waits for the others. */
void      lk_reducer_free(lk_reducer **reducer);
/* Begins one of this worker's lanes, in order; *grads is where its gradients go (lk_lane.grads).  Local. */
lk_status lk_reducer_lane(lk_reducer *reducer, int lane, float **grads);
/* Says that the lane begun last had no samples: it counts as zeros.  Local. */
lk_status lk_reducer_empty_lane(lk_reducer *reducer);
/* An lk_ready_fn whose arg is the reducer: [begin, end) of the current lane's arena is final.  Local. */
void      lk_reducer_ready(void *reducer, size_t begin, size_t end);
/* Waits for all buckets (or queues that, above); *sum is the sum over all lanes in the engine's memory, the same bits
 * on every worker, valid until the next lk_reducer_lane().  Collective. */
lk_status lk_reducer_finish(lk_reducer *reducer, const float **sum);
/* With shards, after the update: the parameters of each worker's ranges become the same on all; params is
 * (lk_model_n_elem), the engine's.  What lk_reducer_finish() gave is no longer valid.  Collective. */
lk_status lk_reducer_gather(lk_reducer *reducer, const lk_trainable *trainable, float *params);

typedef struct lk_reducer_stats {
    size_t n_buckets;
    int n_arenas;              /* gradient arenas that this worker's lanes are added up in */
    size_t exchange_nbytes;    /* what the exchange with other workers holds beside them; MPI's own buffers not
                                * counted */
    int64_t bytes_sent;        /* by this worker since the start */
    double seconds_waited;     /* in lk_reducer_finish, so not hidden behind the backward pass */
    const char *transport;     /* "mpi"; of device memory "nccl", "mpi, staged" on the host or "mpi, cuda-aware"; "" in
                                * a world of one */
} lk_reducer_stats;
/* Local. */
void lk_reducer_get_stats(const lk_reducer *reducer, lk_reducer_stats *out);

/* -------------------------------------------------------------------- leader */

enum { LK_MAX_GROUPS = 16 };

typedef enum lk_order_flag {
    LK_ORDER_EVALUATE = 1 << 0,   /* after this step */
    LK_ORDER_CHECKPOINT = 1 << 1, /* after this step (and after evaluating) */
    LK_ORDER_PUBLISH = 1 << 2,    /* the checkpoint in flight is written everywhere: it is being published */
    LK_ORDER_STOP = 1 << 3,       /* after this step: the run ends */
    LK_ORDER_REQUEUE = 1 << 4,    /* with STOP: on a signal; exit status 75 */
    LK_ORDER_EARLY = 1 << 5,      /* with STOP or STAGE: early stopping */
    LK_ORDER_STAGE = 1 << 6,      /* after this step: the stage ends and the next one begins */
} lk_order_flag;

/* What the leader decides for one step; everybody obeys. */
typedef struct lk_order {
    int64_t step;
    int32_t epoch;
    uint32_t flags;
    int32_t n_groups;
    int32_t reserved;
    double lr[LK_MAX_GROUPS];
    double momentum[LK_MAX_GROUPS]; /* SGD's, or Adam's beta1; NaN: the optimizer's own */
    double weight_decay[LK_MAX_GROUPS]; /* NaN: the optimizer's own */
} lk_order;

/* Starts sending the leader's order (read on the leader, written elsewhere by lk_order_wait); non-blocking, so that it
 * overlaps the forward pass.  `order` must stay put until lk_order_wait().  One in flight.  Collective. */
lk_status lk_order_begin(lk_world *world, lk_order *order);
/* Errors: LK_ERR_PEER, also when the order is for another step than `step`.  Collective. */
lk_status lk_order_wait(lk_world *world, int64_t step);

/* ------------------------------------------------------------------ replicas */

/* Compares a 64-bit hash (XXH3) of params on all workers.  Where they differ, all workers return LK_ERR_NUMBERS with
 * the ranks, hosts, step and first tensor that differ (the majority is right; with no majority it says so).
 * Collective. */
lk_status lk_world_check_replicas(lk_world *world, lk_engine *engine, const lk_model *model, const float *params,
                                  int64_t step);

/* ---------------------------------------------------------------- for doctor */

/* "Open MPI 4.1.4 (MPI 3.1)", whether it was started under mpirun, and then whether it takes device memory; world
 * NULL: the library alone.  Writes at most nbytes.  Local. */
void lk_world_describe(const lk_world *world, char *text, size_t nbytes);
/* "NCCL 2.27.3", or that there is none; writes at most nbytes.  Local. */
void lk_nccl_describe(char *text, size_t nbytes);

#ifdef __cplusplus
}
#endif
#endif
