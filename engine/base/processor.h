/* Instruction sets that a compiler uses unasked, for the check that the processor at hand has them. */
#ifndef LK_PROCESSOR_H
#define LK_PROCESSOR_H

/* What the newest compilers know beside the rest; older ones refuse the names. */
#if !defined __clang__ && __GNUC__ >= 12
#define LK_NEWEST_PROCESSOR_LIST(X) X(__AVX512FP16__, "avx512fp16", 5) X(__AVXVNNI__, "avxvnni", 5)
#else
#define LK_NEWEST_PROCESSOR_LIST(X)
#endif

/* The macro that -march defines for it, its name, and the x86-64 level (v2, v3, v4) that has it; 5: none. */
#define LK_PROCESSOR_LIST(X)                                                                                      \
    X(__SSE3__, "sse3", 2) X(__SSSE3__, "ssse3", 2) X(__SSE4_1__, "sse4.1", 2) X(__SSE4_2__, "sse4.2", 2)         \
    X(__POPCNT__, "popcnt", 2) X(__AVX__, "avx", 3) X(__AVX2__, "avx2", 3) X(__BMI__, "bmi", 3)                   \
    X(__BMI2__, "bmi2", 3) X(__FMA__, "fma", 3) X(__AVX512F__, "avx512f", 4) X(__AVX512BW__, "avx512bw", 4)       \
    X(__AVX512CD__, "avx512cd", 4) X(__AVX512DQ__, "avx512dq", 4) X(__AVX512VL__, "avx512vl", 4)                  \
    X(__FMA4__, "fma4", 5) X(__XOP__, "xop", 5) X(__GFNI__, "gfni", 5) X(__AVX512IFMA__, "avx512ifma", 5)         \
    X(__AVX512VBMI__, "avx512vbmi", 5) X(__AVX512VBMI2__, "avx512vbmi2", 5) X(__AVX512VNNI__, "avx512vnni", 5)    \
    X(__AVX512BITALG__, "avx512bitalg", 5) X(__AVX512VPOPCNTDQ__, "avx512vpopcntdq", 5)                           \
    X(__AVX512BF16__, "avx512bf16", 5) LK_NEWEST_PROCESSOR_LIST(X)

#define LK_PROCESSOR_COUNT(macro, name, level) +1
enum { LK_N_PROCESSOR_SETS = 0 LK_PROCESSOR_LIST(LK_PROCESSOR_COUNT) };

/* In the list's order: "1" where this library is compiled for it, else the macro's name. */
extern const char *const lk_built_for[LK_N_PROCESSOR_SETS];

#endif
