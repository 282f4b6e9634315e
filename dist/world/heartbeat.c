/*
 * Telling and reading heartbeats: a few relaxed stores by the worker, loads by whoever looks.
 *
 * The collectives of dist/ mark their worker as waiting by themselves, so a phase is only a word for people.
 */
#include "dist/world/heartbeat.h"

#include <stdio.h>
#include <string.h>

/* Texts in words: n of them, the last byte a NUL. */
static void store(_Atomic uint64_t *word, size_t n, const char *text)
{
    uint64_t copy[LK_LAYER_WORDS] = {0};

    strncpy((char *)copy, text, n * sizeof *copy - 1);
    for (size_t i = 0; i < n; i++) atomic_store_explicit(&word[i], copy[i], memory_order_relaxed);
}

static void load(const _Atomic uint64_t *word, size_t n, char *text)
{
    for (size_t i = 0; i < n; i++) {
        const uint64_t copy = atomic_load_explicit(&word[i], memory_order_relaxed);
        memcpy(text + i * sizeof copy, &copy, sizeof copy);
    }
    text[n * sizeof *word - 1] = '\0';
}

void lk_heartbeat_set_phase(lk_heartbeats *h, const char *phase)
{
    store(h->mine->phase, LK_PHASE_WORDS, phase);
    h->phase = phase;
}

void lk_heartbeat_phase(const lk_heartbeat *heartbeat, char phase[LK_PHASE_BYTES])
{
    load(heartbeat->phase, LK_PHASE_WORDS, phase);
}

void lk_heartbeat_awaits(const lk_heartbeat *heartbeat, char awaits[LK_PHASE_BYTES])
{
    load(heartbeat->awaits, LK_PHASE_WORDS, awaits);
}

void lk_heartbeat_set_layer(lk_heartbeats *h, const char *layer) { store(h->mine->layer, LK_LAYER_WORDS, layer); }

void lk_heartbeat_layer(const lk_heartbeat *heartbeat, char layer[LK_LAYER_BYTES])
{
    load(heartbeat->layer, LK_LAYER_WORDS, layer);
}

void lk_heartbeat_set_bucket(lk_world *world, size_t bucket, size_t n_buckets)
{
    if (!world->heartbeats) return;
    atomic_store_explicit(&world->heartbeats->mine->bucket, (int)bucket, memory_order_relaxed);
    atomic_store_explicit(&world->heartbeats->mine->n_buckets, (int)n_buckets, memory_order_relaxed);
}

void lk_heartbeat_set_peer(lk_world *world, int rank)
{
    if (world->heartbeats) atomic_store_explicit(&world->heartbeats->mine->peer, rank + 1, memory_order_relaxed);
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

void lk_wait_begin(lk_world *world, const char *what)
{
    lk_heartbeats *h = world->heartbeats;

    if (!h) return; /* while the world is being made */
    if (what != h->awaits) store(h->mine->awaits, LK_PHASE_WORDS, what);
    h->awaits = what;
    lk_heartbeat_stamp(h->mine);
    atomic_store_explicit(&h->mine->waiting, 1, memory_order_release);
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
    lk_wait_begin(world, "its device");
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
