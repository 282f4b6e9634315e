/*
 * The choice of how gradients travel.
 *
 *     host memory                            MPI
 *     devices, one for each worker           NCCL, unless dist.reduction is mpi
 *     devices that workers share, no NCCL    MPI: NCCL refuses two workers on one device
 *
 * and MPI takes device memory as it is where it can (CUDA-aware builds), else from copies on the host.
 */
#include "dist/transport.h"

#include "dist/nccl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(OPEN_MPI) && OPEN_MPI
#include <mpi-ext.h>
#endif

bool lk_mpi_cuda_aware(void)
{
    const char *said = getenv("LOCKSTEP_CUDA_AWARE");

    if (said && *said) return strcmp(said, "0") != 0;
#if defined(MPIX_CUDA_AWARE_SUPPORT) && MPIX_CUDA_AWARE_SUPPORT
    return MPIX_Query_cuda_support() == 1;
#else
    return false;
#endif
}

void lk_reduction_describe(char *text, size_t nbytes)
{
    const lk_nccl *nccl = lk_engine_find_collectives(LK_ENGINE_CUDA);
    const char *over_mpi = lk_mpi_cuda_aware() ? "from device memory" : "staged on the host (this MPI is not CUDA-aware)";
    char version[32];

    if (!nccl) {
        snprintf(text, nbytes, "no NCCL without the cuda engine's module");
        return;
    }
    nccl->version(version, sizeof version);
    snprintf(text, nbytes, "NCCL %s where each worker has a device; else MPI, %s", version, over_mpi);
}

/* The least over all workers. */
static lk_status least(lk_world *world, int mine, int *out)
{
    *out = mine;
    if (!world->mpi) return LK_OK;
    LK_MPI_WAIT(world, MPI_Allreduce(&mine, out, 1, MPI_INT, MPI_MIN, world->comm));
    return LK_OK;
}

/* What all must agree on: the same devices on all hosts are not needed, one for each worker is. */
typedef struct situation {
    int on_device, own_device, has_nccl, aware;
} situation;

static lk_status look(lk_world *world, lk_engine *engine, situation *s)
{
    const int on_device = engine != NULL;
    const int own = on_device && world->host_size <= lk_engine_n_devices(engine);

    LK_TRY(least(world, on_device, &s->on_device));
    LK_TRY(least(world, own, &s->own_device));
    LK_TRY(least(world, on_device && lk_engine_collectives(engine) != NULL, &s->has_nccl));
    return least(world, lk_mpi_cuda_aware(), &s->aware);
}

static lk_status refuse_nccl(const situation *s)
{
    if (!s->on_device)
        return LK_FAIL(LK_ERR_USAGE, "dist.reduction=nccl sums on GPUs, and a worker runs the cpu engine; use tree or mpi");
    if (!s->has_nccl) return LK_FAIL(LK_ERR_USAGE, "dist.reduction=nccl: this build's module has no NCCL; use tree or mpi");
    return LK_FAIL(LK_ERR_USAGE, "dist.reduction=nccl: a host has more workers than devices, which NCCL refuses; start one "
                   "worker a device, or use tree or mpi");
}

static void say_shared(const lk_world *world, const lk_engine *engine)
{
    if (world->rank == 0)
        fprintf(stderr, "lockstep: %d workers share %d device%s on %s: gradients are reduced over MPI, not NCCL\n",
                world->host_size, lk_engine_n_devices(engine), lk_engine_n_devices(engine) == 1 ? "" : "s",
                lk_world_host(world, 0));
}

lk_status lk_transport_choose(lk_world *world, lk_engine *engine, lk_reduction kind, lk_transport *out)
{
    const lk_way *over_mpi = kind == LK_REDUCE_MPI ? &lk_way_mpi : &lk_way_tree;
    situation s;

    *out = (lk_transport){.way = over_mpi, .name = world->size == 1 ? "" : "mpi"};
    LK_TRY(look(world, engine, &s));
    const bool nccl = s.own_device && s.has_nccl;
    if (kind == LK_REDUCE_NCCL && !nccl) return refuse_nccl(&s);
    if (world->size == 1 || !s.on_device) return LK_OK;
    if (nccl && kind != LK_REDUCE_MPI) {
        *out = (lk_transport){.way = kind == LK_REDUCE_NCCL ? &lk_way_nccl : &lk_way_nccl_tree, .name = "nccl"};
        return LK_OK;
    }
    if (!s.own_device) say_shared(world, engine);
    out->staged = !s.aware;
    out->name = s.aware ? "mpi, from device memory" : "mpi, staged on the host";
    return LK_OK;
}
