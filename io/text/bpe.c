/*
 * Byte-pair encoding, as GPT-2's: a text is cut into pieces by a pattern, a piece into bytes, and of neighbouring
 * tokens that a merge joins those are joined first whose merge stands first in the list, of equal ones the leftmost.
 *
 * Tokens 0 to 255 are bytes, first those that GPT-2 prints as they are; 256 + i is what merge i makes; the last is
 * <|endoftext|>, which no text becomes.  A list of merges (vocab.bpe) spells a byte as one character: itself, or where
 * that does not print, the next from U+0100 on.
 *
 * Pieces that came before are looked up in a cache of one entry a hash, which is most of them.
 * Source: Radford et al., 2019, github.com/openai/gpt-2, src/encoder.py; Sennrich et al., 2016, arXiv:1508.07909.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "io/file/data_file.h"
#include "io/text/bpe.h"

enum {
    N_CHARACTERS = 2 * LK_BPE_BYTES, /* that spell bytes are below it */
    CACHED_BYTES = 24, CACHED_TOKENS = 12, CACHE_BITS = 15, N_CACHED = 1 << CACHE_BITS,
    MERGE_SLOTS = 1 << 18, /* of a table that is at most a quarter full */
};

static const char header[] = "#version";

/* Two tokens and what they become; merged 0: an empty slot. */
typedef struct merge { uint16_t left, right, merged; } merge;

typedef struct cached {
    uint8_t nbytes, n_tokens;
    char text[CACHED_BYTES];
    uint16_t token[CACHED_TOKENS];
} cached;

/* A token of a piece that is being put together. */
typedef struct node { int32_t token, prev, next; } node; /* token -1: it was joined to the one before */

/* Two neighbours that could be joined. */
typedef struct joint { uint16_t merged, left, right; int32_t at; } joint;

struct lk_bpe {
    lk_vocabulary *spelled;   /* owned, as is all here; without the end of text */
    uint16_t of_byte[LK_BPE_BYTES];
    uint8_t byte_of[N_CHARACTERS]; /* that a character spells */
    merge *merges;            /* (MERGE_SLOTS), open addressing */
    cached *cache;            /* (N_CACHED) */
    node *node;               /* (room) */
    joint *heap;              /* (2 * room): each of n - 1 joins takes a token away and makes two neighbours at most */
    size_t room, n_joints;
    lk_pieces *pieces;
};

/* ---------------------------------------------------------------------- merges */

static size_t slot_of(uint32_t left, uint32_t right)
{
    return (left * UINT32_C(2654435761) ^ right * UINT32_C(2246822519)) >> 14;
}

static merge *find(const lk_bpe *b, int32_t left, int32_t right)
{
    merge *m = &b->merges[slot_of((uint32_t)left, (uint32_t)right)];

    while (m->merged && (m->left != left || m->right != right)) m = m + 1 < b->merges + MERGE_SLOTS ? m + 1 : b->merges;
    return m;
}

static bool prints(int byte) { return (byte > ' ' && byte < 0x7F) || (byte > 0xA0 && byte != 0xAD); }

/* Those that print come first. */
lk_status lk_bpe_alphabet(lk_vocabulary **spelled, uint16_t of_byte[LK_BPE_BYTES])
{
    uint32_t others = LK_BPE_BYTES;
    int64_t token = 0;

    for (int pass = 0; pass < 2; pass++)
        for (int byte = 0; byte < LK_BPE_BYTES; byte++) {
            char text[LK_UTF8_BYTES];
            if (prints(byte) != (pass == 0)) continue;
            const char *end = lk_utf8_put(text, pass == 0 ? (uint32_t)byte : others++);
            of_byte[byte] = (uint16_t)token;
            if (lk_vocabulary_add_bytes(spelled, text, (size_t)(end - text)) != token++)
                return LK_FAIL(LK_ERR_SYSTEM, "out of memory: tokens");
        }
    return LK_OK;
}

static void invert_alphabet(lk_bpe *b)
{
    for (int byte = 0; byte < LK_BPE_BYTES; byte++) {
        const char *at = lk_vocabulary_text(b->spelled, b->of_byte[byte]);
        uint32_t character = 0;

        lk_utf8_take(&at, at + strlen(at), &character);
        b->byte_of[character] = (uint8_t)byte;
    }
}

