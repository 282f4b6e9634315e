/*
 * What is queued on a device: that it is replayed with this step's numbers, that other work is never taken for it, and
 * that whoever must wait for somebody does.
 *
 * All values are small integers, which add exactly, so every comparison is an equality.  The tests go through the
 * module's table alone: over a device, or over tests/gpu/standin, whose streams do each piece of work as late as they
 * may, so that a wait that is missing shows.
 */
#include "engine/backend.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct fixture {
    const lk_backend *b;
    const lk_device_calls *d;
    void *ctx;
} fixture;

static void ok(lk_status status)
{
    cr_assert_eq(status, LK_OK, "%s (%s)", lk_error_message(), lk_error_trace());
}

static fixture open_device(void)
{
    const lk_engine_options options = {.kind = LK_ENGINE_CUDA, .threads = 1};
    const lk_module *module;
    fixture f = {0};

    if (lk_module_open(&module) != LK_OK) cr_skip_test("%s", lk_error_message());
    f.b = module->backend;
    f.d = f.b->device;
    if (f.b->available() == 0) cr_skip_test("the CUDA module finds no device");
    ok(f.b->open(&options, &f.ctx));
    return f;
}

static float *floats(const fixture *f, size_t n, float value)
{
    void *at;
    float *host = malloc(n * sizeof *host);

    ok(f->b->alloc(f->ctx, n * sizeof(float), &at));
    for (size_t i = 0; i < n; i++) host[i] = value;
    ok(f->b->write(f->ctx, at, host, n * sizeof(float)));
    free(host);
    return at;
}

static void expect_all(const fixture *f, const float *at, size_t n, float want, const char *what)
{
    float *host = malloc(n * sizeof *host);
    size_t wrong = 0;

    ok(f->b->read(f->ctx, host, at, n * sizeof *host));
    while (wrong < n && host[wrong] == want) wrong++;
    cr_expect(wrong == n, "%s: element %zu of %zu is %g, want %g", what, wrong, n,
              wrong < n ? (double)host[wrong] : 0.0, (double)want);
    free(host);
}

/* Called whenever records run one by one: the first time and when they are recorded, but not in a replay. */
static int n_calls;
static lk_status count_call(const void *arg, void *stream)
{
    (void)stream;
    n_calls += *(const int *)arg;
    return LK_OK;
}

static void queue_count(const fixture *f)
{
    const int one = 1;
    ok(f->d->call(f->ctx, LK_QUEUE_REDUCE, false, count_call, &one, sizeof one));
}

/* sum += value, by way of the arguments; worth a graph. */
static void queue_sum(const fixture *f, float *sum, float *term, float value)
{
    ok(f->d->put(f->ctx, term, &value, 1));
    ok(f->d->add(f->ctx, LK_QUEUE_COMPUTE, sum, term, 1));
    queue_count(f);
}

/* ------------------------------------------------------------------ replays */

Test(tape, the_same_work_is_replayed_with_new_numbers)
{
    enum { STEPS = 9 };
    const fixture f = open_device();
    float *sum = floats(&f, 1, 0.0f), *term = floats(&f, 1, 0.0f);

    n_calls = 0;
    for (int step = 1; step <= STEPS; step++) {
        queue_sum(&f, sum, term, (float)step);
        ok(f.d->launch(f.ctx));
    }
    expect_all(&f, sum, 1, STEPS * (STEPS + 1) / 2, "sum of all steps");
    cr_expect_eq(n_calls, 2, "the work ran one by one %d times, want 2: once, and to be recorded", n_calls);
    f.b->close(f.ctx);
}

/* What other workers take part in is not recorded, for they may not have seen it before; what comes after it is. */
Test(tape, work_shared_with_others_runs_on_the_streams)
{
    enum { STEPS = 5 };
    const fixture f = open_device();
    float *sum = floats(&f, 1, 0.0f), *term = floats(&f, 1, 0.0f);
    const int one = 1;

    n_calls = 0;
    for (int step = 0; step < STEPS; step++) {
        queue_sum(&f, sum, term, 1.0f);
        ok(f.d->call(f.ctx, LK_QUEUE_REDUCE, true, count_call, &one, sizeof one));
        ok(f.d->launch(f.ctx));
    }
    cr_expect_eq(n_calls, 2 * STEPS, "two calls a step were made %d times, want %d", n_calls, 2 * STEPS);
    n_calls = 0;
    for (int step = 0; step < STEPS; step++) {
        queue_sum(&f, sum, term, 1.0f);
        ok(f.d->launch(f.ctx));
    }
    cr_expect_eq(n_calls, 2, "without the others it ran one by one %d times, want 2", n_calls);
    expect_all(&f, sum, 1, 2 * STEPS, "sum");
    f.b->close(f.ctx);
}

