/*
 * TFRecord: a file of records, each
 *
 *     uint64 length | uint32 masked crc of the length | the bytes | uint32 masked crc of the bytes      little endian
 *
 * so that a reader notices a record that a crash tore and one that rotted.
 *
 * Sources: TensorFlow, tensorflow/core/lib/io/record_writer.h (format) and tensorflow/core/lib/hash/crc32c.h (mask);
 * CRC-32C is RFC 3720, appendix B.4: polynomial 0x1EDC6F41, bits reflected, computed bytewise by Sarwate's table
 * (Communications of the ACM 31(8), 1988).
 */
#include "io/log/tfrecord.h"

#include <pthread.h>

enum { N_BYTE_VALUES = 256, BITS = 8 };

static const uint32_t polynomial = 0x82F63B78; /* 0x1EDC6F41, reflected */
static uint32_t table[N_BYTE_VALUES];
static pthread_once_t table_made = PTHREAD_ONCE_INIT;

static void make_table(void)
{
    for (uint32_t byte = 0; byte < N_BYTE_VALUES; byte++) {
        uint32_t crc = byte;

        for (int bit = 0; bit < BITS; bit++) crc = crc & 1 ? crc >> 1 ^ polynomial : crc >> 1;
        table[byte] = crc;
    }
}

uint32_t lk_crc32c(const void *bytes, size_t nbytes)
{
    const uint8_t *b = bytes;
    uint32_t crc = ~UINT32_C(0);

    pthread_once(&table_made, make_table);
    for (size_t i = 0; i < nbytes; i++) crc = crc >> BITS ^ table[(crc ^ b[i]) & (N_BYTE_VALUES - 1)];
    return ~crc;
}

uint32_t lk_tfrecord_mask(uint32_t crc)
{
    const uint32_t delta = 0xa282ead8;
    return (crc >> 15 | crc << 17) + delta;
}

static void put_little_endian(uint8_t *to, uint64_t value, int nbytes)
{
    for (int i = 0; i < nbytes; i++) to[i] = (uint8_t)(value >> BITS * i);
}

bool lk_tfrecord_write(FILE *file, const void *bytes, size_t nbytes)
{
    uint8_t head[LK_TFRECORD_HEAD], foot[LK_TFRECORD_FOOT];

    put_little_endian(head, nbytes, sizeof(uint64_t));
    put_little_endian(head + sizeof(uint64_t), lk_tfrecord_mask(lk_crc32c(head, sizeof(uint64_t))), sizeof(uint32_t));
    put_little_endian(foot, lk_tfrecord_mask(lk_crc32c(bytes, nbytes)), sizeof(uint32_t));
    return fwrite(head, 1, sizeof head, file) == sizeof head && fwrite(bytes, 1, nbytes, file) == nbytes &&
           fwrite(foot, 1, sizeof foot, file) == sizeof foot;
}
