/*
 * Relays.
 *
 * Up: of two sums that become one, one worker sends its own and the other adds; which of them is a bit of the
 * segment's number, another one each round, so the additions of a node are shared by its workers.  Down: whoever sent
 * gets the sum from whom it sent to, unless it has it.  So in a segment a worker sends once a root up, gets the sum
 * once, and receives and gives at most once a level of the tree: O(log lanes) messages, on the average 2, and
 * 2 (W - 1) / W times the bucket's bytes.  A worker that adds in all levels of a segment receives log2(W) / segments
 * times the bucket.
 */
#include "dist/reduce/relay.h"

#include <assert.h>

/* All workers' sums while one segment is added up; by root, numbered through. */
typedef struct scene {
    const lk_tree_join *join;
    int rank, segment;
    int *owner;          /* (n_roots), owned */
    int *at;             /* (n_roots), owned: the root in whose place the sum of a label is */
    int *round;          /* (n_roots), owned: after which that is there */
    int *has;            /* (workers), owned: round after which a worker has the finished sum; -1: it has not */
    lk_tree_add *sent;   /* (n_adds), owned: root `into` took root `from` of another worker */
    int n_sent;
    lk_relay *out;       /* act NULL: counts only */
} scene;

static int own_root(const scene *s, int root) { return root - s->join->first[s->rank]; }

static void write_act(scene *s, lk_relay_act act)
{
    act.segment = s->segment;
    if (s->out->act) s->out->act[s->out->n] = act;
    s->out->n++;
    if (act.round > s->out->n_rounds) s->out->n_rounds = act.round;
}

/* ------------------------------------------------------------------------ up */

/* Root `from` of another worker is added to root `into`. */
static void hand_over(scene *s, int into, int from, int round)
{
    const int taker = s->owner[into], giver = s->owner[from];

    s->sent[s->n_sent++] = (lk_tree_add){into, from};
    if (s->rank == giver)
        write_act(s, (lk_relay_act){.kind = LK_RELAY_SEND, .round = round, .peer = taker, .root = own_root(s, from)});
    if (s->rank == taker)
        write_act(s, (lk_relay_act){.kind = LK_RELAY_RECEIVE, .round = round, .peer = giver,
                                    .root = own_root(s, into)});
}

static void add_up(scene *s, lk_tree_add add)
{
    const int a = s->at[add.into], b = s->at[add.from];
    const int round = 1 + (s->round[a] > s->round[b] ? s->round[a] : s->round[b]);
    const bool right = s->segment >> (round - 1) % 3 & 1; /* 3 bits tell LK_RELAY_SEGMENTS apart */
    const int into = s->owner[a] != s->owner[b] && right ? b : a, from = into == a ? b : a;

    if (s->owner[a] != s->owner[b])
        hand_over(s, into, from, round);
    else if (s->owner[a] == s->rank)
        write_act(s, (lk_relay_act){.kind = LK_RELAY_ADD, .round = round, .root = own_root(s, into),
                                    .from = own_root(s, from)});
    s->at[add.into] = into;
    s->round[into] = round;
}

/* ---------------------------------------------------------------------- down */

static void give_back(scene *s, int from, int to)
{
    const int giver = s->owner[from], getter = s->owner[to];

    assert(s->has[giver] >= 0); /* it added later than it was sent to, and has the sum from there */
    if (s->has[getter] >= 0) return;
    s->has[getter] = s->has[giver] + 1;
    if (s->rank == giver)
        write_act(s, (lk_relay_act){.kind = LK_RELAY_GIVE, .round = s->has[getter], .peer = getter});
    if (s->rank == getter)
        write_act(s, (lk_relay_act){.kind = LK_RELAY_GET, .round = s->has[getter], .peer = giver});
}

