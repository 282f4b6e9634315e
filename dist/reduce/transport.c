/*
 * The choice of how gradients travel.
 *
 *     host memory                            MPI
 *     devices, one for each worker           NCCL, unless dist.reduction is mpi
 *     devices that workers share             MPI: NCCL refuses two workers on one device
 *
 * and MPI takes device memory as it is where it can (CUDA-aware builds), else copies on the host.  The messages are the
 * same, so workers with a device and without may be mixed.
 */
#include "dist/reduce/transport.h"

#include "dist/nccl/nccl.h"
#include "dist/world/wait.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

enum { DEVICE_BYTES = 64 };

void lk_nccl_describe(char *text, size_t nbytes)
{
    const lk_nccl *nccl = lk_engine_find_collectives(LK_ENGINE_CUDA);
    char version[32];

    if (!nccl) {
        snprintf(text, nbytes, "no NCCL without the cuda engine's module");
        return;
    }
    nccl->version(version, sizeof version);
    snprintf(text, nbytes, "NCCL %s", version);
}

/* What is so for all workers. */
typedef struct situation {
    int on_device, has_nccl, aware;
    int shared_on;             /* lowest rank whose host has more workers than devices; size when there is none */
    int n_workers, n_devices;  /* of that host */
} situation;

static lk_status all_reduce_min(lk_world *world, int *values, int n)
{
    if (world->size == 1) return LK_OK;
    LK_MPI_WAIT(world, MPI_Allreduce(MPI_IN_PLACE, values, n, MPI_INT, MPI_MIN, world->comm));
    return LK_OK;
}

/* ids: (host_size), of the devices that this host's workers have. */
static int count_different(const char (*ids)[DEVICE_BYTES], int n)
{
    int n_different = 0;

    for (int i = 0; i < n; i++) {
        int first = 0;
        while (strcmp(ids[first], ids[i]) != 0) first++;
        n_different += first == i;
    }
    return n_different;
}

static lk_status count_devices(lk_world *world, const lk_engine *engine, char (*ids)[DEVICE_BYTES], int *out)
{
    char mine[DEVICE_BYTES] = "";

    LK_TRY(lk_world_agree(world, ids ? LK_OK : LK_FAIL(LK_ERR_SYSTEM, "out of memory: names of %d devices",
                                                       world->host_size)));
    lk_engine_device(engine, mine, sizeof mine);
    LK_MPI_WAIT(world, MPI_Allgather(mine, DEVICE_BYTES, MPI_CHAR, ids, DEVICE_BYTES, MPI_CHAR, world->host_comm));
    *out = count_different((const char (*)[DEVICE_BYTES])ids, world->host_size);
    return LK_OK;
}

/* All workers are on devices: where do they share them? */
static lk_status find_shared(lk_world *world, const lk_engine *engine, situation *s)
{
    char (*ids)[DEVICE_BYTES] = lk_alloc((size_t)world->host_size * sizeof *ids);
    int host[2] = {world->host_size, 0};

    const lk_status status = count_devices(world, engine, ids, &host[1]);
    lk_free(&ids);
    LK_TRY(status);
    s->shared_on = host[1] < host[0] ? world->rank : INT_MAX;
    LK_TRY(all_reduce_min(world, &s->shared_on, 1));
    if (s->shared_on == INT_MAX) return LK_OK;
    LK_MPI_WAIT(world, MPI_Bcast(host, 2, MPI_INT, s->shared_on, world->comm));
    s->n_workers = host[0];
    s->n_devices = host[1];
    return LK_OK;
}

static lk_status look(lk_world *world, const lk_engine *engine, situation *s)
{
    int all[] = {engine != NULL, engine && lk_engine_collectives(engine), lk_mpi_cuda_aware()};

    LK_TRY(all_reduce_min(world, all, sizeof all / sizeof *all));
    *s = (situation){.on_device = all[0], .has_nccl = all[1], .aware = all[2], .shared_on = INT_MAX};
    return world->size > 1 && s->on_device ? find_shared(world, engine, s) : LK_OK;
}

/* ------------------------------------------------------------------- choosing */

/* "4 workers share 1 device on a". */
static void shared_text(const lk_world *world, const situation *s, char *text, size_t nbytes)
{
    snprintf(text, nbytes, "%d workers share %d device%s on %s", s->n_workers, s->n_devices,
             s->n_devices == 1 ? "" : "s", lk_world_host(world, s->shared_on));
}

static lk_status refuse_nccl(const lk_world *world, const situation *s)
{
    char shared[LK_HOST_BYTES + 64];

    if (!s->on_device)
        return LK_FAIL(LK_ERR_USAGE, "dist.reduction=nccl sums on GPUs, and %s runs on the cpu engine; use tree or mpi",
                       world->size == 1 ? "this" : "a worker");
    if (!s->has_nccl)
        return LK_FAIL(LK_ERR_USAGE, "dist.reduction=nccl: a worker's CUDA module has no NCCL; use tree or mpi");
    shared_text(world, s, shared, sizeof shared);
    return LK_FAIL(LK_ERR_USAGE,
                   "dist.reduction=nccl: %s, which NCCL refuses; start one worker a device, or use tree or mpi",
                   shared);
}

static void say_shared(lk_world *world, const situation *s)
{
    char shared[LK_HOST_BYTES + 64];

    if (world->rank != 0 || world->said_shared) return;
    world->said_shared = true;
    shared_text(world, s, shared, sizeof shared);
    fprintf(stderr, "lockstep: %s: gradients are reduced over MPI, not NCCL\n", shared);
}

static lk_transport over_mpi(const lk_engine *engine, const situation *s, lk_reduction kind)
{
    lk_transport t = {.algorithm = kind == LK_REDUCE_MPI ? &lk_reduce_mpi : &lk_reduce_tree, .name = "mpi"};

    if (!engine) return t;
    t.staged = !s->aware;
    t.name = s->aware ? "mpi, cuda-aware" : "mpi, staged";
    return t;
}

lk_status lk_transport_choose(lk_world *world, const lk_engine *engine, lk_reduction kind, lk_transport *out)
{
    situation s;

    LK_TRY(look(world, engine, &s));
    const bool nccl = s.on_device && s.has_nccl && s.shared_on == INT_MAX;
    if (kind == LK_REDUCE_NCCL && !nccl) return refuse_nccl(world, &s);
    *out = over_mpi(engine, &s, kind);
    if (world->size == 1) *out = (lk_transport){.algorithm = out->algorithm, .name = ""};
    else if (nccl && kind == LK_REDUCE_NCCL) *out = (lk_transport){.algorithm = &lk_reduce_nccl, .name = "nccl"};
    else if (nccl && kind == LK_REDUCE_TREE) *out = (lk_transport){.algorithm = &lk_reduce_nccl_tree, .name = "nccl"};
    else if (s.shared_on != INT_MAX && kind == LK_REDUCE_TREE) say_shared(world, &s);
    return LK_OK;
}
