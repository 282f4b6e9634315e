/*
 * Convolutions on cuDNN (its graph API), behind the seam of conv.h: what was chosen is kept, and run.
 *
 * A run is one call with a variant pack, which names the addresses and cannot be changed once it is made.  Addresses
 * come back: the arenas stay, lanes and uploads take turns.  So a pack is made when its addresses are met first, in
 * the first steps, and found again later.
 */
#include "engine/cuda/conv_cudnn.h"

#include <string.h>

enum {
    N_TENSORS = 4,   /* x, w, y, b */
    MOST_PACKS = 64, /* of one convolution; then the oldest makes room */
};

/* Under ctx->dnn. */
struct cuda_dnn {
    cudnnHandle_t handle;            /* owned */
    dnn_pile pile;                   /* owns device */
    cudnnBackendDescriptor_t device; /* its properties */
};

typedef struct conv_pack {
    cuda_conv_at at;
    cudnnBackendDescriptor_t pack; /* owned; NULL: none yet */
} conv_pack;

struct cuda_conv {
    cuda_ctx *ctx; /* borrowed */
    dnn_pile pile; /* owns choice */
    dnn_choice choice;
    conv_pack packs[MOST_PACKS];
    int next;      /* to be made */
};

static lk_status fail(cudnnStatus_t status, const char *what)
{
    char more[256] = "";

    cudnnGetLastErrorString(more, sizeof more);
    return LK_FAIL(LK_ERR_SYSTEM, "cuDNN: %s in %s%s%s", cudnnGetErrorString(status), what, more[0] ? ": " : "", more);
}

/* -------------------------------------------------------------- the library */

size_t cuda_conv_version(void) { return cudnnGetVersion(); }

static cudnnStatus_t describe_device(struct cuda_dnn *dnn, int32_t device)
{
    DNN_TRY(dnn_new(&dnn->pile, CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &dnn->device));
    DNN_TRY(dnn_set(dnn->device, CUDNN_ATTR_DEVICEPROP_DEVICE_ID, CUDNN_TYPE_INT32, 1, &device));
    return cudnnBackendFinalize(dnn->device);
}

static lk_status open_dnn(cuda_ctx *ctx)
{
    if (ctx->dnn) return LK_OK;
    if (cudnnGetVersion() < CUDNN_OLDEST)
        return LK_FAIL(LK_ERR_SYSTEM, "convolutions need cuDNN 9.15 or newer, and this one is number %zu",
                       cudnnGetVersion());
    ctx->dnn = (struct cuda_dnn *)lk_alloc(sizeof *ctx->dnn);
    LK_TRY_ALLOC(ctx->dnn, sizeof *ctx->dnn);
    cudnnStatus_t status = cudnnCreate(&ctx->dnn->handle);
    if (status == CUDNN_STATUS_SUCCESS) status = cudnnSetStream(ctx->dnn->handle, ctx->stream);
    if (status == CUDNN_STATUS_SUCCESS) status = describe_device(ctx->dnn, ctx->device);
    if (status == CUDNN_STATUS_SUCCESS) return LK_OK;
    const lk_status failed = fail(status, "opening it");
    cuda_conv_close(ctx);
    return failed;
}

void cuda_conv_close(cuda_ctx *ctx)
{
    if (!ctx->dnn) return;
    dnn_free(&ctx->dnn->pile);
    if (ctx->dnn->handle) cudnnDestroy(ctx->dnn->handle);
    lk_free(&ctx->dnn);
}

/* ------------------------------------------------------------- a convolution */

static cudnnStatus_t make(cuda_conv *conv, const cuda_conv_spec *spec)
{
    cudnnBackendDescriptor_t graph;

    DNN_TRY(dnn_graph(&conv->pile, spec, &graph));
    return dnn_choose(&conv->pile, spec, graph, conv->ctx->dnn->device, &conv->choice);
}

lk_status cuda_conv_new(cuda_ctx *ctx, const cuda_conv_spec *spec, cuda_conv **out)
{
    *out = NULL;
    LK_TRY(open_dnn(ctx));
    cuda_conv *conv = (cuda_conv *)lk_alloc(sizeof *conv);
    LK_TRY_ALLOC(conv, sizeof *conv);
    conv->ctx = ctx;
    const cudnnStatus_t status = make(conv, spec);
    if (status == CUDNN_STATUS_SUCCESS) {
        *out = conv;
        return LK_OK;
    }
    const lk_status failed = dnn_has_none(status) ? LK_OK : fail(status, "choosing an engine for a convolution");
    cuda_conv_free(&conv);
    return failed;
}

void cuda_conv_free(cuda_conv **conv)
{
    if (!*conv) return;
    for (int i = 0; i < MOST_PACKS; i++)
        if ((*conv)->packs[i].pack) cudnnBackendDestroyDescriptor((*conv)->packs[i].pack);
    dnn_free(&(*conv)->pile);
    lk_free(conv);
}

size_t cuda_conv_workspace(const cuda_conv *conv) { return (size_t)conv->choice.workspace; }

/* The workspace tells apart what engine and knobs do not: in how many parts a sum is made. */
uint64_t cuda_conv_choice(const cuda_conv *conv)
{
    const dnn_choice *c = &conv->choice;
    uint64_t choice = lk_choose(lk_choose(0, (uint64_t)c->engine), (uint64_t)c->workspace);

    for (int i = 0; i < c->n_knobs; i++)
        choice = lk_choose(lk_choose(choice, (uint64_t)c->knobs[i].type), (uint64_t)c->knobs[i].value);
    return choice;
}

/* ---------------------------------------------------------------------- runs */

static cudnnStatus_t fill(cudnnBackendDescriptor_t pack, const cuda_conv_at *at)
{
    const int64_t names[N_TENSORS] = {DNN_X, DNN_W, DNN_Y, DNN_B}, n = at->b ? N_TENSORS : N_TENSORS - 1;
    const void *addresses[N_TENSORS] = {at->x, at->w, at->y, at->b};

    DNN_TRY(dnn_set(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, n, names));
    DNN_TRY(dnn_set(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, n, addresses));
    DNN_TRY(dnn_set(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &at->workspace));
    return cudnnBackendFinalize(pack);
}

static cudnnStatus_t pack_for(cuda_conv *conv, const cuda_conv_at *at, cudnnBackendDescriptor_t *out)
{
    for (int i = 0; i < MOST_PACKS && conv->packs[i].pack; i++) {
        *out = conv->packs[i].pack;
        if (memcmp(&conv->packs[i].at, at, sizeof *at) == 0) return CUDNN_STATUS_SUCCESS;
    }
    conv_pack *p = &conv->packs[conv->next];
    if (p->pack) cudnnBackendDestroyDescriptor(p->pack);
    p->pack = NULL;
    p->at = *at;
    DNN_TRY(cudnnBackendCreateDescriptor(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, &p->pack));
    conv->next = (conv->next + 1) % MOST_PACKS;
    *out = p->pack;
    return fill(p->pack, at);
}

lk_status cuda_conv_run(cuda_conv *conv, const cuda_conv_at *at)
{
    cudnnBackendDescriptor_t pack;

    cudnnStatus_t status = pack_for(conv, at, &pack);
    if (status == CUDNN_STATUS_SUCCESS) status = cudnnBackendExecute(conv->ctx->dnn->handle, conv->choice.plan, pack);
    return status == CUDNN_STATUS_SUCCESS ? LK_OK : fail(status, "running a convolution");
}
