/* Windows of an image: which tokens they have, how these are gathered, and the probabilities of one head. */
#include "engine/cpu/windows.h"

#include "engine/cpu/dropout.h"
#include "engine/cpu/partials.h"
#include "engine/cpu/small_gemm.h"

#include <math.h>
#include <string.h>

/* As many multiply-adds as some ten microseconds take: fewer are done before a thread has started. */
enum { MULTIPLY_ADDS_PER_THREAD = 1 << 20, LINE_FLOATS = 16 };
#define UNSEEN (-100.0f) /* torchvision's */

static size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }
static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* ------------------------------------------------------------------- state */

static void find_tensors(cpu_windows *s, const lk_graph *graph, const lk_node *node, bool backward)
{
    const int *of = node->in + backward; /* qkv, table, pad */

    s->qkv = cpu_ref_of(graph, of[0]);
    s->table = cpu_ref_of(graph, of[1]);
    s->pad = cpu_ref_of(graph, of[2]);
    if (!backward) {
        s->y = cpu_ref_of(graph, node->out[0]);
        return;
    }
    s->dy = cpu_ref_of(graph, node->in[0]);
    s->dqkv = cpu_ref_of(graph, node->out[0]);
    s->dtable = cpu_ref_of(graph, node->out[1]);
    s->dpad = cpu_ref_of(graph, node->out[2]);
}

/* Floats of a matrix of so many rows and columns, to whole lines of the cache. */
static size_t floats(size_t rows, size_t cols) { return round_up(rows * cols, LINE_FLOATS); }

static size_t bias_floats(const cpu_windows *s) { return floats(s->heads * s->T, s->row); }

static cpu_windows state_of(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, bool backward)
{
    const lk_tensor *qkv = cpu_in(graph, node, backward);
    const lk_windows *windows = &node->attrs.windows;
    const size_t M = (size_t)windows->size, C = (size_t)qkv->shape[3] / 3;
    cpu_windows s = {
        .H = (size_t)qkv->shape[1], .W = (size_t)qkv->shape[2], .C = C,
        .heads = (size_t)windows->heads, .D = C / (size_t)windows->heads,
        .M = M, .T = M * M, .row = round_up(M * M, CPU_PARTIALS),
        .shift = {(size_t)windows->shift[0], (size_t)windows->shift[1]},
        .p = windows->p, .layer = windows->layer, .dtype = qkv->dtype, .threads = ctx->threads,
    };

    s.down = (s.H + M - 1) / M;
    s.across = (s.W + M - 1) / M;
    s.n_windows = (size_t)qkv->shape[0] * s.down * s.across;
    s.n_chunks = smaller(s.n_windows, CPU_WINDOW_CHUNKS);
    s.chunk_floats = 6 * floats(s.row, s.D) + 3 * floats(s.T, s.row);
    if (backward) s.chunk_floats += bias_floats(&s) + floats(3, s.C);
    find_tensors(&s, graph, node, backward);
    return s;
}

lk_status cpu_windows_bind(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, bool backward,
                           lk_status (*run)(void *state, const lk_launch_args *args), lk_kernel *out)
{
    const cpu_windows s = state_of(ctx, graph, node, backward);

    LK_TRY(cpu_kernel_keep(out, run, &s, sizeof s));
    out->scratch_nbytes = (bias_floats(&s) + s.n_chunks * s.chunk_floats) * sizeof(float);
    return LK_OK;
}

/* --------------------------------------------------------------------- run */

/* bias (row) of the query in row i and column k of its window: of the keys above it first. */
static void spread_row(const cpu_windows *s, const float *table, size_t i, size_t k, float *bias)
{
    for (size_t j = 0; j < s->M; j++) {
        const float *from = table + cpu_windows_relative(s, i, k, j) * s->heads;

        for (size_t l = 0; l < s->M; l++) *bias++ = *(from - l * s->heads);
    }
    for (size_t u = s->T; u < s->row; u++) *bias++ = -INFINITY;
}

cpu_windows_run cpu_windows_begin(const cpu_windows *s, const lk_launch_args *args)
{
    cpu_windows_run run = {
        .s = s, .qkv = cpu_at(args, s->qkv), .dy = cpu_at(args, s->dy), .y = cpu_at(args, s->y),
        .dqkv = cpu_at(args, s->dqkv), .dtable = cpu_at(args, s->dtable), .dpad = cpu_at(args, s->dpad),
        .pad = cpu_at(args, s->pad), .bias = args->base[LK_ARENA_SCRATCH], .sample = args->sample, .step = args->step,
        .key = lk_philox_key_new(args->seed, LK_PURPOSE_DROPOUT, s->layer),
    };

    run.chunks = run.bias + bias_floats(s);
    float *bias = run.bias;
    for (size_t head = 0; head < s->heads; head++)
        for (size_t t = 0; t < s->T; t++, bias += s->row)
            spread_row(s, (const float *)cpu_at(args, s->table) + head, t / s->M, t % s->M, bias);
    return run;
}

