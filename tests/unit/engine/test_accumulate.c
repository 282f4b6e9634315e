/* A lane in micro-batches: gradients, statistics and loss are added in order to what the one arena holds. */
#include "tests/support/network.h"

enum { LANE = 14, MICRO = 3, N_MICRO = (LANE + MICRO - 1) / MICRO };

/* Of a lane in pieces of MICRO samples: the last has fewer. */
static lk_lane micro_batch(network *net, int m)
{
    lk_lane lane = lane_of(net, LK_TRAIN);
    const int64_t begin = m * MICRO;

    lane.n = LANE - begin < MICRO ? LANE - begin : MICRO;
    lane.field[0] = net->x + (size_t)begin * n_input(net);
    if (lane.field[1] == net->label) lane.field[1] = net->label + begin;
    else lane.field[1] = net->target + (size_t)begin * lk_model_n_output(net->model);
    lane.sample += begin;
    return lane;
}

static void accumulate(network *net, lk_ready_fn *ready, void *arg)
{
    for (int m = 0; m < N_MICRO; m++) {
        lk_lane lane = micro_batch(net, m);

        lane.accumulate = m > 0;
        lane.n_micro_batches = N_MICRO;
        lane.ready = m + 1 == N_MICRO ? ready : NULL;
        lane.ready_arg = arg;
        run_lane(net, lane);
    }
}

static size_t n_grads(const network *net) { return lk_trainable_n_grads(lk_engine_trainable(net->engine)); }

/* Everything but the counting slot, which the first micro-batch has filled for all. */
static void expect_sum(network *net, const float *sum, const char *what)
{
    const size_t count = lk_trainable_slot(lk_engine_trainable(net->engine), LK_SLOT_MICRO_BATCHES);

    for (size_t i = 0; i < n_grads(net); i++)
        if (i != count)
            cr_expect_eq(net->grads[i], sum[i], "%s, element %zu: got %.9g, the sum is %.9g", what, i,
                         (double)net->grads[i], (double)sum[i]);
    cr_expect_eq(net->grads[count], (float)N_MICRO, "%s: %g micro-batches are counted", what,
                 (double)net->grads[count]);
}

Test(accumulate, micro_batches_add_up_in_order)
{
    const struct { const char *what; lk_model_spec spec; } cases[] = {
        {"an mlp with dropout", mlp_spec(LK_NORM_NONE, LK_NORM_BEFORE, 0.4)},
        {"an mlp with batch norm", mlp_spec(LK_NORM_BATCH, LK_NORM_BEFORE, 0.0)},
        {"a cnn with batch norm", cnn_spec(LK_NORM_BATCH, LK_POOL_MAX)},
        {"resnet18", backbone_spec(LK_MODEL_RESNET18, 1.0 / 16, 8)},
        {"a swin", swin_spec(0.2, 0.1)}};

    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        network net = network_new(cases[c].spec, LK_FP32, LANE);
        float *sum = lk_alloc(n_grads(&net) * sizeof *sum);

        for (int m = 0; m < N_MICRO; m++) {
            run_lane(&net, micro_batch(&net, m));
            lk_add_f32(sum, net.grads, n_grads(&net));
        }
        memset(net.grads, 0xff, n_grads(&net) * sizeof *net.grads); /* NaN wherever nobody writes */
        accumulate(&net, NULL, NULL);
        expect_sum(&net, sum, cases[c].what);
        lk_free(&sum);
        network_free(&net);
    }
}

typedef struct told { const float *grads; float *then; int *times; } told;

static void remember(void *arg, size_t begin, size_t end)
{
    told *t = arg;

    for (size_t i = begin; i < end; i++) {
        t->times[i]++;
        if (t->then) t->then[i] = t->grads[i];
    }
}

/* A reduction may begin with the last micro-batch's ranges: each is final when it is told. */
Test(accumulate, ranges_of_the_last_micro_batch_are_told_once_and_final)
{
    network net = network_new(cnn_spec(LK_NORM_BATCH, LK_POOL_AVG), LK_FP32, LANE);
    const size_t n = n_grads(&net);
    const bool seen = !lk_engine_on_device(net.engine); /* a device has only queued what it tells */
    told t = {.grads = net.grads, .then = seen ? lk_alloc(n * sizeof(float)) : NULL,
              .times = lk_alloc(n * sizeof(int))};

    accumulate(&net, remember, &t);
    for (size_t i = 0; i < n; i++) cr_expect_eq(t.times[i], 1, "element %zu of %zu told %d times", i, n, t.times[i]);
    if (seen) cr_expect(memcmp(t.then, net.grads, n * sizeof(float)) == 0, "a value changed after it was told");
    lk_free(&t.then), lk_free(&t.times);
    network_free(&net);
}

static size_t largest_gradient(const network *net)
{
    size_t most = 0;

    for (size_t i = 0; i < lk_model_n_tensors(net->model); i++)
        if (lk_model_tensor(net->model, i)->n_elem > most) most = lk_model_tensor(net->model, i)->n_elem;
    return most * sizeof(float);
}

/* A gradient is added before the next layer's is made, so of them all the arena of activations holds one layer's. */
Test(accumulate, gradients_of_one_layer_at_a_time_are_kept_beside_the_arena)
{
    network net = network_new(cnn_spec(LK_NORM_BATCH, LK_POOL_MAX), LK_FP32, LANE);
    lk_program program = {.mode = LK_TRAIN, .n = MICRO};
    lk_plan_stats plain, more;

    cr_assert_eq(lk_engine_plan_stats(net.engine, &program, &plain), LK_OK, "%s", lk_error_message());
    program.accumulate = true;
    cr_assert_eq(lk_engine_plan_stats(net.engine, &program, &more), LK_OK, "%s", lk_error_message());
    cr_expect_eq(more.grad_bytes, plain.grad_bytes);
    cr_expect_gt(more.n_nodes, plain.n_nodes);
    cr_expect_leq(more.activation_bytes, plain.activation_bytes + 2 * largest_gradient(&net),
                  "%zu bytes of activations, without accumulating %zu", more.activation_bytes, plain.activation_bytes);
    network_free(&net);
}
