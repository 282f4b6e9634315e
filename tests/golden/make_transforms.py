#!/usr/bin/env python3
"""Makes transforms.json: what torchvision's transforms make of pictures of bytes, with their parameters given.

A picture is the numbers of picture() below, which test_golden_transforms.c makes too; results are (H, W, C) in
hexadecimal.

    python3 tests/golden/make_transforms.py
"""
import json
import math
import pathlib

import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as F


def picture(h, w, c):
    """Slopes with noise on them."""
    y, x, z = torch.meshgrid(torch.arange(h), torch.arange(w), torch.arange(c), indexing="ij")
    noise = (y * 7919 + x * 104729 + z * 1299709 + x * y * 31) % 101
    return ((y * 9 + x * 5 + z * 60 + noise) % 256).to(torch.uint8).permute(2, 0, 1).contiguous()


def hexes(image):
    return bytes(image.permute(1, 2, 0).contiguous().flatten().tolist()).hex()


def case(kind, shape, made, **given):
    return {"kind": kind, "shape": list(shape), **given, "made": [made.shape[1], made.shape[2]], "want": hexes(made)}


def resizes():
    for shape, size in [((23, 17, 3), [9]), ((17, 23, 3), [9]), ((7, 9, 3), [12, 21]), ((20, 11, 1), [5, 30]),
                        ((40, 30, 3), [3, 4]), ((16, 16, 3), [16, 7]), ((13, 21, 2), [13])]:
        for word in ("bilinear", "nearest"):
            made = F.resize(picture(*shape), size, InterpolationMode(word), antialias=True)
            yield case("resize", shape, made, size=size, interpolation=word)


def crops():
    for shape, size in [((9, 12, 3), [4]), ((9, 12, 3), [4, 7]), ((6, 5, 3), [9, 8]), ((6, 12, 1), [8, 5])]:
        yield case("center_crop", shape, F.center_crop(picture(*shape), size), size=size)
    yield case("hflip", (5, 4, 3), F.horizontal_flip(picture(5, 4, 3)))
    yield case("vflip", (5, 4, 3), F.vertical_flip(picture(5, 4, 3)))


def colours():
    changes = {"brightness": F.adjust_brightness, "contrast": F.adjust_contrast, "saturation": F.adjust_saturation,
               "sharpness": F.adjust_sharpness, "hue": F.adjust_hue}
    for word, change in changes.items():
        for factor in (-0.5, -0.11, 0.0, 0.07, 0.5) if word == "hue" else (0.0, 0.37, 1.0, 1.8):
            for shape in ((8, 9, 3), (8, 9, 1)):
                yield case(word, shape, change(picture(*shape), factor), factor=factor)
    yield case("sharpness", (2, 9, 3), F.adjust_sharpness(picture(2, 9, 3), 1.8), factor=1.8)


def tones():
    for shape in ((8, 9, 3), (40, 30, 1)):
        image = picture(*shape)
        for bits in (2, 5, 8):
            yield case("posterize", shape, F.posterize(image, bits), factor=bits)
        for threshold in (0.0, 127.5, 255.0):
            yield case("solarize", shape, F.solarize(image, threshold), factor=threshold)
        dim = (image // 3 + 20).to(torch.uint8)
        yield case("autocontrast", shape, F.autocontrast(dim), dim=True)
        yield case("equalize", shape, F.equalize(dim), dim=True)
        flat = torch.full_like(image, 90)
        yield case("autocontrast", shape, F.autocontrast(flat), flat=True)
        yield case("equalize", shape, F.equalize(flat), flat=True)


def warps():
    def affine(image, translate=(0, 0), shear=(0.0, 0.0), center=None):
        return F.affine(image, angle=0.0, translate=list(translate), scale=1.0, shear=list(shear), center=center)

    for shape in ((13, 18, 3), (16, 16, 3)):
        image = picture(*shape)
        for m in (-0.99, -0.264, 0.033, 0.66):
            degrees = math.degrees(math.atan(m))
            yield case("shear_x", shape, affine(image, shear=(degrees, 0.0), center=[0, 0]), factor=m)
            yield case("shear_y", shape, affine(image, shear=(0.0, degrees), center=[0, 0]), factor=m)
        for m in (-5.9, 3.2):
            yield case("translate_x", shape, affine(image, translate=(int(m), 0)), factor=m)
            yield case("translate_y", shape, affine(image, translate=(0, int(m))), factor=m)
        for m in (-135.0, -90.0, 0.0, 31.5, 90.0) if shape[0] == shape[1] else (-58.5, 4.5, 130.5):
            yield case("rotate", shape, F.rotate(image, m), factor=m)


def main():
    made = [*resizes(), *crops(), *colours(), *tones(), *warps()]
    path = pathlib.Path(__file__).with_name("transforms.json")
    path.write_text("[\n" + ",\n".join(json.dumps(c) for c in made) + "\n]\n")


main()
