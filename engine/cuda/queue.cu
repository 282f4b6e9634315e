/*
 * The calls that queue.  A record holds what is the same in every step; what is not (rates, step numbers, votes, the
 * EMA's decay) goes to the arguments of the launch, and the record says where.
 *
 * Records are compared by their bytes, so each is zeroed first and then assigned field by field.
 */
#include "engine/cuda/tape.h"

#include <string.h>

static lk_status range(cuda_ctx *ctx, cuda_record_kind kind, lk_queue queue, void *to, const void *from, size_t n)
{
    cuda_range_record r;

    if (n == 0) return LK_OK;
    memset(&r, 0, sizeof r);
    r.to = to;
    r.from = from;
    r.n = n;
    return cuda_tape_append(ctx, kind, queue, 1, &r, sizeof r);
}

void cuda_shadow_touch(cuda_ctx *ctx, const void *at, size_t nbytes)
{
    const char *begin = (const char *)ctx->shadow.of, *end = (const char *)(ctx->shadow.of + ctx->shadow.n_elem);

    if (begin && (const char *)at < end && (const char *)at + nbytes > begin) ctx->shadow.of = NULL;
}

/* Sums and zeros are of gradients, which no snapshot copies: they need not wait for it. */
static lk_status queue_add(void *arg, lk_queue queue, float *into, const float *from, size_t n_elem)
{
    cuda_ctx *ctx = (cuda_ctx *)arg;

    cuda_shadow_touch(ctx, into, n_elem * sizeof *into);
    return range(ctx, CUDA_RECORD_ADD, queue, into, from, n_elem);
}

static lk_status queue_zero(void *arg, lk_queue queue, void *at, size_t nbytes)
{
    cuda_ctx *ctx = (cuda_ctx *)arg;

    cuda_shadow_touch(ctx, at, nbytes);
    return range(ctx, CUDA_RECORD_ZERO, queue, at, NULL, nbytes);
}

static lk_status queue_copy(void *arg, lk_queue queue, void *to, const void *from, size_t nbytes)
{
    cuda_ctx *ctx = (cuda_ctx *)arg;

    cuda_shadow_touch(ctx, to, nbytes);
    cuda_upload_read_by_tape(ctx->upload, from);
    LK_TRY(cuda_tape_guard(ctx, queue));
    return range(ctx, CUDA_RECORD_COPY, queue, to, from, nbytes);
}

/* What a call writes is not known.  In the reduce queue it is gradients; in the compute queue it may be parameters. */
static lk_status queue_call(void *arg, lk_queue queue, bool shared, lk_queued_fn *fn, const void *call_arg,
                            size_t nbytes)
{
    cuda_ctx *ctx = (cuda_ctx *)arg;
    char payload[sizeof(cuda_call_record) + CUDA_MOST_CALL_BYTES];
    cuda_call_record r;

    if (nbytes > CUDA_MOST_CALL_BYTES)
        return LK_FAIL(LK_ERR_USAGE, "a queued call with %zu bytes of arguments; at most %d", nbytes,
                       CUDA_MOST_CALL_BYTES);
    if (queue == LK_QUEUE_COMPUTE) {
        ctx->shadow.of = NULL;
        LK_TRY(cuda_tape_guard(ctx, queue));
    }
    if (shared) cuda_tape_share(ctx->tape);
    memset(&r, 0, sizeof r);
    r.fn = fn;
    memcpy(payload, &r, sizeof r);
    memcpy(payload + sizeof r, call_arg, nbytes);
    return cuda_tape_append(ctx, CUDA_RECORD_CALL, queue, 1, payload, sizeof r + nbytes);
}

static lk_status queue_after(void *arg, lk_queue then, lk_queue first)
{
    cuda_after_record r;

    if (then == first) return LK_OK;
    memset(&r, 0, sizeof r);
    r.first = first;
    return cuda_tape_append((cuda_ctx *)arg, CUDA_RECORD_AFTER, then, 0, &r, sizeof r);
}

