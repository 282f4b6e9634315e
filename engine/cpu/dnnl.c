/* oneDNN's engine and stream: opened once, what it says of itself, and what it takes. */
#include "engine/cpu/dnnl_op.h"

#include <stdio.h>

#ifdef _OPENMP
#include <omp.h>
#endif

/* Machine code that oneDNN 2.6.3 writes when it first multiplies fp32 matrices that lie as we want them, measured with
 * AVX-512; a few MiB more, in which it lays parts of large ones, it takes and gives back in each product. */
enum { MATRIX_CODE_NBYTES = 9 << 20 };

size_t cpu_dnnl_own_nbytes(const cpu_dnnl *dnnl) { return dnnl->has_matrices ? MATRIX_CODE_NBYTES : 0; }

/* oneDNN asks OpenMP for its thread count, which is a setting of the calling thread: no system call, no lock.  It waits
 * for as many as it asked for, so OpenMP must not start fewer. */
void cpu_dnnl_use_threads(const cpu_dnnl *dnnl)
{
#ifdef _OPENMP
    omp_set_dynamic(0);
    omp_set_num_threads(dnnl->threads);
#else
    (void)dnnl;
#endif
}

static lk_status check_limit(int threads)
{
#ifdef _OPENMP
    if (omp_get_thread_limit() < threads)
        return LK_FAIL(LK_ERR_USAGE, "engine.threads is %d, but OMP_THREAD_LIMIT lets a process have %d: raise that, "
                       "or ask for fewer", threads, omp_get_thread_limit());
#endif
    (void)threads;
    return LK_OK;
}

static lk_status open_parts(cpu_dnnl *dnnl)
{
    LK_DNNL(dnnl_engine_create(&dnnl->engine, dnnl_cpu, 0));
    LK_DNNL(dnnl_stream_create(&dnnl->stream, dnnl->engine, dnnl_stream_in_order));
    LK_DNNL(dnnl_primitive_attr_create(&dnnl->attr));
    LK_DNNL(dnnl_primitive_attr_set_scratchpad_mode(dnnl->attr, dnnl_scratchpad_mode_user));
    return LK_OK;
}

static const char *instruction_set(void)
{
    static const struct { dnnl_cpu_isa_t isa; const char *name; } known[] = {
        {dnnl_cpu_isa_sse41, "sse4.1"},
        {dnnl_cpu_isa_avx, "avx"},
        {dnnl_cpu_isa_avx2, "avx2"},
        {dnnl_cpu_isa_avx512_core, "avx512_core"},
        {dnnl_cpu_isa_avx512_core_vnni, "avx512_core_vnni"},
        {dnnl_cpu_isa_avx512_core_bf16, "avx512_core_bf16"},
        {dnnl_cpu_isa_avx512_core_amx, "avx512_core_amx"},
    };
    const dnnl_cpu_isa_t isa = dnnl_get_effective_cpu_isa();

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].isa == isa) return known[i].name;
    return "an instruction set newer than this list";
}

void cpu_dnnl_platform(void *ctx, lk_platform *out)
{
    const dnnl_version_t *version = dnnl_version();

    (void)ctx;
    snprintf(out->device, sizeof out->device, "%s", instruction_set());
    snprintf(out->libraries, sizeof out->libraries, "oneDNN %d.%d.%d", version->major, version->minor, version->patch);
}

void cpu_dnnl_describe(char *text, size_t nbytes)
{
    lk_platform platform;

    cpu_dnnl_platform(NULL, &platform);
    snprintf(text, nbytes, "%s, %s", platform.libraries, platform.device);
}

lk_status cpu_dnnl_open(int threads, cpu_dnnl **out)
{
    *out = NULL;
    LK_TRY(check_limit(threads));
    cpu_dnnl *dnnl = lk_alloc(sizeof *dnnl);
    LK_TRY_ALLOC(dnnl, sizeof *dnnl);
    dnnl->threads = threads;
    const lk_status status = open_parts(dnnl);
    if (status != LK_OK) {
        cpu_dnnl_close(&dnnl);
        LK_TRY(status);
    }
    *out = dnnl;
    return LK_OK;
}

void cpu_dnnl_close(cpu_dnnl **dnnl)
{
    if (!*dnnl) return;
    if ((*dnnl)->attr) dnnl_primitive_attr_destroy((*dnnl)->attr);
    if ((*dnnl)->stream) dnnl_stream_destroy((*dnnl)->stream);
    if ((*dnnl)->engine) dnnl_engine_destroy((*dnnl)->engine);
    lk_free(dnnl);
}