Test(tape, nothing_is_replayed_where_graphs_are_off)
{
    enum { STEPS = 5 };

    setenv("LOCKSTEP_CUDA_GRAPHS", "0", 1);
    const fixture f = open_device();
    float *sum = floats(&f, 1, 0.0f), *term = floats(&f, 1, 0.0f);

    n_calls = 0;
    for (int step = 0; step < STEPS; step++) {
        queue_sum(&f, sum, term, 1.0f);
        ok(f.d->launch(f.ctx));
    }
    cr_expect_eq(n_calls, STEPS, "the work ran one by one %d times, want %d", n_calls, STEPS);
    expect_all(&f, sum, 1, STEPS, "sum");
    f.b->close(f.ctx);
}

/* Tapes that differ in a size, a pointer, a queue or an order alone, in turns, so that each is replayed. */
Test(tape, different_work_is_not_mistaken_for_it)
{
    enum { N = 64, ROUNDS = 5 };
    const fixture f = open_device();
    float *a = floats(&f, N, 0.0f), *b = floats(&f, N, 0.0f), *one = floats(&f, N, 1.0f), *two = floats(&f, N, 2.0f);

    for (int round = 0; round < ROUNDS; round++)
        for (int kind = 0; kind < 4; kind++) {
            ok(f.d->add(f.ctx, LK_QUEUE_COMPUTE, a, one, kind == 0 ? N / 2 : N));
            ok(f.d->add(f.ctx, kind == 1 ? LK_QUEUE_REDUCE : LK_QUEUE_COMPUTE, b, kind == 2 ? two : one, N));
            ok(f.d->zero(f.ctx, LK_QUEUE_COMPUTE, kind == 3 ? a + N / 2 : one, kind == 3 ? N / 2 * sizeof *a : 0));
            ok(f.d->add(f.ctx, LK_QUEUE_COMPUTE, a, two, N));
            ok(f.d->launch(f.ctx));
        }
    expect_all(&f, a, N / 2, ROUNDS * (4 * 1 + 4 * 2), "first half of a");
    expect_all(&f, a + N / 2, N / 2, 2, "second half of a, zeroed in the last tape");
    expect_all(&f, b, N, ROUNDS * (3 * 1 + 2), "b");
    f.b->close(f.ctx);
}

Test(tape, recordings_end_with_memory_they_may_know)
{
    const fixture f = open_device();
    float *sum = floats(&f, 1, 0.0f), *term = floats(&f, 1, 0.0f), *other = floats(&f, 1, 0.0f);

    n_calls = 0;
    for (int step = 0; step < 4; step++) {
        queue_sum(&f, sum, term, 1.0f);
        ok(f.d->launch(f.ctx));
    }
    cr_expect_eq(n_calls, 2, "before the release the work ran one by one %d times, want 2", n_calls);
    f.b->release(f.ctx, other);
    queue_sum(&f, sum, term, 1.0f);
    ok(f.d->launch(f.ctx));
    cr_expect_eq(n_calls, 3, "after it %d times, want 3: the recording must be gone", n_calls);
    expect_all(&f, sum, 1, 5.0f, "sum");
    f.b->close(f.ctx);
}

/* More tapes than are kept, so that the one used longest ago makes room. */
Test(tape, more_kinds_of_work_than_are_remembered)
{
    enum { KINDS = 100, ROUNDS = 4 };
    const fixture f = open_device();
    float *sums = floats(&f, KINDS, 0.0f), *term = floats(&f, 1, 0.0f);

    for (int round = 0; round < ROUNDS; round++)
        for (int kind = 0; kind < KINDS; kind++) {
            queue_sum(&f, sums + kind, term, (float)(round + 1));
            ok(f.d->launch(f.ctx));
        }
    expect_all(&f, sums, KINDS, ROUNDS * (ROUNDS + 1) / 2, "sums");
    f.b->close(f.ctx);
}

