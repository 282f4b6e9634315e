/*
 * The one store of packed weights: copies of parameters in another type or layout, shared by all plans.
 *
 * A filter is (O, I, KH, KW) in the arena, as in PyTorch; NHWC convolutions want (O, KH, KW, I).  A copy is written in
 * order, its reads stride over the taps and meet in the cache: filters are small beside what they are applied to.
 *
 * The first lane of each version of the parameters renews all copies before its kernels, in one record of the tape:
 * steps that are alike then look alike, and are replayed.  Binding only says what is wanted; memory is taken later
 * (lk_backend.reserve).
 */
#include "engine/cuda/element.h"
#include "engine/cuda/product.h"
#include "engine/cuda/tape.h"

struct cuda_packed {
    cuda_ref of;
    int64_t O, I, taps;
    bool bf16;
    void *copy;   /* owned, device; NULL until cuda_packed_reserve() */
    int users;
    cuda_packed *next;
};

static size_t nbytes_of(const cuda_packed *p)
{
    return (size_t)(p->O * p->I * p->taps) * (p->bf16 ? sizeof(__nv_bfloat16) : sizeof(float));
}

static bool is_wanted(const cuda_packed *p, cuda_ref w, int64_t I, int64_t taps, bool bf16)
{
    return p->of.offset == w.offset && p->I == I && p->taps == taps && p->bf16 == bf16;
}

lk_status cuda_packed_want(cuda_ctx *ctx, cuda_ref w, int64_t O, int64_t I, int64_t taps, bool bf16, cuda_packed **out)
{
    cuda_packed *p = ctx->packed;

    assert(w.arena == LK_ARENA_PARAMS);
    while (p && !is_wanted(p, w, I, taps, bf16)) p = p->next;
    if (!p) {
        p = (cuda_packed *)lk_alloc(sizeof *p);
        LK_TRY_ALLOC(p, sizeof *p, "a packed weight");
        p->of = w;
        p->O = O, p->I = I, p->taps = taps;
        p->bf16 = bf16;
        p->next = ctx->packed;
        ctx->packed = p;
    }
    p->users++;
    *out = p;
    return LK_OK;
}

void cuda_packed_drop(cuda_ctx *ctx, cuda_packed **packed)
{
    cuda_packed *p = *packed, **link = &ctx->packed;

    *packed = NULL;
    if (--p->users > 0) return;
    while (*link != p) link = &(*link)->next;
    *link = p->next;
    if (p->copy) {
        cuda_tape_forget(ctx); /* recordings renew it */
        cudaFree(p->copy);
    }
    lk_free(&p);
}

const void *cuda_packed_at(const cuda_packed *packed) { return packed->copy; }

size_t cuda_packed_nbytes(void *arg)
{
    const cuda_ctx *ctx = (const cuda_ctx *)arg;
    size_t nbytes = ctx->shadow.n_elem * sizeof *ctx->shadow.copy;

    for (const cuda_packed *p = ctx->packed; p; p = p->next) nbytes += nbytes_of(p);
    return nbytes;
}

lk_status cuda_packed_reserve(void *arg)
{
    cuda_ctx *ctx = (cuda_ctx *)arg;
    cuda_shadow *s = &ctx->shadow;

    if (s->n_elem > 0 && !s->copy) LK_TRY(cuda_take(ctx, s->n_elem * sizeof *s->copy, (void **)&s->copy));
    for (cuda_packed *p = ctx->packed; p; p = p->next) {
        if (p->copy) continue;
        LK_TRY(cuda_take(ctx, nbytes_of(p), &p->copy));
        ctx->packed_version = 0;
    }
    return LK_OK;
}

lk_status cuda_packed_renew(cuda_ctx *ctx, const float *params, uint64_t version)
{
    if (!ctx->packed || (version != 0 && ctx->packed_version == version)) return LK_OK;
    size_t n = 0;

    for (const cuda_packed *p = ctx->packed; p; p = p->next) n++;
    LK_TRY(cuda_tape_append(ctx, CUDA_RECORD_PACK, LK_QUEUE_COMPUTE, n, &params, sizeof params));
    ctx->packed_version = version;
    return LK_OK;
}

/* w: (rows, I, taps) fp32; packed: (rows, taps, I). */
static __global__ void pack(void *packed, const float *w, size_t n, size_t I, size_t taps, bool bf16)
{
    for (size_t k = blockIdx.x * (size_t)blockDim.x + threadIdx.x; k < n; k += gridDim.x * (size_t)blockDim.x) {
        const size_t i = k % I, tap = k / I % taps, row = k / I / taps;

        element_store(packed, k, w[(row * I + i) * taps + tap], bf16);
    }
}

lk_status cuda_packed_run(cuda_ctx *ctx, const float *params)
{
    for (const cuda_packed *p = ctx->packed; p; p = p->next) {
        const float *w = params + p->of.offset / sizeof *params;
        const size_t n = (size_t)(p->O * p->I * p->taps);

        if (cuda_weight_lies_packed(p->I, p->taps))
            LK_TRY(cuda_cast_bf16(ctx->stream, (__nv_bfloat16 *)p->copy, w, n));
        else
            LK_LAUNCH_FLAT(pack, element_blocks(ctx, n), ELEMENT_BLOCK, ctx->stream, p->copy, w, n, (size_t)p->I,
                           (size_t)p->taps, p->bf16);
    }
    return LK_OK;
}