/* "LEFT RIGHT": the merge of two tokens that there are into one that there is not yet. */
static lk_status add_merge(lk_bpe *b, const char *path, int64_t line, const char *text, size_t nbytes)
{
    const char *blank = memchr(text, ' ', nbytes);
    const size_t n_left = blank ? (size_t)(blank - text) : 0, n_right = blank ? nbytes - n_left - 1 : 0;
    const int64_t n = lk_vocabulary_n(b->spelled);
    const int64_t left = lk_vocabulary_find(b->spelled, text, n_left);
    const int64_t right = blank ? lk_vocabulary_find(b->spelled, blank + 1, n_right) : -1;

    if (n == LK_BPE_BYTES + LK_BPE_MERGES)
        return LK_FAIL(LK_ERR_DATA, "%s:%lld: more than %d merges", path, (long long)line, LK_BPE_MERGES);
    char *joined = malloc(nbytes);

    LK_TRY_ALLOC(joined, nbytes);
    memcpy(joined, text, n_left);
    memcpy(joined + n_left, text + nbytes - n_right, n_right);
    const int64_t made = left < 0 || right < 0 ? -1 : lk_vocabulary_add_bytes(&b->spelled, joined, nbytes - 1);
    free(joined);
    if (made != n)
        return LK_FAIL(LK_ERR_DATA, "%s:%lld: `%.*s` is no merge of two tokens of the lines before into a new one",
                       path, (long long)line, (int)nbytes, text);
    *find(b, (int32_t)left, (int32_t)right) = (merge){(uint16_t)left, (uint16_t)right, (uint16_t)made};
    return LK_OK;
}

static lk_status read_merges(lk_bpe *b, const char *path, const char *at, const char *end)
{
    for (int64_t line = 1; at < end; line++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const size_t nbytes = (size_t)((newline ? newline : end) - at);
        const bool is_header = line == 1 && nbytes >= strlen(header) && memcmp(at, header, strlen(header)) == 0;

        if (!is_header && nbytes > 0) LK_TRY(add_merge(b, path, line, at, nbytes));
        at += nbytes + 1;
    }
    return LK_OK;
}

static lk_status fill(lk_bpe *b, const char *path, const char *text, size_t nbytes)
{
    b->merges = calloc(MERGE_SLOTS, sizeof *b->merges);
    LK_TRY_ALLOC(b->merges, MERGE_SLOTS * sizeof *b->merges);
    b->cache = calloc(N_CACHED, sizeof *b->cache);
    LK_TRY_ALLOC(b->cache, N_CACHED * sizeof *b->cache);
    LK_TRY(lk_bpe_alphabet(&b->spelled, b->of_byte));
    invert_alphabet(b);
    LK_TRY(lk_pieces_open(&b->pieces));
    return read_merges(b, path, text, text + nbytes);
}

lk_status lk_bpe_parse(const char *path, const char *text, size_t nbytes, lk_bpe **out)
{
    *out = calloc(1, sizeof **out);
    LK_TRY_ALLOC(*out, sizeof **out);
    const lk_status status = fill(*out, path, text, nbytes);
    if (status != LK_OK) lk_bpe_free(out);
    return status;
}

lk_status lk_bpe_open(const char *path, lk_bpe **out)
{
    char *text;
    size_t nbytes;

    *out = NULL;
    LK_TRY(lk_data_file_read(path, &text, &nbytes));
    const lk_status status = lk_bpe_parse(path, text, nbytes, out);
    free(text);
    return status;
}

void lk_bpe_free(lk_bpe **bpe)
{
    lk_bpe *b = *bpe;

    if (!b) return;
    lk_pieces_free(&b->pieces);
    free(b->heap);
    free(b->node);
    free(b->cache);
    free(b->merges);
    lk_vocabulary_free(&b->spelled);
    free(b);
    *bpe = NULL;
}

int64_t lk_bpe_n(const lk_bpe *bpe) { return lk_vocabulary_n(bpe->spelled) + 1; }

const lk_vocabulary *lk_bpe_spelled(const lk_bpe *bpe) { return bpe->spelled; }

/* In the order of what they make. */
static void list_merges(const lk_bpe *b, const merge **list)
{
    for (const merge *m = b->merges; m < b->merges + MERGE_SLOTS; m++)
        if (m->merged) list[m->merged - LK_BPE_BYTES] = m;
}

lk_status lk_bpe_write(const lk_bpe *b, char **text)
{
    const int64_t n = lk_vocabulary_n(b->spelled) - LK_BPE_BYTES;
    const merge **list = calloc((size_t)n + 1, sizeof(const merge *));
    size_t nbytes;

    LK_TRY_ALLOC(list, (size_t)n * sizeof(const merge *));
    FILE *stream = open_memstream(text, &nbytes);
    if (stream) fputs(LK_BPE_HEADER, stream);
    list_merges(b, list);
    for (int64_t i = 0; stream && i < n; i++)
        fprintf(stream, "%s %s\n", lk_vocabulary_text(b->spelled, list[i]->left),
                lk_vocabulary_text(b->spelled, list[i]->right));
    free(list);
    return stream && fclose(stream) == 0 ? LK_OK : LK_FAIL(LK_ERR_SYSTEM, "out of memory: %lld merges", (long long)n);
}

void lk_bpe_put(const lk_bpe *b, int64_t token, FILE *stream)
{
    if (token >= lk_vocabulary_n(b->spelled)) return;
    const char *at = lk_vocabulary_text(b->spelled, token), *end = at + strlen(at);
    uint32_t character = 0;

    while (at < end && lk_utf8_take(&at, end, &character)) putc(b->byte_of[character], stream);
}