static lk_status queue_put(void *arg, float *to, const float *values, size_t n)
{
    cuda_ctx *ctx = (cuda_ctx *)arg;
    const void *device;

    LK_TRY(cuda_args_put(ctx, values, n * sizeof *values, &device));
    return range(ctx, CUDA_RECORD_COPY, LK_QUEUE_COMPUTE, to, device, n * sizeof *values);
}

/* ------------------------------------------------------------------- lanes */

static lk_status renew_shadow(cuda_ctx *ctx, const lk_graph *graph, const float *params)
{
    cuda_shadow *s = &ctx->shadow;

    if (!s->copy || graph->precision != LK_BF16 || s->of == params) return LK_OK;
    LK_TRY(range(ctx, CUDA_RECORD_CAST, LK_QUEUE_COMPUTE, s->copy, params, s->n_elem));
    s->of = params;
    return LK_OK;
}

static lk_status queue_begin(void *arg, const lk_graph *graph, lk_launch_args *args)
{
    cuda_ctx *ctx = (cuda_ctx *)arg;

    cuda_args_begin_lane(ctx, args);
    LK_TRY(cuda_args_lane(ctx, &args->lane));
    args->step = 0;
    args->position = 0;
    args->inv_count = 0.0f;
    const float *params = (const float *)args->base[LK_ARENA_PARAMS];

    LK_TRY(renew_shadow(ctx, graph, params));
    LK_TRY(cuda_packed_renew(ctx, params, args->params_version));
    args->params_version = 0;
    return LK_OK;
}

static void mark_uploads(cuda_ctx *ctx, const lk_launch_args *args)
{
    for (int f = 0; f < LK_MAX_FIELDS; f++) cuda_upload_read_by_tape(ctx->upload, args->base[LK_ARENA_FIELD + f]);
    cuda_upload_read_by_tape(ctx->upload, args->base[LK_ARENA_FEATURES]);
    cuda_upload_read_by_tape(ctx->upload, args->sample);
}

/* args->lane may be of a tape that has been launched since. */
static lk_status queue_run(void *arg, const lk_kernel *kernels, size_t n, const lk_launch_args *args)
{
    cuda_ctx *ctx = (cuda_ctx *)arg;
    cuda_lane_record r;

    if (n == 0) return LK_OK;
    memset(&r, 0, sizeof r);
    LK_TRY(cuda_args_lane(ctx, &r.args.lane));
    r.kernels = kernels;
    r.n = n;
    for (int a = 0; a < LK_N_ARENAS; a++) r.args.base[a] = args->base[a];
    r.args.n = args->n;
    r.args.sample = args->sample;
    r.args.seed = args->seed;
    mark_uploads(ctx, args);
    return cuda_tape_append(ctx, CUDA_RECORD_LANE, LK_QUEUE_COMPUTE, n, &r, sizeof r);
}

/* ------------------------------------------------------------------ passes */

/* Two stages each. */
lk_status cuda_queue_inspect(cuda_ctx *ctx, const cuda_inspect_record *inspect)
{
    return cuda_tape_append(ctx, CUDA_RECORD_INSPECT, LK_QUEUE_COMPUTE, 2, inspect, sizeof *inspect);
}

static lk_status queue_inspect(void *arg, const float *grads, size_t n_elem, const float *slots, bool all,
                               float clip_value, double clip_norm)
{
    cuda_ctx *ctx = (cuda_ctx *)arg;
    cuda_inspect_record r;

    memset(&r, 0, sizeof r);
    r.grads = grads;
    r.slots = slots;
    r.n_elem = n_elem;
    r.clip_norm = clip_norm;
    r.clip_value = clip_value;
    r.all = all;
    r.report = ctx->report;
    return cuda_queue_inspect(ctx, &r);
}

