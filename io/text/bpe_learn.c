/*
 * Learning byte pairs: the two neighbouring tokens that stand side by side most often become a token, and so on.  Of
 * pairs that are equally frequent the one whose left token has the smaller number, then whose right one has.  A pair
 * that stands there once is none.
 *
 * Each different piece of the text is there once, with its count.  A table has of each pair how often it stands there,
 * and in which pieces; a heap has the pairs by that.  When a pair becomes a token, what changes lies in its pieces:
 * what they had is taken off the table, what they have now is added.  What grows by that has the new token in it, so it
 * is new, and enters the heap once; what shrinks stays where it is in the heap, and is put back with what it has become
 * when it comes to the top.  So a merge costs what it changes, and not the length of the text.
 *
 * Source: Sennrich, Haddow and Birch, 2016, arXiv:1508.07909, algorithm 1 and its learn_bpe.py.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/text/bpe.h"

enum { LEAST_COUNT = 2, FIRST_SLOTS = 1 << 12, FIRST_PIECES = 4 };

typedef struct pair {
    int32_t left, right;
    int64_t count;          /* how often it stands there */
    int64_t *piece;         /* (n), owned: where; some of them had it once */
    int64_t n, room;
} pair;

/* A pair as it once was. */
typedef struct entry { int64_t count, pair; } entry;

typedef struct learner {
    const int64_t *count;   /* (n_pieces), borrowed, as is the next */
    const lk_vocabulary *text;
    int64_t n_pieces;
    int32_t *token;         /* of all pieces, one behind the other; owned, as is all that follows */
    size_t *begin;          /* (n_pieces + 1) */
    int64_t *length;        /* (n_pieces): tokens that are left of a piece */
    pair *pair;
    int64_t n_pairs, room;
    int64_t *slot;          /* (n_slots), open addressing: a pair's number and 1; 0: empty */
    size_t n_slots;         /* a power of two, more than twice n_pairs */
    entry *heap;
    int64_t n_entries, heap_room;
    lk_vocabulary *spelled; /* tokens so far */
} learner;

/* ---------------------------------------------------------------------- pairs */

static size_t slot_of(const learner *l, int32_t left, int32_t right)
{
    size_t at = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * UINT64_C(0x9E3779B97F4A7C15) >> 32;

    for (at &= l->n_slots - 1; l->slot[at]; at = (at + 1) & (l->n_slots - 1)) {
        const pair *p = &l->pair[l->slot[at] - 1];
        if (p->left == left && p->right == right) break;
    }
    return at;
}

static lk_status grow_table(learner *l)
{
    if (2 * ((size_t)l->n_pairs + 1) < l->n_slots) return LK_OK;
    const size_t n_slots = l->n_slots ? 2 * l->n_slots : FIRST_SLOTS;
    int64_t *slots = calloc(n_slots, sizeof *slots);
    LK_TRY_ALLOC(slots, n_slots * sizeof *slots, "pairs of tokens");
    free(l->slot);
    l->slot = slots;
    l->n_slots = n_slots;
    for (int64_t i = 0; i < l->n_pairs; i++) l->slot[slot_of(l, l->pair[i].left, l->pair[i].right)] = i + 1;
    return LK_OK;
}

/* The pair of these two, made if it is new. */
static lk_status find(learner *l, int32_t left, int32_t right, pair **out)
{
    *out = NULL;
    LK_TRY(grow_table(l));
    const size_t at = slot_of(l, left, right);
    if (!l->slot[at]) {
        if (l->n_pairs == l->room) {
            const int64_t room = l->room ? 2 * l->room : FIRST_SLOTS;
            pair *grown = realloc(l->pair, (size_t)room * sizeof *grown);
            LK_TRY_ALLOC(grown, (size_t)room * sizeof *grown, "pairs of tokens");
            l->pair = grown;
            l->room = room;
        }
        l->pair[l->n_pairs] = (pair){.left = left, .right = right};
        l->slot[at] = ++l->n_pairs;
    }
    *out = &l->pair[l->slot[at] - 1];
    return LK_OK;
}

static lk_status note_piece(pair *p, int64_t piece)
{
    if (p->n > 0 && p->piece[p->n - 1] == piece) return LK_OK;
    if (p->n == p->room) {
        const int64_t room = p->room ? 2 * p->room : FIRST_PIECES;
        int64_t *grown = realloc(p->piece, (size_t)room * sizeof *grown);
        LK_TRY_ALLOC(grown, (size_t)room * sizeof *grown, "pieces of text");
        p->piece = grown;
        p->room = room;
    }
    p->piece[p->n++] = piece;
    return LK_OK;
}

