/*
 * Text: characters, words, and what numbers stand for them.  It knows files and no data sets; data sets of text are
 * made of these parts (io/data/pairs.h).
 */
#ifndef LK_IO_TEXT_H
#define LK_IO_TEXT_H

#include <locale.h>
#include <stdio.h>

#include "engine/base/base.h"

/* --------------------------------------------------------------- characters */

/* Takes one character off the front of [*at, end), which is not empty.  False: there is none, for its bytes are not
 * UTF-8 (no overlong forms, no surrogates, none above U+10FFFF); *at then stays. */
bool  lk_utf8_take(const char **at, const char *end, uint32_t *character);
/* Writes a character, at most LK_UTF8_BYTES; returns what is behind it. */
enum { LK_UTF8_BYTES = 4 };
char *lk_utf8_put(char *to, uint32_t character);
/* The first byte that does not belong to a character; nbytes: all do. */
size_t lk_utf8_check(const char *text, size_t nbytes);

/* -------------------------------------------------------------------- words */

/* How sentences become words. */
typedef struct lk_word_rules {
    bool lowercase;
    locale_t locale;       /* owned: whose letters have small ones; (locale_t)0 without lowercase */
} lk_word_rules;

lk_status lk_word_rules_open(bool lowercase, lk_word_rules *out);
void      lk_word_rules_close(lk_word_rules *rules);
/* Writes a sentence's words with one blank between them, and none around; returns its bytes, at most
 * LK_WORDS_GROWTH * nbytes.  The text is UTF-8. */
enum { LK_WORDS_GROWTH = 2 };
size_t    lk_words_apart(const lk_word_rules *rules, const char *text, size_t nbytes, char *out);
/* Takes the next word off the front of [*at, end); *word is NULL at the end. */
void      lk_words_next(const char **at, const char *end, const char **word, size_t *nbytes);

/* --------------------------------------------------------------- vocabulary */

/* Different texts, numbered by their first appearance. */
typedef struct lk_vocabulary lk_vocabulary;
/* Number of `text`, added if it is new; -1 when there is no memory. */
int64_t     lk_vocabulary_add(lk_vocabulary **vocabulary, const char *text);
int64_t     lk_vocabulary_add_bytes(lk_vocabulary **vocabulary, const char *text, size_t nbytes);
/* -1: there is none. */
int64_t     lk_vocabulary_find(const lk_vocabulary *vocabulary, const char *text, size_t nbytes);
const char *lk_vocabulary_text(const lk_vocabulary *vocabulary, int64_t number);
int64_t     lk_vocabulary_n(const lk_vocabulary *vocabulary);
void        lk_vocabulary_free(lk_vocabulary **vocabulary);

/* Different texts, and how often each was added; begins with zeros. */
typedef struct lk_counted {
    lk_vocabulary *texts;  /* owned */
    int64_t *count;        /* (room), of each text; owned */
    int64_t room;
} lk_counted;
lk_status lk_counted_add(lk_counted *counted, const char *text, size_t nbytes);
void      lk_counted_clear(lk_counted *counted);

/* The first numbers of a vocabulary of sentences, and how they are spelled. */
#define LK_SPECIAL_LIST(X)                                                                                     \
    X(LK_SPECIAL_PAD, "<pad>") X(LK_SPECIAL_BOS, "<bos>") X(LK_SPECIAL_EOS, "<eos>") X(LK_SPECIAL_UNK, "<unk>")
typedef enum lk_special { LK_SPECIAL_LIST(LK_WORD_ENUM) LK_N_SPECIALS } lk_special;

/* The special words, then those that were counted min_freq times or more, the most frequent first, equal ones by their
 * number in `counted`. */
lk_status lk_vocabulary_choose(const lk_counted *counted, int64_t min_freq, lk_vocabulary **out);
/* Number of a word of a sentence: <unk> for one that is not in it, or is spelled as a special one. */
int32_t   lk_vocabulary_number(const lk_vocabulary *vocabulary, const char *word, size_t nbytes);

/* ------------------------------------------------------------------- tokens */

/* A text as numbers, in memory or in a mapped file. */
typedef struct lk_tokens {
    const uint16_t *at;    /* (n) */
    int64_t n;
    uint16_t *owned;       /* the same; NULL: they are mapped */
    void *mapped;
    size_t nbytes_mapped;
} lk_tokens;
void lk_tokens_free(lk_tokens *tokens);

/* llm.c's token files: token_file.c.  Errors: LK_ERR_DATA naming the file. */
lk_status lk_token_file_map(const char *path, lk_tokens *out);
/* Whole or not at all.  Errors: LK_ERR_SYSTEM, LK_ERR_USAGE (more tokens than a header can count). */
lk_status lk_token_file_write(const char *path, const lk_tokens *tokens);

