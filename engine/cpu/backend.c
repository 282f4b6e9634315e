/* The CPU backend's table.  Memory is the host's, so read and write are copies; kernels finish before they return. */
#include "engine/cpu/cpu.h"
#include "engine/cpu/dnnl.h"
#include "engine/cpu/weights.h"

#include <string.h>

static void cpu_close(void *ctx)
{
    cpu_ctx *cpu = ctx;

    if (!cpu) return;
    cpu_weights_free(&cpu->weights);
    cpu_dnnl_close(&cpu->dnnl);
    lk_free(&cpu);
}

static int cpu_available(void) { return 1; }

static lk_status cpu_open(const lk_engine_options *options, void **ctx)
{
    const int threads = options->threads;

    assert(threads >= 1);
    *ctx = NULL;
    cpu_ctx *cpu = lk_alloc(sizeof *cpu);

    LK_TRY_ALLOC(cpu, sizeof *cpu);
    cpu->threads = threads;
    lk_status status = cpu_dnnl_open(threads, &cpu->dnnl);
    if (status == LK_OK) status = cpu_weights_new(&cpu->weights);
    if (status != LK_OK) {
        cpu_close(cpu);
        LK_TRY(status);
    }
    *ctx = cpu;
    return LK_OK;
}

static lk_status cpu_alloc(void *ctx, size_t nbytes, void **out)
{
    (void)ctx;
    *out = lk_alloc(nbytes);
    LK_TRY_ALLOC(*out, nbytes);
    return LK_OK;
}

static void cpu_release(void *ctx, void *pointer)
{
    (void)ctx;
    lk_free(&pointer);
}

static lk_status cpu_copy(void *ctx, void *to, const void *from, size_t nbytes)
{
    (void)ctx;
    memcpy(to, from, nbytes);
    return LK_OK;
}

static lk_status cpu_reserve(void *ctx) { return cpu_weights_reserve(((cpu_ctx *)ctx)->weights); }
static size_t cpu_packed_nbytes(void *ctx) { return cpu_weights_nbytes(((cpu_ctx *)ctx)->weights); }
static size_t cpu_workspace_nbytes(void *ctx) { return cpu_dnnl_own_nbytes(((cpu_ctx *)ctx)->dnnl); }

const lk_backend lk_cpu_backend = {
    .name = "cpu",
    .device = NULL,
    .keeps_masks = true,
    .describe = cpu_dnnl_describe,
    .available = cpu_available,
    .platform = cpu_dnnl_platform,
    .open = cpu_open,
    .close = cpu_close,
    .alloc = cpu_alloc,
    .release = cpu_release,
    .read = cpu_copy,
    .write = cpu_copy,
    .has = cpu_has,
    .rewrite = cpu_rewrite,
    .bind = cpu_bind,
    .reserve = cpu_reserve,
    .packed_nbytes = cpu_packed_nbytes,
    .workspace_nbytes = cpu_workspace_nbytes,
    .wait = NULL,
    .update = cpu_update,
    .squares = cpu_squares,
    .ema = cpu_ema,
    .running = cpu_running,
};
