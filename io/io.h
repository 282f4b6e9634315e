/*
 * What outlives the process: recipes, data sets and their loader, checkpoints, metrics, the journal, progress.  It
 * knows the engine's tensors and no MPI: it is told "part r of n".  Everything here is Local.
 */
#ifndef LK_IO_H
#define LK_IO_H

#include "io/checkpoint/checkpoint.h"
#include "io/data/dataset.h"
#include "io/file/file.h"
#include "io/log/log.h"
#include "io/recipe/recipe.h"
#include "io/text/language.h"
#include "io/weights/weights.h"

#endif
