/* Attention within windows, one head of one window at a time.  The formulas are in engine/ops/window_attention.c. */
#include "engine/cpu/small_gemm.h"
#include "engine/cpu/windows.h"

static void attend(const cpu_windows_run *run, const cpu_window *window, size_t head, const cpu_window_head *h)
{
    const cpu_windows *s = run->s;
    const size_t n = window->n_inside;

    cpu_windows_probabilities(run, window, head, h);
    if (s->p > 0.0) cpu_windows_drop(s, window, h->p, h->p, h->factor);
    small_gemm(h->out, s->D, (small_matrix){h->p, s->row, 1}, h->v, s->D, NULL, n, s->D, s->T);
    cpu_windows_scatter(s, run->y, s->C, head * s->D, window->inside_token, n, h->out, 1.0f);
}

static void attend_chunks(void *arg, size_t begin, size_t end)
{
    const cpu_windows_run *run = arg;
    cpu_window window;

    for (size_t chunk = begin; chunk < end; chunk++) {
        const lk_range windows = cpu_windows_range(run->s, chunk);
        const cpu_window_head h = cpu_windows_begin_chunk(run, chunk);

        for (size_t w = windows.begin; w < windows.end; w++) {
            cpu_window_find(run->s, w, &window);
            for (size_t head = 0; head < run->s->heads; head++) attend(run, &window, head, &h);
        }
    }
}

static lk_status run_attention(void *state, const lk_launch_args *args)
{
    cpu_windows_run run = cpu_windows_begin(state, args);

    cpu_windows_split(&run, attend_chunks);
    return LK_OK;
}

lk_status cpu_bind_window_attention(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return cpu_windows_bind(ctx, graph, node, false, run_attention, out);
}
