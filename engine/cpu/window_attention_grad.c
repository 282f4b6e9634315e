/* The gradient of attention within windows.  The formulas are in engine/ops/window_attention.c; P is made anew. */
#include "engine/cpu/partials.h"
#include "engine/cpu/small_gemm.h"
#include "engine/cpu/windows.h"

#include <math.h>

/* dp (row) becomes dS of one query, and is added to its row of dB. */
static void softmax_grad(float *restrict dp, const float *restrict p, float *restrict sum_db, size_t row)
{
    float lane[CPU_PARTIALS] = {0};

    for (size_t j = 0; j < row; j += CPU_PARTIALS)
        for (size_t k = 0; k < CPU_PARTIALS; k++) lane[k] += p[j + k] * dp[j + k];
    const float sum = cpu_add_partials(lane);

    for (size_t j = 0; j < row; j++) {
        dp[j] = p[j] * (dp[j] - sum);
        sum_db[j] += dp[j];
    }
}

/* `which` third of dqkv, 0 for dq, from `out`; tokens outside add to the gradient of pad. */
static void give(const cpu_windows_run *run, const cpu_window *window, size_t head, int which, const size_t *token,
                 size_t n, float scale, const cpu_window_head *h)
{
    const cpu_windows *s = run->s;
    const size_t channel = (size_t)which * s->C + head * s->D;

    cpu_windows_scatter(s, run->dqkv, 3 * s->C, channel, token, n, h->out, scale);
    if (!run->dpad || window->n_inside == s->T) return;
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; token[i] == CPU_OUTSIDE && c < s->D; c++)
            h->sum_dpad[channel + c] += h->out[i * s->D + c] * scale;
}

/* dv = P^T dy, with what dropout left of P; dp serves as its place, for it is made only then. */
static void give_dv(const cpu_windows_run *run, const cpu_window *window, size_t head, const cpu_window_head *h)
{
    const cpu_windows *s = run->s;
    const float *p = h->p;

    if (s->p > 0.0) {
        cpu_windows_drop(s, window, h->dp, h->p, h->factor);
        p = h->dp;
    }
    small_gemm(h->out, s->D, (small_matrix){p, 1, s->row}, h->dy, s->D, NULL, s->T, s->D, window->n_inside);
    give(run, window, head, 2, window->token, s->T, 1.0f, h);
}

/* dS, in the place of dP. */
static void make_ds(const cpu_windows_run *run, const cpu_window *window, size_t head, const cpu_window_head *h)
{
    const cpu_windows *s = run->s;

    small_transpose(h->turned, h->v, s->row, s->D);
    small_gemm(h->dp, s->row, (small_matrix){h->dy, s->D, 1}, h->turned, s->row, NULL, window->n_inside, s->row, s->D);
    if (s->p > 0.0) cpu_windows_drop(s, window, h->dp, h->dp, h->factor);
    for (size_t r = 0; r < window->n_inside; r++)
        softmax_grad(h->dp + r * s->row, h->p + r * s->row,
                     h->sum_db + (head * s->T + window->inside[r]) * s->row, s->row);
}

static void attend_back(const cpu_windows_run *run, const cpu_window *window, size_t head, const cpu_window_head *h)
{
    const cpu_windows *s = run->s;
    const size_t D = s->D, n = window->n_inside;

    cpu_windows_probabilities(run, window, head, h);
    cpu_windows_gather(s, h->dy, run->dy, s->C, head * D, window->inside_token, n, NULL, 1.0f);
    if (run->dqkv) give_dv(run, window, head, h);
    make_ds(run, window, head, h);
    if (!run->dqkv) return;
    small_gemm(h->out, D, (small_matrix){h->dp, s->row, 1}, h->k, D, NULL, n, D, s->T);
    give(run, window, head, 0, window->inside_token, n, 1.0f / sqrtf((float)D), h);
    small_gemm(h->out, D, (small_matrix){h->dp, 1, s->row}, h->q, D, NULL, s->T, D, n);
    give(run, window, head, 1, window->token, s->T, 1.0f, h);
}

static void attend_back_chunks(void *arg, size_t begin, size_t end)
{
    const cpu_windows_run *run = arg;
    const cpu_windows *s = run->s;
    cpu_window window;

    for (size_t chunk = begin; chunk < end; chunk++) {
        const lk_range windows = cpu_windows_range(s, chunk);
        const cpu_window_head h = cpu_windows_begin_chunk(run, chunk);

        memset(h.sum_db, 0, s->heads * s->T * s->row * sizeof(float));
        memset(h.sum_dpad, 0, 3 * s->C * sizeof(float));
        for (size_t w = windows.begin; w < windows.end; w++) {
            cpu_window_find(s, w, &window);
            for (size_t head = 0; head < s->heads; head++) attend_back(run, &window, head, &h);
        }
    }
}

/* -------------------------------------------------------------------- sums */

/* total[a row of the table] += dB of the pairs that it is for; db (T, row). */
static void add_pairs(const cpu_windows *s, const float *db, double *total)
{
    for (size_t t = 0; t < s->T; t++, db += s->row) {
        const size_t i = t / s->M, k = t % s->M;

        for (size_t j = 0; j < s->M; j++) {
            double *to = total + cpu_windows_relative(s, i, k, j);

            for (size_t l = 0; l < s->M; l++) *(to - l) += (double)db[j * s->M + l];
        }
    }
}

static void add_table(const cpu_windows_run *run, size_t head)
{
    enum { MOST_SIDE = 2 * LK_LARGEST_WINDOW - 1 };
    const cpu_windows *s = run->s;
    double total[MOST_SIDE * MOST_SIDE] = {0};

    for (size_t chunk = 0; chunk < s->n_chunks; chunk++)
        add_pairs(s, cpu_windows_buffers(run, chunk).sum_db + head * s->T * s->row, total);
    for (size_t i = 0; i < (2 * s->M - 1) * (2 * s->M - 1); i++) run->dtable[i * s->heads + head] = (float)total[i];
}

static void add_pad(const cpu_windows_run *run)
{
    for (size_t c = 0; c < 3 * run->s->C; c++) {
        double total = 0.0;

        for (size_t chunk = 0; chunk < run->s->n_chunks; chunk++)
            total += (double)cpu_windows_buffers(run, chunk).sum_dpad[c];
        run->dpad[c] = (float)total;
    }
}

static lk_status run_attention_grad(void *state, const lk_launch_args *args)
{
    cpu_windows_run run = cpu_windows_begin(state, args);

    cpu_windows_split(&run, attend_back_chunks);
    for (size_t head = 0; run.dtable && head < run.s->heads; head++) add_table(&run, head);
    if (run.dpad) add_pad(&run);
    return LK_OK;
}

lk_status cpu_bind_window_attention_grad(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node,
                                         lk_kernel *out)
{
    return cpu_windows_bind(ctx, graph, node, true, run_attention_grad, out);
}
