/* What writing byte pairs down and learning them share.  Private to io/text. */
#ifndef LK_IO_BPE_H
#define LK_IO_BPE_H

#include "io/text/text.h"

enum {
    LK_BPE_BYTES = 256,
    LK_BPE_MERGES = UINT16_MAX - LK_BPE_BYTES, /* at most: tokens are uint16, and the last is the end of text */
};
#define LK_BPE_HEADER "#version: 0.2\n" /* GPT-2's file begins with it, and readers of such files pass over it */

/* Bytes' tokens and how each is spelled: of_byte[b] is byte b's. */
lk_status lk_bpe_alphabet(lk_vocabulary **spelled, uint16_t of_byte[LK_BPE_BYTES]);

#endif
