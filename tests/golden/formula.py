"""Numbers that PyTorch's side and ours compute instead of storing them (tests/support/formula.h is the other half)."""
import numpy


def words(name, n):
    """n random-looking 32-bit words: FNV-1a of the name, mixed with the element by MurmurHash3's finaliser."""
    hashed = 2166136261
    for byte in name.encode():
        hashed = (hashed ^ byte) * 16777619 % 2**32
    h = numpy.arange(n, dtype=numpy.uint32) * numpy.uint32(0x9E3779B1) ^ numpy.uint32(hashed)
    h = (h ^ h >> numpy.uint32(16)) * numpy.uint32(0x85EBCA6B)
    h = (h ^ h >> numpy.uint32(13)) * numpy.uint32(0xC2B2AE35)
    return h ^ h >> numpy.uint32(16)


def units(name, n):
    """n numbers in [-0.5, 0.5), exact in fp32."""
    return (words(name, n) >> numpy.uint32(8)).astype(numpy.float64) * 2.0**-24 - 0.5


def signs(name, n):
    return numpy.where(words(name, n) >> numpy.uint32(31), -1.0, 1.0)


def tensor(name, shape):
    """First values: products keep the size of what they get (a power of two near sqrt(12 / fan_in) times a unit), gains
    and variances are near 1, biases and means near 0, none at a value of its own."""
    n = int(numpy.prod(shape, dtype=numpy.int64))
    if len(shape) < 2:
        offset, scale = (1.0, 0.5) if name.endswith(("weight", "running_var")) else (0.0, 0.25)
        return (offset + scale * units(name, n)).reshape(shape)
    scale, fan_in = 4.0, n // shape[0]
    while scale * scale * fan_in > 12.0:
        scale /= 2.0
    return (scale * units(name, n)).reshape(shape)
