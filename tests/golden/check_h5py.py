"""Reads a checkpoint's index.h5 as any Python program would: as one plain state dict.

    check_h5py.py INDEX

Prints one line a tensor: path, shape and every element as the hexadecimal digits of its 32 bits, so that
test_h5py.c can compare exactly.
"""
import sys

import h5py
import numpy

with h5py.File(sys.argv[1], "r") as index:
    state = {}
    index.visititems(lambda path, item: state.update({path: item[...]}) if isinstance(item, h5py.Dataset) else None)

for path in sorted(path for path in state if not path.startswith("lockstep/")):
    tensor = state[path]
    assert tensor.dtype == numpy.float32, f"{path} is {tensor.dtype}"
    shape = ",".join(str(extent) for extent in tensor.shape)
    words = " ".join(f"{word:08x}" for word in numpy.atleast_1d(tensor).view(numpy.uint32).ravel())
    print(f"{path} ({shape}) {words}".strip())
