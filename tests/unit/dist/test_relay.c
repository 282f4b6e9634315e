/* Relays: any number of workers gives the tree's bits, and nobody has more than a few messages. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "dist/reduce/relay.h"

enum { MOST_LANES = 4096 };

static float lane_value[MOST_LANES];

static void fill_lanes(unsigned seed)
{
    srand(seed);
    for (int l = 0; l < MOST_LANES; l++)
        lane_value[l] = ((float)rand() / (float)RAND_MAX - 0.5f) * (float)(1 << (rand() % 20));
}

/* The definition, level by level, of lanes [begin, end): for a root, a whole node, too. */
static float direct_sum(int begin, int end)
{
    static float v[MOST_LANES];

    for (int l = begin; l < end; l++) v[l - begin] = lane_value[l];
    for (int n = end - begin; n > 1; n = (n + 1) / 2) {
        for (int i = 0; i < n / 2; i++) v[i] = v[2 * i] + v[2 * i + 1];
        if (n % 2) v[n / 2] = v[n - 1];
    }
    return v[0];
}

static int levels_of(int n)
{
    int levels = 0;

    while (1 << levels < n) levels++;
    return levels;
}

static int count_messages(const lk_relay *relay)
{
    int n = 0;

    for (int i = 0; i < relay->n; i++) n += relay->act[i].kind != LK_RELAY_ADD && relay->act[i].kind != LK_RELAY_MOVE;
    return n;
}

/* ------------------------------------------------------------- all workers, one after another, round by round */

typedef struct letter { int from, to, segment; float value; bool taken; } letter;

typedef struct stage {
    lk_tree_join join;
    lk_relay *relay;     /* (workers) */
    float (*root)[LK_RELAY_SEGMENTS]; /* by root, numbered through: its value in every segment, one element each */
    letter *mail;        /* of a round */
    int n_mail;
} stage;

static void act_out(stage *s, int worker, int round, bool sends)
{
    const int first = s->join.first[worker];

    for (int i = 0; i < s->relay[worker].n; i++) {
        const lk_relay_act *act = &s->relay[worker].act[i];
        const bool is_send = act->kind == LK_RELAY_SEND || act->kind == LK_RELAY_GIVE;

        if (act->round != round || is_send != sends) continue;
        float *root = &s->root[first + act->root][act->segment];
        if (is_send) {
            s->mail[s->n_mail++] = (letter){worker, act->peer, act->segment, *root, false};
            continue;
        }
        if (act->kind == LK_RELAY_ADD) *root += s->root[first + act->from][act->segment];
        if (act->kind == LK_RELAY_MOVE) s->root[first][act->segment] = s->root[first + act->from][act->segment];
        if (act->kind != LK_RELAY_RECEIVE && act->kind != LK_RELAY_GET) continue;
        int m = 0; /* the first of this pair that is left: messages of a pair keep their order */
        while (m < s->n_mail && (s->mail[m].taken || s->mail[m].from != act->peer || s->mail[m].to != worker)) m++;
        cr_assert(m < s->n_mail, "worker %d waits for worker %d in round %d", worker, act->peer, round);
        cr_assert_eq(s->mail[m].segment, act->segment, "worker %d gets segment %d for %d", worker, s->mail[m].segment,
                     act->segment);
        s->mail[m].taken = true;
        *root = act->kind == LK_RELAY_GET ? s->mail[m].value : *root + s->mail[m].value;
    }
}