/* Adds a piece's pairs to the table, or takes them off. */
static lk_status count_piece(learner *l, int64_t piece, int sign)
{
    const int32_t *token = l->token + l->begin[piece];

    for (int64_t k = 0; k + 1 < l->length[piece]; k++) {
        pair *p;

        LK_TRY(find(l, token[k], token[k + 1], &p));
        p->count += sign * l->count[piece];
        if (sign > 0) LK_TRY(note_piece(p, piece));
    }
    return LK_OK;
}

/* ----------------------------------------------------------------------- heap */

static bool comes_before(const learner *l, const entry *a, const entry *b)
{
    const pair *x = &l->pair[a->pair], *y = &l->pair[b->pair];

    if (a->count != b->count) return a->count > b->count;
    return x->left != y->left ? x->left < y->left : x->right < y->right;
}

/* Of which it has taken one out: from the top, `it` finds its place. */
static void sink(learner *l, entry it)
{
    int64_t i = 0;

    for (int64_t child; (child = 2 * i + 1) < l->n_entries; i = child) {
        if (child + 1 < l->n_entries && comes_before(l, &l->heap[child + 1], &l->heap[child])) child++;
        if (!comes_before(l, &l->heap[child], &it)) break;
        l->heap[i] = l->heap[child];
    }
    l->heap[i] = it;
}

static void rise(learner *l, entry it)
{
    int64_t i = l->n_entries++;

    for (; i > 0 && comes_before(l, &it, &l->heap[(i - 1) / 2]); i = (i - 1) / 2) l->heap[i] = l->heap[(i - 1) / 2];
    l->heap[i] = it;
}

/* The pairs from number `first` on, which are new. */
static lk_status push_new(learner *l, int64_t first)
{
    const int64_t most = l->n_entries + l->n_pairs - first;

    if (most > l->heap_room) {
        const int64_t room = 2 * most;
        entry *grown = realloc(l->heap, (size_t)room * sizeof *grown);
        LK_TRY_ALLOC(grown, (size_t)room * sizeof *grown, "pairs of tokens");
        l->heap = grown;
        l->heap_room = room;
    }
    for (int64_t p = first; p < l->n_pairs; p++)
        if (l->pair[p].count >= LEAST_COUNT) rise(l, (entry){l->pair[p].count, p});
    return LK_OK;
}

/* The most frequent pair; -1: none is left. */
static int64_t pop(learner *l)
{
    while (l->n_entries > 0) {
        const entry top = l->heap[0];
        const int64_t count = l->pair[top.pair].count;

        if (count == top.count) {
            const entry last = l->heap[--l->n_entries];
            if (l->n_entries > 0) sink(l, last);
            return top.pair;
        }
        const entry instead = count >= LEAST_COUNT ? (entry){count, top.pair} : l->heap[--l->n_entries];
        if (l->n_entries > 0) sink(l, instead);
    }
    return -1;
}

/* ---------------------------------------------------------------------- merges */

/* From left to right, as encoding does. */
static void join(learner *l, int64_t piece, int32_t left, int32_t right, int32_t made)
{
    int32_t *token = l->token + l->begin[piece];
    const int64_t n = l->length[piece];
    int64_t kept = 0;

    for (int64_t k = 0; k < n; k++) {
        const bool joins = k + 1 < n && token[k] == left && token[k + 1] == right;
        token[kept++] = joins ? made : token[k];
        k += joins;
    }
    l->length[piece] = kept;
}

static bool has_pair(const learner *l, int64_t piece, int32_t left, int32_t right)
{
    const int32_t *token = l->token + l->begin[piece];

    for (int64_t k = 0; k + 1 < l->length[piece]; k++)
        if (token[k] == left && token[k + 1] == right) return true;
    return false;
}

/* The pair becomes a token in all pieces that have it. */
static lk_status merge(learner *l, int64_t number, int32_t made)
{
    const pair it = l->pair[number]; /* a copy: the table may move */
    const int64_t first = l->n_pairs;

    for (int64_t i = 0; i < it.n; i++) {
        if (!has_pair(l, it.piece[i], it.left, it.right)) continue;
        LK_TRY(count_piece(l, it.piece[i], -1));
        join(l, it.piece[i], it.left, it.right, made);
        LK_TRY(count_piece(l, it.piece[i], 1));
    }
    return push_new(l, first);
}

