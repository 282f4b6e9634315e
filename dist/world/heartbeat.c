/*
 * Telling and reading heartbeats: a few relaxed stores by the worker, loads by whoever looks.
 *
 * The collectives of dist/ mark their worker as waiting by themselves, so a phase is only a word for people.
 */
#include "dist/world/heartbeat.h"

#include <stdio.h>
#include <string.h>

void lk_heartbeat_set_phase(lk_heartbeats *h, const char *phase)
{
    uint64_t words[LK_PHASE_WORDS] = {0};

    strncpy((char *)words, phase, LK_PHASE_BYTES - 1);
    for (int i = 0; i < LK_PHASE_WORDS; i++)
        atomic_store_explicit(&h->mine->phase[i], words[i], memory_order_relaxed);
    h->phase = phase;
}

void lk_heartbeat_phase(const lk_heartbeat *heartbeat, char phase[LK_PHASE_BYTES])
{
    uint64_t words[LK_PHASE_WORDS];

    for (int i = 0; i < LK_PHASE_WORDS; i++)
        words[i] = atomic_load_explicit(&heartbeat->phase[i], memory_order_relaxed);
    memcpy(phase, words, LK_PHASE_BYTES);
    phase[LK_PHASE_BYTES - 1] = '\0';
}

void lk_heartbeat_stamp(lk_heartbeat *heartbeat)
{
    atomic_store_explicit(&heartbeat->since, lk_seconds(), memory_order_release);
}

void lk_world_progress(lk_world *world, int64_t step, const char *phase)
{
    lk_heartbeats *h = world->heartbeats;

    if (h->device_wait) lk_wait_end(world);
    atomic_store_explicit(&h->mine->step, step, memory_order_relaxed);
    if (phase != h->phase) lk_heartbeat_set_phase(h, phase);
    lk_heartbeat_stamp(h->mine);
}

void lk_wait_begin(lk_world *world)
{
    if (!world->heartbeats) return; /* while the world is being made */
    lk_heartbeat_stamp(world->heartbeats->mine);
    atomic_store_explicit(&world->heartbeats->mine->waiting, 1, memory_order_release);
}

void lk_wait_end(lk_world *world)
{
    if (!world->heartbeats) return;
    world->heartbeats->device_wait = false;
    lk_heartbeat_stamp(world->heartbeats->mine);
    atomic_store_explicit(&world->heartbeats->mine->waiting, 0, memory_order_release);
}

/* Called again and again in one wait, which began with the first call. */
void lk_wait_on_device(lk_world *world)
{
    if (!world->heartbeats || world->heartbeats->device_wait) return;
    lk_wait_begin(world);
    world->heartbeats->device_wait = true;
}

void lk_heartbeat_position(const lk_world *world, int64_t *step, char phase[LK_PHASE_BYTES])
{
    *step = world->heartbeats ? atomic_load(&world->heartbeats->mine->step) : 0;
    if (world->heartbeats) lk_heartbeat_phase(world->heartbeats->mine, phase);
    else snprintf(phase, LK_PHASE_BYTES, "start");
}

void lk_heartbeat_look(const lk_heartbeats *h, double now, double floor, lk_heartbeat_view *view)
{
    for (int i = 0; i < h->n; i++) {
        const lk_heartbeat *s = &h->table[i];
        const double since = atomic_load_explicit(&s->since, memory_order_acquire);
        const double beat = atomic_load_explicit(&s->beat, memory_order_relaxed);

        view[i].step = atomic_load_explicit(&s->step, memory_order_relaxed);
        view[i].waiting = atomic_load_explicit(&s->waiting, memory_order_acquire);
        view[i].age = now - (since > floor ? since : floor);
        view[i].beat_age = beat > 0 ? now - (beat > floor ? beat : floor) : 0;
    }
}

bool lk_heartbeat_speaks_first(lk_world *world)
{
    return !world->heartbeats || atomic_exchange(&world->heartbeats->table[0].spoken, 1) == 0;
}