static void play(stage *s, int lanes, int workers, int n_segments)
{
    int n_rounds = 0, n_messages = 0;

    for (int w = 0; w < workers; w++) {
        cr_assert_eq(lk_relay_new(&s->join, w, n_segments, &s->relay[w]), LK_OK);
        if (s->relay[w].n_rounds > n_rounds) n_rounds = s->relay[w].n_rounds;
        n_messages += count_messages(&s->relay[w]);
    }
    s->mail = calloc((size_t)n_messages, sizeof *s->mail);
    for (int round = 1; round <= n_rounds; round++) {
        s->n_mail = 0;
        for (int w = 0; w < workers; w++) act_out(s, w, round, true);
        for (int w = 0; w < workers; w++) act_out(s, w, round, false);
        for (int m = 0; m < s->n_mail; m++) cr_assert(s->mail[m].taken, "a message of round %d is not taken", round);
    }
    cr_expect_leq(n_rounds, 2 * levels_of(lanes) + levels_of(workers), "%d rounds of %d workers", n_rounds, workers);
    for (int w = 0; w < workers; w++) lk_relay_clear(&s->relay[w]);
    free(s->mail);
}

static void expect_sums(int lanes, int workers, int n_segments)
{
    stage s = {0};
    const float want = direct_sum(0, lanes);

    cr_assert_eq(lk_tree_join_new(lanes, workers, &s.join), LK_OK);
    s.relay = calloc((size_t)workers, sizeof *s.relay);
    s.root = calloc((size_t)s.join.first[workers], sizeof *s.root);
    for (int w = 0; w < workers; w++) {
        lk_tree_node roots[LK_TREE_DEPTH];
        int64_t begin, end;

        lk_part_rows(lanes, w, workers, &begin, &end);
        const int n = lk_tree_roots(lanes, (int)begin, (int)end, roots);
        for (int i = 0; i < n; i++)
            for (int g = 0; g < n_segments; g++)
                s.root[s.join.first[w] + i][g] = direct_sum(roots[i].begin, roots[i].end);
    }
    play(&s, lanes, workers, n_segments);
    for (int w = 0; w < workers; w++)
        for (int g = 0; g < n_segments; g++) {
            const float got = s.root[s.join.first[w]][g];
            cr_expect(memcmp(&got, &want, sizeof got) == 0,
                      "%d lanes, worker %d of %d, segment %d: got %.9g, want %.9g", lanes, w, workers, g, (double)got,
                      (double)want);
        }
    lk_tree_join_clear(&s.join);
    free(s.relay);
    free(s.root);
}

Test(relay, every_worker_gets_the_bits_of_the_tree)
{
    fill_lanes(1);
    for (int workers = 2; workers <= 40; workers++)
        for (int lanes = workers; lanes <= 3 * workers + 1; lanes += 1 + workers / 7) {
            expect_sums(lanes, workers, 1);
            expect_sums(lanes, workers, LK_RELAY_SEGMENTS);
        }
    expect_sums(257, 257, LK_RELAY_SEGMENTS);
    expect_sums(900, 300, LK_RELAY_SEGMENTS);
}

/* Up a message a level and one a root, down as many: of every segment. */
Test(relay, messages_grow_with_the_logarithm_of_workers)
{
    static const int workers[] = {17, 33, 100, 333, 1000, 4095, 10000};

    for (size_t i = 0; i < sizeof workers / sizeof workers[0]; i++)
        for (int more = 0; more < 3; more++) {
            const int lanes = workers[i] * (1 + more) + more, bound = 4 * levels_of(lanes);
            lk_tree_join join;

            cr_assert_eq(lk_tree_join_new(lanes, workers[i], &join), LK_OK);
            for (int n = 0; n <= 16; n++) {
                lk_relay one, segments;
                const int w = (int)((int64_t)n * (workers[i] - 1) / 16);

                cr_assert_eq(lk_relay_new(&join, w, 1, &one), LK_OK);
                cr_assert_eq(lk_relay_new(&join, w, LK_RELAY_SEGMENTS, &segments), LK_OK);
                cr_expect_leq(count_messages(&one), bound, "%d lanes, worker %d of %d: %d messages, at most %d", lanes,
                              w, workers[i], count_messages(&one), bound);
                cr_expect_leq(count_messages(&segments), bound * LK_RELAY_SEGMENTS, "%d lanes, worker %d of %d: %d",
                              lanes, w, workers[i], count_messages(&segments));
                lk_relay_clear(&one);
                lk_relay_clear(&segments);
            }
            lk_tree_join_clear(&join);
        }
}
