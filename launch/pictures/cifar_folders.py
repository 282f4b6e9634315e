#!/usr/bin/env python3
"""CIFAR-10 as a folder of PNG files for each class: some of its classes, some pictures of each.

    cifar_folders.py OUT FILE... [--classes cat,dog] [--each 50]

FILEs are of the binary version (www.cs.toronto.edu/~kriz/cifar.html), packed (.xz, .gz) or not.  The first --each
pictures of a class are taken, all without it.  Needs Python alone.
"""
import argparse
import gzip
import lzma
import pathlib
import struct
import zlib

NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
SIDE = 32
PLANE = SIDE * SIDE
RECORD = 1 + 3 * PLANE  # a label, then all red, all green, all blue


def records(path):
    opener = {".xz": lzma.open, ".gz": gzip.open}.get(pathlib.Path(path).suffix, open)
    with opener(path, "rb") as file:
        raw = file.read()
    if not raw or len(raw) % RECORD:
        raise SystemExit(f"{path}: {len(raw)} bytes are no whole number of records of {RECORD}")
    for i in range(0, len(raw), RECORD):
        if raw[i] >= len(NAMES):
            raise SystemExit(f"{path}: record {i // RECORD}: label {raw[i]}, of {len(NAMES)} classes")
        yield raw[i], raw[i + 1:i + RECORD]


def png(planes):
    pixels = bytes(planes[c * PLANE + p] for p in range(PLANE) for c in range(3))
    row = 3 * SIDE
    rows = b"".join(b"\0" + pixels[y * row:(y + 1) * row] for y in range(SIDE))  # 0: as they are, without a filter

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)  # 8 bits of red, green and blue
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("files", nargs="+")
    parser.add_argument("--classes", default=",".join(NAMES))
    parser.add_argument("--each", type=int)
    args = parser.parse_args()
    wanted = args.classes.split(",")
    if unknown := set(wanted) - set(NAMES):
        parser.error(f"no class of CIFAR-10: {', '.join(sorted(unknown))}; they are {', '.join(NAMES)}")
    taken = {NAMES.index(name): 0 for name in wanted}
    for name in wanted:
        (args.out / name).mkdir(parents=True)  # of a folder that is there, other pictures would stay: an error
    for path in args.files:
        for label, planes in records(path):
            if label in taken and (args.each is None or taken[label] < args.each):
                (args.out / NAMES[label] / f"{taken[label]:05}.png").write_bytes(png(planes))
                taken[label] += 1
    for label, n in taken.items():
        print(f"{args.out / NAMES[label]}: {n} pictures")
        if args.each is not None and n < args.each:
            raise SystemExit(f"{NAMES[label]}: {args.each} pictures wanted, {n} in these files")


if __name__ == "__main__":
    main()