/* A tape is run by whoever wants to see, and in order. */
Test(tape, what_is_open_is_done_for_who_reads)
{
    const fixture f = open_device();
    float *sum = floats(&f, 1, 0.0f), *term = floats(&f, 1, 0.0f);
    float one = 1.0f;

    queue_sum(&f, sum, term, 3.0f);
    expect_all(&f, sum, 1, 3.0f, "read without a launch");
    queue_sum(&f, sum, term, 4.0f);
    ok(f.b->write(f.ctx, sum, &one, sizeof one));
    expect_all(&f, sum, 1, 1.0f, "written after the work queued before");
    queue_sum(&f, sum, term, 5.0f);
    ok(f.b->wait(f.ctx));
    expect_all(&f, sum, 1, 6.0f, "waited for");
    f.b->close(f.ctx);
}

/* --------------------------------------------------------------- two queues */

Test(tape, queues_wait_for_each_other_where_told)
{
    enum { N = 1 << 16, STEPS = 6 };
    const fixture f = open_device();
    float *grads = floats(&f, N, 0.0f), *ones = floats(&f, N, 1.0f), *sum = floats(&f, N, 0.0f),
          *result = floats(&f, N, 0.0f);

    for (int step = 0; step < STEPS; step++) {
        ok(f.d->zero(f.ctx, LK_QUEUE_COMPUTE, grads, N * sizeof *grads));
        ok(f.d->add(f.ctx, LK_QUEUE_COMPUTE, grads, ones, N));
        ok(f.d->after(f.ctx, LK_QUEUE_REDUCE, LK_QUEUE_COMPUTE));
        ok(f.d->add(f.ctx, LK_QUEUE_REDUCE, sum, grads, N));
        ok(f.d->after(f.ctx, LK_QUEUE_COMPUTE, LK_QUEUE_REDUCE));
        ok(f.d->add(f.ctx, LK_QUEUE_COMPUTE, result, sum, N));
        ok(f.d->launch(f.ctx));
    }
    expect_all(&f, sum, N, STEPS, "sum");
    expect_all(&f, result, N, STEPS * (STEPS + 1) / 2, "result");
    f.b->close(f.ctx);
}

/* Without a word in the tape: a launch ends with both queues. */
Test(tape, the_next_launch_comes_after_both_queues)
{
    enum { N = 1 << 16, STEPS = 6 };
    const fixture f = open_device();
    float *ones = floats(&f, N, 1.0f), *sum = floats(&f, N, 0.0f), *result = floats(&f, N, 0.0f);

    for (int step = 0; step < STEPS; step++) {
        for (int i = 0; i < 3; i++) ok(f.d->add(f.ctx, LK_QUEUE_REDUCE, sum, ones, N));
        ok(f.d->launch(f.ctx));
        for (int i = 0; i < 3; i++) ok(f.d->add(f.ctx, LK_QUEUE_COMPUTE, result, sum, N));
        ok(f.d->launch(f.ctx));
        ok(f.d->after(f.ctx, LK_QUEUE_COMPUTE, LK_QUEUE_REDUCE));
    }
    expect_all(&f, sum, N, 3 * STEPS, "sum");
    expect_all(&f, result, N, 9 * STEPS * (STEPS + 1) / 2, "result");
    f.b->close(f.ctx);
}

/* ------------------------------------------------------------------ uploads */

enum { N_UPLOAD = 5000 };

static const float *upload(const fixture *f, bool keep, float value)
{
    float host[N_UPLOAD];
    const void *at;

    for (int i = 0; i < N_UPLOAD; i++) host[i] = value;
    ok(f->d->upload(f->ctx, keep, host, sizeof host, &at));
    memset(host, 0, sizeof host); /* it may be reused at once */
    return at;
}

/* sum += what was uploaded. */
static void use_upload(const fixture *f, float *sum, float *term, const float *uploaded)
{
    ok(f->d->copy(f->ctx, LK_QUEUE_COMPUTE, term, uploaded, N_UPLOAD * sizeof *term));
    ok(f->d->add(f->ctx, LK_QUEUE_COMPUTE, sum, term, N_UPLOAD));
    queue_count(f);
}

