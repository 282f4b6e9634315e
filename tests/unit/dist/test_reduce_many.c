/*
 * The whole reducer over workers that are threads, thousands of small cases: any number of workers, lanes, tensors,
 * buckets, empty lanes, fp32 and bf16 on the wire give the bits of plain loops over all lanes, whole or scattered into
 * parts that are then gathered.  Messages go by a mailbox of this file, which takes the place of dist/reduce/p2p.c;
 * what else would speak MPI is replaced below.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "dist/reduce/reducer.h"
#include "dist/reduce/transport.h"
#include "tests/support/uneven_shards.h"

enum {
    N_CASES = 2000,
    MOST_WORKERS = 30,
    MOST_LANES = 100,
    MOST_MESSAGES = 4096,
    MOST_TENSORS = 12,
    N_VALUES = 1 << 14, /* of the table that lanes read */
    N_STEPS = 1,
    SHORT = 160,
    LONG = 2400,
};

static float value_table[N_VALUES];

static float value(int step, int lane, size_t i)
{
    return value_table[((size_t)step * 104729 + (size_t)lane * 7919 + i * 31) % N_VALUES];
}

/* ---------------------------------------------------------------- the mailbox */

typedef struct letter {
    int from, to;
    size_t n;
    float *values; /* owned by the mailbox until it is fetched */
} letter;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t arrived[MOST_WORKERS]; /* something for that worker */
static letter mail[MOST_MESSAGES]; /* in order of sending */
static int n_mail, most_sent, n_sent[MOST_WORKERS];

/* Room is kept for all of a round, and what goes as bf16 has nothing in its lower 16 bits. */
static void check_half(lk_p2p *p2p, const float *values, size_t n)
{
    cr_assert((p2p->n_packed += n) <= p2p->packed_capacity, "%zu elements, %zu reserved", p2p->n_packed,
              p2p->packed_capacity);
    for (size_t i = 0; p2p->halves && values && i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        cr_assert_eq(bits & 0xffff, 0, "worker %d sends %.9g as bf16", p2p->world->place, (double)values[i]);
    }
}

/* What one round of a worker is to fetch; a thread sums for one worker. */
static _Thread_local letter due[MOST_MESSAGES / 4];
static _Thread_local int n_due;

lk_status lk_p2p_reserve(lk_p2p *p2p, int messages, size_t n_elem)
{
    p2p->capacity = messages;
    p2p->packed_capacity = n_elem;
    return LK_OK;
}

size_t lk_p2p_nbytes(const lk_p2p *p2p) { return p2p->packed_capacity; }

void lk_p2p_close(lk_p2p *p2p) { p2p->capacity = 0; }

lk_status lk_p2p_send(lk_p2p *p2p, const float *from, size_t n_elem, int to)
{
    letter m = {p2p->world->place, to, n_elem, malloc(n_elem * sizeof *from + 1)};

    check_half(p2p, from, n_elem);
    memcpy(m.values, from, n_elem * sizeof *from);
    pthread_mutex_lock(&lock);
    cr_assert(++p2p->n <= p2p->capacity, "%d messages, %d reserved", p2p->n, p2p->capacity);
    cr_assert_lt(n_mail, MOST_MESSAGES);
    mail[n_mail++] = m;
    n_sent[m.from]++;
    pthread_cond_signal(&arrived[to]);
    pthread_mutex_unlock(&lock);
    return LK_OK;
}

lk_status lk_p2p_receive(lk_p2p *p2p, float *into, size_t n_elem, int from)
{
    cr_assert(++p2p->n <= p2p->capacity, "%d messages, %d reserved", p2p->n, p2p->capacity);
    check_half(p2p, NULL, n_elem);
    due[n_due++] = (letter){from, p2p->world->place, n_elem, into};
    return LK_OK;
}

/* The first letter of a pair, -1: none yet. */
static int find(const letter *want)
{
    for (int i = 0; i < n_mail; i++)
        if (mail[i].from == want->from && mail[i].to == want->to) return i;
    return -1;
}

lk_status lk_p2p_complete(lk_p2p *p2p)
{
    pthread_mutex_lock(&lock);
    for (int d = 0, i; d < n_due; d++) {
        while ((i = find(&due[d])) < 0) pthread_cond_wait(&arrived[due[d].to], &lock);
        cr_assert_eq(mail[i].n, due[d].n, "worker %d sends %zu to worker %d, who wants %zu", mail[i].from, mail[i].n,
                     mail[i].to, due[d].n);
        memcpy(due[d].values, mail[i].values, mail[i].n * sizeof *mail[i].values);
        free(mail[i].values);
        memmove(&mail[i], &mail[i + 1], (size_t)(--n_mail - i) * sizeof *mail);
    }
    pthread_mutex_unlock(&lock);
    n_due = 0;
    p2p->n = 0;
    p2p->n_packed = 0;
    return LK_OK;
}