void cpu_windows_split(cpu_windows_run *run, void (*body)(void *run, size_t begin, size_t end))
{
    const cpu_windows *s = run->s;
    const size_t of_chunk = s->n_windows / s->n_chunks * s->T * s->T * s->C;

    cpu_split(s->threads, s->n_chunks, 1 + MULTIPLY_ADDS_PER_THREAD / of_chunk, body, run);
}

lk_range cpu_windows_range(const cpu_windows *s, size_t chunk)
{
    return (lk_range){s->n_windows * chunk / s->n_chunks, s->n_windows * (chunk + 1) / s->n_chunks};
}

static float *take(float **at, size_t n)
{
    float *taken = *at;

    *at += n;
    return taken;
}

cpu_window_head cpu_windows_buffers(const cpu_windows_run *run, size_t chunk)
{
    const cpu_windows *s = run->s;
    const size_t tokens = floats(s->row, s->D), square = floats(s->T, s->row);
    float *at = run->chunks + chunk * s->chunk_floats;

    return (cpu_window_head){
        .q = take(&at, tokens), .k = take(&at, tokens), .v = take(&at, tokens), .dy = take(&at, tokens),
        .turned = take(&at, tokens), .out = take(&at, tokens), .p = take(&at, square), .factor = take(&at, square),
        .dp = take(&at, square), .sum_db = take(&at, bias_floats(s)), .sum_dpad = at,
    };
}

cpu_window_head cpu_windows_begin_chunk(const cpu_windows_run *run, size_t chunk)
{
    const cpu_windows *s = run->s;
    const cpu_window_head h = cpu_windows_buffers(run, chunk);
    const size_t nbytes = (s->row - s->T) * s->D * sizeof(float);

    memset(h.k + s->T * s->D, 0, nbytes);
    memset(h.v + s->T * s->D, 0, nbytes);
    return h;
}

/* ----------------------------------------------------------------- windows */

/* What an axis says of the place-th token of window number `window` of `n`: where it is, among `n` M tokens, and
 * which end of the image it is from, where the last window has both. */
typedef struct axis { size_t at, end; } axis;

static axis find_axis(size_t M, size_t shift, size_t window, size_t n, size_t place)
{
    const size_t at = window * M + place + shift;

    return (axis){at < n * M ? at : at - n * M, window + 1 == n && place >= M - shift};
}

static void find_masks(const cpu_windows *s, cpu_window *w)
{
    for (size_t region = 0; region < 4; region++) {
        for (size_t t = 0; t < s->T; t++) w->mask[region][t] = w->region[t] == region ? 0.0f : UNSEEN;
        for (size_t t = s->T; t < s->row; t++) w->mask[region][t] = 0.0f;
    }
}

/* Token t, at these places of the axes. */
static void add_token(const cpu_windows *s, cpu_window *w, size_t t, size_t first, axis down, axis right)
{
    w->region[t] = (uint8_t)(2 * down.end + right.end);
    w->token[t] = down.at < s->H && right.at < s->W ? first + down.at * s->W + right.at : CPU_OUTSIDE;
    if (w->token[t] == CPU_OUTSIDE) return;
    w->inside[w->n_inside] = t;
    w->inside_token[w->n_inside++] = w->token[t];
}

void cpu_window_find(const cpu_windows *s, size_t number, cpu_window *w)
{
    const size_t of_sample = s->down * s->across, M = s->M;

    w->sample = number / of_sample;
    w->number = number % of_sample;
    w->n_inside = 0;
    for (size_t i = 0; i < M; i++) {
        const axis down = find_axis(M, s->shift[0], w->number / s->across, s->down, i);

        for (size_t k = 0; k < M; k++)
            add_token(s, w, i * M + k, w->sample * s->H * s->W, down,
                      find_axis(M, s->shift[1], w->number % s->across, s->across, k));
    }
    find_masks(s, w);
}

/* ------------------------------------------------------------------ tokens */

CPU_INLINE void gather(float *restrict to, const void *restrict x, size_t D, float scale, lk_dtype dtype)
{
    for (size_t c = 0; c < D; c++) to[c] = cpu_load(x, c, dtype) * scale;
}

CPU_INLINE void scatter(void *restrict x, const float *restrict from, size_t D, float scale, lk_dtype dtype)
{
    for (size_t c = 0; c < D; c++) cpu_store(x, c, from[c] * scale, dtype);
}

static void gather_pad(float *to, const float *pad, size_t D, float scale, lk_dtype dtype)
{
    for (size_t c = 0; c < D; c++)
        to[c] = (dtype == LK_DTYPE_BF16 ? cpu_bf16_to_f32(cpu_bf16_from_f32(pad[c])) : pad[c]) * scale;
}