Test(tape, a_lane_uploaded_ahead_is_the_one_that_runs)
{
    enum { STEPS = 12 };
    const fixture f = open_device();
    float *sum = floats(&f, N_UPLOAD, 0.0f), *term = floats(&f, N_UPLOAD, 0.0f);
    const float *at[STEPS + 2];

    n_calls = 0;
    at[0] = upload(&f, true, 1.0f);
    for (int step = 0; step < STEPS; step++) {
        at[step + 1] = upload(&f, true, (float)(step + 2));
        use_upload(&f, sum, term, at[step]);
        ok(f.d->launch(f.ctx));
    }
    expect_all(&f, sum, N_UPLOAD, STEPS * (STEPS + 1) / 2, "sum");
    for (int step = 2; step < STEPS; step++)
        cr_expect_eq(at[step], at[step + 2 <= STEPS ? step + 2 : step], "step %d: %p, two later %p", step,
                     (const void *)at[step], (const void *)at[step + 2]);
    cr_expect_neq(at[2], at[3], "two uploads in a row are in one place");
    f.b->close(f.ctx);
}

Test(tape, two_halves_make_two_recordings)
{
    enum { STEPS = 12 };
    const fixture f = open_device();
    float *sum = floats(&f, N_UPLOAD, 0.0f), *term = floats(&f, N_UPLOAD, 0.0f);

    n_calls = 0;
    for (int step = 0; step < STEPS; step++) {
        use_upload(&f, sum, term, upload(&f, true, (float)(step + 1)));
        ok(f.d->launch(f.ctx));
    }
    expect_all(&f, sum, N_UPLOAD, STEPS * (STEPS + 1) / 2, "sum");
    cr_expect_eq(n_calls, 4, "the work ran one by one %d times, want 4: twice for each half", n_calls);
    f.b->close(f.ctx);
}

/* Evaluating in between reads, so it runs tapes, and brings lanes of its own. */
Test(tape, a_kept_lane_outlasts_whatever_reads_before_its_launch)
{
    enum { EVALUATED = 7 };
    const fixture f = open_device();
    float *sum = floats(&f, N_UPLOAD, 0.0f), *evaluated = floats(&f, N_UPLOAD, 0.0f),
          *term = floats(&f, N_UPLOAD, 0.0f);
    const float *ahead = upload(&f, true, 100.0f);

    ok(f.d->launch(f.ctx));
    for (int i = 1; i <= EVALUATED; i++) {
        use_upload(&f, evaluated, term, upload(&f, false, (float)i));
        expect_all(&f, evaluated, N_UPLOAD, (float)(i * (i + 1) / 2), "evaluated so far");
    }
    use_upload(&f, sum, term, ahead);
    ok(f.d->launch(f.ctx));
    expect_all(&f, sum, N_UPLOAD, 100.0f, "the lane kept");
    f.b->close(f.ctx);
}

/* Several lanes in one tape, larger than what was there at first. */
Test(tape, a_half_grows_without_moving_what_it_holds)
{
    enum { LANES = 150 };
    const fixture f = open_device();
    float *sum = floats(&f, N_UPLOAD, 0.0f), *term = floats(&f, N_UPLOAD, 0.0f);

    for (int step = 0; step < 3; step++) {
        for (int lane = 1; lane <= LANES; lane++) use_upload(&f, sum, term, upload(&f, false, (float)lane));
        ok(f.d->launch(f.ctx));
    }
    expect_all(&f, sum, N_UPLOAD, 3 * (LANES * (LANES + 1) / 2), "sum");
    f.b->close(f.ctx);
}

/* -------------------------------------------------------------------- lanes */

static lk_launch_args seen[2];
static lk_status see_run(void *state, const lk_launch_args *args)
{
    *(lk_launch_args *)state = *args;
    return LK_OK;
}

/* A bucket that is read when it is ready cuts the lane in two tapes; the second must find the lane's arguments, though
 * others were put where they lay. */