lk_status lk_p2p_all_reduce(lk_p2p *p2p, float *values, size_t n_elem)
{
    cr_assert_fail("sums of MPI's (%d, %p, %zu) are not asked for", p2p->n, (void *)values, n_elem);
    return LK_OK;
}

lk_status lk_world_agree(lk_world *world, lk_status mine)
{
    cr_assert_eq(mine, LK_OK, "worker %d: %s", world->rank, lk_error_message());
    return mine;
}

lk_status lk_transport_choose(lk_world *world, const lk_engine *engine, lk_reduction kind, lk_transport *out)
{
    cr_assert(!engine && kind == LK_REDUCE_TREE && world->size > 0);
    *out = (lk_transport){.algorithm = &lk_reduce_tree, .name = "threads"};
    return LK_OK;
}

/* -------------------------------------------------------------------- a case */

typedef struct job {
    unsigned seed;
    int workers, lanes;
    bool sharded;
    size_t cut[MOST_TENSORS], n_cuts, n_elem, apart, alone, bucket_bytes;
    float *want[N_STEPS]; /* (n_elem) */
    int rank_at[MOST_WORKERS];
} job;

static bool is_empty(const job *j, int step, int lane) { return (j->seed + (unsigned)(step * 3 + lane)) % 7 == 0; }

/* The nearest bf16, by arithmetic: bf16 keeps 8 bits of a number. */
static float nearest_bf16(float value)
{
    enum { KEPT = 8 };
    int exponent;

    frexpf(value, &exponent);
    return ldexpf(rintf(ldexpf(value, KEPT - exponent)), exponent - KEPT);
}

/* The definition of the tree, level by level; gradients in front of `apart` are rounded at each. */
static float plain_sum(const job *j, int step, size_t element)
{
    const bool rounds = element < j->apart;
    float v[MOST_LANES];

    for (int l = 0; l < j->lanes; l++) {
        v[l] = is_empty(j, step, l) ? 0 : value(step, l, element);
        if (rounds) v[l] = nearest_bf16(v[l]);
    }
    for (int n = j->lanes; n > 1; n = (n + 1) / 2) {
        for (int i = 0; i < n / 2; i++) {
            v[i] = v[2 * i] + v[2 * i + 1];
            if (rounds) v[i] = nearest_bf16(v[i]);
        }
        if (n % 2) v[n / 2] = v[n - 1];
    }
    return v[0];
}

static void compute_lane(const job *j, lk_reducer *reducer, int step, int lane)
{
    float *grads;

    cr_assert_eq(lk_reducer_lane(reducer, lane, &grads), LK_OK);
    if (is_empty(j, step, lane)) {
        cr_assert_eq(lk_reducer_empty_lane(reducer), LK_OK);
        return;
    }
    for (size_t c = j->n_cuts, end = j->n_elem; c-- > 0; end = j->cut[c]) {
        for (size_t i = j->cut[c]; i < end; i++) grads[i] = value(step, lane, i);
        lk_reducer_ready(reducer, j->cut[c], end);
    }
}

typedef struct worker { job *j; int place; pthread_t thread; } worker;

/* Elements [begin, end) of what a worker got. */
static void compare(const worker *me, int step, const float *sum, size_t begin, size_t end)
{
    const job *j = me->j;

    for (size_t i = begin; i < end; i++) {
        if (memcmp(&sum[i], &j->want[step][i], sizeof *sum) == 0) continue;
        cr_expect_fail("case %u: %d workers, %d lanes, %zu elements, buckets of %zu bytes%s: element %zu of worker %d: "
                       "got %.9g, want %.9g", j->seed, j->workers, j->lanes, j->n_elem, j->bucket_bytes,
                       j->sharded ? ", sharded" : "", i, me->place, (double)sum[i], (double)j->want[step][i]);
        return;
    }
}

/* Of the sum the own parts and what lies behind the last cut; then all parts of an array, from those who have them. */
static void compare_parts(const worker *me, int step, lk_reducer *reducer, const lk_shards *shards, const float *sum)
{
    const job *j = me->j;
    const size_t alone = j->alone;
    float *array = calloc(j->n_elem + 1, sizeof *array);

    compare(me, step, sum, alone, j->n_elem);
    for (size_t b = 1; b < shards->n; b++) {
        const lk_range own = uneven_part(shards, b, me->place);

        compare(me, step, sum, own.begin, own.end);
        memcpy(array + own.begin, sum + own.begin, (own.end - own.begin) * sizeof *array);
    }
    cr_assert_eq(lk_reducer_gather_plain(reducer, array), LK_OK);
    compare(me, step, array, 0, alone);
    free(array);
}