void cpu_windows_gather(const cpu_windows *s, float *to, const void *x, size_t x_row, size_t channel,
                        const size_t *token, size_t n, const float *pad, float scale)
{
    for (size_t i = 0; i < n; i++, to += s->D) {
        const size_t at = token[i] * x_row + channel;

        if (token[i] == CPU_OUTSIDE) gather_pad(to, pad + channel, s->D, scale, s->dtype);
        else if (s->dtype == LK_DTYPE_BF16) gather(to, (const uint16_t *)x + at, s->D, scale, LK_DTYPE_BF16);
        else gather(to, (const float *)x + at, s->D, scale, LK_DTYPE_F32);
    }
}

void cpu_windows_scatter(const cpu_windows *s, void *x, size_t x_row, size_t channel, const size_t *token, size_t n,
                         const float *from, float scale)
{
    for (size_t i = 0; i < n; i++, from += s->D) {
        const size_t at = token[i] * x_row + channel;

        if (token[i] == CPU_OUTSIDE) continue;
        if (s->dtype == LK_DTYPE_BF16) scatter((uint16_t *)x + at, from, s->D, scale, LK_DTYPE_BF16);
        else scatter((float *)x + at, from, s->D, scale, LK_DTYPE_F32);
    }
}

/* ----------------------------------------------------------- probabilities */

/* p (row) = softmax(p + bias + mask), sums in the order of partials.h. */
static void softmax(float *restrict p, const float *restrict bias, const float *restrict mask, size_t row)
{
    float lane[CPU_PARTIALS];

    for (size_t k = 0; k < CPU_PARTIALS; k++) lane[k] = -INFINITY;
    for (size_t j = 0; j < row; j += CPU_PARTIALS)
        for (size_t k = 0; k < CPU_PARTIALS; k++) {
            p[j + k] = (p[j + k] + bias[j + k]) + mask[j + k];
            lane[k] = CPU_LARGER(lane[k], p[j + k]);
        }
    const float largest = cpu_max_partials(lane);

    for (size_t k = 0; k < CPU_PARTIALS; k++) lane[k] = 0.0f;
    for (size_t j = 0; j < row; j += CPU_PARTIALS)
        for (size_t k = 0; k < CPU_PARTIALS; k++) {
            p[j + k] = lk_exp(p[j + k] - largest);
            lane[k] += p[j + k];
        }
    const float inv_sum = 1.0f / cpu_add_partials(lane);

    for (size_t j = 0; j < row; j++) p[j] *= inv_sum;
}

/* factor (row) of query t: 1 / (1 - p) or 0.  Elements of a sample are counted as (windows, heads, T, row). */
static void draw_factors(const cpu_windows_run *run, const cpu_window *window, size_t head, size_t t,
                         float *restrict factor)
{
    const cpu_windows *s = run->s;
    const size_t first = ((window->number * s->heads + head) * s->T + t) * s->row / LK_DROPOUT_GROUP;
    const int64_t sample = run->sample[window->sample];
    const uint32_t threshold = lk_dropout_threshold(s->p);
    const float scale = (float)(1.0 / (1.0 - s->p));
    uint32_t words[CPU_DROPOUT_WORDS];

    for (size_t j = 0; j < s->row; j += CPU_DROPOUT_WORDS) {
        const size_t group = first + j / LK_DROPOUT_GROUP, n = smaller(s->row - j, CPU_DROPOUT_WORDS);
        const cpu_dropout_group a = cpu_dropout_group_of(run->step, sample, group),
                                b = cpu_dropout_group_of(run->step, sample, group + 1);

        cpu_dropout_draw(run->key, run->step, &a, &b, words);
        for (size_t k = 0; k < n; k++) factor[j + k] = lk_dropout_keep(words[k], threshold) ? scale : 0.0f;
    }
}

void cpu_windows_probabilities(const cpu_windows_run *run, const cpu_window *window, size_t head,
                               const cpu_window_head *h)
{
    const cpu_windows *s = run->s;
    const size_t D = s->D, channel = head * D, n = window->n_inside;
    const float inv_root = 1.0f / sqrtf((float)D);

    cpu_windows_gather(s, h->q, run->qkv, 3 * s->C, channel, window->inside_token, n, run->pad, inv_root);
    cpu_windows_gather(s, h->k, run->qkv, 3 * s->C, s->C + channel, window->token, s->T, run->pad, 1.0f);
    cpu_windows_gather(s, h->v, run->qkv, 3 * s->C, 2 * s->C + channel, window->token, s->T, run->pad, 1.0f);
    small_transpose(h->turned, h->k, s->row, D);
    small_gemm(h->p, s->row, (small_matrix){h->q, D, 1}, h->turned, s->row, NULL, n, s->row, D);
    for (size_t r = 0; r < n; r++) {
        const size_t t = window->inside[r];

        softmax(h->p + r * s->row, run->bias + (head * s->T + t) * s->row, window->mask[window->region[t]], s->row);
        if (s->p > 0.0) draw_factors(run, window, head, t, h->factor + r * s->row);
    }
}

void cpu_windows_drop(const cpu_windows *s, const cpu_window *window, float *to, const float *from, const float *factor)
{
    for (size_t i = 0; i < window->n_inside * s->row; i++) to[i] = from[i] * factor[i];
}