static lk_status queue_report(void *arg, lk_grad_report *out)
{
    cuda_ctx *ctx = (cuda_ctx *)arg;

    LK_TRY(cuda_tape_launch(ctx));
    LK_CUDA(cudaMemcpyAsync(ctx->report_host, ctx->report, sizeof *ctx->report, cudaMemcpyDeviceToHost, ctx->stream));
    LK_TRY(cuda_wait_stream(ctx));
    out->norm = ctx->report_host->norm;
    out->finite = ctx->report_host->finite != 0;
    out->pending = false;
    memcpy(out->slots, ctx->report_host->slots, sizeof out->slots);
    return LK_OK;
}

/* What an update's code is chosen by, without the values that schedules move. */
static void fill_update(cuda_update_record *r, const lk_update *update)
{
    const lk_optimizer_spec *spec = update->spec;

    r->spec.kind = spec->kind;
    r->spec.nesterov = spec->nesterov;
    r->spec.amsgrad = spec->amsgrad;
    r->spec.weight_decay = spec->weight_decay != 0.0;
    r->spec.clip_value = spec->clip_value;
    r->update.params = update->params;
    r->update.grads = update->grads;
    for (int i = 0; i < 3; i++) r->update.state[i] = update->state[i];
    r->update.n_elem = update->n_elem;
    r->update.step = update->step == 1 ? 1 : 2;
    r->update.momentum = update->momentum != 0.0;
    r->update.grad_scale = update->grad_scale == 1.0f ? 1.0f : 0.5f;
    r->update.ema = update->ema;
    r->update.ema_mode = update->ema_mode;
    r->update.pending = update->pending;
}

lk_status cuda_queue_update(void *arg, const lk_update *update)
{
    cuda_ctx *ctx = (cuda_ctx *)arg;
    const cuda_shadow *s = &ctx->shadow;
    const bool shadowed = s->of && update->params >= s->of && update->params < s->of + s->n_elem;
    cuda_update_record r;
    void *host;
    const void *device;

    if (update->n_elem == 0) return LK_OK;
    LK_TRY(cuda_tape_guard(ctx, LK_QUEUE_COMPUTE));
    LK_TRY(cuda_args_take(ctx, cuda_update_args_bytes(), &host, &device));
    cuda_update_args_of(update, host);
    if (update->ema) cuda_shadow_touch(ctx, update->ema, update->n_elem * sizeof *update->ema);
    memset(&r, 0, sizeof r);
    fill_update(&r, update);
    r.args = (const cuda_update_args *)device;
    r.shadow = shadowed ? s->copy + (update->params - s->of) : NULL;
    return cuda_tape_append(ctx, CUDA_RECORD_UPDATE, LK_QUEUE_COMPUTE, 1, &r, sizeof r);
}

lk_status cuda_queue_ema(void *arg, float *ema, const float *params, size_t begin, size_t end, lk_ema_mode mode,
                         float decay, bool pending)
{
    cuda_ctx *ctx = (cuda_ctx *)arg;
    cuda_ema_record r;
    const void *device;

    if (begin >= end || mode == LK_EMA_OFF) return LK_OK;
    LK_TRY(cuda_tape_guard(ctx, LK_QUEUE_COMPUTE));
    LK_TRY(cuda_args_put(ctx, &decay, sizeof decay, &device));
    cuda_shadow_touch(ctx, ema + begin, (end - begin) * sizeof *ema);
    memset(&r, 0, sizeof r);
    r.ema = ema + begin;
    r.params = params + begin;
    r.n_elem = end - begin;
    r.mode = mode;
    r.pending = pending;
    r.decay = (const float *)device;
    return cuda_tape_append(ctx, CUDA_RECORD_EMA, LK_QUEUE_COMPUTE, 1, &r, sizeof r);
}

