/* Why a try ended: the exit status of what started the workers, and what was said on the way. */
#ifndef LK_ENDING_H
#define LK_ENDING_H

#include "engine/engine.h"

enum { ENDING_LINE_BYTES = 512, ENDING_BYTES = 1024 };

/* All zero at first. */
typedef struct ending {
    int status;                       /* of mpirun or srun; 128 + a signal */
    char said[ENDING_LINE_BYTES];     /* by Lockstep, last: where it failed, why */
    char killed[ENDING_LINE_BYTES];   /* by mpirun or srun, first: "rank 3 on node b exited on signal 9 (Killed)" */
    char lost[ENDING_LINE_BYTES];     /* by them, first: the host that is gone */
} ending;

/* Listens to a line of standard error (a process_line_fn). */
void        ending_hear(void *end, const char *line);
/* The status that Lockstep's own process ended with; LK_ERR_PEER where a worker was killed or a host was lost. */
lk_status   ending_status(const ending *end);
/* In words, with worker and host where they are known; returns text. */
const char *ending_describe(const ending *end, char text[ENDING_BYTES]);
/* Whether a new start would end in the same way: what is wrong is the recipe, the data, the checkpoints, the
 * numbers. */
bool        ending_comes_again(const ending *end);
/* Whether this is the same failure once more: what was said, which names the step where there is one, and who was
 * killed by what; SIGKILL comes from outside, and is no such. */
bool        ending_is_repeated(const ending *before, const ending *end);

#endif
