/* TFRecord, the framing of TensorBoard's event files; for the files of io/ only. */
#ifndef LK_IO_TFRECORD_H
#define LK_IO_TFRECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* CRC-32C (Castagnoli) of the bytes; "123456789" gives e3069283. */
uint32_t lk_crc32c(const void *bytes, size_t nbytes);
/* TFRecord's disguise of a CRC, so that a CRC of data that holds CRCs stays strong. */
uint32_t lk_tfrecord_mask(uint32_t crc);

enum { LK_TFRECORD_HEAD = 12, LK_TFRECORD_FOOT = 4 };

/* Writes one record; false when the stream has failed. */
bool lk_tfrecord_write(FILE *file, const void *bytes, size_t nbytes);

#endif