lk_status cuda_queue_running(void *arg, float *running, const float *stat, size_t n_elem, float momentum,
                             const float *lanes, bool pending)
{
    cuda_ctx *ctx = (cuda_ctx *)arg;
    cuda_running_record r;

    if (n_elem == 0) return LK_OK;
    LK_TRY(cuda_tape_guard(ctx, LK_QUEUE_COMPUTE));
    memset(&r, 0, sizeof r);
    r.running = running;
    r.stat = stat;
    r.lanes = lanes;
    r.n_elem = n_elem;
    r.momentum = momentum;
    r.pending = pending;
    return cuda_tape_append(ctx, CUDA_RECORD_RUNNING, LK_QUEUE_COMPUTE, 1, &r, sizeof r);
}

/* --------------------------------------------------------------- the others */

/* Its place on the bus: a number would count only what this process was shown, and NCCL tells devices apart by it
 * too. */
static void identify(void *ctx, char *text, size_t nbytes)
{
    if (cudaDeviceGetPCIBusId(text, (int)nbytes, ((cuda_ctx *)ctx)->device) != cudaSuccess) cudaGetLastError();
}

static lk_status launch(void *arg)
{
    cuda_ctx *ctx = (cuda_ctx *)arg;

    cuda_upload_next(ctx->upload, CUDA_STORE_KEPT);
    return cuda_tape_launch(ctx);
}

static void set_poll(void *arg, lk_status (*poll)(void *arg), void *poll_arg)
{
    cuda_ctx *ctx = (cuda_ctx *)arg;

    ctx->poll = poll;
    ctx->poll_arg = poll_arg;
}

/* Whoever saves may do so on a thread that has not met the device yet, and would be given the first one. */
static lk_status host_alloc(void *ctx, size_t nbytes, void **out)
{
    LK_CUDA(cudaSetDevice(((const cuda_ctx *)ctx)->device));
    LK_CUDA(cudaMallocHost(out, nbytes ? nbytes : 1));
    memset(*out, 0, nbytes);
    return LK_OK;
}

static void host_release(void *ctx, void *pointer)
{
    cudaSetDevice(((const cuda_ctx *)ctx)->device);
    cudaFreeHost(pointer);
}

static lk_status upload(void *ctx, bool keep, const void *host, size_t nbytes, const void **device)
{
    return cuda_upload_begin((cuda_ctx *)ctx, keep ? CUDA_STORE_KEPT : CUDA_STORE_PASSING, host, nbytes, device);
}

/* The copy begins after what is queued, which is launched for it, and what writes waits for the copy. */
static lk_status snapshot(void *arg, void *host, const void *device, size_t nbytes)
{
    cuda_ctx *ctx = (cuda_ctx *)arg;

    LK_TRY(cuda_tape_launch(ctx));
    LK_CUDA(cudaEventRecord(ctx->snapshot_from, ctx->stream));
    LK_CUDA(cudaStreamWaitEvent(ctx->snapshot_stream, ctx->snapshot_from, 0));
    LK_CUDA(cudaMemcpyAsync(host, device, nbytes, cudaMemcpyDeviceToHost, ctx->snapshot_stream));
    LK_CUDA(cudaEventRecord(ctx->snapshot_done, ctx->snapshot_stream));
    cuda_tape_snapshot(ctx->tape);
    return LK_OK;
}

static lk_status snapshot_wait(void *arg)
{
    cuda_ctx *ctx = (cuda_ctx *)arg;

    LK_CUDA(cudaSetDevice(ctx->device)); /* the thread may be new to the device */
    LK_CUDA(cudaEventSynchronize(ctx->snapshot_done));
    return LK_OK;
}

const lk_device_calls cuda_device_calls = {
    identify, queue_add, queue_zero, queue_copy, queue_call, queue_after, launch, set_poll, host_alloc, host_release,
    upload, snapshot, snapshot_wait, queue_put, queue_begin, queue_run, queue_inspect, queue_report,
    cuda_mark, cuda_elapsed,
};