static void *work(void *arg)
{
    const worker *me = arg;
    job *j = me->j;
    const lk_arena_cuts cuts = {.cut = j->cut, .n = j->n_cuts, .n_elem = j->n_elem, .apart = j->apart,
                                .alone = j->alone};
    lk_world world = {.threads = true, .rank = j->rank_at[me->place], .size = j->workers, .place = me->place,
                      .rank_at = j->rank_at, .n_hosts = 1};
    lk_shards shards = j->sharded ? uneven_shards(cuts, j->bucket_bytes, j->workers) : (lk_shards){0};
    lk_reducer *reducer;
    const float *sum;
    int begin, end;

    cr_assert_eq(lk_world_lanes(&world, j->lanes, &begin, &end), LK_OK);
    cr_assert_eq(lk_reducer_new_plain(&world, NULL, LK_REDUCE_TREE, j->lanes, cuts, j->bucket_bytes,
                                      j->sharded ? &shards : NULL, &reducer), LK_OK);
    for (int step = 0; step < N_STEPS; step++) {
        for (int lane = begin; lane < end; lane++) compute_lane(j, reducer, step, lane);
        cr_assert_eq(lk_reducer_finish(reducer, &sum), LK_OK);
        if (j->sharded) compare_parts(me, step, reducer, &shards, sum);
        else compare(me, step, sum, 0, j->n_elem);
    }
    lk_reducer_free(&reducer);
    free(shards.border);
    return NULL;
}

static int draw(int from, int to) { return from + rand() % (to - from + 1); }

static void draw_case(job *j, unsigned seed)
{
    srand(seed);
    *j = (job){.seed = seed};
    j->workers = draw(0, 24) == 0 ? draw(17, MOST_WORKERS) : draw(1, 9);
    j->lanes = draw(j->workers, draw(0, 1) ? 2 * j->workers : j->workers + 20);
    j->n_cuts = (size_t)draw(1, MOST_TENSORS);
    const int tensor = draw(0, 9) == 0 ? LONG : SHORT;
    for (size_t c = 0; c < j->n_cuts; c++) { /* tensors begin at multiples of 16 */
        j->cut[c] = j->n_elem;
        j->n_elem += (size_t)draw(1, tensor / 16) * 16;
    }
    if (draw(0, 2) == 0) j->apart = j->n_elem; /* behind it statistics, not rounded */
    j->n_elem += (size_t)draw(0, 15); /* statistics may end anywhere */
    j->bucket_bytes = (size_t)draw(1, (int)j->n_elem * 5);
    j->sharded = j->workers > 1 && j->n_cuts > 1 && j->apart < j->n_elem && draw(0, 2) == 0;
    if (j->sharded) j->alone = j->apart ? j->apart : j->cut[j->n_cuts - 1];
    for (int p = 0; p < j->workers; p++) j->rank_at[p] = (p * 7 + (int)seed) % j->workers;
    for (int p = 0; p < j->workers && j->workers % 7 == 0; p++) j->rank_at[p] = p; /* 7 would not reach all */
}

static void run_case(unsigned seed)
{
    job j;
    worker workers[MOST_WORKERS];

    draw_case(&j, seed);
    for (int step = 0; step < N_STEPS; step++) {
        j.want[step] = malloc(j.n_elem * sizeof(float));
        for (size_t i = 0; i < j.n_elem; i++) j.want[step][i] = plain_sum(&j, step, i);
    }
    for (int p = 0; p < j.workers; p++) {
        workers[p] = (worker){.j = &j, .place = p};
        cr_assert_eq(pthread_create(&workers[p].thread, NULL, work, &workers[p]), 0);
    }
    for (int p = 0; p < j.workers; p++) pthread_join(workers[p].thread, NULL);
    for (int step = 0; step < N_STEPS; step++) free(j.want[step]);
    cr_assert_eq(n_mail, 0, "case %u: %d messages are left", seed, n_mail);
    for (int p = 0; p < MOST_WORKERS; p++) {
        if (n_sent[p] > most_sent) most_sent = n_sent[p];
        n_sent[p] = 0;
    }
}

Test(reduce_many, any_workers_lanes_tensors_and_buckets_give_the_bits_of_plain_loops)
{
    for (int p = 0; p < MOST_WORKERS; p++) pthread_cond_init(&arrived[p], NULL);
    srand(1);
    for (int i = 0; i < N_VALUES; i++)
        value_table[i] = ((float)rand() / (float)RAND_MAX - 0.5f) * (float)(1 << (rand() % 20));
    for (unsigned seed = 1; seed <= N_CASES; seed++) run_case(seed);
    cr_expect_gt(most_sent, 0);
}
