/* Checksums of bytes: XXH3-128 (https://xxhash.com) in canonical (big-endian) order, as hexadecimal digits. */
#include "io/checkpoint/parts.h"

void lk_checksum_hex(XXH128_hash_t hash, char out[LK_CHECKSUM_CHARS])
{
    static const char digits[] = "0123456789abcdef";
    XXH128_canonical_t canonical;

    XXH128_canonicalFromHash(&canonical, hash);
    for (size_t i = 0; i < sizeof canonical.digest; i++) {
        out[2 * i] = digits[canonical.digest[i] >> 4];
        out[2 * i + 1] = digits[canonical.digest[i] & 15];
    }
}

void lk_checksum(const void *bytes, size_t nbytes, char out[LK_CHECKSUM_CHARS])
{
    lk_checksum_hex(XXH3_128bits(bytes, nbytes), out);
}
