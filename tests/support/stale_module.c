/* A module as an earlier build would have left it: its tables are of another shape than the program believes. */
#include "engine/backend.h"

#include "engine/module_abi.h" /* generated: LK_MODULE_ABI */

extern const lk_module lk_module_entry;
const lk_module lk_module_entry = {.abi = LK_MODULE_ABI ^ 1};