Test(tape, a_lane_cut_by_a_read_keeps_its_arguments)
{
    const fixture f = open_device();
    const lk_graph graph = {.precision = LK_FP32};
    const lk_kernel kernels[2] = {{.run = see_run, .state = &seen[0]}, {.run = see_run, .state = &seen[1]}};
    float *somewhere = floats(&f, 4, 0.0f);
    const float others[4] = {-1.0f, -2.0f, -3.0f, -4.0f};
    lk_launch_args args = {.n = 3, .step = 41, .inv_count = 0.25f, .seed = 7, .params_version = 5};
    lk_lane_args lane;

    ok(f.d->begin(f.ctx, &graph, &args));
    cr_expect_not_null(args.lane);
    ok(f.d->run(f.ctx, &kernels[0], 1, &args));
    expect_all(&f, somewhere, 4, 0.0f, "read in the middle");
    ok(f.d->put(f.ctx, somewhere, others, 4));
    ok(f.d->run(f.ctx, &kernels[1], 1, &args));
    ok(f.b->wait(f.ctx));
    for (int i = 0; i < 2; i++) {
        cr_expect(seen[i].step == 0 && seen[i].inv_count == 0.0f, "kernel %d saw step %lld and inv_count %g, want 0", i,
                  (long long)seen[i].step, (double)seen[i].inv_count);
        cr_expect(seen[i].n == 3 && seen[i].seed == 7 && seen[i].params_version == 0, "kernel %d saw another run", i);
    }
    ok(f.b->read(f.ctx, &lane, seen[1].lane, sizeof lane));
    cr_expect(lane.step == 41 && lane.inv_count == 0.25f, "arguments are step %lld, inv_count %g, want 41, 0.25",
              (long long)lane.step, (double)lane.inv_count);
    f.b->close(f.ctx);
}

/* One record, but many kernels: an evaluation's lane is replayed too. */
Test(tape, a_lane_alone_is_worth_a_graph)
{
    static int n_runs;
    const fixture f = open_device();
    const lk_graph graph = {.precision = LK_FP32};
    lk_kernel kernels[8] = {{0}};

    n_runs = 0;
    for (int i = 0; i < 8; i += 2) kernels[i] = (lk_kernel){.run = see_run, .state = &seen[0]};
    for (int step = 0; step < 5; step++) {
        lk_launch_args args = {.n = 1, .step = step};

        memset(&seen[0], 0, sizeof seen[0]);
        ok(f.d->begin(f.ctx, &graph, &args));
        ok(f.d->run(f.ctx, kernels, 8, &args));
        ok(f.d->launch(f.ctx));
        n_runs += seen[0].n == 1;
    }
    cr_expect_eq(n_runs, 2, "its kernels were started %d times, want 2", n_runs);
    f.b->close(f.ctx);
}

/* ---------------------------------------------------------------- snapshots */

enum { N_SAVED = 1 << 22 };

static void expect_host(const float *host, float want, const char *what)
{
    size_t wrong = 0;

    while (wrong < N_SAVED && host[wrong] == want) wrong++;
    cr_expect(wrong == N_SAVED, "%s: element %zu was saved as %g, want %g", what, wrong,
              wrong < N_SAVED ? (double)host[wrong] : 0.0, (double)want);
}

/* The step is the same before, during and after, so it is replayed, taken out of its graph and replayed again. */
Test(tape, a_snapshot_is_complete_before_the_next_update_touches)
{
    enum { STEPS = 9 };
    const fixture f = open_device();
    float *params = floats(&f, N_SAVED, 0.0f), *next = floats(&f, N_SAVED, 0.0f), *one = floats(&f, N_SAVED, 1.0f);
    void *host;

    ok(f.d->host_alloc(f.ctx, N_SAVED * sizeof(float), &host));
    for (int step = 1; step <= STEPS; step++) {
        ok(f.d->add(f.ctx, LK_QUEUE_COMPUTE, next, one, N_SAVED));
        ok(f.b->ema(f.ctx, params, next, 0, N_SAVED, LK_EMA_COPY, 0.0f, false));
        queue_count(&f);
        ok(f.d->launch(f.ctx));
        if (step % 2 == 0) {
            ok(f.b->wait(f.ctx)); /* the update first: it must not have overtaken */
            ok(f.d->snapshot_wait(f.ctx));
            expect_host(host, (float)(step - 1), "snapshot");
        } else {
            ok(f.d->snapshot(f.ctx, host, params, N_SAVED * sizeof(float)));
        }
    }
    expect_all(&f, params, N_SAVED, STEPS, "parameters");
    f.d->host_release(f.ctx, host);
    f.b->close(f.ctx);
}

