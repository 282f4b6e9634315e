/* Sums and the like over ranks' arrays of one type, for nccl.cpp. */
#ifndef STANDIN_NCCL_REDUCE_H
#define STANDIN_NCCL_REDUCE_H

#include <nccl.h>

#include <cstddef>

namespace standin {

/* Bytes of an element; 0: no such type. */
size_t nccl_size(ncclDataType_t type);
/* Whether nccl_reduce() can. */
bool nccl_reduces(ncclDataType_t type, ncclRedOp_t op);

/* out[i] over from[0 .. n_ranks)[i]; `first` is the rank that begins.  out may be one of from. */
void nccl_reduce(ncclDataType_t type, ncclRedOp_t op, void *out, const void *const *from, int n_ranks, int first,
                 size_t begin, size_t end);

} // namespace standin

#endif