/* Errors: LK_ERR_DATA with file and line (a byte that is not UTF-8). */
lk_status lk_text_check(const char *path, const char *text, size_t nbytes);
lk_status lk_bytes_encode(const char *text, size_t nbytes, lk_tokens *out);

/* The different characters of texts. */
typedef struct lk_characters lk_characters;
lk_status lk_characters_new(lk_characters **out);
void      lk_characters_free(lk_characters **characters);
void      lk_characters_add(lk_characters *characters, const char *text, size_t nbytes);
/* By their numbers; token t is the t-th. */
lk_status lk_characters_sort(const lk_characters *characters, lk_vocabulary **out);
/* Errors: LK_ERR_DATA with file and line (a character that is none of them). */
lk_status lk_characters_encode(const lk_vocabulary *characters, const char *path, const char *text, size_t nbytes,
                               lk_tokens *out);

/* ----------------------------------------------------------------- byte pairs */

/* What a text is cut into before its byte pairs are joined: pieces.c. */
typedef struct lk_pieces lk_pieces;
lk_status lk_pieces_open(lk_pieces **out);
void      lk_pieces_free(lk_pieces **pieces);
/* Where the piece ends that begins at `begin`, which is before the end of a text in UTF-8.  One thread at a time. */
lk_status lk_pieces_next(lk_pieces *pieces, const char *text, size_t nbytes, size_t begin, size_t *end);

/* Byte-pair encoding: bpe.c. */
typedef struct lk_bpe lk_bpe;
/* Of a list of merges, as GPT-2's vocab.bpe.  Errors: LK_ERR_DATA with file and line. */
lk_status lk_bpe_open(const char *path, lk_bpe **out);
/* The same of what such a file holds; path is for messages. */
lk_status lk_bpe_parse(const char *path, const char *text, size_t nbytes, lk_bpe **out);
void      lk_bpe_free(lk_bpe **bpe);
/* Its list of merges, as such a file holds it; release with free(). */
lk_status lk_bpe_write(const lk_bpe *bpe, char **text);
/* Its tokens; the last is <|endoftext|>. */
int64_t   lk_bpe_n(const lk_bpe *bpe);
/* How that list spells its tokens, <|endoftext|> left out. */
const lk_vocabulary *lk_bpe_spelled(const lk_bpe *bpe);
/* A text in UTF-8, by one thread at a time; out has room for a token a byte. */
lk_status lk_bpe_encode(lk_bpe *bpe, const char *text, size_t nbytes, uint16_t *out, int64_t *n);
/* Writes the bytes that a token stands for; <|endoftext|> stands for none. */
void      lk_bpe_put(const lk_bpe *bpe, int64_t token, FILE *stream);

/* Adds a text's pieces.  The text is UTF-8 without a byte 0. */
lk_status lk_bpe_count(lk_pieces *pieces, const char *text, size_t nbytes, lk_counted *counted);
/* Learns the list of merges of n_tokens tokens, bytes among them, or fewer where no pair stands there twice; release
 * with free(): bpe_learn.c. */
lk_status lk_bpe_learn(const lk_counted *pieces, int64_t n_tokens, char **merges);

/* ------------------------------------------------------------------ sentences */

/* How sentences of one language are numbered, by words or by byte pairs: coding.c. */
typedef struct lk_coding {
    const lk_vocabulary *words; /* borrowed, as is the next: special words, then words or byte pairs */
    lk_bpe *bpe;           /* NULL: by words */
    char *text;            /* owned, as is the next: a sentence on its way */
    uint16_t *token;
    size_t room;
} lk_coding;
void      lk_coding_clear(lk_coding *coding);
/* The special words, then byte pairs as they are spelled.  Errors: LK_ERR_DATA (one is spelled as a special word). */
lk_status lk_coding_words(const lk_bpe *bpe, lk_vocabulary **out);
/* Numbers of a sentence as lk_words_apart() makes it, <eos> the last; out has room for LK_CODING_MORE more than it has
 * bytes.  One thread at a time. */
enum { LK_CODING_MORE = 2 };
lk_status lk_coding_encode(lk_coding *coding, const char *sentence, size_t nbytes, int32_t *out, int64_t *n);
/* The sentence that numbers stand for up to their first <eos>, words with one blank between them; <pad> and <bos> are
 * left out, and of byte pairs what is not UTF-8 becomes U+FFFD.  *text is owned by the caller. */
lk_status lk_coding_decode(const lk_coding *coding, const int32_t *number, int64_t n, char **text);

#endif
