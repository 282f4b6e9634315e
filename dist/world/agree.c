/*
 * Agreement: what failed on one worker becomes the same failure on all, before anybody enters a call that could
 * block.
 *
 * One all-reduce of one int while all is well: the lowest failing rank, or none.  Only then does that rank send its
 * status and message to everybody.
 */
#include "dist/world/wait.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

typedef struct verdict {
    int32_t status;
    char message[LK_AGREED_BYTES];
} verdict;

/* "rank 2 (host b): what": once, also when a failure all agreed on is agreed on again further up. */
static void write_verdict(lk_world *world, lk_status mine, verdict *out)
{
    const char *message = lk_error_message();

    out->status = (int32_t)mine;
    if (strcmp(message, world->agreed) == 0)
        snprintf(out->message, sizeof out->message, "%s", message);
    else
        snprintf(out->message, sizeof out->message, "rank %d (%s): %s", world->rank, world->hosts[world->rank],
                 message);
}

lk_status lk_world_agree(lk_world *world, lk_status mine)
{
    if (world->size == 1) return mine;

    const int my_vote = mine == LK_OK ? INT_MAX : world->rank;
    int first = INT_MAX;

    LK_MPI_WAIT(world, MPI_Allreduce(&my_vote, &first, 1, MPI_INT, MPI_MIN, world->comm));
    if (first == INT_MAX) return LK_OK;

    verdict said = {0};
    if (first == world->rank) write_verdict(world, mine, &said);
    LK_MPI_WAIT(world, MPI_Bcast(&said, sizeof said, MPI_BYTE, first, world->comm));
    memcpy(world->agreed, said.message, sizeof world->agreed);
    return LK_FAIL((lk_status)said.status, "%s", said.message);
}
