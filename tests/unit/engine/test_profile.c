/* A profiled lane: the nodes of the plan, once each and in order, with its work; and gradients as in any run. */
#include "tests/support/network.h"

typedef struct told {
    size_t n, n_within;
    bool backward, ordered;
    double seconds, flops, bytes_moved;
} told;

static void put(void *arg, const lk_node_time *time)
{
    told *t = arg;

    cr_expect_geq(time->seconds, 0.0, "%s %s: %g s", time->layer, time->op, time->seconds);
    t->ordered = t->ordered && (time->backward || !t->backward);
    t->backward = t->backward || time->backward;
    t->n_within += time->within != NULL;
    t->seconds += time->seconds;
    t->flops += time->flops;
    t->bytes_moved += time->bytes_moved;
    t->n++;
}

static void expect_profile(lk_model_spec spec)
{
    network net = network_new(spec, LK_FP32, 6);
    lk_lane lane = lane_of(&net, LK_TRAIN);
    told t = {.ordered = true};
    lk_plan_stats stats;

    run_lane(&net, lane);
    const size_t n_grads = lk_trainable_n_grads(lk_engine_trainable(net.engine));
    float *want = lk_alloc(n_grads * sizeof *want);
    memcpy(want, net.grads, n_grads * sizeof *want);

    lane.params = net.there_params;
    lane.grads = net.there_grads;
    memset(net.grads, 0, n_grads * sizeof *net.grads);
    cr_assert_eq(lk_engine_profile(net.engine, &lane, put, &t), LK_OK, "%s", lk_error_message());
    network_fetch(&net);
    cr_expect_eq(memcmp(net.grads, want, n_grads * sizeof *want), 0, "gradients differ from those of a plain run");

    cr_assert_eq(lk_engine_plan_stats(net.engine, &(lk_program){.mode = LK_TRAIN, .n = net.n}, &stats), LK_OK);
    cr_expect_eq(t.n, stats.n_nodes, "%zu nodes were told of, the plan has %zu", t.n, stats.n_nodes);
    cr_expect(t.backward && t.ordered, "the backward pass comes behind the forward pass");
    cr_expect_lt(t.n_within, t.n);
    cr_expect_gt(t.seconds, 0.0);
    cr_expect_eq(t.flops, stats.flops, "got %g FLOPs, the plan has %g", t.flops, stats.flops);
    cr_expect_eq(t.bytes_moved, stats.bytes_moved, "got %g bytes, the plan has %g", t.bytes_moved, stats.bytes_moved);
    lk_free(&want);
    network_free(&net);
}

Test(profile, of_layers_in_a_row) { expect_profile(mlp_spec(LK_NORM_LAYER, LK_NORM_BEFORE, 0.2)); }
Test(profile, of_images_and_batch_norm) { expect_profile(cnn_spec(LK_NORM_BATCH, LK_POOL_MAX)); }