Test(tape, whatever_else_writes_waits_for_the_snapshot_too)
{
    const fixture f = open_device();
    float *params = floats(&f, N_SAVED, 1.0f), *two = floats(&f, N_SAVED, 2.0f);
    float *three = malloc(N_SAVED * sizeof *three);
    void *host;

    for (size_t i = 0; i < N_SAVED; i++) three[i] = 3.0f;
    ok(f.d->host_alloc(f.ctx, N_SAVED * sizeof(float), &host));
    ok(f.d->snapshot(f.ctx, host, params, N_SAVED * sizeof(float)));
    ok(f.d->copy(f.ctx, LK_QUEUE_COMPUTE, params, two, N_SAVED * sizeof(float)));
    ok(f.b->wait(f.ctx));
    expect_host(host, 1.0f, "before a copy");
    ok(f.d->snapshot(f.ctx, host, params, N_SAVED * sizeof(float)));
    ok(f.b->write(f.ctx, params, three, N_SAVED * sizeof(float)));
    expect_host(host, 2.0f, "before a write");
    ok(f.d->snapshot(f.ctx, host, params, N_SAVED * sizeof(float)));
    f.b->release(f.ctx, params);
    expect_host(host, 3.0f, "before a release");
    free(three);
    f.d->host_release(f.ctx, host);
    f.b->close(f.ctx);
}

/* --------------------------------------------------------------- inspection */

/* 3 and 4 among zeros: the norm is exactly 5. */
Test(tape, a_report_is_of_the_inspection_before_it)
{
    enum { N = 1000 };
    const fixture f = open_device();
    float host[N] = {[17] = 3.0f, [900] = -4.0f},
          slots[LK_N_SLOTS] = {[LK_SLOT_LOSS] = 2.0f, [LK_SLOT_MICRO_BATCHES] = 3.0f};
    float *grads = floats(&f, N, 0.0f), *device_slots = floats(&f, LK_N_SLOTS, 0.0f), *others = floats(&f, 4, 6.0f);
    lk_grad_report report = {.pending = true};
    lk_squares squares = {0};

    ok(f.b->write(f.ctx, grads, host, sizeof host));
    ok(f.b->write(f.ctx, device_slots, slots, sizeof slots));
    ok(f.d->inspect(f.ctx, grads, N, device_slots, true, 0.0f, 0.0));
    ok(f.b->squares(f.ctx, others, (const size_t[]){0, 4}, 1, 0.0f, &squares));
    cr_expect(squares.raw == 144.0 && squares.clamped == 144.0, "the other squares are %g, want 144", squares.raw);
    ok(f.d->report(f.ctx, &report));
    cr_expect(report.norm == 5.0 && report.finite && !report.pending, "norm %g, want 5", report.norm);
    cr_expect(memcmp(report.slots, slots, sizeof slots) == 0, "slots are %g, %g, want 2, 3", (double)report.slots[0],
              (double)report.slots[1]);
    ok(f.d->inspect(f.ctx, grads, N, device_slots, false, 0.0f, 0.0));
    ok(f.d->report(f.ctx, &report));
    cr_expect(isnan(report.norm), "nobody asked for a norm, and it is %g", report.norm);
    f.b->close(f.ctx);
}

/* --------------------------------------------------------------------- poll */

static lk_status give_up(void *arg)
{
    ++*(int *)arg;
    return LK_ERR_PEER;
}

/* Enough work that the first look finds it going on. */
Test(tape, a_poll_that_fails_ends_the_wait)
{
    enum { N = 1 << 20, ADDS = 200 };
    const fixture f = open_device();
    float *sum = floats(&f, N, 0.0f), *one = floats(&f, N, 1.0f);
    int n_polls = 0;

    for (int i = 0; i < ADDS; i++) ok(f.d->add(f.ctx, LK_QUEUE_COMPUTE, sum, one, N));
    f.d->set_poll(f.ctx, give_up, &n_polls);
    const lk_status status = f.b->wait(f.ctx);
    if (status == LK_OK && n_polls == 0) cr_skip_test("the work was done at the first look");
    cr_expect_eq(status, LK_ERR_PEER, "the wait ended with %d, want %d", status, LK_ERR_PEER);
    cr_expect_eq(n_polls, 1, "asked %d times, want once", n_polls);
    f.d->set_poll(f.ctx, NULL, NULL);
    expect_all(&f, sum, N, ADDS, "the work itself goes on");
    f.b->close(f.ctx);
}
