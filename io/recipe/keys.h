/*
 * How the tables of the schema are written.  A file that includes this has said by LK_OWNER which struct its keys
 * fill; a key is X("name", TYPE(member, ...), RULE, ...), and TABLES makes the two arrays of a list of them.
 */
#ifndef LK_IO_RECIPE_KEYS_H
#define LK_IO_RECIPE_KEYS_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "io/recipe/parts.h"

#define AS_STRVAL(name, word, ...) {word, name},
#define WORDS(list) {list(AS_STRVAL)}
#define N_OF(array) (sizeof(array) / sizeof *(array))

#define UNUSED __attribute__((unused)) /* not every file has keys of every type */

UNUSED static const cyaml_schema_value_t whole_entry = {.type = CYAML_INT, .data_size = sizeof(int64_t)};
UNUSED static const cyaml_schema_value_t real_entry = {.type = CYAML_FLOAT, .data_size = sizeof(double)};
UNUSED static const cyaml_schema_value_t text_entry = {
    .type = CYAML_STRING, .flags = CYAML_FLAG_POINTER, .data_size = sizeof(char), .string = {1, UINT32_MAX}};

/* Types.  Places are all counted from the start of LK_OWNER, also in its sections. */
#define MEMBER(m) (((LK_OWNER *)0)->m)
#define VALUE(type_, flags_, m, ...)                    \
    .data_offset = offsetof(LK_OWNER, m),              \
    .value = {.type = (type_), .flags = CYAML_FLAG_OPTIONAL | (flags_), .data_size = sizeof MEMBER(m), __VA_ARGS__}
#define WHOLE(m) VALUE(CYAML_INT, 0, m)
#define COUNTER(m) VALUE(CYAML_UINT, 0, m)
#define REAL(m) VALUE(CYAML_FLOAT, 0, m)
#define TRUTH(m) VALUE(CYAML_BOOL, 0, m)
#define WORD(m, words) VALUE(CYAML_ENUM, CYAML_FLAG_STRICT, m, .enumeration = {words, N_OF(words)})
#define TEXT(m)                            \
    .data_offset = offsetof(LK_OWNER, m), \
    .value = {.type = CYAML_STRING, .flags = CYAML_FLAG_OPTIONAL | CYAML_FLAG_POINTER, .data_size = sizeof(char), \
              .string = {1, UINT32_MAX}}
#define COUNTED(flags_, m, n_, entry, least, most)                                                       \
    .data_offset = offsetof(LK_OWNER, m),                                                               \
    .count_offset = offsetof(LK_OWNER, n_), .count_size = sizeof MEMBER(n_),                            \
    .value = {.type = CYAML_SEQUENCE, .flags = CYAML_FLAG_OPTIONAL | (flags_), .data_size = sizeof *MEMBER(m), \
              .sequence = {&(entry), least, most}}
#define WHOLES(m, n_, least) COUNTED(0, m, n_, whole_entry, least, LK_MAX_LAYERS)
#define REALS(m, n_, least) COUNTED(CYAML_FLAG_POINTER, m, n_, real_entry, least, CYAML_UNLIMITED)
#define TEXTS(m) COUNTED(CYAML_FLAG_POINTER, m.word, m.n, text_entry, 0, CYAML_UNLIMITED)
#define FILE_NAMES(m) COUNTED(CYAML_FLAG_POINTER, m.word, m.n, text_entry, 1, CYAML_UNLIMITED)
#define LIST_OF(m, n_, entry) COUNTED(CYAML_FLAG_POINTER, m, n_, entry, 0, CYAML_UNLIMITED)
#define FIXED(m, type_, entry, n_)         \
    .data_offset = offsetof(LK_OWNER, m), \
    .value = {.type = CYAML_SEQUENCE_FIXED, .flags = CYAML_FLAG_OPTIONAL, .data_size = sizeof(type_), \
              .sequence = {&(entry), n_, n_}}
#define KEYS(fields_)                                                                                     \
    .value = {.type = CYAML_MAPPING, .flags = CYAML_FLAG_OPTIONAL, .data_size = sizeof(LK_OWNER),        \
              .mapping = {fields_}}

/* Keys of a struct of its own, whose places are counted from its start. */
#define SECTION(m, fields_) VALUE(CYAML_MAPPING, 0, m, .mapping = {fields_})

/* Rules. */
#define ONLY(kinds) .only = (kinds)
#define NEEDED .needed = true
#define DEFAULT(text) .fallback = (text)
#define OWN_DEFAULT(...) .own_fallback = (const lk_kind_default[]){__VA_ARGS__, {NULL, NULL}} /* {"vgg*", "0.5"} */
#define A_PATH .is_path = true
#define HELP(text) .help = (text)
#define DERIVED(text) .derived = (text) /* for people, where DEFAULT has nothing or says it in numbers */
#define INNER .inner = true
#define DECIDES .fixed = true
#define HAS_STATE .state = true
#define ONE_OR_MORE .one_or_more = true
#define ANY .low = -HUGE_VAL, .high = HUGE_VAL
#define AT_LEAST(a) .low = (a), .high = HUGE_VAL
#define ABOVE(a) .low = (a), .high = HUGE_VAL, .above = true
#define FROM_TO(a, b) .low = (a), .high = (b)
#define ABOVE_TO(a, b) .low = (a), .high = (b), .above = true
#define FROM_BELOW(a, b) .low = (a), .high = (b), .below = true
#define A_SIZE FROM_TO(1, 1 << 30) /* so that the product of two fits in 64 bits */
#define A_LABEL FROM_TO(INT32_MIN, INT32_MAX)

#define AS_FIELD(key_, value_, ...) {.key = key_, value_},
#define AS_RULE(key_, value_, ...) {.key = key_, __VA_ARGS__},
#define TABLES(name, list)                                                                      \
    extern const cyaml_schema_field_t name##_fields[];                                          \
    extern const lk_rule name##_rules[];                                                        \
    const cyaml_schema_field_t name##_fields[] = {list(AS_FIELD) CYAML_FIELD_END};              \
    const lk_rule name##_rules[] = {list(AS_RULE)};

#endif
