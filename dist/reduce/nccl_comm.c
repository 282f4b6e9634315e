/*
 * NCCL's communicator with what can go wrong.
 *
 * NCCL works on the device, so its failures are nobody's return value: the engine asks for them while it waits (poll),
 * and a communicator that has failed is aborted, or what is queued on the device would wait for ever.  The watchdog's
 * thread aborts too, before it ends the job.
 *
 * An abort stops the device's part at once but may then not return: NCCL waits until nothing on the device holds its
 * operations (commDestroySync in its src/init.cc, 2.28), and the engine has not come to rest.  So it is done by a
 * thread that is waited for only so long.
 */
#include "dist/reduce/nccl_comm.h"

#include "dist/world/end.h"
#include "dist/world/wait.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { ABORT_SECONDS = 2, MESSAGE_BYTES = 1024 };

struct lk_nccl_comm {
    lk_world *world;      /* borrowed */
    lk_engine *engine;    /* borrowed */
    const lk_nccl *nccl;
    pthread_mutex_t lock; /* guards comm, for the watchdog's thread */
    void *comm;           /* owned; NULL once given up */
};

/* ------------------------------------------------------------------- giving up */

typedef struct abort_call {
    const lk_nccl *nccl;
    void *comm;
} abort_call;

static void *call_abort(void *arg)
{
    abort_call f = *(abort_call *)arg;

    lk_free(&arg);
    f.nccl->abort(f.comm);
    return NULL;
}

static struct timespec in_seconds(int seconds)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_sec += seconds;
    return t;
}

/* Aborts, and returns also when the abort does not. */
static void abort_within_limit(const lk_nccl *nccl, void *comm)
{
    const struct timespec until = in_seconds(ABORT_SECONDS);
    abort_call *f = lk_alloc(sizeof *f);
    pthread_t thread;

    if (!f) return;
    *f = (abort_call){nccl, comm};
    if (pthread_create(&thread, NULL, call_abort, f) != 0) {
        lk_free(&f);
        return;
    }
    if (pthread_timedjoin_np(thread, NULL, &until) != 0) pthread_detach(thread);
}

/* The communicator, which is then no longer the world's; NULL when it was given up before. */
static void *take(lk_nccl_comm *c)
{
    const struct timespec until = in_seconds(ABORT_SECONDS);
    void *comm = NULL;

    if (pthread_mutex_timedlock(&c->lock, &until) != 0) return NULL;
    comm = c->comm;
    c->comm = NULL;
    pthread_mutex_unlock(&c->lock);
    return comm;
}

static void give_up(void *arg)
{
    lk_nccl_comm *c = arg;
    void *comm = take(c);

    if (comm) abort_within_limit(c->nccl, comm);
}

/* -------------------------------------------------------------------- watching */

static lk_status poll_locked(lk_nccl_comm *c)
{
    pthread_mutex_lock(&c->lock);
    const lk_status status = c->comm ? c->nccl->poll(c->comm) : LK_FAIL(LK_ERR_PEER, "NCCL was given up before");
    pthread_mutex_unlock(&c->lock);
    return status;
}

/* The engine waits, perhaps for other workers. */
static lk_status watch(void *arg)
{
    lk_nccl_comm *c = arg;
    char message[MESSAGE_BYTES], phase[LK_PHASE_BYTES];
    int64_t step;

    lk_wait_on_device(c->world);
    const lk_status status = poll_locked(c);
    if (status == LK_OK) return LK_OK;

    snprintf(message, sizeof message, "%s", lk_error_message());
    lk_heartbeat_position(c->world, &step, phase);
    give_up(c);
    return LK_FAIL(status, "step %lld in `%s`: %s", (long long)step, phase, message);
}

lk_status lk_nccl_comm_get(lk_nccl_comm *c, void **out)
{
    pthread_mutex_lock(&c->lock);
    *out = c->comm;
    pthread_mutex_unlock(&c->lock);
    return *out ? LK_OK : LK_FAIL(LK_ERR_PEER, "NCCL was given up before");
}

/* ---------------------------------------------------------------- new and free */

static lk_status join(lk_nccl_comm *c)
{
    lk_world *world = c->world;
    char id[LK_NCCL_ID_BYTES] = {0};

    LK_TRY(lk_world_agree(world, world->rank == 0 ? c->nccl->unique_id(id) : LK_OK));
    LK_TRY(lk_world_broadcast(world, id, sizeof id));
    lk_wait_begin(world, "all to join NCCL");
    const lk_status status = c->nccl->open(id, world->size, world->place, &c->comm);
    lk_wait_end(world);
    if (status != LK_OK) lk_world_abort(world, status, lk_error_message());
    lk_engine_set_poll(c->engine, watch, c);
    lk_world_on_end(world, give_up, c);
    return LK_OK;
}

lk_status lk_nccl_comm_new(lk_world *world, lk_engine *engine, lk_nccl_comm **out)
{
    lk_nccl_comm *c = lk_alloc(sizeof *c);

    *out = NULL;
    LK_TRY(lk_world_agree(world, c ? LK_OK : LK_FAIL(LK_ERR_SYSTEM, "out of memory: a communicator")));
    c->world = world;
    c->engine = engine;
    c->nccl = lk_engine_collectives(engine);
    pthread_mutex_init(&c->lock, NULL);
    const lk_status status = join(c);
    if (status != LK_OK) {
        lk_nccl_comm_free(&c);
        return lk_trace(status, __FILE__, __LINE__);
    }
    *out = c;
    return LK_OK;
}

/* Closing waits for the other workers; where the engine cannot come to rest nobody may. */
void lk_nccl_comm_free(lk_nccl_comm **address)
{
    lk_nccl_comm *c = address ? *address : NULL;

    if (!c) return;
    const bool at_rest = lk_engine_wait(c->engine) == LK_OK;
    lk_engine_set_poll(c->engine, NULL, NULL);
    lk_world_on_end(c->world, NULL, NULL);
    void *comm = take(c);
    if (comm && at_rest) {
        lk_wait_begin(c->world, "all to leave NCCL");
        c->nccl->close(comm);
        lk_wait_end(c->world);
    } else if (comm) {
        abort_within_limit(c->nccl, comm);
    }
    pthread_mutex_destroy(&c->lock);
    lk_free(address);
}