/* ----------------------------------------------------------------------- joins */

static bool comes_before(const joint *a, const joint *b)
{
    return a->merged != b->merged ? a->merged < b->merged : a->at < b->at;
}

static void push(lk_bpe *b, joint it)
{
    size_t i = b->n_joints++;

    for (; i > 0 && comes_before(&it, &b->heap[(i - 1) / 2]); i = (i - 1) / 2) b->heap[i] = b->heap[(i - 1) / 2];
    b->heap[i] = it;
}

static joint pop(lk_bpe *b)
{
    const joint first = b->heap[0], last = b->heap[--b->n_joints];
    size_t i = 0;

    for (size_t child; (child = 2 * i + 1) < b->n_joints; i = child) {
        if (child + 1 < b->n_joints && comes_before(&b->heap[child + 1], &b->heap[child])) child++;
        if (!comes_before(&b->heap[child], &last)) break;
        b->heap[i] = b->heap[child];
    }
    b->heap[i] = last;
    return first;
}

/* The neighbours at `at` and behind it, if a merge joins them. */
static void consider(lk_bpe *b, int32_t at)
{
    const int32_t next = at < 0 ? -1 : b->node[at].next;

    if (next < 0) return;
    const merge *m = find(b, b->node[at].token, b->node[next].token);
    if (m->merged) push(b, (joint){m->merged, m->left, m->right, at});
}

/* Unless one of the two has been joined to another since. */
static void join(lk_bpe *b, const joint *it)
{
    node *left = &b->node[it->at];
    node *right = left->next < 0 ? NULL : &b->node[left->next];

    if (left->token != it->left || !right || right->token != it->right) return;
    left->token = it->merged;
    left->next = right->next;
    right->token = -1;
    if (left->next >= 0) b->node[left->next].prev = it->at;
    consider(b, left->prev);
    consider(b, it->at);
}

static lk_status make_room(lk_bpe *b, size_t n)
{
    if (n <= b->room) return LK_OK;
    node *nodes = realloc(b->node, n * sizeof *nodes);
    LK_TRY_ALLOC(nodes, n * sizeof *nodes, "a piece of text");
    b->node = nodes;
    joint *heap = realloc(b->heap, 2 * n * sizeof *heap);
    LK_TRY_ALLOC(heap, 2 * n * sizeof *heap, "a piece of text");
    b->heap = heap;
    b->room = n;
    return LK_OK;
}

/* Puts a piece together; its tokens are those that are left of the nodes. */
static lk_status put_together(lk_bpe *b, const char *text, size_t nbytes)
{
    LK_TRY(make_room(b, nbytes));
    b->n_joints = 0;
    for (size_t i = 0; i < nbytes; i++)
        b->node[i] = (node){b->of_byte[(unsigned char)text[i]], (int32_t)i - 1, i + 1 < nbytes ? (int32_t)i + 1 : -1};
    for (size_t i = 0; i < nbytes; i++) consider(b, (int32_t)i);
    while (b->n_joints > 0) {
        const joint it = pop(b);
        join(b, &it);
    }
    return LK_OK;
}

/* ---------------------------------------------------------------------- encode */

/* Writes a piece's tokens; there is room for one a byte. */
static lk_status encode_piece(lk_bpe *b, const char *text, size_t nbytes, uint16_t *out, size_t *n)
{
    cached *c = &b->cache[XXH3_64bits(text, nbytes) >> (64 - CACHE_BITS)];

    if (c->nbytes == nbytes && memcmp(c->text, text, nbytes) == 0) {
        memcpy(out, c->token, c->n_tokens * sizeof *out);
        *n = c->n_tokens;
        return LK_OK;
    }
    LK_TRY(put_together(b, text, nbytes));
    *n = 0;
    for (int32_t i = 0; i >= 0; i = b->node[i].next) out[(*n)++] = (uint16_t)b->node[i].token;
    if (nbytes > CACHED_BYTES || *n > CACHED_TOKENS) return LK_OK;
    c->nbytes = (uint8_t)nbytes;
    c->n_tokens = (uint8_t)*n;
    memcpy(c->text, text, nbytes);
    memcpy(c->token, out, *n * sizeof *out);
    return LK_OK;
}

lk_status lk_bpe_encode(lk_bpe *b, const char *text, size_t nbytes, uint16_t *out, int64_t *n)
{
    *n = 0;
    for (size_t begin = 0, end; begin < nbytes; begin = end) {
        size_t n_piece = 0;

        LK_TRY(lk_pieces_next(b->pieces, text, nbytes, begin, &end));
        LK_TRY(encode_piece(b, text + begin, end - begin, out + *n, &n_piece));
        *n += (int64_t)n_piece;
    }
    return LK_OK;
}
