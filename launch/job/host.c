/*
 * Engine memory as the host sees it.  On the CPU that is the memory itself: nothing is copied, and a worker holds
 * its parameters once.  Of a device's memory a copy is made in a buffer that the first call makes and the next ones
 * use again.
 */
#include "launch/launch.h"

/* Of a device: room for n_elem, kept until job_host_release() or a larger wish. */
static lk_status room(job *j, size_t n_elem)
{
    if (n_elem <= j->host_elem) return LK_OK;
    job_host_release(j);
    j->host = lk_alloc(n_elem * sizeof *j->host);
    LK_TRY_ALLOC(j->host, n_elem * sizeof *j->host);
    j->host_elem = n_elem;
    return LK_OK;
}

lk_status job_host_room(job *j, float *memory, size_t n_elem, float **out)
{
    const bool device = lk_engine_on_device(j->engine);

    if (device) LK_TRY(room(j, n_elem));
    *out = device ? j->host : memory;
    return LK_OK;
}

lk_status job_host_read(job *j, const float *memory, size_t n_elem, float **out)
{
    LK_TRY(job_host_room(j, (float *)memory, n_elem, out));
    return *out == memory ? LK_OK : lk_engine_read(j->engine, *out, memory, n_elem * sizeof **out);
}

lk_status job_host_write(job *j, float *memory, const float *host, size_t n_elem)
{
    return host == memory ? LK_OK : lk_engine_write(j->engine, memory, host, n_elem * sizeof *host);
}

void job_host_release(job *j)
{
    lk_free(&j->host);
    j->host_elem = 0;
}
