/* What MPI says when a call failed, with where this worker was. */
#include "dist/world/mpi.h"

#include "dist/world/heartbeat.h"

#include <string.h>

lk_status lk_mpi_fail(const lk_world *world, int code, const char *call, const char *file, int line)
{
    char text[MPI_MAX_ERROR_STRING] = "unknown error", phase[LK_PHASE_BYTES];
    int length = 0;
    int64_t step;

    MPI_Error_string(code, text, &length);
    lk_heartbeat_position(world, &step, phase);
    return lk_fail(LK_ERR_PEER, file, line,
                   "%.*s failed at step %lld in `%s`: %s; another worker has ended or the network is broken",
                   (int)strcspn(call, "("), call, (long long)step, phase, text);
}