/* The token of these two is spelled as none before it: between the edges of a token the same steps have been taken
 * wherever these bytes stand, so none is come to in two ways. */
static lk_status spell(learner *l, const pair *p)
{
    char *text;

    if (asprintf(&text, "%s%s", lk_vocabulary_text(l->spelled, p->left), lk_vocabulary_text(l->spelled, p->right)) < 0)
        return LK_FAIL(LK_ERR_SYSTEM, "out of memory: a token's spelling");
    const int64_t number = lk_vocabulary_add(&l->spelled, text);
    free(text);
    assert(number < 0 || number == lk_vocabulary_n(l->spelled) - 1);
    return number < 0 ? LK_FAIL(LK_ERR_SYSTEM, "out of memory: tokens") : LK_OK;
}

static lk_status learn(learner *l, int64_t n_tokens, FILE *merges)
{
    for (int64_t p = 0; p < l->n_pieces; p++) LK_TRY(count_piece(l, p, 1));
    LK_TRY(push_new(l, 0));
    for (int32_t made = LK_BPE_BYTES; made < n_tokens; made++) {
        const int64_t best = pop(l);

        if (best < 0) return LK_OK;
        const pair *p = &l->pair[best];
        fprintf(merges, "%s %s\n", lk_vocabulary_text(l->spelled, p->left), lk_vocabulary_text(l->spelled, p->right));
        LK_TRY(spell(l, p));
        LK_TRY(merge(l, best, made));
    }
    return LK_OK;
}

/* ------------------------------------------------------------------ begin, end */

/* Every piece as the tokens of its bytes. */
static lk_status take_pieces(learner *l)
{
    uint16_t of_byte[LK_BPE_BYTES];
    size_t nbytes = 0;

    LK_TRY(lk_bpe_alphabet(&l->spelled, of_byte));
    for (int64_t p = 0; p < l->n_pieces; p++) nbytes += strlen(lk_vocabulary_text(l->text, p));
    l->token = malloc(nbytes * sizeof *l->token + 1);
    LK_TRY_ALLOC(l->token, nbytes * sizeof *l->token, "pieces of text");
    l->begin = calloc((size_t)l->n_pieces + 1, sizeof *l->begin);
    LK_TRY_ALLOC(l->begin, (size_t)l->n_pieces * sizeof *l->begin, "pieces of text");
    l->length = calloc((size_t)l->n_pieces + 1, sizeof *l->length);
    LK_TRY_ALLOC(l->length, (size_t)l->n_pieces * sizeof *l->length, "pieces of text");
    for (int64_t p = 0; p < l->n_pieces; p++) {
        const char *text = lk_vocabulary_text(l->text, p);

        l->length[p] = (int64_t)strlen(text);
        l->begin[p + 1] = l->begin[p] + (size_t)l->length[p];
        for (int64_t i = 0; i < l->length[p]; i++)
            l->token[l->begin[p] + (size_t)i] = of_byte[(unsigned char)text[i]];
    }
    return LK_OK;
}

static void clear(learner *l)
{
    lk_vocabulary_free(&l->spelled);
    free(l->heap);
    free(l->slot);
    for (int64_t p = 0; p < l->n_pairs; p++) free(l->pair[p].piece);
    free(l->pair);
    free(l->length);
    free(l->begin);
    free(l->token);
}

lk_status lk_bpe_learn(const lk_counted *pieces, int64_t n_tokens, char **merges)
{
    learner l = {.count = pieces->count, .text = pieces->texts, .n_pieces = lk_vocabulary_n(pieces->texts)};
    size_t nbytes;
    FILE *stream = open_memstream(merges, &nbytes);

    LK_TRY_ALLOC(stream, sizeof *stream, "merges");
    fputs(LK_BPE_HEADER, stream);
    lk_status status = take_pieces(&l);
    if (status == LK_OK) status = learn(&l, n_tokens, stream);
    clear(&l);
    if (fclose(stream) != 0 && status == LK_OK) status = LK_FAIL(LK_ERR_SYSTEM, "out of memory: merges");
    if (status != LK_OK) lk_free(merges);
    return status;
}

lk_status lk_bpe_count(lk_pieces *pieces, const char *text, size_t nbytes, lk_counted *counted)
{
    for (size_t begin = 0, end; begin < nbytes; begin = end) {
        LK_TRY(lk_pieces_next(pieces, text, nbytes, begin, &end));
        LK_TRY(lk_counted_add(counted, text + begin, end - begin));
    }
    return LK_OK;
}