static void run_segment(scene *s)
{
    const lk_tree_join *join = s->join;
    const int n_roots = join->first[join->workers];

    s->n_sent = 0;
    for (int i = 0; i < n_roots; i++) {
        s->at[i] = i;
        s->round[i] = 0;
    }
    for (int w = 0; w < join->workers; w++) s->has[w] = -1;
    for (int i = 0; i < join->n_adds; i++) add_up(s, join->add[i]);

    const int last = s->at[0];
    s->has[s->owner[last]] = s->round[last];
    if (s->owner[last] == s->rank && own_root(s, last) != 0)
        write_act(s, (lk_relay_act){.kind = LK_RELAY_MOVE, .round = s->round[last], .from = own_root(s, last)});
    while (s->n_sent-- > 0) give_back(s, s->sent[s->n_sent].into, s->sent[s->n_sent].from);
}

/* ------------------------------------------------------------------ new, clear */

static void run_segments(scene *s, int n_segments)
{
    s->out->n = 0;
    for (s->segment = 0; s->segment < n_segments; s->segment++) run_segment(s);
}

/* By round; what is of one round stays as it was: a stable sort by counting. */
static lk_status sort_by_round(lk_relay *relay)
{
    lk_relay_act *sorted = lk_alloc((size_t)relay->n * sizeof *sorted);
    int n = 0;

    LK_TRY_ALLOC(sorted, (size_t)relay->n * sizeof *sorted);
    for (int round = 0; round <= relay->n_rounds; round++)
        for (int i = 0; i < relay->n; i++)
            if (relay->act[i].round == round) sorted[n++] = relay->act[i];
    lk_free(&relay->act);
    relay->act = sorted;
    return LK_OK;
}

static void count_most(lk_relay *relay)
{
    int messages = 0, received = 0;

    for (int i = 0; i < relay->n; i++) {
        const lk_relay_act *act = &relay->act[i];

        if (i > 0 && act->round != act[-1].round) messages = received = 0;
        messages += act->kind != LK_RELAY_ADD && act->kind != LK_RELAY_MOVE;
        received += act->kind == LK_RELAY_RECEIVE;
        if (messages > relay->most_messages) relay->most_messages = messages;
        if (received > relay->most_received) relay->most_received = received;
    }
}

static lk_status alloc_scene(scene *s)
{
    const size_t n = (size_t)s->join->first[s->join->workers], workers = (size_t)s->join->workers;

    s->owner = lk_alloc(n * sizeof *s->owner);
    s->at = lk_alloc(n * sizeof *s->at);
    s->round = lk_alloc(n * sizeof *s->round);
    s->has = lk_alloc(workers * sizeof *s->has);
    s->sent = lk_alloc(n * sizeof *s->sent);
    if (!s->owner || !s->at || !s->round || !s->has || !s->sent)
        return LK_FAIL(LK_ERR_SYSTEM, "out of memory: messages of %zu workers", workers);
    for (int w = 0; w < s->join->workers; w++)
        for (int i = s->join->first[w]; i < s->join->first[w + 1]; i++) s->owner[i] = w;
    return LK_OK;
}

static lk_status make(scene *s, int n_segments)
{
    LK_TRY(alloc_scene(s));
    run_segments(s, n_segments);
    s->out->act = lk_alloc((size_t)s->out->n * sizeof *s->out->act);
    LK_TRY_ALLOC(s->out->act, (size_t)s->out->n * sizeof *s->out->act);
    run_segments(s, n_segments);
    LK_TRY(sort_by_round(s->out));
    count_most(s->out);
    return LK_OK;
}

lk_status lk_relay_new(const lk_tree_join *join, int rank, int n_segments, lk_relay *out)
{
    scene s = {.join = join, .rank = rank, .out = out};

    assert(n_segments >= 1 && n_segments <= LK_RELAY_SEGMENTS);
    *out = (lk_relay){0};
    const lk_status status = make(&s, n_segments);
    lk_free(&s.owner);
    lk_free(&s.at);
    lk_free(&s.round);
    lk_free(&s.has);
    lk_free(&s.sent);
    return status;
}

void lk_relay_clear(lk_relay *relay) { lk_free(&relay->act); }
