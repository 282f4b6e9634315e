/*
 * What the stand-ins of the libraries share: how work gets onto a stream, complaints, and number formats.
 *
 * A stand-in answers as the real library does where its documentation says how.  Where a call would be undefined there
 * (wrong alignment, an output over an input, a workspace too small) it complains on stderr and returns an error.
 */
#ifndef STANDIN_LIBRARIES_H
#define STANDIN_LIBRARIES_H

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>

/* runtime.cpp: after all that is queued on the stream; kept and repeated where the stream is being captured. */
void standin_enqueue(cudaStream_t stream, std::function<void()> work);

/* Work that may have to wait for another process: begin() is called when its turn comes, at each replay anew, and what
 * it returns is called until that is true; the call may take a moment, but does not wait for ever. */
typedef std::function<std::function<bool()>()> standin_work;
void standin_enqueue_until(cudaStream_t stream, const char *what, standin_work begin);

namespace standin {

/* Writes a line to stderr, and keeps it for the libraries' own "last error". */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
const char *last_complaint();

/* Fills both ends of a caller's scratch memory with NaN: whoever wrongly keeps something there finds out. */
void spoil(void *workspace, size_t nbytes);

/* Whether two stretches of memory share a byte. */
bool overlap(const void *a, size_t a_nbytes, const void *b, size_t b_nbytes);

inline float float_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

inline uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* To the nearest number with `dropped` fewer bits of mantissa, ties to even; NaN stays NaN. */
inline uint32_t round_bits(float value, int dropped)
{
    const uint32_t bits = bits_of(value), low = (1u << dropped) - 1;

    if (value != value) return (bits | 0x00400000u) & ~low;
    return (bits + (low >> 1) + ((bits >> dropped) & 1)) & ~low;
}

inline float of_bf16(uint16_t bits) { return float_of_bits((uint32_t)bits << 16); }
inline uint16_t to_bf16(float value) { return (uint16_t)(round_bits(value, 16) >> 16); }
/* What tensor cores read of a float: 10 bits of mantissa. */
inline float to_tf32(float value) { return float_of_bits(round_bits(value, 13)); }

inline float load(const void *at, size_t i, bool bf16)
{
    return bf16 ? of_bf16(((const uint16_t *)at)[i]) : ((const float *)at)[i];
}

inline void store(void *at, size_t i, float value, bool bf16)
{
    if (bf16) ((uint16_t *)at)[i] = to_bf16(value);
    else ((float *)at)[i] = value;
}

} // namespace standin

#endif
