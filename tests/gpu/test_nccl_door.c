/*
 * NCCL's door (dist/nccl/nccl.h) with a communicator of one: all of NCCL that a single device can show.  Messages to
 * oneself in a group and a sum, queued by the engine as a reduction queues them, first on a stream, then captured,
 * then replayed; and the communicator's end, closed, or given up while a graph holds its operations.
 *
 * Values are small integers, so every comparison is an equality.
 */
#include "dist/nccl/nccl.h"
#include "engine/backend.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { N = 1000, STEPS = 5, PATIENCE_S = 60 };

typedef struct fixture {
    const lk_backend *b;
    const lk_device_calls *d;
    const lk_nccl *nccl;
    void *ctx, *comm;
    float *term, *ones, *from, *into, *total; /* device, (N) */
} fixture;

static void ok(lk_status status)
{
    cr_assert_eq(status, LK_OK, "%s (%s)", lk_error_message(), lk_error_trace());
}

static float *zeros(const fixture *f)
{
    void *at;

    ok(f->b->alloc(f->ctx, N * sizeof(float), &at));
    return at;
}

static fixture open_alone(void)
{
    const lk_engine_options options = {.kind = LK_ENGINE_CUDA, .threads = 1};
    const lk_module *module;
    char id[LK_NCCL_ID_BYTES];
    fixture f = {0};

    if (lk_module_open(&module) != LK_OK) cr_skip_test("%s", lk_error_message());
    f.b = module->backend;
    f.d = f.b->device;
    f.nccl = module->collectives;
    if (f.b->available() == 0) cr_skip_test("the CUDA module finds no device");
    ok(f.b->open(&options, &f.ctx));
    ok(f.nccl->unique_id(id));
    ok(f.nccl->open(id, 1, 0, &f.comm));
    f.term = zeros(&f), f.ones = zeros(&f), f.from = zeros(&f), f.into = zeros(&f), f.total = zeros(&f);
    float ones[N];
    for (int i = 0; i < N; i++) ones[i] = 1.0f;
    ok(f.b->write(f.ctx, f.ones, ones, sizeof ones));
    return f;
}

/* --------------------------------------------------------------------- steps */

typedef struct messages {
    const fixture *f;
    int64_t n;
} messages;

static int n_calls;

static lk_status to_oneself(const void *arg, void *stream)
{
    const messages *m = arg;
    const fixture *f = m->f;

    n_calls++;
    LK_TRY(f->nccl->group_start());
    LK_TRY(f->nccl->send(f->comm, f->from, (size_t)m->n, 0, stream));
    LK_TRY(f->nccl->receive(f->comm, f->into, (size_t)m->n, 0, stream));
    LK_TRY(f->nccl->group_end());
    return f->nccl->all_reduce(f->comm, f->into, (size_t)m->n, stream);
}

/* from += 1; into = from, by way of NCCL; total += into. */
static void queue_step(const fixture *f)
{
    const messages m = {f, N};

    ok(f->d->add(f->ctx, LK_QUEUE_COMPUTE, f->from, f->ones, N));
    ok(f->d->after(f->ctx, LK_QUEUE_REDUCE, LK_QUEUE_COMPUTE));
    ok(f->d->call(f->ctx, LK_QUEUE_REDUCE, false, to_oneself, &m, sizeof m));
    ok(f->d->after(f->ctx, LK_QUEUE_COMPUTE, LK_QUEUE_REDUCE));
    ok(f->d->add(f->ctx, LK_QUEUE_COMPUTE, f->total, f->into, N));
    ok(f->d->launch(f->ctx));
}

/* Once on the streams, once captured, and replayed: with what each step computed. */
static void run_steps(const fixture *f)
{
    float total[N];
    size_t wrong = 0;

    n_calls = 0;
    for (int step = 0; step < STEPS; step++) queue_step(f);
    ok(f->b->read(f->ctx, total, f->total, sizeof total));
    while (wrong < N && total[wrong] == STEPS * (STEPS + 1) / 2) wrong++;
    cr_expect_eq(wrong, N, "element %zu of the total of %d steps is %g, want %d", wrong, STEPS,
                 wrong < N ? (double)total[wrong] : 0.0, STEPS * (STEPS + 1) / 2);
    cr_expect_eq(n_calls, 2, "NCCL was called in %d steps, want 2: once, and to be captured", n_calls);
    ok(f->nccl->poll(f->comm));
}

/* ---------------------------------------------------------------------- ends */

Test(nccl_door, a_communicator_of_one_sends_sums_and_is_replayed, .timeout = PATIENCE_S)
{
    fixture f = open_alone();

    cr_expect_str_eq(getenv("NCCL_GRAPH_REGISTER"), "0", "NCCL would register buffers of captured operations");
    run_steps(&f);
    f.b->release(f.ctx, f.term); /* what is recorded goes */
    ok(f.b->wait(f.ctx));
    f.nccl->close(f.comm);
    f.b->close(f.ctx);
}

static void *give_up(void *arg)
{
    const fixture *f = arg;

    f->nccl->abort(f->comm);
    return NULL;
}

/* The abort may wait for the graph, so it is a thread's, and ends when the recording is dropped. */
Test(nccl_door, it_is_given_up_while_a_graph_holds_its_operations, .timeout = PATIENCE_S)
{
    fixture f = open_alone();
    pthread_t thread;

    run_steps(&f);
    cr_assert_eq(pthread_create(&thread, NULL, give_up, &f), 0);
    f.b->release(f.ctx, f.term);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    float one[N];
    ok(f.b->read(f.ctx, one, f.ones, sizeof one));
    cr_expect_eq(one[N - 1], 1.0f, "the engine goes on without it: read %g, want 1", (double)one[N - 1]);
    f.b->close(f.ctx);
}
