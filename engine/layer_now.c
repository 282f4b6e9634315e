/* One pointer: set before each kernel, read by a watchdog. */
#include "engine/layer_now.h"

#include <stdatomic.h>
#include <stddef.h>

static _Atomic(const char *) layer_now;

void lk_at_layer(const char *layer) { atomic_store_explicit(&layer_now, layer, memory_order_relaxed); }

const char *lk_layer_now(void) { return atomic_load_explicit(&layer_now, memory_order_relaxed); }
