/*
 * The engine: one worker's arithmetic.  It knows no MPI, no files and no recipes.
 *
 * A model is a static graph over one flat fp32 array of parameters.  For each lane size and mode the engine
 * compiles a plan (build, differentiate, order, allocate, bind) once and then runs it.  A run allocates nothing of its
 * own; oneDNN makes a small map in each call of one of its primitives (convolutions, bf16 and large products).
 *
 *     lk_model_new()      shapes, names, places            lk_model_init()            first values
 *     lk_trainable_new()  what trains, in which groups     lk_engine_set_trainable()  says so to the engine
 *     lk_engine_new()     a backend for the model          lk_engine_run()            one lane: forward, backward
 *     lk_optimizer_update()  gradients -> parameters (and EMA), one pass over the arenas
 *
 * Everything here is Local: no call talks to another worker.
 */
#ifndef LK_ENGINE_H
#define LK_ENGINE_H

#include "engine/base/base.h"
#include "engine/base/sample.h"
#include "engine/model/model.h"
#include "engine/optim/optim.h"
#include "engine/run.h"
#include "engine/schedule/schedule.h"

#endif
